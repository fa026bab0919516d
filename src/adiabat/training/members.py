"""The members of a committee in training: weights and a beginning of their own, and each leaves out a share of the frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from adiabat.data.composition import Reference
from adiabat.elements import symbol
from adiabat.graph import Graph, weight_of
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.told import warn
from adiabat.uncertainty import Committee


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


def folded(graphs: Sequence[Graph], together: Sequence[int], members: int, share: float, seed: int) -> list[Graph]:
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
