"""Faults to sow into sound sets: which set, the name of the finding, in words what is sown, how, and the frames it must name.

`python -m data.sown` (in tests/) writes what each gives into docs/data.md. The sets are our own: copper by EMT and the water molecule
of examples/water (PBE).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from adiabat.data.formats import read
from adiabat.data.gate import Finding, check
from adiabat.data.structure import labeled, labels
from adiabat.units import GPa, bohr, hartree, kbar, kcal_per_mol, kJ_per_mol, rydberg

EVERY = "every frame"
SET = ()  # a finding about the set as a whole names no frames


def emt(atoms: Atoms, **info) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = EMT()
    told = labeled(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress())
    told.info |= info
    return told


@functools.cache
def copper() -> list[Atoms]:
    """24 frames of dynamics of 32 atoms, 8 strained and rattled ones, 8 slabs."""
    crystal = bulk("Cu", cubic=True) * (2, 2, 2)
    rng = np.random.default_rng(3)
    moving = crystal.copy()
    moving.calc = EMT()
    MaxwellBoltzmannDistribution(moving, temperature_K=600, rng=rng)
    run = VelocityVerlet(moving, 2 * units.fs)
    frames = []
    for step in range(24):
        run.run(8)
        frames.append(emt(moving, config_type="md", trajectory="a", step=step, temperature_K=250 + 5 * step))
    for k in range(8):
        strained = crystal.copy()
        strained.rattle(0.1, rng=rng)
        strained.set_cell(strained.cell.array @ (np.eye(3) + 0.02 * rng.normal(size=(3, 3))), scale_atoms=True)
        frames.append(emt(strained, config_type="strained", temperature_K=100 + k))
    for k in range(8):
        slab = fcc111("Cu", (2, 2, 3), vacuum=7.0)
        slab.rattle(0.08, rng=rng)
        frames.append(emt(slab, config_type="slab", temperature_K=700 + k))
    for atoms in frames:
        atoms.info["adiabat"] = {"level_of_theory": "emt", "converged": True}
    return frames


@functools.cache
def nothing() -> list[Atoms]:
    """No frames: what every other set is told is not told of it."""
    return []


@functools.cache
def few() -> list[Atoms]:
    """24 rattled cells of 4 copper atoms."""
    return rattled(24)


@functools.cache
def many() -> list[Atoms]:
    """120 of them."""
    return rattled(120)


def rattled(n: int) -> list[Atoms]:
    rng = np.random.default_rng(7)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, rng=rng)
        frames.append(emt(atoms))
    return frames


@functools.cache
def alone() -> list[Atoms]:
    """One copper atom, three times."""
    return [labeled(Atoms("Cu", [[0.1 * k, 0, 0]]), energy=-0.1) for k in range(3)]


@functools.cache
def series() -> list[Atoms]:
    """A perfect crystal in tension, compression and shear: no force on any atom, so that only energies tell of the stress."""
    frames = []
    for axes, sizes in (
        ((0, 0), (-0.02, -0.01, 0.01, 0.02)),
        ((1, 2), (0.015, 0.03)),
        ((0, 2), (0.01, 0.02)),
        ((0, 1), (0.02, 0.04)),
    ):
        for size in sizes:
            strain = np.diag([0.0, 0.002, -0.003])
            strain[axes] = strain[axes[::-1]] = size
            atoms = bulk("Cu", cubic=True)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            frames.append(emt(atoms))
    return frames


@functools.cache
def water() -> list[Atoms]:
    """Molecules of our example, by PBE."""
    frames = read(Path(__file__).resolve().parents[2] / "examples" / "water" / "water.xyz")
    return (
        frames[:65] + frames[66:]
    )  # frame 65 is a find of its own: a molecule that dynamics crushed, 2.5 eV an atom above the rest


def with_labels(atoms: Atoms, **new) -> Atoms:
    told = labeled(atoms, **(labels(atoms) | new))
    return told


def at(*ks: int) -> Callable:
    """Change these frames by a function of one frame."""

    def sow(change):
        return lambda frames: [change(a) if k in ks else a for k, a in enumerate(frames)]

    return sow


def all_labels(name: str, size: float):
    return lambda frames: [with_labels(a, **{name: labels(a)[name] * size}) if name in labels(a) else a for a in bare(frames)]


def bare(frames):
    """As read from somebody's file: no record of ours."""
    copies = [with_labels(a) for a in frames]
    for a in copies:
        a.info.pop("adiabat", None)
    return copies


def info(**new):
    def change(a):
        a = with_labels(a)
        a.info |= new
        return a

    return change


def moved(a: Atoms, **new) -> Atoms:
    """With atom 1 put `distance` Å from atom 0."""
    b = a.copy()
    b.positions[1] = b.positions[0] + [0, 0, new["distance"]]
    return labeled(b, **labels(a))


