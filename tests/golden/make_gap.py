"""Golden values of quippy: GAPs that `gap_fit` fits to frames of an effective-medium potential, and their answers.

Run in the peer's environment (quippy-ase, ase), `make golden-gap PEER_PYTHON=…`; writes `gap-*.xml…` and `gap.json`. The tests need
no peer. With names of fits in the environment's FITS, only these are made anew (QUIP reads the command line itself).
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.io import write

HERE = Path(__file__).parent
SOAP = "soap n_max=3 l_max=3 atom_sigma=0.5 cutoff=4.0 cutoff_transition_width=0.8 covariance_type=dot_product sparse_method=cur_points"
PAIR = "distance_2b cutoff=4.5 cutoff_transition_width=1.0 theta_uniform=1.0 delta=2.0 covariance_type=ard_se sparse_method=uniform"
ANGLES = "angle_3b cutoff=3.4 cutoff_transition_width=0.6 theta_fac=0.5 delta=0.3 covariance_type=ard_se sparse_method=cur_points n_sparse=5"
BOTH = "zeta=2 n_sparse=3 add_species=F n_Z=1 Z={{29}} n_species=2 species_Z={{29 79}} central_reference_all_species=F"
COMPRESSED = " : ".join(f"{SOAP} delta=0.2 nu_R={r} nu_S={s} {BOTH}" for r in range(3) for s in range(3) if (r, s) != (2, 2))
TENSOR = "zeta=2 n_sparse=4 add_species=F n_Z=1 Z={{79}} n_species=2 species_Z={{29 79}} central_reference_all_species=F"
BOTH_MIXED = [
    "R_mix=T Z_mix=T sym_mix=T coupling=F",
    "R_mix=T Z_mix=T coupling=F mix_shift=3",
    "R_mix=T Z_mix=T sym_mix=T",
    "R_mix=T Z_mix=T",
]
ONE_MIXED = [
    "Z_mix=T sym_mix=T coupling=F",
    "Z_mix=T coupling=F",
    "Z_mix=T",
    "R_mix=T sym_mix=T coupling=F",
    "R_mix=T coupling=F",
    "R_mix=T sym_mix=T",
]


TURBO = "soap_turbo l_max=3 covariance_type=dot_product sparse_method=cur_points add_species=F zeta=2 delta=0.3 n_sparse=5"
CUAU = "n_species=2 species_Z={{29 79}}"
# No two in a row with as many radial functions: quippy 0.10.3 evaluates the second with those of the first.
TURBO_WAYS = [
    "rcut_hard=4.2 rcut_soft=3.6 basis=poly3 alpha_max={{3 3}} atom_sigma_r={{0.5 0.5}} atom_sigma_t={{0.5 0.5}} "
    "amplitude_scaling={{1.0 1.0}} central_weight={{1.0 1.0}} scaling_mode=polynomial central_index=1",
    "rcut_hard=4.4 rcut_soft=3.7 basis=poly3gauss alpha_max={{3 4}} atom_sigma_r={{0.45 0.6}} atom_sigma_t={{0.5 0.7}} "
    "atom_sigma_r_scaling={{0.1 0.05}} atom_sigma_t_scaling={{0.12 0.0}} amplitude_scaling={{2.0 1.0}} central_weight={{1.0 0.7}} "
    "radial_enhancement=1 compress_mode=trivial nf=3.0 central_index=2",
    "cutoff=4.2 cutoff_transition_width=0.6 basis=poly3gauss n_max=3 atom_sigma=0.5 atom_sigma_scaling=0.05 "
    "radial_enhancement=2 compress_mode=1_2 central_index=2",
    "cutoff=4.2 basis=poly3 n_max=2 atom_sigma_r=0.4 atom_sigma_t=0.5 amplitude_scaling=0.0 radial_enhancement=1 "
    "compress_mode=2_0 central_weight={{0.5 0.5}} central_index=1",
]
FILES = {
    "gap-turbo-matrix.dat": "4 3 3\nP_transformation\n1 1 1.0\n1 5 -0.5\n2 9 0.25\n3 30 2.0\n2 40 1.0\nend_transformation\n",
    "gap-turbo-kept.dat": "4 3 6\n1\n2\n5\n17\n33\n40\n",
}
AL = "n_species=1 species_Z=13 rcut_hard=4.6 rcut_soft=4.0 basis=poly3gauss alpha_max=4 atom_sigma_r=0.5 atom_sigma_t=0.6"
COMPRESSED_TURBOS = [f"{TURBO} {AL} compress_file={name}" for name in FILES]


def mixed(ways: list[str]) -> str:
    return " : ".join(f"{SOAP} delta=0.2 K=3 {way} {TENSOR}" for way in ways)


# Every element its own kernels, sparse points in files of their own; one kernel for two centers and for all pairs, points within the
# XML; angles, of each element and of any; spectra compressed in all ways; one element that the file does not name.
FITS = {
    "gap-cuau": ("Cu Au", f"{PAIR} n_sparse=6 add_species=T : {SOAP} zeta=2 delta=0.4 n_sparse=10 add_species=T", "sparse_separate_file=T"),
    "gap-shared": (
        "Cu Au", f"{PAIR} n_sparse=7 add_species=F : {SOAP} zeta=3 delta=0.3 n_sparse=14 add_species=F central_weight=0.7 "
        "n_Z=2 Z={{29 79}} n_species=2 species_Z={{29 79}} central_reference_all_species=T", "sparse_separate_file=F",
    ),
    "gap-angles": ("Cu Au", f"{PAIR} n_sparse=5 add_species=T : {ANGLES} add_species=T", "sparse_separate_file=F"),
    "gap-any-angle": ("Cu Au", f"{ANGLES} add_species=F Z=0 Z1=0 Z2=0", "sparse_separate_file=F"),
    "gap-compressed": ("Cu Au", f"{PAIR} n_sparse=5 add_species=T : {COMPRESSED}", "sparse_separate_file=F"),
    "gap-mixed": ("Cu Au", f"{PAIR} n_sparse=5 add_species=T : {mixed(BOTH_MIXED)}", "sparse_separate_file=F"),
    "gap-mixed-once": ("Cu Au", f"{PAIR} n_sparse=5 add_species=T : {mixed(ONE_MIXED)}", "sparse_separate_file=F"),
    "gap-turbo": (
        "Cu Au", " : ".join([f"{PAIR} n_sparse=5 add_species=T", *(f"{TURBO} {CUAU} {way}" for way in TURBO_WAYS)]),
        "sparse_separate_file=F",
    ),
    "gap-turbo-files": ("Al", f"{PAIR} n_sparse=5 add_species=T : " + " : ".join(COMPRESSED_TURBOS), "sparse_separate_file=F"),
    "gap-al": ("Al", f"{SOAP} zeta=4 delta=0.3 n_sparse=12 add_species=F", "sparse_separate_file=F e0_method=average"),
}  # fmt: skip


def frames(symbols: list[str]) -> list[Atoms]:
    rng, found = np.random.default_rng(0), [Atoms(s, cell=[12] * 3, pbc=True) for s in symbols]
    for k in range(8):
        atoms = bulk(symbols[0], cubic=True).repeat((2, 1, 1))
        atoms.symbols[:] = rng.choice(symbols, len(atoms))
        atoms.set_cell(atoms.cell.array * rng.uniform(0.98, 1.06), scale_atoms=True)
        atoms.rattle(0.15, seed=k)
        found.append(atoms)
    for atoms in found:
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        # Nine numbers in a row: what ASE writes of a matrix, gap_fit passes over in silence.
        atoms.info |= {"energy_": energy, "virial_": (-stress * atoms.get_volume()).ravel()}
        atoms.arrays["force_"] = forces
        if len(atoms) == 1:
            atoms.info["config_type"] = "isolated_atom"
    return found


def structures(symbols: list[str]) -> dict[str, Atoms]:
    rng = np.random.default_rng(1)
    slab = fcc111("Cu", (2, 2, 2), a=3.8, vacuum=6.0)
    skewed = Atoms("Cu7", cell=[[5.6, 0, 0], [1.5, 5.1, 0], [-0.9, 1.1, 4.9]], pbc=True)
    places = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])[:7] / 2
    skewed.set_scaled_positions(places)
    small = Atoms("Cu2", [[0, 0, 0], [1.5, 1.6, 1.7]], cell=[[3.1, 0, 0], [0.3, 3.2, 0], [0.2, 0.1, 3.3]], pbc=True)
    molecule = Atoms("Cu4", [[0, 0, 0], [2.4, 0.1, 0], [0.8, 2.2, 0.3], [1.1, 0.6, 2.3]])
    found = {"skewed cell": skewed, "smaller than the cutoff": small, "slab": slab, "molecule": molecule}
    for atoms in found.values():
        atoms.symbols[:] = [symbols[k % len(symbols)] for k in range(len(atoms))]
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return {**found, **{f"isolated {s}": Atoms(s) for s in symbols}}


def fitted(name: str, symbols: list[str], gap: str, more: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "train.xyz", frames(symbols))
        for file, text in FILES.items():
            for place in (HERE, Path(folder)):
                (place / file).write_text(text)
        asked = [
            "at_file=train.xyz", f"gap={{{gap}}}", "default_sigma={0.002 0.1 0.2 0.0}", "energy_parameter_name=energy_",
            "force_parameter_name=force_", "virial_parameter_name=virial_", "do_copy_at_file=F", "rnd_seed=1", f"gp_file={name}.xml",
            *more.split(),
        ]  # fmt: skip
        told = subprocess.run([Path(sys.prefix) / "bin" / "gap_fit", *asked], cwd=folder, capture_output=True, text=True)
        assert told.returncode == 0, (told.stdout + told.stderr)[-2000:]
        (text,) = (path.read_text() for path in Path(folder).glob("*.xml"))
        (label,) = set(re.findall(r"GAP_\d{4}_\w+", re.search(r"<GAP_params[^>]*>", text)[0]))
        # The label is the time of the fit: the files keep one name.
        (HERE / f"{name}.xml").write_text(text.replace(label, "GAP"))
        for path in Path(folder).glob("*.sparseX.*"):
            (HERE / path.name.replace(label, "GAP")).write_bytes(path.read_bytes())


def slope(potential, atoms: Atoms, moved, h: float) -> float:
    """Of the potential's energy at x = 0, of the structure that `moved` makes with a step x: four points."""

    def energy(x: float) -> float:
        there = atoms.copy()
        moved(there, x)
        potential.calculate(there, properties=["energy"])
        return float(potential.results["energy"])

    return sum(w * energy(k * h) for k, w in ((-2, 1), (-1, -8), (1, 8), (2, -1))) / (12 * h)


