"""What the laws are held over: every registered family, a committee, and a sum of several terms, of oxygen and hydrogen.

A new family is here by its line in `MODELS`: with its default arguments, or with smaller ones from `SMALL`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list

from adiabat.graph import Graph
from adiabat.models import MODELS
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee

ELEMENTS = ["H", "O"]
E0 = {"H": -13.6, "O": -432.1}

# Arguments that make a family small, and give it neighbors at the distances of `cluster` and `crystal` (0.9 to 5 Å).
SMALL: dict[str, dict[str, object]] = {
    "lennard_jones": {"epsilon_eV": 0.05, "sigma_angstrom": 1.3, "cutoff": 3.5},
    "morse": {"minimum_angstrom": 1.3, "cutoff": 3.5},
    "zbl": {"reach": 2.0},
    "nep_zbl": {"inner": 0.8, "outer": 2.2},
    "bpnn": {"cutoff": 3.5, "radial": 4, "angular": 1, "zetas": [1.0, 4.0], "hidden": [6, 6]},
    "ace": {"cutoff": 3.0, "channels": 4, "l_max": 2, "correlation": 3, "radial": 4},
    # gelu: celu, the default, has a curvature that jumps, and the slope of a loss on forces jumps with it
    "ani": {
        "cutoff": 3.5,
        "angular_cutoff": 2.6,
        "radial": 4,
        "shells": 2,
        "sections": 2,
        "zeta": 14.1,
        "hidden": [6, 6],
        "activation": "gelu",
    },
    "mace": {"cutoff": 3.0, "channels": 4, "l_max": 2, "correlation": 2, "radial": [8]},
    "gap": {
        # Cutoff functions whose curvature jumps where no pair is: differences do not survive that.
        "soap": {"cutoff": 3.0, "transition_width": 2.9, "n_max": 3, "l_max": 2, "n_sparse": 4, "zeta": 2.0, "intervals": 1000},
        "two_body": {"cutoff": 3.4, "transition_width": 3.3, "n_sparse": 4},
    },
    "mtp": {"cutoff": 3.0, "radial": 4},
    "buckingham": {"A_eV": 200.0, "rho_angstrom": 0.3, "C_eV_angstrom6": 1.0, "cutoff": 3.5},
    "eam": {"cutoff": 3.5, "points": [8000, 701]},
    "snap": {"cutoff": 3.0, "twojmax": 4, "quadratic": True, "radii": {"H": 0.45, "O": 0.5}, "weights": {"O": 0.7}},
    "nep": {
        "cutoff": 3.5,
        "angular_cutoff": 2.8,
        "n_max": [2, 1],
        "basis_size": [4, 3],
        "neuron": 6,
        "l_max": 3,
        "products": ["222", "112"],
    },
    "pace": {"cutoff": 3.0, "radial": 4, "n_max": 2, "l_max": 1},
    "painn": {"cutoff": 3.0, "channels": 8, "radial": 8},
    "deeppot": {
        "cutoff": 3.0,
        "smooth_from": 1.2,
        "neurons": [3, 6, 12],
        "axis_neurons": 3,
        "fitting": [8, 8],
        "embedding_dt": True,
    },
}

# A family's other kinds: what differs from its small one.
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "pace, four factors, two densities": ("pace", {"n_max": 1, "l_max": 2, "factors": 4, "densities": 2}),
    "lennard_jones, shifted": (
        "lennard_jones",
        {"fade": "shifted", "pairs": {"H-O": {"sigma_angstrom": 1.2, "cutoff": 3.0}, "O-O": {"epsilon_eV": 0.08}}},
    ),
    "lennard_jones, learned": ("lennard_jones", {"learn": True, "fade": "shifted"}),
    "morse, learned": ("morse", {"learn": True, "pairs": {"H-O": {"depth_eV": 0.7, "cutoff": 3.0}}}),
    "buckingham, learned": ("buckingham", {"learn": True}),
    "eam, learned": ("eam", {"learn": True, "knots": 5}),
    "zbl, switched": ("zbl", {"inner": 1.0, "outer": 2.2}),
    "deeppot, distances": ("deeppot", {"descriptor": "se_e2_r", "type_one_side": True}),
    "deeppot, hybrid": (
        "deeppot",
        {"descriptor": [{"descriptor": "se_e3", "neurons": [2, 4]}, {"descriptor": "se_e2_r", "cutoff": 3.4}]},
    ),
}


def family(name: str, seed: int = 0, **others: object) -> Model:
    """A member of a registered family, prepared as training would prepare it."""
    make = MODELS[name]
    arguments = {"elements": ELEMENTS, **SMALL.get(name, {}), **others}
    if "elements" not in inspect.signature(make).parameters:
        del arguments["elements"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make(**arguments).to(torch.float64)
    model.prepare([Graph.of(atoms, max(model.cutoff, 0.1)) for atoms in (cluster(), crystal())])
    return model


def several(seed: int = 0) -> Potential:
    """Terms with different cutoffs: the shorter ones see edges beyond their own."""
    learned = Scaled(family("bpnn", seed), eV=2.5)
    return Potential(ReferenceEnergies(E0), learned, family("zbl"), family("morse")).to(torch.float64)


# Every kind of function a list may hold, each faded out smoothly; some elements have fewer
LISTED = [
    {"kind": "radial", "neighbors": ["O"], "cutoff": 3.5, "eta": 0.9, "shift": 1.1, "fade": "tanh"},
    {"kind": "radial", "neighbors": [], "cutoff": 3.0, "eta": 0.3, "inner": 0.3},
    {"kind": "wide", "neighbors": ["H", "O"], "cutoff": 3.2, "eta": 0.1, "zeta": 2.5, "lambd": -1.0, "fade": "poly2"},
    {"kind": "narrow", "neighbors": ["H", "H"], "cutoff": 3.4, "eta": 0.05, "shift": 0.4, "fade": "exp"},
    {"kind": "narrow", "neighbors": [], "cutoff": 2.9, "start": -2.9, "angles": [0.9, 2.7], "fade": "poly3"},
    {
        "kind": "wide",
        "neighbors": ["O", "O"],
        "cutoff": 3.3,
        "start": 0.6,
        "asymmetric": True,
        "angles": [1.6, 4.683185307],
        "fade": "poly2",
    },
]


def listed(seed: int = 0) -> Model:
    """Behler–Parrinello networks on such a list."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        functions = {"O": LISTED, "H": LISTED[:3]}
        model = MODELS["bpnn"](elements=ELEMENTS, functions=functions, hidden=[5], activations=["softplus"]).to(torch.float64)
    model.prepare([Graph.of(atoms, model.cutoff) for atoms in (cluster(), crystal())])
    return model


