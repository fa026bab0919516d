"""A committee frozen: members that are networks on descriptors run in one compiled call, which works geometry and descriptors out once.

Members of other families are frozen one by one; the mean of potentials that differ only in what they are linear in is one potential.
Where nothing is compiled, on other devices and while it trains, the committee itself answers: the same numbers to rounding.
"""

from __future__ import annotations

from abc import abstractmethod
from threading import Lock
from typing import Any

import torch

from adiabat.frozen import Facts, Frozen, Snapshot, call_of, compiled, predicted
from adiabat.graph import Graph
from adiabat.kernels.local import Adds
from adiabat.kernels.networks import Networks
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Model, Potential
from adiabat.prediction import Later, Prediction
from adiabat.typing import Tensor


class Members(Potential):
    """A potential of several: what is asked of it here. `Committee` is the one there is."""

    learned: Any  # the terms that differ, as a module with `terms`
    fixed: list[Model]  # local ones that all share

    @property
    @abstractmethod
    def size(self) -> int:
        """M, the number of members."""

    @abstractmethod
    def member(self, m: int) -> Potential:
        """One member as a potential of its own."""

    @abstractmethod
    def stacked(self) -> dict[str, Tensor]:
        """The members' numbers by the names of one, [M, ...]."""

    @abstractmethod
    def mean(self, graph: Graph) -> Prediction:
        """The mean alone."""

    @abstractmethod
    def told(self, each: Prediction) -> Prediction:
        """Mean and spread of every member's prediction."""

    @abstractmethod
    def with_fixed(self, learned: Prediction) -> Prediction:
        """The terms in `fixed` added."""


class FrozenCommittee:
    """Mean and spread, or the mean alone, as the committee tells them. Parameters that change are taken up at the next call."""

    def __init__(self, committee: Members, spread: bool) -> None:
        self.committee, self.spread, self.cutoff = committee, spread, committee.cutoff
        self.seen: Snapshot | None = None
        self.freezing = Lock()

    def __call__(self, graph: Graph) -> Prediction:
        committee = self.committee
        if not committee.training and graph.device.type == "cpu":
            if not self._holds():
                with self.freezing:  # threads that call at once freeze once
                    if not self._holds():
                        self._freeze()
            if self.together or self.one_by_one:
                self.facts.accept(graph)
                found = self._with_fixed(self._each(graph)) if self.spread else self._mean(graph)
                found = committee.with_global(found) if self.facts.is_global else found
                return committee.told(found) if self.spread else found
        return committee(graph) if self.spread else committee.mean(graph)

    def frozen(self) -> FrozenCommittee:
        """Itself."""
        return self

    def __reduce__(self) -> tuple:
        return FrozenCommittee, (self.committee, self.spread)  # a copy freezes anew

    def _holds(self) -> bool:
        return self.seen is not None and self.seen.holds()

    def _freeze(self) -> None:
        committee = self.committee
        seen, self.facts = Snapshot(committee), Facts(committee)
        self.cutoff = self.facts.cutoff
        places = [k for k, term in enumerate(committee.terms) if any(term is it for it in committee.learned.terms)]
        members = [[potential.terms[k] for k in places] for potential in map(committee.member, range(committee.size))]
        if not self.spread and (mean := linear_mean(committee)) is not None:
            members = [[mean.terms[k] for k in places]]
        programs = [_together(terms) for terms in zip(*members, strict=True)]
        self.together: list[Adds] = [it.evaluator() for it in programs if it is not None]
        self.one_by_one: list[Frozen] = []
        if len(self.together) < len(places):
            self.together = []
            if all(compiled(term) is not None for terms in members for term in terms):
                self.one_by_one = [Frozen(Potential(*terms)) for terms in members]
        shared = [compiled(term) for term in committee.fixed]
        made = [it.evaluator() for it in shared if it is not None]
        self.shared = [it for it in made if isinstance(it, Adds)]
        self.shared_by_torch = len(self.shared) < len(shared)  # then all of them are, as the committee does
        self.seen = seen  # at the end: what failed halfway is begun anew

    def _mean(self, graph: Graph) -> Prediction:
        """The mean with what all share."""
        if self.one_by_one:
            each = self._each(graph)
            outputs = Later(each.outputs, lambda: {name: value.mean(0) for name, value in each.outputs.items()})
            learned = Prediction(
                each.energy.mean(0), each.forces.mean(0), each.atomic_energies.mean(0), graph, outputs,
                lambda: each.strain_gradient.mean(0),
            )  # fmt: skip
            return self._with_fixed(learned)
        if self.shared_by_torch:
            return self.committee.with_fixed(predicted(call_of(graph).made_by(self.together), graph))
        return predicted(call_of(graph).made_by([*self.together, *self.shared]), graph)

    def _each(self, graph: Graph) -> Prediction:
        """Every member's, without what all share."""
        if self.together:
            return predicted(call_of(graph, self.committee.size).made_by(self.together), graph)
        found = [member(graph) for member in self.one_by_one]
        energy, forces, energies = (
            torch.stack([getattr(it, name) for it in found]) for name in ("energy", "forces", "atomic_energies")
        )
        outputs = Later(
            found[0].outputs, lambda: {name: torch.stack([it.outputs[name] for it in found]) for name in found[0].outputs}
        )
        return Prediction(energy, forces, energies, graph, outputs, lambda: torch.stack([it.strain_gradient for it in found]))

    def _with_fixed(self, learned: Prediction) -> Prediction:
        if self.shared_by_torch:
            return self.committee.with_fixed(learned)
        if not self.shared:
            return learned
        shared = predicted(call_of(learned.graph).made_by(self.shared), learned.graph)
        return Prediction(
            learned.energy + shared.energy, learned.forces + shared.forces, learned.atomic_energies + shared.atomic_energies,
            learned.graph, learned.outputs, lambda: learned.strain_gradient + shared.strain_gradient,
        )  # fmt: skip


def linear_mean(committee: Members) -> Potential | None:
    """The potential of mean coefficients, where members differ in nothing but what their energies are linear in."""
    linear = [
        name + "." + own
        for name, module in committee.member(0).named_modules()
        if isinstance(module, LinearBasis)
        for own in module.linear_in
    ]
    numbers = {}
    for name, each in committee.stacked().items():
        if name in linear:
            numbers[name] = each.detach().mean(0)
        elif (each == each[:1]).all():
            numbers[name] = each[0].detach()
        else:
            return None
    mean = committee.member(0)
    mean.load_state_dict(numbers)
    return mean


def _together(terms: tuple[Model, ...]) -> Networks | None:
    """One program of the members' programs, if they are networks that run compiled."""
    programs = [compiled(term) for term in terms]
    networks = [it for it, term in zip(programs, terms, strict=True) if isinstance(it, Networks) and len(term.outputs) == 1]
    return networks[0].together(networks[1:]) if len(networks) == len(terms) else None
