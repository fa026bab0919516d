"""Made-up potentials in n2p2's folders: together every kind of symmetry function, cutoff, scaling and activation, numbers by a formula.

| case | cutoff_type, inner | scaling | activations | more |
|---|---|---|---|---|
| 0 | 0 hard | none | tanh | |
| 1 | 1 cosine, 0.2 | scale | logistic, softplus | atom_energy, normalize_nodes |
| 2 | 2 tanh³ | center | gaussian, cosine | mean_energy, conv_energy, conv_length, atom_energy |
| … | one each | in turn | in turn | |
| 9 | 6 | none | tanh | asymmetric bumps, one an element: beside others n2p2 gives other values than for one alone |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

ELEMENTS = ("Si", "O")  # not in n2p2's order, which is by atomic number
CASES = range(10)
SCALINGS = (
    (),
    ("scale_symmetry_functions",),
    ("center_symmetry_functions",),
    ("scale_symmetry_functions", "center_symmetry_functions"),
    ("scale_symmetry_functions_sigma",),
)
LETTERS = ("t t l", "s p l", "g c l", "S e l", "t h l", "r p l", "t t t", "p s l", "t g s", "t t l")


def numbers(count: int, seed: int) -> list[float]:
    """Between −1 and 1, the same everywhere."""
    return (np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * (seed + 1)) ** 3).tolist()


def functions(case: int, center: str) -> list[str]:
    """All eleven types for one element; cutoffs from 3.2 to 4.8."""
    if case == 9:
        return [f"symfunction_short {center} {'20 Si 0.9 4.5 p2a' if center == 'O' else '22 O Si 0.8 4.6 90.0 270.0 p3a'}"]
    more = [
        f"2 Si {0.2 + 0.1 * case} 0.4 4.8", "2 O 1.3 1.1 4.2", "2 O 0.9 0.0 3.2", "3 O Si 0.05 -1 1.0 4.2", "3 O O 0.1 1 2.0 4.0 0.3",
        "3 Si Si 0.03 1 4.5 4.8", "9 Si O 0.07 1 1.0 4.2", "9 Si Si 0.2 -1 3.0 3.9 0.8", "12 0.6 0.2 4.4", "13 0.1 0.1 -1 1.0 3.6",
    ]  # fmt: skip
    end = ("p1", "p2", "p3", "p4", "e")[case % 5]
    more += [
        f"20 O -4.1 4.1 {end}", "20 Si 0.9 4.5 p2", f"21 O Si -4.4 4.4 60.0 180.0 {end}", f"22 Si Si -4.3 4.3 -90.0 90.0 {end}",
        "22 O Si 0.8 4.6 90.0 270.0 p3", "22 O O 0.7 4.1 20.0 170.0 p1", f"23 -3.9 3.9 {end}",
        f"24 -4.0 4.0 20.0 140.0 {end}", "25 0.5 4.4 0.0 120.0 p2",
    ]  # fmt: skip
    return [f"symfunction_short {center} {line}" for line in more[:: -1 if center == "Si" else 1]]


def size_of(line: str) -> float:
    """About what a function is, so that networks do not saturate."""
    return {"12": 30.0, "13": 60.0, "20": 10.0, "21": 3.0, "22": 8.0, "23": 100.0, "24": 300.0, "25": 9000.0}.get(
        line.split()[2], 3.0
    )


def write(folder: Path, case: int) -> Path:
    """The folder of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = {s: functions(case, s) for s in ELEMENTS}
    inner = 0.2 if case in (1, 4, 6) else 0.0
    said = [
        "number_of_elements 2", f"elements {' '.join(ELEMENTS)}", f"cutoff_type {case if case < 9 else 6} {inner}", *SCALINGS[case % 5],
        "scale_min_short -0.4", "scale_max_short 0.9", "global_hidden_layers_short 2", "global_nodes_short 5 4",
        f"global_activation_short {LETTERS[case]}", *["normalize_nodes"] * (case in (1, 6)), "epochs 10  # for training only",
    ]  # fmt: skip
    if case in (1, 2):
        said += ["atom_energy Si -0.31", "atom_energy O 1.7"]
    if case in (2, 7):
        said += ["mean_energy -1.25", "conv_energy 3.5", "conv_length 1.9"]
    (folder / "input.nn").write_text("\n".join([*said, *lines["Si"], *lines["O"]]) + "\n")
    scaling = ["# made up"]
    # n2p2 sorts functions by type first
    sizes = {s: [size_of(line) for line in sorted(lines[s], key=lambda line: int(line.split()[2]))] for s in ELEMENTS}
    for e, s in enumerate(("O", "Si")):
        for k, size in enumerate(sizes[s]):
            a, b = (0.5 + 0.4 * x for x in numbers(2, 31 * case + 7 * k + e))
            scaling.append(f"{e + 1} {k + 1} {0.1 * a * size!r} {(1.5 + b) * size!r} {(0.3 + a) * size!r} {(0.5 + b) * size!r}")
    (folder / "scaling.data").write_text("\n".join(scaling) + "\n")
    for z, s in ((8, "O"), (14, "Si")):
        n = len(lines[s])
        values = np.array(numbers((n + 1) * 5 + 6 * 4 + 5, 1000 * case + z)) * (6.0 if "normalize_nodes" in said else 1.0)
        if not any(word.startswith("scale_") for word in SCALINGS[case % 5]):
            values[: 5 * n] /= np.repeat(sizes[s], 5)
        values[: 5 * n] *= 0.3
        (folder / f"weights.{z:03}.data").write_text("\n".join(f"{x!r}" for x in values.tolist()) + "\n")
    return folder
