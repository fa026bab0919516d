"""What a learning campaign tells its report, section by section, as it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.analysis import Quantity
from adiabat.campaign.deviations import parity, signed_errors, spread_and_error
from adiabat.campaign.options import Campaign, Measure, Solid
from adiabat.campaign.pictures import first_replica, thinned, worst
from adiabat.campaign.provenance import machine, versions
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.tiles import tiles
from adiabat.config import named
from adiabat.report import Sections, write
from adiabat.report.citations import FAMILIES
from adiabat.uncertainty import Committee, Trust, coverage, rank_correlation, trust
from adiabat.validation.errors import errors

# What every campaign stands on; engine, functional, basis and model are added by name.
WORKS = "zbl query-by-committee committee farthest-point baoab velocity-verlet reweighting ase pytorch".split()


class Story:
    """The report of one campaign under way."""

    def __init__(self, folder: RunFolder, campaign: Campaign) -> None:
        self.folder, self.c = folder, campaign
        self.sections = Sections(folder.folder)
        self._curve: list[dict[str, Any]] = []
        self._rounds: list[dict[str, Any]] = []
        self._stages: list[dict[str, Any]] = []
        self._views: dict[str, dict[str, Any]] = {}

    def settings(self, record: Mapping[str, Any], atoms: Atoms) -> None:
        model, options = named(self.c.model, where="model")
        engine = {"name": record["engine"], "version": record["version"], **record["settings"]}
        self.sections.put(
            "settings",
            system=atoms.get_chemical_formula(),
            n_atoms=len(atoms),
            level_of_theory=record["level_of_theory"].split(" [")[0],
            engine=engine,
            model={"name": model, "members": self.c.members, **options},
            training=dict(self.c.fit),
            exploration=vars(self.c.explore),
        )
        self.sections.put("versions", software=versions(), machine=machine())
        used = [record["engine"], *(["pbe"] if "pbe" in str(record["settings"].get("functional", "")).lower() else [])]
        used += ["def2"] if "def2" in str(record["settings"].get("basis", "")).lower() else []
        used += ["gfn2-xtb"] if "tblite" in str(self.c.start.engine) else []
        known = {"pyscf", "gpaw", "libxc", "gfn1-xtb", "gfn2-xtb", "pbe", "def2"}
        self.sections.put("citations", used=[*(k for k in used if k in known), *FAMILIES.get(model, ()), *WORKS])

    def structure(self, atoms: Atoms) -> None:
        """What the campaign starts from, after its relaxation."""
        name = "Relaxed structure" if self.c.start.relax else "Starting structure"
        self._show(name, [atoms], note=f"by {self._theory()}" if self.c.start.relax else None)

    def trajectory(self, path: Path, options: Measure) -> None:
        """The first replica of the NVT run, thinned to what a page can hold."""
        frames, times = first_replica(path)
        labels = [f"{t:.0f} fs" for t in times]
        every = f"every {times[1] - times[0]:.0f} fs" if len(times) > 1 else "one frame"
        self._show(
            f"Dynamics at {options.temperature_K:g} K", frames, labels, note=f"one of {options.replicas} replicas, {every}"
        )

    def _show(self, name: str, frames: Sequence[Atoms], labels: Sequence[str] = (), note: str | None = None) -> None:
        shown = thinned(frames, labels)
        if shown:
            self._views[name] = {"name": name, "note": note, "frames": shown}
            self.sections.put("structures", views=list(self._views.values()))

    def gate(self, findings: Sequence[Any], n: int) -> None:
        rows = [
            {"name": f.name, "grade": f.grade, "message": f.message, "frames": list(f.frames), "cure": f.cure} for f in findings
        ]
        self.sections.put("data_gate", n_structures=n, findings=rows)

    def learning_curve(
        self, committee: Committee, labels: Sequence[Atoms], lone: Sequence[Atoms], test: Sequence[Atoms]
    ) -> None:
        found = errors(committee, test).to_json() if test else {}
        held = committee.metadata["metrics"].get("validation", {})
        n = len(labels) + len(lone)
        # The last training takes the place of the last round's.
        self._curve = [row for row in self._curve if row["labels"] != n]
        self._curve.append(
            {
                "labels": n,
                "test_energy_mae_meV_per_atom": found.get("energy_mae_meV_per_atom"),
                "test_force_mae_meV_per_A": found.get("force_mae_meV_per_A"),
                "validation_energy_mae_meV_per_atom": held.get("energy_mae_meV_per_atom"),
                "validation_force_mae_meV_per_A": held.get("force_mae_meV_per_A"),
            }
        )
        targets = self.c.targets
        self.sections.put(
            "learning_curve",
            **{k: [row[k] for row in self._curve] for k in self._curve[0]},
            target_energy_mae_meV_per_atom=targets.energy_mae_meV_per_atom,
            target_force_mae_meV_per_A=targets.force_mae_meV_per_A,
        )

    def round(self, row: Mapping[str, Any], product: Mapping[str, Any], decision: Any) -> None:
        self._rounds.append(dict(row))
        self._stages.append(
            {
                "round": row["round"],
                "temperature_K": row["temperature_K"],
                "time_fs": product["time_fs"],
                "spread_meV_per_A": [[None if s is None else 1e3 * s for s in line] for line in product["spread_eV_per_A"]],
                "threshold_meV_per_A": row["threshold_meV_per_A"],
                "stopped_at_fs": product["halted_fs"],
            }
        )
        stopped = decision.why if decision.action == "stop" else None
        self.sections.put(
            "rounds", stop_rule=str(self.c.stop), rounds=self._rounds, **({"stopped_because": stopped} if stopped else {})
        )
        self.sections.put("exploration", stages=self._stages)

    def training(self, name: str) -> None:
        path = self.folder.folder / "training" / name / "metrics.jsonl"
        if path.exists():
            rows = [r for r in map(json.loads, path.read_text().splitlines()) if "train" in r]
            curve = {
                "name": f"{name}: force error, meV/Å",
                "epoch": [r["epoch"] for r in rows],
                "loss": [r["train"]["force_rmse_meV_per_A"] for r in rows],
            }
            if rows and all("validation" in r for r in rows):
                curve["validation_loss"] = [r["validation"]["force_rmse_meV_per_A"] for r in rows]
            self.sections.put("training", curves=[curve])

    def examine(self, potential: Committee, labels: Sequence[Atoms], test: Sequence[Atoms], found: Mapping[str, Any]) -> Trust:
        """Parity, errors by kind, and what the uncertainty is worth, on the test set."""
        sides = {"train": parity(potential, labels), "test": parity(potential, test)}
        self.sections.put("parity", sets=sides)
        bad = worst(sides["test"], test)
        self._show(
            "Worst test frames",
            [test[k] for k, _ in bad],
            [f"{test[k].info.get('config_type', 'test')}: {1e3 * e:.3g} meV/Å" for k, e in bad],
            note="the frames with the largest root-mean-square force errors of the test set",
        )
        by_kind = found.get("by_kind", {})
        self.sections.put(
            "errors_by_kind", set="test", overall={k: v for k, v in found.items() if k != "by_kind"}, by_kind=by_kind
        )
        spread, error = spread_and_error(potential, test)
        shares = tuple(np.round(np.arange(0.1, 1.0, 0.1), 2))
        signed = signed_errors(potential, test)
        observed = coverage(signed[0], signed[1], shares=shares)
        judged = trust(*signed)
        self.sections.put(
            "uncertainty",
            spread_meV_per_A=1e3 * np.array(spread),
            error_meV_per_A=1e3 * np.array(error),
            set="test",
            scale=potential.calibration["forces"],
            rank_correlation=rank_correlation(np.array(error), np.array(spread)),
            nominal=list(shares),
            observed=list(observed.values()),
            within_one=judged.within_one,
            within_two=judged.within_two,
            advice=judged.advice,
        )
        return judged

    def nve(self, run: Mapping[str, Any], drift: Any, options: Measure, n_atoms: int | None = None) -> None:
        energy = np.array(run["conserved_eV"])
        per_atom = 1e3 * (energy - energy.mean(0)).T / (n_atoms or len_of(self.sections))
        self.sections.put(
            "nve",
            time_ps=np.array(run["time_fs"]) / 1000,
            energy_meV_per_atom=per_atom,
            slopes_meV_per_atom_per_ns=list(drift.slopes),
            slope_meV_per_atom_per_ns=drift.value,
            slope_error_meV_per_atom_per_ns=drift.error,
            timestep_fs=options.timestep_fs,
            target_meV_per_atom_per_ns=self.c.targets.nve_drift_meV_per_atom_per_ns,
            temperature_K=options.temperature_K,
            advice=drift.advice,
        )

    def nvt(self, run: Mapping[str, Any], found: Quantity, options: Measure) -> None:
        self.sections.put(
            "nvt",
            time_ps=np.array(run["time_fs"]) / 1000,
            temperature_K=np.array(run["temperature_K"]).T,
            target_K=options.temperature_K,
            mean_K=found.value,
            error_K=found.error,
            degrees_of_freedom=run["degrees_of_freedom"],
            thermostat="Langevin (BAOAB)",
        )

    def distributions(self, found: Mapping[str, Any], options: Measure) -> None:
        self.sections.put("distributions", reference=self._theory(), temperature_K=options.temperature_K, **found)

    def vibrations(self, modes: Sequence[Mapping[str, Any]]) -> None:
        self.sections.put("vibrations", reference=self._theory(), modes=list(modes), note="harmonic, each at its own minimum")

    def crystal(
        self, rows: Sequence[Mapping[str, Any]], checks: Mapping[str, Any], options: Solid, failed: Sequence[str]
    ) -> None:
        """Lattice and elasticity side by side; the stress against the energies' slope."""
        slopes = [
            f"the {who}'s differs by {check['largest_difference']['value']:.2g} GPa over {', '.join(check['components'])}"
            for who, check in checks.items()
        ]
        self.sections.put(
            "crystal", reference=self._theory(), rows=list(rows),
            note=f"Strains up to {100 * options.elastic_strain:g} %, atoms relaxed. Stress against the slope of the energy, in a strained "
            f"and rattled cell: {'; '.join(slopes)}." + "".join(f" {why[0].upper()}{why[1:]}." for why in failed),
        )  # fmt: skip

    def rdf(self, found: Mapping[str, Any], options: Measure) -> None:
        self.sections.put("rdf", temperature_K=options.temperature_K, **found)

    def costs(self, spent: Mapping[str, float], rows: Sequence[Mapping[str, Any]], workers: int) -> list[tuple[str, float]]:
        """Where the time went; the stages, with what they used, that exceeded their budgets."""
        budgets = self.c.budgets_s
        stages = [{"name": k, "wall_s": v, **({"budget_s": budgets[k]} if k in budgets else {})} for k, v in spent.items()]
        self.sections.put("time_budget", budget_s=self.c.budget_s, stages=stages)
        self.sections.put("label_cost", workers=workers, wall_s=spent["label"], rows=list(rows))
        return [(k, v) for k, v in spent.items() if v > budgets.get(k, float("inf"))]

    def verdicts(self, summary: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        self.sections.put("verdicts", verdicts=tiles(self.c, summary, results, self.sections["uncertainty"]))

    def write(self) -> None:
        write(self.folder.folder)

    def _theory(self) -> str:
        return str(self.sections["settings"]["level_of_theory"])


def len_of(sections: Sections) -> int:
    return int(sections["settings"]["n_atoms"])
