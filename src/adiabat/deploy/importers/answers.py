"""A peer's own answers on a few clusters, kept beside its arrays: what the converted potential is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.deploy.importers.extracted import Extracted
from adiabat.graph import Graph
from adiabat.potential import Potential

CLUSTERS, CLUSTER_ATOMS = 3, 6


def answers(
    ask: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]], numbers: Sequence[int], cutoff: float
) -> dict[str, Any]:
    """What `ask(numbers, positions)`, the peer, says of random clusters: energies [K] (eV), forces [K, A, 3] (eV/Å).

    `numbers` are the elements it knows; each is there, if there is room. No two atoms are nearer than a fifth of the cutoff.
    """
    rng, known = np.random.default_rng(0), np.asarray(numbers)
    drawn = rng.choice(known, (CLUSTERS, CLUSTER_ATOMS))
    drawn.flat[: len(known)] = known[: drawn.size]
    positions = np.stack([_cluster(rng, cutoff) for _ in range(CLUSTERS)])
    energies, forces = zip(*(ask(Zs, R) for Zs, R in zip(drawn, positions)))
    return {
        "check.numbers": drawn, "check.positions": positions, "check.energy": np.array(energies), "check.forces": np.array(forces)
    }  # fmt: skip


def disagreement(potential: Potential, extracted: Extracted) -> dict[str, float]:
    """The largest differences from the peer's own answers, and the root mean square of its forces; NaN where either says NaN."""
    a = extracted.arrays
    energy, force = [0.0], [0.0]
    for numbers, positions, E, F in zip(a["check.numbers"], a["check.positions"], a["check.energy"], a["check.forces"]):
        found = potential(Graph.of(Atoms(numbers, positions), potential.cutoff))
        energy.append(abs(float(found.energy[0]) - float(E)) / len(numbers))
        force.append(float(np.abs(found.forces.numpy() - F).max()))
    return {
        "energy_eV_per_atom": float(np.max(energy)),  # Python's max would pass over a NaN
        "force_eV_per_A": float(np.max(force)),
        "force_rms_eV_per_A": float(np.sqrt((a["check.forces"] ** 2).mean())),
    }


def clusters(potential: Potential, extracted: Extracted) -> list[Graph]:
    """The structures of those answers."""
    a = extracted.arrays
    return [Graph.of(Atoms(Z, R), potential.cutoff) for Z, R in zip(a["check.numbers"], a["check.positions"])]


def _cluster(rng: np.random.Generator, cutoff: float) -> np.ndarray:
    """Atoms at random in a ball of about the cutoff's size."""
    R: list[np.ndarray] = []
    while len(R) < CLUSTER_ATOMS:
        r = rng.uniform(-0.6, 0.6, 3) * cutoff
        if all(np.linalg.norm(r - other) > 0.2 * cutoff for other in R):
            R.append(r)
    return np.array(R)
