"""Pair potentials: E_i = ½ Σ_j φ(d_ij) f_c(d_ij), with φ by Lennard-Jones, Morse or Buckingham."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels.geometry import distance
from adiabat.kernels.pairs import Pairs
from adiabat.kernels.radial import polynomial_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.triplet import pair_channel
from adiabat.nn.first_guess import best_guess
from adiabat.nn.surroundings import nearest_of_each_pair
from adiabat.potential import Model, Potential
from adiabat.typing import Float, Int, Tensor

STEPS = dict.fromkeys(
    ("a_pair_parts_smoothly", "an_atom_leaves_a_molecule_smoothly"), "a pair that is cut, not faded out, ends in a step"
)
STRETCHES = (0.9, 1.0, 1.1, 1.2, 1.35)  # places of the first wells, in the distances of neighbors


class Pair(Model):
    """What the pair potentials share: half of each directed edge goes to its center.

    `fade` says how a pair ends at the cutoff: "smooth" (f_c of `polynomial_cutoff`), or as other codes cut it: "shifted" (φ(d) − φ(r_c)
    below it) or "cut" (φ(d) below it). `pairs` gives pairs of elements, {"Ta-W": {"epsilon_eV": 0.02, "cutoff": 6.0}}, numbers of their
    own where they differ from the others'.

    In training every pair of elements learns numbers of its own (`learn`, which training sets), as factors of those it begins with, so that
    none changes its sign and what is zero stays it. What is not given begins by the distances of neighbors, and by the forces.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = ()  # of φ, as the constructor calls them
    USUAL: ClassVar[tuple[float, ...]] = ()  # where none are given
    in_eV = True
    optimizer = "lbfgs"

    def __init__(
        self,
        cutoff: float,
        elements: Sequence[str] | None,
        numbers: Sequence[float | None],
        fade: str,
        pairs: Mapping[str, Mapping[str, float]] | None,
        learn: bool,
    ) -> None:
        super().__init__()
        if fade not in ("smooth", "shifted", "cut"):
            raise ValueError(f"{self.name}.fade: {fade!r} came; wanted smooth, shifted or cut")
        if elements is None and (pairs or learn):
            raise ValueError(f"{self.name}.elements: none came; elements are wanted where pairs have numbers of their own")
        self.elements = None if elements is None else periodic_table.numbers(elements)
        self.fade = fade
        if fade != "smooth":
            self.waived = STEPS  # type: ignore[misc]
        # P numbers: those of φ, and the cutoff in Å, of each pair of elements; one row for all where they do not differ
        first = [usual if x is None else float(x) for x, usual in zip(numbers, self.USUAL, strict=True)]
        self.rows = torch.tensor([[*first, float(cutoff)]], dtype=torch.float64)
        self.open = torch.tensor([[x is None for x in numbers]])  # P numbers: nobody has given them
        if pairs or learn:
            Z = len(self.elements or ())
            self.rows, self.open = (x.repeat(Z * (Z + 1) // 2, 1) for x in (self.rows, self.open))
            self._give(pairs or {})
        self.cutoff = float(self.rows[:, -1].max())
        self.learned = nn.Parameter(torch.zeros(self.open.shape, dtype=torch.float64)) if learn else None

    def _give(self, pairs: Mapping[str, Mapping[str, float]]) -> None:
        known = {periodic_table.symbol(z): k for k, z in enumerate(self.elements or ())}
        places, names = self.places(), [*self.NUMBERS, "cutoff"]
        for pair, own in pairs.items():
            ends = [known.get(end) for end in pair.split("-")]
            if len(ends) != 2 or None in ends or not own.keys() <= {*names}:
                raise ValueError(
                    f"{self.name}.pairs: {pair!r}: {dict(own)} came; wanted two of {', '.join(known)}, such as "
                    f"{'-'.join([*known][:1] * 2)}, and of {', '.join(names)}"
                )
            row = places[ends[0], ends[1]]
            for name, value in own.items():
                self.rows[row, names.index(name)] = float(value)
                if name != "cutoff":
                    self.open[row, names.index(name)] = False

    def places(self) -> Int[Tensor, "Z Z"]:
        """The row of each pair of elements."""
        z = torch.arange(len(self.elements or ()))
        return pair_channel(z[:, None].expand(-1, len(z)), z.expand(len(z), -1)) * (len(self.rows) > 1)

    def table(self) -> Float[Tensor, "P numbers"]:
        """The numbers of φ and the cutoff as they are now, by `places`."""
        if self.learned is None:
            return self.rows
        rows = self.rows.to(self.learned.device)
        return torch.cat([rows[:, :-1] * self.learned.to(torch.float64).exp(), rows[:, -1:]], 1)

    def by_pair(self) -> dict[str, dict[str, float]]:
        """The numbers of each pair of elements by their names, as `pairs` takes them.

        >>> LennardJones(elements=["Ar"]).by_pair()
        {'Ar-Ar': {'epsilon_eV': 0.0103, 'sigma_angstrom': 3.4, 'cutoff': 8.5}}
        """
        names, places, table = [*self.NUMBERS, "cutoff"], self.places(), self.table().tolist()
        symbols = [*enumerate(periodic_table.symbol(z) for z in self.elements or ())]
        return {f"{a}-{b}": dict(zip(names, table[places[i, j]])) for i, a in symbols for j, b in symbols[i:]}

    def extra_repr(self) -> str:
        return super().extra_repr() if self.learned is None else f"{self.by_pair()}, fade={self.fade!r}"

    def fresh(self) -> Pair:
        return type(self)(**{**self.arguments, "learn": True})

    def begin(self, graphs: Sequence[Graph]) -> None:
        """Begin with what nobody gave: wells about where atoms are neighbors, of the place and depth that fit the forces best."""
        if self.learned is None or self.elements is None:
            return
        nearest = nearest_of_each_pair(graphs, self.elements, self.cutoff)

        def forces(stretch: float, graph: Graph) -> Tensor:
            self._learn_from(nearest * stretch, 1.0)
            return Potential(self)(graph).forces

        stretch, depth = best_guess(graphs, STRETCHES, forces)
        self._learn_from(nearest * stretch, depth)

    @torch.no_grad()
    def _learn_from(self, at: Float[Tensor, "P"], depth: float) -> None:
        """Wells there; where atoms never meet, and of numbers that were given, what there is."""
        assert self.learned is not None
        wells = torch.tensor([self.well(d, depth) for d in at.tolist()], dtype=torch.float64)
        self.learned.copy_(torch.where(self.open & at.isfinite()[:, None], (wells / self.rows[:, :-1]).log(), 0.0))

    def well(self, d: float, depth: float) -> tuple[float, ...]:
        """Numbers of a φ whose minimum is `depth` eV deep, at d Å."""
        raise NotImplementedError

    def phi(self, d: Float[Tensor, "*members E"], *numbers: Tensor) -> Float[Tensor, "*members E"]:
        """Before it is cut."""
        raise NotImplementedError

    def pair_energies(self, d: Float[Tensor, "*members E"], graph: Graph) -> Float[Tensor, "*members E"]:
        table = self.table().to(device=d.device, dtype=d.dtype)
        if len(table) > 1:
            table = table[graph.once(("pairs", self.elements), lambda: self._row_of_edges(graph))]
        *numbers, cutoff = table.unbind(-1)  # 1 or E each
        y = self.phi(d, *numbers)
        if self.fade == "smooth":
            return y * polynomial_cutoff(d / cutoff, 1.0)
        if self.fade == "shifted":
            y = y - self.phi(cutoff, *numbers)
        return y * (d < cutoff)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        half = 0.5 * self.pair_energies(distance(graph.r), graph)  # E
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}

    def listed(self, form: str, order: Sequence[int] = (0, 1, 2)) -> Pairs:
        """The compiled form of this name, numbers of φ in the order that it has."""
        table = self.table().detach()
        numbers = torch.zeros(len(table), 10, dtype=torch.float64)
        for place, k in enumerate(order):
            numbers[:, place] = table[:, k]
        if self.fade == "smooth" and len(table) == 1:
            p, q, s = numbers[0, :3].tolist()
            return Pairs(form, self.elements, self.cutoff, (p, q, s))
        numbers[:, 3] = cutoff = table[:, -1]
        if self.fade == "shifted":
            numbers[:, 4] = self.phi(cutoff, *table[:, :-1].unbind(-1))
        rows = numbers[self.places()] if len(table) > 1 else numbers[None]
        return Pairs(form, self.elements, self.cutoff, (0.0, 0.0, 0.0), rows=rows, cut=self.fade != "smooth")

    def _row_of_edges(self, graph: Graph) -> Int[Tensor, "E"]:
        kinds = torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)
        return pair_channel(kinds[graph.i], kinds[graph.j])


