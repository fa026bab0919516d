"""Does the energy stay? The slope of conserved energies over replicas, what it is worth, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from adiabat.analysis.quantity import Quantity
from adiabat.analysis.statistics import autocorrelation_time
from adiabat.units import ns

FEW = 4  # below this many replicas their spread is itself a guess, and the residuals tell more
PIECES = 8  # of a run in a heat bath; each as long as several of the bath's memories, and enough for a spread


@dataclass(frozen=True)
class Drift(Quantity):
    """A mean slope in meV/atom/ns with its standard error, judged by |slope| + 2σ against a target."""

    slopes: tuple[float, ...]  # one a replica
    fluctuation: float  # rms about the line, meV/atom: what a finite timestep does to a conserved quantity, harmless if bounded
    target: float
    verdict: str  # pass | fail | undetermined
    advice: str

    @property
    def bound(self) -> float:
        """|slope| + 2σ."""
        return abs(self.value) + 2 * self.error

    def to_json(self) -> dict:
        known = np.isfinite(self.value)
        more = {
            "bound": self.bound if known else None,
            "fluctuation_meV_per_atom": self.fluctuation if known else None,
            "target": self.target,
        }
        return {**super().to_json(), **more, "verdict": self.verdict, "advice": self.advice}


def energy_drift(
    energies_eV: Float[np.ndarray, "T *R"],
    times_fs: Float[np.ndarray, "T"],
    atoms: int | Float[np.ndarray, "R"],
    *,
    target: float = 1.0,
    timestep_fs: float | None = None,
    bath: bool = False,
) -> Drift:
    """Fit E(t) = a + b t a replica by least squares; the mean b is the drift.

    `energies_eV` are totals of what should be conserved, `atoms` how many share them. The error is the spread of b over the
    replicas, or, with fewer than four of them, the regression's own error with the residuals' autocorrelation time in it.

    With `bath` they are energies less what a heat bath brought in. Its noise moves the integrator's error from step to step at
    random, so that they wander as a walk does: a walk's residuals tell nothing of how far it would go another time, the slopes of
    its consecutive pieces do, whose spread is then the error.

    >>> t = np.linspace(0.0, 10_000.0, 1001)  # 10 ps
    >>> wiggle = 1e-6 * np.sin(t)[:, None] * np.array([1.0, 0.9, 1.1, 1.05])
    >>> drift = energy_drift(wiggle + 3e-6 * t[:, None] / 10_000, t, atoms=3)  # 1 µeV/atom in 10 ps
    >>> round(drift.value, 2), drift.verdict
    (0.1, 'pass')
    """
    energies = np.asarray(energies_eV, float)
    energies = energies.reshape(len(energies), -1) * 1e3 / np.asarray(atoms, float)  # meV/atom
    times = np.asarray(times_fs, float) / ns
    if len(times) != len(energies):
        raise ValueError(f"{len(energies)} energies but {len(times)} times; give one time a row of energies")
    if len(times) < 10:
        raise ValueError(
            f"{len(times)} samples show no drift; give at least 10 over as many periods of the slowest motion as you can"
        )
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError("the times do not rise from sample to sample; wanted the samples of one run, in order")
    if not np.isfinite(energies).all():
        first = int(np.argmax(~np.isfinite(energies).all(1)))
        advice = f"the energy is no number from sample {first} of {len(energies)} on: the run exploded; see what its frames looked like before"
        nan = float("nan")
        return Drift(nan, nan, "meV/atom/ns", (nan,) * energies.shape[1], nan, target, "fail", advice)
    t = times - times.mean()
    energies = energies - energies[0]  # a slope of −27 keV totals would otherwise drown in rounding
    slopes = t @ energies / (t @ t)
    residuals = energies - energies.mean(0) - t[:, None] * slopes
    if energies.shape[1] >= FEW:
        error = float(slopes.std(ddof=1) / np.sqrt(len(slopes)))
    elif bath:
        error = _spread_of_pieces(times, energies)
    else:
        error = float(np.sqrt(sum(_slope_variance(t, r) for r in residuals.T)) / len(slopes))
    value = float(slopes.mean())
    verdict, advice = _judge(value, error, target, timestep_fs, span_ps=float(times[-1] - times[0]) * 1e3, bath=bath)
    return Drift(
        value, error, "meV/atom/ns", tuple(map(float, slopes)), float(np.sqrt((residuals**2).mean())), target, verdict, advice
    )


def _spread_of_pieces(times, energies) -> float:
    """The error of the mean slope when every increment is independent of those before: consecutive pieces are as good as replicas."""
    slopes = []
    for rows in np.array_split(np.arange(len(times)), min(PIECES, len(times) // 3)):
        t = times[rows] - times[rows].mean()
        slopes.append(t @ energies[rows] / (t @ t))
    return float(np.std(slopes, ddof=1) / np.sqrt(np.size(slopes)))


def _slope_variance(t, residual) -> float:
    # A residual that stays on one side for τ samples counts once in 2τ; never better than white noise.
    tau = max(autocorrelation_time(residual).value, 0.5)
    return float(2 * tau * (residual @ residual) / max(len(t) - 2, 1) / (t @ t))


def _judge(slope, error, target, timestep_fs, span_ps, bath) -> tuple[str, str]:
    figure = f"|{slope:.3g}| + 2·{error:.2g} meV/atom/ns"
    if abs(slope) + 2 * error < target:
        return "pass", f"{figure} is below the target of {target:g}: the energy is conserved."
    if abs(slope) - 2 * error < target and bath:
        return "undetermined", (
            f"{figure} reaches over the target of {target:g} only by its error, which a heat bath makes large and which falls as the "
            f"root of the time (now {span_ps:.3g} ps): a run at constant energy, ensemble nve, tells a drift far sooner."
        )
    if abs(slope) - 2 * error < target:
        longer = (2 * error / max(target - abs(slope), 0.1 * target)) ** (2 / 3)  # σ of a slope falls as T^(−3/2)
        return "undetermined", (
            f"{figure} reaches over the target of {target:g} only by its error: run {max(longer, 1.5):.1f} times as long "
            f"(now {span_ps:.3g} ps), or more replicas."
        )
    halve = f"the timestep to {timestep_fs / 2:g} fs" if timestep_fs else "the timestep"
    return "fail", (
        f"{figure} is above the target of {target:g}: halve {halve}; the error of a smooth potential falls with its "
        "square. If the slope stays, forces are not the energy's derivative along the way: look for a jump at the cutoff, "
        "float32 positions, a skin that is too thin, or atoms beyond the training data."
    )
