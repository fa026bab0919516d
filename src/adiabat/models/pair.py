"""Pair potentials: E_i = ½ Σ_j φ(d_ij) f_c(d_ij), with φ by Lennard-Jones, Morse or Buckingham, or the screened nuclear repulsion of ZBL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels.geometry import distance
from adiabat.kernels.pairs import Pairs
from adiabat.kernels.radial import polynomial_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.potential import Model
from adiabat.typing import Float, Tensor
from adiabat.units import COULOMB, bohr

STEPS = dict.fromkeys(
    ("a_pair_parts_smoothly", "an_atom_leaves_a_molecule_smoothly"), "a pair that is cut, not faded out, ends in a step"
)


class Pair(Model):
    """What the pair potentials share: half of each directed edge goes to its center.

    `fade` says how a pair ends at the cutoff: "smooth" (f_c of `polynomial_cutoff`), or as other codes cut it: "shifted" (φ(d) − φ(r_c)
    below it) or "cut" (φ(d) below it). `pairs` gives pairs of elements, {"Ta-W": {"epsilon_eV": 0.02, "cutoff": 6.0}}, numbers of their
    own where they differ from the others'.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = ()  # of φ, as the constructor calls them

    def __init__(
        self,
        cutoff: float,
        elements: Sequence[str] | None,
        numbers: Sequence[float] = (),
        fade: str = "smooth",
        pairs: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__()
        if fade not in ("smooth", "shifted", "cut"):
            raise ValueError(f"{self.name}.fade: {fade!r} came; wanted smooth, shifted or cut")
        if elements is None and pairs:
            raise ValueError(f"{self.name}.pairs: elements are wanted where pairs have numbers of their own")
        self.elements = None if elements is None else periodic_table.numbers(elements)
        self.fade = fade
        if fade != "smooth":
            self.waived = STEPS  # type: ignore[misc]
        # Z Z numbers: those of φ, and the cutoff in Å; one row for all pairs where they do not differ
        self.rows = torch.tensor([*map(float, numbers), float(cutoff)], dtype=torch.float64)
        if pairs:
            known = {periodic_table.symbol(z): k for k, z in enumerate(self.elements or ())}
            self.rows = self.rows.repeat(len(known), len(known), 1)
            names = [*self.NUMBERS, "cutoff"]
            for pair, own in pairs.items():
                ends = [known.get(end) for end in pair.split("-")]
                if len(ends) != 2 or None in ends or not own.keys() <= {*names}:
                    raise ValueError(
                        f"{self.name}.pairs: {pair!r}: {dict(own)} came; wanted two of {', '.join(known)}, such as "
                        f"{'-'.join([*known][:1] * 2)}, and of {', '.join(names)}"
                    )
                for name, value in own.items():
                    self.rows[ends[0], ends[1], names.index(name)] = self.rows[ends[1], ends[0], names.index(name)] = float(
                        value
                    )
        self.cutoff = float(self.rows[..., -1].max())

    def phi(self, d: Float[Tensor, "*members E"], *numbers: Tensor | float) -> Float[Tensor, "*members E"]:
        """Before it is cut."""
        raise NotImplementedError

    def pair_energies(self, d: Float[Tensor, "*members E"], graph: Graph) -> Float[Tensor, "*members E"]:
        if self.rows.dim() == 1:
            *numbers, cutoff = self.rows.tolist()
        else:
            *numbers, cutoff = (column.to(d.dtype) for column in graph.once(self._key(), lambda: self._of_edges(graph)))
        y = self.phi(d, *numbers)
        if self.fade == "smooth":
            return y * polynomial_cutoff(d / cutoff, 1.0)
        if self.fade == "shifted":
            y = y - self.phi(torch.as_tensor(cutoff, dtype=d.dtype, device=d.device), *numbers)
        return y * (d < cutoff)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        half = 0.5 * self.pair_energies(distance(graph.r), graph)  # E
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}

    def listed(self, form: str, order: Sequence[int] = (0, 1, 2)) -> Pairs:
        """The compiled form of this name, numbers of φ in the order that it has."""
        numbers = torch.zeros(*self.rows.shape[:-1], 10, dtype=torch.float64)
        for place, k in enumerate(order):
            numbers[..., place] = self.rows[..., k]
        if self.fade == "smooth" and self.rows.dim() == 1:
            p, q, s = numbers[:3].tolist()
            return Pairs(form, self.elements, self.cutoff, (p, q, s))
        numbers[..., 3] = cutoff = self.rows[..., -1]
        if self.fade == "shifted":
            numbers[..., 4] = self.phi(cutoff, *self.rows[..., :-1].unbind(-1))
        rows = numbers if numbers.dim() > 1 else numbers[None, None]
        return Pairs(form, self.elements, self.cutoff, (0.0, 0.0, 0.0), rows=rows, cut=self.fade != "smooth")

    def _key(self) -> tuple:
        return (self.name, self.elements, tuple(self.rows.flatten().tolist()))

    def _of_edges(self, graph: Graph) -> tuple[Tensor, ...]:
        kinds = torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)
        return self.rows.to(graph.device)[kinds[graph.i], kinds[graph.j]].unbind(-1)  # E each


