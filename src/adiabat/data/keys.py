"""Which entry of a foreign file is the energy, the forces, the stress: found by name, said aloud, never guessed between two.

Names are taken whole (`energy`, `forces`) or with the mark of a reference calculation before or after (`REF_energy`,
`dft_forces`, `energy_pbe`). A name like `mace_energy`, `binding_energy` or `gradient` is listed but not taken.
"""

from __future__ import annotations

import re

from adiabat.data.weights import OF_LABEL

REFERENCE = (
    "ref reference dft qm target label true scf pbe pbe0 pbesol rpbe revpbe lda blyp b3lyp scan r2scan wb97x wb97m hse ccsd mp2 "
    "vasp cp2k orca gaussian qe espresso aims castep gpaw abinit pyscf psi4 molpro siesta xtb dftb"
).split()
NAMES = {
    "energy": ("energy", "energies", "total_energy", "potential_energy", "etot", "e_tot", "toten"),
    "free_energy": ("free_energy",),
    "forces": ("forces", "force", "frc"),
    "stress": ("stress", "stresses"),
    "virial": ("virial", "virials"),
}
_SUSPECT = re.compile(r"energ|forc|stress|virial|grad", re.IGNORECASE)


def kind_of(name: str) -> str | None:
    """The label a name stands for, or None.

    >>> [kind_of(name) for name in ("REF_energy", "dft_force", "energies", "virial", "mace_energy", "pos")]
    ['energy', 'forces', 'energy', 'virial', None, None]
    """
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    for mark in REFERENCE:
        words = words.removeprefix(f"{mark}_").removesuffix(f"_{mark}")
    return next((kind for kind, names in NAMES.items() if words in names), None)


def chosen(seen: dict[str, int], path, given: dict[str, str] | None) -> tuple[dict[str, str], list[str]]:
    """label → the file's name for it, and notes. `seen` counts in how many frames a name is there; `given` overrides.

    >>> chosen({"REF_energy": 9, "forces": 9}, "a.xyz", None)
    ({'energy': 'REF_energy', 'forces': 'forces'}, ["energy taken from 'REF_energy' (9 frames)"])
    """
    given = dict(given or {})
    for label, name in given.items():
        if label not in NAMES:
            raise ValueError(f"{path}: keys names {label!r}; wanted some of {', '.join(NAMES)}")
        if name not in seen:
            raise ValueError(
                f"{path}: keys wants {label} from {name!r}, which no frame has; there are: {', '.join(sorted(seen))}"
            )
    candidates: dict[str, list[str]] = {}
    for name in seen:
        kind = kind_of(name)
        if kind and kind not in given:
            candidates.setdefault(kind, []).append(name)
    if "stress" in given:
        candidates.pop("virial", None)
    if "virial" in given:
        candidates.pop("stress", None)
    if "energy" in given:
        candidates.pop("free_energy", None)
    for label, names in candidates.items():
        if len(names) > 1:
            raise ValueError(
                f"{path}: {len(names)} entries could be the {label}: "
                + ", ".join(f"{name!r} (in {seen[name]} frames)" for name in names)
                + f"; name one, as in keys={{{label!r}: {names[0]!r}}}"
            )
    taken = given | {label: names[0] for label, names in candidates.items()}
    notes = []
    if "free_energy" in taken and "energy" in taken and "energy" not in given:
        notes.append(
            f"the energy is {taken['free_energy']!r}, to which the forces belong; {taken['energy']!r} is kept as energy_sigma0"
        )
    if "stress" in taken and "virial" in taken:
        notes.append(f"stress taken from {taken['stress']!r}; {taken.pop('virial')!r} left in info")
    for label, name in taken.items():
        if label == "virial":
            notes.append(
                f"stress taken from {name!r} ({seen[name]} frames), read as −∂E/∂ε [energy]: stress = −virial / volume"
            )
        elif name != label:
            notes.append(f"{label} taken from {name!r} ({seen[name]} frames)")
    left = [
        name for name in seen if _SUSPECT.search(name) and name not in (*taken.values(), *OF_LABEL) and kind_of(name) is None
    ]
    if left:
        notes.append(f"not taken as labels: {', '.join(map(repr, left))}; name one with keys={{'energy': ...}} if it is")
    return taken, notes
