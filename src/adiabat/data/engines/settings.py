"""How a number was computed, as the file itself tells it: the record that goes with a label, its key, and a sentence to print.

The record is plain YAML: system, code and version, functional, dispersion, cutoff or basis, k-points with centering, smearing,
convergence, and notes on a slab where the cell has one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

VACUUM = 6.0  # Å without atoms along one cell vector, and matter along the others: a slab


@dataclass
class Settings:
    """What is not told stays empty and does not appear in the record."""

    code: str = ""
    version: str = ""
    functional: str = ""
    dispersion: str = "none"
    hubbard_u: str = ""
    cutoff_eV: float | None = None
    density_cutoff_eV: float | None = None  # of a density grid beside a local basis
    basis: str = ""
    pseudopotentials: list[str] = field(default_factory=list)
    k_points: dict[str, Any] = field(default_factory=dict)  # grid, centering, or number
    smearing: dict[str, Any] = field(default_factory=dict)  # type, width_eV
    spin: str = ""
    convergence: dict[str, float] = field(default_factory=dict)
    slab: dict[str, Any] = field(default_factory=dict)  # dipole_correction, …

    def theory(self) -> str:
        """In a few words.

        >>> Settings(functional="PBE", dispersion="D3(BJ)", cutoff_eV=520.0).theory()
        'PBE-D3(BJ), 520 eV'
        """
        method = self.functional or "method not told"
        method += f"+U({self.hubbard_u})" if self.hubbard_u else ""
        method += "" if self.dispersion in ("none", "") else f"-{self.dispersion}"
        return method + (f"/{self.basis}" if self.basis else "") + (f", {self.cutoff_eV:g} eV" if self.cutoff_eV else "")

    def level_of_theory(self) -> str:
        """Readable text and a hash: labels with equal keys may be mixed. K-points and spin are not in it (see docs/files.md)."""
        names = ("code", "functional", "dispersion", "hubbard_u", "basis", "smearing")
        physical = {name: getattr(self, name) for name in names}
        for name in ("cutoff_eV", "density_cutoff_eV"):
            value = getattr(self, name)
            physical[name] = None if value is None else round(value, 1)
        digest = hashlib.sha256(json.dumps(physical, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.theory()} [{self.code.lower()} {digest}]"

    def record(self, atoms: Atoms) -> dict[str, Any]:
        """JSON for `info["adiabat"]`."""
        return {
            "engine": self.code.lower(),
            "version": f"{self.code} {self.version}".strip(),
            "settings": self.told(atoms),
            "level_of_theory": self.level_of_theory(),
        }

    def told(self, atoms: Atoms) -> dict[str, Any]:
        """The YAML form."""
        told: dict[str, Any] = {"system": atoms.get_chemical_formula(), "code": self.code, "version": self.version}
        for name in ("functional", "dispersion", "hubbard_u", "cutoff_eV", "density_cutoff_eV", "basis", "pseudopotentials"):
            if getattr(self, name):
                told[name] = getattr(self, name)
        if self.k_points:
            told["k_points"] = self.k_points | _spacing(self.k_points, atoms)
        for name in ("smearing", "spin", "convergence"):
            if getattr(self, name):
                told[name] = getattr(self, name)
        slab = _slab(atoms)
        if slab:
            told["slab"] = slab | self.slab | {"fixed_atoms": sum(len(c.get_indices()) for c in atoms.constraints)}
        return told


def paragraph(records: Iterable[Mapping[str, Any]]) -> str:
    """A methods paragraph: one or two sentences a level of theory, nothing said that no file told.

    >>> told = {
    ...     "code": "VASP",
    ...     "version": "6.3.0",
    ...     "functional": "PBE",
    ...     "cutoff_eV": 520.0,
    ...     "smearing": {"type": "Gaussian", "width_eV": 0.05},
    ... }
    >>> paragraph([{"level_of_theory": "x", "settings": told}])
    'Energies and forces were computed with VASP 6.3.0 with the PBE functional, a plane-wave cutoff of 520 eV and Gaussian smearing of 0.05 eV (1 structure).'
    """  # noqa: E501
    levels: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        if isinstance(record.get("settings"), Mapping) and "code" in record["settings"]:
            levels.setdefault(str(record.get("level_of_theory")), []).append(record["settings"])
    return " ".join(_sentence(told) for told in levels.values())


def _sentence(told: list[Mapping[str, Any]]) -> str:
    first = told[0]
    versions = sorted({str(t.get("version")) for t in told if t.get("version")})
    parts = []
    if first.get("functional"):
        dispersion = first.get("dispersion", "none")
        kind = "functional" if not first.get("basis") else "method"
        parts.append(f"the {first['functional']} {kind}" + ("" if dispersion == "none" else f" with {dispersion} dispersion"))
    if first.get("hubbard_u"):
        parts.append(f"Hubbard corrections ({first['hubbard_u']})")
    if first.get("basis"):
        parts.append(f"the {first['basis']} basis")
    if first.get("cutoff_eV"):
        parts.append(f"a plane-wave cutoff of {first['cutoff_eV']:g} eV")
    if first.get("density_cutoff_eV"):
        parts.append(f"a density cutoff of {first['density_cutoff_eV']:g} eV")
    grids = {json.dumps(t["k_points"].get("grid")): t["k_points"] for t in told if t.get("k_points", {}).get("grid")}
    if len(grids) == 1:
        (points,) = grids.values()
        centering = f"{points['centering']} " if points.get("centering") else ""
        parts.append(f"a {centering}{'×'.join(map(str, points['grid']))} k-point grid")
    elif grids:
        widest = max(points.get("spacing_per_angstrom", 0.0) for points in grids.values())
        parts.append(f"{len(grids)} k-point grids" + (f" (spacing up to {widest:.2g} Å⁻¹)" if widest else ""))
    smearing = first.get("smearing") or {}
    if smearing.get("type") and smearing["type"] != "none":
        parts.append(f"{smearing['type']} smearing of {smearing.get('width_eV', 0):.3g} eV")
    code = f"{first['code']} {' and '.join(versions)}".strip()
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""
    n = f"{len(told)} structure{'s' if len(told) > 1 else ''}"
    return f"Energies and forces were computed with {code}{' with ' if listed else ''}{listed} ({n})."


def _spacing(points: Mapping[str, Any], atoms: Atoms) -> dict[str, float]:
    """The widest distance of neighboring k-points, 2π|b|/N in Å⁻¹: what may be compared between cells."""
    if not points.get("grid") or atoms.cell.rank < 3:
        return {}
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    return {"spacing_per_angstrom": round(float((lengths / np.array(points["grid"])).max()), 4)}


def _slab(atoms: Atoms) -> dict[str, Any]:
    """One axis with vacuum and two without."""
    if not atoms.pbc.all() or atoms.cell.rank < 3 or len(atoms) < 2:
        return {}
    gaps = []
    for axis, scaled in enumerate(np.sort(atoms.get_scaled_positions(), axis=0).T):
        height = atoms.cell.volume / np.linalg.norm(np.cross(*atoms.cell.array[[a for a in range(3) if a != axis]]))
        gaps.append(float(np.diff([*scaled, scaled[0] + 1]).max() * height))
    empty = [axis for axis, gap in enumerate(gaps) if gap > VACUUM]
    return {"axis": "abc"[empty[0]], "vacuum_angstrom": round(gaps[empty[0]], 2)} if len(empty) == 1 else {}
