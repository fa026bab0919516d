"""From frames to something to train: graphs with labels, the terms that are given, and the ones that learn.

What needs no learning (reference energies, the short-range wall) is subtracted from the labels once, here; what a model can
remember of fixed structures (descriptors and their derivatives) is worked out once, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat.data.composition import Reference, is_isolated, reference_energies
from adiabat.data.formats import read
from adiabat.data.split import groups, split
from adiabat.data.structure import Atoms, content_hash, labels, name_of
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.graph import Graph, Label, weight_of
from adiabat.models import ZBL
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled, describe
from adiabat.told import warn
from adiabat.training.batches import InMemory, Source
from adiabat.training.loss import Loss, usual_weights
from adiabat.uncertainty import Committee

ENOUGH = 10  # frames, from which on a tenth is held out


@dataclass
class Problem:
    """What is trained on what. `learned` sees labels without the share of `given`; `finish` puts both together."""

    name: str  # of the model's class
    learned: Potential
    given: list[Model]
    train: Source
    validation: Source
    n_components: int  # the labeled numbers it learns from: energies, force components, components of stress
    reference: Reference
    fingerprint: str
    metadata: dict[str, Any]
    usual: Mapping[str, float]  # the mean weight of the labels of each kind
    together: Sequence[int] | None = (
        None  # the group of each training frame: duplicates and neighbors in time; where it is known
    )

    @property
    def n_parameters(self) -> int:
        """What one member learns."""
        members = self.learned.size if isinstance(self.learned, Committee) else 1
        return sum(p.numel() for p in self.learned.parameters() if p.requires_grad) // members

    def finish(self) -> Potential:
        """The whole potential: given terms, then the learned one."""
        if isinstance(self.learned, Committee):
            members = [self.learned.member(m).settle() for m in range(self.learned.size)]
            return Committee.of([Potential(*self.given, *member.terms, metadata=self.metadata) for member in members])
        return Potential(*self.given, *self.learned.settle().terms, metadata=self.metadata).eval()


def frames_of(source: Any) -> list[Atoms]:
    """Frames from a file, a store, or as they come."""
    if isinstance(source, str | Path):
        return read(source)
    return list(source)


def pose(
    model: Model,
    train: Any,
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
    remember_MB: float,
    options: Mapping[str, Any],
) -> Problem:
    """Make the training problem; see `fit` for the meaning of the arguments."""
    frames = frames_of(train)
    if validation is not None:
        parts = frames, frames_of(validation)
    else:
        sides = split(frames, (0.9, 0.1, 0.0), seed=seed) if len(frames) >= ENOUGH else None
        parts = (frames, []) if sides is None else tuple([frames[k] for k in side] for side in (sides.train, sides.validation))
    _refuse_unlabeled(parts[0], loss)
    _refuse_unjudged(parts[1], loss)
    level = one_level(said_level(a.info) for part in parts for a in part)
    lone = [a for a in frames if is_isolated(a)]
    training, held = ([a for a in part if not is_isolated(a) and _weight(a, loss) > 0] for part in parts)
    if not training:
        raise ValueError(
            f"{len(frames)} frames came and every one is an isolated atom or has weight 0; "
            "wanted structures with neighbors to learn from"
        )
    elements = sorted({int(z) for a in (*training, *held, *lone) for z in a.numbers})

    found = _reference(reference, [*training, *lone], elements)
    model = for_elements(model, elements)
    given = given_terms(found, elements, wall)
    cutoff, baseline = max(model.cutoff, *(term.cutoff for term in given)), Potential(*given)
    graphs, held_graphs = ([graph_of(a, cutoff, loss, baseline) for a in part] for part in (training, held))
    learned = learners(model, graphs, members, seed, dtype, found)
    graphs, held_graphs = _remembered(learned, graphs, remember_MB), _remembered(learned, held_graphs, remember_MB)
    share = share_left_out(leave_out, members)
    usual = usual_weights(graphs)
    together = groups(training) if share or isinstance(model, LinearBasis) else None
    if together is not None and share:
        graphs = _folds(graphs, together, members, share, seed)
    learned = begun(learned, graphs).to(device)
    data_hash = data_name(training, held)
    return Problem(
        type(model).__name__, learned, given,
        InMemory([g.to(device=device) for g in graphs]), InMemory([g.to(device=device) for g in held_graphs]), components(graphs),
        found, fingerprint(data_hash, model, options),
        metadata(found, level, n_train=len(graphs), n_validation=len(held_graphs), members=members, seed=seed, data_hash=data_hash),
        usual, together,
    )  # fmt: skip


def for_elements(model: Model, elements: Sequence[int]) -> Model:
    """The model for the elements of the data, all of which it must know."""
    with torch.random.fork_rng(devices=[]):  # weights drawn here are drawn again for each member
        model = model.for_elements([symbol(z) for z in elements])
    known = model.elements or elements
    missing = sorted(set(elements) - set(known))
    if missing:
        raise ValueError(
            f"the data contain {' '.join(map(symbol, missing))}, the model is for {' '.join(map(symbol, known))}; "
            "leave its elements out to take them from the data"
        )
    return model


def given_terms(reference: Reference, elements: Sequence[int], wall: bool) -> list[Model]:
    """What has nothing to learn."""
    counted = ReferenceEnergies({symbol(z): e for z, e in reference.energies.items()})
    return [counted, ZBL(elements=[symbol(z) for z in elements])] if wall else [counted]


def components(graphs: Iterable[Graph]) -> int:
    """How many labeled numbers there are."""
    return sum(int(label.mask.sum()) * label.value[0].numel() for graph in graphs for label in graph.labels.values())


def fingerprint(data_hash: str, model: Model, options: Mapping[str, Any]) -> str:
    """A name for a training, by which its checkpoint is known."""
    asked = json.dumps([data_hash, describe(model), options], sort_keys=True, default=repr)
    return hashlib.sha256(asked.encode()).hexdigest()


def metadata(reference: Reference, level: str | None, **training: Any) -> dict[str, Any]:
    """What a model file tells of the data it learned from."""
    return {
        "training": training,
        "reference_energies": {"method": reference.method, "undetermined": [symbol(z) for z in reference.undetermined]},
        "level_of_theory": level,
    }


def _refuse_unlabeled(frames: Sequence[Atoms], loss: Loss) -> None:
    if not frames:
        raise ValueError("no frame came; wanted labeled structures to train on")
    bare = [k for k, a in enumerate(frames) if not labels(a)]
    if bare:
        raise ValueError(
            f"{len(bare)} of {len(frames)} frames carry no label at all (first: frame {bare[0]}); label them, or leave them out"
        )
    for name in ("energy", "forces"):
        if loss.weights[name] and not any(name in labels(a) for a in frames):
            raise ValueError(
                f"the loss weighs {name}, and none of {len(frames)} frames has one; "
                f"set loss.{name} to 0, or check the key names the file was read with"
            )


def _refuse_unjudged(held: Sequence[Atoms], loss: Loss) -> None:
    weighed = [name for name, w in loss.weights.items() if w]
    if held and not any(name in labels(a) for a in held for name in weighed):
        raise ValueError(
            f"none of {len(held)} validation frames has a label that the loss weighs ({', '.join(weighed)}); label them"
        )


def _reference(wanted: str | Mapping[str, float], frames: Sequence[Atoms], elements: Sequence[int]) -> Reference:
    counted = given_reference(wanted, elements, any("energy" in labels(a) for a in frames))
    if counted is not None:
        return counted
    return reference_energies(frames if wanted == "auto" else [a for a in frames if not is_isolated(a)])


def given_reference(wanted: str | Mapping[str, float], elements: Sequence[int], labeled: bool) -> Reference | None:
    """Reference energies that need no look at the frames; None where ``auto`` or ``fit`` asks for one."""
    if not isinstance(wanted, str):
        given = {atomic_numbers([s])[0]: float(e) for s, e in wanted.items()}
        missing = [symbol(z) for z in elements if z not in given]
        if missing:
            raise ValueError(
                f"reference_energies: none for {' '.join(missing)}, which the data contain; give one in eV for each element"
            )
        return Reference(given, "as given", (), 0.0)
    if wanted in ("auto", "fit"):
        # forces alone: energies have no zero
        return None if labeled else Reference(dict.fromkeys(elements, 0.0), "no energies", tuple(elements), 0.0)
    raise ValueError(
        f"reference_energies: {wanted!r} came; wanted 'auto' (isolated atoms where present, else a fit), 'fit', "
        "or a mapping such as {H: -13.6}"
    )


def graph_of(atoms: Atoms, cutoff: float, loss: Loss, baseline: Potential) -> Graph:
    """A frame's graph with its weight; its labels less the share of the baseline."""
    weight = torch.tensor([_weight(atoms, loss)], dtype=torch.float64)
    return _without(baseline, Graph.of(atoms, cutoff).replace(weight=weight))


