"""Reference energies: how much of a total energy is only the atoms there are.

E(frame) ≈ Σ_Z n_Z E_Z. From isolated atoms where every element has one, else by least squares over compositions. Where the
compositions do not tell the elements apart (one molecule, one stoichiometry), the solution of least norm is given and said to
be undetermined: differences between such structures are unharmed, atomization energies mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from adiabat.data.structure import labels
from adiabat.elements import symbol


@dataclass(frozen=True)
class Reference:
    """E_Z [eV] by atomic number; how they were found; which elements the data leave undetermined; what is left over."""

    energies: dict[int, float]
    method: str  # "isolated atoms" or "least squares"
    undetermined: tuple[int, ...]
    residual_rms: float  # eV/atom, over frames of more than one atom

    def __str__(self) -> str:
        values = ", ".join(f"{symbol(z)} {e:.4f}" for z, e in self.energies.items())
        open_ = ", ".join(symbol(z) for z in self.undetermined)
        return f"reference energies (eV) by {self.method}: {values}" + (f"; undetermined: {open_}" if open_ else "")

    def of(self, atoms: Atoms) -> float:
        """Σ n_Z E_Z, eV."""
        return float(sum(self.energies[int(z)] for z in atoms.numbers))


def reference_energies(frames: Sequence[Atoms]) -> Reference:
    """Reference energies of all elements in the labeled frames.

    >>> from adiabat.data.structure import labeled
    >>> h2, h = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), Atoms("H")
    >>> print(reference_energies([labeled(h2, energy=-31.7)]))
    reference energies (eV) by least squares: H -15.8500
    >>> print(reference_energies([labeled(h2, energy=-31.7), labeled(h, energy=-13.6)]))
    reference energies (eV) by isolated atoms: H -13.6000
    >>> print(reference_energies([labeled(Atoms("OH2", np.eye(3)), energy=-2081.0)]))
    reference energies (eV) by least squares: H -832.4000, O -416.2000; undetermined: H, O
    """
    known = [(atoms, labels(atoms).get("energy")) for atoms in frames]
    pairs = [(atoms, float(energy)) for atoms, energy in known if energy is not None]
    if not pairs:
        raise ValueError(f"reference energies: none of {len(frames)} frames has an energy; label them first")
    elements = sorted({int(z) for atoms, _ in pairs for z in atoms.numbers})
    alone: dict[int, float] = {}
    for atoms, energy in pairs:
        if is_isolated(atoms):
            z = int(atoms.numbers[0])
            alone[z] = min(energy, alone.get(z, np.inf))  # of several spin states the lowest
    many = [(atoms, energy) for atoms, energy in pairs if not is_isolated(atoms)]
    counts = np.array([[np.count_nonzero(a.numbers == z) for z in elements] for a, _ in many], dtype=float).reshape(
        -1, len(elements)
    )
    return fitted(elements, counts, np.array([energy for _, energy in many]), alone)


def fitted(elements: list[int], counts: np.ndarray, energies: np.ndarray, alone: Mapping[int, float]) -> Reference:
    """As `reference_energies`, from numbers of atoms [frames, elements] and energies (eV), and the energies of isolated atoms."""
    sizes = counts.sum(axis=1)
    if set(alone) == set(elements):
        values = np.array([alone[z] for z in elements])
        method, undetermined = "isolated atoms", ()
    else:
        # rows divided by the number of atoms: a large cell says no more than a small one
        a, b = counts / sizes[:, None], energies / sizes
        values, _, rank, _ = np.linalg.lstsq(a, b, rcond=1e-9)
        method, undetermined = "least squares", _undetermined(a, int(rank), elements)
    rms = float(np.sqrt(np.mean(((energies - counts @ values) / sizes) ** 2))) if len(energies) else 0.0
    return Reference(dict(zip(elements, values.tolist())), method, undetermined, rms)


def is_isolated(atoms: Atoms) -> bool:
    """One atom with no neighbors: no periodicity, or marked as isolated by its config_type."""
    marked = str(atoms.info.get("config_type", "")).lower().replace("_", "").startswith("isolatedatom")
    return len(atoms) == 1 and (not atoms.pbc.any() or marked)


def _undetermined(a: np.ndarray, rank: int, elements: list[int]) -> tuple[int, ...]:
    """Elements whose energy can be changed without changing any prediction: those with a part in the null space of a."""
    if rank == len(elements):
        return ()
    triangle = np.linalg.qr(a, mode="r")  # the same null space in as many rows as elements: of a itself U is frames × frames
    null = np.linalg.svd(triangle, full_matrices=True)[2][rank:]
    return tuple(z for z, part in zip(elements, np.abs(null).max(axis=0)) if part > 1e-6)
