"""A Behler–Parrinello network of 50 symmetry functions beside torchani's, with its cell list: energy and forces of 512 silicon atoms.

    python benchmarks/bpnn.py --peer /path/to/environment/bin/python                  # print
    python benchmarks/bpnn.py --peer ... --keep --machine "one core of ..."           # and append to results/bpnn.jsonl

The peer's environment holds torchani 2.9 and torch. These are *not* the same function, and no equality can be asserted: torchani is the
fastest network of this kind that installs everywhere, and stands as a yardstick. Its side: an ANI-2x-like network for one element (sulfur,
with silicon's positions: it knows no silicon), 16 radial functions within 5.1 Å and 32 angular ones within 3.5 Å, found by its cell
list. Ours: 26 radial and 24 angular functions, both within 5.0 Å, so that an atom has 378 pairs of neighbors, not 6; two layers of
32. Both find neighbors and count them: torchani anew at every call, ours as it does by default (a skin of 0.5 Å); positions move by
0.001 Å between calls. What can be asserted is that each side's forces are the derivative of its energy: along a random direction, to 1 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import duel
import numpy as np
import structures

ROW = "BPNN, 512 Si: energy and forces (torchani: another function)"


def peer() -> tuple:
    """Runs in torchani's environment."""
    import torch
    from torchani.arch import simple_ani

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = simple_ani(
        ("S",), lot="", ensemble_size=1, cutoff_fn="cosine", radial_start=0.8, angular_start=0.8, radial_cutoff=5.1,
        angular_cutoff=3.5, repulsion=False, self_energies="zero", container_ctor="like_2x", activation="celu", bias=True,
        strategy="auto", neighborlist="cell_list",
    ).float()  # fmt: skip
    return _calls(model.ase(), "S")


def ours() -> tuple:
    import torch

    from adiabat.models import BPNN
    from adiabat.potential import Potential

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = BPNN(cutoff=5.0, elements=["Si"], radial=26, angular=4, zetas=[1.0, 4.0, 16.0], hidden=[32, 32])
    assert model.descriptor.size == 50
    return _calls(Potential(model).float().calculator(), "Si")


def _calls(calculator: Any, symbol: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(what is timed, what is compared)."""
    from ase.calculators.calculator import all_changes

    atoms = structures.silicon(512)
    atoms.symbols[:] = symbol
    rest, rng = atoms.positions.copy(), np.random.default_rng(7)
    known = False

    def energy_and_forces(positions: Any) -> dict[str, Any]:
        nonlocal known
        atoms.positions = positions
        # ASE's bookkeeping is left out: both calculators are told what has changed.
        calculator.calculate(atoms, ["energy", "forces"], ["positions"] if known else list(all_changes))
        known = True
        return calculator.results

    def values() -> dict[str, float]:
        direction = rng.normal(size=rest.shape)
        step = 2e-3 * direction
        ahead, behind = (float(np.ravel(energy_and_forces(rest + s * step)["energy"])[0]) for s in (1, -1))
        slope = float((np.asarray(energy_and_forces(rest)["forces"]) * direction).sum())
        return {"difference": (behind - ahead) / 4e-3, "slope": slope}

    return lambda: energy_and_forces(rest + rng.normal(0, 1e-3, rest.shape)), values


def agree(row: str, ours: Any, peer: Any) -> dict[str, float]:
    """Each side's forces are the derivative of its own energy; the two sides are not compared."""
    found = {}
    for who, told in (("ours", ours), ("peer", peer)):
        found[who] = abs(told["difference"] / told["slope"] - 1)
        assert found[who] < 0.01, (
            f"{row}: {who}: the energy changes by {told['difference']:.4g}, forces say {told['slope']:.4g}"
        )
    return found


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with torchani 2.9")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/bpnn.jsonl")
    arguments.add_argument("--seconds", type=float, default=20.0, help="of the clock, for each allocator")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines = []
    for allocator, environment in duel.ALLOCATORS.items():
        with (
            duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
            duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs,
        ):
            for result in duel.duel({ROW: {}}, ours=mine, peer=theirs, agree=agree, seconds=chosen.seconds):
                print(f"[{allocator} allocator] {result.line(512, 'µs/atom', 1e6)}", dict(result.differences), flush=True)
                lines.append(
                    {**result.record(), "allocator_of_peer": allocator, "same_function": False,
                     "peer_versions": theirs.versions("torchani", "torch"), **rows.circumstances(chosen.machine)}
                )  # fmt: skip
    if chosen.keep:
        print(rows.append("bpnn.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
