"""From the ensemble a model samples to the one its reference would: weights, what they are worth, and the comparison.

Frames drawn from exp(−βE_model) and labeled with E_ref stand for the reference's ensemble with weights
exp(−β(E_ref − E_model)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from adiabat.analysis.distributions import Histogram, of_blocks, overlap, tally
from adiabat.analysis.quantity import Quantity
from adiabat.units import k_B


@dataclass(frozen=True)
class Weights:
    """Normalized weights of frames, Σw = 1."""

    values: Float[np.ndarray, "T"]
    spread_kT: float  # standard deviation of β(E_ref − E_model): above about 1, few frames carry all

    @property
    def effective_samples(self) -> float:
        """Kish's (Σw)²/Σw²: how many equally weighted frames these are worth."""
        return float(1.0 / (self.values**2).sum())

    @property
    def overlap(self) -> float:
        """Effective samples by frames, 0 to 1: how much the two ensembles share."""
        return self.effective_samples / len(self.values)

    @property
    def advice(self) -> str:
        worth = f"{len(self.values)} frames are worth {self.effective_samples:.1f} in the reference ensemble"
        worth += f" (energy differences spread over {self.spread_kT:.2f} kT)"
        if self.overlap > 0.5:
            return f"{worth}: reweighting is sound."
        return f"{worth}: the model is too far off for reweighting to be trusted; label more frames or improve the model there."

    def average(self, x: Float[np.ndarray, "T"], unit: str = "") -> Quantity:
        """⟨x⟩ in the reference ensemble, with the ratio estimator's standard error for independent frames."""
        x = np.asarray(x, float)
        if x.shape != self.values.shape:
            raise ValueError(f"x of shape {x.shape} came to {len(self.values)} weights; give one number a frame")
        mean = float(self.values @ x)
        return Quantity(mean, float(np.sqrt((self.values**2) @ (x - mean) ** 2)), unit)


def reweight(
    energies_reference_eV: Float[np.ndarray, "T"], energies_model_eV: Float[np.ndarray, "T"], temperature_K: float
) -> Weights:
    """w ∝ exp(−β(E_ref − E_model)) for frames sampled by the model at this temperature. A constant offset cancels.

    >>> w = reweight(np.array([-10.0, -10.0]), np.array([0.0, k_B * 300 * np.log(2)]), 300.0)
    >>> w.values.round(6).tolist(), round(w.effective_samples, 6)
    ([0.333333, 0.666667], 1.8)
    """
    reference, model = np.asarray(energies_reference_eV, float), np.asarray(energies_model_eV, float)
    if reference.ndim != 1 or reference.shape != model.shape or not len(reference):
        raise ValueError(
            f"energies of shapes {reference.shape} and {model.shape} came; wanted one of each a frame, at least one"
        )
    if not temperature_K > 0:
        raise ValueError(f"temperature_K = {temperature_K}; wanted the positive one at which the model was sampled")
    difference = reference - model
    if not np.isfinite(difference).all():
        bad = np.flatnonzero(~np.isfinite(difference))
        raise ValueError(f"frames {bad[:5].tolist()} have no finite energy difference; leave them out before reweighting")
    x = -(difference - difference.mean()) / (k_B * temperature_K)
    weights = np.exp(x - x.max())
    return Weights(weights / weights.sum(), float(x.std()))


@dataclass(frozen=True)
class Comparison:
    """One distribution in the model's ensemble and, by reweighting the same frames, in the reference's."""

    model: Histogram
    reference: Histogram
    overlap: float  # ∫ min of the two densities
    effective_samples: float
    largest_deviation: float  # of the densities, in standard errors of their difference


def compare(
    samples: Sequence[Float[np.ndarray, "_"]],
    weights: Weights,
    edges: Float[np.ndarray, "B1"],
    *,
    rng: np.random.Generator,
    unit: str = "",
    block: int = 1,
    resamples: int = 200,
) -> Comparison:
    """Unweighted against weighted histogram of the same frames.

    The two share their frames, so the deviation is judged by resampling their *difference*.

    >>> rng = np.random.default_rng(0)
    >>> x = list(rng.normal(size=(200, 1)))
    >>> same = compare(x, reweight(np.zeros(200), np.zeros(200), 300.0), np.linspace(-3, 3, 13), rng=rng)
    >>> round(same.overlap, 6), same.largest_deviation
    (1.0, 0.0)
    """
    plain, tilted = (tally(samples, edges, w, block) for w in (None, weights.values))
    picks = rng.multinomial(len(plain), np.full(len(plain), 1 / len(plain)), size=resamples)
    (model, drawn_model), (reference, drawn_reference) = (of_blocks(b, edges, picks, unit) for b in (plain, tilted))
    difference = reference.density - model.density
    doubt = (drawn_reference - drawn_model).std(0)
    seen = doubt > 1e-9 * np.nanmax(model.density)  # empty bins have no error, and rounding is none
    worst = float(np.abs(difference[seen] / doubt[seen]).max()) if seen.any() else 0.0
    return Comparison(model, reference, overlap(model, reference), weights.effective_samples, worst)


def corrected(
    model: Histogram,
    samples: Sequence[Float[np.ndarray, "_"]],
    weights: Weights,
    *,
    rng: np.random.Generator,
    resamples: int = 200,
) -> Histogram:
    """The reference's distribution: the model's, from all of its run, plus what reweighting changes on the labeled frames.

    p_ref ≈ p_model + (p_weighted − p_plain). The labeled frames are few, but both terms in the bracket share their noise, which
    cancels as far as the weights are even (a control variate). The error is that of the model's histogram and of the difference,
    whose frames are resampled together.

    >>> from adiabat.analysis.distributions import histogram
    >>> rng = np.random.default_rng(0)
    >>> x = list(rng.normal(size=(4000, 1)))
    >>> whole = histogram(x, np.linspace(-3, 3, 13), rng=rng)
    >>> few, even = x[:40], reweight(np.zeros(40), np.zeros(40), 300.0)
    >>> bool(np.allclose(corrected(whole, few, even, rng=rng).density, whole.density))
    True
    """
    plain, tilted = (tally(samples, model.edges, w) for w in (None, weights.values))
    picks = rng.multinomial(len(plain), np.full(len(plain), 1 / len(plain)), size=resamples)
    (few, drawn_few), (heavy, drawn_heavy) = (of_blocks(b, model.edges, picks, model.unit) for b in (plain, tilted))
    doubt = (drawn_heavy - drawn_few).std(0)
    return Histogram(model.edges, model.density + heavy.density - few.density, np.sqrt(model.error**2 + doubt**2), model.unit)
