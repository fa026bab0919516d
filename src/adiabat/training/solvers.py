"""How families that are linear in what they learn are solved, by name: what `fit.optimizer` may say beside the optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adiabat.config import ConfigError, build


@dataclass(frozen=True)
class LeastSquares:
    """By QR decompositions of a triangle that all rows are folded into: memory is bounded by the square of the basis.

    `prior` ``ridge``: one width for all coefficients. ``ard``: one for each, found by evidence (`relevance`); coefficients of which the
    data say nothing become exactly zero.
    """

    prior: Literal["ridge", "ard"] = "ridge"


@dataclass(frozen=True)
class LSQR:
    """By iterations that go through the frames' rows (`streamed`): for bases whose triangle does not fit into memory.

    `ridge` is a share of the largest squared singular value of the scaled columns; None: of `streamed.RIDGES`, the one of least loss on
    held-out frames where there are ten, else the smallest. Iterations end by `tolerance` (atol and btol of Paige and Saunders), or after
    so many. `rows` are kept in ``memory``, on ``disk``, or made ``anew`` each time; ``auto``: the first that has room. Columns are made
    independent of each other in blocks of up to `block`.
    """

    ridge: float | None = None
    tolerance: float = 1e-8
    iterations: int = 2000
    rows: Literal["auto", "memory", "disk", "anew"] = "auto"
    block: int = 4000

    def __post_init__(self) -> None:
        if self.ridge is not None and not self.ridge > 0:
            raise ValueError(f"lsqr.ridge: {self.ridge} came; wanted a share of the largest singular value, such as 1e-12")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"lsqr.tolerance: {self.tolerance} came; wanted a small number, such as 1e-8")
        for name in ("iterations", "block"):
            if getattr(self, name) < 1:
                raise ValueError(f"lsqr.{name}: {getattr(self, name)} came; wanted one at least")


SOLVERS: dict[str, Any] = {"least_squares": LeastSquares, "lsqr": LSQR}


def asked(optimizer: Any, model: str, linear: bool) -> LeastSquares | LSQR | None:
    """The solver that an `optimizer` option means, if it means one; one for linear families is refused to others.

    >>> asked("auto", "ace", True), asked({"least_squares": {"prior": "ard"}}, "ace", True), asked("adamw", "ace", True)
    (LeastSquares(prior='ridge'), LeastSquares(prior='ard'), None)
    """
    if isinstance(optimizer, str) and optimizer == "auto":
        return LeastSquares() if linear else None
    if isinstance(optimizer, str | Mapping):
        name = optimizer if isinstance(optimizer, str) else next(iter(optimizer), None)
        if name not in SOLVERS:
            return None
        optimizer = build(optimizer, SOLVERS, where="fit.optimizer")
    if not isinstance(optimizer, LeastSquares | LSQR):
        return None
    if not linear:
        raise ConfigError(
            f"fit.optimizer: {_named(optimizer)} came, and solves for what a model is linear in; {model} has parameters that are not. "
            "Leave it out, or ask for one of adamw, lbfgs, sgd"
        )
    return optimizer


def refuse_for_processes(solver: LeastSquares | LSQR, model: str) -> None:
    """A Gaussian process brings its prior and its noise: nothing is chosen, and all its sparse points are known together."""
    if solver != LeastSquares():
        raise ConfigError(
            f"fit.optimizer: {_named(solver)} came, and {model} is a Gaussian process, whose prior is its own and which is solved by QR; leave "
            "it out, or say least_squares. Its `noise` and `n_sparse` are in the model's options"
        )


def _named(solver: LeastSquares | LSQR) -> str:
    return (
        "lsqr"
        if isinstance(solver, LSQR)
        else "least_squares" + (f" with prior {solver.prior}" if solver.prior != "ridge" else "")
    )
