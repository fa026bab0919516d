"""The physics computed with a finished potential, each held against the reference engine or against a law.

Energy conservation (NVE), temperature (NVT), distances and angles by reweighting labeled frames, harmonic frequencies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from adiabat.analysis import (
    Quantity,
    angles,
    corrected,
    distances,
    energy_drift,
    harmonic_frequencies,
    histogram,
    mean,
    reweight,
)
from adiabat.analysis.vibrations import displaced
from adiabat.campaign.options import Measure
from adiabat.campaign.run_folder import program_version
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop
from adiabat.data.structure import labels, to_json
from adiabat.deploy.load import load
from adiabat.dynamics import State, relax
from adiabat.graph import Graph
from adiabat.jobs import Task
from adiabat.potential import Potential

SAMPLES = 1000


def measure(shop: Workshop, story: Story, options: Measure, model: Path, atoms: Atoms, seed: int) -> dict[str, Any]:
    """All measurements; their numbers for the summary, and the frames that were labeled for them."""
    potential = load(model)
    start = relax(State.of(atoms, potential), potential, fmax=0.002).state.to_atoms()[0]
    nve, nvt = shop.stage("md", lambda: production_runs(shop, options, model, start, seed))
    drift = drift_of(nve, len(atoms), options)
    story.nve(nve, drift, options)
    temperature = temperature_of(nvt)
    story.nvt(nvt, temperature, options)
    story.trajectory(shop.folder.path("trajectories/nvt.npz"), options)
    shop.say("nve", f"drift {drift.value:.2g} ± {drift.error:.2g} meV/atom/ns over {options.replicas} replicas")
    labeled: list[Atoms] = []
    results: dict[str, Any] = {"drift": drift.to_json(), "temperature": temperature.to_json()}
    if options.reference_frames:
        frames = labeled_frames(shop, atoms, shop.folder.path("trajectories/nvt.npz"), options.reference_frames)
        labeled += frames
        compared = _distributions(frames, atoms, shop.folder.path("trajectories/nvt.npz"), potential, options, seed)
        story.distributions(compared, options)
        results["effective_sample_size"] = compared["effective_sample_size"]
        results["reference_frames"] = len(frames)
    if options.vibrations and not atoms.pbc.any() and len(atoms) > 1:
        modes, frames = _vibrations(shop, potential, atoms, start)
        labeled += frames
        story.vibrations(modes)
        results["largest_frequency_difference_per_cm"] = max(abs(m["model_per_cm"] - m["reference_per_cm"]) for m in modes)
    return {**results, "labeled": labeled}


def production_runs(shop: Workshop, options: Measure, model: Path, start: Atoms, seed: int) -> list[dict[str, Any]]:
    shop.say(
        "md", f"NVE and NVT at {options.temperature_K:g} K, {options.duration_fs / 1000:g} ps, {options.replicas} replicas"
    )
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    tasks = []
    for k, ensemble in enumerate(("nve", "nvt")):
        frames = shop.folder.path(f"trajectories/{ensemble}.npz")
        arguments = {
            "ensemble": ensemble,
            "temperature_K": options.temperature_K,
            "duration_fs": options.duration_fs,
            "equilibration_fs": options.equilibration_fs,
            "timestep_fs": options.timestep_fs,
            "friction_per_fs": options.friction_per_fs,
            "replicas": options.replicas,
            "samples": SAMPLES,
            "seed": 10_000 + 10 * seed + k,
        }
        where = {"model": str(model.resolve()), "frames": str(frames.resolve()), "atoms": to_json(start)}
        tasks.append(
            Task(
                ensemble,
                "adiabat.campaign.runs:production",
                {**arguments, **where},
                {**arguments, "model": digest, "adiabat": program_version(), "atoms": to_json(start)},
            )
        )
    return shop.compute(tasks)


def drift_of(nve: dict[str, Any], n_atoms: int, options: Measure) -> Any:
    return energy_drift(np.array(nve["conserved_eV"]), np.array(nve["time_fs"]), n_atoms, timestep_fs=options.timestep_fs)


def temperature_of(nvt: dict[str, Any]) -> Quantity:
    """The mean over time and replicas, with the error that the replicas' scatter tells."""
    per_replica = np.array(nvt["temperature_K"]).mean(0)
    if len(per_replica) < 4:
        found = mean(np.array(nvt["temperature_K"])[:, 0])
        return Quantity(found.value, found.error, "K")
    return Quantity(float(per_replica.mean()), float(per_replica.std(ddof=1) / np.sqrt(len(per_replica))), "K")


