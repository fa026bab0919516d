"""What is there: every label finite and of its shape, its own and not another frame's, converged, and none missing."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from adiabat.data.composition import is_isolated
from adiabat.data.gate.finding import LEAVE_OUT, Finding, Set, finding, record
from adiabat.data.structure import LABELS, fixed_atoms


def finite(given: Set) -> list[Finding]:
    """Every frame has atoms, nothing is NaN or infinite, and every label has its shape; the other checks rely on it."""
    bad, shapes = [], []
    nothing = [k for k, atoms in enumerate(given.frames) if not len(atoms)]
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if not all(np.isfinite(v).all() for v in (atoms.positions, atoms.cell.array, *known.values())):
            bad.append(k)
        wanted = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}
        if any(np.shape(value) != wanted[name] for name, value in known.items()):
            shapes.append(k)
    return finding(
        "no atoms", "fault", nothing, "{n} {hold|holds} no atoms", "leave them out, and see what wrote them: a cut file, or a failed run", None,
        LEAVE_OUT
    ) + finding(
        "not finite", "fault", bad, "{n} {hold|holds} NaN or infinite positions, cell or labels", "leave them out", None, LEAVE_OUT
    ) + finding(
        "shape", "fault", shapes, "{n} {have|has} labels of the wrong shape", "wanted one energy, forces (N, 3), stress (6)", None, LEAVE_OUT
    )  # fmt: skip


def missing(given: Set) -> list[Finding]:
    """Labels counted by property."""
    found = []
    for name in LABELS:
        possible = [k for k, a in enumerate(given.frames) if (name != "stress" or a.pbc.all()) and not is_isolated(a)]
        without = [k for k in possible if name not in given.labels[k]]
        if not without:
            continue
        every = len(without) == len(possible)
        grade = "fault" if every and name == "energy" else "note" if every or name == "stress" else "warning"
        message, cure = f"{{n}} of {len(possible)} {{have|has}} no {name}", f"label them, or train without {name}"
        found += finding(f"missing {name}", grade, without, message, cure, len(without) / len(possible))
    return found


def unconverged(given: Set) -> list[Finding]:
    """Labels that say themselves that they are not converged."""
    bad = [k for k, a in enumerate(given.frames) if _says_no(record(a).get("converged", a.info.get("converged")))]
    message, cure = "{n} {say|says} {they are|it is} not converged", "label them again or leave them out"
    return finding("unconverged", "fault", bad, message, cure, None, LEAVE_OUT)


def records(given: Set) -> list[Finding]:
    """A settings record that belongs to the labels it stands beside: a copied frame keeps it, whoever computes it anew."""
    bad = []
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        told = record(atoms).get("energy")
        if told is not None and "energy" in known and not np.isclose(told, known["energy"], rtol=1e-9, atol=1e-6):
            bad.append(k)
    message = "{n} {carry|carries} the settings record of a calculation that gave another energy"
    cure = "remove info['adiabat'] from copies before computing them anew"
    return finding("foreign record", "fault", bad, message, cure, None, ("strip record", None))


def placeholders(given: Set) -> list[Finding]:
    """Forces that are exactly zero, all of them, where those of other frames are not: a file's way of saying 'none'."""
    zero = [
        k
        for k, known in enumerate(given.labels)
        if len(given.frames[k]) > 1 and "forces" in known and not np.any(known["forces"]) and not _by_symmetry(given.frames[k])
    ]
    some = any(np.any(known["forces"]) for known in given.labels if "forces" in known)
    message = "{n} {have|has} forces that are all exactly zero, though no symmetry asks for it"
    return finding("zero forces", "fault" if some else "warning", zero, message, "label them again, or drop their forces")


def constrained(given: Set) -> list[Finding]:
    """Fixed atoms whose forces were set to zero: the raw force was wanted."""
    bad = []
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if "forces" in known and atoms.constraints:
            try:
                fixed = fixed_atoms(atoms)
            except ValueError:
                continue
            free = np.setdiff1d(np.arange(len(atoms)), fixed)
            if fixed and len(free) and not known["forces"][fixed].any() and known["forces"][free].any():
                bad.append(k)
    message = "{n} {have|has} forces of exactly zero on {their|its} fixed atoms and not on the others"
    cure = "write raw forces (apply_constraint=False); fixed atoms travel as a mask"
    return finding("constrained forces", "fault", bad, message, cure)


def borrowed(given: Set) -> list[Finding]:
    """Two structures with the very same numbers: labels that slipped to another frame."""
    seen: dict[str, dict[bytes, list[int]]] = {"forces": defaultdict(list), "stress": defaultdict(list)}
    for k, known in enumerate(given.labels):
        for name, places in seen.items():
            if name in known and np.abs(known[name]).max(initial=0.0) > 1e-3:
                places[np.asarray(known[name]).tobytes()].append(k)
    bad: set[int] = set()
    for places in seen.values():
        for ks in places.values():
            shapes = {given.frames[k].positions.round(6).tobytes() + given.frames[k].cell.array.round(6).tobytes() for k in ks}
            if len(shapes) > 1:
                bad |= set(ks)
    message = "{n} {have|has} forces or stress that equal another structure's to the last digit"
    return finding(
        "labels of another frame", "fault", sorted(bad), message, "pair structures and labels anew from the engine's files"
    )


def _says_no(value) -> bool:
    return value is not None and (value is False or value == 0 or str(value).strip().lower() in ("false", "no", "f"))


def _by_symmetry(atoms) -> bool:
    """Few atoms in a cell may all sit on inversion centers; a perfect crystal's forces vanish."""
    if not atoms.pbc.all():
        return False
    from vesin import NeighborList

    i, vectors = NeighborList(cutoff=4.5, full_list=True).compute(atoms.positions, atoms.cell.array, [True] * 3, "iD")
    if not len(i):
        return True
    sums = np.zeros((len(atoms), 3))
    np.add.at(sums, i.astype(int), vectors * np.exp(-np.linalg.norm(vectors, axis=1))[:, None])
    return bool(np.abs(sums).max() < 1e-2)
