"""One set, one level of theory, one state: levels, offsets between parts of the set, charge and spin."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from adiabat.data.gate.finding import Finding, Set, finding

FEW = 8  # frames of one composition, below which a gap says nothing
OFFSET = (0.05, 0.5)  # eV an atom between two clouds of energies: warning, fault
CLEAR = (3.0, 8.0)  # times the width of the wider cloud
MELTED = 1.0  # eV an atom: heat makes no larger difference, and where it makes one the forces are larger, too
HOTTER = 1.5  # times as large


def levels(given: Set) -> list[Finding]:
    """One set, one level of theory."""
    of: dict[str, list[int]] = defaultdict(list)
    for k, level in enumerate(given.levels):
        of[level].append(k)
    if len(of) < 2:
        return []
    told = ", ".join(f"{name} ({len(ks)})" for name, ks in of.items())
    grade = "warning" if len(of) == 2 and "not stated" in of else "fault"
    rare = sorted(k for ks in of.values() if ks is not max(of.values(), key=len) for k in ks)
    return finding(
        "mixed levels of theory", grade, rare, "{n} {differ|differs} from the rest: " + told, "keep one level, with select()"
    )


def offsets(given: Set) -> list[Finding]:
    """Energies of one composition in two narrow clouds far apart: two references, functionals or pseudopotentials."""
    of: dict[bytes, list[int]] = defaultdict(list)
    for place, k in enumerate(given.residuals.frames):
        of[given.formulas[k]].append(place)
    found: dict[str, list[int]] = {"fault": [], "warning": []}
    largest = 0.0
    for places in of.values():
        if len(places) < FEW:
            continue
        order = np.array(places)[np.argsort(given.residuals.values[places])]
        values = given.residuals.values[order]
        at = int(np.argmax(np.diff(values))) + 1
        gap = float(values[at] - values[at - 1])
        if min(at, len(values) - at) < 3:
            continue  # one or two alone are outliers, not a second level
        width = max(values[at - 1] - values[0], values[-1] - values[at])
        for grade, least, clear in zip(("fault", "warning"), OFFSET[::-1], CLEAR[::-1]):
            if gap > least and gap > clear * width:
                side = order[:at] if at < len(order) - at else order[at:]
                if gap < MELTED and _forces(given, order[at:]) > HOTTER * _forces(given, order[:at]):
                    grade = "warning"
                found[grade] += [int(given.residuals.frames[p]) for p in side]
                largest = max(largest, gap)
                break
    message = f"the energies of {{n}} lie apart from those of the same composition, by up to {largest:.3g} eV an atom"
    cure = "see whether they are of another level of theory, reference or unit, or only hotter; keep one level"
    return [f for grade in found for f in finding("energy offset", grade, sorted(found[grade]), message, cure, largest)]


def _forces(given: Set, places: np.ndarray) -> float:
    """Root mean square, eV/Å; 0 where there are none."""
    known = [given.labels[given.residuals.frames[p]].get("forces") for p in places]
    squares = [np.square(np.asarray(forces, float)).ravel() for forces in known if forces is not None]
    return float(np.sqrt(np.mean(np.concatenate(squares)))) if squares else 0.0


def states(given: Set) -> list[Finding]:
    """Charge and multiplicity: possible with the electrons there are, and the same for one composition."""
    impossible: list[int] = []
    stated: dict[bytes, dict[tuple, list[int]]] = defaultdict(lambda: defaultdict(list))
    for k, atoms in enumerate(given.frames):
        charge, spin = atoms.info.get("charge"), atoms.info.get("multiplicity")
        if charge is None and spin is None:
            continue
        try:
            electrons = int(atoms.numbers.sum()) - float(charge or 0)
            wrong = abs(electrons - round(electrons)) > 1e-6 or electrons < 0
            wrong |= spin is not None and (int(spin) < 1 or (round(electrons) + int(spin)) % 2 == 0)
        except (TypeError, ValueError):
            wrong = True
        if wrong:
            impossible.append(k)
    for k, atoms in enumerate(given.frames):
        state = (float(atoms.info.get("charge") or 0), atoms.info.get("multiplicity"))
        stated[given.formulas[k]][state].append(k)
    rare = sorted(
        k for of in stated.values() if _differ(of)
        for ks in of.values() if ks is not max(of.values(), key=len) for k in ks
    )  # fmt: skip
    return finding(
        "impossible state", "fault", impossible, "{n} {state|states} a charge or multiplicity {their|its} electrons cannot have",
        "an even number of electrons has an odd multiplicity; correct info['charge'] or info['multiplicity']",
    ) + finding(
        "mixed states", "warning", [k for k in rare if k not in set(impossible)],
        "{n} {have|has} another charge or multiplicity than most frames of {their|its} composition",
        "one potential energy surface a state: keep one, or train a family that declares total charge",
    )  # fmt: skip


def _differ(of) -> bool:
    charges, spins = {c for c, _ in of}, {s for _, s in of if s is not None}
    return len(charges) > 1 or len(spins) > 1
