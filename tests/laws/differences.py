"""Derivatives by differences: five points, whose error is h⁴/30 times the fifth derivative, and rounding over h."""

from __future__ import annotations

from collections.abc import Callable

import torch

# With h = 1e-3 Å and the steepest term here (an r⁻¹² wall of 1 eV at 1 Å, fifth derivative about 5e5 eV/Å⁵) the truncation is
# 2e-8 eV/Å; rounding adds 1e-16 · 1e3 eV / h = 1e-10 eV/Å. A factor of 50 over both:
H = 1e-3
TOLERANCE = 1e-6


def slope(f: Callable[[float], float]) -> float:
    """f'(0)."""
    return (8 * (f(H) - f(-H)) - (f(2 * H) - f(-2 * H))) / (12 * H)


def directions(n: int, like: torch.Tensor, seed: int = 0) -> list[torch.Tensor]:
    """A few random unit directions in the space of `like`."""
    g = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(like.shape, generator=g, dtype=torch.float64) for _ in range(n)]
    return [d / d.norm() for d in drawn]