def trajectory(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The structure and positions [samples, replicas, N, 3] of a production run."""
    with np.load(path, allow_pickle=False) as data:
        return {k: data[k] for k in ("numbers", "cell", "pbc")}, data["positions"]


def frames_of(path: Path, picks: Sequence[tuple[int, int]]) -> list[Atoms]:
    structure, positions = trajectory(path)
    return [Atoms(structure["numbers"], positions[t, r], cell=structure["cell"], pbc=structure["pbc"]) for t, r in picks]


def labeled_frames(shop: Workshop, atoms: Atoms, path: Path, n: int) -> list[Atoms]:
    """Frames of the NVT run, evenly over time and replicas, labeled by the reference engine."""
    _, positions = trajectory(path)
    samples, replicas = positions.shape[:2]
    times = np.linspace(samples // 5, samples - 1, n).astype(int)
    frames = frames_of(path, [(t, k % replicas) for k, t in enumerate(times)])
    for frame in frames:
        frame.info.update({k: v for k, v in atoms.info.items() if k in ("charge", "multiplicity")})
        if atoms.has("initial_magmoms"):
            frame.set_initial_magnetic_moments(atoms.get_initial_magnetic_moments())
    return shop.label(frames, "reweighting", keep=False)


def _distributions(
    frames: list[Atoms], atoms: Atoms, path: Path, potential: Potential, options: Measure, seed: int
) -> dict[str, Any]:
    """Bonded distances and angles in the model's ensemble, and in the reference's by reweighting the labeled frames."""
    model_eV = potential(Graph.of([_bare(a) for a in frames], potential.cutoff)).energy.numpy()
    weights = reweight(np.array([labels(a)["energy"] for a in frames]), model_eV, options.temperature_K)
    rng = np.random.default_rng(seed)
    _, positions = trajectory(path)
    samples, replicas = positions.shape[:2]
    picks = [(t, r) for r in range(replicas) for t in range(0, samples, max(1, samples * replicas // 4000))]
    everything = frames_of(path, picks)
    found = []
    for name, unit, of in _subjects(atoms):
        model, few = of(everything), of(frames)
        flat = np.concatenate(model)
        edges = np.linspace(np.quantile(flat, 0.001), np.quantile(flat, 0.999), 17)
        whole = histogram(model, edges, rng=rng, unit=unit, block=20)
        tilted = corrected(whole, few, weights, rng=rng)
        own, own_error = _block_mean(model, len(model) // replicas)
        change, doubt = _change_of_mean(few, weights.values, rng)
        found.append(
            {
                "name": name,
                "unit": unit,
                "x": whole.centers,
                "model": whole.density,
                "reference": tilted.density,
                "reference_error": tilted.error,
                "model_error": whole.error,
                "model_mean": own,
                "model_mean_error": own_error,
                "reference_mean": own + change,
                "reference_mean_error": float(np.hypot(own_error, doubt)),
            }
        )
    return {"effective_sample_size": weights.effective_samples, "n_reference_frames": len(frames), "distributions": found}


def _subjects(atoms: Atoms) -> list[tuple[str, str, Any]]:
    """What to look at: bonds and angles by their elements, as the starting structure has them."""
    z, n = atoms.numbers, len(atoms)
    d = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    bonded = (d < 1.3 * (covalent_radii[z][:, None] + covalent_radii[z][None])) & ~np.eye(n, dtype=bool)
    s = atoms.get_chemical_symbols()
    pairs = sorted({tuple(sorted((s[i], s[j]), reverse=True)) for i, j in zip(*np.nonzero(bonded), strict=True)})
    triples = sorted(
        {
            (min(s[i], s[k]), s[j], max(s[i], s[k]))
            for j in range(n)
            for i in np.nonzero(bonded[j])[0]
            for k in np.nonzero(bonded[j])[0]
            if i < k
        }
    )
    found: list[tuple[str, str, Any]] = [(f"{a}–{b} distance", "Å", lambda f, p=(a, b): distances(f, p)) for a, b in pairs]
    return found + [("–".join(t) + " angle", "°", lambda f, t=t: angles(f, t)) for t in triples]


def _change_of_mean(samples: Sequence[np.ndarray], weights: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """What weights change: Σ w x / Σ w − Σ x / Σ 1 over the same frames, its error by resampling frames."""
    sums, counts = np.array([x.sum() for x in samples]), np.array([len(x) for x in samples])
    picks = rng.integers(len(samples), size=(500, len(samples)))

    def change(rows: np.ndarray) -> np.ndarray:
        return (weights * sums)[rows].sum(-1) / (weights * counts)[rows].sum(-1) - sums[rows].sum(-1) / counts[rows].sum(-1)

    return float(change(np.arange(len(samples)))), float(change(picks).std())


def _block_mean(samples: Sequence[np.ndarray], per_replica: int) -> tuple[float, float]:
    """The mean, its error by the scatter of the replicas' means."""
    means = [np.concatenate(samples[k : k + per_replica]).mean() for k in range(0, len(samples), per_replica)]
    return float(np.concatenate(samples).mean()), float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(
        means
    ) > 1 else float("nan")


def _vibrations(shop: Workshop, potential: Potential, atoms: Atoms, start: Atoms) -> tuple[list[dict[str, Any]], list[Atoms]]:
    """Harmonic frequencies of the reference at its minimum and of the model at its own."""
    labeled = shop.label(displaced(atoms), "vibrations", keep=False)
    reference = harmonic_frequencies(atoms, lambda frames: [labels(a)["forces"] for a in labeled])

    def forces_of(frames: Sequence[Atoms]) -> list[np.ndarray]:
        forces = potential(Graph.of([_bare(a) for a in frames], potential.cutoff)).forces.numpy()
        return list(forces.reshape(len(frames), -1, 3))

    model = harmonic_frequencies(start, forces_of)
    pairs = zip(model.frequencies_per_cm, reference.frequencies_per_cm, strict=True)
    return [
        {"name": f"ν{k}", "model_per_cm": float(m), "reference_per_cm": float(r)} for k, (m, r) in enumerate(pairs, start=1)
    ], labeled


def _bare(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = None
    return copy
