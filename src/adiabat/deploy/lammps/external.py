"""LAMMPS driven from Python: `fix external` asks any potential of ours for forces. No compiler is needed, every family runs.

```python
from adiabat.deploy.lammps import program, external

lmp = program.python()
lmp.commands_string(setup)  # units metal, the box, atoms, masses; no pair_style
external.attach(lmp, potential, ["O", "H"])
lmp.command("run 1000")
```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms

from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.potential import Potential
from adiabat.uncertainty import Committee


def attach(
    lmp: Any, potential: Potential, elements: Sequence[str], *, skin_angstrom: float = 1.0, name: str = "adiabat"
) -> None:
    """Let `potential` give energy, forces and virial of every step; `elements` by atom type.

    Several ranks are refused: a callback sees the atoms of its own rank alone.
    """
    if lmp.extract_setting("world_size") != 1:
        raise ValueError(
            f"{lmp.extract_setting('world_size')} MPI ranks came; adiabat runs LAMMPS on one rank: start it without mpirun"
        )
    if lmp.extract_global("units") != "metal":
        raise ValueError(f"units {lmp.extract_global('units')} came; wanted 'units metal': eV, Å, ps")
    types = int(lmp.extract_setting("ntypes"))
    if len(elements) != types:
        raise ValueError(f"{len(elements)} elements came for {types} atom types; give one each")
    kinds = np.array([0, *atomic_numbers(elements)])
    known = potential.elements
    unseen = sorted(set(kinds[1:].tolist()) - set(known if known is not None else kinds.tolist()))
    if unseen:
        raise ValueError(f"the potential has not seen {' '.join(symbol(z) for z in unseen)}; give types that it knows")
    lmp.command("pair_style zero 1.0 nocoeff")
    lmp.command("pair_coeff * *")
    lmp.command(f"fix {name} all external pf/callback 1 1")
    lmp.command(f"fix_modify {name} energy yes virial yes")
    lmp.set_fix_external_callback(name, _Callback(lmp, name, potential, kinds, skin_angstrom), lmp)


class _Callback:
    """What LAMMPS calls each step: owned atoms in, forces out. Edges are kept while no atom has moved half the skin."""

    def __init__(self, lmp: Any, name: str, potential: Potential, kinds: np.ndarray, skin: float) -> None:
        self.lmp, self.name, self.potential, self.kinds, self.skin = lmp, name, potential, kinds, skin
        self.frozen = (potential.without_spread if isinstance(potential, Committee) else potential).frozen()
        self.graph: Graph | None = None
        self.order: np.ndarray | None = None  # the tags of the graph's atoms
        self.cell = np.eye(3)  # of the step before

    def __call__(self, lmp: Any, step: int, n: int, tags: np.ndarray, x: np.ndarray, f: np.ndarray) -> None:
        cell, pbc = self._cell()
        order = np.argsort(tags[:n])
        where, who = np.array(x[:n])[order], np.array(tags[:n])[order]
        # A triclinic box that leans too far is flipped: the same lattice by other vectors, which the edges' images do not belong to.
        flipped = not np.array_equal(np.round(cell @ np.linalg.inv(self.cell)), np.eye(3))
        self.cell = cell
        if self.graph is None or self.order is None or flipped or not np.array_equal(who, self.order):
            types = lmp.numpy.extract_atom("type")[:n].ravel()[order]
            atoms = Atoms(self.kinds[types], where, cell=cell, pbc=pbc)
            self.graph, self.order = Graph.of(atoms, max(self.potential.cutoff, 1e-3), skin=self.skin), who
        else:
            # LAMMPS wraps atoms into the box: an edge is kept by the image that did not jump.
            before = self.graph.positions.numpy()
            jumps = np.round((where - before) @ np.linalg.pinv(cell)) * pbc
            self.graph = self.graph.move(torch.from_numpy(where - jumps @ cell), torch.from_numpy(cell)[None])
        said = self.frozen(self.graph)
        f[:n][order] = said.forces.numpy(force=True)
        lmp.fix_external_set_energy_global(self.name, float(said.energy[0]))
        w = -said.strain_gradient[0].numpy(force=True)
        lmp.fix_external_set_virial_global(self.name, [w[0, 0], w[1, 1], w[2, 2], w[0, 1], w[0, 2], w[1, 2]])

    def _cell(self) -> tuple[np.ndarray, np.ndarray]:
        low, high, xy, yz, xz, periodic, _ = self.lmp.extract_box()
        (lx, ly, lz), pbc = np.subtract(high, low), np.array([bool(p) for p in periodic])
        return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]), pbc
