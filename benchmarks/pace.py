"""An atomic cluster expansion of pacemaker beside pace's own evaluators, what LAMMPS's pair styles pace call: energy and forces, one core.

    python benchmarks/pace.py --pace SOURCES [FILE.yace | FILE.yaml …]                     # print
    python benchmarks/pace.py --pace SOURCES --keep --machine "one core of ..."            # and append to results/pace.jsonl

SOURCES are those of lammps-user-pace, built there for this machine:

    cmake -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_CXX_FLAGS="-O3 -march=native" && cmake --build build

A few lines of C++ around its library, compiled with the same flags, hand its evaluators an atom's neighbors after the other, as the pair style
does; both its recursive evaluator, LAMMPS's default, and the one of products are timed. Both sides get the same edge vectors within the
cutoff and a skin of 0.5 Å, and look for no neighbors. Without files it is an expansion as large as pacemaker fits them by default, for copper,
two densities, numbers at random, coupled by pace itself. That both sides are one function is asserted in float64 to 1e-7 eV/atom and
1e-6 of the largest force: pace looks radial functions up in splines 0.001 Å wide. It computes in double precision whatever ours does.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import Any

import duel
import numpy as np

EXACT = {"energy": 1e-7, "gradient": 1e-6}
TOLERANCES = {"float64": EXACT, "float32": {"energy": 1e-5, "gradient": 1e-5}}
EVALUATORS = ("recursive", "product")
# Most radial functions and l by how many factors a product has.
LIMITS = {1: (15, 0), 2: (6, 3), 3: (4, 3), 4: (3, 2), 5: (2, 1)}
DRIVER = r"""
#include "ace-evaluator/ace_c_basis.h"
#include "ace-evaluator/ace_evaluator.h"
#include "ace-evaluator/ace_recursive.h"
#include "ace/ace_b_basis.h"
#include <vector>
struct Side {
  ACECTildeBasisSet basis;
  ACECTildeEvaluator products;
  ACERecursiveEvaluator recursive;
};
extern "C" {
void convert(const char *from, const char *to) { ACEBBasisSet b(from); b.to_ACECTildeBasisSet().save_yaml(to); }
void *make(const char *file) {
  Side *s = new Side;
  s->basis.load_yaml(file);
  s->products.set_basis(s->basis);
  s->recursive.set_recursive(true);
  s->recursive.set_basis(s->basis, 0);
  return s;
}
double evaluate(void *side, int recursive, int atoms, const int *first, const int *j, const int *kinds, double *r, double *forces) {
  Side &s = *(Side *)side;
  ACEEvaluator &e = recursive ? (ACEEvaluator &)s.recursive : (ACEEvaluator &)s.products;
  double energy = 0, zero[3] = {};
  std::vector<double *> rows;
  std::vector<SPECIES_TYPE> types;
  std::vector<int> list;
  for (int i = 0; i < 3 * atoms; i++) forces[i] = 0;
  for (int i = 0; i < atoms; i++) {
    int n = first[i + 1] - first[i];
    rows.assign(1, zero), types.assign(1, kinds[i]), list.clear();
    for (int k = 0; k < n; k++) rows.push_back(r + 3 * (first[i] + k)), types.push_back(kinds[j[first[i] + k]]), list.push_back(k + 1);
    e.resize_neighbours_cache(n);
    e.compute_atom(0, rows.data(), types.data(), n, list.data());
    energy += e.e_atom;
    for (int k = 0; k < n; k++)
      for (int x = 0; x < 3; x++) {
        double f = e.neighbours_forces(k, x);
        forces[3 * i + x] += f, forces[3 * j[first[i] + k] + x] -= f;
      }
  }
  return energy;
}
}
"""


def prepared(model: str, a: float) -> tuple[Any, Any, Any]:
    """The potential, a crystal of its elements at random, and its edges."""
    import torch
    from ase.build import bulk

    import adiabat as ad

    torch.set_num_threads(1)
    potential = ad.import_model(model)
    atoms = bulk("Cu", cubic=True, a=a) * (5, 5, 5)
    atoms.rattle(0.08, seed=1)
    atoms.numbers[:] = np.random.default_rng(2).choice(potential.elements, len(atoms))
    return potential, atoms, ad.Graph.of(atoms, potential.cutoff, skin=0.5)


def ours(model: str, a: float, precision: str, **_: Any) -> tuple:
    import torch

    potential, _atoms, graph = prepared(model, a)
    call = potential.to(getattr(torch, precision)).frozen()

    def values() -> dict[str, list[float]]:
        found = call(graph)
        return {"energy": [float(found.energy[0]) / graph.n_atoms], "gradient": found.forces.flatten().tolist()}

    return lambda: call(graph), values


def peer(model: str, a: float, evaluator: str, library: str, **_: Any) -> tuple:
    import yaml

    potential, atoms, graph = prepared(model, a)
    told = next(line for line in Path(model).read_text().splitlines() if line.startswith("elements:"))
    names = yaml.safe_load(told)["elements"]
    alone = sum(potential.terms[0].table[z] for z in atoms.numbers)
    kinds = np.array([names.index(s) for s in atoms.get_chemical_symbols()], np.int32)
    first, j = (x.numpy().astype(np.int32) for x in (graph.first, graph.j))
    r, forces = graph.r.double().numpy().copy(), np.zeros((len(atoms), 3))
    code = loaded(library)
    side = ctypes.c_void_p(code.make(model.encode()))
    arrays = (first, j, kinds, r, forces)

    def step() -> float:
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in arrays]
        return code.evaluate(side, int(evaluator == "recursive"), len(atoms), *pointers)

    def values() -> dict[str, list[float]]:
        return {"energy": [(step() + alone) / len(atoms)], "gradient": forces.flatten().tolist()}

    return step, values


def loaded(library: str) -> ctypes.CDLL:
    code = ctypes.CDLL(library)
    code.make.restype, code.evaluate.restype = ctypes.c_void_p, ctypes.c_double
    return code


def built(pace: str, folder: str) -> str:
    """The library around pace's."""
    source, library = Path(folder) / "driver.cpp", Path(folder) / "driver.so"
    source.write_text(DRIVER)
    parts = ("ML-PACE", "ML-PACE/ace", "ML-PACE/ace-evaluator", "yaml-cpp/include", "cnpy", "wigner-cpp/include")
    flags = [
        "-O3",
        "-march=native",
        "-std=c++17",
        "-w",
        "-DEXTRA_C_PROJECTIONS",
        "-DCOMPUTE_B_GRAD",
        "-shared",
        "-fPIC",
    ]  # as its own
    archives = ["libpace.a", "build-yaml-cpp/libyaml-cpp-pace.a", "libcnpy.a"]
    subprocess.run(
        ["g++", *flags, *(f"-I{pace}/{part}" for part in parts), str(source),
         *(f"{pace}/build/{name}" for name in archives), "-lz", "-o", str(library)], check=True,
    )  # fmt: skip
    return str(library)


