"""Frames that stand far outside the rest, in energy or in force."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from adiabat.data.gate.finding import Finding, Set, finding

ENERGY = (12.0, 0.05)  # times the scatter of the same composition, and eV an atom at least
FORCE = (8.0, 10.0)  # times the median of the frames' largest forces, and eV/Å at least
HUGE = 50.0  # eV/Å: no thermal frame has it
ENOUGH = 12
MANY = 0.05  # of a composition's frames: more are a kind of their own


def energies(given: Set) -> list[Finding]:
    """Energies far from those of the same composition; many of them are a second kind, which is no fault of theirs."""
    rest, bad, worst = given.residuals, [], 0.0
    of: dict[bytes, list[int]] = defaultdict(list)
    for place, k in enumerate(rest.frames):
        of[given.formulas[k]].append(place)
    for places in of.values():
        if len(places) < ENOUGH:
            continue
        off = np.abs(rest.values[places] - np.median(rest.values[places]))
        limit = max(ENERGY[0] * 1.4826 * float(np.median(off)), ENERGY[1])
        far = [int(rest.frames[p]) for p, x in zip(places, off) if x > limit]
        if far and len(far) <= max(1, MANY * len(places)):
            bad += far
            worst = max(worst, float(off.max()))
    message = f"{{n}} {{lie|lies}} far from the energies of {{their|its}} composition, by up to {worst:.3g} eV an atom"
    cure = "look at them: a broken structure, another electronic state, or a slipped label"
    return finding("energy outliers", "warning", sorted(bad), message, cure, worst)


def forces(given: Set) -> list[Finding]:
    """Largest forces far above those of the other frames, or beyond what any thermal frame has."""
    largest = given.largest_force
    if not largest:
        return []
    limit = min(max(FORCE[0] * float(np.median(list(largest.values()))), FORCE[1]), HUGE)
    bad = [k for k, value in largest.items() if value > limit] if len(largest) >= ENOUGH else []
    bad = bad or [k for k, value in largest.items() if value > HUGE]
    worst = max((largest[k] for k in bad), default=0.0)
    message = f"{{n}} {{have|has}} forces up to {worst:.3g} eV/Å, wanted below {limit:.3g} beside the others"
    cure = "leave them out, unless such compression is meant to be learned; a weight a frame keeps them from ruling the fit"
    return finding("force outliers", "warning", bad, message, cure, worst)