POTENTIALS: dict[str, Callable[[], Potential]] = {
    **{name: lambda name=name: Potential(ReferenceEnergies(E0), family(name)) for name in MODELS},
    **{
        kind: lambda name=name, others=others: Potential(ReferenceEnergies(E0), family(name, **others))
        for kind, (name, others) in KINDS.items()
    },
    "listed functions": lambda: Potential(ReferenceEnergies(E0), listed()),
    "several terms": several,
    "committee": lambda: Committee.of([several(seed) for seed in (1, 2, 3)]),
}


@cache
def cluster(seed: int = 1) -> Atoms:
    """Seven atoms, no cell."""
    return _scattered(Atoms("O2H5"), np.zeros((3, 3)), 4.0 * np.eye(3) * 0.8, seed)


@cache
def crystal(seed: int = 2) -> Atoms:
    """Nine atoms in a skewed cell; some heights of the cell are near the cutoffs, so that atoms see their own images."""
    box = np.array([[3.9, 0.1, 0.0], [1.1, 3.6, 0.2], [-0.6, 0.9, 3.4]])
    return _scattered(Atoms("O3H6"), box, box, seed)


def _scattered(atoms: Atoms, cell: np.ndarray, within: np.ndarray, seed: int) -> Atoms:
    """Atoms at random places, no two nearer than 0.9 Å."""
    rng = np.random.default_rng(seed)
    pbc = bool(cell.any())
    placed = Atoms(cell=cell, pbc=pbc)
    for number in atoms.numbers:
        for _ in range(10_000):
            trial = placed + Atoms([number], [rng.random(3) @ within], cell=cell, pbc=pbc)
            if not len(neighbor_list("i", trial, 0.9)):
                placed = trial
                break
        else:
            raise AssertionError("no room")
    return placed


def graph_of(potential: Potential, atoms: Atoms | list[Atoms], skin: float = 0.0) -> Graph:
    return Graph.of(atoms, max(potential.cutoff, 0.1), skin=skin)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Equal to `tolerance` of the larger numbers' size; the default leaves room for sums in another order."""
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    assert a.shape == b.shape, f"{tuple(a.shape)} and {tuple(b.shape)}"
    size = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    worst = float((a - b).abs().max()) if b.numel() else 0.0
    assert worst <= tolerance * size, f"differ by {worst:.3g}, allowed {tolerance * size:.3g}"
