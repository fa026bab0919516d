"""`Potential`: the sum of terms, differentiated once, for everyone.

    E = Σ_terms Σ_atoms E_i,   F = −∂E/∂R,   σ = (1/V) ∂E/∂ε

Local terms see edge vectors only. From g = ∂E/∂r the forces are gathered over centers and neighbors, and ∂E/∂ε = Σ r⊗g: so
translation invariance, periodicity, stress and the second derivative that force training needs are settled here. Global terms
(electrostatics, dispersion) see positions and the strained cell, and are differentiated with respect to those.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from adiabat import modelfile
from adiabat.config import recorded
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.frozen import Frozen
from adiabat.graph import Graph, Label
from adiabat.kernels.evaluation import Program
from adiabat.kernels.local import Constants, LocalProgram
from adiabat.prediction import Prediction, Quick, gathered, symmetric
from adiabat.typing import Float, Tensor

if TYPE_CHECKING:
    from adiabat.calculator import AdiabatCalculator


class Model(nn.Module):
    """What a potential sums: (numbers, edge vectors, topology) → per-atom energies in eV, and the atomic outputs it declares.

    A subclass states `elements` (atomic numbers; None until the data say so) and `cutoff` (Å). Its constructor arguments are
    recorded: they are what a model file and a configuration hold.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ("energies",)
    inputs: ClassVar[tuple[str, ...]] = ()  # global inputs of the graph it uses; others are refused
    waived: ClassVar[Mapping[str, str]] = {}  # law → why this family's definition breaks it
    is_global: ClassVar[bool] = False  # True: sees positions and cell, and gives "energy" [S]
    one_by_one: ClassVar[bool] = False  # True: a committee's members cannot be one set of tensor operations
    in_eV: ClassVar[bool] = False  # True: its numbers have units, and training takes them as they stand
    later: ClassVar[tuple[str, ...]] = ()  # numbers that model files once did not hold: read from one of those they are as made

    elements: tuple[int, ...] | None = None
    cutoff: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = recorded(cls.__init__)  # type: ignore[method-assign]

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        raise NotImplementedError

    def for_elements(self, elements: Iterable[str | int]) -> Model:
        """This model for these elements, if its own were left to the data."""
        if self.elements is not None:
            return self
        return type(self)(**{**self.arguments, "elements": tuple(symbol(z) for z in atomic_numbers(elements))})

    def fresh(self) -> Model:
        """Another one of these arguments, as training begins with it."""
        return type(self)(**self.arguments)

    def prepare(self, graphs: Sequence[Graph]) -> None:
        """Set what depends on the training data alone (the scaling of descriptors, say), before the first step."""

    def begin(self, graphs: Sequence[Graph]) -> None:
        """Set where training begins, by the labels of the frames that are learned from, in this model's units."""

    def settle(self) -> None:
        """Training is over: let go of what only training needs."""

    def program(self) -> Program | LocalProgram | None:
        """What the evaluator may run in one call instead of `forward`; None where there is no such list of operations."""
        return None

    def uncompiled(self) -> str:
        """Why `program` tells None, for whoever needs a compiled form."""
        return "this family has none"

    def beside(self, graph: Graph) -> dict[str, Tensor]:
        """What `forward` tells beside energies, where these come from a compiled form."""
        return {name: value for name, value in self(graph).items() if name != "energies"}

    def remember(self, graph: Graph) -> Graph:
        """The graph with what this model need not work out again for fixed positions; by default as it came."""
        return graph

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self.arguments.items() if not isinstance(v, nn.Module))


class ReferenceEnergies(Model):
    """E_i = E0 of the element: the energy of the isolated atom, or a fit to the compositions (eV); `learn`: and what training adds."""

    name = "reference_energies"
    in_eV = True

    def __init__(self, energies: dict[str, float], learn: bool = False) -> None:
        super().__init__()
        self.elements = atomic_numbers(energies)
        # Held as plain numbers: a thousand eV an atom would lose meV if they followed the potential to float32.
        self.table = [0.0] * (max(self.elements) + 1)
        for name, energy in energies.items():
            self.table[atomic_numbers([name])[0]] = float(energy)
        self.added = nn.Parameter(torch.zeros(len(self.table), dtype=torch.float64)) if learn else None

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        table = graph.once(
            ("E0", tuple(self.table)), lambda: torch.tensor(self.table, dtype=torch.float64, device=graph.device)[graph.numbers]
        )
        return {"energies": table if self.added is None else table + self.added[graph.numbers].to(table.dtype)}

    def program(self) -> Constants:
        table = torch.tensor(self.table, dtype=torch.float64)
        return Constants(table if self.added is None else table + self.added.detach().cpu())


