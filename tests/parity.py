"""How far potentials and descriptors are from the codes they come from: what the tests compare, told as a page.

A test that compares with a peer's answers calls `agrees`, which asserts and notes. `make parity` (ADIABAT_PARITY=docs/parity.md pytest …)
writes the worst of every row and which kinds of structures it was compared on; a run in which a test failed writes nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

QUANTITIES = {"energy": "energy, eV/atom", "forces": "forces, eV/Å", "stress": "stress, eV/Å³", "variance": "variance, eV²"}
VALUES = {"components": "components", "of": "the largest"}
CASES = ("several elements", "skewed cell", "cell smaller than the cutoff", "slab", "molecule", "isolated atom")
HEAD = """# Parity

Potentials made by other codes, imported and compared with what those codes say, both in double precision with the file's own
constants: the worst deviation over all structures of a row. Written by `make parity` from the comparisons that the tests make, each of which
holds a bound of its own; the peers' answers are the golden files of the tests (`make golden-…` makes them anew in the peer's own
environment) and those that come with the [public data](data.md). An empty field: that code was not asked for it, or does not tell it.

The six cases are several elements, a skewed periodic cell, a cell smaller than the cutoff, a slab, a molecule, an isolated atom; which of
them the structures of a row are is told by the structures. One of several cases counts for each. Stress is that of those
that are periodic in all directions.

"""
DESCRIPTORS = """
## Descriptors

`adiabat.descriptors` as arrays, beside the codes that have them: the worst deviation of any component, and the largest component.

"""
TAIL = """
Networks have random weights. Where a peer's answers come from a file with ten decimals, that is what is seen: 5e-11 eV/Å in the forces of
the published potentials. Forces that a peer tells are taken as they are but in two places, where they are not the slopes of its own
energies and differences of these are wanted in their stead: QUIP's forces and stress of soap_turbo (off by up to 2e-5 eV/Å; the
differences round to 3e-9), and n2p2's where atoms see their own images.
"""


def cases(atoms: Atoms, cutoff: float) -> set[str]:
    """Which of the six cases a structure is. A slab may have a periodic cell, if nothing reaches over its vacuum."""
    pbc, n = atoms.pbc, len(atoms)
    found = {"several elements"} if len(set(atoms.numbers)) > 1 else set()
    if not pbc.any():
        return found | {"molecule" if n > 1 else "isolated atom"}
    heights = atoms.get_volume() / np.linalg.norm(
        np.cross(np.roll(atoms.cell.array, -1, 0), np.roll(atoms.cell.array, -2, 0)), axis=1
    )
    at = np.sort(atoms.get_scaled_positions(), axis=0)
    gaps = np.diff(np.vstack([at, at[:1] + 1]), axis=0).max(0) * heights
    open_axes = ~pbc | (gaps > cutoff)
    if open_axes.any():
        return found | ({"slab"} if open_axes.sum() == 1 else set())
    found |= {"cell smaller than the cutoff"} if (heights < cutoff).any() else set()
    return found | ({"skewed cell"} if np.abs(atoms.cell.angles() - 90).max() > 1 else set())


@pytest.fixture
def agrees(record_property):
    """`agrees(row, peer, atoms, cutoff, energy=(found, wanted, bound), …)`: energies an atom; arrays of any one shape."""

    def compare(row: str, peer: str, atoms: Atoms, cutoff: float, **quantities: tuple) -> None:
        worst = {}
        for name, (found, wanted, bound) in quantities.items():
            assert name in (*QUANTITIES, "components")
            found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
            assert found.shape == wanted.shape, (row, name, found.shape, wanted.shape)
            worst[name] = float(np.abs(found - wanted).max())
            assert worst[name] < bound, f"{row}: {name} deviates by {worst[name]:.2e}, wanted below {bound:.0e}"
            if name == "components":
                worst["of"] = float(np.abs(wanted).max())
        record_property("parity", [row, peer, sorted(cases(atoms, cutoff)), worst])

    return compare


class Rows:
    def __init__(self) -> None:
        self.peer: dict[str, str] = {}
        self.structures: dict[str, int] = defaultdict(int)
        self.cases: dict[str, set[str]] = defaultdict(set)
        self.worst: dict[str, dict[str, float]] = defaultdict(dict)
        self.failed = False

    def note(self, row: str, peer: str, cases: list[str], worst: dict[str, float]) -> None:
        self.peer[row] = peer
        self.structures[row] += 1
        self.cases[row] |= {*cases}
        for name, size in worst.items():
            self.worst[row][name] = max(size, self.worst[row].get(name, 0.0))

    def page(self) -> str:
        potentials, descriptors = self.table("potential", QUANTITIES), self.table("descriptor", VALUES)
        return (
            HEAD + potentials + (DESCRIPTORS + descriptors if descriptors else "") + TAIL + f"\n{date.today().isoformat()}.\n"
        )

    def table(self, what: str, quantities: dict[str, str]) -> str:
        """The rows that have one of these quantities."""
        rows = {row: worst for row, worst in self.worst.items() if quantities.keys() & worst.keys()}
        names = [name for name in quantities if any(name in worst for worst in rows.values())]
        lines = [
            f"| {what} | compared with | structures | cases | " + " | ".join(quantities[n] for n in names) + " |",
            "|---" * (4 + len(names)) + "|",
        ]
        for row in sorted(rows, key=str.lower):
            numbers = [f"{rows[row][n]:.0e}" if n in rows[row] else "" for n in names]
            had = [case for case in CASES if case in self.cases[row]]
            lacks = [case for case in CASES if case not in had]
            told = "all six" if not lacks else f"all but {lacks[0]}" if len(lacks) == 1 else ", ".join(had) or "none of them"
            lines.append(f"| {row} | {self.peer[row]} | {self.structures[row]} | {told} | " + " | ".join(numbers) + " |")
        return "\n".join(lines) + "\n" if rows else ""


ROWS = Rows()


def pytest_runtest_logreport(report):
    ROWS.failed |= report.failed
    if report.when == "call":
        for name, value in report.user_properties:
            if name == "parity":
                ROWS.note(*value)


def pytest_sessionfinish(session):
    """In the process that collects from all workers."""
    wanted = os.environ.get("ADIABAT_PARITY")
    if wanted and ROWS.worst and not ROWS.failed and not hasattr(session.config, "workerinput"):
        Path(wanted).write_text(ROWS.page(), encoding="utf-8")
