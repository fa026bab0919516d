"""Symmetric polynomials of one atom's equivariant features: many-body terms at the price of a few multiplications."""

from __future__ import annotations

from functools import cache

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import Contraction
from adiabat.typing import Float, Int, Tensor


def node_poly(
    x: Float[Tensor, "N rows C"],
    species: Int[Tensor, "N"],
    weights: Float[Tensor, "Z P C"],
    poly: Contraction,
) -> Float[Tensor, "N out C"]:
    """Contract up to ν copies of x to the output irreps, with weights per species, path and channel:

    B_{LM} = Σ_ν Σ_η W_{z,η} Σ U^{LM}_{η, k₁…k_ν} x_{k₁} ⋯ x_{k_ν}

    U is a basis of *all* symmetric equivariant couplings (`Contraction.U`), so nothing is counted twice. Weights and U merge
    into one polynomial per species, output row and channel before any atom is looked at. Batatia et al., NeurIPS 2022
    (arXiv:2206.07697), and Drautz, PRB 99, 014104 (2019).
    """
    return polynomial(x, species, merge(weights, poly), poly)


def merge(weights: Float[Tensor, "Z P C"], poly: Contraction) -> Float[Tensor, "Z T C"]:
    """The coefficient of each monomial: Σ_p U_pt W_zpc, differentiable; frozen only at export."""
    if weights.shape[1] != len(poly.orders):
        raise ValueError(f"node_poly: weights for {weights.shape[1]} paths; {poly} has {len(poly.orders)}")
    return torch.einsum("pt,zpc->ztc", _couplings(str(poly), weights.dtype, weights.device), weights)


def polynomial(
    x: Float[Tensor, "N rows C"], species: Int[Tensor, "N"], coefficients: Float[Tensor, "Z T C"], poly: Contraction
) -> Float[Tensor, "N out C"]:
    """Evaluate Σ_t c_{z,t} Π x_k of each output row, terms as in `poly.terms`."""
    if x.shape[-2] != poly.irreps.dim:
        raise ValueError(f"node_poly: x has {x.shape[-2]} rows; {poly.irreps} has {poly.irreps.dim}")
    if coefficients.shape[-2:] != (len(poly.terms), x.shape[-1]):
        raise ValueError(
            f"node_poly: coefficients {tuple(coefficients.shape)}; wanted (species, {len(poly.terms)}, {x.shape[-1]})"
        )
    if dispatch.fast_for(poly, x):
        from adiabat.kernels.node_poly_op import fast_polynomial

        return fast_polynomial(x, species, coefficients, poly)
    return reference_polynomial(x, species, coefficients, poly)


def reference_polynomial(x, species, coefficients, poly) -> Tensor:
    """The meaning of `polynomial`: every monomial written down, then summed into its row."""
    factors, rows = _terms(str(poly), x.device)
    one = torch.cat([x, torch.ones_like(x[:, :1])], 1)  # the last row pads short monomials
    monomials = one[:, factors[:, 0]]  # N T C
    for column in factors[:, 1:].unbind(1):
        monomials = monomials * one[:, column]
    summed = torch.zeros((len(x), poly.outputs.dim, x.shape[-1]), dtype=x.dtype, device=x.device)
    return summed.index_add(1, rows, monomials * coefficients[species])


@cache
def _terms(poly: str, device: torch.device) -> tuple[Tensor, Tensor]:
    spec = Contraction.of(poly)
    padded = [(*t.factors, *[spec.irreps.dim] * (spec.correlation - len(t.factors))) for t in spec.terms]
    return torch.tensor(padded, device=device), torch.tensor([t.row for t in spec.terms], device=device)


@cache
def _couplings(poly: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(Contraction.of(poly).U, dtype=dtype, device=device)
