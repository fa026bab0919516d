"""Where water.xyz and test.xyz come from: the labels of a finished demo, as plain files.

adiabat demo --out runs/water
python examples/water/make.py runs/water
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ase import Atoms

import adiabat as ad
from adiabat.data.formats import write
from adiabat.data.structure import content_hash, from_json

HERE = Path(__file__).parent
KEPT = ("engine", "version", "level_of_theory", "settings", "converged")  # of a label's record: what it means, not what it cost


def training_frames(run: Path) -> list[Atoms]:
    """What the demo's potential was trained on, in the order in which it was asked for; the isolated atoms first."""
    with ad.Dataset(run / "labels.db") as store:
        return list(store)


def test_frames(run: Path) -> list[Atoms]:
    """The independent test set: structures from its stage, labels from the ledger's results."""
    published = [json.loads(path.read_text()) for path in sorted((run / "results").glob("??/*.json"))]
    labeled = [from_json(p["result"]["atoms"]) for p in published if p.get("kind") == "label"]
    known = {content_hash(atoms): atoms for atoms in labeled}
    found = []
    for record in json.loads((run / "stages/sample-test.json").read_text())["product"]:
        sampled = from_json(record)
        atoms = known[content_hash(sampled)]
        atoms.info["config_type"] = "md " + sampled.info["trajectory"].split(": ", 1)[1]
        found.append(atoms)
    return found


def main(run: Path) -> None:
    for name, frames in (("water.xyz", training_frames(run)), ("test.xyz", test_frames(run))):
        for atoms in frames:
            atoms.info["adiabat"] = {k: atoms.info["adiabat"][k] for k in KEPT}
        print(f"{write(HERE / name, frames, overwrite=True)}: {len(frames)} frames")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
