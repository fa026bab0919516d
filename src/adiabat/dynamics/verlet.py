"""Newton's equations: constant energy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adiabat.dynamics.guards import EXPLODED, Watch
from adiabat.dynamics.splitting import VELOCITY_VERLET, integrate
from adiabat.dynamics.state import PotentialLike, State


def velocity_verlet(
    state: State,
    potential: PotentialLike,
    *,
    timestep_fs: float,
    guards: Sequence[Watch] = EXPLODED,
    stop_if: Sequence[Watch] = (),
    check_every: int = 10,
) -> Iterator[State]:
    """v ← v + ½ F/m Δt;  R ← R + v Δt;  v ← v + ½ F/m Δt.

    Swope et al., J. Chem. Phys. 76, 637 (1982). Reversible and symplectic: the energy error stays bounded, of order Δt².

    >>> from ase.build import molecule
    >>> from itertools import islice
    >>> from adiabat.models.pair import LennardJones
    >>> from adiabat.potential import Potential
    >>> import torch
    >>> potential = Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"]))
    >>> from ase import Atoms
    >>> state = State.of(Atoms("Ar2", [[0, 0, 0], [0, 0, 4.0]]), potential)
    >>> last = list(islice(velocity_verlet(state, potential, timestep_fs=5.0), 100))[-1]
    >>> bool((last.conserved - state.conserved).abs() < 1e-5)
    True
    """
    yield from integrate(
        state, potential, VELOCITY_VERLET, timestep_fs=timestep_fs, guards=guards, stop_if=stop_if, check_every=check_every
    )
