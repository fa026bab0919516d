"""Real LAMMPS with our pair style: what the ASE calculator says, it says; and what it cannot do, it refuses in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet

from adiabat.deploy import lammps
from adiabat.deploy.export import export
from adiabat.deploy.lammps import files, program
from adiabat.deploy.lammps.run import run, setup, single_point, style
from adiabat.graph import Graph
from adiabat.kernels import evaluation
from adiabat.models import ZBL, Morse
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee, with_variance
from adiabat.validation.parity import parity
from laws.potentials import E0, ELEMENTS, POTENTIALS, SMALL, cluster, crystal, family, several

pytest.importorskip("lammps", reason="LAMMPS is not installed: pip install 'adiabat[md]'")
pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler")

SYMBOLS = ["Cu", "Ag"]


def alloy() -> Potential:
    """Soft Morse bonds between copper and silver, with a wall."""
    return Potential(
        ReferenceEnergies({"Cu": -3.5, "Ag": -2.9}), ZBL(elements=SYMBOLS), Morse(0.34, 1.36, 2.8, cutoff=5.0, elements=SYMBOLS)
    )


def solid() -> Atoms:
    atoms = bulk("Cu", a=3.8, cubic=True) * (2, 2, 2)
    atoms.numbers[::3] = 47
    atoms.rattle(0.05, seed=3)
    return atoms


def warm(atoms: Atoms, temperature_K: float) -> None:
    width = np.sqrt(atoms.get_masses() * units.kB * temperature_K)[:, None]
    atoms.set_momenta(width * np.random.default_rng(1).normal(size=(len(atoms), 3)))


def with_wall(name: str, seed: int = 0, **arguments) -> Potential:
    """A family beside terms with other cutoffs."""
    return Potential(
        ReferenceEnergies(E0), ZBL(elements=ELEMENTS), Scaled(family(name, seed, **arguments), eV=0.3), family("morse")
    )


def bayesian() -> Potential:
    """Of which LAMMPS is told the energies alone."""
    return Potential(ReferenceEnergies(E0), Scaled(family("ace", variance=True), eV=0.3))


# A GAP of all kinds of kernels: several compiled evaluators, two of them for the same pair.
KERNELS = {
    "soap": [
        {"center": "H", **SMALL["gap"]["soap"]},
        {"center": "O", **SMALL["gap"]["soap"], "cutoff": 2.6, "transition_width": 2.5, "nu_s": 1},
        {"center": "O", **SMALL["gap"]["soap"], "mixing": {"channels": 3, "symmetric": True}},
    ],
    "two_body": [
        {"pair": pair, "cutoff": cutoff, "n_sparse": 3}
        for pair, cutoff in ((["O", "H"], 3.3), (["O", "H"], 2.4), (["H", "H"], 3.1))
    ],
    "three_body": {"cutoff": 2.7, "n_sparse": 3},
    "soap_turbo": {
        "cutoff": 3.0,
        "transition_width": 0.6,
        "n_max": 2,
        "l_max": 2,
        "n_sparse": 3,
        "zeta": 2.0,
        "compression": "trivial",
    },
}
FAMILIES = {
    **POTENTIALS,
    "ani": lambda: with_wall("ani", activation="celu"),  # ANI's own activation; the laws' one has no compiled form
    "gap": lambda: with_wall("gap"),
    "gap of all kernels": lambda: with_wall("gap", **KERNELS),
    "gap with its variance": lambda: with_variance(with_wall("gap")),
    "linear with its variance": bayesian,
    "committee of gaps": lambda: Committee.of([with_wall("gap", seed) for seed in range(2)]),
    "learned reference energies": lambda: learned_along(0),
    "committee of learned reference energies": lambda: Committee.of([learned_along(seed) for seed in range(2)]),
    "committee of processes on other points": lambda: Committee.of([several_points(seed) for seed in range(2)]),
}
WITHOUT = {
    "deeppot, gelu": ("compiled are fitting networks of tanh", lambda: with_wall("deeppot", fitting_activation="gelu")),
    "ani, gelu": ("compiled are networks of one depth with celu; these have gelu", POTENTIALS["ani"]),
    "gap, a root": ("kernels with ζ from 1 on", lambda: with_wall("gap", soap={**SMALL["gap"]["soap"], "zeta": 0.5})),
    "far": (
        "far: no compiled evaluator computes it here .it is no sum over neighbors",
        lambda: Potential(*several().terms, Far()),
    ),
    "stiffer": ("its class changes what its family computes", lambda: Potential(Stiffer(elements=["H", "O"]))),
}


def learned_along(seed: int) -> Potential:
    """As pair potentials and EAM are trained where no isolated atom states its energy."""
    along = ReferenceEnergies(dict.fromkeys(ELEMENTS, 0.0), learn=True)
    torch.nn.init.uniform_(along.added, 0.1, 0.5, generator=torch.Generator().manual_seed(seed))
    return Potential(ReferenceEnergies(E0), family("morse", learn=True), along)


def several_points(seed: int) -> Potential:
    potential = with_wall("gap", seed)
    potential.terms[2].model.kernels[0].points.add_(0.1 * seed)
    return potential


class Far(Model):
    """A global term."""

    name, is_global = "far", True

    def forward(self, graph: Graph) -> dict:
        return {"energy": graph.positions.new_zeros(graph.n_structures)}


class Stiffer(Morse):
    """Another function than the one whose program it inherits."""

    def forward(self, graph: Graph) -> dict:
        return {"energies": 2 * super().forward(graph)["energies"]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lammps") / "alloy"
    export(alloy(), "lammps", folder)
    return folder


@pytest.mark.parametrize("name", sorted({*FAMILIES} - {*WITHOUT}))
def test_energy_forces_and_pressure_of_every_family_are_those_of_ase(name, exported, tmp_path):
    potential = FAMILIES[name]()
    files.write(potential, tmp_path)
    shutil.copyfile(exported / "adiabatplugin.so", tmp_path / "adiabatplugin.so")  # the same for all; compiling takes seconds
    # A molecule; a skewed cell, turned to no axis, in which atoms see their own images.
    turned = crystal().copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    found = parity(potential, tmp_path, [cluster(), turned])
    assert found.passed, found.failures
    assert found.checks["parity_forces"].value < 1e-8  # meV/Å: rounding alone


@pytest.mark.parametrize("name", WITHOUT)
def test_a_potential_without_a_compiled_form_is_refused_by_its_reason(name, tmp_path):
    message, made = WITHOUT[name]
    with pytest.raises(lammps.NotCompiled, match=message):
        export(made(), "lammps", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_members_that_are_linear_in_what_they_differ_in_are_exported_as_one():
    one, together, apart = (
        len(list(files.evaluators(FAMILIES[name]())))
        for name in ("gap", "committee of gaps", "committee of processes on other points")
    )
    assert together == one < apart


def test_a_folder_may_have_blanks_in_its_name(exported, tmp_path):
    place = tmp_path / "my potentials" / "copper and silver"
    shutil.copytree(exported, place)
    assert single_point(place, solid()).energy == single_point(exported, solid()).energy


def test_any_number_of_threads_says_the_same_bits(exported, tmp_path, monkeypatch):
    atoms = solid()
    said = []
    for threads in (1, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        said.append(single_point(exported, atoms))
    assert all(s.energy == said[0].energy and np.array_equal(s.forces, said[0].forces) for s in said)


def test_an_export_that_differs_leaves_the_earlier_one_as_it_was(exported, tmp_path):
    place = tmp_path / "alloy"
    shutil.copytree(exported, place)
    before = {path.name: path.read_bytes() for path in place.iterdir()}

    def differs(folder):
        assert (folder / "potential.bin").exists()
        raise ValueError("both sides differ")

    with pytest.raises(ValueError, match="both sides differ"):
        export(alloy(), "lammps", place, overwrite=True, check=differs)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["alloy"]
    told = export(alloy(), "lammps", place, overwrite=True, check=lambda folder: "equal")
    assert told["check"] == "equal" and str(place.resolve()) in (place / "in.adiabat").read_text()


def test_a_primitive_cell_sees_its_images(exported):
    atoms = bulk("Cu", a=3.7)
    said = single_point(exported, atoms)
    atoms.calc = alloy().calculator()
    assert said.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert said.stress == pytest.approx(atoms.get_stress(voigt=False), rel=2e-7, abs=1e-9)  # LAMMPS' pressure unit has 7 digits


def in_lammps(folder: Path, atoms: Atoms, here: Path, commands: str, **options) -> str:
    return run(setup(atoms, here) + style(folder, atoms) + velocities(atoms) + commands, here, **options)


def velocities(atoms: Atoms) -> str:
    """As LAMMPS sets them, Å/ps."""
    rows = enumerate(atoms.get_velocities() * units.fs * 1000)
    return "".join(f"set atom {k + 1} vx {x:.17g} vy {y:.17g} vz {z:.17g}\n" for k, (x, y, z) in rows)


def table(log: str) -> np.ndarray:
    """The rows of the last thermo table."""
    lines = log.splitlines()
    head = max(k for k, line in enumerate(lines) if line.split()[:1] == ["Step"])
    end = next(k for k in range(head, len(lines)) if lines[k].startswith("Loop time"))
    return np.array([line.split() for line in lines[head + 1 : end]], float)


@pytest.mark.parametrize("newton", ["on", "off"])
def test_half_a_list_and_a_whole_one_say_the_same(newton, exported, tmp_path):
    """Terms that take each pair once get half a list, which LAMMPS has in one piece with `newton on` alone; lists are made anew underway."""
    assert all(hasattr(it.library, "evaluate_images") for it in files.evaluators(alloy()))
    atoms = solid()
    warm(atoms, 1500)
    commands = "neighbor 0.3 bin\nthermo_modify format float %25.16e\nthermo 20\nfix 1 all nve\ntimestep 0.001\nrun 100\n"
    said = table(
        run(f"newton {newton}\n" + setup(atoms, tmp_path) + style(exported, atoms) + velocities(atoms) + commands, tmp_path)
    )
    wanted = table(in_lammps(exported, atoms, tmp_path, commands))
    assert said[-1][2] != said[0][2]
    np.testing.assert_allclose(said, wanted, rtol=1e-8, atol=1e-8)  # chaos makes 1e-16 grow


def test_newton_s_equations_go_the_same_way_as_in_ase(exported, tmp_path):
    atoms = solid()
    warm(atoms, 600)
    log = in_lammps(
        exported, atoms, tmp_path,
        "timestep 0.002\nthermo_style custom step pe etotal press temp\nthermo_modify format float %20.14g\nthermo 10\n"
        "neighbor 0.4 bin\nneigh_modify every 1 delay 0 check yes\nfix 1 all nve\nrun 200\n"
        "write_dump all custom last id xu yu zu modify sort id format float %20.14g\n",
    )  # fmt: skip
    rows = table(log)
    # 32 atoms at 300 K after equipartition: the wiggle of 2 fs steps is far below a meV an atom, and there is no slope.
    assert np.abs(np.diff(rows[:, 2][[0, -1]])).max() / len(atoms) < 2e-4
    ours = solid()
    ours.set_velocities(atoms.get_velocities())
    ours.calc = alloy().calculator()
    VelocityVerlet(ours, timestep=2 * units.fs).run(200)
    last = np.loadtxt(tmp_path / "last", skiprows=9)[:, 1:]
    # Rounding of 1e-15, and of the constants that turn eV/Å/amu into accelerations (seven digits in LAMMPS), grows with time.
    assert np.abs(last - ours.positions).max() < 1e-4
    assert rows[-1, 1] == pytest.approx(ours.get_potential_energy(), abs=1e-4)


def test_a_barostat_meets_the_pressure_it_is_told(exported, tmp_path):
    atoms = solid()
    warm(atoms, 300)
    log = in_lammps(
        exported, atoms, tmp_path,
        "timestep 0.002\nthermo_style custom step econserve vol pe press lx ly lz\nthermo_modify format float %20.14g\nthermo 20\n"
        "fix 1 all npt temp 300 300 0.1 aniso 0 0 0.5\nrun 600\n"
        "write_dump all custom last id type xu yu zu modify sort id format float %20.14g\n",
    )  # fmt: skip
    rows = table(log)
    # What the barostat conserves holds only if virial and forces belong to one energy: the work on the cell is counted with the one,
    # the motion of the atoms with the other. The cell has changed by percents on the way.
    assert np.ptp(rows[:, 2]) / rows[0, 2] > 0.01
    assert np.ptp(rows[:, 1]) / len(atoms) < 2e-3
    last = solid()
    last.set_cell(rows[-1, 5:8], scale_atoms=False)
    last.positions = np.loadtxt(tmp_path / "last", skiprows=9)[:, 2:]
    last.calc = alloy().calculator()
    assert rows[-1, 3] == pytest.approx(last.get_potential_energy(), abs=1e-6)


def test_several_ranks_are_refused(exported, tmp_path):
    with pytest.raises(lammps.NoLAMMPS, match="runs on one MPI rank, 2 came"):
        in_lammps(exported, solid(), tmp_path, "run 0\n", ranks=2)


@pytest.mark.parametrize(
    "change, message",
    [
        (("units metal", "units real"), "needs 'units metal', not 'real'"),
        (("atom_modify map yes\n", ""), "needs 'atom_modify map yes'"),
        (("Cu Ag", "Cu Xe"), "has not seen Xe; it knows Cu Ag"),
        (("Cu Ag", "Cu Copper"), "'Copper' for atom type 2 is no element"),
        (("Cu Ag", "Cu"), "an element for each of 2 atom types"),
        (("pair_style adiabat", "pair_style adiabat fast"), "takes no argument, 'fast' came"),
        (("run 0", "compute s all stress/atom NULL\ndump 1 all custom 1 d c_s[1]\nrun 0"), "no stress of single atoms"),
    ],
)
def test_wrong_usage_is_told(exported, tmp_path, change, message):
    atoms = solid()
    text = setup(atoms, tmp_path) + style(exported, atoms) + "run 0\n"
    assert change[0] in text
    with pytest.raises(lammps.NoLAMMPS, match=message.replace("(", r"\(")):
        run(text.replace(*change), tmp_path)


def test_a_damaged_folder_is_refused(exported, tmp_path):
    for name in ("potential.bin", next(p.name for p in exported.glob("*.so") if p.name != "adiabatplugin.so")):
        folder = tmp_path / name
        shutil.copytree(exported, folder)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(lammps.NoLAMMPS, match=r"damaged|not the library that was exported"):
            single_point(folder, solid())
    newer = tmp_path / "newer"
    shutil.copytree(exported, newer)
    content = bytearray((newer / "potential.bin").read_bytes())
    content[8] = 9
    (newer / "potential.bin").write_bytes(content)
    with pytest.raises(lammps.NoLAMMPS, match="format version 9, this plugin reads 1"):
        single_point(newer, solid())


def test_parity_finds_a_folder_of_another_potential(exported):
    other = Potential(*alloy().terms[:2], Morse(0.35, 1.36, 2.8, cutoff=5.0, elements=SYMBOLS))
    found = parity(other, exported, [solid()])
    assert {check.name for check in found.failures} == {"parity_energy", "parity_forces", "parity_stress"}


def test_what_is_not_compiled_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    with pytest.raises(lammps.NotCompiled, match="from Python"):
        export(alloy(), "lammps", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="any element"):
        export(Potential(Morse()), "lammps", tmp_path / "out")


@pytest.mark.parametrize("name, header", [("Input", "walk.h"), ("Call", "call.h")])
def test_structs_are_declared_alike_on_both_sides(name, header):
    """What the plugin hands over is what the libraries read; another layout needs another format version."""

    def fields(path: Path) -> list[str]:
        body = re.search(rf"struct {name} {{(.*?)}};", path.read_text(), re.DOTALL)[1]
        return re.sub(r"//.*", "", body).split()

    kernels, plugin = Path(evaluation.__file__).parent, Path(program.__file__).parent
    assert fields(kernels / header) == fields(plugin / "runtime.h") != []


def test_an_export_is_replaced_only_when_asked(exported, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        export(alloy(), "lammps", tmp_path / "mine", overwrite=True)
    with pytest.raises(FileExistsError, match="--overwrite"):
        export(alloy(), "lammps", exported)
    assert (tmp_path / "mine" / "thesis.tex").exists()


EXTERNAL = """
import sys
import numpy as np
from pathlib import Path
from deploy.test_lammps import alloy, solid
from adiabat.deploy.lammps import external, program
from adiabat.deploy.lammps.run import setup

