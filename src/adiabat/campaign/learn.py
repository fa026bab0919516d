"""The active-learning campaign: structure → labels → committee → exploration → labels … → a validated potential and its report.

The story is told in `tell`, from the beginning, at every start; stages that an earlier start finished are taken from the run
folder, labels from the ledger. So it may be killed anywhere and run again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.optimize import BFGS

from adiabat.active import Candidate, Decision, Selection, StopRule, explore
from adiabat.build.rattle import rattle
from adiabat.campaign.measures import measure
from adiabat.campaign.options import Explore, Measure, Spec, Start, Targets, Test
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import ByLabels, EnginePotential, Say, Workshop, as_atoms, as_json, model_path
from adiabat.config import ConfigError, build, checked, read_yaml
from adiabat.data.formats import read
from adiabat.data.gate import check
from adiabat.deploy.load import load
from adiabat.dynamics import State, langevin
from adiabat.elements import symbol
from adiabat.labelers import LABELERS, Labeler
from adiabat.models import MODELS
from adiabat.training import fit
from adiabat.uncertainty import Committee
from adiabat.validation.errors import errors


@dataclass(frozen=True)
class Campaign:
    """A learning campaign's configuration.

    `structure` is a file, or the name of a molecule ASE knows (``H2O``); `labeler` the reference engine; `model` a family with its
    options; `fit` options of the training in each round, `finish` those that differ in the last one; `members` the committee's
    size. The blocks `start`, `explore`, `select`, `stop`, `test`, `measure` and `targets` are described where they are defined.
    """

    structure: str
    labeler: Spec
    model: Spec = field(default_factory=lambda: {"bpnn": {}})
    out: str = "run"
    members: int = 4
    fit: dict[str, Any] = field(default_factory=dict)
    finish: dict[str, Any] = field(default_factory=dict)
    start: Start = field(default_factory=Start)
    explore: Explore = field(default_factory=Explore)
    select: Selection = field(default_factory=Selection)
    stop: StopRule = field(default_factory=StopRule)
    test: Test = field(default_factory=Test)
    measure: Measure = field(default_factory=Measure)
    targets: Targets = field(default_factory=Targets)
    name: str = "model"
    budget_s: float | None = None
    workers: int | None = None
    seed: int = 0


BLOCKS = {"start": Start, "explore": Explore, "select": Selection, "stop": StopRule, "test": Test, "measure": Measure, "targets": Targets}


def learn(config: str | Path | Mapping[str, Any], *, out: str | Path | None = None, say: Say | None = None) -> Path:
    """Run a learning campaign, or go on with it; returns the run folder.

    `config` is a YAML file (see ``adiabat new learn``) or a mapping of its content. The folder then holds `summary.json`,
    `report.html`, the model file, the labels (`labels.db`) and everything needed to go on.
    """
    given = dict(read_yaml(config) if isinstance(config, str | Path) else config)
    if out is not None:
        given["out"] = str(out)
    campaign = parse(given)
    labeler = build(campaign.labeler, LABELERS, where="labeler")
    options = {k: v for k, v in as_mapping(campaign).items() if k != "out"}
    folder = RunFolder(campaign.out, options, kind="learn", free=("workers", "budget_s"))
    with folder, Workshop(folder, labeler, campaign.workers, say or (lambda *_: None)) as workshop:
        _Learning(campaign, workshop, labeler).tell()
    return folder.folder


def parse(given: Mapping[str, Any]) -> Campaign:
    """A checked configuration: unknown options are errors with the nearest known name."""
    plain = {k: v for k, v in given.items() if k not in BLOCKS}
    blocks = {}
    for name, kind in BLOCKS.items():
        content = given.get(name) or {}
        if not isinstance(content, Mapping):
            raise ConfigError(f"{name}: wanted options as a mapping; got {content!r}")
        blocks[name] = kind(**checked(kind, content, where=name))
    known = checked(Campaign, plain, where="config", given={})
    campaign = Campaign(**known, **blocks)
    for block, registry in (("labeler", LABELERS), ("model", MODELS)):
        build(getattr(campaign, block), registry, where=block)
    if campaign.members < 2:
        raise ConfigError(f"members: {campaign.members} came; active learning judges by a committee, which needs at least 2")
    return campaign


def as_mapping(campaign: Campaign) -> dict[str, Any]:
    """The configuration as plain values, defaults included."""
    return asdict(campaign)


def structure_of(text: str) -> Atoms:
    """The starting structure: a file's first frame, or a molecule by name."""
    path = Path(text)
    if path.suffix:
        if not path.exists():
            raise ConfigError(f"structure: there is no file {text}; give a structure file, or the name of a molecule such as H2O")
        return read(path)[0]
    from ase.build import molecule

    try:
        return molecule(text)
    except KeyError:
        raise ConfigError(f"structure: {text!r} is neither a file nor a molecule ASE knows by name; give a structure file (extxyz, POSCAR, …)") from None


