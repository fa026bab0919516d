"""Made-up EAM tables of tantalum and tungsten in LAMMPS's three formats: smooth functions, and different for every pair of elements."""

from __future__ import annotations

import numpy as np

COARSE = {"n_rho": 80, "drho": 0.12, "n": 120, "dr": 0.04, "cutoff": 4.6}  # few points: how a file is interpolated shows
FINE = {"n_rho": 4000, "drho": 0.0024, "n": 4000, "dr": 0.0012, "cutoff": 4.6}
ELEMENTS = {"Ta": (73, 180.9, 2.86), "W": (74, 183.8, 2.74)}


def tables(name: str, *, n_rho: int, drho: float, n: int, dr: float, cutoff: float) -> str:
    d, rho = np.arange(n) * dr, np.arange(n_rho) * drho
    fade = np.where(d < cutoff, (1 - d / cutoff) ** 3, 0.0)

    def embedding(nearest):
        return -1.3 * np.sqrt(rho + 0.3) + 0.02 * nearest * rho

    def density(source, at):
        return (1 + 0.2 * at) * np.exp(-1.4 * (d / source - 1)) * fade

    def pair(a, b):
        return 0.9 * (a * b / 7.5) * np.exp(-3.0 * (d / (0.5 * (a + b)) - 1)) * fade

    def rows(x):
        return "\n".join(" ".join(f"{v:.16e}" for v in x[k : k + 5]) for k in range(0, len(x), 5))

    grid = f"{n_rho} {drho} {n} {dr} {cutoff}"
    if name.endswith(".eam"):
        z, mass, a = ELEMENTS["Ta"]
        charge = np.sqrt(pair(a, a) * d / (27.2 * 0.529))
        parts = ["made up", f"{z} {mass} {a} bcc", grid, rows(embedding(a)), rows(charge), rows(density(a, 0))]
        return "\n".join(parts) + "\n"
    parts = ["made up", "by formulas", "for tests", "2 W Ta", grid]
    names = ["W", "Ta"]
    for e in names:
        z, mass, a = ELEMENTS[e]
        parts += [f"{z} {mass} {a} bcc", rows(embedding(a))]
        parts += [rows(density(a, at)) for at in ((0.0, 0.7) if name.endswith(".fs") else (0.0,))]
    for k, e in enumerate(names):
        parts += [rows(pair(ELEMENTS[e][2], ELEMENTS[f][2]) * d) for f in names[: k + 1]]
    return "\n".join(parts) + "\n"
