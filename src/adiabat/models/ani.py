"""ANI: networks of atomic environment vectors with two cutoffs, one network an element.

Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import AEV, environments
from adiabat.kernels.aev import parameters_of, spec_of
from adiabat.kernels.networks import Member, Networks
from adiabat.nn import neighbor_species
from adiabat.potential import Model
from adiabat.typing import Float, Tensor


class ANI(Model):
    """E_i = NN_{Z_i}(G_i) − NN_{Z_i}(0), with the atomic environment vector G_i: an atom without neighbors has its reference energy.

    | symbol of the paper | here |
    |---|---|
    | G^R, eq. 3: Σ_j e^{−η(R_ij − R_s)²} f_C(R_ij), for each neighbor element | `radial` shifts R_s with `eta`, within `cutoff` |
    | G^A, eq. 4: 2^{1−ζ} Σ_{j<k} (1 + cos(θ_ijk − θ_s))^ζ e^{−η(½(R_ij + R_ik) − R_s)²} f_C f_C, for each pair of elements | `shells` shifts R_s with `angular_eta`, `sections` angles θ_s with `zeta`, within `angular_cutoff` |
    | f_C, eq. 2 | `fade`: cosine, or torchani's smooth |
    | the networks of fig. 3 | `hidden` layers, the same for all elements or by element, `activation` celu (α = 0.1) or gelu |

    As in the published networks G^R is multiplied by ¼ and the angle taken of 0.95 cos θ. Shifts and angles are numbers of even
    steps (R_s from `start` to the cutoff, θ_s in the middle of their sections of 0…π), or lists. Defaults are those of ANI-1x
    (Smith et al., J. Chem. Phys. 148, 241733 (2018)); ANI-2x has cutoff 5.1, start 0.8, eta 19.7, 8 shells, 4 sections,
    angular_eta 12.5 and zeta 14.1 (Devereux et al., J. Chem. Theory Comput. 16, 4192 (2020)).

    Cutoffs and shifts in Å, η in Å⁻², angles in radians; `elements` may be left to the training data. An ensemble is a `Committee`.
    """  # noqa: E501 (a table's row is a line)

    name = "ani"

    def __init__(
        self,
        cutoff: float = 5.2,
        angular_cutoff: float = 3.5,
        elements: list[str] | None = None,
        radial: int | list[float] = 16,
        shells: int | list[float] = 4,
        sections: int | list[float] = 8,
        eta: float = 16.0,
        angular_eta: float = 8.0,
        zeta: float = 32.0,
        start: float = 0.9,
        fade: str = "cosine",
        hidden: list[int] | dict[str, list[int]] = [160, 128, 96],  # noqa: B006 (recorded, never changed)
        activation: str = "celu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        self.functions = AEV.even(
            self.cutoff, angular_cutoff, radial, shells, sections, start=start,
            eta=float(eta), angular_eta=float(angular_eta), zeta=float(zeta), fade=fade,
        )  # fmt: skip
        if activation not in ACTIVATIONS:
            raise ValueError(f"ani.activation: {activation!r} came; wanted {' or '.join(ACTIVATIONS)}")
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        size = self.functions.size(len(self.elements))
        self.activation = activation
        widths = [_widths(hidden, periodic_table.symbol(number)) for number in self.elements]
        self.networks = nn.ModuleList(AtomicNetwork([size, *middle, 1], activation, bias) for middle in widths)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("ani: its elements are not known yet; give them, or let `fit` take them from the training data")
        species = graph.once(("species", self.elements), lambda: neighbor_species(graph, self.elements))
        G = environments(graph.r, species, graph, len(self.elements), self.functions)  # N D
        energies = torch.zeros(graph.n_atoms, dtype=G.dtype, device=G.device)
        for number, network in zip(self.elements, self.networks, strict=True):
            atoms = graph.atoms_of(number)
            if len(atoms):
                # The last row is the atom without neighbors, whose energy is the zero.
                e = network(torch.cat([G.index_select(0, atoms), G.new_zeros(1, G.shape[1])]))
                energies = energies.index_add(0, atoms, e[:-1] - e[-1])
        return {"energies": energies}

    def program(self) -> Networks | None:
        depths = {len(network.layers) for network in self.networks} if self.elements is not None else set()
        if len(depths) != 1 or self.activation != "celu":
            return None
        eta, shifts, angular = parameters_of(self.functions)
        dense = [
            [(x.weight, x.bias if x.bias is not None else x.weight.new_zeros(len(x.weight))) for x in net.layers]
            for net in self.networks
        ]
        D = dense[0][0][0].shape[1]
        plain = Member(torch.zeros(len(dense), D), torch.ones(len(dense), D), dense)
        return Networks(
            self.elements or (), self.cutoff, eta, shifts, angular, (), (plain,), dense[0][0][0].dtype,
            activations="celu", environment=spec_of(self.functions),
        )  # fmt: skip

    def uncompiled(self) -> str:
        return f"compiled are networks of one depth with celu; these have {self.activation}, or several depths"


def _celu(x: Tensor) -> Tensor:
    # not torch's celu(x, 0.1): the derivative it gives is rounded to single precision
    return 0.1 * nn.functional.elu(10 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"celu": _celu, "gelu": nn.functional.gelu}


class AtomicNetwork(nn.Module):
    """Dense layers with an activation between them; weights drawn by He et al. (ICCV 2015), biases zero."""

    def __init__(self, sizes: Sequence[int], activation: str, bias: bool) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)
            if bias:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)[:, 0]


def _widths(hidden: Sequence[int] | Mapping[str, Sequence[int]], element: str) -> Sequence[int]:
    if not isinstance(hidden, Mapping):
        return hidden
    if element not in hidden:
        raise ValueError(f"ani.hidden: layers of {element} are missing; it has {', '.join(hidden)}")
    return hidden[element]
