"""`fit`: train any model, or a committee of it, on labeled frames.

The loop is a plain one: an epoch, a look at held-out data, a note in the log, now and then a checkpoint.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from adiabat.config import build
from adiabat.graph import Graph
from adiabat.potential import Model, Potential
from adiabat.training import checkpoint
from adiabat.training.loss import Loss, Sum, squared_errors
from adiabat.training.optimizers import OPTIMIZERS, automatic
from adiabat.training.problem import Problem, pose
from adiabat.training.schedule import AVERAGES, SCHEDULES
from adiabat.typing import Tensor
from adiabat.uncertainty import Committee, calibrate

Spec = str | dict[str, Any]
DTYPES = {"float64": torch.float64, "float32": torch.float32}
CHECKPOINT_EVERY_S = 20.0
MOST_EDGES = 20_000


def fit(
    model: Model,
    train: Any,
    validation: Any = None,
    *,
    members: int = 1,
    leave_out: float = 0.1,
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
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Potential:
    """Train `model` on `train` (frames, a file or a store) and return it as a potential.

    | argument | meaning |
    |---|---|
    | `validation` | held-out frames; without them a tenth of `train`, duplicates and trajectory neighbors kept on one side; ``[]``: none |
    | `members`, `leave_out` | a committee of that many, each without its own share of the frames; its spread is calibrated on `validation` |
    | `epochs`, `patience` | passes through the data; stop after that many checks without a better validation loss |
    | `optimizer` | ``adamw``, ``sgd``, ``lbfgs``; ``auto``: L-BFGS for few parameters on a small set in float64, else AdamW |
    | `schedule`, `average`, `loss` | by name or ``{name: {option: value}}``; `loss` as options of `Loss` |
    | `keep` | parameters that are returned: ``best`` by validation loss, or ``last``; ``auto``: last with L-BFGS unless `patience` is given |
    | `batch_edges` | frames of so many edges make a batch; by default a tenth of the set, 20,000 at most; halved when memory runs out |
    | `reference_energies` | ``auto``: isolated atoms where the frames have them, else least squares; ``fit``; or eV by element |
    | `wall` | add the ZBL repulsion inside bonds |
    | `remember_MB` | memory for descriptors of the training frames, worked out once |
    | `folder` | keeps `metrics.jsonl` and a checkpoint there; the same call then goes on where it stopped |

    L-BFGS lowers the loss of the whole set with every step, so its last step needs no choice among noisy ones; choosing it by few held-out
    frames costs more than it gains, and leaves these frames less honest for the calibration. Without held-out frames (fewer than ten,
    or ``[]``) ``best`` goes by the training loss, and a committee warns that its spread is not calibrated. On a CPU the same call gives
    the same bits, interrupted or not.

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
    wanted = loss if isinstance(loss, Loss) else build({"loss": loss or {}}, {"loss": Loss}, where="fit")
    options = {
        "members": members, "leave_out": leave_out, "epochs": epochs, "patience": patience, "optimizer": repr(optimizer),
        "schedule": repr(schedule), "average": repr(average), "keep": keep, "loss": repr(wanted), "batch_edges": batch_edges,
        "reference_energies": repr(reference_energies), "wall": wall, "seed": seed, "dtype": dtype, "check_every": check_every,
    }  # fmt: skip
    problem = pose(
        model, train, validation, members=members, leave_out=leave_out, seed=seed, reference=reference_energies, wall=wall,
        loss=wanted, dtype=DTYPES[dtype], device=device, remember_MB=remember_MB, options=options,
    )  # fmt: skip
    if keep not in ("auto", "best", "last"):
        raise ValueError(f"fit.keep: {keep!r} came; wanted 'auto', 'best' (by validation loss) or 'last'")
    chosen = automatic(problem.n_parameters, problem.n_components, DTYPES[dtype]) if optimizer == "auto" else optimizer
    run = Training(
        problem, wanted, _made(chosen, OPTIMIZERS, "optimizer"), _made(schedule, SCHEDULES, "schedule"), _made(average, AVERAGES, "average"),
        epochs=epochs, patience=patience, keep=keep, batch_edges=batch_edges, check_every=check_every, seed=seed,
        folder=None if folder is None else Path(folder), progress=progress,
    )  # fmt: skip
    return run.to_the_end()


