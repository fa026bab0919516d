"""Several processes at one training: each takes its share of every batch, and what is summed over frames is summed over processes.

A batch is the same frames however many processes there are, and counts, gradients and errors are sums over all of its frames. So
many take the steps that one would, to rounding; their numbers, added in the order of the ranks, are the same on all of them to the
last bit. Nothing of a checkpoint belongs to a rank: another number of processes may go on.

    torchrun --nproc-per-node 2 train.py        # a script that calls adiabat.fit(...)
    torchrun --nproc-per-node 2 -m adiabat train train.yaml
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import distributed, nn

from adiabat.graph import Graph
from adiabat.training.loss import Loss, Sum
from adiabat.typing import Tensor

CHUNK = 2**20  # numbers that are gathered at a time: as many from every process are held


@dataclass(frozen=True)
class World:
    """The processes of one training, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and tells how it goes."""
        return self.rank == 0

    def device(self, asked: str) -> str:
        """``cuda`` is, for each process of a machine, a device of its own."""
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if asked == "cuda" and self.size > 1 else asked

    def share(self, graphs: Sequence[Graph]) -> list[Graph]:
        """This process's part of a batch: consecutive frames, about as many edges for each process; perhaps none."""
        if self.size == 1:
            return list(graphs)
        edges = [graph.n_edges + 1 for graph in graphs]  # an atom alone is work, too
        whole, before, mine = sum(edges), 0, []
        for graph, n in zip(graphs, edges, strict=True):
            if (2 * before + n) * self.size // (2 * whole) == self.rank:
                mine.append(graph)
            before += n
        return mine

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, added in the order of their ranks; float64."""
        if self.size == 1:
            return values
        flat = values.detach().reshape(-1).to(torch.float64)
        parts = [reduce(torch.add, self._from_all(piece)) for piece in flat.split(CHUNK)]
        return torch.cat([*parts, flat[:0]]).reshape(values.shape)

    def counted(self, sums: Mapping[str, Sum], members: int | None, device: torch.device) -> dict[str, Sum]:
        """A share's sums over the counts of the whole batch, so that the shares' losses add up to the batch's."""
        if self.size == 1:
            return dict(sums)
        shape = () if members is None else (members,)
        zero = torch.zeros(shape, dtype=torch.float64, device=device)
        names = list(Loss().weights)
        counts = [sums[name].count.expand(shape) if name in sums else zero for name in names]
        weights = [sums[name].weight.expand(shape) if name in sums else zero for name in names]
        there = [zero + (name in sums) for name in names]
        total = self.total(torch.stack([*counts, *weights, *there])).split(len(names))
        return {
            name: Sum(sums[name].square, sums[name].absolute, count, weight) if name in sums else Sum(zero, zero, count, weight)
            for name, count, weight, labeled in zip(names, *total, strict=True)
            if bool((labeled > 0).any())
        }

    def over_all(self, sums: Mapping[str, Sum]) -> dict[str, Sum]:
        """Squares and absolute errors of all shares together; the counts are already of all."""
        if self.size == 1 or not sums:
            return dict(sums)
        total = self.total(torch.stack([x for part in sums.values() for x in (part.square, part.absolute)]))
        return {
            name: Sum(total[2 * k], total[2 * k + 1], part.count, part.weight) for k, (name, part) in enumerate(sums.items())
        }

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the gradients of the whole batch. A parameter that no share has seen stays without one."""
        if self.size == 1:
            return
        flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        seen = torch.tensor([float(p.grad is not None) for p in parameters], dtype=torch.float64, device=flat[0].device)
        total = self.total(torch.cat([*(g.reshape(-1).to(torch.float64) for g in flat), seen]))
        pieces = total.split([*(g.numel() for g in flat), len(seen)])
        for p, piece, any_seen in zip(parameters, pieces[:-1], pieces[-1].tolist(), strict=True):
            p.grad = piece.reshape(p.shape).to(p.dtype) if any_seen else None

    def agree(self, fingerprint: str) -> None:
        """Refuse processes that set out to train something else: other files, other options."""
        words = [int(fingerprint[k : k + 8], 16) for k in range(0, len(fingerprint), 8)]
        all_words = self._from_all(torch.tensor(words, dtype=torch.float64))
        other = [rank for rank, theirs in enumerate(all_words) if not torch.equal(theirs, all_words[0])]
        if other:
            raise ValueError(
                f"process {other[0]} of {self.size} came with other data or options than process 0; "
                "start them all with the same files, on a file system they share"
            )

    def follow(self, parameters: Sequence[nn.Parameter]) -> None:
        """Begin with the numbers of process 0: another processor may have drawn others in the last bit."""
        if self.size > 1:
            for p in parameters:
                distributed.broadcast(p.data, 0)

    def _from_all(self, values: Tensor) -> list[Tensor]:
        if self.size == 1:
            return [values]
        values = values.cuda() if distributed.get_backend() == "nccl" else values
        parts = [torch.empty_like(values) for _ in range(self.size)]
        distributed.all_gather(parts, values.contiguous())
        return parts


ALONE = World()


def world(device: str = "cpu") -> World:
    """The processes that torchrun started together with this one, joined at the first call; a process alone otherwise.

    >>> world()
    World(rank=0, size=1)
    """
    if not distributed.is_available():
        return ALONE
    if not distributed.is_initialized():
        if int(os.environ.get("WORLD_SIZE", 1)) == 1 or "RANK" not in os.environ:
            return ALONE
        if device.startswith("cuda"):  # what is gathered goes by the present device: each process has one of its own
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())
