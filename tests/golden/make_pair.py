"""Numbers of LAMMPS's pair styles lj/cut, morse, buck, zbl and overlays of them; `make golden-pair` runs it where LAMMPS is.

python make_pair.py OUT.json            (needs: lammps, ase, numpy)
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from made_up import COARSE, tables
from make_snap import answers, head, snap

# Type 1 is Ta, type 2 is W. Cutoffs of their own, pairs that are mixed or given, each way to cut.
INPUTS = {
    "lj/cut": """pair_style lj/cut 4.6
pair_coeff 1 1 0.21 2.3
pair_coeff 2 2 0.34 2.1 4.1
""",
    "lj/cut, shifted": """pair_style lj/cut 4.6
pair_modify shift yes mix arithmetic
pair_coeff * * 0.21 2.3
pair_coeff 2 2 0.34 2.1 4.1
pair_coeff 1 2 0.27 2.25
""",
    "lj/cut, mixed by sixth powers": """pair_style lj/cut 4.6
pair_coeff 1 1 0.21 2.5
pair_coeff 2 2 0.34 2.1 4.1
pair_modify mix sixthpower shift yes
""",
    "morse": """pair_style morse 4.6
pair_coeff 1 1 0.8 1.4 2.8
pair_coeff 1*2 2 0.6 1.6 2.6 4.3
""",
    "morse, shifted": """pair_style morse 4.6
pair_modify shift yes
pair_coeff * * 0.8 1.4 2.8
""",
    "buck": """pair_style buck 4.6
pair_coeff 1 1 1388.0 0.36 175.0
pair_coeff 1 2 940.0 0.38 60.0 4.0
pair_coeff 2 2 500.0 0.4 0.0
""",
    "buck, shifted": """pair_style buck 4.6
pair_coeff * * 1388.0 0.36 175.0
pair_modify shift yes
""",
    "zbl": """pair_style zbl 2.4 4.2
pair_coeff 1 1 73 73
pair_coeff 2 2 74 74
pair_coeff 1 2 73 74
""",
    "zbl and snap": """variable inner index 3.0
pair_style hybrid/overlay &
zbl ${inner} 4.2 snap
pair_coeff 1 1 zbl 73 73
pair_coeff 2 2 zbl 74 74
pair_coeff 1 2 zbl 73 74
pair_coeff * * snap x.snapcoeff x.snapparam Ta W
""",
    "eam/alloy and morse": """pair_style hybrid/overlay eam/alloy morse 3.9
pair_coeff * * eam/alloy x.eam.alloy Ta W
pair_coeff * * morse 0.1 1.4 2.8
""",
}


def main(out: str) -> None:
    cases = {}
    for name, text in INPUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            here = text
            for file, content in {**snap(0, 0), "x.eam.alloy": tables("x.eam.alloy", **COARSE)}.items():
                (Path(folder) / file).write_text(content)
                here = here.replace(f" {file}", f" {folder}/{file}")
            commands = here.replace("&\n", "").strip().splitlines()
            cases[name] = {"file": f"units metal\n{text}", "answers": answers(commands)}
    Path(out).write_text(json.dumps({**head(), "cases": cases}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
