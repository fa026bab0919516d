"""The data gate: what is wrong with a set, found before anything is trained on it.

Each check looks at one thing and returns findings: where, what came, what was wanted, what to do. A *fault* would make
physics wrong in silence; a *warning* may be meant so; a *note* is worth knowing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from ase import Atoms

from adiabat.data.composition import is_isolated, reference_energies
from adiabat.data.geometry import closest_pair
from adiabat.data.scale import scale_checks
from adiabat.data.split import equivalent
from adiabat.data.structure import LABELS, content_hash, labels
from adiabat.elements import symbol

NEAR = 0.5  # of the sum of covalent radii
OVERLAP = 0.1
MEAN_FORCE = (2e-3, 5e-2)  # eV/Å an atom: warning, fault
SAME_ENERGY, SAME_FORCE = 1e-4, 5e-3  # eV/atom, eV/Å: labels of one structure may differ by this


@dataclass(frozen=True)
class Finding:
    """One thing found, in the words of `adiabat check --json`; `value` is its number, in the unit the message names."""

    name: str
    grade: Literal["fault", "warning", "note"]
    frames: list[int]
    message: str
    cure: str
    value: float | None = None

    def __str__(self) -> str:
        return f"{self.grade}: {self.name}: {self.message}; {self.cure}"


@dataclass(frozen=True)
class Set:
    """The frames with their labels, read once for all checks."""

    frames: Sequence[Atoms]
    labels: list[dict[str, Any]]
    isolated: Mapping[int, float] = field(default_factory=dict)


def check(frames: Sequence[Atoms], isolated: Mapping[int, float] | Sequence[Atoms] | None = None) -> list[Finding]:
    """All findings, the gravest first. `isolated` gives energies of isolated atoms by number, or labeled single atoms.

    >>> from adiabat.data.structure import labeled
    >>> h2 = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    >>> print(check([labeled(h2, energy=-31.7, forces=np.ones((2, 3)))])[0].message)
    the forces of 1 frame do not sum to zero: up to 1.73 eV/Å an atom, wanted below 0.002
    """
    if not len(frames):
        return [Finding("no frames", "fault", [], "the set is empty, wanted at least one labeled frame", "read or label some")]
    if isolated is not None and not isinstance(isolated, Mapping):
        isolated = {int(a.numbers[0]): labels(a)["energy"] for a in isolated}
    known: list[dict[str, Any]] = []
    stale = []
    for k, atoms in enumerate(frames):
        try:
            known.append(labels(atoms))
        except ValueError:
            known.append({})
            stale.append(k)
    found = _finding(
        "stale labels", "fault", stale, "labels of {n} belong to other positions than they have now", "label them again"
    )
    whole = finite(Set(frames, known))
    found += whole
    if not any(f.grade == "fault" for f in whole):
        given = Set(frames, known, dict(isolated or {}))
        for one in CHECKS:
            found += one(given)
    return sorted(found, key=lambda f: ("fault", "warning", "note").index(f.grade))


def finite(given: Set) -> list[Finding]:
    """Nothing is NaN or infinite, and every label has its shape; the other checks rely on it."""
    bad, shapes = [], []
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if not all(np.isfinite(v).all() for v in (atoms.positions, atoms.cell.array, *known.values())):
            bad.append(k)
        wanted = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}
        if any(np.shape(value) != wanted[name] for name, value in known.items()):
            shapes.append(k)
    return _finding(
        "not finite", "fault", bad, "{n} hold NaN or infinite positions, cell or labels", "leave them out"
    ) + _finding("shape", "fault", shapes, "{n} have labels of the wrong shape", "wanted one energy, forces (N, 3), stress (6)")


def missing(given: Set) -> list[Finding]:
    """Labels counted by property."""
    found = []
    for name in LABELS:
        without = [
            k
            for k, known in enumerate(given.labels)
            if name not in known and (name != "stress" or given.frames[k].pbc.all()) and not is_isolated(given.frames[k])
        ]
        possible = [k for k, a in enumerate(given.frames) if (name != "stress" or a.pbc.all()) and not is_isolated(a)]
        if not without:
            continue
        every = len(without) == len(possible)
        grade = "fault" if every and name == "energy" else "note" if every or name == "stress" else "warning"
        found += _finding(
            f"missing {name}",
            grade,
            without,
            "{n} of " + f"{len(possible)} have no {name}",
            f"label them, or train without {name}",
        )
    return found


def unconverged(given: Set) -> list[Finding]:
    """Labels that say themselves that they are not converged."""
    bad = [
        k
        for k, a in enumerate(given.frames)
        if (a.info.get("adiabat") or {}).get("converged", a.info.get("converged")) is False
    ]
    return _finding("unconverged", "fault", bad, "{n} say they are not converged", "label them again or leave them out")


def records(given: Set) -> list[Finding]:
    """A settings record that belongs to the labels it stands beside: a copied frame keeps it, whoever computes it anew."""
    bad = []
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        told = (atoms.info.get("adiabat") or {}).get("energy")
        if told is not None and "energy" in known and not np.isclose(told, known["energy"], rtol=1e-9, atol=1e-6):
            bad.append(k)
    message = "{n} carry the settings record of a calculation that gave another energy"
    return _finding("foreign record", "fault", bad, message, "remove info['adiabat'] from copies before computing them anew")


def levels(given: Set) -> list[Finding]:
    """One set, one level of theory."""
    of: dict[str, list[int]] = defaultdict(list)
    for k, atoms in enumerate(given.frames):
        of[str((atoms.info.get("adiabat") or {}).get("level_of_theory") or "not stated")].append(k)
    if len(of) < 2:
        return []
    told = ", ".join(f"{name} ({len(ks)})" for name, ks in of.items())
    grade = "warning" if len(of) == 2 and "not stated" in of else "fault"
    rare = min(of.values(), key=len)
    return _finding("mixed levels of theory", grade, rare, "{n} differ from the rest: " + told, "keep one level, with select()")


def elements(given: Set) -> list[Finding]:
    """Which elements there are; rare ones by name."""
    counts = Counter({symbol(z): n for z, n in Counter(int(z) for a in given.frames for z in a.numbers).items()})
    in_frames = Counter(symbol(int(z)) for a in given.frames for z in set(a.numbers.tolist()))
    told = ", ".join(f"{s}: {counts[s]} atoms in {in_frames[s]} frames" for s in counts)
    found = [Finding("elements", "note", [], told, "nothing to do", float(len(counts)))]
    rare = [s for s in counts if in_frames[s] < 0.01 * len(given.frames) and len(given.frames) >= 100]
    if rare:
        where = [k for k, a in enumerate(given.frames) if set(a.get_chemical_symbols()) & set(rare)]
        found += _finding("rare elements", "note", where, f"{', '.join(rare)} are in {{n}} only", "add frames that hold them")
    return found


def composition(given: Set) -> list[Finding]:
    """Whether the reference energies are determined."""
    frames = [a for a, known in zip(given.frames, given.labels) if "energy" in known]
    if not frames or given.isolated:
        return []
    reference = reference_energies(frames)
    if not reference.undetermined:
        return []
    names = ", ".join(symbol(z) for z in reference.undetermined)
    return [
        Finding(
            "reference energies", "note", [], f"the compositions leave the energies of {names} undetermined",
            "add isolated atoms if atomization energies or other stoichiometries are wanted",
        )
    ]  # fmt: skip


def net_force(given: Set) -> list[Finding]:
    """Forces of one structure sum to zero: translating it costs nothing."""
    means = {
        k: float(np.linalg.norm(known["forces"].sum(axis=0)) / len(known["forces"]))
        for k, known in enumerate(given.labels)
        if "forces" in known
    }
    return _graded(
        "net force",
        means,
        MEAN_FORCE,
        "the forces of {n} do not sum to zero: up to {value:.3g} eV/Å an atom, wanted below {limit:g}",
        "see whether atoms or columns were left out, constraints applied, or the grid is too coarse",
    )


def net_torque(given: Set) -> list[Finding]:
    """Forces of a molecule have no torque: turning it costs nothing."""
    means = {}
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if "forces" in known and not atoms.pbc.any() and len(atoms) > 1:
            r = atoms.positions - atoms.positions.mean(axis=0)
            means[k] = float(
                np.linalg.norm(np.cross(r, known["forces"]).sum(axis=0)) / max(np.linalg.norm(r, axis=1).sum(), 1e-9)
            )
    return _graded(
        "net torque",
        means,
        MEAN_FORCE,
        "the forces of {n} turn the molecule: torque over the sum of arms up to {value:.3g} eV/Å, wanted below {limit:g}",
        "see whether positions and forces are in the same frame of axes and the same order of atoms",
    )


def cells(given: Set) -> list[Finding]:
    """A periodic direction has a cell vector, and the cell a volume."""
    bad = [
        k
        for k, a in enumerate(given.frames)
        if any(p and not length > 0.1 for p, length in zip(a.pbc, a.cell.lengths()))
        or (a.pbc.all() and not a.cell.volume > 0.1)
    ]
    return _finding(
        "cell", "fault", bad, "{n} are periodic along a direction without a cell vector", "set the cell, or pbc=False"
    )


def contacts(given: Set) -> list[Finding]:
    """Atoms nearer than half the sum of their covalent radii, periodic images counted."""
    near = {k: pair.ratio for k, a in enumerate(given.frames) if (pair := closest_pair(a, NEAR)) is not None}
    over = [k for k, ratio in near.items() if ratio < OVERLAP]
    rest = [k for k in near if k not in set(over)]
    least = min(near.values(), default=1.0)
    cure = "leave them out, unless short distances are meant to be learned"
    told = f"wanted at least {NEAR}; the nearest is {least:.2f}"
    return _finding(
        "overlapping atoms",
        "fault",
        over,
        f"{{n}} have atoms below {OVERLAP} of the sum of their covalent radii",
        "leave them out",
    ) + _finding("near contacts", "warning", rest, f"{{n}} have atoms below {NEAR} of the sum of their radii, {told}", cure)


def duplicates(given: Set) -> list[Finding]:
    """One structure twice says nothing new; with other labels, one of them is wrong."""
    first: dict[tuple[str, str], int] = {}
    again: list[int] = []
    against: list[int] = []
    for k, atoms in enumerate(given.frames):
        level = str((atoms.info.get("adiabat") or {}).get("level_of_theory"))
        other = first.setdefault((content_hash(atoms), level), k)
        if other != k:
            (again if _agree(given.labels[other], given.labels[k], len(atoms)) else against).append(k)
    same = {b for _, b in equivalent(given.frames)} - set(again) - set(against)
    return (
        _finding(
            "contradicting labels", "fault", against, "{n} repeat an earlier structure with other labels", "keep the right one"
        )
        + _finding("duplicates", "warning", again, "{n} repeat an earlier structure and its labels", "leave them out")
        + _finding(
            "equivalent structures",
            "note",
            sorted(same),
            "{n} equal another up to rotation, order of atoms or cell",
            "split() keeps them on one side",
        )
    )


def _agree(a: dict[str, Any], b: dict[str, Any], n: int) -> bool:
    if "energy" in a and "energy" in b and abs(a["energy"] - b["energy"]) > SAME_ENERGY * n:
        return False
    return not ("forces" in a and "forces" in b and np.abs(a["forces"] - b["forces"]).max() > SAME_FORCE)


def _finding(name: str, grade, frames: list[int], message: str, cure: str, value: float | None = None) -> list[Finding]:
    """One finding, if any frame has it; {n} in the message becomes '3 frames'."""
    if not frames:
        return []
    n = f"{len(frames)} frame{'s' if len(frames) > 1 else ''}"
    return [Finding(name, grade, list(frames), message.replace("{n}", n), cure, value)]


def _graded(name: str, values: dict[int, float], limits: tuple[float, float], message: str, cure: str) -> list[Finding]:
    """Frames above the second limit are a fault, above the first a warning."""
    found = []
    for grade, low, high in (("fault", limits[1], np.inf), ("warning", limits[0], limits[1])):
        frames = [k for k, value in values.items() if low < value <= high]
        if frames:
            worst = max(values[k] for k in frames)
            found += _finding(name, grade, frames, message.format(n="{n}", value=worst, limit=limits[0]), cure, worst)
    return found


def units(given: Set) -> list[Finding]:
    """Units by magnitude; see `scale`."""
    return [Finding(*told) for told in scale_checks(given.frames, given.labels, given.isolated)]


CHECKS: tuple[Callable[[Set], list[Finding]], ...] = (
    missing, unconverged, records, levels, units, net_force, net_torque, cells, contacts, duplicates, elements, composition,
)  # fmt: skip