def without(name):
    def change(a):
        return labeled(a, **{k: v for k, v in labels(a).items() if k != name})

    return change


def pushed(size):
    def change(a):
        return with_labels(a, forces=labels(a)["forces"] + size)

    return change


def twisted(a):
    r = a.positions - a.positions.mean(axis=0)
    extra = np.cross(r, [0.3, 0.2, 0.5])
    return with_labels(a, forces=labels(a)["forces"] + extra - extra.mean(axis=0))


def stress_of(change):
    return lambda a: with_labels(a, stress=change(labels(a)["stress"]))


def emptied(atoms: Atoms) -> Atoms:
    return Atoms(cell=atoms.cell, pbc=atoms.pbc, info=atoms.info)


def nan(a):
    forces = labels(a)["forces"].copy()
    forces[2, 1] = np.nan
    return with_labels(a, forces=forces)


def flat(a):
    b = a.copy()
    b.cell[2] = 0
    return labeled(b, **labels(a))


def no_pbc(a):
    b = a.copy()
    b.pbc = False
    return labeled(b, **{k: v for k, v in labels(a).items() if k != "stress"})


def left_handed(a):
    b = a.copy()
    b.set_cell(b.cell.array[[1, 0, 2]])
    return labeled(b, **{k: v for k, v in labels(a).items() if k != "stress"})


def in_bohr(a):
    b = a.copy()
    b.set_cell(b.cell / bohr, scale_atoms=True)
    return labeled(b, **labels(a))


def turned(a):
    """The same crystal with its axes renamed and its atoms in another order."""
    axes, order = [1, 2, 0], np.arange(len(a))[::-1]
    b = Atoms(a.numbers[order], a.positions[order][:, axes], cell=a.cell.array[:, axes], pbc=True)
    s = a.get_stress(voigt=False)[np.ix_(axes, axes)]
    told = labeled(
        b, energy=labels(a)["energy"], forces=labels(a)["forces"][order][:, axes], stress=s.ravel()[[0, 4, 8, 5, 2, 1]]
    )
    told.info |= a.info
    return told


def nudged(a, by=0.0003):
    b = a.copy()
    b.rattle(by, seed=5)
    return emt(b, **{k: v for k, v in a.info.items() if k not in ("trajectory", "step")})


def fixed(a):
    from ase.constraints import FixAtoms

    b = with_labels(a)
    forces = labels(a)["forces"].copy()
    forces[:4] = 0
    forces[4:] -= forces.sum(axis=0) / len(forces[4:])
    b = with_labels(a, forces=forces)
    b.set_constraint(FixAtoms(indices=range(4)))
    return b


def stale(a):
    b = with_labels(a)
    b.positions[0, 0] += 0.1
    return b


def thin(a):
    b = a.copy()
    b.cell[2, 2] -= 7.0
    return emt(b, **a.info)


def gone(a):
    b = a.copy()
    b.cell[2, 2] += 12.0
    b.positions[11, 2] = b.positions[:, 2].max() + 11.0
    return labeled(b, **labels(a))


def slipped(frames):
    """Frame 33's forces and stress stand beside frame 34, too."""
    told = labels(frames[33])
    return [with_labels(a, forces=told["forces"], stress=told["stress"]) if k == 34 else a for k, a in enumerate(frames)]


def leaked(frames, sides=("train", "test")):
    copy = [info(split=sides[k >= 32])(a) for k, a in enumerate(frames)]
    return [*copy, info(split=sides[1])(turned(frames[25]))]


def shares(frames):
    """16 : 3 : 1 of dynamics, strained cells and slabs."""
    return [*frames[:24], *(info(config_type="md")(nudged(a, 0.05)) for a in frames[:24]), *frames[24:31], *frames[32:34]]


def another_record(a):
    return info(adiabat={"level_of_theory": "emt", "energy": labels(a)["energy"] + 0.1})(a)


def nearly_leaked(frames):
    sides = [info(split="train" if k < 32 else "test")(a) for k, a in enumerate(frames)]
    return [*sides, info(split="test")(nudged(frames[25]))]


def silvered(a):
    b = a.copy()
    b.symbols[0] = "Ag"
    return emt(b, **a.info)


def half_silver(a):
    b = a.copy()
    b.symbols[::2] = "Ag"
    return emt(b)


def lifted(a):
    return with_labels(a, energy=labels(a)["energy"] + 3.0 * len(a))


def higher(by: float):
    return lambda a: with_labels(a, energy=labels(a)["energy"] + by)


def every(change):
    return lambda frames: [change(a) for a in frames]


def again(change):
    return lambda frames: [*frames, change(frames[25])]


