"""What the set speaks of: elements, kinds and their shares, temperatures, energies, and the reference energies they determine."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np

from adiabat.data.composition import is_isolated
from adiabat.data.gate.cutoff import system
from adiabat.data.gate.finding import Finding, Set, finding
from adiabat.elements import symbol

LARGEST, LEAST = 0.75, 0.10  # shares of kinds: above and below both, the small kind is hardly learned
ENOUGH = 20
NARROW = 1e-3  # eV an atom, rms: below a model's own error
LEFT_OVER = 1.0  # eV an atom: a bond's energy; more is no chemistry


def elements(given: Set) -> list[Finding]:
    """Which elements there are; rare ones by name."""
    counts: Counter[int] = Counter()
    places: dict[int, list[int]] = defaultdict(list)
    for k, a in enumerate(given.frames):
        for z, n in zip(*np.unique(a.numbers, return_counts=True)):
            counts[int(z)] += int(n)
            places[int(z)].append(k)
    told = ", ".join(
        f"{symbol(z)}: {n} atom{'s' * (n > 1)} in {len(places[z])} frame{'s' * (len(places[z]) > 1)}" for z, n in counts.items()
    )
    found = [Finding("elements", "note", [], told, "nothing to do", float(len(counts)))]
    rare = [z for z in counts if len(places[z]) < 0.01 * len(given.frames) and len(given.frames) >= 100]
    if rare:
        where = sorted({k for z in rare for k in places[z]})
        message = f"only {{n}} {{hold|holds}} {' or '.join(map(symbol, rare))}"
        found += finding("rare elements", "note", where, message, "add frames that hold them")
    return found


def kinds(given: Set) -> list[Finding]:
    """Shares of the kinds of frames: 80/15/5 trains a potential of the first kind.

    Proposed shares go with √n, which lifts the small kinds and still lets the large one lead: 57, 25 and 18 % become of 10 : 2 : 1.
    """
    of: dict[str, list[int]] = defaultdict(list)
    for k, atoms in enumerate(given.frames):
        if not is_isolated(atoms):
            of[str(atoms.info.get("config_type") or system(atoms))].append(k)
    total = sum(map(len, of.values()))
    if len(of) < 2 or total < ENOUGH:
        return []
    shares = {kind: len(ks) / total for kind, ks in of.items()}
    small = [kind for kind in of if shares[kind] < LEAST]
    if max(shares.values()) < LARGEST or not small:
        return []
    roots = {kind: np.sqrt(len(ks)) for kind, ks in of.items()}
    proposed = {kind: root / sum(roots.values()) for kind, root in roots.items()}
    told, wanted = (", ".join(f"{kind} {100 * x:.0f} %" for kind, x in of.items()) for of in (shares, proposed))
    frames = sorted(k for kind in small for k in of[kind])
    return finding(
        "unbalanced kinds", "warning", frames, f"the kinds are {told}; {{n}} {{are|is}} of the small ones",
        f"add frames or weights toward {wanted}",
        max(shares.values()),
    )  # fmt: skip


def temperatures(given: Set) -> list[Finding]:
    """Frames of one temperature see one shell of the energy; a hotter run leaves it."""
    known = {k: t for k, a in enumerate(given.frames) if (t := temperature(a)) is not None}
    if len(known) < max(ENOUGH, 0.8 * len(given.frames)) or max(known.values()) - min(known.values()) > 1:
        return []
    t = float(np.median(list(known.values())))
    message = f"{{n}} {{are|is}} all of {t:.0f} K"
    return finding(
        "one temperature",
        "warning",
        list(known),
        message,
        f"add frames of a colder and a hotter run, as {t / 2:.0f} and {2 * t:.0f} K",
        t,
    )


def energies(given: Set) -> list[Finding]:
    """How wide the energies are spread within a composition."""
    of: dict[bytes, list[int]] = defaultdict(list)
    for place, k in enumerate(given.residuals.frames):
        of[given.formulas[k]].append(place)
    widths = {key: float(np.std(given.residuals.values[ks])) for key, ks in of.items() if len(ks) >= ENOUGH}
    if not widths or max(widths.values()) > NARROW:
        return []
    frames = sorted(int(given.residuals.frames[p]) for key in widths for p in of[key])
    widest = max(widths.values())
    message = f"the energies of {{n}} spread by only {1e3 * widest:.2g} meV an atom"
    return finding("narrow energies", "warning", frames, message, "add hotter, strained or rattled frames", widest)


def reference(given: Set) -> list[Finding]:
    """Whether the reference energies are determined, and what they leave over."""
    fit = given.reference
    if fit is None or not len(given.residuals.frames):
        return []
    found: list[Finding] = []
    if fit.undetermined and not given.isolated:
        names = ", ".join(symbol(z) for z in fit.undetermined)
        message = f"the compositions leave the energies of {names} undetermined"
        cure = "add isolated atoms if atomization energies or other stoichiometries are wanted"
        found.append(Finding("reference energies", "note", [], message, cure))
    rms = float(np.std(given.residuals.values))  # an offset common to all is binding, when the atoms are isolated ones
    if rms > LEFT_OVER and len(given.residuals.frames) >= ENOUGH:
        message = f"{fit.method} leaves {rms:.3g} eV an atom rms of the energies, wanted below {LEFT_OVER:g}"
        cure = "see whether levels, units or far structures are mixed"
        found.append(Finding("reference-energy fit", "warning", [], message, cure, rms))
    return found


def temperature(atoms) -> float | None:
    """What a frame says of its temperature, K: info entries, or a number before K in its config_type."""
    for name in ("temperature_K", "temperature", "T"):
        if isinstance(atoms.info.get(name), int | float | np.number):
            return float(atoms.info[name])
    told = re.search(r"(\d+(?:\.\d+)?)\s*K(?![A-Za-z])", str(atoms.info.get("config_type", "")))
    return float(told[1]) if told else None