here, atoms = Path(sys.argv[1]), solid()
lmp = program.python()
lmp.commands_string(setup(atoms, here))
external.attach(lmp, alloy(), ["Cu", "Ag"])
lmp.commands_string("velocity all create 600 4928 loop all\\ntimestep 0.002\\nfix 1 all npt temp 300 300 0.1 aniso 0 0 0.5\\nrun 60")
print(lmp.get_thermo("pe"), lmp.get_thermo("press"), lmp.get_thermo("econserve"))
lmp.command(f"write_dump all custom {here}/last id type x y z modify sort id format float %20.14g")
lmp.command("fix_modify adiabat energy yes")
lx, ly, lz = np.subtract(*lmp.extract_box()[1::-1])
print(lx, ly, lz, lmp.get_thermo("ke"))
"""


@pytest.mark.slow
def test_fix_external_from_python_needs_no_compiler(exported, tmp_path):
    """The same dynamics by the callback as by the plugin: atoms wrap, cells change, edges are kept and found anew."""
    done = subprocess.run(
        [sys.executable, "-c", EXTERNAL, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "ADIABAT_KERNELS": "reference", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pe, pressure, conserved = map(float, done.stdout.split()[:3])
    commands = (
        "velocity all create 600 4928 loop all\ntimestep 0.002\nthermo_style custom step pe press econserve\n"
        "thermo_modify format float %20.14g\nfix 1 all npt temp 300 300 0.1 aniso 0 0 0.5\nrun 60\n"
    )
    atoms = solid()
    rows = table(run(setup(atoms, tmp_path) + style(exported, atoms) + commands, tmp_path))
    # Rounding grows along 60 steps; the pressure is of a hundred thousand bar of which the virial is nearly all.
    assert pe == pytest.approx(rows[-1, 1], abs=1e-7)
    assert pressure == pytest.approx(rows[-1, 2], rel=1e-6, abs=1e-2)
    assert conserved == pytest.approx(rows[-1, 3], abs=1e-6)


EVERY = """
import sys
import numpy as np
from pathlib import Path
from deploy.test_lammps import FAMILIES, WITHOUT
from laws.potentials import cluster, crystal
from adiabat.deploy.lammps import external, program
from adiabat.deploy.lammps.run import oriented, setup
from adiabat.units import bar