class Uncalibrated(UserWarning):
    """A committee whose spread was compared with no error: it ranks, but it is no expected error."""


class Training:
    """A training under way: everything that changes, and the loop over it."""

    def __init__(
        self,
        problem: Problem,
        loss: Loss,
        optimizer: Any,
        schedule: Any,
        average: Any,
        *,
        epochs: int,
        patience: int | None,
        keep: Literal["auto", "best", "last"],
        batch_edges: int | None,
        check_every: int | None,
        seed: int,
        folder: Path | None,
        progress: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self.problem, self.loss, self.schedule, self.average = problem, loss, schedule, average
        self.learned = problem.learned
        self.parameters = [p for p in self.learned.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"{problem.name}: nothing to train; its numbers are its arguments")
        self.members = self.learned.size if isinstance(self.learned, Committee) else None
        self.stepper = optimizer.start(self.parameters, self.members)
        self.optimizer = {v: k for k, v in OPTIMIZERS.items()}.get(type(optimizer), type(optimizer).__name__)
        self.epochs, self.patience = epochs, patience
        self.keep_last = keep == "last" or (keep == "auto" and self.stepper.full_batch and patience is None)
        self.batch_edges = batch_edges or self._usual_batch()
        self.check_every = check_every or (10 if self.stepper.full_batch else 1)
        self.rng = np.random.default_rng(seed)
        self.folder, self.progress = folder, progress
        self.epoch, self.stale = 0, 0
        self.best = [p.detach().clone() for p in self.parameters]
        self.best_loss = torch.full((self.members or 1,), torch.inf, dtype=torch.float64)
        self.metrics: dict[str, Any] = {}
        self._whole: list[Graph] | None = None
        self.standing = self._state()

    def _usual_batch(self) -> int:
        """Ten steps an epoch where an epoch has many; the more edges together the faster, up to the size of a processor's cache."""
        if self.stepper.full_batch:
            return MOST_EDGES
        return max(1, min(MOST_EDGES, sum(graph.n_edges for graph in self.problem.train) // 10))

    def to_the_end(self) -> Potential:
        """Train until the epochs are over or patience is; then the best or the last parameters as a potential."""
        self.resume()
        saved = time.monotonic()
        try:
            while self.epoch < self.epochs and not self.weary:
                self.one_epoch()
                self.average.update(self.parameters)
                self.epoch += 1
                if self.epoch % self.check_every == 0 or self.epoch == self.epochs:
                    self.check()
                self.standing = self._state()
                if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                    self.save()
                    saved = time.monotonic()
        except KeyboardInterrupt:  # wherever it came: what is kept is where the last whole epoch ended
            self.save()
            raise
        self.save()
        return self.finish()

    @property
    def weary(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def one_epoch(self) -> None:
        while True:
            try:
                self.learned.train()
                self.stepper.epoch(self.batches(), self.errors, self.loss, self.schedule(self.epoch, self.epochs))
                return
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error) or self.batch_edges < 2:
                    raise
            # Here, behind the except clause, the traceback no longer keeps the failed batch in memory.
            smaller = self.batch_edges // 2
            self._restore(*self.standing)
            self.batch_edges = smaller
            self._whole = None
            self._note({"event": "out of memory", "epoch": self.epoch, "batch_edges": self.batch_edges})

    def errors(self, batch: Graph) -> dict[str, Sum]:
        return squared_errors(self.learned.predictions(batch), batch)

    def batches(self) -> list[Graph]:
        """The training frames in batches by edge budget; in a new order each epoch, unless the optimizer takes all at once."""
        if self.stepper.full_batch:
            if self._whole is None:
                self._whole = cut(self.problem.train, self.batch_edges)
            return self._whole
        order = self.rng.permutation(len(self.problem.train))
        return cut([self.problem.train[k] for k in order], self.batch_edges)

    def check(self) -> None:
        """Errors on held-out frames (on the training frames where none were held out); the best parameters so far, by their loss."""
        averaged = self.average.values(self.parameters)
        trained = [p.detach().clone() for p in self.parameters]
        _put(self.parameters, averaged)
        self.learned.eval()
        found = {"train": self._sums(self.problem.train)} if self.stepper.full_batch or not self.problem.validation else {}
        if self.problem.validation:
            found["validation"] = self._sums(self.problem.validation)
        judged = self.loss(found["validation" if self.problem.validation else "train"]).detach().reshape(-1).cpu()
        if not bool(torch.isfinite(judged).all()):
            raise FloatingPointError(
                f"epoch {self.epoch}: the loss is {judged.tolist()}; the training diverged. "
                "Lower the learning rate, and look for outliers in the labels"
            )
        better = judged < self.best_loss
        self.best_loss = torch.where(better, judged, self.best_loss)
        for best, value in zip(self.best, averaged, strict=True):
            which = better if self.members is not None else better[0]
            best[which] = value[which] if self.members is not None else value
        self.stale = 0 if bool(better.any()) else self.stale + 1
        _put(self.parameters, trained)
        self.metrics = {"epoch": self.epoch, "epochs": self.epochs, **{side: readable(sums) for side, sums in found.items()}}
        self._note(self.metrics)
        if self.progress is not None:
            self.progress(self.metrics)

    def finish(self) -> Potential:
        _put(self.parameters, self.average.values(self.parameters) if self.keep_last else self.best)
        self.learned.eval()
        sides = {"train": self.problem.train, "validation": self.problem.validation}
        errors = {side: readable(self._sums(graphs)) for side, graphs in sides.items() if graphs}
        metadata = self.problem.metadata
        metadata["metrics"] = errors
        metadata["training"] |= {
            "epochs": self.epoch,
            "optimizer": self.optimizer,
            "kept": "last" if self.keep_last else "best",
        }
        if isinstance(self.learned, Committee):
            if self.problem.validation:
                metadata["calibration"] = calibration(self.learned, self.problem.validation)
            else:
                warnings.warn(
                    "the committee's spread is not calibrated: no frame was held out from training; give `validation` frames, "
                    "or ten labeled frames at least, of which a tenth is held out",
                    Uncalibrated,
                    stacklevel=3,
                )
        return self.problem.finish()

    def resume(self) -> None:
        if self._file is None or not self._file.exists():
            return
        facts, groups = checkpoint.load(self._file, self.problem.fingerprint)
        self._restore(facts, groups)
        self.standing = self._state()
        self._trim_log()

    def save(self) -> None:
        if self._file is not None:
            checkpoint.save(self._file, self.problem.fingerprint, *self.standing)

    def _state(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        """Where the training stands, as copies that the next epoch does not change: plain facts, and groups of tensors."""
        facts = {
            "epoch": self.epoch,
            "stale": self.stale,
            "batch_edges": self.batch_edges,
            "metrics": self.metrics,
            "rng": self.rng.bit_generator.state,
        }
        groups = {
            "parameters": checkpoint.in_a_row(self.parameters), "best": checkpoint.in_a_row(self.best),
            "best_loss": {"value": self.best_loss.clone()}, "optimizer": self.stepper.state(), "average": self.average.state(),
        }  # fmt: skip
        return facts, groups

    def _restore(self, facts: Mapping[str, Any], groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        _put(self.parameters, checkpoint.in_order(groups["parameters"]))
        for p in self.parameters:
            p.grad = None
        self.best = [best.clone() for best in checkpoint.in_order(groups["best"])]
        self.stepper.restore(groups.get("optimizer", {}))
        self.average.restore(groups.get("average", {}))
        self.best_loss = groups["best_loss"]["value"].clone()
        self.epoch, self.stale, self.batch_edges = facts["epoch"], facts["stale"], facts["batch_edges"]
        self.metrics = facts["metrics"]
        self.rng.bit_generator.state = facts["rng"]

    @property
    def _file(self) -> Path | None:
        return None if self.folder is None else self.folder / "checkpoint.safetensors"

    def _sums(self, graphs: Sequence[Graph]) -> dict[str, Sum]:
        sums: dict[str, Sum] = {}
        for batch in cut(graphs, self.batch_edges):
            for name, part in squared_errors(self.learned.predictions(batch), batch).items():
                sums[name] = sums[name] + part.detach() if name in sums else part.detach()
        return sums

    def _note(self, record: Mapping[str, Any]) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "metrics.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")

    def _trim_log(self) -> None:
        """Drop notes of epochs after the checkpoint: they are about to be written again."""
        path = None if self.folder is None else self.folder / "metrics.jsonl"
        if path is not None and path.exists():
            lines = [
                line
                for line in path.read_text().splitlines()
                if line.endswith("}") and json.loads(line).get("epoch", 0) <= self.epoch
            ]
            path.write_text("".join(line + "\n" for line in lines))


def cut(graphs: Sequence[Graph], batch_edges: int) -> list[Graph]:
    """Consecutive frames together while their edges fit the budget; a frame that exceeds it alone is a batch of its own."""
    batches: list[list[Graph]] = []
    room = 0
    for graph in graphs:
        if not batches or graph.n_edges > room:
            batches.append([])
            room = batch_edges
        batches[-1].append(graph)
        room -= graph.n_edges
    return [Graph.batch(batch) for batch in batches]


def readable(sums: Mapping[str, Sum]) -> dict[str, float]:
    """Errors as people read them; of a committee the mean over its members."""
    names = {
        "energy": ("energy", "meV_per_atom"),
        "forces": ("force", "meV_per_A"),
        "stress": ("strain_gradient", "meV_per_atom"),
    }
    found = {}
    for name, total in sums.items():
        word, unit = names[name]
        found[f"{word}_rmse_{unit}"] = 1e3 * float(total.mean_square.sqrt().mean())
        found[f"{word}_mae_{unit}"] = 1e3 * float(total.mean_absolute.mean())
    return found


def calibration(committee: Committee, held: Sequence[Graph]) -> dict[str, Any]:
    """Scales for a committee's spreads from held-out graphs, with coverage; what a model file keeps of it."""
    force_error, force_spread, energy_error, energy_spread = [], [], [], []
    for graph in held:
        each = committee.predictions(graph)
        labels = graph.labels
        if bool(labels["forces"].mask.all()):
            spread = each.forces.var(0).mean(-1).sqrt()
            force_error.append((each.forces.mean(0) - labels["forces"].value).reshape(-1))
            force_spread.append(spread[:, None].expand(-1, 3).reshape(-1))
        if bool(labels["energy"].mask.all()):
            energy_error.append(each.energy.mean(0) - labels["energy"].value)
            energy_spread.append(each.energy.std(0))
    found: dict[str, Any] = {"scale": {}}
    for name, errors, spreads in (("forces", force_error, force_spread), ("energy", energy_error, energy_spread)):
        if errors:
            result = calibrate(torch.cat(errors).numpy(force=True), torch.cat(spreads).numpy(force=True))
            found["scale"][name] = result.scale
            found[name] = {
                "n": result.n,
                "coverage": result.coverage,
                "rank_correlation": None if np.isnan(result.correlation) else result.correlation,
            }
    return found


@torch.no_grad()
def _put(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


def _made(spec: Any, registry: Mapping[str, Any], where: str) -> Any:
    return build(spec, registry, where=f"fit.{where}") if isinstance(spec, str | Mapping) else spec


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