def _weight(atoms: Atoms, loss: Loss) -> float:
    try:
        return loss.weight_of(atoms.info)
    except ValueError as error:
        raise ValueError(f"{name_of(atoms)}: {error}") from None


def _without(baseline: Potential, graph: Graph) -> Graph:
    """The graph with the baseline's share taken from its labels."""
    share = baseline(graph)
    values = {"energy": share.energy, "forces": share.forces, "stress": torch.nan_to_num(share.stress)}
    return graph.replace(labels={k: Label(label.value - values[k], label.mask) for k, label in graph.labels.items()})


def _scale(graphs: Sequence[Graph]) -> float:
    """The forces' root mean square times 1 Å, eV: the size of what the model has to make; without forces, of the energies."""
    forces = torch.cat([g.labels["forces"].value[g.labels["forces"].mask] for g in graphs])
    if forces.numel():
        return max(float(forces.square().mean().sqrt()), 1e-3)
    energies = torch.cat([(g.labels["energy"].value / g.n_atoms)[g.labels["energy"].mask] for g in graphs])
    return max(float(energies.std()) if len(energies) > 1 else 1.0, 1e-3)


def learners(
    model: Model, graphs: Sequence[Graph], members: int, seed: int, dtype: torch.dtype, reference: Reference
) -> Potential:
    """What is trained: members with weights of their own, their size and what else depends on the data taken from these graphs.

    A model in eV has no freedom to put its zero where reference energies that are fitted would have it: it learns them, too.
    """
    made, scale = [], _scale(graphs)
    for m in range(members):
        # Each member draws its own weights; the global generator is put back, so that nobody else's numbers change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1_000_003 * seed + m)
            fresh = model.fresh().to(dtype)
        if fresh.in_eV:
            along = {symbol(z): 0.0 for z in reference.energies} if reference.method == "least squares" else {}
            made.append(Potential(fresh, *([ReferenceEnergies(along, learn=True).to(dtype)] if along else [])))
        else:
            made.append(Potential(Scaled(fresh, eV=scale)))
        made[-1].prepare(graphs)
    return Committee.of(made) if members > 1 else made[0]