class Scaled(Model):
    """A model in units of `eV`: its energies, of order one, times a constant with which training starts at the right scale."""

    name = "scaled"

    def __init__(self, model: Model, eV: float = 1.0) -> None:
        super().__init__()
        self.model, self.eV = model, float(eV)
        self.elements, self.cutoff = model.elements, model.cutoff
        self.inputs, self.outputs, self.waived = model.inputs, model.outputs, model.waived  # type: ignore[misc]
        self.is_global = model.is_global  # type: ignore[misc]

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        scaled = ("energies", "energy")
        return {name: value * self.eV if name in scaled else value for name, value in self.model(graph).items()}

    def program(self) -> Program | LocalProgram | None:
        program = self.model.program()
        return None if program is None else program.times(self.eV)

    def uncompiled(self) -> str:
        return f"{self.model.name}: {self.model.uncompiled()}"

    def beside(self, graph: Graph) -> dict[str, Tensor]:
        return self.model.beside(graph)

    def prepare(self, graphs: Sequence[Graph]) -> None:
        self.model.prepare(graphs)

    def begin(self, graphs: Sequence[Graph]) -> None:
        labeled = ({k: Label(label.value / self.eV, label.mask) for k, label in graph.labels.items()} for graph in graphs)
        self.model.begin([graph.replace(labels=labels) for graph, labels in zip(graphs, labeled, strict=True)])

    def settle(self) -> None:
        self.model.settle()

    def remember(self, graph: Graph) -> Graph:
        return self.model.remember(graph)