for name, made in {**{name: made for name, (_, made) in WITHOUT.items()}, **FAMILIES}.items():
    potential = made()
    lmp = program.python()
    for atoms in (cluster(), crystal()):
        atoms, _ = oriented(atoms)
        lmp.command("clear")
        lmp.commands_string(setup(atoms, Path(sys.argv[1])))
        external.attach(lmp, potential, ["H", "O"])
        lmp.commands_string("thermo_style custom pe pxx pyy pzz pyz pxz pxy\\nrun 0")
        order = np.argsort(lmp.numpy.extract_atom("id")[:len(atoms)].ravel())
        atoms.calc = potential.calculator()
        said = np.array([lmp.get_thermo("pe"), *lmp.numpy.extract_atom("f")[:len(atoms)][order].ravel()])
        wanted = np.array([atoms.get_potential_energy(), *atoms.get_forces().ravel()])
        worst = [np.abs(said - wanted).max() / max(1.0, np.abs(wanted).max())]
        if atoms.cell.rank == 3:
            stress = -bar * np.array([lmp.get_thermo(f"p{k}") for k in "xx yy zz yz xz xy".split()])
            worst.append(np.abs(stress - atoms.get_stress()).max() / max(1e-3, np.abs(atoms.get_stress()).max()))
        print(name, *worst, sep=";")