def cut_in_two(frames):
    return [info(split="test" if k > 11 else "train")(a) for k, a in enumerate(frames)]


def flat_energy(frames):
    return [with_labels(a, energy=-3.0 * len(a)) for a in frames[:24]]


UNCONVERGED = info(adiabat={"level_of_theory": "emt", "converged": False})
OTHER = info(adiabat={"level_of_theory": "lda"})


class Sown(NamedTuple):
    """`told` is the finding's name, and behind a colon what tells rows of one name apart; `frames` are those that must be named, EVERY or
    none (SET)."""

    which: str
    told: str
    words: str
    sow: Callable[[list[Atoms]], list[Atoms]]
    frames: Any

    @property
    def name(self) -> str:
        return self.told.partition(": ")[0]


SOWN = [
    Sown(*row)
    for row in (
        ("copper", "stale labels", "an atom moved by 0.1 Å after labeling", at(5)(stale), [5]),
        ("copper", "no atoms", "a frame whose atoms got lost", at(6)(emptied), [6]),
        ("copper", "not finite", "a NaN among the forces", at(7)(nan), [7]),
        ("copper", "shape", "a stress of five numbers", at(3)(stress_of(lambda s: s[:5])), [3]),
        ("copper", "missing energy", "energies taken away, all", every(without("energy")), EVERY),
        ("copper", "missing forces", "forces taken away from two frames", at(4, 9)(without("forces")), [4, 9]),
        ("copper", "missing stress", "a stress taken away", at(1)(without("stress")), [1]),
        ("copper", "unconverged", "`converged: False` in two records", at(2, 30)(UNCONVERGED), [2, 30]),
        ("copper", "foreign record", "a record that tells another energy", at(12)(another_record), [12]),
        ("copper", "zero forces", "zeros in place of forces", at(8)(lambda a: with_labels(a, forces=0 * labels(a)["forces"])), [8]),
        ("copper", "constrained forces", "zeros on the fixed atoms of two slabs", at(33, 35)(fixed), [33, 35]),
        ("copper", "labels of another frame", "forces and stress of the frame before", slipped, [33, 34]),
        ("copper", "mixed levels of theory", "two frames that state another level", at(10, 20)(OTHER), [10, 20]),
        ("water", "energy offset", "20 of 78 molecules 20 eV an atom lower", at(*range(5, 25))(higher(-60.0)), list(range(5, 25))),
        ("water", "impossible state", "ten electrons as a doublet", at(6)(info(charge=0, multiplicity=2)), [6]),
        ("water", "mixed states", "a cation among neutral molecules", at(6)(info(charge=1, multiplicity=2)), [6]),
        ("water", "units of energy: hartree", "energies in hartree", all_labels("energy", 1 / hartree), SET),
        ("water", "units of energy: kcal/mol", "energies in kcal/mol", all_labels("energy", 1 / kcal_per_mol), SET),
        ("water", "units of energy: kJ/mol", "energies in kJ/mol", all_labels("energy", 1 / kJ_per_mol), SET),
        ("copper", "energies against forces: hartree", "energies in hartree beside eV/Å", all_labels("energy", 1 / hartree), SET),
        ("copper", "energies against forces: rydberg", "energies in rydberg beside eV/Å", all_labels("energy", 1 / rydberg), SET),
        ("copper", "energies against forces: kcal/mol", "energies in kcal/mol beside eV/Å", all_labels("energy", 1 / kcal_per_mol), SET),
        ("copper", "energies against forces: gradients", "gradients given as forces", all_labels("forces", -1), SET),
        ("copper", "energies against forces: hartree/bohr", "forces in hartree/bohr beside eV", all_labels("forces", bohr / hartree), SET),
        ("copper", "units of forces: hartree/bohr", "forces in hartree/bohr", all_labels("forces", bohr / hartree), SET),
        ("copper", "units of forces: kcal/mol/Å", "forces in kcal/mol/Å", all_labels("forces", 1 / kcal_per_mol), SET),
        ("water", "units of forces: hartree/bohr", "forces in hartree/bohr", all_labels("forces", bohr / hartree), SET),
        ("copper", "units of length", "positions and cells in bohr", every(in_bohr), SET),
        ("copper", "stress sign", "stresses positive under compression", all_labels("stress", -1), EVERY),
        ("copper", "units of stress: kbar", "stresses in kbar", all_labels("stress", 1 / kbar), EVERY),
        ("copper", "stress order: VASP's", "stresses as xx yy zz xy yz zx", every(stress_of(lambda s: s[[0, 1, 2, 5, 3, 4]])), EVERY),
        ("copper", "net force", "0.2 eV/Å too much along each axis on every atom", at(0, 17)(pushed(0.2)), [0, 17]),
        ("water", "net torque", "forces that turn a molecule", at(11)(twisted), [11]),
        ("copper", "energy jumps", "one frame of a run 2 eV higher", at(14)(higher(2.0)), [14]),
        ("copper", "cell", "a third cell vector of zero", at(6)(flat), [6]),
        ("copper", "left-handed cell", "two cell vectors swapped", at(26)(left_handed), [26]),
        ("copper", "periodicity not set", "two crystals with `pbc` off", at(24, 27)(no_pbc), [24, 27]),
        ("copper", "mixed periodicity", "two crystals with `pbc` off", at(24, 27)(no_pbc), [24, 27]),
        ("copper", "thin vacuum", "7 Å between slabs", at(32, 36)(thin), [32, 36]),
        ("copper", "overlapping atoms", "two atoms 0.1 Å apart", at(13)(lambda a: moved(a, distance=0.1)), [13]),
        ("copper", "near contacts", "two copper atoms 1.0 Å apart", at(13)(lambda a: moved(a, distance=1.0)), [13]),
        ("copper", "lone atoms", "an atom that left its slab", at(39)(gone), [39]),
        ("copper", "contradicting labels", "a frame again with another energy", lambda f: [*f, higher(1.0)(f[3])], [40]),
        ("copper", "duplicates", "two frames again", lambda frames: [*frames, frames[3], frames[30]], [40, 41]),
        ("copper", "equivalent structures", "a frame again, axes and atoms in another order", again(turned), [40]),
        ("copper", "near duplicates", "a frame again, moved by 0.0003 Å", again(nudged), [40]),
        ("copper", "leakage", "a training frame, turned, in the test part", leaked, [40]),
        ("copper", "leakage along a trajectory", "one run cut in two parts", cut_in_two, [12]),
        ("copper", "energy outliers", "one frame 9 eV higher", at(14)(higher(9.0)), [14]),
        ("copper", "force outliers", "forces 40 times too large", at(29)(lambda a: with_labels(a, forces=labels(a)["forces"] * 40)), [29]),
        ("copper", "unbalanced kinds", "84, 12 and 4 % of three kinds", shares, [55, 56]),
        ("copper", "one temperature", "all frames of 300 K", every(info(temperature_K=300.0)), EVERY),
        ("copper", "narrow energies", "one energy for all frames of a run", flat_energy, EVERY),
        ("nothing", "elements", "copper cells put into an empty set", lambda frames: few(), SET),
        ("few", "no frames", "every frame taken away", lambda frames: [], SET),
        ("copper", "near leakage", "a training frame, moved by 0.0003 Å, in the test part", nearly_leaked, [40]),
        ("many", "rare elements", "one silver atom in one of 120 frames", at(7)(silvered), [7]),
        ("few", "reference energies", "copper and silver one to one in every frame", at(*range(24))(half_silver), SET),
        ("few", "reference-energy fit", "3 eV an atom too much in every other frame", at(*range(0, 24, 2))(lifted), SET),
        ("alone", "cutoff", "two crystals beside lone atoms", lambda frames: [*frames, *few()[:2]], SET),
        ("series", "stress sign: by energies", "stresses of a strain series positive under compression", all_labels("stress", -1), EVERY),
        ("series", "units of stress: by energies", "stresses of a strain series in GPa", all_labels("stress", 1 / GPa), EVERY),
        ("series", "stress order: by energies", "stresses of a strain series as xx yy zz xy yz zx",
         every(stress_of(lambda s: s[[0, 1, 2, 5, 3, 4]])), EVERY),
    )
]  # fmt: skip

SETS = {"copper": copper, "water": water, "few": few, "many": many, "alone": alone, "series": series, "nothing": nothing}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
BEGIN, END = "<!-- findings: written by `python -m data.sown` in tests/ -->", "<!-- end of findings -->"


@functools.cache
def before(which: str) -> frozenset[str]:
    """Names that the sound set has already."""
    return frozenset(f.name for f in check(SETS[which]()))


def found(row: Sown) -> list[Finding]:
    """The findings of this name once it is sown."""
    return [f for f in check(row.sow(SETS[row.which]())) if f.name == row.name]


def line(row: Sown, f: Finding) -> str:
    """A row of the page's table."""
    message = f.message if len(f.message) < 260 else f.message[:257] + "…"
    return f"| {f.name} | {f.grade} | {row.words} | {message} | {f.cure} |".replace("\n", " ")


def without_numbers(text: str) -> str:
    """The text with every number as #: digits at the end of a sum differ from machine to machine."""
    return re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", text)


def write() -> None:
    """Put the table into the page."""
    rows = [line(row, found(row)[0]) for row in SOWN]
    table = "\n".join(
        ["| finding | grade | what was done to a sound set | what is said | what to do |", "|---|---|---|---|---|", *rows]
    )
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write()
