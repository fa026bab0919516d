"""Where a campaign's work is done: labels by the ledger and a pool of workers, and stages whose products are kept.

A stage's product is written when it is whole; a campaign that is run again takes it from there. So a campaign is a plain story,
told from the beginning each time, of which only the missing parts are computed.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from adiabat.campaign.run_folder import RunFolder, program_version
from adiabat.data.store import Dataset
from adiabat.data.structure import content_hash, from_json, to_json
from adiabat.graph import Graph
from adiabat.jobs import Ledger, LocalPool, Outcome, Task, run
from adiabat.labelers import Labeler, LabelError
from adiabat.labelers.base import KINDS
from adiabat.prediction import Prediction

Say = Callable[[str, str, dict[str, Any]], None]


class Workshop:
    """A run folder, its ledger and its workers; a context manager that gives all of them back."""

    def __init__(
        self, folder: RunFolder, labeler: Labeler, workers: int | None, say: Say, *, limit_minutes: float | None = None
    ) -> None:
        self.folder, self.labeler, self.workers, self._say = folder, labeler, workers, say
        self.limit_s = None if limit_minutes is None else 60 * limit_minutes  # wall-clock time of a label
        self.record = labeler.record()  # asks the engine for its version: a missing one is told before any work
        self.failures: list[tuple[str, Outcome]] = []  # kind of configuration, what became of it
        self._counted = time.monotonic()
        # The story is told from the beginning at every start; what the log of earlier starts has is not written again.
        self._told = Counter(_event_key(e) for e in folder.events())

    def __enter__(self) -> Workshop:
        self.ledger = Ledger(self.folder.folder)
        self.pool = LocalPool(self.workers)
        self.store = Dataset(self.folder.path("labels.db"))
        return self

    @property
    def pool_size(self) -> int:
        """How many workers label side by side."""
        return self.pool.workers

    def __exit__(self, *_: Any) -> None:
        self.store.close()
        self.pool.close()
        self.ledger.close()

    def say(self, stage: str, message: str, **data: Any) -> None:
        """A line for the log, once over all starts of the campaign, and for whoever watches."""
        key = _event_key({"stage": stage, "message": message, **data})
        if self._told[key]:
            self._told[key] -= 1
        else:
            self.folder.event(stage, message, **data)
        self._say(stage, message, data)

    def progress(self, stage: str, message: str, data: dict[str, Any]) -> None:
        """How far something is, for whoever watches; not for the log."""
        self._say(stage, message, data)

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """The product of `work()`, JSON; taken from `stages/` if an earlier start of this campaign finished it.

        A product belongs to the version of Adiabat that made it: another version makes it anew, and says so.
        """
        path = f"stages/{name}.json"
        known, mine = self.folder.read_json(path), program_version()
        if known is not None and known.get("adiabat") != mine:
            self.say(
                "stage",
                f"{name} was made by Adiabat {known.get('adiabat', 'of an earlier version')}, this is {mine}: made anew",
            )
            known = None
        if known is None:
            with self.clock(name.split("-")[0]):
                known = {"product": work(), "adiabat": mine}
            self.folder.write_json(path, known)
        # Read back even when fresh, so that a campaign sees the same numbers whether it was interrupted or not.
        return self.folder.read_json(path)["product"]

    def bench(self, name: str) -> Path:
        """A folder for half-done work that a later start goes on with; what another version of Adiabat left there goes."""
        place, mine = self.folder.path(f"{name}/made-by.json").parent, {"adiabat": program_version()}
        if self.folder.read_json(f"{name}/made-by.json") != mine:
            shutil.rmtree(place)
            self.folder.write_json(f"{name}/made-by.json", mine)
        return place

    @contextmanager
    def clock(self, what: str) -> Iterator[None]:
        """Count the wall-clock time of what happens inside, in `timing.json`: summed over all starts of the campaign."""
        begun = time.monotonic()
        try:
            yield
        finally:  # an interrupted stage cost its time, too
            spent = self.folder.read_json("timing.json") or {}
            now = time.monotonic()
            spent[what] = spent.get(what, 0.0) + now - begun
            spent["in all"] = max(spent.get("in all", 0.0) + now - self._counted, self.folder.worked_s)
            self._counted = now
            self.folder.write_json("timing.json", spent)

    def spent(self) -> dict[str, float]:
        """Wall-clock seconds by what they were spent on, the rest as "other", and "in all"."""
        with self.clock("other"):
            pass
        spent = self.folder.read_json("timing.json")
        total = spent.pop("in all")
        spent["other"] = max(0.0, total - sum(spent.values()))
        return {**spent, "in all": total}

    def label(
        self, frames: Sequence[Atoms], kind: str, *, keep: bool = True, needed: bool = True, labeler: Labeler | None = None
    ) -> list[Atoms]:
        """Labeled copies in order; frames the engine could not label are left out, told and kept in `failures`.

        `keep` puts them into the store of training labels; `needed` makes it an error if none could be labeled. Each carries
        `kind` as its config_type. Another `labeler` is for labels that are not trained on: strained cells on a grid of their own.
        """
        frames = [_of_kind(a, kind) for a in frames]
        engine = labeler or self.labeler
        record = engine.record() if labeler else self.record
        tasks = [_task(engine, record, a, self.limit_s) for a in frames]
        done, of = 0, len({t.key for t in tasks})

        def count(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            self.progress("label", f"{kind}: {done} of {of}", {"done": done, "of": of, "kind": kind})

        with self.clock("label"):
            outcomes = run(tasks, self.ledger, self.pool, on_outcome=count)
        labeled = []
        for frame, outcome in zip(frames, outcomes, strict=True):
            if outcome.status != "done":
                self.failures.append((kind, outcome))
                failure = outcome.failure
                self.say(
                    "label",
                    f"{kind}: no label for {frame.get_chemical_formula()}: {failure.message if failure else outcome.status}",
                    key=outcome.key,
                )
                continue
            atoms = from_json(outcome.result["atoms"])
            atoms.info.update(frame.info)
            labeled.append(atoms)
        if not labeled and needed:
            last = self.failures[-1][1].failure
            why = last.message if last else "no reason given"
            raise LabelError(
                f"{self.labeler.name}: none of {len(frames)} {kind} structures could be labeled; the last: {why}",
                last.kind if last and last.kind in KINDS else "crashed",
                last.cure if last else "look at the ledger",
            )
        if keep and labeled:
            self.store.add(labeled)
        return labeled

    def compute(self, tasks: Sequence[Task]) -> list[Any]:
        """Results of other tasks, side by side; a failure is an error."""
        outcomes = run(tasks, self.ledger, self.pool)
        for task, outcome in zip(tasks, outcomes, strict=True):
            if outcome.status != "done":
                failure = outcome.failure
                raise RuntimeError(
                    f"{task.kind}: {failure.message if failure else outcome.status}" + (f"; {failure.cure}" if failure else "")
                )
        return [o.result for o in outcomes]

    def label_costs(self, kinds: Mapping[str, Sequence[Atoms]]) -> list[dict[str, Any]]:
        """Rows of a cost table: how many labels of each kind, and what they cost."""
        rows = []
        for kind, frames in kinds.items():
            records = [a.info["adiabat"] for a in frames]
            rows.append(
                {
                    "kind": kind,
                    "labels": len(frames),
                    "wall_s": sum(r["wall_s"] for r in records),
                    "cpu_s": sum(r["cpu_s"] for r in records),
                    "failed": sum(failed == kind for failed, _ in self.failures),
                }
            )
        return rows


class ByLabels(Calculator):
    """The reference engine as an ASE calculator whose every label goes through the ledger: what is relaxed once stays relaxed."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (as ASE declares it)

    def __init__(self, workshop: Workshop, kind: str) -> None:
        super().__init__()
        self.workshop, self.kind = workshop, kind
        self.labeled: list[Atoms] = []

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        bare = atoms.copy()
        bare.info |= {"trajectory": self.kind, "step": len(self.labeled)}
        [found] = self.workshop.label([bare], self.kind)
        self.labeled.append(found)
        if "stress" in (properties or []) and "stress" not in found.calc.results:
            raise LabelError(
                f"{self.workshop.labeler.name}: no stress came with the label of {atoms.get_chemical_formula()}, by which its cell relaxes",
                "bad_input",
                "use an engine that has it, as gpaw, or give the cell at rest and set start: {relax: false}",
            )
        self.results = dict(found.calc.results)


