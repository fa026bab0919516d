"""Symmetry functions as free lists beside the same functions as an even set, and the potentials of n2p2 that come as such lists.

    python benchmarks/lists.py                             # print
    python benchmarks/lists.py --keep --machine "..."      # and append to results/lists.jsonl

Rows: 512 silicon atoms with the 50 functions of benchmarks/bpnn.py and 576 atoms of water with 124 functions, once as `BPNN` makes them
(one compiled program a size of set) and once as a list of them (one program for all lists), the same network: forces agree to
1e-12 of the largest, asserted first. Then n2p2's own H2O_RPBE-D3 (1,080 atoms, 27 and 30 functions of range 12 bohr) and Cu2S_PBE
(144), whose forces agree with the values n2p2's tests want, to 1e-11 eV/Å. Calls of energy, forces and stress on one core without the
search for neighbors, which lie within a skin of 0.5 Å: least CPU time of several calls in turns.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import rows
import structures
import torch
from ase import Atoms

from adiabat.deploy.importers import import_model
from adiabat.graph import Graph
from adiabat.models import BPNN
from adiabat.potential import Potential
from adiabat.units import bohr, hartree

CUTOFF, SKIN = 5.0, 0.5  # Å
DATA = Path(os.environ.get("ADIABAT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "reference_n2p2"


def even_and_listed(elements: list[str]) -> tuple[Potential, Potential]:
    """One network on one set of functions, told both ways."""
    torch.manual_seed(0)
    even = BPNN(CUTOFF, elements, radial=26, angular=4, zetas=[1.0, 4.0, 16.0], hidden=[32, 32])
    its: Any = even.descriptor
    radial = [
        {"kind": "radial", "neighbors": [s], "cutoff": CUTOFF, "eta": eta, "shift": shift}
        for s in elements
        for eta, shift in zip(its.eta.tolist(), its.R_s.tolist(), strict=True)
    ]
    angular = [
        {"kind": "narrow", "neighbors": [elements[s], elements[t]], "cutoff": CUTOFF, "eta": eta, "zeta": zeta, "lambd": lambd}
        for t in range(len(elements))
        for s in range(t + 1)
        for eta in its.angular_eta.tolist()
        for zeta in its.zetas
        for lambd in (-1.0, 1.0)
    ]
    listed = BPNN(elements=elements, functions=dict.fromkeys(elements, radial + angular), hidden=[32, 32])
    listed.load_state_dict(even.state_dict())
    return Potential(even).eval(), Potential(listed).eval()


def text(path: Path) -> str:
    return path.read_text() if path.exists() else lzma.open(path.with_name(path.name + ".xz"), "rt").read()


def n2p2(name: str, length: float) -> tuple[Potential, Atoms, torch.Tensor]:
    """The potential of a folder, its structure, and the forces that n2p2's tests want, in the folder's units."""
    folder = DATA / name
    lines = [line.split() for line in text(folder / "input.data").splitlines()]
    vectors = {
        kind: [[float(x) * length for x in line[1:4]] for line in lines if line[0] == kind] for kind in ("lattice", "atom")
    }
    atoms = Atoms([line[4] for line in lines if line[0] == "atom"], vectors["atom"], cell=vectors["lattice"], pbc=True)
    wanted = torch.tensor(json.loads(text(folder / "expected.json"))["forces"], dtype=torch.float64)
    return import_model(folder), atoms, wanted


def least(potentials: dict[str, Potential], graph: Graph, calls: int) -> dict[str, float]:
    """CPU µs per atom of each, in turns."""
    frozen = {name: potential.frozen() for name, potential in potentials.items()}
    found = dict.fromkeys(frozen, float("inf"))
    for _ in range(calls):
        for name, it in frozen.items():
            begin = time.process_time()
            it(graph).strain_gradient  # noqa: B018
            found[name] = min(found[name], 1e6 * (time.process_time() - begin) / graph.n_atoms)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/lists.jsonl")
    arguments.add_argument("--calls", type=int, default=20)
    arguments.add_argument("--machine", help="the machine in words")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    rows.on_one_core()
    found: list[dict[str, Any]] = []

    def told(what: str, times: dict[str, float], dtype: torch.dtype, **more: Any) -> None:
        name = str(dtype).removeprefix("torch.")
        print(f"{what}, {name}: " + ", ".join(f"{k} {v:.1f}" for k, v in times.items()), "µs/atom", more, flush=True)
        found.append({"what": f"{what}, {name}", "unit": "µs/atom, CPU", **{k: round(v, 2) for k, v in times.items()}, **more})

    for what, elements, atoms in (
        ("512 Si", ["Si"], structures.silicon()),
        ("192 H2O", ["H", "O"], structures.water()),
    ):
        graph = Graph.of(atoms, CUTOFF, skin=SKIN)
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
            even, listed = (it.to(dtype) for it in even_and_listed(elements))
            one, other = even.frozen()(graph).forces, listed.frozen()(graph).forces
            difference = float((one - other).abs().max() / one.abs().max())
            assert difference < tolerance, difference
            told(what, least({"even": even, "list": listed}, graph, asked.calls), dtype, difference=difference)
    for name, length, unit in (("H2O_RPBE-D3", bohr, hartree / bohr), ("Cu2S_PBE", 1.0, 1.0)):
        potential, atoms, wanted = n2p2(name, length)
        graph = Graph.of(atoms, potential.cutoff, skin=SKIN)
        for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-4)):
            difference = float((potential.to(dtype).frozen()(graph).forces - wanted * unit).abs().max())
            assert difference < tolerance, difference
            told(name, least({"list": potential}, graph, asked.calls), dtype, difference_eV_A=difference)
    if asked.keep:
        rows.append("lists.jsonl", [{**row, **rows.circumstances(asked.machine)} for row in found])


if __name__ == "__main__":
    main()
