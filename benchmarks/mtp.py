"""A moment tensor potential beside motep's, in C: energy, forces and stress of 512 silicon atoms through ASE, one core.

    python benchmarks/mtp.py FILE --peer /path/to/environment/bin/python                  # print
    python benchmarks/mtp.py FILE --peer ... --keep --machine "one core of ..."           # and append to results/mtp.jsonl

The peer's environment holds motep 0.2. FILE is a trained potential of silicon (.mtp, .mtp.xz), such as that of Zuo et al., J. Phys.
Chem. A 124, 731 (2020); both sides read it and are one function of it, which is asserted in float64 to 1e-9 eV/atom and 1e-8 eV/Å, and
in float32, as it is timed beside, to 1e-5 and 5e-4. Positions move by 0.001 Å between calls, and each side keeps its neighbors as it
does by default (within skins of 0.3 and 0.5 Å). motep computes in double precision whatever ours does.
"""

from __future__ import annotations

import argparse
import lzma
import sys
import tempfile
from pathlib import Path
from typing import Any

import duel
import structures
from ase_calls import through_ase

EXACT = {"energy": 1e-9, "forces": 1e-8, "stress": 1e-9}  # eV/atom, eV/Å, eV/Å³
TOLERANCES = {"float64": EXACT, "float32": {"energy": 1e-5, "forces": 5e-4, "stress": 1e-5}}


def peer(file: str, precision: str = "float64") -> tuple:
    """Runs in motep's environment."""
    from motep.calculator import MTP
    from motep.io.mlip.mtp import read_mtp

    data = read_mtp(file)
    data.species = [14]
    return through_ase(MTP(data, engine="cext"), structures.silicon())


def ours(file: str, precision: str = "float64") -> tuple:
    import torch

    import adiabat as ad

    torch.set_num_threads(1)
    return through_ase(ad.import_model(file, elements=["Si"]).to(getattr(torch, precision)).calculator(), structures.silicon())


def unpacked(file: Path, folder: Path) -> Path:
    """The same, readable by both."""
    if file.suffix != ".xz":
        return file.absolute()
    (folder / file.stem).write_bytes(lzma.decompress(file.read_bytes()))
    return folder / file.stem


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("file", help="a potential of silicon, .mtp")
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with motep 0.2")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/mtp.jsonl")
    arguments.add_argument("--seconds", type=float, default=20.0, help="of the clock, for each precision")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
        duel.Worker(chosen.peer, __file__, "--as", "peer") as theirs,
    ):
        file = unpacked(Path(chosen.file), Path(folder))
        for precision, tolerances in TOLERANCES.items():
            row = {f"MTP, 512 Si, {precision}": {"file": str(file), "precision": precision}}
            for result in duel.duel(row, ours=mine, peer=theirs, agree=duel.agreement(tolerances), seconds=chosen.seconds):
                print(result.line(512, "µs/atom", 1e6), dict(result.differences), flush=True)
                lines.append(
                    {
                        **result.record(),
                        "peer_versions": theirs.versions("motep", "numpy"),
                        **rows.circumstances(chosen.machine),
                    }
                )
    if chosen.keep:
        print(rows.append("mtp.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
