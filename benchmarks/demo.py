"""The demo, measured: runs `adiabat demo` in a temporary folder and appends one line to results/demo.jsonl.

python benchmarks/demo.py --machine "2 cores of a shared x86-64 server"
python benchmarks/demo.py --from runs/water       # a run that is there already
python benchmarks/demo.py --table                 # the newest line as the Markdown table of README and docs
python benchmarks/demo.py --write                 # put that table into README.md and docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import rows

FILE = "demo.jsonl"
REPOSITORY = rows.HERE.parent
PAGES = ("README.md", "docs/performance.md")
PLACE = re.compile(r"(<!-- benchmarks/demo.py --write: begin -->\n).*?(<!-- end -->)", re.DOTALL)


def measured(run: Path, machine: str | None) -> dict[str, Any]:
    """The line of a run that has just finished here."""
    sections = json.loads((run / "report.json").read_text(encoding="utf-8"))["sections"]
    return {
        "name": "demo",
        **rows.circumstances(machine),
        "versions": sections["versions"]["software"],
        "level_of_theory": sections["settings"]["level_of_theory"],
        "summary": json.loads((run / "summary.json").read_text(encoding="utf-8")),
        "verdicts": sections["verdicts"]["verdicts"],
        "stages_s": {stage["name"]: stage["wall_s"] for stage in sections["time_budget"]["stages"]},
    }


def remembered(run: Path, machine: str | None) -> dict[str, Any]:
    """The line of an earlier run: of the day it ended, and of a commit nobody wrote down."""
    ended = date.fromtimestamp((run / "summary.json").stat().st_mtime).isoformat()
    return {**measured(run, machine), "date": ended, "commit": None}


def table(line: dict[str, Any]) -> str:
    """What a reader wants to know of it, with what was aimed at."""
    s, stages = line["summary"], line["stages_s"]
    more = {v["name"]: v for v in line["verdicts"]}
    size, frequency = more["Effective sample size"], more["Largest frequency difference"]
    drift, error = s["nve_drift_meV_per_atom_per_ns"], s["nve_drift_error_meV_per_atom_per_ns"]
    time = ", ".join(f"{name} {seconds:.0f}" for name, seconds in stages.items() if seconds >= 1)
    lines = [
        ("", "measured", "aim"),
        ("---", "---", "---"),
        ("labels for training", f"{s['labels']}", f"≤ {more['Labels']['target']:g}"),
        ("energy, mean absolute error on the test set", f"{s['energy_mae_meV_per_atom']:.2g} meV/atom", "≤ 0.2"),
        ("forces, mean absolute error on the test set", f"{s['force_mae_meV_per_A']:.2g} meV/Å", "≤ 10"),
        ("energy drift, NVE, 16 × 10 ps", f"{drift:.2g} ± {error:.1g} meV/atom/ns", "< 1"),
        ("largest difference of a vibration's wavenumber", f"{frequency['value']:.2g} cm⁻¹", ""),
        ("effective sample size after reweighting", size["note"].replace("of ", f"{size['value']:.1f} of ", 1), f"≥ {size['target']:g}"),
        ("wall clock", f"{s['wall_s']:.0f} s ({time})", f"≤ {more['Time']['target']:g} s"),
    ]  # fmt: skip
    v = line["versions"]
    named = ", ".join(
        f"{name} {v[key]}" for name, key in (("Python", "python"), ("torch", "torch"), ("PySCF", "pyscf"), ("tblite", "tblite"))
    )
    head = f"{line['machine'][0].upper()}{line['machine'][1:]}, {line['date']}; Adiabat {v['adiabat']}, {named}; {line['level_of_theory']}:"
    body = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{head}\n\n{body}\n"


def write(text: str) -> list[str]:
    """Put the table where the pages keep a place for it; returns the pages that changed."""
    changed = []
    for name in PAGES:
        page = REPOSITORY / name
        old = page.read_text(encoding="utf-8")
        new, places = PLACE.subn(lambda m: f"{m[1]}{text}{m[2]}", old)
        if places != 1:
            raise SystemExit(f"{name}: {places} places for the table came, wanted one; see PLACE in benchmarks/demo.py")
        if new != old:
            page.write_text(new, encoding="utf-8")
            changed.append(name)
    return changed


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--machine", help="the machine in words")
    arguments.add_argument("--from", dest="run", type=Path, help="take a finished run folder instead of running the demo")
    arguments.add_argument("--table", action="store_true", help="print the newest line as a table; measure nothing")
    arguments.add_argument("--write", action="store_true", help="put the newest line's table into the pages; measure nothing")
    chosen = arguments.parse_args()
    if chosen.table or chosen.write:
        text = table(rows.read(FILE)[-1])
        print(text if chosen.table else f"changed: {', '.join(write(text)) or 'nothing'}")
    elif chosen.run:
        print(rows.append(FILE, [remembered(chosen.run, chosen.machine)]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "water"
            subprocess.run([sys.executable, "-m", "adiabat", "demo", "--out", str(run)], check=True)
            print(rows.append(FILE, [measured(run, chosen.machine)]))


if __name__ == "__main__":
    main()
