"""What a trained model loses by keeping its radial functions as splines: measured, mended where it is too much, stated in its file."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch

from adiabat.graph import Graph
from adiabat.kernels import spline
from adiabat.nn import RadialTable
from adiabat.potential import Model, Potential, Scaled
from adiabat.told import warn
from adiabat.uncertainty import Committee

LIMIT = 1e-5  # of the forces' root mean square: what single precision adds by rounding is no less
MOST_INTERVALS = 4096
FINER = 8  # an error of a cubic spline's slope falls with the third power: 1/512 is left
LARGE = 1 << 14  # rows of a finer table; beyond it this one is held against its half, whose error is 2³ times its own
FRAMES = 8


def refined(potential: Potential, graphs: Iterable[Graph]) -> tuple[Potential, dict[str, Any] | None]:
    """The same potential with tables so fine that forces differ by at most 10⁻⁵ of their root mean square from those of the networks
    themselves, and what `table_error` says of it: of a committee the worst member's. What cannot be reached is warned of."""
    members = _members(potential)
    frames, finer = list(islice(graphs, FRAMES)), False
    while True:
        told = [table_error(member, frames) for member in members]
        worst = max((it for it in told if it is not None), key=lambda it: it["force_error_over_rms"] or 0.0, default=None)
        if worst is None or (worst["force_error_over_rms"] or 0.0) <= LIMIT:
            break
        if 2 * worst["intervals"] > MOST_INTERVALS:
            warn(
                f"splines of {worst['intervals']} intervals move the forces by {worst['force_error_over_rms']:.1e} of their root mean "
                f"square, wanted {LIMIT:.0e}: the radial functions are steeper than data of atoms can teach; train with fewer or lower "
                "basis functions, or with a weight decay",
            )
            break
        members = [_with(member, 2) for member in members]
        finer = True
    if not finer:
        return potential, worst
    return Committee.of(members) if isinstance(potential, Committee) else members[0], worst


@torch.no_grad()
def table_error(potential: Potential, graphs: Iterable[Graph]) -> dict[str, Any] | None:
    """The potential beside one whose tables are 8 times as fine (huge ones: half as fine), on a few graphs; None without tables.

    | key | what |
    |---|---|
    | `intervals` | of the finest table, as this potential's precision uses it |
    | `force_error_over_rms` | root mean square difference of the forces over that of the forces |
    | `function_error_over_largest` | largest difference of a radial function on [0, r_c], both ends included, over the largest value |

    Both are evaluated in double precision: what is stated is the error of the table, to which rounding adds its own.
    """
    if not any(isinstance(module, RadialTable) for module in potential.modules()):
        return None
    sizes = [module().shape[:2].numel() for module in potential.modules() if isinstance(module, RadialTable)]
    half = FINER * max(sizes) > LARGE
    coarse, fine = (_with(potential, k).double() for k in ((0.5, 1) if half else (1, FINER)))
    off = total = 0.0
    frames = list(islice(graphs, FRAMES))
    for graph in frames:
        forces = coarse(graph).forces
        off += float((forces - fine(graph).forces).square().sum())
        total += float(forces.square().sum())
    tables, finer = ([module for module in it.modules() if isinstance(module, RadialTable)] for it in (coarse, fine))
    functions = max(_functions(a, b) for a, b in zip(tables, finer, strict=True))
    return {
        "intervals": max(table().shape[1] - 3 for table in (finer if half else tables)),
        "frames": len(frames),
        "force_error_over_rms": (off / total) ** 0.5 / (7 if half else 1) if total else None,
        "function_error_over_largest": functions / (15 if half else 1),
    }


def _members(potential: Potential) -> Sequence[Potential]:
    return [potential.member(m) for m in range(potential.size)] if isinstance(potential, Committee) else [potential]


def _with(potential: Potential, factor: float) -> Potential:
    """The same numbers with tables `factor` times as fine as this precision uses them."""
    terms = [_finer(term, factor) for term in potential.terms]
    made = Potential(*terms, metadata=potential.metadata)
    return made.to(device=next(potential.parameters()).device, dtype=potential.dtype).eval()


def _finer(term: Model, factor: float) -> Model:
    if isinstance(term, Scaled):
        return Scaled(_finer(term.model, factor), term.eV)
    if "intervals" not in term.arguments:
        return copy.deepcopy(term)
    used = {table().shape[1] - 3 for table in term.modules() if isinstance(table, RadialTable)}
    made = type(term)(**{**term.arguments, "intervals": round(factor * max(used))})
    made.to(next(term.parameters()).dtype).load_state_dict(term.state_dict())
    return made


def _functions(table: RadialTable, fine: RadialTable) -> float:
    """The largest difference between two knots of the coarse table, over its largest value; both ends are looked at."""
    a, b = table(), fine()
    kinds, rows = a.shape[0], b.shape[1] - 3
    d = torch.linspace(0, 1 - 1e-6, 2 * rows + 1, dtype=a.dtype, device=a.device)
    worst = 0.0
    for kind in range(kinds):
        which = torch.full((len(d),), kind, device=d.device)
        worst = max(worst, float((spline(d, a, 1.0, which) - spline(d, b, 1.0, which)).abs().max()))
    return worst / float(a.abs().max())
