"""The predictive variance of Gaussian processes, told with every prediction where it is asked for."""

from __future__ import annotations

import copy
from typing import Any

import torch

from adiabat.models import GAP
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Model, Potential, Scaled
from adiabat.uncertainty.committee import Committee


def with_variance(potential: Potential) -> Potential:
    """The same potential that also tells ``variance`` [N]: each atom's predictive variance, eV², of its energy, as QUIP defines it.
    Of a committee it is the mean of its members'.

    δ² + 10⁻⁶ eV² − k K_MM⁻¹ kᵀ for an atom's environment, and for every pair, times its cutoff function squared. It tells how far an
    atom is from all sparse points, whatever the labels were; it is not calibrated. A calculator has it among its results. It costs a
    product with half of a matrix of the sparse points for each atom, in a compiled call of its own, when it is read. A linear family
    tells it where it was fitted with `variance`; it comes back as it is.
    """
    if any(isinstance(_inner(term), LinearBasis) and "variance" in term.outputs for term in potential.terms):
        return potential
    if not any(isinstance(_inner(term), GAP) for term in potential.terms):
        linear = next((_inner(term).name for term in potential.terms if isinstance(_inner(term), LinearBasis)), None)
        if linear is not None:
            raise ValueError(
                f"with_variance: {linear} was fitted without the covariance of its coefficients; fit it again with {linear}.variance: true"
            )
        raise ValueError("with_variance: no term of this potential is a Gaussian process; those of family gap are")
    if isinstance(potential, Committee):
        member = with_variance(potential.member(0))
        return Committee(member, potential.stacked(), metadata=copy.deepcopy(potential.metadata)).to(potential.dtype)
    made = Potential(*(_telling(term) for term in potential.terms), metadata=copy.deepcopy(potential.metadata))
    made.to(potential.dtype).load_state_dict(potential.state_dict())
    return made.train(potential.training)


def _inner(term: torch.nn.Module) -> Any:
    return term.model if isinstance(term, Scaled) else term


def _telling(term: torch.nn.Module) -> Model:
    if isinstance(term, Scaled):
        return Scaled(_telling(term.model), eV=term.eV)
    assert isinstance(term, Model)
    return GAP(**{**term.arguments, "variance": True}) if isinstance(term, GAP) else copy.deepcopy(term)