def begun(learned: Potential, graphs: Sequence[Graph]) -> Potential:
    """What is trained, each member where the labels of the frames it learns from let it begin."""
    if not isinstance(learned, Committee):
        learned.begin(graphs)
        return learned
    members = [learned.member(m) for m in range(learned.size)]
    for m, member in enumerate(members):
        member.begin([graph for graph in graphs if float(weight_of(graph).reshape(1, -1).expand(1, len(members))[0, m]) > 0])
    return Committee.of(members)


def _remembered(learned: Potential, graphs: list[Graph], limit_MB: float) -> list[Graph]:
    """Graphs with remembered features, if all of them fit the limit."""
    if not graphs or limit_MB <= 0:
        return graphs
    largest = max(graphs, key=lambda g: g.n_edges)
    size = sum(x.numel() * x.element_size() for parts in learned.remember(largest).features.values() for x in parts)
    total_MB = size / max(1, largest.n_edges) * sum(g.n_edges for g in graphs) / 1e6
    if size == 0 or total_MB > limit_MB:
        return graphs
    return [learned.remember(g) for g in graphs]


def share_left_out(leave_out: float, members: int) -> float:
    """What each member of a committee leaves out: no frame is left out by two, so that with m members it is 1/m at most.

    >>> share_left_out(0.25, 4), share_left_out(0.25, 1)
    (0.25, 0.0)
    """
    if not 0 <= leave_out < 1:
        raise ValueError(f"leave_out: {leave_out} came; wanted a share of the frames, 0 ≤ leave_out < 1")
    if members < 2:
        return 0.0
    if leave_out > 1 / members + 1e-3:  # a third is often written 0.333 or 0.334
        warn(
            f"leave_out: {leave_out} came, for {members} members: no frame is left out by two of them, so each leaves out "
            f"1/{members} = {1 / members:.3g}; ask for that, or for fewer members"
        )
    return min(leave_out, 1 / members)


def _folds(graphs: Sequence[Graph], together: Sequence[int], members: int, share: float, seed: int) -> list[Graph]:
    """Give each member its own weights: a share of the frames, another for each member, is left out.

    Frames of one group (duplicates, neighbors in time) are left out together. The groups stand in random order on a line of length 1,
    each as long as its share of the frames; member m leaves out those whose middle lies within `share` behind m / members.
    """
    sizes = np.bincount(together)
    if len(sizes) < 2:  # nothing can be left out without leaving out all
        return list(graphs)
    order = np.random.default_rng(seed).permutation(len(sizes))
    middle = np.empty(len(sizes))
    middle[order] = (np.cumsum(sizes[order]) - 0.5 * sizes[order] - 0.5) / len(graphs)
    folded: list[Graph] = []
    for graph, group in zip(graphs, together, strict=True):
        start = np.arange(members) / members
        seen = torch.tensor(((middle[group] - start) % 1.0) >= share, dtype=torch.float64)
        folded.append(graph.replace(weight=weight_of(graph)[:, None] * seen))
    return folded


def said_level(info: Mapping[str, Any]) -> str | None:
    """The level of theory that a frame states, as JSON."""
    record = info.get("adiabat")
    return json.dumps(record["level_of_theory"]) if isinstance(record, Mapping) and "level_of_theory" in record else None


def one_level(said: Iterable[str | None]) -> str | None:
    """The level of theory of all frames that state one; two are refused."""
    levels = {level for level in said if level is not None}
    if len(levels) > 1:
        raise ValueError(f"the frames mix {len(levels)} levels of theory: {', '.join(sorted(levels))}; train on one of them")
    return json.loads(levels.pop()) if levels else None


def data_name(train: Sequence[Atoms], held: Sequence[Atoms]) -> str:
    """A name for the data: structures, labels and weights, on which side they stand and in which order."""
    digest = hashlib.sha256()
    for part in (train, held):
        digest.update(b"|")
        for atoms in part:
            digest.update(content_hash(atoms).encode())
            digest.update(repr((atoms.info.get("weight", 1.0), atoms.info.get("config_type", ""))).encode())
            for name, value in labels(atoms).items():
                digest.update(name.encode() + np.asarray(value, float).tobytes())
    return digest.hexdigest()
