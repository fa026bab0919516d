"""Many-body features of one atom: symmetric contractions with learned weights per species."""

from __future__ import annotations

import torch
from torch import nn

from adiabat.kernels import Contraction, merge, polynomial
from adiabat.nn.derived import Derived
from adiabat.typing import Bool, Float, Int, Tensor


class Product(Derived):
    """B = Σ_ν Σ_η W_{z,η} U_η x^ν (see `node_poly`); the merged polynomial is rebuilt while training and kept while evaluating."""

    def __init__(
        self, contraction: Contraction, species: int, channels: int, taken: Bool[Tensor, "paths C"] | None = None
    ) -> None:
        """`taken` says which couplings of which channels there are: all, if it is not given."""
        super().__init__()
        self.contraction = contraction
        self.register_buffer("taken", None if taken is None else taken.to(torch.float32), persistent=False)
        of_its_kind = torch.tensor([contraction.orders.count(order) for order in contraction.orders])
        self.weights = nn.Parameter(torch.randn(species, len(of_its_kind), channels) / of_its_kind[:, None])

    def compute(self) -> Float[Tensor, "Z T C"]:
        return merge(self.weights if self.taken is None else self.weights * self.taken, self.contraction)

    def coefficients(self) -> Float[Tensor, "Z T C"]:
        """The merged polynomial."""
        return super().forward()

    def forward(self, x: Float[Tensor, "N rows C"], species: Int[Tensor, "N"]) -> list[Float[Tensor, "N _ C"]]:  # type: ignore[override]
        out = polynomial(x, species, self.coefficients(), self.contraction)
        return [out[:, rows] for rows in self.contraction.outputs.rows]
