"""`fit`: train any model, or a committee of it, on labeled frames.

The loop is a plain one: an epoch, a look at held-out data, a note in the log, now and then a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch

from adiabat.config import build
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Model, Potential
from adiabat.training.distributed import world
from adiabat.training.loop import Training
from adiabat.training.loss import Loss
from adiabat.training.optimizers import OPTIMIZERS, automatic
from adiabat.training.packed import as_part, pose_packed
from adiabat.training.problem import frames_of, pose
from adiabat.training.schedule import AVERAGES, SCHEDULES
from adiabat.training.solve import solve
from adiabat.training.solvers import asked
from adiabat.training.usual import usual

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def fit(
    model: Model | Literal["auto"],
    train: Any,
    validation: Any = None,
    *,
    members: int = 1,
    leave_out: float | None = None,
    epochs: int = 500,
    patience: int | None = None,
    optimizer: Any = "auto",
    schedule: Any = "cosine",
    average: Any = "none",
    keep: Literal["auto", "best", "last"] = "auto",
    loss: Any = None,
    batch_edges: int | None = None,
    reference_energies: Any = "auto",
    wall: bool = True,
    seed: int = 0,
    dtype: Literal["float64", "float32"] = "float64",
    device: str = "cpu",
    remember_MB: float = 1000.0,
    check_every: int | None = None,
    folder: str | Path | None = None,
    finish: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> Potential:
    """Train `model` on `train` (frames, a file, a store, or packed shards, which are read as they are needed) and return it as a potential.

    | argument | meaning |
    |---|---|
    | `model` | ``auto``: by the frames, with the options that are left alone: MACE for molecules, else a linear ACE (`training.usual`) |
    | `validation` | held-out frames; without them a tenth of `train`, duplicates and trajectory neighbors kept on one side; ``[]``: none |
    | `members`, `leave_out` | a committee of that many, each without its own share of the frames (a tenth, or 1/members where that is less); |
    | | its spread is calibrated on `validation` |
    | `epochs`, `patience` | passes through the data; stop after that many checks without a better validation loss; not for least squares |
    | `optimizer` | ``adamw``, ``sgd``, ``lbfgs``; of linear families also ``least_squares`` (its `prior` may be ``ard``) and ``lsqr`` |
    | | ``auto``: least squares for linear families (LSQR above 20,000 coefficients), L-BFGS for small sets and of pair potentials, else AdamW |
    | `schedule`, `average`, `loss` | by name or ``{name: {option: value}}``; `loss` as options of `Loss` |
    | `keep` | parameters that are returned: ``best`` by validation loss, or ``last``; ``auto``: last with L-BFGS unless `patience` is given |
    | `batch_edges` | frames of so many edges make a batch; by default a tenth of the set, 20,000 at most; halved when memory runs out |
    | `reference_energies` | ``auto``: isolated atoms where the frames have them, else least squares; ``fit``; or eV by element |
    | `wall` | add the ZBL repulsion inside bonds |
    | `remember_MB` | memory for descriptors of the training frames, worked out once; with ``lsqr`` for their rows |
    | `folder` | keeps `metrics.jsonl` and a checkpoint there; the same call then goes on where it stopped |
    | `finish` | no further epoch: the potential as the checkpoint in `folder` has it; a later call without it still goes on from there |
    | `progress` | is called with each check's errors |
    | `tick` | is called after each epoch with how many are done, and of how many; of least squares after each frame, then after each step |

    Least squares solves for all members together, in little more time than for one.
    L-BFGS lowers the loss of the whole set with every step, so its last step needs no choice among noisy ones; choosing it by few held-out
    frames costs more than it gains, and leaves these frames less honest for the calibration. Without held-out frames (fewer than ten,
    or ``[]``) ``best`` goes by the training loss, and a committee warns that its spread is not calibrated. On a CPU the same call gives
    the same bits, interrupted or not.

    >>> import numpy as np
    >>> from adiabat.labelers import labeler
    >>> from adiabat.models import BPNN
    >>> from ase.build import molecule
    >>> engine, rng = labeler("ase", calculator="emt"), np.random.default_rng(0)
    >>> frames = [molecule("H2O") for _ in range(12)]
    >>> for atoms in frames:
    ...     atoms.rattle(0.05, rng=rng)
    >>> potential = fit(BPNN(cutoff=3.0, hidden=[4]), [engine(atoms) for atoms in frames], optimizer="lbfgs", epochs=20)
    >>> potential.elements
    (1, 8)
    """
    if isinstance(model, str):
        options = {name: value for name, value in locals().items() if name not in ("model", "train", "validation")}
        return _with_usual_model(model, train, validation, options)
    leave_out = min(0.1, 1 / max(members, 1)) if leave_out is None else leave_out
    wanted = loss if isinstance(loss, Loss) else build({"loss": loss or {}}, {"loss": Loss}, where="fit")
    options = {
        "members": members, "leave_out": leave_out, "epochs": epochs, "patience": patience, "optimizer": repr(optimizer),
        "schedule": repr(schedule), "average": repr(average), "keep": keep, "loss": repr(wanted), "batch_edges": batch_edges,
        "reference_energies": repr(reference_energies), "wall": wall, "seed": seed, "dtype": dtype, "check_every": check_every,
    }  # fmt: skip
    solver = asked(optimizer, model.name, isinstance(model, LinearBasis))
    if solver is not None:
        _refuse_for_least_squares(model, options)
    processes = world(device)
    part = as_part(train)
    common = {
        "members": members, "leave_out": leave_out, "seed": seed, "reference": reference_energies, "wall": wall, "loss": wanted,
        "dtype": DTYPES[dtype], "device": processes.device(device), "options": options,
    }  # fmt: skip
    if part is None:
        problem = pose(model, train, validation, remember_MB=remember_MB, **common)
    else:
        problem = pose_packed(model, part, validation, **common)
    if keep not in ("auto", "best", "last"):
        raise ValueError(f"fit.keep: {keep!r} came; wanted 'auto', 'best' (by validation loss) or 'last'")
    if solver is not None:
        # Every process finds the same; one of them writes and tells.
        tells = processes.leads
        heard: dict[str, Any] = {"folder": folder, "progress": progress, "tick": tick} if tells else {}
        return solve(problem, wanted, solver, remember_MB=remember_MB, **heard)
    chosen = "adamw" if optimizer == "auto" and part is not None else optimizer
    if chosen == "auto":
        chosen = automatic(problem.n_parameters, problem.n_components, DTYPES[dtype], model.optimizer)
    run = Training(
        problem, wanted, _made(chosen, OPTIMIZERS, "optimizer"), _made(schedule, SCHEDULES, "schedule"), _made(average, AVERAGES, "average"),
        epochs=epochs, patience=patience, keep=keep, batch_edges=batch_edges, check_every=check_every, seed=seed,
        folder=None if folder is None else Path(folder), progress=progress, tick=tick, world=processes,
    )  # fmt: skip
    return run.as_it_stands() if finish else run.to_the_end()


def _with_usual_model(named: str, train: Any, validation: Any, options: Mapping[str, Any]) -> Potential:
    if named != "auto":
        raise ValueError(f"fit.model: {named!r} came; wanted a model, such as ad.models.ACE(), or 'auto'")
    part = as_part(train)
    frames = frames_of(train) if part is None else part
    model, more = usual(frames, options, fit)
    return fit(model, frames, validation, **{**options, **more})


# What an optimizer is told and least squares, which takes no steps, is not.
OF_OPTIMIZERS = ("epochs", "patience", "schedule", "average", "batch_edges", "check_every")


def _refuse_for_least_squares(model: Model, options: Mapping[str, Any]) -> None:
    """An option that would mean nothing is refused, unless it says what it says when it is left out."""
    for name in (*OF_OPTIMIZERS, "keep"):
        usual = signature(fit).parameters[name].default
        if options[name] not in (usual, repr(usual), "last"):
            raise ValueError(
                f"fit.{name}: {options[name]} came, and means nothing to least squares, by which {model.name} is fitted: it finds its "
                "one minimum at once. Leave it out, or ask for an optimizer: fit.optimizer: adamw"
            )


def _made(spec: Any, registry: Mapping[str, Any], where: str) -> Any:
    return build(spec, registry, where=f"fit.{where}") if isinstance(spec, str | Mapping) else spec
