"""Sparse Gaussian processes on power spectra, packed for `soap.h`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_process import Process
from adiabat.kernels.local import Evaluator, hold, kind_table
from adiabat.kernels.mixing import Mixing
from adiabat.typing import Float, Int, Tensor

DTYPE = torch.float64


@dataclass(frozen=True)
class Sums:
    """A spectrum of two densities whose channels are sums of those of c, (z, n), or with `symmetric` of one of them twice; see `sums.h`.

    Lots s of K sums each: one lot, or one a kind (`of_kind`), or one a radial function (`of_radial`). `place` is where the product of
    the first density's channel (s, k) and the second one's (t, q) stands among all. Two pairs of which one stands there count `twice`.
    """

    one: Float[Tensor, "c K"]
    other: Float[Tensor, "c K"]
    place: Int[Tensor, "s K s K"]
    of_kind: bool
    of_radial: bool
    coupled: bool
    symmetric: bool
    twice: float

    @classmethod
    def mixed(cls, way: Mixing, weights: tuple[Float[Tensor, "c C"], Float[Tensor, "c C"]], kinds: int, n_max: int) -> Sums:
        """Of channels mixed at random."""
        of_kind, of_radial, places = not way.species, not way.radial, way.places(kinds, n_max)
        z, n = torch.arange(kinds * n_max) // n_max, torch.arange(kinds * n_max) % n_max
        one, other = (w.gather(1, places[z * of_kind + n * of_radial].to(w.device)) for w in weights)
        a, b, factor = way.pairs(kinds, n_max)
        of = torch.full((places.numel(), places.numel()), -1)
        of[a, b] = torch.arange(len(a))
        of = torch.maximum(of, of.T) if way.symmetric else of
        place = of[places[:, :, None, None], places]
        return cls(one, other, place, of_kind, of_radial, way.coupled, way.symmetric, float(factor.max()))

    @classmethod
    def alone(cls, n_max: Sequence[int], room: int) -> Sums:
        """Every channel for itself, of kinds with so many radial functions in room for more."""
        one, first = torch.zeros(len(n_max), room, sum(n_max), dtype=DTYPE), 0
        for z, n in enumerate(n_max):
            one[z, :n, first : first + n], first = torch.eye(n, dtype=DTYPE), first + n
        a, b = torch.triu_indices(first, first)
        place = torch.zeros(first, first, dtype=torch.int64)
        place[a, b] = place[b, a] = torch.arange(len(a))
        return cls(one.flatten(0, 1), one.flatten(0, 1), place[None, :, None], False, False, True, True, math.sqrt(2))

    def order(self, L: int) -> Int[Tensor, "D"]:
        """Where each column of a spectrum as `sums.h` makes it stands in one of `place` and l, l running fastest."""
        lots, K = self.place.shape[:2]
        at = torch.arange(lots * K).view(lots, K)
        if self.coupled:
            found, here = self.place.permute(2, 3, 0, 1), at >= at[:, :, None, None]  # t q s k
        else:
            found = self.place.diagonal(dim1=1, dim2=3).movedim(1, 0)  # t s k
            here = torch.arange(lots)[:, None] >= torch.arange(lots)[:, None, None]
        here = here.expand_as(found) if self.symmetric else torch.ones_like(found, dtype=torch.bool)
        each = found[..., None, :] * L + torch.arange(L)[:, None]
        return each[here[..., None, :].expand_as(each)]


@dataclass(frozen=True)
class TurboRadial:
    """Radial functions of soap_turbo of a kind of neighbor, as `turbo.h` computes them; lengths in units of the cutoff."""

    begin: float  # the soft cutoff
    filter: float  # width of the Gaussian behind it
    sigma: float
    growth: float
    filtered_from: float
    fading: float  # power of what fades
    enhancement: int
    gaussian: bool
    root: Float[Tensor, "n n"]


@dataclass(frozen=True)
class SoapProcess:
    """E_i = eV (Σ_s a_s (p_i·p_s)^ζ − the same of a lone atom) of atoms of the element `center`; see `models.gap.Soap`."""

    center: int
    channels: tuple[int, ...]  # of each element: which kind of neighbor, −1 where it does not count
    shape: tuple[int, int]  # n_max, l_max
    nu: tuple[int, int]  # ν_R, ν_S: 1 or 2; what has 0 has one radial function, or one kind of neighbor, alone
    cutoff: float
    width: float
    zeta: float
    table: Float[Tensor, "n3 L n"]
    reach: float
    alone: Float[Tensor, "c lm"]
    points: Float[Tensor, "M D"]
    a: Float[Tensor, " M"]
    lone: float
    sums: Sums | None = None
    turbo: tuple[TurboRadial, ...] = ()  # one a kind; the table is of functions of l alone then, [kinds, n3, L]
    picked: tuple[Int[Tensor, "P"], Int[Tensor, "P"], Float[Tensor, "P"]] | None = (
        None  # rows, columns, values: what is made of products
    )


class _Turbo(ctypes.Structure):
    """`struct Turbo` of turbo.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "n gaussian enhancement".split()]
        + [(name, ctypes.c_double) for name in "begin filter sigma growth filtered_from fading".split()]
        + [("root", ctypes.c_void_p)]
    )


