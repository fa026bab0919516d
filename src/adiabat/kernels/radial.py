"""Functions of a distance: smooth cutoffs, which fade a pair out before it leaves the list, and radial bases.

Every function takes distances of any shape in Å; a basis appends its own axis. Cutoffs are exactly zero at and beyond
`cutoff`, so that a list built with a larger radius (a skin, a second cutoff) gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from adiabat.typing import Float, Tensor


def cosine_cutoff(d: Float[Tensor, "*E"], cutoff: float) -> Float[Tensor, "*E"]:
    """Fade pairs out: f(d) = ½ (1 + cos πd/r_c) below r_c, else 0. Its slope is continuous, its curvature jumps at r_c.

    Behler and Parrinello, PRL 98, 146401 (2007).

    >>> cosine_cutoff(torch.tensor([0.0, 2.5, 5.0]), 5.0)
    tensor([1.0000, 0.5000, 0.0000])
    """
    return 0.5 * (1 + torch.cos(d * (math.pi / cutoff))) * (d < cutoff)


def tanh3_cutoff(d: Float[Tensor, "*E"], cutoff: float) -> Float[Tensor, "*E"]:
    """Fade pairs out: f(d) = tanh³(1 − d/r_c) below r_c, else 0; f(0) = tanh³ 1. Two continuous derivatives at r_c.

    Behler, J. Chem. Phys. 134, 074106 (2011).

    >>> tanh3_cutoff(torch.tensor([0.0, 2.5, 5.0]), 5.0)
    tensor([0.4417, 0.0987, 0.0000])
    """
    return torch.tanh(1 - d / cutoff) ** 3 * (d < cutoff)


def polynomial_cutoff(d: Float[Tensor, "*E"], cutoff: float, p: int = 6) -> Float[Tensor, "*E"]:
    """Fade pairs out: f(x) = 1 − (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) − p(p+1)/2 x^(p+2) with x = d/r_c, 0 beyond.

    A triple root at r_c: two continuous derivatives there, whatever p; a larger p stays flat for longer. Gasteiger
    (Klicpera), Groß and Günnemann, ICLR 2020 (arXiv:2003.03123).

    >>> polynomial_cutoff(torch.tensor([0.0, 2.5, 5.0]), 5.0, p=2)
    tensor([1.0000, 0.3125, 0.0000])
    """
    x = d / cutoff
    # Horner in x: far beyond the cutoff (a skin edge) x^(p+2) stays finite, and the mask makes it zero.
    f = 1 - x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    return f * (d < cutoff)


def smooth_cutoff(d: Float[Tensor, "*E"], cutoff: float) -> Float[Tensor, "*E"]:
    """Fade pairs out: f(x) = exp(1 − 1/(1 − x²)) with x = d/r_c, 0 beyond; every derivative is continuous. torchani's "smooth".

    >>> smooth_cutoff(torch.tensor([0.0, 2.5, 5.0]), 5.0)
    tensor([1.0000, 0.7165, 0.0000])
    """
    inside = d < cutoff
    # 10⁻³: e⁻¹⁰⁰⁰ is zero, and beyond the cutoff nothing must divide by zero
    return torch.exp(1 - 1 / (1 - (d / cutoff).square()).clamp_min(1e-3)) * inside


def bessel(d: Float[Tensor, "*E"], cutoff: float, n: int | Sequence[float]) -> Float[Tensor, "*E n"]:
    """Spherical Bessel functions of order zero: b_k(d) = √(2/r_c) sin(kπd/r_c)/d, k = 1…n, or the k that `n` lists.

    Orthonormal on [0, r_c] with weight d². Finite at d = 0, where b_k = √(2/r_c) kπ/r_c.
    Gasteiger (Klicpera), Groß and Günnemann, ICLR 2020 (arXiv:2003.03123).

    >>> bessel(torch.tensor([0.0, 1.0]), 2.0, 2)
    tensor([[ 1.5708e+00,  3.1416e+00],
            [ 1.0000e+00, -8.7423e-08]])
    """
    k = torch.tensor(range(1, n + 1) if isinstance(n, int) else n, dtype=d.dtype, device=d.device)
    return torch.sinc(d[..., None] * (k / cutoff)) * (k * (math.sqrt(2 / cutoff) * math.pi / cutoff))


def gaussians(d: Float[Tensor, "*E"], cutoff: float, n: int) -> Float[Tensor, "*E n"]:
    """Evenly spaced bumps: g_k(d) = exp(−(d − μ_k)²/2δ²), μ from 0 to r_c in n steps of δ.

    Schütt et al., SchNet, J. Chem. Phys. 148, 241722 (2018).

    >>> gaussians(torch.tensor([0.0, 1.0]), 2.0, 3)
    tensor([[1.0000, 0.6065, 0.1353],
            [0.6065, 1.0000, 0.6065]])
    """
    if n < 2:
        raise ValueError(f"gaussians needs at least 2 functions to have a spacing, got n={n}")
    mu = torch.linspace(0, cutoff, n, dtype=d.dtype, device=d.device)
    delta = cutoff / (n - 1)
    return torch.exp((d[..., None] - mu).square() * (-0.5 / delta**2))
