"""What a trained model loses by keeping its radial functions as splines: measured, and stated in its model file."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch

from adiabat.graph import Graph
from adiabat.kernels import spline
from adiabat.nn import RadialTable
from adiabat.potential import Model, Potential, Scaled

FINER = 8  # an error of cubic splines falls with the fourth power: 1/4096 is left
FRAMES = 8


@torch.no_grad()
def table_error(potential: Potential, graphs: Iterable[Graph]) -> dict[str, Any] | None:
    """The potential beside one whose tables are 8 times as fine, on the first few graphs; None where it keeps no tables.

    | key | what |
    |---|---|
    | `force_error_over_rms` | root mean square difference of the forces over that of the forces |
    | `function_error_over_largest` | largest difference of a radial function on [0, r_c] over the largest value of its table |

    In the potential's own precision: what is stated holds for the functions as they are deployed, rounding included.
    """
    tables = [module for module in potential.modules() if isinstance(module, RadialTable)]
    if not tables:
        return None
    here = next(potential.parameters()).device
    fine = Potential(*(_finer(term) for term in potential.terms)).to(device=here, dtype=potential.dtype).eval()
    finer = [module for module in fine.modules() if isinstance(module, RadialTable)]
    for module in finer:
        module.stride = 1  # float32 skips knots otherwise
    off = total = 0.0
    frames = list(islice(graphs, FRAMES))
    for graph in frames:
        forces = potential(graph).forces
        off += float((forces - fine(graph).forces).square().sum())
        total += float(forces.square().sum())
    functions = max(_functions(a, b) for a, b in zip(tables, finer, strict=True))
    return {
        "intervals": max(table().shape[1] - 3 for table in tables),
        "frames": len(frames),
        "force_error_over_rms": (off / total) ** 0.5 if total else None,
        "function_error_over_largest": functions,
    }


def _finer(term: Model) -> Model:
    """The same numbers with finer tables."""
    if isinstance(term, Scaled):
        return Scaled(_finer(term.model), term.eV)
    if "intervals" not in term.arguments:
        return copy.deepcopy(term)
    stride = max((module.stride for module in term.modules() if isinstance(module, RadialTable)), default=1)
    single = all(p.dtype == torch.float32 for p in term.parameters())
    intervals = FINER * term.arguments["intervals"] // (stride if single else 1)
    made = type(term)(**{**term.arguments, "intervals": intervals})
    made.load_state_dict(term.state_dict())
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
