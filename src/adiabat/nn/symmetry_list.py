"""Symmetry functions as free lists: every element its own, each of its own kind, cutoff and width.

Behler, J. Chem. Phys. 134, 074106 (2011); weighted: Gastegger et al., J. Chem. Phys. 148, 241709 (2018); compact: Bircher, Singraber
and Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import pi, tanh
from typing import Any

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.kernels import distance, pair_channel, segment_sum
from adiabat.kernels.listed import Fade, Function, Power, Radial
from adiabat.typing import Float, Int, Tensor

KINDS = ("radial", "wide", "narrow")


@dataclass(frozen=True)
class SymmetryFunction:
    """One function of an atom's neighbors: a sum over them, or over pairs of them, of products.

    | kind | what |
    |---|---|
    | `radial` | Σ_j w_j R(d_ij) |
    | `wide` | Σ_{j<k} w_j w_k A(θ_jik) R(d_ij) R(d_ik) |
    | `narrow` | the same times R(d_jk) |

    | part | what |
    |---|---|
    | R | e^{−η(d − shift)²} f(x), x = (d − inner)/(cutoff − inner) from `inner` × cutoff on, or, with `start`, the bump f(\\|x\\|) from there to the cutoff |
    | A | 2^{1−ζ} (1 + λ cos θ)^ζ, or, with `angles`, the bump f(\\|x\\|) between two of them |
    | f | `fade`, by its name in FADES; `asymmetric`: f(2x − x²) in R's bump |
    | w | 1 for the named `neighbors` (one, or a pair), or their atomic number where none is named |

    Lengths in Å, η in Å⁻², angles in radians. An angle of 0 or π may lie within a bump's; it then is the bump's middle.
    """  # noqa: E501 (a table's row is a line)

    kind: str
    neighbors: tuple[str, ...]
    cutoff: float
    fade: str = "cosine"
    eta: float = 0.0
    shift: float = 0.0
    inner: float = 0.0
    start: float | None = None
    asymmetric: bool = False
    zeta: float = 1.0
    lambd: float = 1.0
    angles: tuple[float, float] | None = None
    gamma: float = 0.0  # of the fade "power"

    def __post_init__(self) -> None:
        wanted = (0, 1) if self.kind == "radial" else (0, 2)
        if self.kind not in KINDS or len(self.neighbors) not in wanted or self.fade not in FADES:
            raise ValueError(f"symmetry function {self}: wanted a kind of {KINDS}, its neighbors, a fade of {tuple(FADES)}")
        if not (
            self.cutoff > 0 and 0 <= self.inner < 1 and self.zeta >= 1 >= abs(self.lambd) and self.cutoff > (self.start or 0)
        ):
            raise ValueError(f"symmetry function {self}: wanted cutoff > 0, 0 ≤ inner < 1, ζ ≥ 1, |λ| ≤ 1, start < cutoff")

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> SymmetryFunction:
        """From what `plain` gives."""
        angles = arguments.get("angles")
        return cls(**{**arguments, "neighbors": tuple(arguments["neighbors"]), "angles": angles and tuple(angles)})

    def plain(self) -> dict[str, Any]:
        """What differs from the defaults, for a model file."""
        told, defaults = asdict(self), {field.name: field.default for field in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in told.items() if v != defaults[k]}

    def compiled(self, elements: Sequence[int]) -> Function:
        """As compiled code has it."""
        if self.start is None:
            begin = self.inner * self.cutoff
            radial = Radial(Fade(self.fade, False, False, begin, 1 / (self.cutoff - begin), self.gamma), self.eta, self.shift)
        else:
            middle, per = (self.start + self.cutoff) / 2, 2 / (self.cutoff - self.start)
            radial = Radial(Fade(self.fade, True, self.asymmetric, middle, per, self.gamma), 0.0, 0.0)
        angular: Power | Fade | None = None
        if self.kind != "radial":
            angular = Power(self.zeta, self.lambd)
            if self.angles is not None:
                left, right = self.angles
                angular = Fade(self.fade, True, False, left + right, 1 / (right - left), self.gamma)
        neighbors = tuple(sorted(elements.index(periodic_table.number(s)) for s in self.neighbors))
        return Function(neighbors, radial, self.cutoff, angular, self.kind == "narrow")


class SymmetryList(nn.Module):
    """The functions [N, D] of all atoms, those of an atom's element in the order of their list; zeros behind a shorter list.

    `functions` by chemical symbol; `elements` are atomic numbers, ascending.
    """

    def __init__(self, elements: Sequence[int], functions: Mapping[str, Sequence[SymmetryFunction]]) -> None:
        super().__init__()
        self.elements = tuple(elements)
        lists = [list(functions.get(periodic_table.symbol(z), ())) for z in self.elements]
        self.sizes = [len(one) for one in lists]
        self.size = max(self.sizes)
        self.cutoff = max((function.cutoff for one in lists for function in one), default=0.0)
        self.groups = [_Group.all_of(one, self.elements) for one in lists]
        self.lists = lists
        told = repr([[function.plain() for function in one] for one in lists])
        self.key = f"symmetry functions {hashlib.sha256(told.encode()).hexdigest()}"

    def forward(self, graph) -> Float[Tensor, "N D"]:
        r, N = graph.r, graph.n_atoms
        d = distance(r)
        species = graph.once(("species of all", self.elements), lambda: self._species(graph.numbers))
        charge = graph.numbers.to(r.dtype)[graph.j]  # E, what neighbors weigh
        G = r.new_zeros(N, self.size)
        for z, groups in enumerate(self.groups):
            for group in groups:
                of = (z, *group.neighbors)
                if group.kind == "radial":
                    e = graph.once(("edges", self.elements, of), lambda of=of: self._edges(graph, species, of))
                    values, i = group.R(d[e]), graph.i[e]
                    weight = charge[e] if not group.neighbors else None
                else:
                    a, b = graph.once(("pairs", self.elements, of), lambda of=of: self._pairs(graph, species, of))
                    values, a, b = group.of_pairs(r, d, a, b)
                    i, weight = graph.i[a], charge[a] * charge[b] if not group.neighbors else None
                values = values if weight is None else values * weight[:, None]
                G = G.index_add(1, group.columns.to(G.device), segment_sum(values, i, N))
        return G

    def _species(self, numbers: Tensor) -> Int[Tensor, " N"]:
        return torch.searchsorted(torch.tensor(self.elements, device=numbers.device), numbers)

    def _edges(self, graph, species: Tensor, of: tuple[int, ...]) -> Int[Tensor, " e"]:
        mine = species[graph.i] == of[0]
        return torch.nonzero(mine & (species[graph.j] == of[1]) if len(of) > 1 else mine)[:, 0]

    def _pairs(self, graph, species: Tensor, of: tuple[int, ...]) -> tuple[Int[Tensor, " t"], Int[Tensor, " t"]]:
        a, b = graph.triplets
        mine = species[graph.i[a]] == of[0]
        if len(of) > 1:
            kind = pair_channel(*(torch.tensor(x) for x in of[1:])).to(a.device)
            mine = mine & (pair_channel(species[graph.j[a]], species[graph.j[b]]) == kind)
        kept = torch.nonzero(mine)[:, 0]
        return a[kept], b[kept]


class _Group:
    """Functions of one element that differ in their numbers only: evaluated together along the last axis, K."""

    @classmethod
    def all_of(cls, functions: Sequence[SymmetryFunction], elements: Sequence[int]) -> list[_Group]:
        alike: defaultdict[tuple, list[int]] = defaultdict(list)
        for k, f in enumerate(functions):
            alike[f.kind, tuple(sorted(f.neighbors)), f.fade, f.start is None, f.asymmetric, f.angles is None].append(k)
        return [cls([functions[k] for k in columns], columns, elements) for columns in alike.values()]

    def __init__(self, functions: Sequence[SymmetryFunction], columns: list[int], elements: Sequence[int]) -> None:
        one = functions[0]
        self.kind, self.fade, self.asymmetric, self.bump = one.kind, FADES[one.fade], one.asymmetric, one.start is not None
        self.neighbors = tuple(elements.index(periodic_table.number(s)) for s in one.neighbors)
        self.columns = torch.tensor(columns)
        # One radial part often serves several angular ones.
        radials = [(f.cutoff, f.eta, f.shift, f.inner, f.start or 0.0, f.gamma) for f in functions]
        known = list(dict.fromkeys(radials))
        self.which = torch.tensor([known.index(x) for x in radials])
        self.radial = torch.tensor(known, dtype=torch.float64).T  # 6 K
        self.between = None if one.angles is None else torch.tensor([f.angles for f in functions], dtype=torch.float64).T
        self.power = torch.tensor([(f.zeta, f.lambd) for f in functions], dtype=torch.float64).T  # 2 K
        self.cutoff = max(f.cutoff for f in functions)

    def R(self, d: Float[Tensor, " e"]) -> Float[Tensor, "e K"]:
        """The radial part of each function."""
        cutoff, eta, shift, inner, start, gamma = self.radial.to(d)
        d = d[:, None]
        if self.bump:
            x = (2 * d - (start + cutoff)).abs() / (cutoff - start)
            found = self.fade((2 - x) * x if self.asymmetric else x, gamma) * (x < 1)  # (2 − x) x falls again behind 1
        else:
            x = ((d - inner * cutoff) / (cutoff - inner * cutoff)).clamp(min=0)
            found = torch.exp(-eta * (d - shift).square()) * self.fade(x, gamma)
        return found.index_select(1, self.which.to(d.device))

    def A(self, u: Tensor, v: Tensor) -> Float[Tensor, "t K"]:
        """The angular part, of the unit vectors to both neighbors."""
        if self.between is None:
            zeta, lambd = self.power.to(u)
            # ½ (1 ± cos θ) = ¼ |u ± v|²: never negative by rounding
            half = 0.25 * torch.stack([u - v, u + v], -2).square().sum(-1)
            half = (half[:, 1:] * (1 + lambd) + half[:, :1] * (1 - lambd)) / 2  # ½ (1 + λ cos θ), any λ in −1…1
            return 2 * half**zeta
        left, right = self.between.to(u)
        theta = 2 * torch.atan2(distance(u - v), distance(u + v))[:, None]  # distance: no infinite slope at 0 and π
        return self.fade((2 * theta - (left + right)).abs() / (right - left), self.radial.to(u)[5, self.which])

    def of_pairs(self, r: Tensor, d: Tensor, a: Tensor, b: Tensor) -> tuple[Float[Tensor, "t K"], Tensor, Tensor]:
        """A R R (R), and those of the pairs of edges that are near enough for it."""
        near = d.detach() < self.cutoff
        kept = torch.nonzero(near[a] & near[b])[:, 0]
        a, b = a[kept], b[kept]
        far = None
        if self.kind == "narrow":
            far = distance(r.index_select(0, a) - r.index_select(0, b))
            kept = torch.nonzero(far.detach() < self.cutoff)[:, 0]
            a, b, far = a[kept], b[kept], far[kept]
        used = torch.zeros(len(d), dtype=torch.bool, device=d.device)
        used[a] = used[b] = True
        edges, place = torch.nonzero(used)[:, 0], used.cumsum(0) - 1
        R, u = self.R(d[edges]), r[edges] / d[edges, None]
        first, second = place[a], place[b]
        found = (
            self.A(u.index_select(0, first), u.index_select(0, second)) * R.index_select(0, first) * R.index_select(0, second)
        )
        return found if far is None else found * self.R(far), a, b


def _inside(f):
    """f(x) below 1, else 0."""

    def faded(x: Tensor, gamma: Tensor) -> Tensor:
        inside = x < 1
        return torch.where(inside, f(torch.where(inside, x, 0.0), gamma), 0.0)

    return faded


# f(x) by name, 1 at x = 0 and 0 from x = 1 on; n2p2's names. `tanh_bare` begins at tanh³ 1; `power` is AMP's polynomial.
FADES = {
    "hard": _inside(lambda x, _: torch.ones_like(x)),
    "cosine": _inside(lambda x, _: 0.5 * (1 + torch.cos(pi * x))),
    "tanh_bare": _inside(lambda x, _: torch.tanh(1 - x) ** 3),
    "tanh": _inside(lambda x, _: (torch.tanh(1 - x) / tanh(1.0)) ** 3),
    "exp": _inside(lambda x, _: torch.exp(1 - 1 / (1 - x.square()))),
    "poly1": _inside(lambda x, _: (1 - x) ** 2 * (1 + 2 * x)),
    "poly2": _inside(lambda x, _: (1 - x) ** 3 * (1 + x * (3 + 6 * x))),
    "poly3": _inside(lambda x, _: (1 - x) ** 4 * (1 + x * (4 + x * (10 + 20 * x)))),
    "poly4": _inside(lambda x, _: (1 - x) ** 5 * (1 + x * (5 + x * (15 + x * (35 + 70 * x))))),
    "power": _inside(lambda x, gamma: 1 + x**gamma * (gamma * x - (gamma + 1))),
}
