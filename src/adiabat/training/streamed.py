"""Least squares by LSQR: for bases whose triangle does not fit into memory.

Paige and Saunders, ACM Trans. Math. Softw. 8, 43 (1982). Each iteration goes through the frames' rows twice, for A v and for Aᵀ u. Scaled
columns are still so nearly dependent that a few hundred would take thousands: so they are made orthonormal in blocks first, each by a
triangle of its own, folded in one pass, and LSQR finds what the blocks have to do with each other. The ridge stands below the rows.

Memory: 8 bytes × columns × block for the triangles, four times as much while they are folded, one frame's rows, some vectors of all labels;
and rows that are kept, if they fit into what `remember_MB` of `fit` allows, or else on disk, where at most half of what is free is taken.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, lsqr

from adiabat.graph import Graph, weight_of
from adiabat.training.loss import Loss
from adiabat.training.penalty import Penalty, known
from adiabat.training.rows import extent_of
from adiabat.training.solvers import LSQR
from adiabat.training.triangles import Solution, Triangle
from adiabat.typing import Float, Tensor

RIDGES = (1e-8, 1e-10, 1e-12)  # from the widest prior on: each solution starts at the one before
POWER_STEPS = 5  # for the largest singular value: a ridge is known to a factor


class NotConverged(UserWarning):
    """LSQR ended by its number of iterations."""


class Rows:
    """All rows of some frames, frame by frame, as often as one likes; those of labels that the loss does not weigh are left out."""

    def __init__(
        self,
        graphs: Iterable[Graph],
        make: Callable[[Graph], Mapping[str, tuple[Tensor, float]]],
        columns: int,
        loss: Loss,
        *,
        members: int = 1,
        keep: str = "auto",
        memory_MB: float = 0.0,
        folder: Path | None = None,
    ) -> None:
        self.graphs, self.make, self.columns = graphs, make, columns
        self.extents: list[dict[str, tuple[int, float]]] = []
        weights = []
        for graph in graphs:
            self.extents.append({kind: extent for kind, extent in extent_of(graph).items() if loss.weights[kind]})
            weights.append(weight_of(graph)[0].expand(members))
        self.weights = torch.stack(weights).to("cpu", torch.float64) if weights else torch.zeros(0, members)
        self.n = sum(n for extent in self.extents for n, _ in extent.values())
        bytes_of_all = 8.0 * self.n * columns
        if keep == "auto":
            spare = shutil.disk_usage(folder or tempfile.gettempdir()).free / 2
            keep = "memory" if bytes_of_all <= 1e6 * memory_MB else "disk" if bytes_of_all <= spare else "anew"
        self.keep = keep
        self._kept: list[Tensor] = []
        self._file: IO[bytes] | None = tempfile.TemporaryFile(dir=folder) if keep == "disk" else None  # noqa: SIM115 (as long as this)
        self._complete = False

    def __iter__(self) -> Iterator[tuple[slice, Float[Tensor, "n columns"]]]:
        """Each frame's rows, and where they stand among all."""
        start = 0
        for k, part in enumerate(self._again() if self._complete else self._first()):
            stop = start + len(part)
            assert stop - start == sum(n for n, _ in self.extents[k].values()), "extent_of and rows_of disagree"
            yield slice(start, stop), part
            start = stop
        self._complete = self.keep != "anew"

    def _first(self) -> Iterator[Tensor]:
        self._kept = []
        if self._file is not None:
            self._file.seek(0)
        for graph, extent in zip(self.graphs, self.extents, strict=True):
            rows = self.make(graph)
            part = torch.cat([torch.zeros(0, self.columns, dtype=torch.float64), *(rows[kind][0] for kind in extent)])
            if self.keep == "memory":
                self._kept.append(part)
            elif self._file is not None:
                self._file.write(part.numpy().tobytes())
            yield part

    def _again(self) -> Iterator[Tensor]:
        if self._file is None:
            yield from self._kept
            return
        self._file.seek(0)
        for extent in self.extents:
            n = sum(n for n, _ in extent.values())
            yield torch.from_numpy(np.fromfile(self._file, np.float64, n * self.columns)).view(n, self.columns)

    def roots(self, loss: Loss, member: int = 0) -> Float[Tensor, "n"]:
        """What each row is to be multiplied by, so that squared errors are the member's loss."""
        total: dict[str, float] = {}
        for extent, weight in zip(self.extents, self.weights[:, member].tolist(), strict=True):
            for kind, (_, components) in extent.items():
                total[kind] = total.get(kind, 0.0) + weight * components
        if not any(total.values()):
            raise ValueError("no frame has a label that the loss weighs; nothing can be solved for")
        found = [
            math.sqrt(loss.weights[kind] * weight / total[kind]) * torch.ones(n, dtype=torch.float64)
            for extent, weight in zip(self.extents, self.weights[:, member].tolist(), strict=True)
            for kind, (n, _) in extent.items()
            if total[kind]
        ]
        return torch.cat(found)

    def errors(self, c: Float[Tensor, "k"]) -> dict[str, float]:
        """Root mean square errors of these coefficients by kind of label."""
        square: dict[str, float] = {}
        total: dict[str, float] = {}
        for k, (_, part) in enumerate(self):
            weight, at = float(self.weights[k, 0]), 0
            for kind, (n, components) in self.extents[k].items():
                error = part[at : at + n, :-1] @ c - part[at : at + n, -1]
                square[kind] = square.get(kind, 0.0) + weight * float(error.square().sum())
                total[kind], at = total.get(kind, 0.0) + weight * components, at + n
        return {kind: math.sqrt(max(value / total[kind], 1e-300)) for kind, value in square.items() if total[kind]}


