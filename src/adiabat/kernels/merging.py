"""Fewer matrix products for the same function: what is linear and follows at once becomes one set of numbers.

The evaluator's layers are chains of linear maps around two things that are not: radial functions times features, and the
products. Three of the chains end in constants or narrow down, and are multiplied out once:

| where | before | after |
|---|---|---|
| first layer: its features are a constant h_z of the species | A = Σ_j R(d_ij) h_zj Y · mix | tables R h_z · mix, of each kind of pair |
| features nobody keeps | h = B · update, u = h · up of the next layer | u = B · (update · up) |
| last layer, with a hidden layer of its readout | (B · update + h · skip) · hidden | B · (update · hidden) + h · (skip · hidden) |

Splines are linear in their coefficients, so that the merged table is the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels.ir import Contraction, Convolution
from adiabat.typing import Float, Int, Tensor

MOST = 1 << 23  # numbers in the tables of the first layer: beyond it they cost more cache than the matrices cost time


@dataclass(frozen=True)
class Interaction:
    """One layer: h → update(product(mix(conv(up h)))) + skip h, and what is read out of its scalars.

    Matrices multiply from the right, one an irrep: `up` [C, C] of the features before, `mix` [species or 1, paths·C, C] of the
    convolution's outputs, `update` [C, C] and `skip` [species, C, C] of the features after; `kept` names the irrep before that is
    skipped, or None. `readout` is one vector [C, 1], in the last layer also two matrices with silu between. Merged layers have None
    for the identity.
    """

    conv: Convolution
    product: Contraction
    table: Float[Tensor, "kinds rows P C"]
    coefficients: Float[Tensor, "Z T C"]
    up: Sequence[Tensor | None]
    mix: Sequence[Tensor | None]
    update: Sequence[Tensor]
    skip: Sequence[Tensor]
    kept: Sequence[int | None]
    readout: Sequence[Tensor | None]


@dataclass(frozen=True)
class Merged:
    """Layers with what `kinds` says for each: the table of a center's and a neighbor's species [Z, Z]. `constant` are the features
    that neighbors show to the first layer [Z, C]."""

    layers: tuple[Interaction, ...]
    kinds: tuple[Int[Tensor, "Z Z"], ...]
    constant: Float[Tensor, "Z C"]


@torch.no_grad()
def merged(embedding: Float[Tensor, "Z C"], kinds: Int[Tensor, "Z Z"], layers: Sequence[Interaction]) -> Merged:
    """The same layers in double precision with fewer products."""
    chain = [_double(layer) for layer in layers]
    for t, (layer, following) in enumerate(zip(chain, chain[1:])):
        chain[t], chain[t + 1] = _through(layer, following)
    chain[-1] = _narrowed(chain[-1])
    constant = embedding.double() @ _known(chain[0].up[0])
    first, of_first = _tabulated(chain[0], kinds, constant)
    if first is not chain[0]:
        constant = torch.ones_like(constant)
    return Merged((first, *chain[1:]), (of_first, *[kinds] * (len(chain) - 1)), constant)


def _double(layer: Interaction) -> Interaction:
    up, mix, update, skip, readout = (
        [_known(x).double() for x in each] for each in (layer.up, layer.mix, layer.update, layer.skip, layer.readout)
    )
    return replace(layer, up=up, mix=mix, update=update, skip=skip, readout=readout)


def _known(x: Tensor | None) -> Tensor:
    assert x is not None, "merged already"
    return x


def _through(layer: Interaction, following: Interaction) -> tuple[Interaction, Interaction]:
    """Outputs that are neither read out, nor skipped into, nor skipped from, go to the next layer by one matrix."""
    update, up = list(layer.update), list(following.up)
    for o, (weight, kept) in enumerate(zip(layer.update, layer.kept, strict=True)):
        if o > 0 and kept is None and o not in following.kept:
            update[o], up[o] = weight @ _known(up[o]), None
    return replace(layer, update=update), replace(following, up=up)


def _narrowed(layer: Interaction) -> Interaction:
    """Scalars that only a hidden layer reads; not one wider than they are."""
    if len(layer.readout) != 2 or len(layer.update) != 1:
        return layer
    hidden, last = (_known(weight) for weight in layer.readout)
    if hidden.shape[1] > hidden.shape[0]:
        return layer
    return replace(
        layer, update=[layer.update[0] @ hidden], skip=[weight @ hidden for weight in layer.skip], readout=[None, last]
    )


def _tabulated(layer: Interaction, kinds: Tensor, constant: Tensor) -> tuple[Interaction, Tensor]:
    """The first layer's mixing within its tables: one a kind of pair and a neighbor's species, of each center's where it matters."""
    Z = len(constant)
    by_center = len(_known(layer.mix[0])) > 1
    one = torch.arange(Z)
    pairs = torch.stack([kinds.cpu(), one.expand(Z, Z), one[:, None].expand(Z, Z) * by_center], -1)
    chosen, which = torch.unique(pairs.flatten(0, 1), dim=0, return_inverse=True)
    size = len(chosen) * layer.table[0].numel()
    if any(k != 1 for k in layer.conv.multiplicity) or size > max(MOST, layer.table.numel()):
        return layer, kinds
    table = layer.table.double()
    mixed = table.new_empty(len(chosen), *table.shape[1:])
    for p, (o, _) in enumerate(layer.conv.slots):
        for made, (kind, neighbor, center) in zip(mixed, chosen.tolist(), strict=True):
            made[:, p] = (table[kind, :, p] * constant[neighbor]) @ _known(layer.mix[o])[center]
    return replace(layer, table=mixed, mix=[None] * len(layer.mix)), which.reshape(Z, Z)
