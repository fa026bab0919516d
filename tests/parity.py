"""How far imported potentials are from the codes they come from: what the tests compare, told as a page.

A test that compares with a peer's answers calls `agrees`, which asserts and notes. `make parity` (ADIABAT_PARITY=docs/parity.md pytest …)
writes the worst of every row; a run in which a test failed writes nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest

QUANTITIES = {"energy": "energy, eV/atom", "forces": "forces, eV/Å", "stress": "stress, eV/Å³", "variance": "variance, eV²"}
HEAD = """# Parity

Potentials made by other codes, imported and compared with what those codes say, both in double precision with the file's own
constants: the worst deviation over all structures of a row. Written by `make parity` from the comparisons that the tests make, each of which
holds a bound of its own; the peers' answers are the golden files of the tests (`make golden-…` makes them anew in the peer's own
environment) and those that come with the [public data](data.md). An empty field: that code was not asked for it.

"""
TAIL = """
Networks have random weights. Where a peer's answers come from a file with ten decimals, or a pressure from LAMMPS with constants
of eight digits, that is what is seen: 5e-11 eV/Å in the forces of the published potentials, a millionth of the stress.
"""


@pytest.fixture
def agrees(record_property):
    """`agrees(row, peer, energy=(found, wanted, bound), …)`: energies an atom; arrays of any one shape."""

    def compare(row: str, peer: str, **quantities: tuple) -> None:
        worst = {}
        for name, (found, wanted, bound) in quantities.items():
            assert name in QUANTITIES
            found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
            assert found.shape == wanted.shape, (row, name, found.shape, wanted.shape)
            worst[name] = float(np.abs(found - wanted).max())
            assert worst[name] < bound, f"{row}: {name} deviates by {worst[name]:.2e}, wanted below {bound:.0e}"
        record_property("parity", [row, peer, worst])

    return compare


class Rows:
    def __init__(self) -> None:
        self.peer: dict[str, str] = {}
        self.structures: dict[str, int] = defaultdict(int)
        self.worst: dict[str, dict[str, float]] = defaultdict(dict)
        self.failed = False

    def note(self, row: str, peer: str, worst: dict[str, float]) -> None:
        self.peer[row] = peer
        self.structures[row] += 1
        for name, size in worst.items():
            self.worst[row][name] = max(size, self.worst[row].get(name, 0.0))

    def page(self) -> str:
        names = [name for name in QUANTITIES if any(name in worst for worst in self.worst.values())]
        lines = [
            "| potential | compared with | structures | " + " | ".join(QUANTITIES[n] for n in names) + " |",
            "|---" * (3 + len(names)) + "|",
        ]
        for row in sorted(self.worst, key=str.lower):
            numbers = [f"{self.worst[row][n]:.0e}" if n in self.worst[row] else "" for n in names]
            lines.append(f"| {row} | {self.peer[row]} | {self.structures[row]} | " + " | ".join(numbers) + " |")
        return HEAD + "\n".join(lines) + "\n" + TAIL + f"\n{date.today().isoformat()}.\n"


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
