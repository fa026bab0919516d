"""A structure as JSON, exactly, and the name it goes by: a hash of what an engine would be asked to compute.

`Atoms` is the noun for people; between processes and in files a structure travels as the JSON form below. Labels ride in a
`SinglePointCalculator`, provenance in `info["adiabat"]`, charge and multiplicity in `info`, fixed atoms as `FixAtoms`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.stress import full_3x3_to_voigt_6_stress

LABELS = ("energy", "forces", "stress")
_OWN_ARRAYS = ("numbers", "positions")


def labels(atoms: Atoms) -> dict[str, Any]:
    """What is known of a configuration: energy [eV], forces [N,3], stress [6, Voigt], each only if it is there.

    The energy is the force-consistent one: `free_energy` where the calculator tells the two apart. Labels that were computed
    for other positions than the ones the atoms have now are an error, not a label.

    >>> water = labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), energy=-31.7)
    >>> labels(water)
    {'energy': -31.7}
    """
    calculator = atoms.calc
    results = getattr(calculator, "results", None) or {}
    if not any(name in results for name in (*LABELS, "free_energy")):
        return {}
    moved = hasattr(calculator, "check_state") and not _as_computed(atoms, getattr(calculator, "atoms", None))
    changes = calculator.check_state(atoms) if moved else []
    if changes:
        raise ValueError(
            f"{name_of(atoms)}: its labels belong to another structure ({', '.join(changes)} changed since); "
            "label it again, or keep the labeled copy as it was"
        )
    found: dict[str, Any] = {}
    energy = results.get("free_energy", results.get("energy"))
    if energy is not None:
        found["energy"] = float(energy)
    if results.get("forces") is not None:
        found["forces"] = np.array(results["forces"], dtype=float)
    if results.get("stress") is not None:
        stress = np.array(results["stress"], dtype=float)
        found["stress"] = full_3x3_to_voigt_6_stress(stress) if stress.shape == (3, 3) else stress
    return found


def labeled(atoms: Atoms, *, energy: float | None = None, forces=None, stress=None) -> Atoms:
    """A copy that carries these labels (stress in ASE's Voigt order), and no others."""
    copy = atoms.copy()
    results: dict[str, Any] = {}
    if energy is not None:
        results |= {"energy": float(energy), "free_energy": float(energy)}
    if forces is not None:
        results["forces"] = np.array(forces, dtype=float)
    if stress is not None:
        results["stress"] = np.array(stress, dtype=float)
    copy.calc = SinglePointCalculator(copy, **results) if results else None
    return copy


def to_json(atoms: Atoms) -> dict[str, Any]:
    """The structure as plain JSON types; floats survive `json.dumps` and back to the last bit.

    >>> bool(from_json(to_json(Atoms("H", [[0, 0, 0.1 + 0.2]]))).positions[0, 2] == 0.1 + 0.2)
    True
    """
    geometry = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
    }
    record = geometry | beside(atoms)
    known = labels(atoms)
    if known:
        record["labels"] = {key: plain(value) for key, value in known.items()}
    return record


def beside(atoms: Atoms) -> dict[str, Any]:
    """The part of `to_json` that is neither geometry nor label: pbc, charge, multiplicity, info, arrays, fixed atoms."""
    _finite(atoms)
    record: dict[str, Any] = {"pbc": atoms.pbc.tolist()}
    info = dict(atoms.info)
    for name in ("charge", "multiplicity"):
        if info.get(name) is not None:
            record[name] = plain(info.pop(name))
    if info:
        record["info"] = {str(key): _plain_or_error(value, f"info[{key!r}]") for key, value in info.items()}
    arrays = {key: _plain_or_error(value, f"arrays[{key!r}]") for key, value in atoms.arrays.items() if key not in _OWN_ARRAYS}
    if arrays:
        record["arrays"] = arrays
    fixed = fixed_atoms(atoms)
    if fixed:
        record["fixed"] = fixed
    return record


