"""The loop over a training: an epoch, a look at held-out data, a note in the log, now and then a checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from adiabat.graph import Graph
from adiabat.potential import Potential
from adiabat.training import checkpoint
from adiabat.training.batches import InMemory, Source, cut
from adiabat.training.distributed import ALONE, World
from adiabat.training.loss import Loss, Sum, readable, squared_errors
from adiabat.training.optimizers import OPTIMIZERS
from adiabat.training.problem import Problem
from adiabat.training.spread import not_calibrated, scales
from adiabat.training.tables import refined
from adiabat.typing import Tensor
from adiabat.uncertainty import Committee

CHECKPOINT_EVERY_S = 20.0
MOST_EDGES = 20_000


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
        tick: Callable[[int, int], None] | None = None,
        world: World = ALONE,
    ) -> None:
        self.world = world
        world.agree(problem.fingerprint)
        self.problem, self.schedule, self.average = problem, schedule, average
        self.learned = problem.learned
        self.parameters = [p for p in self.learned.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"{problem.name}: nothing to train; its numbers are its arguments")
        self.members = self.learned.size if isinstance(self.learned, Committee) else None
        world.follow(self.parameters)
        self.stepper = optimizer.start(self.parameters, self.members, world)
        self.asked = loss
        self.loss = self.loss_at(schedule(epochs, epochs))  # what is judged by: the loss of the last steps
        self.optimizer = {v: k for k, v in OPTIMIZERS.items()}.get(type(optimizer), type(optimizer).__name__)
        self.epochs, self.patience = epochs, patience
        self.keep_last = keep == "last" or (keep == "auto" and self.stepper.full_batch and patience is None)
        self.batch_edges = batch_edges or self._usual_batch()
        self.check_every = check_every or (10 if self.stepper.full_batch else 1)
        self.rng = np.random.default_rng(seed)
        self.folder, self.progress, self.tick = folder, progress, tick
        self.epoch, self.stale = 0, 0
        self.best = [p.detach().clone() for p in self.parameters]
        self.best_loss = torch.full((self.members or 1,), torch.inf, dtype=torch.float64)
        self.metrics: dict[str, Any] = {}
        self._whole: list[Graph | None] | None = None
        self.standing = self._state()

    def _usual_batch(self) -> int:
        """Ten steps an epoch where an epoch has many; the more edges together the faster, up to the size of a processor's cache."""
        if self.stepper.full_batch:
            return MOST_EDGES
        return max(1, min(MOST_EDGES, self.problem.train.n_edges // 10))

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
                if self.tick is not None and self.world.leads:
                    self.tick(self.epoch, self.epochs)
        except KeyboardInterrupt:  # wherever it came: what is kept is where the last whole epoch ended
            self.save()
            raise
        self.save()
        return self.finish()

    def as_it_stands(self) -> Potential:
        """What an interrupted training has learned, as a potential; its checkpoint stays, for the training to go on."""
        self.resume()
        if self.epoch == 0:
            raise ValueError(
                f"{self.folder}: no epoch of this training is done, so there is nothing to finish; leave `finish` out"
            )
        if not self.keep_last and not bool(torch.isfinite(self.best_loss).all()):  # interrupted before the first check
            self.best = [p.detach().clone() for p in self.average.values(self.parameters)]
        return self.finish()

    @property
    def weary(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def one_epoch(self) -> None:
        while True:
            try:
                self.learned.train()
                rate = self.schedule(self.epoch, self.epochs)
                self.stepper.epoch(self.batches(), self.errors, self.loss_at(rate), rate)
                return
            except (RuntimeError, MemoryError) as error:
                if (
                    not _out_of_memory(error) or self.batch_edges < 2 or self.world.size > 1
                ):  # the others wait in the midst of a batch
                    raise
            # Here, behind the except clause, the traceback no longer keeps the failed batch in memory.
            smaller = self.batch_edges // 2
            self._restore(*self.standing)
            self.batch_edges = smaller
            self._whole = None
            self._note({"event": "out of memory", "epoch": self.epoch, "batch_edges": self.batch_edges})

    def loss_at(self, rate: float) -> Loss:
        """The loss that is lowered at this factor of the learning rate."""
        return self.asked if self.stepper.full_batch else self.asked.by_batches(rate)

    def errors(self, batch: Graph | None) -> dict[str, Sum]:
        """What a step makes small; where steps go by batches, counted so that a batch's mean is one of the whole set's."""
        return self._counted(batch, None if self.stepper.full_batch else self.problem.usual)

    def _counted(self, batch: Graph | None, usual: Mapping[str, float] | None = None) -> dict[str, Sum]:
        """Sums over this process's share of a batch, and the counts of all shares."""
        sums = {} if batch is None else squared_errors(self.learned.predictions(batch), batch, usual)
        return self.world.counted(sums, self.members, self.parameters[0].device)

    def batches(self) -> Iterable[Graph | None]:
        """The training frames in batches by edge budget; in a new order each epoch, unless the optimizer takes all at once."""
        if self.stepper.full_batch:
            if not isinstance(self.problem.train, InMemory):
                raise ValueError(
                    f"{self.optimizer} takes all frames at once, which packed shards are too many for; "
                    "choose adamw, or give the frames as a store or a file"
                )
            if self._whole is None:
                self._whole = list(cut(self.problem.train, self.batch_edges, self.world))
            return self._whole
        return cut(self.problem.train.shuffled(self.rng), self.batch_edges, self.world)

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
        if self.progress is not None and self.world.leads:
            self.progress(self.metrics)

    def finish(self) -> Potential:
        _put(self.parameters, self.average.values(self.parameters) if self.keep_last else self.best)
        self.learned.eval()
        sides = {"train": self.problem.train, "validation": self.problem.validation}
        errors = {side: readable(self._sums(graphs)) for side, graphs in sides.items() if len(graphs)}
        metadata = self.problem.metadata
        metadata["metrics"] = errors
        metadata["training"] |= {
            "epochs": self.epoch,
            "optimizer": self.optimizer,
            "kept": "last" if self.keep_last else "best",
            "loss": self.loss.weights,
        }
        if self.epoch < self.epochs and not self.weary:
            metadata["training"]["unfinished"] = f"{self.epoch} of {self.epochs} epochs"
        self.learned, said = refined(self.learned, self.problem.validation or self.problem.train)
        self.problem.learned = self.learned
        if said is not None:
            metadata["radial_tables"] = said
        if isinstance(self.learned, Committee):
            if self.problem.validation:
                metadata["calibration"] = scales(self.learned, self.problem.validation)
            else:
                not_calibrated()
        return self.problem.finish()

    def resume(self) -> None:
        if self._file is not None and self._file.exists():
            facts, groups = checkpoint.load(self._file, self.problem.fingerprint)
            self._restore(facts, groups)
            self.standing = self._state()
        if self.world.leads:
            self._trim_log()

    def save(self) -> None:
        if self._file is not None and self.world.leads:
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
        here = self.parameters[0].device  # a file is read into the processor's memory
        self.best = [best.to(here, copy=True) for best in checkpoint.in_order(groups["best"])]
        self.stepper.restore(groups.get("optimizer", {}))
        self.average.restore({name: mean.to(here) for name, mean in groups.get("average", {}).items()})
        self.best_loss = groups["best_loss"]["value"].clone()
        self.epoch, self.stale, self.batch_edges = facts["epoch"], facts["stale"], facts["batch_edges"]
        self.metrics = facts["metrics"]
        self.rng.bit_generator.state = facts["rng"]

    @property
    def _file(self) -> Path | None:
        return None if self.folder is None else self.folder / "checkpoint.safetensors"

    def _sums(self, graphs: Source) -> dict[str, Sum]:
        sums: dict[str, Sum] = {}
        for batch in cut(graphs, self.batch_edges, self.world):
            for name, part in self._counted(batch).items():
                sums[name] = sums[name] + part.detach() if name in sums else part.detach()
        return self.world.over_all(sums)

    def _note(self, record: Mapping[str, Any]) -> None:
        if self.folder is not None and self.world.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "metrics.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")

    def _trim_log(self) -> None:
        """Drop notes of epochs after the checkpoint: they are about to be written again."""
        path = None if self.folder is None else self.folder / "metrics.jsonl"
        if path is not None and path.exists():
            # What has no end of line was cut off in the midst of writing.
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line).get("epoch", 0) <= self.epoch]
            path.write_text("".join(kept))


@torch.no_grad()
def _put(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
