"""Channels of SOAP's density mixed at random, so that a spectrum does not grow with the square of the elements: tensor-reduced spectra.

Darby, Kovács, Batatia, Caro, Hart, Ortner and Csányi, PRL 131, 028001 (2023). The weights are those of QUIP, whose generator is seeded
by what is mixed: they stand in no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from adiabat.typing import Float, Int, Tensor

MULTIPLIER, MODULUS = 16807, 2**31 - 1  # Park and Miller, Commun. ACM 31, 1192 (1988)
SKIPPED = 100  # numbers that QUIP draws after each seed and does not use: small seeds begin with small ones
OTHER = 200  # between the seeds of the two densities


@dataclass(frozen=True)
class Mixing:
    """Both densities of a power spectrum in `channels` sums of their own: over species, over radial functions, or over both.

    `symmetric`: both are mixed alike. `coupled`: all products of channels; else each channel with itself alone, and all pairs of
    what is not mixed. `shift` is added to the seeds.

    >>> [
    ...     Mixing(5, species, radial, symmetric=True, coupled=False).products(3, 4)
    ...     for species, radial in [(1, 1), (1, 0), (0, 1)]
    ... ]
    [5, 50, 30]
    >>> Mixing(5).products(3, 4)
    25
    """

    channels: int
    species: bool = True
    radial: bool = True
    symmetric: bool = False
    coupled: bool = True
    shift: int = 0

    def __post_init__(self) -> None:
        if self.channels < 1 or not (self.species or self.radial):
            raise ValueError(
                f"mixing: {self.channels} channels, species {self.species}, radial {self.radial} came; wanted one channel at least "
                "and one of the two"
            )

    def products(self, kinds: int, n_max: int) -> int:
        """How many products of channels there are, each with one number an l."""
        return len(self.pairs(kinds, n_max)[0])

    def weights(self, numbers: Sequence[int], n_max: int) -> tuple[Float[Tensor, "c C"], Float[Tensor, "c C"]]:
        """Of the two densities, c = (z, n) by C; `numbers` are the atomic numbers of the kinds z."""
        one = self._weights(numbers, n_max, OTHER)
        return one, one if self.symmetric else self._weights(numbers, n_max, 2 * OTHER)

    def _weights(self, numbers: Sequence[int], n_max: int, seed: int) -> Float[Tensor, "c C"]:
        K, eye = self.channels, torch.eye(n_max, dtype=torch.float64)
        if not self.species:
            each = _normal(n_max + self.shift + seed, n_max * K).view(n_max, K)
            return torch.block_diag(*[each] * len(numbers))
        of_kind = [_normal(z + self.shift + seed, (n_max if self.radial else 1) * K) for z in numbers]
        if self.radial:
            return torch.cat(of_kind).view(-1, K)
        return torch.einsum("zk,nm->znkm", torch.stack(of_kind), eye).flatten(2).flatten(0, 1)

    def kept(self, kinds: int, n_max: int) -> int:
        """How many of what is not mixed there are, each with `channels` sums."""
        return 1 if self.species and self.radial else n_max if self.species else kinds

    def places(self, kinds: int, n_max: int) -> Int[Tensor, "s K"]:
        """Where the sums of each kind or radial function that is kept stand among all."""
        s, K = self.kept(kinds, n_max), self.channels
        return torch.arange(K * s).view(K, s).T if self.species else torch.arange(s * K).view(s, K)

    def pairs(self, kinds: int, n_max: int) -> tuple[Int[Tensor, "P"], Int[Tensor, "P"], Float[Tensor, "P"]]:
        """The channels of each product, and its factor: √2 for two pairs of which one stands here."""
        K, kept = self.channels, self.kept(kinds, n_max)
        if self.coupled:
            a, b = self._two_of(K * kept)
            return a, b, self._factor(a, b)
        a, b = self._two_of(kept)
        # QUIP keeps these factors in single precision.
        factor, place = self._factor(a, b).float().double(), self.places(kinds, n_max)
        if self.species and not self.radial:  # k slower
            return place[a].T.flatten(), place[b].T.flatten(), factor.repeat(K)
        return place[a].flatten(), place[b].flatten(), factor.repeat_interleave(K)

    def _two_of(self, n: int) -> tuple[Int[Tensor, "P"], Int[Tensor, "P"]]:
        a, b = torch.tril_indices(n, n) if self.symmetric else torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
        return a, b

    def _factor(self, a: Int[Tensor, "P"], b: Int[Tensor, "P"]) -> Float[Tensor, "P"]:
        return torch.where((a != b) & self.symmetric, math.sqrt(2.0), torch.ones(len(a), dtype=torch.float64))


def mixed(
    c: Float[Tensor, "N c lm"],
    weights: tuple[Float[Tensor, "c C"], Float[Tensor, "c C"]],
    pairs: tuple[Int[Tensor, "P"], Int[Tensor, "P"], Float[Tensor, "P"]],
    coupled: bool,
) -> Float[Tensor, "N D"]:
    """factor Σ_m x_alm y_blm / √(2l+1) of the channels x = W₁ᵀ c, y = W₂ᵀ c, for each pair (a, b) and l, l running fastest."""
    one, other = (torch.einsum("ncm,ck->nkm", c, w) for w in weights)
    a, b, factor = pairs
    found = []
    for l in range(math.isqrt(c.shape[2])):
        x, y = one[..., l * l : (l + 1) ** 2], other[..., l * l : (l + 1) ** 2]
        product = (x @ y.transpose(1, 2))[:, a, b] if coupled else (x[:, a] * y[:, b]).sum(-1)
        found.append(product * factor / math.sqrt(2 * l + 1))
    return torch.stack(found, -1).flatten(1)


def _uniform(seed: int) -> Iterator[float]:
    x = seed
    for k in range(2**31):
        x = MULTIPLIER * x % MODULUS
        if k >= SKIPPED:
            yield x / MODULUS


def _normal(seed: int, count: int) -> Float[Tensor, "n"]:
    """Normal numbers by the polar method of Marsaglia, one of each two that it finds."""
    if seed % MODULUS == 0:
        raise ValueError(f"mixing: the seed {seed} came; this generator has no numbers for it, choose another shift")
    found: list[float] = []
    drawn = _uniform(seed % MODULUS)
    while len(found) < count:
        u, v = 2 * next(drawn) - 1, 2 * next(drawn) - 1
        if (r := u * u + v * v) <= 1:
            found.append(u * math.sqrt(-2 * math.log(r) / r))
    return torch.tensor(found, dtype=torch.float64)
