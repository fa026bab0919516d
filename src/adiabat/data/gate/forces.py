"""Forces of one structure: their sum, their torque, and whether the energy follows them from frame to frame."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from adiabat.data.gate.finding import Finding, Set, finding, graded

# eV/Å an atom: warning, fault. A real-space grid breaks translation (the egg-box); a Gaussian basis does not.
LIMITS = {"grid": (1e-2, 1e-1), "": (2e-3, 5e-2)}
GRIDS = ("gpaw", "cp2k", "siesta", "octopus", "openmx", "conquest")
STRAY = 5e-3  # eV an atom by which a change of energy may miss the work of the forces, whatever the rest does
CLEAR = 10.0  # times the scatter of the other pairs


def net_force(given: Set) -> list[Finding]:
    """Forces of one structure sum to zero: translating it costs nothing."""
    means = {
        k: float(np.linalg.norm(known["forces"].sum(axis=0)) / len(known["forces"]))
        for k, known in enumerate(given.labels)
        if "forces" in known and len(known["forces"])
    }
    message = "the forces of {n} do not sum to zero: up to {value:.3g} eV/Å an atom, wanted below {limit:g}"
    cure = "see whether atoms or columns were left out, constraints applied, or the grid is too coarse"
    return graded("net force", means, {k: limits(given.levels[k]) for k in means}, message, cure)


def net_torque(given: Set) -> list[Finding]:
    """Forces of a molecule have no torque: turning it costs nothing."""
    means = {}
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if "forces" in known and not atoms.pbc.any() and len(atoms) > 1:
            r = atoms.positions - atoms.positions.mean(axis=0)
            torque = np.linalg.norm(np.cross(r, known["forces"]).sum(axis=0))
            means[k] = float(torque / max(np.linalg.norm(r, axis=1).sum(), 1e-9))
    message = "the forces of {n} turn the molecule: torque over the sum of arms up to {value:.3g} eV/Å, wanted below {limit:g}"
    cure = "see whether positions and forces are in the same frame of axes and the same order of atoms"
    return graded("net torque", means, {k: limits(given.levels[k]) for k in means}, message, cure)


def limits(level: str) -> tuple[float, float]:
    """What a sum of forces may be, by the code or kind of grid that a level of theory names."""
    return LIMITS["grid" if any(name in level.lower() for name in GRIDS) else ""]


def jumps(given: Set) -> list[Finding]:
    """F = −∂E/∂R from frame to frame: a frame whose energy or forces do not fit those of all its near frames."""
    w = given.works
    if len(w.work) < 8:
        return []
    off = (w.change - w.work) / w.atoms
    scatter = 1.4826 * float(np.median(np.abs(off - np.median(off))))
    size = np.maximum(np.abs(w.work), np.abs(w.change)) / w.atoms
    bad = (np.abs(off) > max(CLEAR * scatter, STRAY)) & (np.abs(off) > 0.5 * size)
    seen: dict[int, int] = defaultdict(int)
    missed: dict[int, int] = defaultdict(int)
    for (a, b), wrong in zip(w.pairs.tolist(), bad.tolist()):
        for k in (a, b):
            seen[k] += 1
            missed[k] += wrong
    # a wrong frame misses in nearly all its pairs, its sound neighbors only in the one with it
    stray = sorted(k for k in seen if seen[k] >= 2 and missed[k] > 0.7 * seen[k])
    if len(stray) > 0.2 * len(seen):
        return []  # not single frames: units, sign or level, which other checks name
    worst = float(np.abs(off[[any(k in stray for k in pair) for pair in w.pairs.tolist()]]).max()) if stray else 0.0
    message = f"the energy of {{n}} does not follow the forces of near frames, by up to {worst:.3g} eV an atom"
    cure = "label them again: another electronic state, an unconverged calculation or a slipped label"
    return finding("energy jumps", "warning", stray, message, cure, worst)
