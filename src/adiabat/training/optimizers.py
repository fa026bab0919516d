"""How parameters move. An optimizer's `epoch` takes it once through the data; its state is a flat mapping of tensors, so that a
checkpoint keeps it exactly.

With a committee the leading axis of every parameter is the member: all operations are elementwise or by member, so that
training together equals training one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from adiabat.graph import Graph
from adiabat.training.distributed import ALONE, World
from adiabat.training.loss import Loss, Sum
from adiabat.typing import Float, Tensor

# Of a batch, or of the share of it that this process has, which may be none.
Errors = Callable[[Graph | None], dict[str, Sum]]


class Optimizer(Protocol):
    """What the loop asks of an optimizer."""

    def start(self, parameters: Sequence[nn.Parameter], members: int | None, world: World = ALONE) -> Stepper: ...


class Stepper(Protocol):
    """An optimizer at work on given parameters."""

    full_batch: bool

    def epoch(self, batches: Iterable[Graph | None], errors: Errors, loss: Loss, rate: float) -> None: ...

    def state(self) -> dict[str, Tensor]:
        """All there is, as tensors that later epochs do not change."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class AdamW:
    """Loshchilov and Hutter, ICLR 2019 (arXiv:1711.05101). `clip` bounds each member's gradient norm, of a batch of light frames (in
    weight) the lower: what they ask for would else be as loud as the others', however little they weigh."""

    lr: float = 1e-3
    weight_decay: float = 1e-6
    clip: float = 10.0

    def start(self, parameters: Sequence[nn.Parameter], members: int | None, world: World = ALONE) -> Stepper:
        # One pass over each parameter instead of a dozen: a quarter to two fifths of the time, and the same numbers to rounding.
        fused = all(p.device.type in ("cpu", "cuda") and p.is_contiguous() for p in parameters)
        optimizer = torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=fused)
        return _TorchStepper(optimizer, self.lr, self.clip, members, world)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum. `clip` bounds each member's gradient norm, as with `AdamW`."""

    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float = 10.0

    def start(self, parameters: Sequence[nn.Parameter], members: int | None, world: World = ALONE) -> Stepper:
        optimizer = torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        return _TorchStepper(optimizer, self.lr, self.clip, members, world)


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the whole set: Liu and Nocedal, Math. Program. 45, 503 (1989).

    The method of choice for small networks on small sets: each epoch is one step with a line search. `history` pairs of steps
    and gradient changes approximate the curvature; a committee's members each have their own.
    """

    history: int = 60

    def start(self, parameters: Sequence[nn.Parameter], members: int | None, world: World = ALONE) -> Stepper:
        return _LBFGSStepper(parameters, self.history, members, world)


OPTIMIZERS: dict[str, Any] = {"adamw": AdamW, "sgd": SGD, "lbfgs": LBFGS}

FEW_PARAMETERS = 20_000  # of a member: L-BFGS keeps 2 × history vectors of so many
FEW_COMPONENTS = 10_000  # labeled numbers in the set: 350 frames of nine atoms


def automatic(parameters: int, components: int, dtype: torch.dtype, family: str | None = None) -> str:
    """The optimizer for a member of so many parameters, and a set of so many labeled numbers (energies, force components, stresses);
    that of the family, if it has one.

    L-BFGS in float64 where both are few: it takes one step a pass, which curvature makes worth hundreds. In float32 the differences
    of gradients that it lives from are lost to rounding; and where a pass is long, AdamW makes many steps in it.

    >>> automatic(1_000, 700, torch.float64), automatic(1_000, 700, torch.float32), automatic(1_000_000, 700, torch.float64)
    ('lbfgs', 'adamw', 'adamw')
    """
    few = parameters <= FEW_PARAMETERS and components <= FEW_COMPONENTS
    return "adamw" if dtype != torch.float64 else family or ("lbfgs" if few else "adamw")


class _TorchStepper:
    full_batch = False

    def __init__(self, optimizer: torch.optim.Optimizer, lr: float, clip: float, members: int | None, world: World) -> None:
        self.optimizer, self.lr, self.clip, self.members, self.world = optimizer, lr, clip, members, world

    def epoch(self, batches: Iterable[Graph | None], errors: Errors, loss: Loss, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for batch in batches:
            sums = errors(batch)
            if not loss.weighs(sums):  # nothing in this batch has a label that counts
                continue
            value = loss(sums).sum()
            if value.requires_grad:  # an empty share has nothing to say
                value.backward(inputs=parameters)  # edge vectors are leaves, too, and nobody asks for theirs
            self.world.add_gradients(parameters)
            self._clip(_relative_weight(sums))
            self.optimizer.step()
            self.optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        entries = self.optimizer.state_dict()["state"]
        return {
            f"{n}.{k}": torch.as_tensor(v).clone() for n, values in entries.items() for k, v in values.items() if v is not None
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        whole = self.optimizer.state_dict()
        whole["state"] = {}
        for key, value in state.items():
            n, name = key.split(".", 1)
            whole["state"].setdefault(int(n), {})[name] = value.clone()
        self.optimizer.load_state_dict(whole)

    def _clip(self, share: Tensor) -> None:
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients or not math.isfinite(self.clip):
            return
        lead = 0 if self.members is None else 1
        norms = torch.stack([g.flatten(lead).norm(dim=-1) for g in gradients]).norm(dim=0)  # [*members]
        factor = (self.clip * share / norms.clamp_min(1e-300)).clamp(max=1.0)
        if bool((factor == 1).all()):  # a gradient that is not a number goes on to be one
            return
        for g in gradients:
            g.mul_(factor.reshape(factor.shape + (1,) * (g.dim() - lead)).to(g.dtype))


def _relative_weight(sums: Mapping[str, Sum]) -> Tensor:
    """What a batch's labels weigh, beside as many usual ones; 1 where nothing counts."""
    weight, count = (torch.stack([getattr(part, name) for part in sums.values()]).sum(0) for name in ("weight", "count"))
    return torch.where(count > 0, weight / torch.where(count > 0, count, 1.0), 1.0)


