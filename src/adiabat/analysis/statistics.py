"""Means of correlated data and what they are worth: autocorrelation times and block averages.

Time comes first: a series is [T], or [T, R] for R independent replicas of one process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from adiabat.analysis.quantity import Quantity


def autocovariance(x: Float[np.ndarray, "T ..."]) -> Float[np.ndarray, "T"]:
    """C(t) = ⟨δx(s) δx(s+t)⟩, averaged over s and replicas, by fast Fourier transform.

    >>> autocovariance(np.array([1.0, -1.0, 1.0, -1.0])).round(6).tolist()
    [1.0, -1.0, 1.0, -1.0]
    """
    x = _replicas(x)
    steps = len(x)
    spectrum = np.abs(np.fft.rfft(x - x.mean(), n=2 * steps, axis=0)) ** 2  # zero padding: no wrap-around
    return np.fft.irfft(spectrum.mean(1))[:steps] / np.arange(steps, 0, -1)


def autocorrelation_time(x: Float[np.ndarray, "T ..."], window: float = 5.0) -> Quantity:
    """τ = ½ + Σ_{t=1}^{W} C(t)/C(0) in samples, W the first lag with W ≥ window · τ(W).

    The window is Sokal's (Cargèse lectures, 1997), the error Wolff's (Comput. Phys. Commun. 156, 143 (2004)). White noise
    has τ = ½: N samples are worth N/2τ independent ones.

    >>> rng = np.random.default_rng(0)
    >>> bool(abs(autocorrelation_time(rng.normal(size=10_000)).value - 0.5) < 0.05)
    True
    """
    x = _replicas(x)
    covariance = autocovariance(x)
    if covariance[0] <= 1e-28 * max(float(np.abs(x).max()) ** 2, 1e-300):  # a constant: every sample says the same
        return Quantity(0.5, 0.0, "samples")
    tau = np.cumsum(covariance / covariance[0]) - 0.5
    lag = np.arange(len(tau))
    enough = np.flatnonzero(lag[1:] >= window * tau[1:]) + 1
    last = enough[0] if len(enough) else len(tau) - 1
    value = max(float(tau[last]), 0.5 / x.size)
    return Quantity(value, value * float(np.sqrt(max(4 * (last + 0.5 - value), 0.0) / x.size)), "samples")


def mean(x: Float[np.ndarray, "T ..."], unit: str = "") -> Quantity:
    """The mean with σ² = 2τ C(0)/N, honest about correlation in time.

    >>> q = mean(np.random.default_rng(1).normal(3.0, 1.0, size=10_000))
    >>> bool(abs(q.value - 3) < 4 * q.error), round(q.error, 3)
    (True, 0.01)
    """
    x = _replicas(x)
    if x.size < 2:
        return Quantity(float(x.mean()), float("nan"), unit)
    tau = autocorrelation_time(x).value
    worth = max(x.size / (2 * tau), 1.0)
    variance = float(x.var()) * worth / max(worth - 1, 0.5)  # the sample mean ate one independent sample
    return Quantity(float(x.mean()), float(np.sqrt(variance / worth)), unit)


@dataclass(frozen=True)
class Blocks:
    """The error of a mean at growing block length; it levels off where blocks have become independent."""

    length: np.ndarray
    error: np.ndarray
    error_of_error: np.ndarray

    @property
    def plateau(self) -> float:
        """The first error that agrees with all longer blockings within their own uncertainty; NaN: series too short.

        Agreement counts where it could have failed: errors of correlated blocks double with four times the length, which 16 blocks
        that are four times as long would show.
        """
        for k in range(len(self.error) - 2):
            rise = self.error[k + 1 :] - self.error[k]
            tells = self.error_of_error[k + 2] <= self.error[k + 2] / np.sqrt(2 * (16 - 1))
            if tells and (rise <= 2 * self.error_of_error[k + 1 :]).all():
                return float(self.error[k])
        return float("nan")


def block_averages(x: Float[np.ndarray, "T"]) -> Blocks:
    """Halve the series again and again, averaging neighbors: Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989).

    >>> blocks = block_averages(np.random.default_rng(2).normal(size=4096))
    >>> blocks.length[:3].tolist(), bool(0.012 < blocks.plateau < 0.019)
    ([1, 2, 4], True)
    """
    x = np.asarray(x, float)
    length, error, doubt = [], [], []
    size = 1
    while len(x) >= 4:
        n = len(x)
        length.append(size)
        error.append(float(x.std(ddof=1) / np.sqrt(n)))
        doubt.append(error[-1] / np.sqrt(2 * (n - 1)))
        x = (x[0 : n - n % 2 : 2] + x[1 : n - n % 2 + 1 : 2]) / 2
        size *= 2
    return Blocks(np.array(length), np.array(error), np.array(doubt))


def _replicas(x) -> Float[np.ndarray, "T R"]:
    x = np.asarray(x, float)
    if not x.ndim or not x.size:
        raise ValueError(f"a series of shape {x.shape} came; wanted at least one sample")
    return x.reshape(len(x), -1)
