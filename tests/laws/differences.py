"""Derivatives by differences: five points, whose error is h⁴/30 times the fifth derivative, and rounding over h."""

from __future__ import annotations

from collections.abc import Callable

import torch

# With h = 5e-4 Å and the steepest term here (an r⁻¹² wall of 1 eV at 1 Å, fifth derivative about 5e5 eV/Å⁵) the truncation is
# 1e-9 eV/Å; rounding adds 1e-16 · 1e3 eV / h = 2e-10 eV/Å. Untrained networks may be steeper: a factor of 1e3 over both.
H = 5e-4
TOLERANCE = 1e-6


def slope(f: Callable[[float], float]) -> float:
    """f'(0)."""
    return (8 * (f(H) - f(-H)) - (f(2 * H) - f(-2 * H))) / (12 * H)


def agree(difference: float, derivative: torch.Tensor, of: torch.Tensor) -> None:
    """`derivative` is a component of the tensor `of`, whose size says how steep the potential is."""
    worst, allowed = abs(difference - float(derivative)), TOLERANCE * max(1.0, float(of.abs().max()))
    assert worst <= allowed, f"differ by {worst:.3g}, allowed {allowed:.3g}"


def directions(n: int, like: torch.Tensor, seed: int = 0) -> list[torch.Tensor]:
    """A few random unit directions in the space of `like`."""
    g = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(like.shape, generator=g, dtype=torch.float64) for _ in range(n)]
    return [d / d.norm() for d in drawn]
