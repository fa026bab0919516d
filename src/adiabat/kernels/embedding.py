"""EAM frozen into one C call; `embedding.h` computes it, in float64 whatever the edge vectors come in."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace

import torch

from adiabat.kernels.cpp_each_pair import EachPair
from adiabat.kernels.each_pair import Common, common, fast_for
from adiabat.kernels.local import Evaluator, hold
from adiabat.typing import Float, Tensor

SPEC = EachPair("embedding")


@dataclass(frozen=True)
class Embedding:
    """E_i = F(ρ_i) − F(0) + ½ Σ_j φ(d_ij) by the tables of `models.eam`: F of an element, ρ from the first element's atom to the
    second's, d φ of a pair."""

    elements: tuple[int, ...]
    cutoff: float
    dr: float
    drho: float
    embedding: Float[Tensor, "Z m"]
    density: Float[Tensor, "Z Z n"]
    pair: Float[Tensor, "Z Z n"]

    def times(self, eV: float) -> Embedding:
        """The same in other units."""
        return replace(self, embedding=self.embedding * eV, pair=self.pair * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return fast_for(SPEC)

    def evaluator(self) -> Evaluator:
        """What computes it."""
        kept: list = []
        comes, F, pair = self.density.transpose(0, 1), self.embedding, self.pair  # comes: rows by center and neighbor
        tables = [comes, pair] if torch.equal(comes, self.density) else [comes, pair, self.density]
        both = torch.stack([curves(x.to(torch.float64)) for x in tables], -2)  # Z Z n curves 4
        F = curves(F.to(torch.float64))
        last = F[:, -1] @ torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64) / self.drho
        facts = _EmbeddingFacts(
            common(kept, self.elements, self.cutoff), self.density.shape[2], self.embedding.shape[1], len(tables), self.dr, self.drho,
            *(hold(kept, x, torch.float64) for x in (both, F, last, self.embedding[:, 0])),
        )  # fmt: skip
        return Evaluator(SPEC, torch.float64, facts, kept)


def curves(table: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows k 4"]:
    """Powers of t = 0 … 1 from each point to the next: cubic curves whose slopes at the points are five-point differences.

    >>> curves(torch.arange(6.0).square())[2]
    tensor([4., 4., 1., 0.])
    """
    slope = torch.empty_like(table)
    slope[..., 0], slope[..., -1] = table[..., 1] - table[..., 0], table[..., -1] - table[..., -2]
    slope[..., 1:-1] = 0.5 * (table[..., 2:] - table[..., :-2])
    wide, narrow = table[..., :-4] - table[..., 4:], table[..., 3:-1] - table[..., 1:-3]
    slope[..., 2:-2] = (wide + 8 * narrow) / 12
    rise, m, p = table.diff(dim=-1), slope[..., :-1], slope[..., 1:]
    return torch.stack([table[..., :-1], m, 3 * rise - 2 * m - p, m + p - 2 * rise], -1)


class _EmbeddingFacts(ctypes.Structure):
    """`struct Facts` of embedding.h, field by field."""

    _fields_ = (
        [("common", Common)]
        + [(name, ctypes.c_int64) for name in ("n", "n_rho", "curves")]
        + [(name, ctypes.c_double) for name in ("dr", "drho")]
        + [(name, ctypes.c_void_p) for name in ("both", "embedding", "last", "lone")]
    )