class LennardJones(Pair):
    """φ(d) = 4ε [(σ/d)¹² − (σ/d)⁶], Jones, Proc. R. Soc. A 106, 463 (1924); `fade` and `pairs` as for `Pair`.

    >>> LennardJones(0.0103, 3.4, elements=["Ar", "Ne"], pairs={"Ar-Ne": {"sigma_angstrom": 3.1, "cutoff": 9.0}}).cutoff
    9.0
    """

    name = "lennard_jones"
    NUMBERS = ("epsilon_eV", "sigma_angstrom")

    def __init__(
        self,
        epsilon_eV: float = 0.0103,
        sigma_angstrom: float = 3.4,
        cutoff: float = 8.5,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
    ) -> None:
        super().__init__(cutoff, elements, (epsilon_eV, sigma_angstrom), fade, pairs)
        self.epsilon, self.sigma = float(epsilon_eV), float(sigma_angstrom)

    def phi(self, d: Tensor, *numbers: Tensor | float) -> Tensor:
        epsilon, sigma = numbers
        s6 = (sigma / d) ** 6
        return 4 * epsilon * (s6 * s6 - s6)

    def program(self) -> Pairs:
        return self.listed("lennard_jones", (1, 0))


class Morse(Pair):
    """φ(d) = D [e^{−2a(d − d₀)} − 2 e^{−a(d − d₀)}], Morse, Phys. Rev. 34, 57 (1929); `fade` and `pairs` as for `Pair`."""

    name = "morse"
    NUMBERS = ("depth_eV", "width_per_angstrom", "minimum_angstrom")

    def __init__(
        self,
        depth_eV: float = 1.0,
        width_per_angstrom: float = 1.5,
        minimum_angstrom: float = 2.5,
        cutoff: float = 6.0,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
    ) -> None:
        super().__init__(cutoff, elements, (depth_eV, width_per_angstrom, minimum_angstrom), fade, pairs)

    def phi(self, d: Tensor, *numbers: Tensor | float) -> Tensor:
        depth, width, minimum = numbers
        x = torch.exp(-width * (d - minimum))
        return depth * (x * x - 2 * x)

    def program(self) -> Pairs:
        return self.listed("morse")


class Buckingham(Pair):
    """φ(d) = A e^{−d/ρ} − C/d⁶, Buckingham, Proc. R. Soc. A 168, 264 (1938); `fade` and `pairs` as for `Pair`.

    It falls without bound below about ρ: add a wall (`ZBL`) where atoms may come so near.
    """

    name = "buckingham"
    NUMBERS = ("A_eV", "rho_angstrom", "C_eV_angstrom6")

    def __init__(
        self,
        A_eV: float = 1388.77,
        rho_angstrom: float = 0.3623,
        C_eV_angstrom6: float = 175.0,
        cutoff: float = 8.0,
        elements: list[str] | None = None,
        fade: str = "smooth",
        pairs: dict[str, dict[str, float]] | None = None,
    ) -> None:
        super().__init__(cutoff, elements, (A_eV, rho_angstrom, C_eV_angstrom6), fade, pairs)

    def phi(self, d: Tensor, *numbers: Tensor | float) -> Tensor:
        A, rho, C = numbers
        return A * torch.exp(-d / rho) - C / d**6

    def program(self) -> Pairs:
        return self.listed("buckingham")


