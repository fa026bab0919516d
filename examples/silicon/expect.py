"""Did the quick profile come out as silicon should? `python expect.py run-quick`; exits 1 with a line for each figure that did not.

The bounds are wide: twenty-odd labels on a coarse grid make a rough potential. They catch a wrong sign, unit, component or cell.
"""

import json
import sys
from pathlib import Path

BOUNDS = {  # quantity → (largest difference of model and engine in percent, the engine's own range)
    "lattice constant": (1.0, (5.40, 5.55)),
    "bulk modulus": (25.0, (75.0, 110.0)),
    "C11": (30.0, (110.0, 200.0)),
    "C12": (60.0, (30.0, 90.0)),
    "C44": (60.0, (40.0, 110.0)),
}

told = json.loads((Path(sys.argv[1]) / "summary.json").read_text())
wrong = []
for name, (percent, (low, high)) in BOUNDS.items():
    row = told["properties"][name]
    line = f"{name}: model {row['model']:.4g} {row['unit']}, engine {row['reference']:.4g}, {row['difference_percent']:+.1f} %"
    print(line)
    if abs(row["difference_percent"]) > percent or not low < row["reference"] < high:
        wrong.append(f"{line}; wanted within {percent:g} % and the engine between {low:g} and {high:g}")
for who, check in told["stress_check"].items():
    difference = check["largest_difference"]["value"]
    print(f"stress against the slope of the energy, {who}: {difference:.2g} GPa")
    if difference > 0.3:
        wrong.append(f"{who}: the stress differs from the energy's slope by {difference:.2g} GPa; wanted below 0.3")
if told["force_mae_meV_per_A"] > 300:
    wrong.append(f"force error {told['force_mae_meV_per_A']:.3g} meV/Å; wanted below 300")
for line in wrong:
    print(f"wrong: {line}", file=sys.stderr)
sys.exit(bool(wrong))
