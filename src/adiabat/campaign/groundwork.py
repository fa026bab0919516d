"""What a campaign labels before and beside its rounds: isolated atoms, the first frames, the test set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import BFGS

from adiabat.campaign.matter import Matter
from adiabat.campaign.options import Campaign
from adiabat.campaign.workshop import ByLabels, EnginePotential, Workshop, as_atoms, as_json
from adiabat.config import build
from adiabat.elements import symbol
from adiabat.labelers import LABELERS
from adiabat.samplers import md


class Groundwork:
    """Of one campaign; each of its stages is made once."""

    def __init__(self, campaign: Campaign, workshop: Workshop, matter: Matter) -> None:
        self.c, self.shop, self.matter = campaign, workshop, matter

    def reference_atoms(self, atoms: Atoms) -> list[Atoms]:
        """Labels of the isolated atoms, so that energies are counted from them."""
        kinds, stated = sorted(set(atoms.numbers.tolist())), self.shop.labeler.of_a_lone_atom
        lone = [Atoms(symbol(z), info={"config_type": "isolated_atom", **stated(z)}) for z in kinds]
        return self.shop.label(lone, "isolated_atom")

    def first_labels(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """Relaxation, varied copies, short hot dynamics: what the first committee learns from."""
        start, rng = self.c.start, np.random.default_rng(self.c.seed)
        labels: list[Atoms] = []
        if start.relax:
            atoms, labels = self.relaxed(atoms)
        for kind, frames in self.matter.first(atoms, start, rng).items():
            if frames:
                labels += self.shop.label(frames, kind)
        if start.hot:
            engine = EnginePotential(build(start.engine, LABELERS, where="start.engine"))
            sample = partial(self.by_dynamics, atoms, engine, [start.hot_temperature_K], start.hot, start.hot_every_fs, 1)
            hot = self.shop.stage("sample-hot", lambda: as_json(sample()))
            labels += self.shop.label(as_atoms(hot), "hot")
        return atoms, labels

    def relaxed(self, atoms: Atoms) -> tuple[Atoms, list[Atoms]]:
        """The nearest minimum by the reference engine's forces; every step is a label."""
        self.shop.say("relax", f"{atoms.get_chemical_formula()} by {self.shop.labeler.theory()}")
        engine = ByLabels(self.shop, "relax")
        here = atoms.copy()
        here.calc = engine
        if not BFGS(self.matter.movable(here), logfile=None).run(fmax=self.c.start.fmax_eV_per_angstrom, steps=50):
            self.shop.say(
                "relax",
                f"not at rest after 50 steps, forces are up to {np.abs(engine.results['forces']).max():.2g} eV/Å: the campaign goes on "
                "from there; give a structure that is nearer to rest, or raise start.fmax_eV_per_angstrom",
            )
        bare = here.copy()
        bare.calc = None
        return bare, engine.labeled

    def by_dynamics(
        self, atoms: Atoms, potential: Any, temperatures_K: Sequence[float], frames: int, every_fs: float, seed: int
    ) -> list[Atoms]:
        """Frames of dynamics, spread evenly over temperatures; each says its trajectory, so that a split keeps it together."""
        found: list[Atoms] = []
        for k, T in enumerate(temperatures_K):
            wanted = len(range(k, frames, len(temperatures_K)))
            rng = np.random.default_rng([self.c.seed, seed, k])
            dt = self.c.explore.timestep_fs
            for frame in md(
                atoms, potential, wanted, rng=rng, temperature_K=T, timestep_fs=dt, interval_fs=every_fs, friction_per_fs=0.05
            ):
                bare = positions_only(frame, atoms)
                bare.info |= {"trajectory": f"{seed}: {T:g} K", "step": round(frame.info["time_fs"] / dt)}
                found.append(bare)
        return found

    def test_set(self, atoms: Atoms, potential: Any) -> list[Atoms]:
        """The independent test set, from dynamics with `potential` (the cheap engine, or the learned one) at every temperature."""
        options, T = self.c.test, self.c.explore.temperatures_K
        sample = partial(self.by_dynamics, atoms, potential, T, options.frames, options.every_fs, 2)
        frames = self.shop.stage("sample-test", lambda: as_json(sample()))
        labeled = self.shop.label(as_atoms(frames), "test", keep=False)
        for a in labeled:
            a.info["config_type"] = "md " + a.info["trajectory"].split(": ", 1)[1]
        return labeled


def positions_only(atoms: Atoms, start: Atoms) -> Atoms:
    """A frame without velocities, with the magnetic moments from which its start's electrons were sought."""
    bare = Atoms(
        atoms.numbers,
        atoms.positions,
        cell=atoms.cell,
        pbc=atoms.pbc,
        info={k: v for k, v in atoms.info.items() if k in ("charge", "multiplicity")},
    )
    if start.has("initial_magmoms"):
        bare.set_initial_magnetic_moments(start.get_initial_magnetic_moments())
    return bare