"""


def test_fix_external_serves_every_family(tmp_path):
    """Those that are refused by the pair style, too."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split(";") for line in done.stdout.splitlines() if ";" in line]
    assert {name for name, *_ in rows} == {*FAMILIES, *WITHOUT}
    for name, *worst in rows:
        # Sums in another order; LAMMPS' unit of pressure has seven digits.
        assert float(worst[0]) < 1e-10, name
        assert all(float(w) < 3e-7 for w in worst[1:]), name


FLIP = """
import sys
import numpy as np
from ase import Atoms
from pathlib import Path
from deploy.test_lammps import alloy, solid
from adiabat.deploy.lammps import external, program
from adiabat.deploy.lammps.run import setup

lmp = program.python()
lmp.commands_string(setup(solid(), Path(sys.argv[1])))
external.attach(lmp, alloy(), ["Cu", "Ag"])
lmp.commands_string("timestep 0.002\\nneigh_modify every 1 delay 0\\nfix 1 all nve\\nfix 2 all deform 1 xy vel 40 remap x flip yes\\nrun 60")
lmp.commands_string("unfix 2\\nrun 0")  # the last forces were those of before the last shear
low, high, xy, yz, xz, *_ = lmp.extract_box()
lx, ly, lz = np.subtract(high, low)
order = np.argsort(lmp.numpy.extract_atom("id")[:32].ravel())
where = np.array(lmp.numpy.extract_atom("x")[:32])[order]
atoms = Atoms(solid().numbers, where, cell=[[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], pbc=True)
atoms.calc = alloy().calculator()
print(xy, lmp.get_thermo("pe"), atoms.get_potential_energy())
"""


def test_a_box_that_leans_too_far_is_flipped_and_nothing_else_changes(exported, tmp_path):
    """Sheared by 4.8 Å a box of 7.6 Å leans by −2.8: other vectors, the same crystal, the energy of a calculation from the beginning."""
    done = subprocess.run(
        [sys.executable, "-c", FLIP, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lean, pe, anew = map(float, done.stdout.split()[-3:])
    assert lean < 0, "it was flipped"
    assert pe == pytest.approx(anew, abs=1e-9)
