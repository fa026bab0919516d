"""Terms that every family has use for: the energies of isolated atoms, and a model in units of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.graph import Graph, Label
from adiabat.kernels.evaluation import Program
from adiabat.kernels.local import Constants, LocalProgram
from adiabat.potential.model import Model
from adiabat.typing import Tensor


class ReferenceEnergies(Model):
    """E_i = E0 of the element: the energy of the isolated atom, or a fit to the compositions (eV); `learn`: and what training adds."""

    name = "reference_energies"
    in_eV = in_double = True  # a thousand eV an atom would lose meV in float32

    def __init__(self, energies: dict[str, float], learn: bool = False) -> None:
        super().__init__()
        self.elements = atomic_numbers(energies)
        self.given = [0.0] * (max(self.elements) + 1)
        for name, energy in energies.items():
            self.given[atomic_numbers([name])[0]] = float(energy)
        self.added = nn.Parameter(torch.zeros(len(self.given), dtype=torch.float64)) if learn else None

    @property
    def table(self) -> list[float]:
        """eV by atomic number, as they are now."""
        added = [0.0] * len(self.given) if self.added is None else self.added.detach().tolist()
        return [e + more for e, more in zip(self.given, added, strict=True)]

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        table = graph.once(
            ("E0", tuple(self.given)), lambda: torch.tensor(self.given, dtype=torch.float64, device=graph.device)[graph.numbers]
        )
        return {"energies": table if self.added is None else table + self.added[graph.numbers]}

    def program(self) -> Constants:
        return Constants(torch.tensor(self.table, dtype=torch.float64))

    def extra_repr(self) -> str:
        table = self.table
        return f"energies={ {symbol(z): table[z] for z in self.elements or ()} }"


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