class _Facts(ctypes.Structure):
    """`struct Facts` of soap_density.h, field by field."""

    _fields_ = (
        [
            (name, ctypes.c_int64)
            for name in (
                "elements kinds points columns dimensions intervals zeta others merged summed "
                "lots sums wide of_kind of_radial coupled symmetric pieces products"
            ).split()
        ]
        + [(name, ctypes.c_double) for name in "cutoff width reach lone power twice".split()]
        + [
            (name, ctypes.c_void_p)
            for name in "known center channel table alone across along a norm one other row column value turbo".split()
        ]
    )


def spectra(elements: Sequence[int], one: SoapProcess, eV: float) -> Evaluator:
    """What computes it, compiled; `elements` are atomic numbers, in which the process counts."""
    spec, kept = Process(*one.shape), []  # type: tuple[Process, list]
    library = dispatch.library(str(spec), DTYPE)
    lanes, panel = library.lanes(), library.panel()
    n_max, l_max = one.shape
    more = (0, -n_max % lanes)  # radial functions: whole lanes
    alone = pad(one.alone[:, 0].unflatten(0, (-1, n_max)), more)
    others, points = _columns(one, len(alone))
    M, D = points.shape
    points = pad(points, (0, -D % panel, 0, -M % panel))
    known, length = kind_table(kept, dict.fromkeys(elements, 0))
    center, _ = kind_table(kept, {z: int(k == one.center) for k, z in enumerate(elements)})
    channel, _ = kind_table(kept, dict(zip(elements, one.channels, strict=True)))
    norm = torch.tensor([_norm(l, abs(m)) for l in range(l_max + 1) for m in range(-l, l + 1)], dtype=DTYPE)
    table = one.table if one.turbo else pad(one.table, more)
    facts = _Facts(
        elements=length, kinds=len(alone), points=len(points), columns=points.shape[1], dimensions=D,
        intervals=one.table.shape[-2 if one.turbo else -3] - 3, zeta=0 if one.zeta % 1 else int(one.zeta),
        others=others, merged=one.nu[1] == 1, summed=one.nu[0] == 1,
        cutoff=one.cutoff, width=one.width, reach=one.reach, lone=one.lone * eV, power=one.zeta,
        known=known, center=center, channel=channel,
        table=hold(kept, table / math.sqrt(4 * math.pi), DTYPE), alone=hold(kept, alone, DTYPE),
        across=hold(kept, points[:, :D].T.unflatten(1, (-1, panel)).movedim(1, 0), DTYPE),  # panels of sparse points
        along=hold(kept, points.unflatten(1, (-1, panel)).movedim(1, 0), DTYPE),  # panels of dimensions
        a=hold(kept, pad(one.a * eV, (0, -M % panel)), DTYPE), norm=hold(kept, norm, DTYPE),
    )  # fmt: skip
    if one.sums is not None:
        _add_sums(facts, one.sums, panel, kept)
    if one.sums is not None and one.picked is not None:
        _add_picked(facts, one.picked, one.sums.order(l_max + 1), kept)
    if one.turbo:
        turbo = (_Turbo * len(one.turbo))()
        for place, it in zip(turbo, one.turbo, strict=True):
            for name in "begin filter sigma growth filtered_from fading enhancement gaussian".split():
                setattr(place, name, getattr(it, name))
            place.n, place.root = len(it.root), hold(kept, pad(it.root, (0, n_max + more[1] - len(it.root))), DTYPE)
        kept.append(turbo)
        facts.turbo = ctypes.addressof(turbo)
    return Evaluator(spec, DTYPE, facts, kept)  # type: ignore[arg-type]


def _add_sums(facts: _Facts, it: Sums, panel: int, kept: list) -> None:
    K = it.one.shape[1]
    facts.lots, facts.sums, facts.wide, facts.twice = len(it.place), K, K + -K % panel, it.twice
    facts.of_kind, facts.of_radial, facts.coupled, facts.symmetric = it.of_kind, it.of_radial, it.coupled, it.symmetric
    facts.one, facts.other = (hold(kept, pad(w, (0, -K % panel)), DTYPE) for w in (it.one, it.other))


def _add_picked(facts: _Facts, picked: tuple[Tensor, Tensor, Tensor], order: Int[Tensor, "D"], kept: list) -> None:
    """`order`: which product stands where."""
    rows, columns, values = picked
    where = torch.empty_like(order)
    where[order] = torch.arange(len(order))
    listed = [x.to(torch.int64).contiguous().clone() for x in (rows, where[columns])]
    kept += listed
    facts.pieces, facts.products, facts.value = len(rows), len(order), hold(kept, values, DTYPE)
    facts.row, facts.column = (x.data_ptr() for x in listed)


def _columns(one: SoapProcess, kinds: int) -> tuple[int, Float[Tensor, "M D"]]:
    """How many channels the second density of a compressed spectrum has, and the sparse points with columns as they are computed."""
    (n_max, l_max), (nu_r, nu_s) = one.shape, one.nu
    if one.picked is not None:
        return 0, one.points
    if one.sums is not None:
        return 0, one.points[:, one.sums.order(l_max + 1).to(one.points.device)]
    if (nu_r, nu_s) == (2, 2):
        return 0, one.points
    others = (n_max if nu_r == 2 else 1) * (kinds if nu_s == 2 else 1)
    # Radial functions run fastest
    return others, one.points.unflatten(1, (kinds, n_max, others, l_max + 1)).permute(0, 1, 3, 4, 2).flatten(1)


def _norm(l: int, m: int) -> float:
    """Of component-normalized harmonics; see `geometry`."""
    return math.sqrt((2 * l + 1) * (2 if m else 1) * math.factorial(l - m) / math.factorial(l + m))
