"""A run folder as `adiabat demo` leaves it, with made-up but sensible numbers for the water molecule."""

from __future__ import annotations

import json

import numpy as np

from adiabat.report import Sections

SUMMARY = {
    "labels": 72, "energy_mae_meV_per_atom": 0.14, "force_mae_meV_per_A": 5.2, "nve_drift_meV_per_atom_per_ns": 0.05, "rounds": 5,
    "wall_s": 261.0, "label_wall_s": 118.0, "model": "models/water.adiabat", "report": "report.html",
}  # fmt: skip
CONFIG = """\
structure: water                # equilibrium geometry, C2v
labeler: {pyscf: {functional: PBE, basis: def2-svp, grid: 4}}
model: {bpnn: {hidden: [24, 24], cutoff: 4.0}}
temperatures_K: [300, 500, 700]
"""


def sections(seed: int = 1) -> dict[str, dict]:
    rng = np.random.default_rng(seed)
    labels = [24, 36, 48, 60, 72]
    kinds = ["equilibrium", "rattled", "md 300 K", "md 500 K", "md 700 K"]

    def parity_set(n, energy_meV, force_meV):
        energy = -693.7 + rng.gamma(2.0, 0.06, n)
        force = rng.laplace(0, 1.1, 9 * n)
        return {
            "energy_reference_eV_per_atom": energy, "energy_model_eV_per_atom": energy + rng.normal(0, energy_meV / 1000, n),
            "force_reference_eV_per_A": force, "force_model_eV_per_A": force + rng.normal(0, force_meV / 1000, 9 * n) * (1 + abs(force)),
            "kinds": [kinds[k % 5] for k in range(n)],
        }  # fmt: skip

    spread = rng.lognormal(np.log(5), 0.8, 300)
    time_ps = np.linspace(0, 10, 501)
    slopes = rng.normal(0.05, 0.6, 16)
    energies = 0.02 * np.sin(time_ps[None] * 40 + rng.uniform(0, 6, 16)[:, None]) + slopes[:, None] * time_ps / 1000
    energies = energies + rng.normal(0, 0.006, energies.shape)
    stages = []
    for number, (temperature, scale) in enumerate([(300, 9), (500, 22), (500, 9), (700, 24), (700, 9)]):
        t = np.arange(0, 501) * 2.0
        walkers = (
            scale
            * np.exp(0.35 * np.cumsum(rng.normal(0, 0.15, (6, len(t))), axis=1) / 2 - 0.1)
            * rng.lognormal(0, 0.15, (6, len(t)))
        )
        over = [int(np.argmax(w > 30)) if (w > 30).any() else None for w in walkers]
        for w, k in zip(walkers, over, strict=True):
            if k is not None:
                w[k + 1 :] = np.nan
        stages.append({
            "round": number + 1, "temperature_K": temperature, "time_fs": t, "spread_meV_per_A": walkers, "threshold_meV_per_A": 30.0,
            "stopped_at_fs": [None if k is None else t[k] for k in over],
        })  # fmt: skip

    def bell(x, mid, width):
        return np.exp(-(((x - mid) / width) ** 2) / 2) / width / np.sqrt(2 * np.pi)

    r, angle = np.linspace(0.84, 1.12, 57), np.linspace(86, 124, 57)
    epoch = np.arange(0, 400, 2)
    overall = {"n_structures": 60, "energy_mae_meV_per_atom": 0.14, "energy_rmse_meV_per_atom": 0.2, "energy_r2": 0.99998,
               "force_mae_meV_per_A": 5.2, "force_rmse_meV_per_A": 7.9, "force_r2": 0.99996, "stress_mae_GPa": None}  # fmt: skip
    return {
        "verdicts": {"verdicts": [
            {"name": "Energy error", "value": 0.14, "unit": "meV/atom", "target": 0.2, "note": "mean absolute, independent test set"},
            {"name": "Force error", "value": 5.2, "unit": "meV/Å", "target": 10.0, "note": "mean absolute, independent test set"},
            {"name": "Energy drift", "value": 0.05, "error": 0.15, "unit": "meV/atom/ns", "target": 1.0, "passed": True,
             "note": "|slope| + 2σ over 16 replicas"},
            {"name": "Labels", "value": 72, "target": 80, "note": "PBE calculations for training"},
            {"name": "Time", "value": 261.0, "unit": "s", "target": 300.0, "note": "wall clock, 2 cores"},
            {"name": "Effective sample size", "value": 44.0, "target": 20.0, "better": "above", "note": "of 48 reweighted frames"},
            {"name": "Largest frequency difference", "value": 4.1, "unit": "cm⁻¹", "note": "harmonic, against PBE"},
        ]},
        "settings": {
            "system": "Water molecule", "n_atoms": 3, "level_of_theory": "PBE/def2-SVP",
            "engine": {"name": "pyscf", "version": "PySCF 2.11.0", "functional": "PBE", "basis": "def2-svp", "grid": 4, "convergence_eV": 1e-9,
                       "charge": 0, "multiplicity": 1, "electronic_temperature_K": 0, "max_memory_MB": 2000},
            "model": {"name": "bpnn", "hidden": [24, 24], "cutoff": 4.0, "members": 4},
            "training": {"optimizer": "AdamW", "learning_rate": 0.003, "epochs": 400, "energy_weight": 1.0, "force_weight": 10.0},
            "exploration": {"temperatures_K": [300, 500, 700], "walkers": 6, "timestep_fs": 0.5},
        },
        "learning_curve": {
            "labels": labels, "validation_energy_mae_meV_per_atom": [1.9, 0.8, 0.35, 0.2, 0.16], "target_energy_mae_meV_per_atom": 0.2,
            "validation_force_mae_meV_per_A": [38, 19, 10, 7.1, 5.6], "test_energy_mae_meV_per_atom": [2.4, 0.9, 0.4, 0.19, 0.14],
            "test_force_mae_meV_per_A": [46, 22, 11, 6.9, 5.2], "target_force_mae_meV_per_A": 10.0,
        },
        "parity": {"sets": {"train": parity_set(72, 0.1, 3), "test": parity_set(60, 0.18, 5)}},
        "errors_by_kind": {"set": "test", "overall": overall, "by_kind": {
            f"md {T} K": overall | {"n_structures": 20, "energy_mae_meV_per_atom": 0.14 * f, "force_mae_meV_per_A": 5.2 * f}
            for T, f in ((300, 0.6), (500, 0.9), (700, 1.5))}},
        "uncertainty": {
            "spread_meV_per_A": spread, "error_meV_per_A": spread * abs(rng.normal(0, 1, 300)), "scale": 1.8, "rank_correlation": 0.63,
            "nominal": [0.1, 0.25, 0.5, 0.68, 0.8, 0.9, 0.95], "observed": [0.12, 0.28, 0.52, 0.69, 0.79, 0.88, 0.93],
        },
        "distributions": {
            "reference": "PBE", "temperature_K": 300, "n_reference_frames": 48, "effective_sample_size": 44.0,
            "distributions": [
                {"name": "O–H distance", "unit": "Å", "x": r, "model": bell(r, 0.972, 0.027), "reference": bell(r, 0.9725, 0.0272),
                 "reference_error": 0.1 + 0.08 * bell(r, 0.972, 0.03),
                 "model_mean": 0.9721, "model_mean_error": 0.0004, "reference_mean": 0.9724, "reference_mean_error": 0.0028},
                {"name": "H–O–H angle", "unit": "°", "x": angle, "model": bell(angle, 104.0, 4.6), "reference": bell(angle, 104.1, 4.7),
                 "reference_error": 0.004 + 0.08 * bell(angle, 104, 5),
                 "model_mean": 104.02, "model_mean_error": 0.08, "reference_mean": 104.1, "reference_mean_error": 0.7},
            ],
        },
        "structures": {"views": [
            {"name": "Relaxed structure", "note": "The minimum by PBE/def2-SVP.", "frames": [
                {"symbols": ["O", "H", "H"], "positions_A": [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]}]},
            {"name": "In a box", "frames": [
                {"symbols": ["O", "H", "H"], "positions_A": [[1, 1, 1 + z], [1, 1.76, 0.4], [1, 0.24, 0.4]], "label": f"{10 * k} fs",
                 "cell_A": [[3, 0, 0], [0, 3, 0], [0, 0, 3]]} for k, z in enumerate((0.12, 0.15, 0.2))]}]},
        "crystal": {"reference": "PBE/350 eV", "note": "Strains up to 1 %.", "rows": [
            {"name": "C11", "unit": "GPa", "model": 153.1, "model_error": 2.0, "reference": 152.8, "reference_error": 0.1,
             "difference_percent": 0.2}]},
        "rdf": {"r": [2.0, 2.35, 2.7], "g": [0.0, 6.1, 0.2], "error": [0.0, 0.1, 0.02], "coordination": [0.0, 2.1, 4.0],
                "temperature_K": 1000.0},
        "vibrations": {"reference": "PBE/def2-SVP", "modes": [
            {"name": "bend ν₂", "model_per_cm": 1594.8, "reference_per_cm": 1596.1},
            {"name": "symmetric stretch ν₁", "model_per_cm": 3702.3, "reference_per_cm": 3699.0},
            {"name": "asymmetric stretch ν₃", "model_per_cm": 3819.6, "reference_per_cm": 3815.5}]},
        "nve": {
            "time_ps": time_ps, "energy_meV_per_atom": energies, "slopes_meV_per_atom_per_ns": slopes, "timestep_fs": 0.5, "temperature_K": 300,
            "slope_meV_per_atom_per_ns": float(slopes.mean()), "slope_error_meV_per_atom_per_ns": float(slopes.std() / 4),
            "target_meV_per_atom_per_ns": 1.0, "advice": "The timestep of 0.5 fs is fine: the drift does not differ from zero.",
        },
        "nvt": {"time_ps": time_ps, "temperature_K": rng.gamma(3, 100, (16, 501)), "target_K": 300.0, "mean_K": 300.4, "error_K": 2.1,
                "degrees_of_freedom": 6, "thermostat": "Langevin (BAOAB)"},
        "rounds": {
            "stop_rule": "no frame of a whole stage at 700 K has a spread above the threshold, or 80 labels are used",
            "stopped_because": "one whole stage at 700 K stayed below the threshold.",
            "rounds": [
                {"round": n + 1, "temperature_K": s["temperature_K"], "candidates": 3000, "uncertain": u, "chosen": 12,
                 "labels": labels[min(n + 1, 4)],
                 "threshold_meV_per_A": 30.0, "spread_median_meV_per_A": m, "spread_max_meV_per_A": x, "decision": d}
                for n, (s, u, m, x, d) in enumerate(zip(stages, [41, 180, 12, 95, 0], [8, 14, 7, 16, 8], [52, 88, 33, 71, 26],
                    ["stay at 300 K", "stay at 500 K", "heat to 700 K", "stay at 700 K", "stop"], strict=True))],
        },
        "exploration": {"stages": stages},
        "training": {"curves": [
            {"name": f"member {k + 1}", "epoch": epoch, "loss": 0.8 * np.exp(-epoch / 60) + 0.004 * rng.lognormal(0, 0.1, 200),
             "validation_loss": 0.9 * np.exp(-epoch / 60) + 0.006 * rng.lognormal(0, 0.15, 200), "best_epoch": 380 + k} for k in range(4)]},
        "time_budget": {"budget_s": 300.0, "stages": [
            {"name": n, "wall_s": w, "budget_s": b} for n, w, b in (
                ("sample", 3.1, 5), ("label", 96.0, 110), ("train", 71.0, 80), ("explore", 44.0, 40),
                ("test", 24.0, 30), ("validate", 23.0, 35))]},
        "label_cost": {"workers": 2, "wall_s": 118.0, "rows": [
            {"kind": k, "labels": n, "wall_s": 1.7 * n, "cpu_s": 1.66 * n, "failed": int(k == "exploration")}
            for k, n in (("start", 24), ("exploration", 48), ("test", 60), ("reweighting", 48))]},
        "data_gate": {"n_structures": 72, "findings": [
            {"name": "reference energies", "grade": "note", "message": "one composition: the energies of H and O are undetermined",
             "cure": "none needed for one molecule"},
            {"name": "near contact", "grade": "warning", "message": "frame 17: H–H 1.02 Å", "frames": [17], "cure": "look at it"}]},
        "model_gate": {"checks": {
            "forces_against_finite_differences": {"value": 2.1e-7, "unit": "eV/Å", "target": 1e-5, "verdict": "pass"},
            "rotation": {"value": 3e-13, "unit": "eV/Å", "target": 1e-9, "verdict": "pass"},
            "smooth_cutoff": {"verdict": "waived", "message": "no pair of the molecule reaches the cutoff"},
            "nve_drift": {"value": 0.05, "error": 0.15, "unit": "meV/atom/ns", "target": 1.0, "verdict": "pass"}}},
        "versions": {"software": {"adiabat": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.6",
                                  "ase": "3.29.0", "pyscf": "2.11.0"},
                     "machine": {"processor": "x86-64, 2 cores", "system": "Linux 6.1"}},
        "citations": {"used": ["pyscf", "pbe", "def2", "bpnn", "symmetry-functions", "committee", "farthest-point", "baoab", "velocity-verlet",
                               "reweighting", "adamw", "ase", "pytorch"]},
    }  # fmt: skip


def write_run(folder, only=None, finished: bool = True, **replaced):
    """A run folder with all sections, or `only` those named; `replaced` puts other content in their place."""
    folder.mkdir(parents=True, exist_ok=True)
    content = sections() | replaced
    for name in content if only is None else only:
        Sections(folder).put(name, content[name])
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    events = [{"time": 1770000000 + 30 * k, "stage": s, "message": m, "labels": 24 + 12 * k}
              for k, (s, m) in enumerate([("sample", "24 starting geometries"), ("label", "24 of 24 labeled"), ("train", "4 members trained"),
                                          ("explore", "300 K: 41 frames above the threshold")])]  # fmt: skip
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    if finished:
        (folder / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    return folder