class LennardJones(Pair):
    """φ(d) = 4ε [(σ/d)¹² − (σ/d)⁶], Jones, Proc. R. Soc. A 106, 463 (1924); argon's, or learned; `fade` and `pairs` as for `Pair`.

    >>> LennardJones(0.0103, 3.4, elements=["Ar", "Ne"], pairs={"Ar-Ne": {"sigma_angstrom": 3.1, "cutoff": 9.0}}).cutoff
    9.0
    """

    name = "lennard_jones"
    NUMBERS = ("epsilon_eV", "sigma_angstrom")
    USUAL = (0.0103, 3.4)

    def __init__(
        self,
        epsilon_eV: float | None = None,
        sigma_angstrom: float | None = None,
        cutoff: float = 8.5,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
        learn: bool = False,
    ) -> None:
        super().__init__(cutoff, elements, (epsilon_eV, sigma_angstrom), fade, pairs, learn)

    def well(self, d: float, depth: float) -> tuple[float, ...]:
        return depth, d / 2 ** (1 / 6)

    def phi(self, d: Tensor, *numbers: Tensor) -> Tensor:
        epsilon, sigma = numbers
        s6 = (sigma / d) ** 6
        return 4 * epsilon * (s6 * s6 - s6)

    def program(self) -> Pairs:
        return self.listed("lennard_jones", (1, 0))