def streamed(
    train: Rows,
    held: Rows | None,
    how: LSQR,
    loss: Loss,
    cuts: Sequence[slice],
    *,
    members: int = 1,
    free: int = 0,
    step: Callable[[], None] = lambda: None,
) -> list[Solution]:
    """Coefficients of least loss of each member under a ridge that all share; `cuts` are the blocks of columns, the last `free` of which
    have nearly no prior. `step` is called after each iteration."""
    found: list[Solution] = []
    ridge, chosen_by = how.ridge, "as given"
    for member in range(members):
        blocks = _Blocks.of(train, train.roots(loss, member), cuts, free, step)
        tried: dict[float, Solution] = {}
        judged: dict[float, float] = {}
        x = None
        for one in RIDGES if ridge is None and held is not None else (RIDGES[-1] if ridge is None else ridge,):
            solution, x = blocks.solve(one, how, x, step)
            errors = {} if held is None else held.errors(solution.c)
            judged[one] = sum(loss.weights[kind] * error**2 for kind, error in errors.items())
            tried[one] = solution
        if ridge is None:
            chosen_by = "usual" if held is None else "held-out loss"
            ridge = min(judged, key=judged.__getitem__)
        best = tried[ridge]
        errors = {} if held is None or members > 1 else held.errors(best.c)
        found.append(Solution(best.c, ridge, chosen_by, scale=best.scale, alpha=best.alpha, left_out=errors, told=best.told))
    for solution in found:
        if not solution.told["converged"]:
            warnings.warn(
                f"LSQR stopped after {how.iterations} iterations before it met its tolerance of {how.tolerance:g}: coefficients are somewhat "
                "smaller than those of the minimum. Ask for more iterations, larger blocks or a larger ridge, as fit.optimizer: "
                f"{{lsqr: {{iterations: {10 * how.iterations}, block: {2 * how.block}}}}}",
                NotConverged,
                stacklevel=4,
            )
            break
    return found


