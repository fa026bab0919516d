"""MACE's evaluator against the floor: what the core can multiply, what the path lists ask for, what the tables and weights weigh.

    python benchmarks/floor.py                                      # print; --keep --machine "one core of ..." appends to results/floor.jsonl

Flops are counted from the compiled path lists (a fused multiply-add is two): matrices of rows of channels, convolutions an edge, polynomials
an atom, forth and back. The peak is that of a loop of independent fused multiply-adds, compiled like the kernels and run in turns with
the calls. "cold": between two calls 96 MB of other memory are read and written, as another program would do. Float32, one thread.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from pathlib import Path
from statistics import median
from typing import Any

import rows
import structures

SHAPE = {"cutoff": 5.0, "channels": 128, "hidden": "0e+1o", "intervals": 512}
PEAK = """
static void fma(I n, S *out) {
  V a[12], x = V{} + (S)1.0000001, y = V{} + (S)1e-9;
  for (int k = 0; k < 12; k++) a[k] = V{} + (S)k;
  for (I i = 0; i < n; i++)
    for (int k = 0; k < 12; k++) a[k] = a[k] * x + y;
  V s = {};
  for (int k = 0; k < 12; k++) s += a[k];
  *out = total(s);
}
extern "C" {
int lanes() { return W; }
double peak(I n) { S out; fma(n, &out); return out; }
int trial() { return peak(2) > 0 ? 0 : 1; }
}
"""


def flops(layers: Any, edges_per_atom: float) -> dict[str, float]:
    """An atom's, of merged layers: {what: flops}."""
    from adiabat.kernels.ir import horner

    matrices = convolutions = polynomials = 0.0
    C = layers[0].table.shape[-1]
    for t, layer in enumerate(layers):
        conv, poly = layer.conv, layer.product
        for out, weight in zip(conv.outputs, layer.mix, strict=True):
            matrices += 0 if weight is None else out.dim * weight[0].numel()
        for irrep, weight in zip(conv.irreps, layer.up if t else (), strict=bool(t)):
            matrices += 0 if weight is None else irrep.dim * weight.numel()
        skips = iter(layer.skip)
        for out, weight, kept in zip(poly.outputs, layer.update, layer.kept, strict=True):
            matrices += out.dim * weight.numel()
            if kept is not None:
                matrices += out.dim * next(skips)[0].numel() * (t > 0)
        inner = sum(conv.irreps[path.input].dim for path in conv.paths)  # rows a of all paths
        pairs = len({(term.path, term.a, term.c) for term in conv.coefficients})
        P = len(conv.paths)
        forth = 8 * P + inner + 2 * pairs  # R by four rows, R h, sums
        back = (
            16 * P + inner + 4 * pairs + 2 * inner + 2 * P + 2 * inner * (t > 0)
        )  # R and its slope, R h, y and B, R y to neighbors
        convolutions += C * edges_per_atom * (forth + back)
        nodes = sum(map(_nodes, horner(poly.terms).values()))
        polynomials += C * nodes * (2 + 6)
    return {"matrices": 4 * matrices, "convolutions": convolutions, "polynomials": polynomials}


def _nodes(tree: dict) -> int:
    return sum(1 + _nodes(child) for factor, child in tree.items() if factor is not None)


def measured(name: str, atoms: Any, elements: list[str], seconds: float) -> dict[str, Any]:
    import numpy as np
    import torch

    from adiabat.graph import Graph
    from adiabat.kernels import build
    from adiabat.kernels.merging import merged
    from adiabat.models import MACE

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = MACE(elements=elements, **SHAPE).eval()
    model.neighbors.fill_(20.0)
    program = model.program()
    assert program is not None
    evaluate, graph = program.evaluator(), Graph.of(atoms, SHAPE["cutoff"])
    species = torch.searchsorted(torch.from_numpy(evaluate.elements), graph.numbers)
    lists = [x.numpy() for x in (graph.first, graph.j, species, graph.structure)]
    r = graph.r.numpy()
    peak = build.library((Path(build.__file__).with_name("lanes.h")).read_text() + PEAK, "float")
    peak.peak.argtypes, peak.peak.restype = [ctypes.c_int64], ctypes.c_double
    junk, turns = np.zeros(12 << 20), 80_000
    took: dict[str, list[float]] = {"warm": [], "cold": [], "peak": []}

    def timed(what: str, call: Any) -> None:
        begun = time.process_time()
        call()
        took[what].append(time.process_time() - begun)

    def call() -> None:
        evaluate(*lists, r, structures=graph.n_structures)

    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds or len(took["cold"]) < 5:
        call()
        timed("warm", call)
        timed("peak", lambda: peak.peak(turns))
        junk += 1.0
        timed("cold", call)
    chain = merged(program.embedding, program.kinds, program.layers)
    parts = flops(chain.layers, graph.n_edges / graph.n_atoms)
    best = 24.0 * peak.lanes() * turns / min(took["peak"])
    all_flops = sum(parts.values()) * graph.n_atoms
    tables = sum(layer.table.numel() for layer in chain.layers) * 4
    polynomials = sum(layer.coefficients.numel() for layer in chain.layers) * 4
    return {
        "name": name, "atoms": graph.n_atoms, "edges": graph.n_edges, "unit": "µs/atom, processor time",
        "warm": min(took["warm"]) * 1e6 / graph.n_atoms, "warm_median": median(took["warm"]) * 1e6 / graph.n_atoms,
        "cold": min(took["cold"]) * 1e6 / graph.n_atoms, "cold_median": median(took["cold"]) * 1e6 / graph.n_atoms,
        "peak_GFlops": best / 1e9, "flops_per_atom": parts, "floor": all_flops / best * 1e6 / graph.n_atoms,
        "share_of_peak": all_flops / best / min(took["warm"]), "tables_MB": tables / 1e6, "coefficients_MB": polynomials / 1e6,
        "table_bytes_per_edge": sum(4 * 2 * layer.table[0, 0].numel() * 4 for layer in chain.layers),
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/floor.jsonl")
    arguments.add_argument("--machine", help="the machine in words")
    arguments.add_argument("--seconds", type=float, default=20.0, help="of the clock, for each row")
    chosen = arguments.parse_args()
    lines = []
    for name, atoms, elements in (
        ("MACE 128x0e+128x1o, 512 Si", structures.silicon(512), ["Si"]),
        ("MACE 128x0e+128x1o, 27 atoms of H C N O", structures.molecules(1)[0], ["H", "C", "N", "O"]),
        ("MACE 128x0e+128x1o, 32 × 27 atoms of H C N O", structures.molecules(32), ["H", "C", "N", "O"]),
    ):
        line = measured(name, atoms, elements, chosen.seconds)
        print(line, flush=True)
        lines.append({**line, **rows.circumstances(chosen.machine)})
    if chosen.keep:
        print(rows.append("floor.jsonl", lines))


if __name__ == "__main__":
    main()
