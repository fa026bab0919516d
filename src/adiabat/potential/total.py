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
from adiabat.elements import symbol
from adiabat.frozen import Frozen
from adiabat.graph import Graph
from adiabat.potential.model import Model, describe
from adiabat.prediction import Prediction, Quick, gathered, symmetric
from adiabat.typing import Float, Tensor

if TYPE_CHECKING:
    from adiabat.calculator import AdiabatCalculator


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
        """The precision of the parameters that may have another than double, and so of the edge vectors the models see."""
        return next((p.dtype for p in self.parameters() if p.dtype != torch.float64), torch.float64)

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
