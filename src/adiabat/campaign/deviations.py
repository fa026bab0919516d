"""What a committee says of labeled frames beside their labels: parity, signed errors, the spread it foresees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.data.structure import labels as labels_of
from adiabat.graph import Graph
from adiabat.uncertainty import Committee


def spread_and_error(potential: Committee, frames: Sequence[Atoms]) -> tuple[list[float], list[float]]:
    """Per atom: the calibrated force spread, and the true error as the same root mean square over x, y, z; eV/Å."""
    spread, error = [], []
    for atoms, p in zip(frames, _predicted(potential, frames), strict=True):
        spread += p.outputs["forces_spread"].tolist()
        error += np.sqrt(np.mean((p.forces.numpy() - labels_of(atoms)["forces"]) ** 2, axis=1)).tolist()
    return spread, error


def signed_errors(potential: Committee, frames: Sequence[Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Force errors by component and the calibrated spread of their atom, eV/Å."""
    errors_, spreads = [], []
    for atoms, p in zip(frames, _predicted(potential, frames), strict=True):
        errors_.append((p.forces.numpy() - labels_of(atoms)["forces"]).ravel())
        spreads.append(np.repeat(p.outputs["forces_spread"].numpy(), 3))
    return np.concatenate(errors_), np.concatenate(spreads)


def parity(potential: Committee, frames: Sequence[Atoms]) -> dict[str, Any]:
    """The section of a report: energies and forces side by side."""
    predicted = _predicted(potential, frames)
    known = [labels_of(a) for a in frames]
    return {
        "energy_reference_eV_per_atom": [k["energy"] / len(a) for k, a in zip(known, frames, strict=True)],
        "energy_model_eV_per_atom": [float(p.energy[0]) / len(a) for p, a in zip(predicted, frames, strict=True)],
        "force_reference_eV_per_A": np.concatenate([k["forces"].ravel() for k in known]),
        "force_model_eV_per_A": np.concatenate([p.forces.numpy().ravel() for p in predicted]),
        "kinds": [str(a.info.get("config_type", "")) for a in frames],
    }


def _predicted(potential: Committee, frames: Sequence[Atoms]) -> list[Any]:
    """One prediction a frame."""
    bare = [a.copy() for a in frames]
    return [potential(Graph.of(a, potential.cutoff)) for a in bare]
