"""A committee: potentials of one architecture, trained on different seeds and folds, evaluated together.

Their parameters are stacked along a leading axis, so that M members cost one set of tensor operations; where a member is made of
operations that are compiled for one set of numbers (MACE, PaiNN), or chosen by tables among them (MTP), the members run one after the
other. The mean is the prediction; the spread, scaled by what held-out data taught, is the uncertainty.

Seung, Opper and Sompolinsky, COLT 1992 (query by committee); for potentials Behler, Int. J. Quantum Chem. 115, 1032 (2015).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from adiabat.graph import Graph
from adiabat.nn import Derived
from adiabat.potential import Potential, describe
from adiabat.prediction import Later, Prediction, Quick, overlaid
from adiabat.typing import Float, Tensor
from adiabat.uncertainty.frozen import FrozenCommittee, Members


class Committee(Members):
    """M potentials as one. Called like any potential it gives the mean, and the spread among its outputs:

    ``forces_spread`` [N], eV/Å: the root mean square over x, y, z of the members' standard deviation, times the calibration;
    ``energy_spread`` [S], eV: the members' standard deviation of the energy, times the calibration.
    """

    kind: ClassVar[str] = "committee"

    def __init__(self, template: Potential, stacked: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(*template.terms, metadata=template.metadata if metadata is None else metadata)
        terms = list(self._modules.pop("terms"))
        # The template lends its shape only; the numbers are the stacked ones, so it is kept out of the module tree.
        self.__dict__["terms"] = terms
        learned = [t for t in terms if any(True for _ in t.state_dict())]
        if any(t.is_global for t in learned):
            raise NotImplementedError(
                "a global term with numbers of its own cannot be a committee's yet; only one that all share"
            )
        self.__dict__["learned"] = _Sum(learned).requires_grad_(False)
        self.__dict__["fixed"] = [t for t in terms if not t.is_global and not any(True for _ in t.state_dict())]
        self.names = sorted(stacked)
        trained = {n for n, _ in template.named_parameters()}
        for name in self.names:
            if name in trained:
                self.register_parameter(_flat(name), nn.Parameter(stacked[name].clone()))
            else:
                self.register_buffer(_flat(name), stacked[name].clone())
        self.eval()

    @classmethod
    def of(cls, potentials: Sequence[Potential]) -> Committee:
        """The committee of potentials that differ in their numbers only."""
        if len(potentials) < 2:
            raise ValueError(f"{len(potentials)} potential came; a committee needs at least two")
        first, *others = ([describe(term) for term in potential.terms] for potential in potentials)
        if any(other != first for other in others):
            raise ValueError(
                f"the potentials differ in more than their numbers: {first} and {next(o for o in others if o != first)}"
            )
        if not potentials[0].state_dict():
            raise ValueError("these potentials have no numbers to differ in; a committee of them would know no doubt")
        parameters, buffers = stack_module_state(list(potentials))
        kept = potentials[0].state_dict()
        stacked = {k: v.detach() for k, v in {**parameters, **buffers}.items() if k in kept}
        return cls(copy.deepcopy(potentials[0]), stacked)

    @property
    def size(self) -> int:
        """M, the number of members."""
        return len(self.get_buffer_or_parameter(self.names[0]))

    @property
    def calibration(self) -> dict[str, float]:
        """What the spreads are multiplied with; 1 where nothing was held out to learn it."""
        return {"forces": 1.0, "energy": 1.0, **self.metadata.get("calibration", {}).get("scale", {})}

    def get_buffer_or_parameter(self, name: str) -> Tensor:
        return getattr(self, _flat(name))

    def stacked(self) -> dict[str, Tensor]:
        """The members' numbers by the template's names, [M, ...]."""
        return {name: self.get_buffer_or_parameter(name) for name in self.names}

    def member(self, m: int) -> Potential:
        """One member as a potential of its own."""
        potential = Potential(*copy.deepcopy(self.terms), metadata=self.metadata)
        state = {name: value[m].detach() for name, value in self.stacked().items()}
        potential.to(self.dtype).load_state_dict(state)
        return potential.requires_grad_(True)

    def forward(self, graph: Graph) -> Prediction:
        each = self.predictions(graph)
        if self.training:
            return each
        return self.told(each)

    def told(self, each: Prediction) -> Prediction:
        """Mean and spread of every member's prediction."""
        scale = self.calibration
        others = Later(each.outputs, lambda: {name: value.mean(0) for name, value in each.outputs.items()})
        spreads = {
            "forces_spread": scale["forces"] * each.forces.var(0).mean(-1).sqrt(),
            "energy_spread": scale["energy"] * each.energy.std(0),
        }
        return Prediction(
            each.energy.mean(0), each.forces.mean(0), each.atomic_energies.mean(0), each.graph,
            overlaid([others, spreads]), lambda: each.strain_gradient.mean(0),
        )  # fmt: skip

    def frozen(self) -> Quick:
        """This committee as it is called most quickly for values; see `FrozenCommittee`."""
        return FrozenCommittee(self, spread=True)

    def predictions(self, graph: Graph) -> Prediction:
        """Every member's prediction: the same fields with a leading axis M."""
        self.accept(graph)
        with torch.enable_grad():
            r = graph.r.detach().to(self.dtype).expand(self.size, -1, -1).clone().requires_grad_()
            energies, outputs = self._each(graph, r)
            return self.with_global(self.with_fixed(self.differentiate(graph, r, energies, outputs)))

    def mean(self, graph: Graph) -> Prediction:
        """The mean alone: one derivative instead of M, the geometry worked out once; for dynamics that asks for no spread."""
        self.accept(graph)
        with torch.enable_grad():
            r = graph.r.detach().to(self.dtype).requires_grad_()
            energies, outputs = self._each(graph, r)
            mean = self.differentiate(graph, r, energies.mean(0), {k: v.mean(0) for k, v in outputs.items()})
            return self.with_global(self.with_fixed(mean))

    @property
    def without_spread(self) -> Mean:
        """This committee as a potential that tells its mean alone."""
        return Mean(self)

    def _each(self, graph: Graph, r: Float[Tensor, "*members E 3"]) -> tuple[Tensor, dict[str, Tensor]]:
        """Energies [M, N] and outputs of all members, at edge vectors of their own or at shared ones."""
        numbers = {_inner(name, self): value for name, value in self.stacked().items()}
        own = r.dim() == 3
        if not self._in_turn:
            return vmap(self._member(graph, self.learned), in_dims=(0, 0 if own else None))(numbers, r)
        energies, outputs = zip(
            *(
                self._member(graph, copy_of_it)({name: value[m] for name, value in numbers.items()}, r[m] if own else r)
                for m, copy_of_it in enumerate(self._copies())
            ),
            strict=True,
        )
        return torch.stack(energies), {name: torch.stack([each[name] for each in outputs]) for name in outputs[0]}

    @property
    def _in_turn(self) -> bool:
        """Whether one after the other: convolutions and polynomials have no compiled form for M sets of tables at once, and
        some models none by tensors either."""
        modules, numbers = list(self.learned.modules()), self.get_buffer_or_parameter(self.names[0])
        compiled = numbers.device.type == "cpu" and any(isinstance(module, Derived) for module in modules)
        return compiled or any(getattr(module, "one_by_one", False) for module in modules)

    def _copies(self) -> list[_Sum]:
        """A template for each member, which keeps what is worked out from its numbers while evaluating."""
        if len(self.__dict__.get("copies", ())) != self.size:
            self.__dict__["copies"] = [copy.deepcopy(self.learned) for _ in range(self.size)]
        return [each.train(self.training) for each in self.__dict__["copies"]]

    def _member(self, graph: Graph, template: _Sum) -> Callable[[dict[str, Tensor], Tensor], tuple[Tensor, dict[str, Tensor]]]:
        def energies(numbers: dict[str, Tensor], r: Float[Tensor, "E 3"]) -> tuple[Tensor, dict[str, Tensor]]:
            return functional_call(template, numbers, (graph.replace(r=r),))

        return energies

    def with_fixed(self, learned: Prediction) -> Prediction:
        """Add the terms that have nothing to learn, which all members share."""
        if not self.fixed:
            return learned
        shared = self._shared(learned.graph)
        return Prediction(
            learned.energy + shared.energy, learned.forces + shared.forces, learned.atomic_energies + shared.atomic_energies,
            learned.graph, learned.outputs, lambda: learned.strain_gradient + shared.strain_gradient,
        )  # fmt: skip

    def _shared(self, graph: Graph) -> Prediction:
        with torch.enable_grad():
            r = graph.r.detach().to(torch.float64).requires_grad_()
            parts = [term(graph.replace(r=r))["energies"] for term in self.fixed]
            # These do not depend on what is trained: no graph of the derivative is kept.
            return self.differentiate(graph, r, torch.stack(parts).sum(0), {}, graded=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Committee:
        given = {name: value.data for name, value in self.stacked().items()}
        super()._apply(fn, recurse)
        self.__dict__.pop("copies", None)
        self.learned._apply(fn)
        kept = dict(self.learned.state_dict())
        for name, value in given.items():  # a family that keeps its precision (GAP) keeps that of all members
            moved, wanted = self.get_buffer_or_parameter(name), kept[_inner(name, self)].dtype
            if moved.dtype != wanted:
                moved.data = value.to(moved.device, wanted)
        for term in self.terms:
            if term not in self.learned.terms:
                term._apply(fn)
        return self

    def header(self) -> dict[str, Any]:
        return {**super().header(), "members": self.size}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        return {name: self.get_buffer_or_parameter(name).detach() for name in self.names}


class Mean:
    """A committee that is asked for its mean alone: what dynamics calls between two looks at the spread."""

    def __init__(self, committee: Committee) -> None:
        self.committee, self.cutoff = committee, committee.cutoff

    def __call__(self, graph: Graph) -> Prediction:
        return self.committee.mean(graph)

    def frozen(self) -> Quick:
        """The mean as it is called most quickly for values."""
        return FrozenCommittee(self.committee, spread=False)


class _Sum(nn.Module):
    """The local terms that learn, summed in float64: what vmap is taken over."""

    def __init__(self, terms: Sequence[nn.Module]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    def forward(self, graph: Graph) -> tuple[Tensor, dict[str, Tensor]]:
        total, others = torch.zeros((), dtype=torch.float64, device=graph.device), {}
        for term in self.terms:
            outputs = term(graph)
            total = total + outputs.pop("energies").to(torch.float64)
            others.update(outputs)
        return total, others


def _flat(name: str) -> str:
    """Parameter names hold no dots."""
    return "member:" + name.replace(".", ":")


def _inner(name: str, committee: Committee) -> str:
    """terms.2.model.x of the template is terms.0.model.x among the learned ones."""
    _, position, rest = name.split(".", 2)
    place = [id(t) for t in committee.learned.terms].index(id(committee.terms[int(position)]))
    return f"terms.{place}.{rest}"