class EnginePotential:
    """A cheap engine where a potential is expected: dynamics before there is a model."""

    def __init__(self, labeler: Labeler) -> None:
        labeler.version()
        self.labeler, self.cutoff = labeler, 3.0  # the cutoff is for edges nobody asks for

    def __call__(self, graph: Graph) -> Prediction:
        energies, forces = [], []
        for s in range(graph.n_structures):
            mine = (graph.structure == s).numpy()
            atoms = Atoms(
                graph.numbers.numpy()[mine], graph.positions.numpy()[mine], cell=graph.cell[s].numpy(), pbc=graph.pbc[s].numpy()
            )
            found = self.labeler.compute(atoms)
            energies.append(found.energy)
            forces.append(np.asarray(found.forces))
        nothing = torch.zeros(graph.n_atoms, dtype=torch.float64)
        return Prediction(
            torch.tensor(energies, dtype=torch.float64), torch.tensor(np.concatenate(forces)), nothing, graph, {}, _no_stress
        )


def _task(labeler: Labeler, record: Mapping[str, Any], atoms: Atoms, limit_s: float | None) -> Task:
    identity = {"structure": content_hash(atoms), **{name: record[name] for name in ("level_of_theory", "version", "settings")}}
    if atoms.has("initial_magmoms"):  # another start may lead to another magnetic state of the same structure
        identity["initial_magmoms"] = atoms.get_initial_magnetic_moments().tolist()
    return Task(
        "label",
        "adiabat.labelers:label",
        {"labeler": {labeler.name: labeler.settings()}, "atoms": to_json(atoms)},
        identity,
        limit_s,
    )


def _event_key(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two lines of the log the same event: not when it was, nor numbers that differ with the time it took."""
    return event["stage"], event["message"], event.get("key")


def _no_stress() -> torch.Tensor:
    raise ValueError("the stress of an engine's frame was asked for; label the frame to have it")


def _of_kind(atoms: Atoms, kind: str) -> Atoms:
    copy = atoms.copy()
    copy.calc = None
    copy.info = {k: v for k, v in atoms.info.items() if k in ("charge", "multiplicity", "trajectory", "step")}
    copy.info["config_type"] = kind
    for name in [n for n in copy.arrays if n not in ("numbers", "positions", "initial_magmoms")]:
        del copy.arrays[name]
    return copy


def as_json(frames: Sequence[Atoms]) -> list[dict[str, Any]]:
    return [to_json(a) for a in frames]


def as_atoms(records: Sequence[dict[str, Any]]) -> list[Atoms]:
    return [from_json(r) for r in records]


def model_path(folder: RunFolder, name: str) -> Path:
    return folder.path(f"models/{name}.adiabat")
