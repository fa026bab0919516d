"""Errors of a potential against labeled frames, in the units people read: meV/atom, meV/Å, GPa.

Everything is kept a frame and an atom, so that means, kinds and parity plots come from the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adiabat.data.composition import is_isolated
from adiabat.graph import Graph
from adiabat.potential import Potential
from adiabat.prediction import Quick
from adiabat.typing import Float
from adiabat.units import GPa

if TYPE_CHECKING:
    from ase import Atoms

NO_KIND = "unspecified"


@dataclass(frozen=True)
class Errors:
    """What the reference says and what the model says, eV, Å; NaN where there is no label.

    Energies an atom [S], forces [N, 3], stress [S, 3, 3]; `frame` [N] tells whose atom it is; `spread` [N] is a committee's doubt
    about the force on an atom, NaN without a committee.
    """

    kinds: list[str]
    frame: np.ndarray
    energy_reference: np.ndarray
    energy_model: np.ndarray
    force_reference: np.ndarray
    force_model: np.ndarray
    stress_reference: np.ndarray
    stress_model: np.ndarray
    spread: np.ndarray

    @property
    def n_structures(self) -> int:
        return len(self.kinds)

    def to_json(self) -> dict[str, Any]:
        """The object of `adiabat test --json`: over all frames, and the same under `by_kind`."""
        kinds = np.array(self.kinds, dtype=object)
        names = list(dict.fromkeys(self.kinds))
        return {**self.summary(), "by_kind": {name: self.summary(kinds == name) for name in names}}

    def summary(self, chosen: np.ndarray | None = None) -> dict[str, Any]:
        """Errors over the chosen frames [S]; None (null) where nothing is labeled or the data have no spread."""
        chosen = np.ones(self.n_structures, bool) if chosen is None else np.asarray(chosen, bool)
        atoms = chosen[self.frame] if len(self.frame) else np.zeros(0, bool)
        energy = _pairs(self.energy_reference[chosen], self.energy_model[chosen])
        force = _pairs(self.force_reference[atoms], self.force_model[atoms])
        stress = _pairs(self.stress_reference[chosen], self.stress_model[chosen])
        return {
            "n_structures": int(chosen.sum()),
            "energy_mae_meV_per_atom": _mae(energy, 1e3),
            "energy_rmse_meV_per_atom": _rmse(energy, 1e3),
            "energy_r2": _r2(energy),
            "force_mae_meV_per_A": _mae(force, 1e3),
            "force_rmse_meV_per_A": _rmse(force, 1e3),
            "force_r2": _r2(force),
            "stress_mae_GPa": _mae(stress, 1 / GPa),
        }

    def parity(self, most: int = 5000) -> dict[str, Any]:
        """The pairs of a parity plot, as the report's form `ParitySet` wants them; of more than `most` every so manyth."""
        labeled = np.flatnonzero(np.isfinite(self.energy_reference))
        labeled = labeled[:: max(1, -(-len(labeled) // most))]
        force_reference, force_model = _pairs(self.force_reference, self.force_model)
        every = max(1, -(-len(force_reference) // most))
        return {
            "energy_reference_eV_per_atom": self.energy_reference[labeled],
            "energy_model_eV_per_atom": self.energy_model[labeled],
            "force_reference_eV_per_A": force_reference[::every],
            "force_model_eV_per_A": force_model[::every],
            "kinds": [self.kinds[k] for k in labeled],
        }

    def force_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """A committee's spread and the true error (root mean square over x, y, z) of the same atoms, eV/Å."""
        error = np.sqrt(((self.force_model - self.force_reference) ** 2).mean(1))
        known = np.isfinite(error) & np.isfinite(self.spread)
        return self.spread[known], error[known]


def errors(potential: Potential, frames: Sequence[Atoms], *, batch_edges: int = 20_000, device: str = "cpu") -> Errors:
    """Ask the potential for every frame and set its answers beside the labels the frames carry.

    >>> from adiabat.data.structure import labeled
    >>> from adiabat.models import LennardJones
    >>> argon = Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"]))
    >>> from ase import Atoms
    >>> pair = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]])
    >>> close = errors(argon, [labeled(pair, energy=-0.0199, forces=np.zeros((2, 3)))]).to_json()
    >>> close["n_structures"], round(close["energy_mae_meV_per_atom"], 1), close["stress_mae_GPa"]
    (1, 5.5, None)
    """
    frames = list(frames)
    if not frames:
        raise ValueError("no frame came to test on; wanted labeled structures")
    frozen = potential.frozen()
    parts = [_compared(frozen, graph) for graph in batches(frames, potential.cutoff, batch_edges, device)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not (np.isfinite(found["energy_reference"]).any() or np.isfinite(found["force_reference"]).any()):
        raise ValueError(
            f"none of {len(frames)} frames has an energy or forces; wanted labeled structures: label them with `adiabat label`"
        )
    frame = np.repeat(np.arange(len(frames)), [len(a) for a in frames])
    return Errors([str(a.info.get("config_type") or NO_KIND) for a in frames], frame, **found)


def batches(frames: Sequence[Atoms], cutoff: float, batch_edges: int, device: str = "cpu") -> Iterator[Graph]:
    """Consecutive frames as graphs, as many together as the budget of edges allows; never more in memory than one batch."""
    held: list[Graph] = []
    for atoms in frames:
        graph = Graph.of(atoms, max(cutoff, 1e-3))
        if is_isolated(atoms):
            graph = graph.replace(inputs={})  # the spin of a lone atom is in its reference energy
        if held and sum(g.n_edges for g in held) + graph.n_edges > batch_edges:
            yield Graph.batch(held).to(device=device)
            held = []
        held.append(graph)
    yield Graph.batch(held).to(device=device)


def _compared(potential: Quick, graph: Graph) -> dict[str, np.ndarray]:
    said = potential(graph)
    natoms = torch.bincount(graph.structure, minlength=graph.n_structures)
    spread = said.outputs.get("forces_spread", torch.full((graph.n_atoms,), torch.nan))
    columns = {
        "energy_reference": _known(graph, "energy") / natoms,
        "energy_model": said.energy / natoms,
        "force_reference": _known(graph, "forces"),
        "force_model": said.forces,
        "stress_reference": torch.where(graph.volume.isfinite()[:, None, None], _known(graph, "stress"), torch.nan),
        "stress_model": said.stress,
        "spread": spread,
    }
    return {name: column.numpy(force=True).astype(float) for name, column in columns.items()}


def _known(graph: Graph, name: str) -> torch.Tensor:
    label = graph.labels[name]
    mask = label.mask.reshape(-1, *[1] * (label.value.dim() - 1))
    return torch.where(mask, label.value, torch.nan)


def _pairs(reference: np.ndarray, model: np.ndarray) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Labeled components, flat. A model's NaN is an error without end, not a missing label: it stays."""
    known = np.isfinite(reference)
    return reference[known], model[known]


def _mae(pairs: tuple[np.ndarray, np.ndarray], scale: float) -> float | None:
    reference, model = pairs
    return float(np.abs(model - reference).mean() * scale) if len(reference) else None


def _rmse(pairs: tuple[np.ndarray, np.ndarray], scale: float) -> float | None:
    reference, model = pairs
    return float(np.sqrt(((model - reference) ** 2).mean()) * scale) if len(reference) else None


def _r2(pairs: tuple[np.ndarray, np.ndarray]) -> float | None:
    """1 − Σ(model − reference)² / Σ(reference − mean)²."""
    reference, model = pairs
    spread = float(((reference - reference.mean()) ** 2).sum()) if len(reference) > 1 else 0.0
    return 1.0 - float(((model - reference) ** 2).sum()) / spread if spread > 1e-20 * len(reference) else None
