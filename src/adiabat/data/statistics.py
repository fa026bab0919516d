"""What is in a store, in numbers: how many of what kind, of which elements, in which ranges. From the catalogue; few rows are read."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from adiabat.data.store import Dataset

_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")


def statistics(dataset: Dataset, select: str = "") -> dict[str, Any]:
    """Counts and ranges of a store or a choice of it, units in the names; None where nothing is known.

    `by_kind` is the composition table: for each config_type its frames, their share of all, its atoms, and ranges.

    >>> from ase import Atoms
    >>> from adiabat.data.structure import labeled
    >>> dataset = Dataset(":memory:")
    >>> _ = dataset.add(
    ...     [labeled(Atoms("H2O", [[0, 0, 0], [1, 0, 0], [0, 1, 0]]), energy=-6.0), labeled(Atoms("H"), energy=-1.0)]
    ... )
    >>> told = statistics(dataset)
    >>> told["n_structures"], told["n_atoms"], told["elements"]["H"]
    (2, 4, {'structures': 2, 'atoms': 3, 'share': 0.75})
    >>> told["by_kind"]["none"]["energy_per_atom_eV"]
    [-2.0, -1.0]
    """
    whole = _summary(dataset, select, "'all'").get("all") or {"structures": 0, "atoms": 0}
    kinds = _summary(dataset, select, "coalesce(config_type, 'none')")
    for kind in kinds.values():
        kind["share"] = kind["structures"] / whole["structures"]
    formulas = dict(dataset.grouped("formula, count(*)", "formula", select))
    elements: dict[str, dict[str, float]] = {}
    for formula, n in formulas.items():
        for symbol, many in _ELEMENT.findall(formula):
            entry = elements.setdefault(symbol, {"structures": 0, "atoms": 0})
            entry["structures"] += n
            entry["atoms"] += n * int(many or 1)
    for entry in elements.values():
        entry["share"] = entry["atoms"] / whole["atoms"]
    return {
        "data_hash": dataset.data_hash(select),
        "n_structures": whole.pop("structures"),
        "n_atoms": whole.pop("atoms"),
        **whole,
        "elements": dict(sorted(elements.items())),
        "by_kind": dict(sorted(kinds.items(), key=lambda item: -item[1]["structures"])),
        "formulas": dict(Counter(formulas).most_common()),
        "levels": dict(dataset.grouped("level, count(*)", "level", select)),
        "engines": dict(dataset.grouped("coalesce(engine, 'none'), count(*)", "engine", select)),
    }


def effective_kinds(told: dict[str, Any]) -> float:
    """exp of the entropy of the kinds' shares: so many kinds of equal shares would be as varied."""
    return math.exp(-sum(k["share"] * math.log(k["share"]) for k in told["by_kind"].values()))


def _summary(dataset: Dataset, select: str, by: str) -> dict[str, dict[str, Any]]:
    ranged = {
        "atoms_per_structure": "natoms",
        "energy_per_atom_eV": "energy_per_atom",
        "max_force_eV_per_A": "max_force",
        "volume_A3": "volume",
    }
    wanted = ", ".join(f"min({column}), max({column})" for column in ranged.values())
    found = {}
    for name, n, atoms, energies, forces, *ends in dataset.grouped(
        f"{by}, count(*), sum(natoms), count(energy), count(max_force), {wanted}", "1", select
    ):
        found[name] = {"structures": n, "atoms": atoms, "with_energy": energies, "with_forces": forces}
        found[name] |= {key: None if low is None else [low, high] for key, low, high in zip(ranged, ends[::2], ends[1::2])}
    return found
