"""What edges must be: vectors that are numbers and not zero, and none missing when atoms have moved."""

from __future__ import annotations

import torch

from adiabat.typing import Float, Int, Tensor


def accept_vectors(r: Float[Tensor, "*members E 3"], i: Int[Tensor, "E"], j: Int[Tensor, "E"]) -> None:
    """Refuse edges that are not numbers, and edges of no length: two atoms at one place."""
    if not len(i):
        return
    squares = r.detach().square().sum(-1)
    least, most = squares.aminmax()  # a NaN is both
    if float(least) >= 1e-12 and float(most) < float("inf"):
        return
    finite = bool(squares.isfinite().all())
    e = int((squares if finite else squares.isfinite().to(squares.dtype)).argmin()) % len(i)
    a, b = int(i[e]), int(j[e])
    if finite:
        raise ValueError(f"atoms {a} and {b} lie at one place; remove one of them or wrap the structure anew")
    raise ValueError(f"the vector from atom {a} to {b} is not a number: look at the positions and the cell")


def none_missing(
    built: tuple[Float[Tensor, "N 3"], Float[Tensor, "S 3 3"]],
    positions: Float[Tensor, "N 3"],
    cell: Float[Tensor, "S 3 3"],
    structure: Int[Tensor, "N"],
    *,
    cutoff: float,
    skin: float,
) -> bool:
    """Whether edges up to `cutoff` + `skin`, found at positions and cells `built`, still hold all pairs below the cutoff."""
    at, cell_at = built
    if cell is cell_at or torch.equal(cell, cell_at):
        if 2 * float(torch.dist(positions, at)) < skin:  # all of the motion together, in one operation
            return True
        return 2 * float(torch.linalg.vector_norm(positions - at, dim=1).max()) < skin
    if not bool((torch.linalg.det(cell_at).abs() > 1e-9).all()):
        return False
    # An unlisted pair was at least cutoff + skin apart. A strain shrinks that by its norm, motion beyond it by twice the step.
    growth = torch.linalg.solve(cell_at, cell)
    strain = float(torch.linalg.matrix_norm(growth - torch.eye(3, dtype=growth.dtype, device=growth.device), ord=2).max())
    carried = torch.einsum("nx,nxy->ny", at, growth[structure])
    step = float(torch.linalg.vector_norm(positions - carried, dim=1).max())
    return (cutoff + skin) * (1 - strain) - 2 * step > cutoff
