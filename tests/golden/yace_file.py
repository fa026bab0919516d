"""Made-up atomic cluster expansions of two elements in pacemaker's `.yace`: every radial basis, both embeddings, repulsion of both kinds.

| case | radial functions | embedding | core |
|---|---|---|---|
| 0 | ChebExpCos | one linear density | density: repulsion, and the expansion fades where it is strong |
| 1 | ChebPow and SBessel, by pair, each its own cutoff | two densities, shifted and scaled, powers 1 and ½ | distance |
| 2 | ChebLinear and ChebExpCos | two densities, Finnis–Sinclair, powers 1 and 0.8; another of three | density |
"""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from pathlib import Path

import numpy as np

ELEMENTS = ("Si", "O")  # not in our order, which is by atomic number
CASES = range(3)
N_BASE, N_MAX, L_MAX = 4, 2, 2


def numbers(count: int, seed: int) -> list[float]:
    """Between −1 and 1, the same everywhere."""
    return (np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * (seed + 1)) ** 3).tolist()


def functions(z: int, densities: int, seed: int) -> list[str]:
    """Products of one to four factors; components with Σ m = 0."""
    kinds = [((mu,), (n,), (0,)) for mu in (0, 1) for n in range(1, N_BASE + 1)]
    slots = list(product((0, 1), range(1, N_MAX + 1), range(L_MAX + 1)))
    for rank, every in ((2, 3), (3, 37), (4, 401)):
        some = [pick for pick in combinations_with_replacement(slots, rank) if sum(s[2] for s in pick) % 2 == 0][::every]
        kinds += [tuple(zip(*pick)) for pick in some]
    lines = []
    for k, (mus, ns, ls) in enumerate(kinds):
        ms = [m for m in product(*(range(-l, l + 1) for l in ls)) if sum(m) == 0]
        size = 0.3 / 8 ** (len(mus) - 1)
        c = [size * x for x in numbers(len(ms) * densities, 101 * seed + 13 * k + z)]
        lines.append(
            f"    - {{mu0: {z}, rank: {len(mus)}, ndensity: {densities}, num_ms_combs: {len(ms)}, mus: {list(mus)}, ns: {list(ns)}, "
            f"ls: {list(ls)}, ms_combs: {[x for m in ms for x in m]}, ctildes: {c}}}"
        )
    return lines


def write(path: Path, case: int) -> Path:
    densities = (1, 2, 2)[case]
    per_element = [densities, 3 if case == 2 else densities]
    text = [f"elements: [{', '.join(ELEMENTS)}]", "E0: [-0.3, 1.7]", "deltaSplineBins: 0.0002", "embeddings:"]
    for z, n in enumerate(per_element):
        parameters = {0: [1.0, 1.0], 1: [1.0, 1.0, 0.7, 0.5], 2: [1.0, 1.0, 0.4, 0.8, -0.5, 1.3][: 2 * n]}[case]
        kind = "FinnisSinclairShiftedScaled" if case == 1 else "FinnisSinclair"
        core = {0: (3.0, 2.9), 1: (100.0, 20.0), 2: (100000.0, 250.0)}[case]
        text.append(
            f"  {z}: {{ndensity: {n}, FS_parameters: {parameters}, npoti: {kind}, rho_core_cutoff: {core[0]}, drho_core_cutoff: {core[1]}}}"
        )
    text.append("bonds:")
    for a, b in product((0, 1), (0, 1)):
        pair = a + b
        basis = (("ChebExpCos",) * 3, ("ChebPow", "SBessel", "ChebPow"), ("ChebLinear", "ChebExpCos", "ChebExpCos"))[case][pair]
        radial = np.array(numbers(N_MAX * (L_MAX + 1) * N_BASE, 7 * case + pair)).reshape(N_MAX, L_MAX + 1, N_BASE).tolist()
        cut = (4.2, 3.9, 3.6)[pair] if case else 4.2
        repulsion = (8.0, 0.6) if case == 0 else (30.0, 1.1) if case == 1 else (0.0, 1.0)
        inner = f", rcut_in: {1.5 + 0.1 * pair}, dcut_in: 0.4, inner_cutoff_type: distance" if case == 1 else ""
        text.append(
            f"  [{a}, {b}]: {{nradmax: {N_MAX}, lmax: {L_MAX}, nradbasemax: {N_BASE}, radbasename: {basis}, "
            f"radparameters: [{(4.5, 5.25, 3.0)[pair]}], radcoefficients: {radial}, prehc: {repulsion[0]}, lambdahc: {repulsion[1]}, "
            f"rcut: {cut}, dcut: {0.3 if case == 2 else 0.01}{inner}}}"
        )
    text.append("functions:")
    for z, n in enumerate(per_element):
        text += [f"  {z}:", *functions(z, n, case)]
    path.write_text("\n".join(text) + "\n")
    return path
