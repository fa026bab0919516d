"""Numbers of LAMMPS's pair styles eam, eam/alloy and eam/fs for made-up tables; `make golden-eam` runs it where LAMMPS is.

python make_eam.py OUT.json            (needs: lammps, ase, numpy)
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from made_up import COARSE, tables
from make_snap import answers, head


def main(out: str) -> None:
    cases = []
    for name in ("x.eam", "x.eam.alloy", "x.eam.fs"):
        text = tables(name, **COARSE)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_text(text)
            style, elements = {"x.eam": ("eam", ""), "x.eam.alloy": ("eam/alloy", "Ta W"), "x.eam.fs": ("eam/fs", "Ta W")}[name]
            commands = [f"pair_style {style}", f"pair_coeff * * {folder}/{name} {elements}".rstrip()]
            cases.append({"file": name, "answers": answers(commands, only="Ta" if style == "eam" else None)})
    Path(out).write_text(json.dumps({**head(), "cases": cases}) + "\n")
    assert np.isfinite([a["energy"] for c in cases for a in c["answers"].values()]).all()


if __name__ == "__main__":
    main(sys.argv[1])
