"""From frames to something to train: graphs with labels, the terms that are given, and the ones that learn.

What needs no learning (reference energies, the short-range wall) is subtracted from the labels once, here; what a model can
remember of fixed structures (descriptors and their derivatives) is worked out once, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adiabat.data.composition import Reference, is_isolated
from adiabat.data.formats import read
from adiabat.data.split import groups, split
from adiabat.data.structure import Atoms, labels, name_of
from adiabat.graph import Graph, Label
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Model, Potential
from adiabat.training.batches import InMemory, Source
from adiabat.training.given import for_elements, given_terms, reference_of
from adiabat.training.loss import Loss, usual_weights
from adiabat.training.members import begun, folded, learners, share_left_out
from adiabat.training.provenance import data_name, fingerprint, metadata, one_level, said_level
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

    found = reference_of(reference, [*training, *lone], elements)
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
        graphs = folded(graphs, together, members, share, seed)
    learned = begun(learned, graphs).to(device)
    data_hash = data_name(training, held)
    return Problem(
        type(model).__name__, learned, given,
        InMemory([g.to(device=device) for g in graphs]), InMemory([g.to(device=device) for g in held_graphs]), components(graphs),
        found, fingerprint(data_hash, model, options),
        metadata(found, level, n_train=len(graphs), n_validation=len(held_graphs), members=members, seed=seed, data_hash=data_hash),
        usual, together,
    )  # fmt: skip


def components(graphs: Iterable[Graph]) -> int:
    """How many labeled numbers there are."""
    return sum(int(label.mask.sum()) * label.value[0].numel() for graph in graphs for label in graph.labels.values())


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