def differences(potential, atoms: Atoms) -> list[list[float]]:
    """Forces from the potential's energies: those of soap_turbo that QUIP tells are not their slopes, by up to 2e-5 eV/Å.

    Steps are short: where its radial functions' filter begins, energies jump by 1e-8 eV.
    """

    def one(n: int, x: int):
        def moved(there: Atoms, step: float) -> None:
            there.positions[n, x] += step

        return moved

    return [[-slope(potential, atoms, one(n, x), 5e-4) for x in range(3)] for n in range(len(atoms))]


def strained(potential, atoms: Atoms) -> list[float]:
    """Stress from the potential's energies, in Voigt's order."""

    def one(a: int, b: int):
        def moved(there: Atoms, step: float) -> None:
            strain = np.eye(3)
            strain[a, b] += step / 2
            strain[b, a] += step / 2
            there.set_cell(atoms.cell.array @ strain, scale_atoms=False)
            there.positions = atoms.positions @ strain

        return moved

    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    return [slope(potential, atoms, one(*pair), 1e-4) / atoms.get_volume() for pair in pairs]


def main() -> None:
    from quippy.potential import Potential

    few = os.environ.get("FITS", "").split()
    chosen = few or list(FITS)
    for old in (path for name in chosen for path in HERE.glob(f"{name}.xml*")):
        old.unlink()
    told = {
        "peer": f"quippy-ase {importlib.metadata.version('quippy-ase')}",
        "date": date.today().isoformat(),
        "seed": 0,
        "answers": {},
    }
    if few:
        told["answers"] = json.loads((HERE / "gap.json").read_text())["answers"]
    os.chdir(HERE)
    for name, (symbols, gap, more) in ((name, FITS[name]) for name in chosen):
        fitted(name, symbols.split(), gap, more)
        potential, cases = Potential("IP GAP", param_filename=f"{name}.xml"), {}
        for what, atoms in structures(symbols.split()).items():
            boxed = atoms.copy()
            if not atoms.pbc.all():
                boxed.center(vacuum=8.0, axis=[k for k in range(3) if not atoms.pbc[k]])
                boxed.pbc = True  # QUIP's cells are periodic
            potential.calculate(boxed, properties=["energy", "forces", "stress"], calc_args="local_gap_variance=variance")
            found, variance = potential.results, potential.extra_results["atoms"]["variance"]
            cases[what] = {
                "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
                "pbc": atoms.pbc.tolist(), "energy": float(found["energy"]), "forces": np.array(found["forces"]).tolist(),
                "stress": np.array(found["stress"]).tolist() if atoms.pbc.all() else None,
                "variance": np.array(variance).ravel().tolist(),
            }  # fmt: skip
            if name.startswith("gap-turbo"):
                cases[what]["by_differences"] = differences(potential, boxed)  # its results are overwritten by each call
                if atoms.pbc.all():
                    cases[what]["stress_by_differences"] = strained(potential, atoms)
        told["answers"][name] = cases
    (HERE / "gap.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