def made(path: Path) -> Path:
    """Pacemaker's YAML of an expansion for copper, not coupled yet: every invariant within the limits, numbers at random."""
    rng = np.random.default_rng(5)
    base, most_n, most_l = LIMITS[1][0], max(n for k, (n, _) in LIMITS.items() if k > 1), max(l for _, l in LIMITS.values())
    radial = np.round(rng.normal(0, 0.3, (most_n, most_l + 1, base)), 6).tolist()
    lines = [
        "global: {DeltaSplineBins: 0.001}", "species:", "  - speciesblock: Cu", "    ndensityi: 2",
        "    npoti: FinnisSinclairShiftedScaled", "    parameters: [1, 1, 1, 0.5]", "    rho_core_cut: 100000", "    drho_core_cut: 250",
        f"    nradmaxi: {most_n}", f"    lmaxi: {most_l}", "    rcutij: 6.5", "    dcutij: 0.01", "    NameOfCutoffFunctionij: cos",
        f"    nradbaseij: {base}", "    radbase: ChebExpCos", "    radparameters: [5.25]", f"    radcoefficients: {radial}",
        "    core-repulsion: [0, 5]", "    nbody:",
    ]  # fmt: skip
    for ns, ls, between in invariants():
        c = np.round(rng.normal(0, 0.1 / 8 ** (len(ns) - 1), 2), 9).tolist()
        kinds = " ".join(["Cu"] * (len(ns) + 1))
        lines.append(f"      - {{type: {kinds}, nr: {list(ns)}, nl: {list(ls)}, lint: {list(between)}, c: {c}}}")
    path.write_text("\n".join(lines) + "\n")
    return path


def invariants() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """(n, l, l between): products of one to five factors, coupled two by two to l that pair off, each step of even parity."""
    for k, (most_n, most_l) in LIMITS.items():
        for pick in combinations_with_replacement(list(product(range(1, most_n + 1), range(most_l + 1))), k):
            ns, ls = zip(*pick, strict=True)
            if k == 1 or (k == 2 and ls[0] == ls[1]):
                yield ns, ls, ()
            elif k == 3 and ls[2] in coupled(*ls[:2]):
                yield ns, ls, (ls[2],)
            elif k > 3:
                for a, b in product(coupled(*ls[:2]), coupled(*ls[2:4])):
                    if (k == 4 and a == b) or (k == 5 and ls[4] in coupled(a, b)):
                        yield ns, ls, (a, b, *ls[4:])


def coupled(a: int, b: int) -> range:
    return range(abs(a - b), a + b + 1, 2)


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", help="expansions: .yace, or pacemaker's .yaml, instead of the one made up")
    arguments.add_argument("--pace", required=True, help="the sources of lammps-user-pace, built there")
    arguments.add_argument("--lattice", type=float, default=3.61, help="Å, of the face-centered cubic crystal of 500 atoms")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/pace.jsonl")
    arguments.add_argument("--seconds", type=float, default=15.0, help="of the clock, for each row")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
        duel.Worker(sys.executable, __file__, "--as", "peer") as theirs,
    ):
        library = built(str(Path(chosen.pace).absolute()), folder)
        for given in [Path(f).absolute() for f in chosen.files] or [made(Path(folder) / "copper.yaml")]:
            model = given
            if given.suffix != ".yace":
                model = Path(folder) / f"{given.stem}.yace"
                loaded(library).convert(str(given).encode(), str(model).encode())
            for precision, tolerances in TOLERANCES.items():
                for evaluator in EVALUATORS:
                    turn = {
                        "model": str(model),
                        "precision": precision,
                        "evaluator": evaluator,
                        "library": library,
                        "a": chosen.lattice,
                    }
                    row = {f"{given.name}, 500 atoms, {precision} beside {evaluator}": turn}
                    for result in duel.duel(
                        row, ours=mine, peer=theirs, agree=duel.agreement(tolerances), seconds=chosen.seconds
                    ):
                        print(result.line(500, "µs/atom", 1e6), dict(result.differences), flush=True)
                        lines.append({**result.record(), "evaluator": evaluator, **rows.circumstances(chosen.machine)})
    if chosen.keep:
        print(rows.append("pace.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        duel.serve({"ours": ours, "peer": peer}[sys.argv[2]])
    else:
        main()
