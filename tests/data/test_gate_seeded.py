"""Faults sown into sound sets: each is named with exactly its frames, and none of the names is there before.

The sets are our own: copper by EMT (rattled, strained, along dynamics) and the water molecule of examples/water (PBE).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from adiabat.data.formats import read
from adiabat.data.gate import NAMES, check
from adiabat.data.gate.cures import cure
from adiabat.data.structure import labeled, labels
from adiabat.units import bohr, hartree, kbar, kcal_per_mol, kJ_per_mol, rydberg

EVERY = "every frame"
SET = ()  # a finding about the set as a whole names no frames


def emt(atoms: Atoms, **info) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = EMT()
    told = labeled(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress())
    told.info |= info
    return told


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def water(repository) -> list[Atoms]:
    frames = read(repository / "examples" / "water" / "water.xyz")
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


# set, name of the finding, how it is sown, the frames it must name
SOWN = [
    ("copper", "stale labels", at(5)(stale), [5]),
    ("copper", "not finite", at(7)(nan), [7]),
    ("copper", "shape", at(3)(stress_of(lambda s: s[:5])), [3]),
    ("copper", "missing energy", lambda frames: [without("energy")(a) for a in frames], EVERY),
    ("copper", "missing forces", at(4, 9)(without("forces")), [4, 9]),
    ("copper", "missing stress", at(1)(without("stress")), [1]),
    ("copper", "unconverged", at(2, 30)(info(adiabat={"level_of_theory": "emt", "converged": False})), [2, 30]),
    ("copper", "foreign record", at(12)(another_record), [12]),
    ("copper", "zero forces", at(8)(lambda a: with_labels(a, forces=0 * labels(a)["forces"])), [8]),
    ("copper", "constrained forces", at(33, 35)(fixed), [33, 35]),
    ("copper", "labels of another frame", slipped, [33, 34]),
    ("copper", "mixed levels of theory", at(10, 20)(info(adiabat={"level_of_theory": "lda"})), [10, 20]),
    ("water", "energy offset", at(*range(5, 25))(lambda a: with_labels(a, energy=labels(a)["energy"] - 60.0)), list(range(5, 25))),
    ("water", "impossible state", at(6)(info(charge=0, multiplicity=2)), [6]),
    ("water", "mixed states", at(6)(info(charge=1, multiplicity=2)), [6]),
    ("water", "units of energy: hartree", all_labels("energy", 1 / hartree), SET),
    ("water", "units of energy: kcal/mol", all_labels("energy", 1 / kcal_per_mol), SET),
    ("water", "units of energy: kJ/mol", all_labels("energy", 1 / kJ_per_mol), SET),
    ("copper", "energies against forces: hartree", all_labels("energy", 1 / hartree), SET),
    ("copper", "energies against forces: rydberg", all_labels("energy", 1 / rydberg), SET),
    ("copper", "energies against forces: kcal/mol", all_labels("energy", 1 / kcal_per_mol), SET),
    ("copper", "energies against forces: gradients", all_labels("forces", -1), SET),
    ("copper", "energies against forces: hartree/bohr", all_labels("forces", bohr / hartree), SET),
    ("copper", "units of forces: hartree/bohr", all_labels("forces", bohr / hartree), SET),
    ("copper", "units of forces: kcal/mol/Å", all_labels("forces", 1 / kcal_per_mol), SET),
    ("water", "units of forces: hartree/bohr", all_labels("forces", bohr / hartree), SET),
    ("copper", "units of length", lambda frames: [in_bohr(a) for a in frames], SET),
    ("copper", "stress sign", all_labels("stress", -1), EVERY),
    ("copper", "units of stress: kbar", all_labels("stress", 1 / kbar), EVERY),
    ("copper", "stress order: VASP's", lambda frames: [stress_of(lambda s: s[[0, 1, 2, 5, 3, 4]])(a) for a in frames], EVERY),
    ("copper", "net force", at(0, 17)(pushed(0.2)), [0, 17]),
    ("water", "net torque", at(11)(twisted), [11]),
    ("copper", "energy jumps", at(14)(lambda a: with_labels(a, energy=labels(a)["energy"] + 2.0)), [14]),
    ("copper", "cell", at(6)(flat), [6]),
    ("copper", "left-handed cell", at(26)(left_handed), [26]),
    ("copper", "periodicity not set", at(24, 27)(no_pbc), [24, 27]),
    ("copper", "mixed periodicity", at(24, 27)(no_pbc), [24, 27]),
    ("copper", "thin vacuum", at(32, 36)(thin), [32, 36]),
    ("copper", "overlapping atoms", at(13)(lambda a: moved(a, distance=0.1)), [13]),
    ("copper", "near contacts", at(13)(lambda a: moved(a, distance=1.0)), [13]),
    ("copper", "lone atoms", at(39)(gone), [39]),
    ("copper", "contradicting labels", lambda f: [*f, with_labels(f[3], energy=labels(f[3])["energy"] + 1)], [40]),
    ("copper", "duplicates", lambda frames: [*frames, frames[3], frames[30]], [40, 41]),
    ("copper", "equivalent structures", lambda frames: [*frames, turned(frames[25])], [40]),
    ("copper", "near duplicates", lambda frames: [*frames, nudged(frames[25])], [40]),
    ("copper", "leakage", leaked, [40]),
    ("copper", "leakage along a trajectory", lambda f: [info(split="test" if k > 11 else "train")(a) for k, a in enumerate(f)], [12]),
    ("copper", "energy outliers", at(14)(lambda a: with_labels(a, energy=labels(a)["energy"] + 9.0)), [14]),
    ("copper", "force outliers", at(29)(lambda a: with_labels(a, forces=labels(a)["forces"] * 40)), [29]),
    ("copper", "unbalanced kinds", shares, [55, 56]),
    ("copper", "one temperature", lambda frames: [info(temperature_K=300.0)(a) for a in frames], EVERY),
    ("copper", "narrow energies", lambda frames: [with_labels(a, energy=-3.0 * len(a)) for a in frames[:24]], EVERY),
]  # fmt: skip


@pytest.fixture(scope="module")
def before(copper, water):
    return {"copper": {f.name for f in check(copper)}, "water": {f.name for f in check(water)}}


@pytest.mark.parametrize("which, name, sow, frames", SOWN, ids=[f"{row[0]}: {row[1]}" for row in SOWN])
def test_what_is_sown_is_named_with_its_frames(which, name, sow, frames, before, request):
    sown = sow(request.getfixturevalue(which))
    name, _, _reading = name.partition(": ")
    assert name not in before[which]
    found = [f for f in check(sown) if f.name == name]
    assert len(found) == 1, [str(f) for f in check(sown)]
    wanted = list(range(len(sown))) if frames == EVERY else list(frames)
    if found[0].name in ("stress sign", "units of stress", "stress order") and which == "copper":
        wanted = [k for k in wanted if k < 32]  # the slabs are periodic in two directions and have no stress to judge
    assert found[0].frames == wanted
    assert found[0].message and found[0].cure and found[0].grade in ("fault", "warning", "note")


def test_at_least_25_kinds_are_sown_and_all_have_a_name():
    kinds = {name.partition(": ")[0] for _, name, _, _ in SOWN}
    assert kinds <= set(NAMES) and len(kinds) >= 25


def test_the_crushed_molecule_among_the_examples_is_named(repository):
    found = {f.name: f for f in check(read(repository / "examples" / "water" / "water.xyz"))}
    assert found["energy outliers"].frames == found["force outliers"].frames == [65]


def test_the_sound_sets_have_no_fault_and_no_warning(copper, water):
    assert {f.name for f in check(copper) if f.grade != "note"} == set()
    assert {f.name for f in check(water) if f.grade != "note"} == set()


def test_safe_cures_bring_back_the_labels(copper):
    """Signs, stress units and order are undone to the last digits, duplicates and broken frames are left out, and it is told."""
    sown = [stress_of(lambda s: -s / kbar)(with_labels(a, forces=-labels(a)["forces"])) for a in copper]
    told = cure(sown, check(sown))
    assert any("energies against forces: forces times -1" in line for line in told.done)
    told = cure(told.frames, check(told.frames))  # the stress is judged once the forces are right
    for mended, a in zip(told.frames, copper):
        np.testing.assert_allclose(mended.get_forces(), a.get_forces(), rtol=1e-12)
        if "stress" in labels(a) and a.pbc.all():
            np.testing.assert_allclose(labels(mended)["stress"], labels(a)["stress"], rtol=1e-12, atol=1e-15)
    sown = [*at(13)(lambda a: moved(a, distance=0.1))(copper), copper[3]]
    told = cure(sown, check(sown))
    assert told.kept == [k for k in range(40) if k != 13] and len(told.done) == 2
    assert not [f for f in check(told.frames) if f.grade == "fault"]


def test_crystals_rattled_alike_are_no_near_duplicates():
    """Sums over a large cell are nearly the same for every draw of one width; the atoms are 0.05 Å apart all the same."""
    perfect, rng = bulk("Cu") * (5, 5, 4), np.random.default_rng(0)
    frames = []
    for _ in range(60):
        atoms = perfect.copy()
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        frames.append(labeled(atoms, energy=-3.5 * len(atoms) + float(rng.normal())))
    assert not [f for f in check(frames) if f.name == "near duplicates"]
    assert [f.frames for f in check([*frames[:20], nudged_bare(frames[3])]) if f.name == "near duplicates"] == [[20]]


def nudged_bare(a):
    b = a.copy()
    b.rattle(0.0003, seed=5)
    return labeled(b, energy=a.get_potential_energy())
