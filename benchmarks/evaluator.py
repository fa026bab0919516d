"""The compiled evaluators against themselves: threads, sizes, memory, first use.

    python benchmarks/evaluator.py                                            # print
    python benchmarks/evaluator.py --keep --machine "two cores of ..."        # and append to results/evaluator.jsonl

threads: one call on 1,728 atoms of silicon by one thread and by two, interleaved: least time on the clock, and least processor time of the
busier thread, which is the clock of a machine that has nothing else to do. size: one call on 512 … 100,000 atoms, processor time an atom,
and the peak of resident memory beyond what stood before the first call, an atom. first use: a process of its own with an empty cache, then
five that find what the first compiled, seconds until the evaluator can be called; of the five the one that was soonest ready, and how long
it was ready to run and waited because others had the processor: on a machine that has nothing else to do that part of the clock is none.

Energies, forces and the strain gradient in float32; the neighbors and edge vectors are given: they are inputs. Each row runs in a
process of its own, so that no row finds another's memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

MODELS = {
    "MACE 128x0e+128x1o": {"mace": {"cutoff": 5.0, "channels": 128, "elements": ["Si"]}},
    "MACE 64x0e": {"mace": {"cutoff": 5.0, "channels": 64, "hidden": "0e", "elements": ["Si"]}},
    "PaiNN 128 × 3": {"painn": {"cutoff": 5.0, "channels": 128, "layers": 3, "elements": ["Si"]}},
}


def silicon(atoms: int) -> Any:
    """Rattled diamond-cubic silicon of this many atoms, 8 a cell; the cells as near to a cube as they go."""
    from ase.build import bulk

    cells = atoms // 8
    a = max(k for k in range(1, round(cells ** (1 / 3)) + 1) if cells % k == 0)
    b = max(k for k in range(1, round((cells // a) ** 0.5) + 1) if cells // a % k == 0)
    found = bulk("Si", "diamond", a=5.43, cubic=True).repeat((a, b, cells // a // b))
    found.rattle(0.05, seed=1)
    return found


def potential(model: str) -> Any:
    """The model with random weights, float32."""
    import torch

    from adiabat.config import build
    from adiabat.models import MODELS as FAMILIES

    torch.manual_seed(0)
    made = build(MODELS[model], FAMILIES, where="model").float().eval()
    if hasattr(made, "neighbors"):
        made.neighbors.fill_(28.0)
    return made


def evaluator(made: Any) -> Any:
    program = made.program()
    assert program is not None
    assert program.fast
    return program.evaluator()


def prepared(model: str, atoms: int) -> tuple:
    """(call, atoms, edges): `call(threads)` runs the evaluator on ready inputs."""
    import torch

    from adiabat.graph import Graph

    evaluate = evaluator(potential(model))
    graph = Graph.of(silicon(atoms), 5.0)
    lists = [graph.first.numpy(), graph.j.numpy(), torch.zeros_like(graph.numbers).numpy(), graph.structure.numpy()]
    r = graph.r.double().numpy()
    return (lambda threads=1: evaluate(*lists, r, structures=1, threads=threads)), len(graph.numbers), len(graph.j)


def threads(model: str, atoms: int = 1728, seconds: float = 30.0) -> dict[str, Any]:
    call, n, _ = prepared(model, atoms)
    clock: dict[int, list[float]] = {1: [], 2: []}
    busier: dict[int, list[float]] = {1: [], 2: []}
    begun = time.perf_counter()
    call(2), call(1)
    while time.perf_counter() - begun < seconds or len(clock[1]) < 5:
        for count in (1, 2):
            start = time.perf_counter(), time.process_time(), time.thread_time()
            call(count)
            wall, both, mine = time.perf_counter() - start[0], time.process_time() - start[1], time.thread_time() - start[2]
            clock[count].append(wall * 1e6 / n)
            busier[count].append(max(mine, both - mine) * 1e6 / n)
    return {
        "atoms": n, "unit": "µs/atom", "calls": len(clock[1]),
        **{f"{what}_{count}": least for what, found in (("clock", clock), ("busier", busier)) for count, least in _least(found).items()},
        "ratio_on_the_clock": min(clock[1]) / min(clock[2]), "ratio_of_the_busier": min(busier[1]) / min(busier[2]),
    }  # fmt: skip


def _least(found: dict[int, list[float]]) -> dict[int, float]:
    return {count: min(times) for count, times in found.items()}


def size(model: str, atoms: int) -> dict[str, Any]:
    call, n, edges = prepared(model, atoms)
    before, calls = _reset_peak(), 5 if atoms <= 8000 else 3
    took = []
    for _ in range(calls):
        start = time.process_time()
        call()
        took.append((time.process_time() - start) * 1e6 / n)
    return {
        "atoms": n, "edges": edges, "unit": "µs/atom, processor time", "least": min(took), "median": median(took),
        "kB_per_atom": (_status("VmHWM") - before) * 1024 / n / 1000, "calls": calls,
    }  # fmt: skip


def first_use(model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as cache:
        first, *later = [json.loads(_apart("ready", model, environment={"ADIABAT_CACHE": cache})) for _ in range(6)]
    cached = min(later, key=lambda each: each["seconds"])
    return {
        "unit": "s", "compiled_on_the_clock": first["seconds"], "compiled_processor": first["processor"],
        "cached_on_the_clock": cached["seconds"], "cached_processor": cached["processor"], "cached_waited": cached["waited"],
    }  # fmt: skip


def ready(model: str) -> dict[str, Any]:
    import resource

    def processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)

    def waited() -> float:  # this thread, s: runnable, and not run
        with open("/proc/self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9

    made = potential(model)
    begun, before, idle = time.perf_counter(), processor(), waited()
    evaluator(made)
    return {"seconds": time.perf_counter() - begun, "processor": processor() - before, "waited": waited() - idle}


def _status(field: str) -> int:
    """kB, from /proc/self/status."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


def _reset_peak() -> int:
    """Let the peak of resident memory begin anew; kB resident now."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return _status("VmRSS")


def _apart(row: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What this file prints when it runs one row in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--row", row, *arguments], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", **(environment or {})},
    )  # fmt: skip
    return run.stdout.splitlines()[-1]


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/evaluator.jsonl")
    arguments.add_argument("--machine", help="the machine in words")
    arguments.add_argument("--model", action="append", help="only models whose name contains this; may be given again")
    arguments.add_argument("--what", action="append", choices=["threads", "size", "first_use"], help="only these rows")
    arguments.add_argument("--atoms", type=int, action="append", help="sizes of the rows of sizes")
    chosen = arguments.parse_args()
    lines = []
    for model in MODELS:
        if chosen.model and not any(part in model for part in chosen.model):
            continue
        for what in chosen.what or ("threads", "size", "first_use"):
            for more in [[str(n)] for n in chosen.atoms or (512, 8000, 100_000)] if what == "size" else [[]]:
                line = {"name": f"{model}: {what}", **json.loads(_apart(what, model, *more))}
                print(line, flush=True)
                lines.append({**line, **rows.circumstances(chosen.machine)})
    if chosen.keep:
        print(rows.append("evaluator.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        row, model, *atoms = sys.argv[2:]
        print(
            json.dumps({"threads": threads, "size": size, "first_use": first_use, "ready": ready}[row](model, *map(int, atoms)))
        )
    else:
        main()