class Morse(Pair):
    """φ(d) = D [e^{−2a(d − d₀)} − 2 e^{−a(d − d₀)}], Morse, Phys. Rev. 34, 57 (1929); `fade` and `pairs` as for `Pair`."""

    name = "morse"
    NUMBERS = ("depth_eV", "width_per_angstrom", "minimum_angstrom")
    USUAL = (1.0, 1.5, 2.5)

    def __init__(
        self,
        depth_eV: float | None = None,
        width_per_angstrom: float | None = None,
        minimum_angstrom: float | None = None,
        cutoff: float = 6.0,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
        learn: bool = False,
    ) -> None:
        super().__init__(cutoff, elements, (depth_eV, width_per_angstrom, minimum_angstrom), fade, pairs, learn)

    def well(self, d: float, depth: float) -> tuple[float, ...]:
        return depth, 4.0 / d, d

    def phi(self, d: Tensor, *numbers: Tensor) -> Tensor:
        depth, width, minimum = numbers
        x = torch.exp(-width * (d - minimum))
        return depth * (x * x - 2 * x)

    def program(self) -> Pairs:
        return self.listed("morse")


class Buckingham(Pair):
    """φ(d) = A e^{−d/ρ} − C/d⁶, Buckingham, Proc. R. Soc. A 168, 264 (1938); `fade` and `pairs` as for `Pair`.

    It falls without bound below about ρ: add a wall (`ZBL`, as training does) where atoms may come so near.
    """

    name = "buckingham"
    NUMBERS = ("A_eV", "rho_angstrom", "C_eV_angstrom6")
    USUAL = (1388.77, 0.3623, 175.0)

    def __init__(
        self,
        A_eV: float | None = None,
        rho_angstrom: float | None = None,
        C_eV_angstrom6: float | None = None,
        cutoff: float = 8.0,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
        learn: bool = False,
    ) -> None:
        super().__init__(cutoff, elements, (A_eV, rho_angstrom, C_eV_angstrom6), fade, pairs, learn)

    def well(self, d: float, depth: float) -> tuple[float, ...]:
        # φ′(d) = 0 and φ(d) = −depth with ρ = d/10, where repulsion is as steep as a power of ten
        return 1.5 * depth * math.exp(10.0), d / 10, 2.5 * depth * d**6

    def phi(self, d: Tensor, *numbers: Tensor) -> Tensor:
        A, rho, C = numbers
        return A * torch.exp(-d / rho) - C / d**6

    def program(self) -> Pairs:
        return self.listed("buckingham")
