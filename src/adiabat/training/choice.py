"""One of several linear models, by the errors of each on frames that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adiabat.potential import Model, Potential, describe
from adiabat.training.fit import fit


def choose(models: Sequence[Model], train: Any, validation: Any = None, **options: Any) -> Potential:
    """Fit every one of `models` by least squares and return the one of least error on frames left out.

    They may differ in anything: cutoff, basis, family. The error is the product of the root mean squares of energies and forces by
    which weights and ridge are chosen anyway (`weighing`), so choosing costs no frames. What all of them erred by is kept in the
    potential's ``metadata["training"]["chosen_among"]``. `options` are those of `fit`.

    >>> import numpy as np
    >>> from adiabat.labelers import labeler
    >>> from adiabat.models.ace import ACE
    >>> from ase.build import bulk
    >>> engine, rng = labeler("ase", calculator="emt"), np.random.default_rng(0)
    >>> frames = [bulk("Cu", cubic=True) for _ in range(24)]
    >>> for atoms in frames:
    ...     atoms.rattle(0.1, rng=rng)
    >>> models = [ACE(cutoff=cutoff, channels=4, correlation=2) for cutoff in (2.7, 4.5)]
    >>> choose(models, [engine(atoms) for atoms in frames], []).cutoff
    4.5
    """
    if not models:
        raise ValueError("choose: no model came; wanted one at least")
    potentials = [fit(model, train, validation, **options) for model in models]
    told = [potential.metadata["training"].get("left_out") for potential in potentials]
    for k, errors in enumerate(told):
        if errors is None and len(models) > 1:
            raise ValueError(
                f"choose: model {k + 1} ({type(models[k]).__name__}) has no errors on frames left out to be chosen by; they come from least "
                "squares with 10 validation frames, or 20 unrelated ones to learn from, and loss.energy or loss.stress open"
            )
    best = min(range(len(models)), key=lambda k: error_of(told[k] or {}))
    potentials[best].metadata["training"]["chosen_among"] = [
        {"model": describe(model), **(errors or {})} for model, errors in zip(models, told, strict=True)
    ]
    return potentials[best]


def error_of(left_out: Mapping[str, float]) -> float:
    """The logarithm of the product of the errors of energies and forces; with labels of one kind, of that."""
    return sum(math.log(error) for error in left_out.values())
