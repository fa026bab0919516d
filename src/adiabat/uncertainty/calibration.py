"""What a spread is worth: scaled on held-out data, and how often the truth then lies within it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# A spread that is right within a factor of 1.5, either way, holds these shares of normal errors: erf(1/(1.5 √2)) … erf(1.5/√2)
# within one of it, erf(2/(1.5 √2)) within two. More within two is no fault: errors of many sizes have heavier tails than that.
ONE_SIGMA = (0.495, 0.866)
TWO_SIGMA = 0.818
FORBIDDEN = 1e-4  # of the large ones: a spread below it is rounding where symmetry forbids a force (1e-13), not confidence


@dataclass(frozen=True)
class Calibration:
    """error ≈ scale × spread. `coverage[p]` is the share of true errors within the interval that should hold the share p."""

    scale: float
    n: int
    coverage: dict[str, float]
    correlation: float  # Spearman's, of |error| with spread: does the spread rank?


def calibrate(error: np.ndarray, spread: np.ndarray) -> Calibration:
    """Scale the spread so that error/spread has unit variance: the maximum-likelihood scale of a normal error.

    Laves, Ihler, Fast, Kahrs and Ortmaier, MIDL 2020 ("σ scaling"). `error` and `spread` are of one unit, one entry each
    component. Entries that symmetry holds at zero say nothing and are left out: there the members differ by rounding alone, and
    whatever the label's own noise is would be infinitely many of it.

    >>> rng = np.random.default_rng(0)
    >>> spread = rng.uniform(0.5, 2, 20000)
    >>> found = calibrate(rng.normal(0, 3 * spread), spread)
    >>> round(found.scale, 1), round(found.coverage["0.68"], 2), round(found.coverage["0.95"], 2)
    (3.0, 0.68, 0.95)
    """
    error, spread = _flat(error, spread)
    told = _tells(spread)
    if not told.any():
        raise ValueError("every spread is zero: the members of the committee agree exactly, are they copies of each other?")
    error, spread = error[told], spread[told]
    if not np.isfinite(error).all():
        raise ValueError(
            f"{int((~np.isfinite(error)).sum())} of {len(error)} errors are not finite; leave out what has no label"
        )
    scale = float(np.sqrt(np.mean((error / spread) ** 2)))
    return Calibration(scale, int(told.sum()), coverage(error, scale * spread), _spearman(np.abs(error), spread))


def pooled(scale: float, n: int, error: np.ndarray, spread: np.ndarray) -> float:
    """The scale that `n` earlier components with this `scale` and new (error, unscaled spread) pairs give together.

    Mean squares add by their numbers: scale² = (n scale² + Σ (error/spread)²) / (n + new).

    >>> pooled(1.0, 2, np.array([2.0, 2.0]), np.array([1.0, 1.0])) == math.sqrt(2.5)
    True
    """
    error, spread = _flat(error, spread)
    told = _tells(spread)
    ratio = error[told] / spread[told]
    return float(np.sqrt((n * scale**2 + (ratio**2).sum()) / max(1, n + told.sum())))


def coverage(
    error: np.ndarray, uncertainty: np.ndarray, shares: tuple[float, ...] = (0.5, 0.68, 0.9, 0.95)
) -> dict[str, float]:
    """The share of errors inside the central interval of a normal distribution that should hold the share p.

    >>> coverage(np.array([0.1, -3.0]), np.array([1.0, 1.0]), shares=(0.68,))
    {'0.68': 0.5}
    """
    from scipy.special import erfinv

    z = _in_units(*_flat(error, uncertainty))
    return {f"{p:g}": float(np.mean(z <= math.sqrt(2) * erfinv(p))) for p in shares}


@dataclass(frozen=True)
class Trust:
    """How far a calibrated spread held on frames it had not seen: shares of errors within one and within two of it."""

    within_one: float
    within_two: float

    @property
    def trusted(self) -> bool:
        """Whether the spread is right within a factor of 1.5."""
        return ONE_SIGMA[0] <= self.within_one <= ONE_SIGMA[1] and self.within_two >= TWO_SIGMA

    @property
    def advice(self) -> str:
        """What the shares mean, in words."""
        if self.trusted:
            return "the spread is right within a factor of 1.5"
        if self.within_one > ONE_SIGMA[1]:
            return "the spread is too large: it asks for more labels than are needed"
        return (
            "the spread is too small: errors are larger than it says; more members or fresh labels to calibrate on would help"
        )


def trust(error: np.ndarray, uncertainty: np.ndarray) -> Trust:
    """Judge a calibrated spread on held-out errors; `error` and `uncertainty` are of one unit, one entry each component.

    >>> rng = np.random.default_rng(0)
    >>> error = rng.normal(size=5000)
    >>> (
    ...     trust(error, np.full(5000, 1.2)).trusted,
    ...     trust(error, np.full(5000, 0.4)).trusted,
    ...     trust(error, np.full(5000, 3.0)).trusted,
    ... )
    (True, False, False)
    """
    z = _in_units(*_flat(error, uncertainty))
    return Trust(float(np.mean(z <= 1)), float(np.mean(z <= 2)))


def rank_correlation(error: np.ndarray, spread: np.ndarray) -> float | None:
    """Spearman's rank correlation of |error| with the spread: does it rank? None where there is nothing to rank."""
    error, spread = _flat(error, spread)
    found = _spearman(np.abs(error), spread)
    return None if math.isnan(found) else found


def _flat(error: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error, spread = np.asarray(error, float), np.asarray(spread, float)
    if error.shape != spread.shape:
        raise ValueError(f"errors of shape {error.shape} and spreads of shape {spread.shape} came; wanted one spread an error")
    return error.ravel(), spread.ravel()


def _tells(spread: np.ndarray) -> np.ndarray:
    """Which spreads are more than rounding beside the others."""
    large = (
        np.nanquantile(spread, 0.9) if spread.size else 0.0
    )  # neither the wild ones of a few frames nor zeros, if there are many
    return spread > FORBIDDEN * large


def _in_units(error: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """|error| in units of what was expected of it: an error of zero is within any, another is not within none."""
    return np.abs(error) / np.maximum(uncertainty, np.finfo(float).tiny)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