class _LBFGSStepper:
    """All members step at once: rows of x, one two-loop recursion and one backtracking line search for each row."""

    full_batch = True

    def __init__(self, parameters: Sequence[nn.Parameter], history: int, members: int | None, world: World) -> None:
        self.parameters, self.history, self.members, self.world = list(parameters), history, members, world
        self.steps: list[Tensor] = []  # s = x' − x, [M, P]
        self.changes: list[Tensor] = []  # y = g' − g
        self.current: tuple[Tensor, Tensor] | None = None  # loss [M] and gradient [M, P] at x
        self.counts: dict[str, Tensor] | None = None  # what the means of the whole set divide by

    def epoch(self, batches: Iterable[Graph | None], errors: Errors, loss: Loss, rate: float) -> None:
        batches = list(batches)

        if self.counts is None:
            self.counts = _counts(batches, errors)
        counts = self.counts

        def evaluate() -> tuple[Tensor, Tensor]:
            value = _backward(batches, errors, loss, counts)
            gradient = self._rows([p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters])
            for p in self.parameters:
                p.grad = None
            value, gradient = self.world.total(torch.cat([value.reshape(-1, 1), gradient], 1)).split([1, gradient.shape[1]], 1)
            return value.reshape(-1), gradient.contiguous()

        f, g = self.current if self.current is not None else evaluate()
        x = self._rows([p.detach() for p in self.parameters])
        d = -self._inverse_hessian_times(g)
        slope = (d * g).sum(1)
        uphill = slope >= 0
        d[uphill], slope[uphill] = -g[uphill], -(g[uphill] ** 2).sum(1)
        # The first step has no curvature to go by: a short one along the gradient.
        t = torch.ones_like(f) if self.steps else (1 / g.norm(dim=1).clamp_min(1e-300)).clamp(max=1.0) * 1e-2
        here, new_f, new_g = x.clone(), f.clone(), g.clone()
        accepted = torch.zeros_like(f, dtype=torch.bool)
        for _ in range(12):
            trial = torch.where(accepted[:, None], here, x + t[:, None] * d)
            self._place(trial)
            trial_f, trial_g = evaluate()
            good = ~accepted & (trial_f <= f + 1e-4 * t * slope)
            here = torch.where(good[:, None], trial, here)
            new_f, new_g = torch.where(good, trial_f, new_f), torch.where(good[:, None], trial_g, new_g)
            accepted = accepted | good
            if bool(accepted.all()):
                break
            # The minimum of the parabola through f, its slope and the trial, kept within a tenth and a half of the step.
            parabola = -slope * t * t / (2 * (trial_f - f - slope * t)).clamp_min(1e-300)
            shorter = torch.where(torch.isfinite(trial_f), torch.clamp(parabola, 0.1 * t, 0.5 * t), 0.1 * t)
            t = torch.where(accepted, t, shorter)
        self._place(here)
        self._remember(here - x, new_g - g, stuck=~accepted)
        self.current = (new_f, new_g)

    def state(self) -> dict[str, Tensor]:
        found = {f"s.{k:03d}": s for k, s in enumerate(self.steps)} | {f"y.{k:03d}": y for k, y in enumerate(self.changes)}
        if self.current is not None:
            found["f"], found["g"] = self.current
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        here = self.parameters[0].device
        state = {k: value.to(here, copy=True) for k, value in state.items()}
        self.steps = [state[k] for k in sorted(state) if k.startswith("s.")]
        self.changes = [state[k] for k in sorted(state) if k.startswith("y.")]
        self.current = (state["f"], state["g"]) if "f" in state else None
        self.counts = None

    def _inverse_hessian_times(self, g: Float[Tensor, "M P"]) -> Float[Tensor, "M P"]:
        q, alphas = g.clone(), []
        pairs = []
        for s, y in zip(self.steps, self.changes, strict=True):
            sy = (s * y).sum(1, keepdim=True)
            pairs.append((s, y, torch.where(sy > 0, 1 / sy.clamp_min(1e-300), 0.0)))  # a zero pair is one that taught nothing
        for s, y, rho in reversed(pairs):
            alpha = rho * (s * q).sum(1, keepdim=True)
            q = q - alpha * y
            alphas.append(alpha)
        q = q * self._initial_scale(pairs)
        for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
            q = q + s * (alpha - rho * (y * q).sum(1, keepdim=True))
        return q

    def _initial_scale(self, pairs: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor | float:
        scale: Tensor | float = 1.0
        for s, y, rho in pairs:  # the newest pair that taught something
            yy = (y * y).sum(1, keepdim=True)
            scale = torch.where(rho > 0, (s * y).sum(1, keepdim=True) / yy.clamp_min(1e-300), scale)
        return scale

    def _remember(self, s: Tensor, y: Tensor, stuck: Tensor) -> None:
        sy, yy = (s * y).sum(1), (y * y).sum(1)
        taught = (sy > 1e-10 * yy)[:, None]
        self.steps.append(torch.where(taught, s, 0.0))
        self.changes.append(torch.where(taught, y, 0.0))
        del self.steps[: -self.history], self.changes[: -self.history]
        if bool(stuck.any()):  # a member that found no step down forgets its curvature and starts along the gradient
            keep = ~stuck[:, None]  # new tensors: a checkpoint may hold the old ones
            self.steps = [torch.where(keep, s, 0.0) for s in self.steps]
            self.changes = [torch.where(keep, y, 0.0) for y in self.changes]

    def _rows(self, tensors: Sequence[Tensor]) -> Float[Tensor, "M P"]:
        lead = 1 if self.members is None else self.members
        return torch.cat([t.reshape(lead, -1).to(torch.float64) for t in tensors], 1)

    @torch.no_grad()
    def _place(self, x: Float[Tensor, "M P"]) -> None:
        lead = 1 if self.members is None else self.members
        sizes = [p.numel() // lead for p in self.parameters]
        for p, part in zip(self.parameters, x.split(sizes, 1), strict=True):
            p.copy_(part.reshape(p.shape))


def _counts(batches: Sequence[Graph | None], errors: Errors) -> dict[str, Tensor]:
    """The sums of weights of the whole set; they do not depend on parameters."""
    counts: dict[str, Tensor] = {}
    for batch in batches:
        for name, part in errors(batch).items():
            counts[name] = counts[name] + part.count if name in counts else part.count
    return counts


def _backward(batches: Sequence[Graph | None], errors: Errors, loss: Loss, counts: Mapping[str, Tensor]) -> Tensor:
    """The loss of the whole set, its gradient added to the parameters'.

    The loss is linear in the sums of squares, so each batch gives its share, over the count of all, and is let go: the value
    does not depend on how the set is cut, and the memory is that of one batch.
    """
    shares = []
    for batch in batches:
        sums = {name: Sum(part.square, part.absolute, counts[name], part.weight) for name, part in errors(batch).items()}
        if loss.weighs(sums):
            share = loss(sums)
            if share.requires_grad:  # else this process's share of the batch is empty
                share.sum().backward()
            shares.append(share.detach())
    if not shares:
        raise ValueError("no frame has a label that the loss weighs")
    return torch.stack(shares).sum(0)
