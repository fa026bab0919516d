"""One structure's atoms moved again and again on one topology: positions in; energy, forces and stress out of one compiled call.

What such calls share is made ready once. For a molecule, whose caches belong to others between two calls, each tensor operation
and each object that is looked at costs as much as the arithmetic of an atom.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np

from adiabat.kernels.evaluation import Compiled, Input, Lists, refuse

GONE = -1  # of walk.h: an atom has moved so far that an edge may be missing


class Moved(NamedTuple):
    """eV and Å, float64."""

    energy: float
    energies: np.ndarray  # N
    forces: np.ndarray  # N 3
    stress: np.ndarray  # 6, Voigt; NaN without a volume


class _Moved(ctypes.Structure):
    """`struct Moved` of walk.h, field by field."""

    _fields_ = (
        [("given", Input)]
        + [(name, ctypes.c_void_p) for name in "positions built images constants r".split()]
        + [(name, ctypes.c_double) for name in "constant skin volume".split()]
        + [(name, ctypes.c_void_p) for name in "energy stress".split()]
    )


class Moving:
    """An evaluator on the edges that were found at positions `built` [N, 3] with a skin, in lists that it has accepted before;
    `images` [E, 3] is what a neighbor's cell adds to its vector, None where there are none. `constants` [N] are energies to add,
    `constant` is their sum; the structure has a `volume` (Å³) or NaN. For one thread at a time."""

    def __init__(
        self,
        evaluator: Compiled,
        lists: Lists,
        built: np.ndarray,
        images: np.ndarray | None,
        constants: np.ndarray,
        constant: float,
        *,
        skin: float,
        volume: float,
    ) -> None:
        N, E = lists.atoms, lists.edges
        evaluator.grant(N, E)
        self.evaluator, self.positions = evaluator, np.empty((N, 3))
        self.energies, self.forces, self.energy, self.stress = np.empty(N), np.empty((N, 3)), np.empty(1), np.empty(6)
        strain, r = np.empty((1, 3, 3)), np.empty((E, 3))
        comes = [np.ascontiguousarray(x, float) for x in (built, np.zeros((E, 3)) if images is None else images, constants)]
        assert [x.shape for x in comes] == [(N, 3), (E, 3), (N,)], "rows of atoms and edges"
        self.kept = [lists, strain, r, *comes]
        at = [x.ctypes.data for x in (r, self.energies, self.forces, strain, self.positions, *comes, self.energy, self.stress)]
        self.struct = _Moved(
            Input(N, E, 1, 1, *lists.addresses, *at[:4]), at[4], at[5], at[6] if images is not None else None, at[7], at[0],
            constant, skin, volume, *at[8:],
        )  # fmt: skip
        self.address = ctypes.addressof(self.struct)
        self.run = evaluator.library.moved
        self.run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]

    def __call__(self, positions: np.ndarray, threads: int = 1) -> Moved | None:
        """None where the edges do not hold, or a position is no number."""
        np.copyto(self.positions, positions)
        workspace = self.evaluator.workspace()
        try:
            fault = self.run(workspace, self.address, threads)
        finally:
            self.evaluator.free.append(workspace)
        if fault == GONE:
            return None
        refuse(fault)
        return Moved(self.energy.item(), self.energies.copy(), self.forces.copy(), self.stress.copy())