class _Learning:
    """One campaign under way."""

    def __init__(self, campaign: Campaign, workshop: Workshop, labeler: Labeler) -> None:
        self.c, self.shop, self.labeler = campaign, workshop, labeler
        self.folder = workshop.folder
        self.story = Story(self.folder, campaign)
        self.begun = time.monotonic()

    def tell(self) -> None:
        """The whole campaign."""
        atoms = structure_of(self.c.structure)
        self.story.settings(self.shop.record, atoms)
        lone = self.reference_atoms(atoms)
        atoms, labels = self.first_labels(atoms)
        test = self.test_set(atoms)
        rounds, labels = self.rounds(atoms, labels, lone, test)
        potential = self.finish(labels, lone, rounds)
        found = errors(potential, test).to_json()
        self.story.examine(potential, labels, test, found)
        self.shop.say("test", f"{found['energy_mae_meV_per_atom']:.3g} meV/atom and {found['force_mae_meV_per_A']:.3g} meV/Å on {len(test)} test frames")
        results = measure(self.shop, self.story, self.c.measure, model_path(self.folder, self.c.name), atoms, self.c.seed)
        self.conclude(labels, lone, test, rounds, found, results)

    def reference_atoms(self, atoms: Atoms) -> list[Atoms]:
        """Labels of the isolated atoms, so that energies are counted from them."""
        lone = [Atoms(symbol(z), info={"config_type": "isolated_atom"}) for z in sorted(set(atoms.numbers.tolist()))]
        return self.shop.label(lone, "isolated_atom")

    def first_labels(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """Relaxation, rattled copies, short hot dynamics: what the first committee learns from."""
        start, rng = self.c.start, np.random.default_rng(self.c.seed)
        labels: list[Atoms] = []
        if start.relax:
            atoms, labels = self.relaxed(atoms)
        frames = rattle(atoms, start.rattled, sigma_angstrom=start.rattle_angstrom, rng=rng) if start.rattled else []
        if frames:
            labels += self.shop.label(frames, "rattled")
        if start.hot:
            hot = self.shop.stage("hot", lambda: as_json(self.by_engine(atoms, start.engine, [start.hot_temperature_K], start.hot, start.hot_every_fs, self.c.seed + 1)))
            labels += self.shop.label(as_atoms(hot), "hot")
        return atoms, labels

    def relaxed(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """The nearest minimum by the reference engine's forces; every step is a label."""
        self.shop.say("relax", f"{atoms.get_chemical_formula()} by {self.labeler.theory()}")
        engine = ByLabels(self.shop, "relax")
        here = atoms.copy()
        here.calc = engine
        BFGS(here, logfile=None).run(fmax=self.c.start.fmax_eV_per_angstrom, steps=50)
        bare = here.copy()
        bare.calc = None
        return bare, engine.labeled

    def by_engine(self, atoms: Atoms, engine: Spec | None, temperatures_K: Sequence[float], frames: int, every_fs: float, seed: int) -> list[Atoms]:
        """Frames of dynamics with a cheap engine, spread evenly over temperatures."""
        potential = EnginePotential(build(engine, LABELERS, where="engine"))
        found: list[Atoms] = []
        for k, T in enumerate(temperatures_K):
            wanted = len(range(k, frames, len(temperatures_K)))
            rng = torch.Generator().manual_seed(1000 * seed + k)
            state = State.of(atoms, potential, temperature_K=T, rng=rng)
            dt = self.c.explore.timestep_fs
            stride = max(1, round(every_fs / dt))
            for n, state in enumerate(langevin(state, potential, rng=rng, timestep_fs=dt, temperature_K=T, friction_per_fs=0.05), start=1):
                if n >= 4 * stride and n % stride == 0:  # the first of them only warm up
                    [frame] = state.to_atoms()
                    frame.info = {**atoms.info, "trajectory": f"{seed} {T:g} K", "step": n}
                    found.append(frame)
                    if sum(a.info["trajectory"] == frame.info["trajectory"] for a in found) == wanted:
                        break
        return found

    def test_set(self, atoms: Atoms) -> list[Atoms]:
        """The independent test set, fixed before any training."""
        options, T = self.c.test, self.c.explore.temperatures_K
        if options.engine is None:
            raise ConfigError("test.engine: wanted a cheap engine for the dynamics that test frames come from, such as {tblite: {}}")
        frames = self.shop.stage("test_frames", lambda: as_json(self.by_engine(atoms, options.engine, T, options.frames, options.every_fs, self.c.seed + 2)))
        labeled = self.shop.label(as_atoms(frames), "test", keep=False)
        for a in labeled:
            a.info["config_type"] = "md " + a.info["trajectory"].split(" ", 1)[1]
        return labeled

    def rounds(self, atoms: Atoms, labels: list[Atoms], lone: list[Atoms], test: list[Atoms]) -> tuple[list[dict[str, Any]], list[Atoms]]:
        """Train, explore, decide, label; until the rule says stop."""
        told: list[dict[str, Any]] = []
        temperatures = self.c.explore.temperatures_K
        stage, number = 0, 1
        while True:
            committee = self.train(f"round-{number}", labels, lone)
            self.story.learning_curve(committee, labels, lone, test)
            while True:
                T = temperatures[stage]
                product = self.shop.stage(f"explore-{number}-{T:g}K", lambda T=T, c=committee, n=number: self.explored(c, atoms, labels, T, n))
                candidates = [Candidate(**{**row, "atoms": a}) for row, a in zip(product["candidates"], as_atoms(product["frames"]), strict=True)]
                decision = self.c.stop.decide(
                    share=product["share"], halted=product["halted"], temperature_K=T, hotter=stage + 1 < len(temperatures),
                    labels=len(labels) + len(lone), rounds=number,
                )  # fmt: skip
                chosen: list[Candidate] = []
                if decision.action == "label":
                    chosen = self.c.select.choose(candidates, labels, self.c.stop.labels - len(labels) - len(lone))
                row = self._row(number, T, product, len(chosen), len(labels) + len(lone), decision)
                told.append(row)
                self.story.round(row, product, decision)
                self.shop.say("explore", f"round {number}, {decision.why}")
                if decision.action != "heat":
                    break
                stage += 1
            if decision.action == "stop" or not chosen:
                return told, labels
            fresh = self.shop.label([c.atoms for c in chosen], f"explored {T:g} K")
            self.story.doubted(committee, fresh)
            labels = labels + fresh
            number += 1

    def explored(self, committee: Committee, atoms: Atoms, labels: Sequence[Atoms], T: float, number: int) -> dict[str, Any]:
        """One exploration as a product: the uncertain frames, and the series the report shows."""
        x, rng = self.c.explore, np.random.default_rng([self.c.seed, number, round(T)])
        # Half the replicas start from the minimum, half from labeled frames with nothing broken.
        known = [atoms] * (x.replicas - x.replicas // 2) + [labels[k] for k in rng.choice(len(labels), x.replicas // 2)]
        found = explore(
            committee, known, temperature_K=T, duration_fs=x.duration_fs, timestep_fs=x.timestep_fs, look_every_fs=x.look_every_fs,
            halt_eV_per_A=x.halt_eV_per_angstrom, friction_per_fs=x.friction_per_fs, seed=int(rng.integers(2**31)),
        )  # fmt: skip
        uncertain = found.uncertain(self.c.stop.tolerance_eV_per_A)
        spreads = [c.spread_eV_per_A for c in found.candidates]
        return {
            "share": found.share(self.c.stop.tolerance_eV_per_A), "halted": sum(h is not None for h in found.halted_fs),
            "candidates": [{k: v for k, v in vars(c).items() if k != "atoms"} for c in uncertain],
            "frames": as_json([_positions_only(c.atoms) for c in uncertain]),
            "looked_at": len(found.candidates), "median": float(np.median(spreads)), "largest": float(np.max(spreads)),
            "time_fs": found.time_fs.tolist(), "spread_eV_per_A": found.spread_eV_per_A, "halted_fs": found.halted_fs,
        }  # fmt: skip

    def train(self, name: str, labels: Sequence[Atoms], lone: Sequence[Atoms], **more: Any) -> Committee:
        """A committee on these labels; kept as a model file, its training resumed where it was interrupted."""
        path = model_path(self.folder, name)
        findings = check([*lone, *labels])
        self.story.gate(findings, len(labels) + len(lone))
        faults = [f for f in findings if f.grade == "fault"]
        if faults:
            raise ValueError(f"the labels do not pass the data gate: {faults[0].name}: {faults[0].message}; {faults[0].cure}")

        def work() -> str:
            self.shop.say("train", f"{name}: {self.c.members} members on {len(labels)} labels")
            model = build(self.c.model, MODELS, where="model")
            options = {**self.c.fit, **more}
            potential = fit(
                model, [*lone, *labels], members=self.c.members, seed=self.c.seed, folder=self.folder.path(f"training/{name}/metrics.jsonl").parent,
                progress=lambda m: self.shop._say("train", name, m), **options,
            )  # fmt: skip
            potential.save(path)
            return str(path.relative_to(self.folder.folder))

        self.shop.stage(f"train-{name}", work)
        self.story.training(name)
        return load(path)

    def finish(self, labels: Sequence[Atoms], lone: Sequence[Atoms], rounds: Sequence[Mapping[str, Any]]) -> Committee:
        """The last training, on all labels."""
        return self.train(self.c.name, labels, lone, **self.c.finish)

    def conclude(self, labels: Sequence[Atoms], lone: Sequence[Atoms], test: Sequence[Atoms], rounds: Sequence[Any], found: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Verdicts, costs, the summary and the report."""
        spent = self.shop.spent()
        kinds: dict[str, list[Atoms]] = {}
        for a in (*lone, *labels, *test, *results["labeled"]):
            kinds.setdefault(str(a.info["config_type"]).replace("md ", "test md "), []).append(a)
        rows = self.shop.label_costs(kinds)
        n = len(labels) + len(lone)
        wall = sum(spent.values())
        self.story.costs(spent, rows, self.shop.pool_size, self.c.budget_s)
        summary = {
            "labels": n, "energy_mae_meV_per_atom": found["energy_mae_meV_per_atom"], "force_mae_meV_per_A": found["force_mae_meV_per_A"],
            "nve_drift_meV_per_atom_per_ns": results["drift"]["value"], "nve_drift_error_meV_per_atom_per_ns": results["drift"]["error"],
            "rounds": max(r["round"] for r in rounds), "wall_s": wall, "label_wall_s": sum(r["wall_s"] for r in rows) / self.shop.pool_size,
            "model": f"models/{self.c.name}.adiabat", "report": "report.html", "stopped_because": rounds[-1]["decision"],
        }  # fmt: skip
        self.story.verdicts(summary, results, self.c.targets)
        self.folder.write_json("summary.json", summary)
        self.story.write()
        self.shop.say("done", f"{self.folder.folder / 'report.html'}", **summary)

    def _row(self, number: int, T: float, product: Mapping[str, Any], chosen: int, labels: int, decision: Decision) -> dict[str, Any]:
        return {
            "round": number, "temperature_K": T, "candidates": product["looked_at"], "uncertain": len(product["candidates"]), "chosen": chosen,
            "labels": labels, "threshold_meV_per_A": 1e3 * self.c.stop.tolerance_eV_per_A, "spread_median_meV_per_A": 1e3 * product["median"],
            "spread_max_meV_per_A": 1e3 * product["largest"], "decision": decision.why,
        }  # fmt: skip


def _positions_only(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info={k: v for k, v in atoms.info.items() if k in ("charge", "multiplicity")})


