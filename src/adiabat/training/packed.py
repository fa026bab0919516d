"""A training problem from packed shards: nothing of the set is held but a few numbers a frame.

One pass over the arrays counts elements and energies, for the reference energies; sizes are taken from a sample, which is the first
frames, since a pack is in random order. Then every epoch reads the blocks in a new order and makes each graph when its batch is due.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat.data.composition import Reference, fitted, is_isolated
from adiabat.data.parts import Part, divided, info, places, whole
from adiabat.data.shards import BITS, Shards
from adiabat.data.structure import Atoms
from adiabat.graph import Graph, weight_of
from adiabat.potential import Model, Potential
from adiabat.training.batches import InMemory, Source
from adiabat.training.given import for_elements, given_reference, given_terms
from adiabat.training.loss import Loss
from adiabat.training.members import begun, learners, share_left_out
from adiabat.training.problem import Problem, components, frames_of, graph_of
from adiabat.training.provenance import data_name, fingerprint, metadata, one_level, said_level

SAMPLE = 512  # frames that the model's size and its scales are taken from


def as_part(source: Any) -> Part | None:
    """The part of a packed set that a source is; None where it is something else."""
    if isinstance(source, str | Path) and (Path(source) / "index.json").is_file():
        source = Shards(source)
    return whole(source) if isinstance(source, Shards) else source if isinstance(source, Part) else None


class Packed:
    """Graphs of a part of a packed set, each made when it is asked for."""

    def __init__(self, part: Part, folds: Folds, cutoff: float, loss: Loss, baseline: Potential, device: str) -> None:
        self.part, self.folds, self.cutoff, self.loss, self.baseline, self.device = part, folds, cutoff, loss, baseline, device
        sample = [graph.n_edges for graph in itertools.islice(self, 64)]
        self.n_edges = int(np.mean(sample) * len(part)) if sample else 0

    def __len__(self) -> int:
        return len(self.part)

    def __iter__(self) -> Iterator[Graph]:
        return (self._graph(row, atoms) for row, atoms in self.part.frames())

    def shuffled(self, rng: np.random.Generator) -> Iterator[Graph]:
        return (self._graph(row, atoms) for row, atoms in self.part.frames(rng))

    def _graph(self, row: int, atoms: Atoms) -> Graph:
        return self.folds(row, graph_of(atoms, self.cutoff, self.loss, self.baseline)).to(device=self.device)


@dataclass(frozen=True)
class Folds:
    """Weights by member: each leaves out groups of its own, as the members of a set in memory do."""

    place: np.ndarray | None = None  # by row, where its group stands on a line of length 1
    members: int = 1
    share: float = 0.0

    def __call__(self, row: int, graph: Graph) -> Graph:
        if self.place is None:
            return graph
        behind = (self.place[row] - np.arange(self.members) / self.members) % 1.0
        seen = torch.tensor(behind >= self.share, dtype=torch.float64)
        return graph.replace(weight=weight_of(graph)[:, None] * seen)


def pose_packed(
    model: Model,
    train: Part,
    validation: Any,
    *,
    members: int,
    leave_out: float,
    seed: int,
    reference: str | Mapping[str, float],
    wall: bool,
    loss: Loss,
    dtype: torch.dtype,
    device: str,
    options: Mapping[str, Any],
) -> Problem:
    """Make the training problem; see `fit` for the meaning of the arguments."""
    if validation is None:
        train, held, _ = divided(train, (0.9, 0.1, 0.0), seed)
    else:
        held = as_part(validation)
    seen = survey(train, loss)
    found = seen.reference(reference)
    train = train.without(seen.idle)
    model = for_elements(model, seen.elements)
    given = given_terms(found, seen.elements, wall)
    cutoff, baseline = max(model.cutoff, *(term.cutoff for term in given)), Potential(*given)
    sample = [graph_of(atoms, cutoff, loss, baseline) for _, atoms in itertools.islice(train.frames(), SAMPLE)]
    learned = begun(learners(model, sample, members, seed, dtype, found), sample).to(device)
    folds = Folds()
    if share := share_left_out(leave_out, members):
        place = np.zeros(len(train.chosen))
        place[train.chosen] = places(train.group[train.chosen], seed)
        if len(np.unique(train.group[train.chosen])) > 1:  # else nothing can be left out without leaving out all
            folds = Folds(place, members, share)
    judged: Source
    if held is None:
        frames = frames_of(validation)
        judged = InMemory([graph_of(a, cutoff, loss, baseline).to(device=device) for a in frames])
        sides = [rows_named(train), data_name([], frames)]
    else:
        held = held.without(survey(held, loss).idle) if len(held) else held
        judged = Packed(held, Folds(), cutoff, loss, baseline, device)
        sides = [rows_named(train), held.shards.data_hash, rows_named(held)]
    source = Packed(train, folds, cutoff, loss, baseline, device)
    return Problem(
        type(model).__name__, learned, given, source, judged, int(components(sample) / len(sample) * len(train)), found,
        fingerprint(train.shards.data_hash, model, {**options, "sides": sides}),
        metadata(
            found, seen.level, n_train=len(train), n_validation=len(judged), members=members, seed=seed, data_hash=train.shards.data_hash
        ),
        seen.usual,
    )  # fmt: skip


def rows_named(part: Part) -> str:
    """A name for which frames of its set a part has."""
    return hashlib.sha256(np.flatnonzero(part.chosen).astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True)
class Survey:
    """What one pass over a part finds."""

    elements: list[int]
    counts: np.ndarray  # of atoms, [frames with an energy, elements]
    energies: np.ndarray  # eV
    alone: dict[int, float]  # energies of isolated atoms
    idle: np.ndarray  # bool, by row: isolated atoms, and frames of weight 0
    level: str | None
    usual: Mapping[str, float]  # the mean weight of the labels of each kind

    def reference(self, wanted: str | Mapping[str, float]) -> Reference:
        """Reference energies, as `fit` has them."""
        counted = given_reference(wanted, self.elements, bool(len(self.energies) or self.alone))
        return counted or fitted(self.elements, self.counts, self.energies, self.alone if wanted == "auto" else {})


def survey(part: Part, loss: Loss) -> Survey:
    """Look at every frame of a part once: elements, energies, levels of theory, weights."""
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    elements: set[int] = set()
    alone: dict[int, float] = {}
    levels: set[str] = set()
    idle, has = np.zeros(len(part.chosen), dtype=bool), 0
    weighed, number = dict.fromkeys(BITS, 0.0), dict.fromkeys(BITS, 0.0)
    for block in part.shards.blocks():
        mine = [k for k in range(len(block)) if part.chosen[block.row[k]]]
        by_frame = np.zeros((len(block), 119), dtype=np.int32)
        np.add.at(by_frame, (np.repeat(np.arange(len(block)), np.diff(block.first)), block.numbers), 1)
        table: list[int] = []
        counted: list[int] = []
        for k in mine:
            about = info(block, k)
            levels |= {level for level in [said_level(about)] if level is not None}
            labeled = bool(block.has[k] & BITS["energy"])
            if block.first[k + 1] - block.first[k] == 1 and is_isolated(block.frame(k)):
                idle[block.row[k]] = True
                counted.append(k)
                z = int(block.numbers[block.first[k]])
                if labeled:
                    alone[z] = min(float(block.energy[k]), alone.get(z, np.inf))  # of several spin states the lowest
            else:
                weight = loss.weight_of(about)
                idle[block.row[k]] = not weight > 0
                if not idle[block.row[k]]:
                    counted.append(k)
                    for name, bit in BITS.items():
                        if block.has[k] & bit:
                            labels = float(block.first[k + 1] - block.first[k]) if name == "forces" else 1.0
                            weighed[name], number[name] = weighed[name] + weight * labels, number[name] + labels
                    has |= int(block.has[k])
                    table += [k] if labeled else []
        elements |= set(np.flatnonzero(by_frame[counted].any(0)).tolist())
        tables.append((by_frame[table].astype(np.int16), block.energy[table]))
    for name in ("energy", "forces"):
        if loss.weights[name] and not has & BITS[name]:
            raise ValueError(f"the loss weighs {name}, and none of {len(part)} packed frames has one; set loss.{name} to 0")
    usual = {name: weighed[name] / n for name, n in number.items() if n > 0}
    ordered = sorted(elements)
    counts = np.concatenate([table[:, ordered] for table, _ in tables]).astype(float)
    return Survey(ordered, counts, np.concatenate([e for _, e in tables]), alone, idle, one_level(levels), usual)
