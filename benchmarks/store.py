"""The store at size: frames a second in, packed, and out; choosing and counting; memory.

    python benchmarks/store.py                            # 10,000 frames of 50 atoms, printed
    python benchmarks/store.py --frames 100000 --keep     # and append to results/store.jsonl

Each piece runs in a process of its own: its peak memory is its own. Seconds are of the process (CPU) and of the wall clock.
Frames are made by chance, 50 atoms in a periodic cell with energy, forces and stress; making them is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import rows

KINDS = ("bulk", "surface", "defect", "liquid")


def frames(n: int, seed: int) -> list[Any]:
    import numpy as np
    from ase import Atoms

    from adiabat.data.structure import labeled

    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        info = {
            "config_type": KINDS[k % 4],
            "step": k,
            "adiabat": {"engine": "vasp", "level_of_theory": "pbe", "converged": True},
        }
        atoms = Atoms([14] * 25 + [8] * 25, rng.uniform(0, 9, (50, 3)), cell=[9, 9, 9], pbc=True, info=info)
        made.append(labeled(atoms, energy=rng.normal(), forces=rng.normal(size=(50, 3)), stress=rng.normal(size=6)))
    return made


def add(path: Path, n: int) -> Iterator[tuple[float, float]]:
    from adiabat.data.store import Dataset

    with Dataset(path) as dataset:
        for start in range(0, n, 1000):  # an add is a transaction: a thousand frames each, as a labeling campaign would
            some = frames(min(1000, n - start), start)
            with clock() as took:
                dataset.add(some)
            yield took


def pack(path: Path, n: int) -> Iterator[tuple[float, float]]:
    from adiabat.data.packing import pack
    from adiabat.data.store import Dataset

    with clock() as took:
        pack(Dataset(path))
    yield took


def packed_out(path: Path, n: int) -> Iterator[tuple[float, float]]:
    """An epoch in random order: every array of every block is read, its checksum tested."""
    import numpy as np

    from adiabat.data.shards import Shards

    (folder,) = path.parent.glob("*.shards")
    with clock() as took:
        total = sum(float(b.positions.sum() + b.forces.sum()) for b in Shards(folder).blocks(np.random.default_rng(0)))
    assert total == total
    yield took


def as_atoms(path: Path, n: int) -> Iterator[tuple[float, float]]:
    from adiabat.data.shards import Shards

    (folder,) = path.parent.glob("*.shards")
    with clock() as took:
        assert sum(1 for _ in Shards(folder)) == n
    yield took


def select(path: Path, n: int) -> Iterator[tuple[float, float]]:
    """A thousandth of all, by a condition that every row has to be asked for."""
    from adiabat.data.store import Dataset

    with Dataset(path) as dataset, clock() as took:
        assert dataset.select("config_type=surface and natoms<100 and energy<-2.65")
    yield took


def count(path: Path, n: int) -> Iterator[tuple[float, float]]:
    from adiabat.data.store import Dataset

    with Dataset(path) as dataset, clock() as took:
        assert sum(dataset.levels().values()) == n
    yield took


def learn(path: Path, n: int) -> Iterator[tuple[float, float]]:
    """A training of one epoch from the pack, a tenth held out: small symmetry functions, so that what is read and made counts."""
    (folder,) = path.parent.glob("*.shards")
    yield from epoch(folder)


def learn_loaded(path: Path, n: int) -> Iterator[tuple[float, float]]:
    """The same from the store, all of it in memory."""
    yield from epoch(path)


def epoch(source: Path) -> Iterator[tuple[float, float]]:
    import adiabat as ad

    model = ad.models.BPNN(cutoff=2.5, radial=4, angular=1, zetas=[1.0], hidden=[8])
    with clock() as took:
        ad.fit(
            model, source, epochs=1, optimizer="adamw", reference_energies="fit", wall=False, remember_MB=0, batch_edges=2000
        )
    yield took


PIECES = (add, pack, packed_out, as_atoms, select, count, learn, learn_loaded)


class clock:
    """`with clock() as took`: process and wall seconds, when it is over."""

    def __enter__(self) -> list[float]:
        self.took: list[float] = []
        self.begun = time.process_time(), time.perf_counter()
        return self.took

    def __exit__(self, *_) -> None:
        self.took += [time.process_time() - self.begun[0], time.perf_counter() - self.begun[1]]


def one(piece: str, path: Path, n: int) -> None:
    """In a process of its own: its seconds and its peak memory, as JSON."""
    took = list(next(p for p in PIECES if p.__name__ == piece)(path, n))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": sum(t[0] for t in took), "wall_s": sum(t[1] for t in took), "peak_MiB": round(peak)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--keep", action="store_true", help="append to results/store.jsonl")
    parser.add_argument("--machine", help="the machine in words")
    parser.add_argument("--folder", help="where the store is made, and removed again; a temporary folder without it")
    parser.add_argument("--without", nargs="*", default=[], choices=[p.__name__ for p in PIECES], help="pieces to leave out")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.piece:
        return one(given.piece, Path(given.path), given.frames)
    found = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "store.db"
        for piece in (p.__name__ for p in PIECES if p.__name__ not in given.without):
            command = [sys.executable, __file__, "--piece", piece, "--path", str(path), "--frames", str(given.frames)]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            told = json.loads(run.stdout)
            rate = round(given.frames / told["cpu_s"])
            found.append({"benchmark": "store", "piece": piece, "frames": given.frames, "frames_per_cpu_s": rate, **told})
            print(f"{piece:12} {rate:12,} frames/s of CPU {told['wall_s']:9.2f} s {told['peak_MiB']:8,} MiB", flush=True)
            if piece in ("add", "pack"):
                size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / 1e6
                print(f"{'':12} {size:12,.0f} MB on the disk", flush=True)
    if given.keep:
        rows.append("store.jsonl", [{**rows.circumstances(given.machine), **row} for row in found])


if __name__ == "__main__":
    main()