class ZBL(Pair):
    """The short-range wall: φ(d) = Z_i Z_j e²/(4πε₀ d) · Σ_k c_k e^{−b_k d/a}, a = 0.8854 a₀ / (Z_i^0.23 + Z_j^0.23).

    Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter (Pergamon, 1985). It fades out at `reach` times
    the sum of the covalent radii, inside any bond, so that it acts only where no training data can be expected. With `inner` and
    `outer` (Å) it is LAMMPS's pair style zbl instead, with its constants: φ(d) + S(d) below `outer`, S a constant up to `inner` and a
    polynomial of the fourth order behind it, so that energy, slope and curvature end in zero.
    """

    name = "zbl"

    SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
    LAMMPS = 14.399645, 0.46850  # e²/4πε₀ in eV Å, units metal; 0.8854 a₀ in Å

    def __init__(
        self, reach: float = 0.8, elements: list[str] | None = None, inner: float | None = None, outer: float | None = None
    ) -> None:
        known = periodic_table.numbers(elements) if elements is not None else range(1, len(periodic_table.SYMBOLS))
        farthest, table = 2 * reach * max(periodic_table.COVALENT_RADII[z] for z in known), None
        if inner is not None or outer is not None:
            if inner is None or outer is None or not 0 < inner < outer:
                raise ValueError(f"zbl: inner {inner} and outer {outer} came; wanted 0 < inner < outer in Å, or neither")
            farthest, table = outer, _switched(known, inner, outer)
        super().__init__(farthest, elements)
        self.reach, self.known, self.switched = float(reach), tuple(known), table

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self._nobody_near(graph):  # the usual case in dynamics: no pair is inside a bond
            return {"energies": torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)}
        return super().forward(graph)

    def pair_energies(self, d: Tensor, graph: Graph) -> Tensor:
        if self.switched is not None:
            table = self.switched
            kinds = torch.searchsorted(torch.tensor(self.known, device=graph.device), graph.numbers)
            row = table.to(graph.device)[kinds[graph.i], kinds[graph.j]].to(d.dtype)  # E 7
            z, u, inner, outer, third, fourth, constant = row.unbind(-1)
            t = (d - inner).clamp_min(0.0)
            return (z / d * screened(d * u) + t**3 * (third + fourth * t) + constant) * (d < outer)
        z, reach, a = (x.to(d.dtype) for x in graph.once(("zbl", self.reach), lambda: self._pairs(graph)))
        return COULOMB * z / d * screened(d / a) * polynomial_cutoff(d / reach, 1.0)

    def program(self) -> Pairs:
        if self.switched is not None:
            rows = torch.nn.functional.pad(self.switched, (0, 3))
            return Pairs("switched_zbl", self.known, self.cutoff, (0.0, 0.0, 0.0), rows=rows, cut=True)
        reach = [self.reach * radius for radius in periodic_table.COVALENT_RADII]
        power = [z**0.23 for z in range(len(reach))]
        return Pairs("zbl", self.elements, self.cutoff, (COULOMB, 0.88534 * bohr, 0.0), reach, power)

    def _nobody_near(self, graph: Graph) -> bool:
        reach = self.cutoff if self.switched is not None else graph.once(("zbl", self.reach), lambda: self._pairs(graph))[1]
        return not bool(((graph.r.detach() ** 2).sum(-1) < reach**2).any())

    def _pairs(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Z_i Z_j, the reach in Å, and the screening length in Å of each edge."""
        z = graph.numbers.to(torch.float64)
        radii = torch.tensor(periodic_table.COVALENT_RADII, dtype=torch.float64, device=graph.device)[graph.numbers]
        i, j = graph.i, graph.j
        return z[i] * z[j], self.reach * (radii[i] + radii[j]), 0.88534 * bohr / (z[i] ** 0.23 + z[j] ** 0.23)


def screened(x: Tensor, order: int = 0) -> Tensor:
    """Σ_k c_k e^{−b_k x}, or a derivative of it by x."""
    return torch.stack([c * (-b) ** order * torch.exp(-b * x) for c, b in ZBL.SCREENING]).sum(0)


def _switched(known: Sequence[int], inner: float, outer: float) -> Float[Tensor, "Z Z 7"]:
    """LAMMPS's: e²/4πε₀ Z Z, 1/a, inner, outer, and S's numbers: of t³ and t⁴ with t = d − inner, and its constant."""
    z = torch.tensor(known, dtype=torch.float64)
    u = (z[:, None] ** 0.23 + z**0.23) / ZBL.LAMMPS[1]
    x, scale, w = u * outer, ZBL.LAMMPS[0] * z[:, None] * z, outer - inner
    s, s1, s2 = screened(x), u * screened(x, 1), u * u * screened(x, 2)
    y, slope, curve = s / outer, s1 / outer - s / outer**2, s2 / outer - 2 * s1 / outer**2 + 2 * s / outer**3
    third, fourth = (w * curve - 3 * slope) / (3 * w**2), (2 * slope - w * curve) / (4 * w**3)
    constant = w / 2 * slope - w**2 / 12 * curve - y
    ends = torch.tensor([inner, outer], dtype=torch.float64).expand(*u.shape, 2)
    return torch.cat([torch.stack([scale, u], -1), ends, scale[..., None] * torch.stack([third, fourth, constant], -1)], -1)