def cut(sets: int, size: int, free: int, block: int) -> list[slice]:
    """Blocks of at most `block` columns: some sets of coefficients together, or even shares of each; the last one takes the free columns, too.

    >>> cut(3, 10, 3, 25), cut(2, 10, 0, 6)
    ([slice(0, 20, None), slice(20, 33, None)], [slice(0, 5, None), slice(5, 10, None), slice(10, 15, None), slice(15, 20, None)])
    """
    if size <= block:
        step = block // size * size
        starts = list(range(0, sets * size, step))
    else:
        pieces = -(-size // block)
        starts = [z * size + k * size // pieces for z in range(sets) for k in range(pieces)]
    ends = [*starts[1:], sets * size + free]
    return [slice(a, b) for a, b in zip(starts, ends, strict=True)]


@dataclass
class _Blocks:
    """A member's least squares with what makes it well conditioned: R of each block of columns, and their scale."""

    rows: Rows
    root: Float[Tensor, "n"]
    y: Float[Tensor, "n"]
    cuts: Sequence[slice]
    R: list[Tensor]  # of scaled columns
    penalty: Penalty

    @classmethod
    def of(cls, rows: Rows, root: Tensor, cuts: Sequence[slice], free: int, step: Callable[[], None]) -> _Blocks:
        triangles = [Triangle(at.stop - at.start) for at in cuts]
        y = torch.empty(rows.n, dtype=torch.float64)
        for at, part in rows:
            weighted = part * root[at, None]
            y[at] = weighted[:, -1]
            for block, triangle in zip(cuts, triangles, strict=True):
                triangle.add(weighted[:, block], 1.0, float(len(part)))
        norms = torch.cat([triangle.R.square().sum(0).sqrt() for triangle in triangles])
        norm = known(norms, free)
        R = [t.R / norm[at] for at, t in zip(cuts, triangles, strict=True)]
        made = cls(rows, root, y, cuts, R, Penalty(norm, free, 1.0))
        ridged = torch.arange(len(norm)) < len(norm) - free
        v = ridged.to(torch.float64)
        for _ in range(POWER_STEPS):
            v = made.back(made.forth(v / v.norm())) * ridged
            step()
        made.penalty = Penalty(norm, free, float(v.norm()))
        return made

    def forth(self, x: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """Weighted rows times coefficients of scaled columns."""
        c, found = x / self.penalty.norm, torch.empty(self.rows.n, dtype=torch.float64)
        for at, part in self.rows:
            found[at] = part[:, :-1] @ c
        return found.mul_(self.root)

    def back(self, u: Float[Tensor, "n"]) -> Float[Tensor, "k"]:
        found, u = torch.zeros(len(self.penalty.norm), dtype=torch.float64), u * self.root
        for at, part in self.rows:
            found += part[:, :-1].T @ u[at]
        return found / self.penalty.norm

    def solve(
        self, ridge: float, how: LSQR, start: Tensor | None, step: Callable[[], None]
    ) -> tuple[Solution, Float[Tensor, "k"]]:
        """Coefficients of least |A c − y|² + α |D c|², and c times norm, from which another ridge may start."""
        n, k, alpha = self.rows.n, len(self.penalty.norm), ridge * self.penalty.largest
        root = self.penalty.root(alpha)
        P = [torch.linalg.qr(torch.cat([R, torch.diag(root[at])]), mode="r").R for at, R in zip(self.cuts, self.R, strict=True)]

        def unmade(u: Tensor, transposed: bool) -> Tensor:
            parts = [
                torch.linalg.solve_triangular(R.T if transposed else R, u[at, None], upper=not transposed)[:, 0]
                for at, R in zip(self.cuts, P, strict=True)
            ]
            return torch.cat(parts)

        def matvec(u: np.ndarray) -> np.ndarray:
            x = unmade(torch.from_numpy(np.ascontiguousarray(u.reshape(-1))), transposed=False)
            return torch.cat([self.forth(x), root * x]).numpy()

        def rmatvec(w: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.ascontiguousarray(w.reshape(-1)))
            step()
            return unmade(self.back(given[:n]) + root * given[n:], transposed=True).numpy()

        operator: Any = LinearOperator((n + k, k), matvec=matvec, rmatvec=rmatvec, dtype=np.float64)
        b = np.concatenate([self.y.numpy(), np.zeros(k)])
        begin = None if start is None else torch.cat([R @ start[at] for at, R in zip(self.cuts, P, strict=True)]).numpy()
        # conlim: columns were made independent already; it would stop at what the ridge is there for.
        u, ended, iterations, *_ = lsqr(
            operator, b, atol=how.tolerance, btol=how.tolerance, conlim=0.0, iter_lim=how.iterations, x0=begin
        )
        x = unmade(torch.from_numpy(u), transposed=False)
        told = {"solver": "lsqr", "iterations": int(iterations), "converged": int(ended) != 7}
        return Solution(x / self.penalty.norm, ridge, "", scale=self.penalty.scale(alpha), alpha=alpha, told=told), x