def from_json(record: dict[str, Any]) -> Atoms:
    """The structure again; see `to_json`."""
    unknown = set(record) - {
        "numbers", "positions", "cell", "pbc", "info", "arrays", "labels", "fixed", "charge", "multiplicity",
    }  # fmt: skip
    if unknown:
        raise ValueError(
            f"structure JSON: unknown entries {sorted(unknown)}; it was written by a newer Adiabat, or is no structure"
        )
    n = len(record["numbers"])
    atoms = Atoms(
        numbers=record["numbers"],
        positions=np.array(record["positions"], dtype=float).reshape(n, 3),
        cell=record["cell"],
        pbc=record["pbc"],
        info=dict(record.get("info", {})),
    )
    for name, values in record.get("arrays", {}).items():
        atoms.set_array(name, np.array(values))
    for name in ("charge", "multiplicity"):
        if name in record:
            atoms.info[name] = record[name]
    if record.get("fixed"):
        atoms.set_constraint(FixAtoms(indices=record["fixed"]))
    return labeled(atoms, **record["labels"]) if record.get("labels") else atoms


def content_hash(atoms: Atoms) -> str:
    """sha256 over numbers, positions, cell, pbc, charge and multiplicity; labels, info and velocities are not in it.

    Positions count exactly as they stand: an atom wrapped to the other side of its cell, a turned molecule or atoms in another
    order make another hash (the fingerprint in `split` sees those). −0.0 counts as 0.0; no charge as charge 0; no
    multiplicity (the engine's choice) differs from a stated one.

    >>> content_hash(Atoms("H"))[:12] == content_hash(Atoms("H", [[-0.0, 0, 0]], info={"charge": 0}))[:12]
    True
    """
    digest = hashlib.sha256(b"adiabat structure 1")
    charge = float(atoms.info.get("charge") or 0)
    multiplicity = int(atoms.info.get("multiplicity") or 0)
    for part, dtype in (
        ([len(atoms)], "<i8"),
        (atoms.numbers, "<i8"),
        (atoms.positions, "<f8"),
        (atoms.cell.array, "<f8"),
        (atoms.pbc, "<i8"),
        ([charge], "<f8"),
        ([multiplicity], "<i8"),
    ):
        values = np.asarray(part).astype(dtype)
        digest.update((values + 0 if dtype == "<i8" else values + 0.0).tobytes())  # x + 0.0 turns −0.0 into 0.0
    return digest.hexdigest()


def fixed_atoms(atoms: Atoms) -> list[int]:
    """Indices of the atoms that `FixAtoms` holds; any other constraint cannot travel and is an error."""
    fixed: set[int] = set()
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise ValueError(
                f"{name_of(atoms)}: constraint {type(constraint).__name__} cannot be kept with a structure, only FixAtoms can; "
                "remove it with atoms.set_constraint()"
            )
        fixed.update(int(i) for i in constraint.get_indices())
    return sorted(fixed)


def name_of(atoms: Atoms) -> str:
    """A short name for messages: formula and the first characters of the content hash."""
    return f"{atoms.get_chemical_formula()} ({content_hash(atoms)[:8]})"


def plain(value: Any) -> Any:
    """numpy to JSON types; what is neither raises TypeError."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind in "biufU" else plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _as_computed(atoms: Atoms, computed: Atoms | None) -> bool:
    """Whether all a calculator may look at is equal to the last bit: ASE's own comparison takes twenty times as long."""
    if computed is None or len(computed) != len(atoms):
        return False
    mine, others = atoms.arrays, computed.arrays
    looked_at = {"numbers", "positions", "initial_charges", "initial_magmoms"}
    return (
        looked_at & mine.keys() == looked_at & others.keys()
        and all(np.array_equal(mine[name], others[name]) for name in looked_at & mine.keys())
        and np.array_equal(atoms.cell.array, computed.cell.array)
        and np.array_equal(atoms.pbc, computed.pbc)
    )


def _plain_or_error(value: Any, where: str) -> Any:
    try:
        return plain(value)
    except TypeError as error:
        raise ValueError(f"{where}: {error}; keep numbers, texts, lists and dicts there, or remove it") from None


def _finite(atoms: Atoms) -> None:
    for what, values in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            bad = np.argwhere(~np.isfinite(values))
            raise ValueError(
                f"{atoms.get_chemical_formula()}: {what}[{bad[0][0]}] is {values[bad[0][0]].tolist()}, wanted finite numbers in Å; "
                "correct or leave out this structure"
            )
