"""The active-learning campaign: structure → labels → committee → exploration → labels … → a validated potential and its report.

The story is told in `tell`, from the beginning, at every start; stages that an earlier start finished are taken from the run
folder, labels from the ledger. So it may be killed anywhere and run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.optimize import BFGS

from adiabat.active import Candidate, Decision, explore
from adiabat.campaign import gate
from adiabat.campaign.frames import GateFaults
from adiabat.campaign.matter import Matter, matter_of
from adiabat.campaign.options import Campaign, as_mapping, parse, structure_of
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.story import Story, signed_errors
from adiabat.campaign.workshop import ByLabels, EnginePotential, Say, Workshop, as_atoms, as_json, model_path
from adiabat.config import ConfigError, build, read_yaml
from adiabat.data.gate import check
from adiabat.deploy.load import load
from adiabat.elements import symbol
from adiabat.labelers import LABELERS, Labeler
from adiabat.models import MODELS
from adiabat.samplers import md
from adiabat.training import fit
from adiabat.uncertainty import Committee, Trust, coverage, pooled
from adiabat.validation.errors import errors

# What may differ when a campaign goes on: it changes no number.
FREE = ("workers", "threads", "limit_minutes", "budget_s", "budgets_s", "waive")


def learn(config: str | Path | Mapping[str, Any], *, out: str | Path | None = None, say: Say | None = None) -> Path:
    """Run a learning campaign, or go on with it; returns the run folder.

    `config` is a YAML file (see ``adiabat new learn``) or a mapping of its content. The folder then holds `summary.json`,
    `report.html`, the model file, the labels (`labels.db`) and everything needed to go on.
    """
    given = dict(read_yaml(config) if isinstance(config, str | Path) else config)
    if out is not None:
        given["out"] = str(out)
    campaign = parse(given)
    atoms = structure_of(campaign.structure)
    if campaign.explore.pressure_GPa is not None and not atoms.pbc.all():
        raise ConfigError(
            f"explore.pressure_GPa: {campaign.explore.pressure_GPa:g} came for a structure that is not periodic along three axes; leave it out"
        )
    matter = matter_of(atoms)
    # All its cells are strained, rattled and relaxed from one: they share that one's k-points, or energies would jump between them.
    labeler = build(campaign.labeler, LABELERS, where="labeler").for_frames([atoms]).pinned(atoms)
    labeler.record()  # a missing engine is told before anything is written
    torch.set_num_threads(campaign.threads)
    options = {k: v for k, v in as_mapping(campaign).items() if k != "out"}
    folder = RunFolder(campaign.out, options, kind="learn", free=FREE)
    workshop = Workshop(folder, labeler, campaign.workers, say or (lambda *_: None), limit_minutes=campaign.limit_minutes)
    with folder, workshop:
        _Learning(campaign, workshop, labeler, matter).tell(atoms)
    return folder.folder


class _Learning:
    """One campaign under way."""

    def __init__(self, campaign: Campaign, workshop: Workshop, labeler: Labeler, matter: Matter) -> None:
        self.c, self.shop, self.labeler, self.matter = campaign, workshop, labeler, matter
        self.folder = workshop.folder
        self.story = Story(self.folder, campaign)
        self.told_error, self.told_spread = np.zeros(0), np.zeros(0)  # components of fresh frames, eV/Å; the spread unscaled

    def tell(self, atoms: Atoms) -> None:
        """The whole campaign."""
        self.story.settings(self.shop.record, atoms)
        lone = self.reference_atoms(atoms)
        atoms, labels = self.first_labels(atoms)
        self.story.structure(atoms)
        engine = self.c.test.engine
        early = self.test_set(atoms, EnginePotential(build(engine, LABELERS, where="test.engine"))) if engine else []
        rounds, labels = self.rounds(atoms, labels, lone, early)
        potential = self.train(self.c.name, labels, lone, self.fit_options(**self.c.finish))
        test = early or self.test_set(atoms, potential.without_spread)
        found = errors(potential, test).to_json()
        self.story.learning_curve(potential, labels, lone, test)
        judged = self.story.examine(potential, labels, test, found)
        self.shop.say(
            "test",
            f"{found['energy_mae_meV_per_atom']:.3g} meV/atom and {found['force_mae_meV_per_A']:.3g} meV/Å on {len(test)} test frames",
        )
        gated = gate.learned(self.shop, model_path(self.folder, self.c.name), labels, self.c.waive)
        self.story.sections.put("model_gate", **gate.section(gated))
        if not gated.passed:
            self.story.write()
            gated.refuse(f"{self.folder.folder}: the learned potential")
        results = self.matter.measure(self.shop, self.story, self.c, model_path(self.folder, self.c.name), atoms)
        self.conclude(labels, lone, test, rounds, found, judged, results)

    def reference_atoms(self, atoms: Atoms) -> list[Atoms]:
        """Labels of the isolated atoms, so that energies are counted from them."""
        kinds, stated = sorted(set(atoms.numbers.tolist())), self.shop.labeler.of_a_lone_atom
        lone = [Atoms(symbol(z), info={"config_type": "isolated_atom", **stated(z)}) for z in kinds]
        return self.shop.label(lone, "isolated_atom")

    def first_labels(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """Relaxation, varied copies, short hot dynamics: what the first committee learns from."""
        start, rng = self.c.start, np.random.default_rng(self.c.seed)
        labels: list[Atoms] = []
        if start.relax:
            atoms, labels = self.relaxed(atoms)
        for kind, frames in self.matter.first(atoms, start, rng).items():
            if frames:
                labels += self.shop.label(frames, kind)
        if start.hot:
            engine = EnginePotential(build(start.engine, LABELERS, where="start.engine"))
            sample = partial(self.by_dynamics, atoms, engine, [start.hot_temperature_K], start.hot, start.hot_every_fs, 1)
            hot = self.shop.stage("sample-hot", lambda: as_json(sample()))
            labels += self.shop.label(as_atoms(hot), "hot")
        return atoms, labels

    def relaxed(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """The nearest minimum by the reference engine's forces; every step is a label."""
        self.shop.say("relax", f"{atoms.get_chemical_formula()} by {self.labeler.theory()}")
        engine = ByLabels(self.shop, "relax")
        here = atoms.copy()
        here.calc = engine
        if not BFGS(self.matter.movable(here), logfile=None).run(fmax=self.c.start.fmax_eV_per_angstrom, steps=50):
            self.shop.say(
                "relax",
                f"not at rest after 50 steps, forces are up to {np.abs(engine.results['forces']).max():.2g} eV/Å: the campaign goes on "
                "from there; give a structure that is nearer to rest, or raise start.fmax_eV_per_angstrom",
            )
        bare = here.copy()
        bare.calc = None
        return bare, engine.labeled

    def by_dynamics(
        self, atoms: Atoms, potential: Any, temperatures_K: Sequence[float], frames: int, every_fs: float, seed: int
    ) -> list[Atoms]:
        """Frames of dynamics, spread evenly over temperatures; each says its trajectory, so that a split keeps it together."""
        found: list[Atoms] = []
        for k, T in enumerate(temperatures_K):
            wanted = len(range(k, frames, len(temperatures_K)))
            rng = np.random.default_rng([self.c.seed, seed, k])
            dt = self.c.explore.timestep_fs
            for frame in md(
                atoms, potential, wanted, rng=rng, temperature_K=T, timestep_fs=dt, interval_fs=every_fs, friction_per_fs=0.05
            ):
                bare = _positions_only(frame, atoms)
                bare.info |= {"trajectory": f"{seed}: {T:g} K", "step": round(frame.info["time_fs"] / dt)}
                found.append(bare)
        return found

    def test_set(self, atoms: Atoms, potential: Any) -> list[Atoms]:
        """The independent test set, from dynamics with `potential` (the cheap engine, or the learned one) at every temperature."""
        options, T = self.c.test, self.c.explore.temperatures_K
        sample = partial(self.by_dynamics, atoms, potential, T, options.frames, options.every_fs, 2)
        frames = self.shop.stage("sample-test", lambda: as_json(sample()))
        labeled = self.shop.label(as_atoms(frames), "test", keep=False)
        for a in labeled:
            a.info["config_type"] = "md " + a.info["trajectory"].split(": ", 1)[1]
        return labeled

    def rounds(
        self, atoms: Atoms, labels: list[Atoms], lone: list[Atoms], test: list[Atoms]
    ) -> tuple[list[dict[str, Any]], list[Atoms]]:
        """Train, explore, decide, label; until the rule says stop."""
        told: list[dict[str, Any]] = []
        temperatures = self.c.explore.temperatures_K
        stage, number = 0, 1
        while True:
            committee = self.train(f"round-{number}", labels, lone, self.fit_options())
            self.story.learning_curve(committee, labels, lone, test)
            while True:
                T = temperatures[stage]
                exploring = partial(self.explored, committee, atoms, labels, T, number)
                product = self.shop.stage(f"explore-{number}-{T:g}K", exploring)
                candidates = [
                    Candidate(**{**row, "atoms": a})
                    for row, a in zip(product["candidates"], as_atoms(product["frames"]), strict=True)
                ]
                decision = self.c.stop.decide(
                    share=product["share"],
                    halted=product["halted"],
                    temperature_K=T,
                    hotter=stage + 1 < len(temperatures),
                    labels=len(labels) + len(lone),
                    rounds=number,
                )
                fresh: list[Atoms] = []
                chosen = 0
                if decision.action == "label":
                    fresh, chosen, decision = self.telling(candidates, labels, lone, T, number, decision)
                else:
                    self.shop.say("explore", f"round {number}, {decision.why}")
                row = self._row(number, T, product, chosen, len(labels) + len(lone), decision)
                told.append(row)
                self.story.round(row, product, decision)
                if decision.action != "heat":
                    break
                stage += 1
            if decision.action == "stop":
                return told, labels
            self.judge(committee, fresh)
            labels = labels + fresh
            number += 1

    def telling(
        self, candidates: list[Candidate], labels: list[Atoms], lone: list[Atoms], T: float, number: int, decision: Decision
    ) -> tuple[list[Atoms], int, Decision]:
        """The most telling candidates, labeled; how many were asked for; what is decided now.

        Where the engine refuses every one of them, the next candidates are asked for, far from those, until none is left.
        """
        fresh: list[Atoms] = []
        refused: list[Atoms] = []
        self.shop.say("explore", f"round {number}, {decision.why}")
        seen = decision.why.partition(": label")[0]
        while not fresh:
            rest = [c for c in candidates if all(c.atoms is not a for a in refused)]
            chosen = self.c.select.choose(rest, [*labels, *refused], self.c.stop.labels - len(labels) - len(lone))
            if not chosen:
                why = f"none of {len(refused)} could be labeled" if refused else "none of them is new"
                decision = Decision("stop", f"{seen}, but {why}")
                self.shop.say("explore", f"round {number}, {decision.why}")
                return [], len(refused), decision
            fresh = self.shop.label([c.atoms for c in chosen], f"explored {T:g} K", needed=False)
            if not fresh:
                self.shop.say(
                    "label", f"round {number}, {T:g} K: none of {len(chosen)} frames could be labeled; on with the next"
                )
                refused += [c.atoms for c in chosen]
        if refused:
            decision = replace(decision, why=f"{decision.why} ({len(refused)} others could not be labeled)")
        return fresh, len(refused) + len(chosen), decision

    def explored(self, committee: Committee, atoms: Atoms, labels: Sequence[Atoms], T: float, number: int) -> dict[str, Any]:
        """One exploration as a product: the uncertain frames, and the series the report shows."""
        x, rng = self.c.explore, np.random.default_rng([self.c.seed, number, round(T)])
        # Half the replicas start from the minimum, half from labeled frames with nothing broken.
        known = [atoms] * (x.replicas - x.replicas // 2) + [labels[k] for k in rng.choice(len(labels), x.replicas // 2)]
        found = explore(
            committee,
            known,
            temperature_K=T,
            duration_fs=x.duration_fs,
            timestep_fs=x.timestep_fs,
            look_every_fs=x.look_every_fs,
            halt_eV_per_A=x.halt_eV_per_angstrom,
            friction_per_fs=x.friction_per_fs,
            seed=int(rng.integers(2**31)),
            pressure_GPa=x.pressure_GPa,
        )
        uncertain = found.uncertain(self.c.stop.tolerance_eV_per_A)
        spreads = [c.spread_eV_per_A for c in found.candidates] or [float("inf")]
        return {
            "share": found.share(self.c.stop.tolerance_eV_per_A),
            "halted": sum(h is not None for h in found.halted_fs),
            "candidates": [{k: v for k, v in vars(c).items() if k != "atoms"} for c in uncertain],
            "frames": as_json([_placed(c, known[c.replica], number, x.timestep_fs) for c in uncertain]),
            "looked_at": len(found.candidates),
            "median": _finite(np.median(spreads)),
            "largest": _finite(np.max(spreads)),
            "time_fs": found.time_fs.tolist(),
            "spread_eV_per_A": found.spread_eV_per_A,
            "halted_fs": found.halted_fs,
        }

    def judge(self, committee: Committee, fresh: Sequence[Atoms]) -> None:
        """What the committee thought of frames it had not seen, and how wrong it was: the next ones are calibrated on it, too."""
        error, spread = signed_errors(committee, fresh)
        raw = spread / committee.calibration["forces"]
        self.told_error, self.told_spread = np.append(self.told_error, error), np.append(self.told_spread, raw)
        rms = 1e3 * np.sqrt(np.mean(np.array([error, spread]) ** 2, axis=1))
        self.shop.say("judge", f"{len(fresh)} fresh frames: predicted {rms[1]:.3g} meV/Å of error, found {rms[0]:.3g}")

    def fit_options(self, **more: Any) -> dict[str, Any]:
        return {"members": self.c.members, "seed": self.c.seed, **self.c.fit, **more}

    def calibrated(self, committee: Committee) -> Committee:
        """The committee with its force spread scaled on its validation frames and on all fresh frames of the rounds so far."""
        known = committee.metadata.setdefault("calibration", {"scale": {}})
        n = known.get("forces", {}).get("n", 0)
        if n + len(self.told_error):
            scale = pooled(committee.calibration["forces"], n, self.told_error, self.told_spread)
            known["scale"]["forces"] = scale
            known["fresh"] = {"n": len(self.told_error)}
            if len(self.told_error):
                known["fresh"]["coverage"] = coverage(self.told_error, np.maximum(scale * self.told_spread, 1e-12))
        return committee

    def train(self, name: str, labels: Sequence[Atoms], lone: Sequence[Atoms], options: Mapping[str, Any]) -> Committee:
        """A committee on these labels; kept as a model file, its training resumed where it was interrupted."""
        path = model_path(self.folder, name)
        findings = check([*lone, *labels])
        self.story.gate(findings, len(labels) + len(lone))
        if any(f.grade == "fault" for f in findings):
            raise GateFaults("the labels", findings)

        def work() -> str:
            self.shop.say("train", f"{name}: {self.c.members} members on {len(labels)} labels")
            model = build(self.c.model, MODELS, where="model")
            folder = self.shop.bench(f"training/{name}")
            potential = fit(
                model, [*lone, *labels], folder=folder, progress=lambda m: self.shop.progress("train", name, m), **options
            )
            assert isinstance(potential, Committee)  # parse() wants two members at least
            self.calibrated(potential)
            potential.save(path)
            return str(path.relative_to(self.folder.folder))

        self.shop.stage(f"train-{name}", work)
        self.story.training(name)
        committee = load(path)
        assert isinstance(committee, Committee)
        return committee

    def conclude(
        self,
        labels: Sequence[Atoms],
        lone: Sequence[Atoms],
        test: Sequence[Atoms],
        rounds: Sequence[Any],
        found: Mapping[str, Any],
        judged: Trust,
        results: Mapping[str, Any],
    ) -> None:
        """Verdicts, costs, the summary and the report."""
        spent = self.shop.spent()
        kinds: dict[str, list[Atoms]] = {}
        for a in (*lone, *labels, *test, *results["labeled"]):
            kinds.setdefault(str(a.info["config_type"]).replace("md ", "test md "), []).append(a)
        rows = self.shop.label_costs(kinds)
        n = len(labels) + len(lone)
        wall = spent.pop("in all")
        for stage, used in self.story.costs(spent, rows, self.shop.pool_size):
            self.shop.say("budget", f"{stage} took longer than its {self.c.budgets_s[stage]:g} s", used_s=used)
        summary = {
            "labels": n,
            "energy_mae_meV_per_atom": found["energy_mae_meV_per_atom"],
            "force_mae_meV_per_A": found["force_mae_meV_per_A"],
            "nve_drift_meV_per_atom_per_ns": results["drift"]["value"],
            "nve_drift_error_meV_per_atom_per_ns": results["drift"]["error"],
            "errors_within_one_spread": judged.within_one,
            "errors_within_two_spreads": judged.within_two,
            "uncertainty_verdict": "pass" if judged.trusted else "fail",
            "rounds": max(r["round"] for r in rounds),
            **{name: results[name] for name in ("properties", "stress_check") if name in results},
            "wall_s": wall,
            "label_wall_s": spent["label"],
            "model": f"models/{self.c.name}.adiabat",
            "report": "report.html",
            "stopped_because": rounds[-1]["decision"],
        }
        self.story.verdicts(summary, results, self.c.targets)
        self.folder.write_json("summary.json", summary)
        self.story.write()
        self.shop.say("done", "report.html", **summary)

    def _row(
        self, number: int, T: float, product: Mapping[str, Any], chosen: int, labels: int, decision: Decision
    ) -> dict[str, Any]:
        return {
            "round": number,
            "temperature_K": T,
            "candidates": product["looked_at"],
            "uncertain": len(product["candidates"]),
            "chosen": chosen,
            "labels": labels,
            "threshold_meV_per_A": 1e3 * self.c.stop.tolerance_eV_per_A,
            "spread_median_meV_per_A": 1e3 * product["median"],
            "spread_max_meV_per_A": 1e3 * product["largest"],
            "decision": decision.why,
        }


def _finite(value: float) -> float:
    """JSON has no infinity; a spread beyond any measure is told as 10⁶ eV/Å."""
    return float(np.nan_to_num(value, nan=1e6, posinf=1e6))


def _placed(candidate: Candidate, start: Atoms, number: int, timestep_fs: float) -> Atoms:
    """A frame met in a round's exploration, with its place in a trajectory, so that a split keeps neighbors in time together.

    Where the replica started from a frame of an earlier trajectory it goes on with that one: its first looks stand next to it.
    """
    bare = _positions_only(candidate.atoms, start)
    own = f"round {number}: {candidate.temperature_K:g} K: replica {candidate.replica}"
    bare.info["trajectory"] = start.info.get("trajectory", own)
    bare.info["step"] = int(start.info.get("step", 0)) + round(candidate.time_fs / timestep_fs)
    return bare


def _positions_only(atoms: Atoms, start: Atoms) -> Atoms:
    """A frame without velocities, with the magnetic moments from which its start's electrons were sought."""
    bare = Atoms(
        atoms.numbers,
        atoms.positions,
        cell=atoms.cell,
        pbc=atoms.pbc,
        info={k: v for k, v in atoms.info.items() if k in ("charge", "multiplicity")},
    )
    if start.has("initial_magmoms"):
        bare.set_initial_magnetic_moments(start.get_initial_magnetic_moments())
    return bare