class Potential(nn.Module):
    """A sum of terms with forces and stress.

    >>> from ase import Atoms
    >>> from adiabat.models.pair import LennardJones
    >>> potential = Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"]))
    >>> dimer = Graph.of(Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]), cutoff=potential.cutoff)
    >>> potential(dimer).forces[1, 2] < 0  # beyond the minimum the atoms attract each other
    tensor(True)
    """

    kind: ClassVar[str] = "potential"

    def __init__(self, *terms: Model, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if not terms:
            raise ValueError("a potential needs at least one term")
        self.terms = nn.ModuleList(terms)
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.eval()

    @property
    def cutoff(self) -> float:
        """Å; the largest of the terms'."""
        return max(term.cutoff for term in self.terms)

    @property
    def elements(self) -> tuple[int, ...] | None:
        """Atomic numbers every term knows; None if no term is particular."""
        known = [set(term.elements) for term in self.terms if term.elements is not None]
        return tuple(sorted(set.intersection(*known))) if known else None

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters, and so of the edge vectors the models see."""
        return next((p.dtype for p in self.parameters()), torch.float64)

    def forward(self, graph: Graph) -> Prediction:
        self.accept(graph)
        with torch.enable_grad():
            r = graph.r.detach().to(self.dtype).requires_grad_()
            energies, outputs = self.local(graph.replace(r=r))
            return self.with_global(self.differentiate(graph, r, energies, outputs))

    def frozen(self) -> Quick:
        """This potential as it is called most quickly for values: compiled into one call where a term allows it.

        The same numbers to rounding, without gradients; see `Frozen`.
        """
        return Frozen(self)

    def predictions(self, graph: Graph) -> Prediction:
        """What training compares with labels; a committee gives every member's."""
        return self(graph)

    def local(self, graph: Graph, terms: Iterable[Model] | None = None) -> tuple[Float[Tensor, "N"], dict[str, Tensor]]:
        """Σ of the local terms' per-atom energies (float64), and what else they tell; of these terms alone, if any are named."""
        total: Tensor | None = None
        others: dict[str, Tensor] = {}
        for term in self.terms if terms is None else terms:
            if not term.is_global:
                outputs = term(graph)
                energies = outputs.pop("energies").to(torch.float64)
                total = energies if total is None else total + energies
                others.update(outputs)
        if total is None:
            total = torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)
        return total, others

    def differentiate(
        self, graph: Graph, r: Tensor, energies: Tensor, outputs: Mapping[str, Tensor], graded: bool | None = None
    ) -> Prediction:
        """Forces and stress of per-atom energies that came from the leaf `r`; leading axes (a committee) are kept.

        `graded` (in training, if not said) keeps the graph of the derivative, for a second one.
        """
        graded = self.training if graded is None else graded
        g = torch.zeros_like(r)
        if energies.requires_grad and r.numel():
            (found,) = torch.autograd.grad(energies.sum(), r, create_graph=graded, allow_unused=True)
            g = g if found is None else found
        if not graded:
            energies, outputs = energies.detach(), {k: v.detach() for k, v in outputs.items()}
        g = g.to(torch.float64)
        energy = gathered(energies, graph.structure, graph.n_structures)
        # ∂E/∂R_j = +g and ∂E/∂R_i = −g, so the center is pushed along g.
        forces = gathered(
            torch.cat([g, -g], -2), graph.once("ends", lambda: torch.cat([graph.i, graph.j])), graph.n_atoms, axis=-2
        )
        vectors = r.detach().to(torch.float64)

        def strain() -> Tensor:
            pairs = vectors[..., :, None] * g[..., None, :]
            return symmetric(gathered(pairs, graph.structure[graph.i], graph.n_structures, axis=-3))

        return Prediction(energy, forces, energies, graph, outputs, strain)

    def with_global(self, local: Prediction) -> Prediction:
        """Add the global terms, differentiated with respect to positions and strain."""
        terms = [term for term in self.terms if term.is_global]
        if not terms:
            return local
        graph = local.graph
        positions = graph.positions.detach().clone().requires_grad_()
        strain = torch.zeros_like(graph.cell).requires_grad_()
        grown = torch.eye(3, dtype=strain.dtype, device=strain.device) + strain
        strained = torch.einsum("nx,nxy->ny", positions, grown[graph.structure])
        here = graph.replace(positions=strained, cell=graph.cell @ grown)
        energy = torch.stack([term(here)["energy"] for term in terms]).sum(0)
        # An offset of the energy has no gradient; a sum with zeros lets it pass.
        anchored = energy.sum() + 0 * (positions.sum() + strain.sum())
        at, by = torch.autograd.grad(anchored, (positions, strain), create_graph=self.training)
        energy = energy if self.training else energy.detach()
        return Prediction(
            local.energy + energy,
            local.forces - at,
            local.atomic_energies,
            graph,
            local.outputs,
            lambda: local.strain_gradient + symmetric(by),
        )

    def accept(self, graph: Graph) -> None:
        """Refuse what the terms do not know: other elements, too short a cutoff, global inputs nobody declared; and vectors of no
        length or that are not numbers, of which some would make silent NaNs."""
        graph.accept_vectors()
        if self.cutoff > graph.cutoff:
            raise ValueError(
                f"cutoff {self.cutoff} Å exceeds the graph's {graph.cutoff} Å; build it with Graph.of(..., cutoff={self.cutoff})"
            )
        graph.once(("accepted", self.elements), lambda: self._accept_elements(graph))
        for name, value in graph.inputs.items():
            if not any(name in term.inputs for term in self.terms):
                raise ValueError(
                    f"the structure states {name} {value.tolist()}, and no term of this potential depends on {name}; "
                    "use a family that does, or remove it from atoms.info"
                )

    def _accept_elements(self, graph: Graph) -> bool:
        elements = self.elements
        unseen = set() if elements is None else set(graph.numbers.unique().tolist()) - set(elements)
        if elements is not None and unseen:
            known = " ".join(symbol(z) for z in elements)
            raise ValueError(
                f"the structure contains {' '.join(symbol(z) for z in sorted(unseen))}, which this potential has not seen; "
                f"it knows {known}. Train with structures that contain it"
            )
        return True

    def prepare(self, graphs: Sequence[Graph]) -> None:
        """Let every term set what depends on the training data alone."""
        for term in self.terms:
            term.prepare(graphs)

    def begin(self, graphs: Sequence[Graph]) -> None:
        """Let every term set where training begins."""
        for term in self.terms:
            term.begin(graphs)

    def settle(self) -> Potential:
        """Without what only training needs."""
        for term in self.terms:
            term.settle()
        return self

    def remember(self, graph: Graph) -> Graph:
        """The graph with all that the terms need not work out again for fixed positions."""
        for term in self.terms:
            graph = term.remember(graph)
        return graph

    def calculator(
        self, device: str = "cpu", dtype: torch.dtype | None = None, skin_angstrom: float = 0.5
    ) -> AdiabatCalculator:
        """An ASE calculator with energy, forces, stress, per-atom energies, and the uncertainty where there is one."""
        from adiabat.calculator import AdiabatCalculator

        dtype = dtype or self.dtype
        # Moving a module changes it in place, and float32 cannot be undone: another precision or place gets a copy.
        same = dtype == self.dtype and all(p.device == torch.device(device) for p in self.parameters())
        potential = self if same else copy.deepcopy(self).to(device=device, dtype=dtype)
        return AdiabatCalculator(potential.eval(), potential.frozen(), self.cutoff, device=device, skin=skin_angstrom)

    def header(self) -> dict[str, Any]:
        """What a model file tells of this potential, beside its numbers."""
        known = self.elements
        return {
            "kind": self.kind,
            "terms": [describe(term) for term in self.terms],
            "elements": None if known is None else [symbol(z) for z in known],
            "cutoff": self.cutoff,
            "units": {"energy": "eV", "length": "angstrom"},
            "dtype": str(self.dtype).removeprefix("torch."),
            "metadata": self.metadata,
        }

    def save(self, path: str | Path) -> None:
        """Write a model file: safetensors with a JSON header; `adiabat.load` reads it back."""
        modelfile.write(path, self.header(), self.state_dict())


def describe(term: Model) -> dict[str, Any]:
    """A term as ``{name: arguments}``; arguments that are models themselves likewise."""
    return {term.name: {k: describe(v) if isinstance(v, Model) else v for k, v in term.arguments.items()}}
