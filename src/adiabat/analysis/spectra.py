"""How atoms swing: velocity autocorrelation and the spectrum of vibrations it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from adiabat.analysis.motions import motions
from adiabat.units import PER_CM


def velocity_autocorrelation(
    velocities: Float[np.ndarray, "T N 3"], masses: Float[np.ndarray, "N"] | None = None
) -> Float[np.ndarray, "T"]:
    """Σ m ⟨v(s)·v(s+t)⟩ / Σ m ⟨v²⟩ over atoms and all origins; masses 1 unless given.

    >>> t = np.arange(1000) * 2 * np.pi / 100
    >>> c = velocity_autocorrelation(np.cos(t)[:, None, None] * np.ones((1, 1, 3)))
    >>> c[[0, 50, 100]].round(1).tolist()
    [1.0, -1.0, 1.0]
    """
    v = _weighted(velocities, masses)
    steps = len(v)
    power = (np.abs(np.fft.rfft(v, n=2 * steps, axis=0)) ** 2).sum((1, 2))
    c = np.fft.irfft(power)[:steps] / np.arange(steps, 0, -1)
    return c / c[0]


@dataclass(frozen=True)
class Spectrum:
    """A power spectrum over wavenumbers, ∫ = 1."""

    wavenumbers_per_cm: Float[np.ndarray, "F"]
    density: Float[np.ndarray, "F"]
    resolution_per_cm: float

    @property
    def peak_per_cm(self) -> float:
        """The wavenumber of the highest line."""
        return float(self.wavenumbers_per_cm[self.density.argmax()])


def power_spectrum(
    velocities: Float[np.ndarray, "T N 3"],
    interval_fs: float,
    masses: Float[np.ndarray, "N"] | None = None,
    *,
    segments: int = 8,
) -> Spectrum:
    """The vibrational density of states: Σ m |v(ν)|² (masses 1 unless given), Welch's average over half-overlapping Hann windows, ∫ = 1.

    It is the Fourier transform of the velocity autocorrelation (Wiener and Khinchin). The resolution is that of a window of
    2T/(segments + 1); frames further apart than half a period alias, so give an `interval_fs` below 4 fs for O–H.

    >>> t = np.arange(4000) * 0.5
    >>> v = np.cos(2 * np.pi * 0.1 * t)[:, None, None] * np.ones((1, 1, 3))  # 0.1/fs = 3336 cm⁻¹
    >>> bool(abs(power_spectrum(v, 0.5).peak_per_cm - 3335.6) < 40)
    True
    """
    from scipy.signal import welch

    v = _weighted(velocities, masses)
    length = min(2 * len(v) // (segments + 1), len(v))
    if not interval_fs > 0 or segments < 1 or length < 4:
        raise ValueError(
            f"{len(v)} frames {interval_fs} fs apart in {segments} segments make windows of {length} frames; wanted a positive time and "
            "windows of at least 4: give more frames or fewer segments"
        )
    frequency, density = welch(v, fs=1 / interval_fs, nperseg=length, detrend=False, axis=0)
    density = density.sum((1, 2))
    wavenumbers = frequency * PER_CM
    return Spectrum(wavenumbers, density / np.trapezoid(density, wavenumbers), float(wavenumbers[1]))


def _weighted(velocities, masses):
    v = motions(velocities, "velocities")
    if not v.any():
        raise ValueError(
            "all velocities are zero: nothing moves, so nothing swings; see whether the trajectory holds velocities"
        )
    if masses is None:
        return v
    masses = np.asarray(masses, float)
    if masses.shape != v.shape[1:2]:
        raise ValueError(f"masses of shape {masses.shape} for {v.shape[1]} atoms; give one an atom")
    return v * np.sqrt(masses)[:, None]
