"""GAPs that `gap_fit` made, as quippy evaluates them: kernels of one element each or of several, points in files of their own or not."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from adiabat.deploy import load
from adiabat.deploy.importers import ForeignModelError, gap_turbo, import_model
from adiabat.deploy.importers.gap_said import Said
from adiabat.graph import Graph
from adiabat.training.loss import Loss
from adiabat.training.rows import in_noise, rows_of
from adiabat.uncertainty import with_variance
from golden.make_gap import FITS, frames

FOLDER = Path(__file__).parent.parent / "golden"
TOLD = json.loads((FOLDER / "gap.json").read_text())
GOLDEN = TOLD["answers"]
ROWS = {
    "gap-cuau": "GAP, Cu and Au: distances and SOAP of each element",
    "gap-shared": "GAP, Cu and Au: one SOAP for both, distances of any pair",
    "gap-angles": "GAP, Cu and Au: distances and angles of each element",
    "gap-any-angle": "GAP, Cu and Au: angles of any elements",
    "gap-compressed": "GAP, Cu and Au: distances and SOAP compressed (nu_R, nu_S) in eight ways",
    "gap-mixed": "GAP, Cu and Au: distances and SOAP of elements and radial functions mixed, in four ways",
    "gap-mixed-once": "GAP, Cu and Au: distances and SOAP of elements or radial functions mixed, in six ways",
    "gap-turbo": "GAP, Cu and Au: distances and soap_turbo of both bases in four ways",
    "gap-turbo-files": "GAP, Al: distances and soap_turbo compressed by files",
    "gap-al": "GAP, Al: SOAP alone",
}
ELEMENTS = {"gap-shared": ["Cu", "Au"], "gap-any-angle": ["Cu", "Au"], "gap-al": ["Al"]}  # those that leave elements open
# eV/Å: what QUIP tells as forces of soap_turbo are not quite the slopes of its energies, which the golden file has by differences
OF_SLOPES = {"gap-turbo": 1e-4, "gap-turbo-files": 1e-6}


@pytest.fixture(scope="module", params=GOLDEN)
def case(request):
    potential = import_model(FOLDER / f"{request.param}.xml", elements=ELEMENTS.get(request.param))
    return request.param, with_variance(potential), GOLDEN[request.param]


def test_it_is_the_function_quippy_evaluates(case, agrees):
    """Both in double; the radial functions' splines are right to 1e-15, their slopes to 1e-11. Rounding of QUIP's energies, 1e-12 eV,
    gives 3e-9 eV/Å where its forces are differences of them."""
    name, potential, answers = case
    slopes = name in OF_SLOPES
    for wanted in answers.values():
        atoms = Atoms(wanted["symbols"], wanted["positions"], cell=wanted["cell"], pbc=wanted["pbc"])
        found = potential(Graph.of(atoms, potential.cutoff))
        forces = wanted["by_differences" if slopes else "forces"]
        compared = {
            "energy": (float(found.energy[0]) / len(atoms), wanted["energy"] / len(atoms), 2e-11),
            "forces": (found.forces.numpy(), forces, 1e-8 if slopes else 1e-9),
            "variance": (found.outputs["variance"].numpy(), wanted["variance"], 1e-12),
        }
        if wanted["stress"]:
            s = found.stress[0].numpy()
            mine, theirs = (
                [s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]],
                "stress_by_differences" if slopes else "stress",
            )
            compared["stress"] = (mine, wanted[theirs], 1e-9 if slopes else 1e-10)
        agrees(ROWS[name], TOLD["peer"], atoms, potential.cutoff, **compared)
        np.testing.assert_allclose(found.forces.numpy(), wanted["forces"], rtol=0, atol=OF_SLOPES.get(name, 1e-9))


@pytest.mark.parametrize("name", GOLDEN)
def test_compiled_it_is_that_function_too(name):
    potential = with_variance(import_model(FOLDER / f"{name}.xml", elements=ELEMENTS.get(name)))
    frozen = potential.frozen()
    for wanted in GOLDEN[name].values():
        atoms = Atoms(wanted["symbols"], wanted["positions"], cell=wanted["cell"], pbc=wanted["pbc"])
        found = frozen(Graph.of(atoms, potential.cutoff))
        assert float(found.energy[0]) == pytest.approx(wanted["energy"], abs=2e-11 * len(atoms))
        np.testing.assert_allclose(found.forces.numpy(), wanted["forces"], rtol=0, atol=OF_SLOPES.get(name, 1e-9))
        if "by_differences" in wanted:  # of fourth order, 5e-4 Å, energies to 1e-12 eV
            np.testing.assert_allclose(found.forces.numpy(), wanted["by_differences"], rtol=0, atol=1e-8)
        np.testing.assert_allclose(found.outputs["variance"].numpy(), wanted["variance"], rtol=0, atol=1e-12)
    assert all(kernel.doubts(potential.elements) for kernel in potential.terms[-1].kernels)
    assert len(frozen.evaluators) == 2, "something was not compiled"  # the reference energies and the process


@pytest.mark.parametrize(
    "name", ["gap-cuau", "gap-angles", "gap-compressed", "gap-al"]
)  # the others share coefficients among kernels
def test_from_the_same_labels_points_and_noise_our_fit_is_that_of_gap_fit(name):
    """Coefficients of 10³ to 10⁵ eV that cancel come out of least squares of condition numbers of 10⁸ and more: both predict every
    label alike, to 10⁻⁴ of its noise (2e-7 eV/atom, 1e-5 eV/Å), and have the coefficients to 10⁻⁶."""
    potential = import_model(FOLDER / f"{name}.xml", elements=ELEMENTS.get(name))
    model, known = potential.terms[-1], potential.terms[0].arguments["energies"]
    told, alone = model.coefficients.detach()[0], model.alone()
    # gap_fit's energies count from nothing, ours from the lone atom's.
    zero = {symbol: energy - float(alone[k] @ told) for k, (symbol, energy) in enumerate(known.items())}
    noise, rows = {"energy": 0.002, "forces": 0.1, "stress": 0.2, "shear": 0.2}, []
    for atoms in frames(FITS[name][0].split()):
        energy = atoms.info["energy_"] - sum(zero[symbol] for symbol in atoms.symbols)
        stress = -atoms.info["virial_"][[0, 4, 8, 5, 2, 1]] / atoms.get_volume()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=atoms.arrays["force_"], stress=stress)
        found = rows_of(model, Graph.of(atoms, model.cutoff), model.cutoff, 1.0, False)
        found["energy"][0][0, :-1] += sum(alone[list(zero).index(symbol)] for symbol in atoms.symbols) / len(atoms)
        rows.append(in_noise(found, noise, len(atoms), Loss()))
    A = torch.cat([*rows, torch.nn.functional.pad(model.prior(), (0, 1))])
    R = torch.linalg.qr(A, mode="r").R
    ours = torch.linalg.solve_triangular(R[:-1, :-1], R[:-1, -1:], upper=True)[:, 0]
    assert float((A[:, :-1] @ (ours - told)).abs().max()) < 1e-4
    assert float((ours - told).abs().max()) < 1e-6 * float(told.abs().max())


def test_a_calculator_and_a_file_have_the_variance(case, tmp_path):
    _, potential, answers = case
    wanted = answers["molecule"]
    potential.save(tmp_path / "gap.adiabat")
    atoms = Atoms(wanted["symbols"], wanted["positions"], calculator=load(tmp_path / "gap.adiabat").calculator())
    atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.calc.results["variance"], wanted["variance"], atol=1e-12)


@pytest.fixture
def gap(tmp_path):
    for path in FOLDER.glob("gap-cuau.xml*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "gap-cuau.xml"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('do_core="F"', 'do_core="T"', "do_core, a baseline potential"),
        (
            'init_args="IP GAP',
            'init_args="Sum init_args_pot1={IP Glue}',
            "Potential 'Sum init_args_pot1={IP Glue}' is not supported",
        ),
        (" soap n_max", " soap_express n_max", "descriptor 'soap_express' is not supported"),
        (
            "distance_2b cutoff=4.5",
            "distance_2b tail_exponent=4 cutoff=4.5",
            "distance_2b with tail_exponent=4 is not supported",
        ),
        ("l_max=3", "l_max=3 Z_mix=T", "soap says no k"),
        ("l_max=3", "l_max=3 Z_mix=T K=0", "soap with K=0 is not supported"),
        ("l_max=3", "l_max=3 Z_mix=T K=2", "soap of 85 dimensions; its settings make 145"),
        ("l_max=3", "l_max=3 Z_mix=T K=2 nu_R=1", "soap with R_mix or Z_mix and nu_R or nu_S is not supported"),
        ("l_max=3", "l_max=3 coupling=F", "sym_mix=T or coupling=F, but neither R_mix nor Z_mix"),
        ("l_max=3", "l_max=3 spectral=T", "soap with 'spectral' is not supported"),
        ("l_max=3", "l_max=3 nu_R=3", "soap with nu_R 3, nu_S 2 is not supported; known are 0, 1 and 2"),
        ("l_max=3", "l_max=3 nu_S=1", "soap of 85 dimensions; its settings make 73"),
        ("l_max=3", "l_max=3 sym_mix=T K=4", "sym_mix=T or coupling=F, but neither R_mix nor Z_mix"),
        ("distance_2b cutoff=4.5", "angle_3b Z=29 cutoff=4.5", "angle_3b of 1 dimensions; its settings make 3"),
        ("l_max=3", "l_max=4", "soap of 85 dimensions; its settings make 106"),
        ('covariance_type="2"', 'covariance_type="5"', "soap with covariance_type 5 is not supported"),
        ('signal_mean=".0', 'signal_mean=".1', r"signal_mean \(f0\) .10+E\+000 is not supported"),
        ('gap_version="1', 'gap_version="0', "gap_version .* its SOAP was another one"),
        ('alpha="', 'alpha="x', "alpha 'x.* came; wanted a number"),
        ('alpha="', 'alpha="nan" x="', "alpha 'nan' came; wanted a number"),
        ('<e0 Z="', '<e0 Z="x', "Z of e0 'x.* came; wanted a number"),
    ],
)
def test_what_is_not_supported_is_named(gap, before, after, said):
    text = gap.read_text()
    assert before in text
    gap.write_text(text.replace(before, after, 1))
    with pytest.raises(ForeignModelError, match=said):
        import_model(gap)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "basis=poly3 ",
            "basis=poly3operator ",
            "soap_turbo with basis=poly3operator is not supported; known are poly3, poly3gauss",
        ),
        (
            "central_weight={1.0 1.0}",
            "central_weight=0.5",
            "soap_turbo with central_weight=0.5 is not supported: quippy 0.10.3 takes 1",
        ),
        ("scaling_mode=polynomial", "scaling_mode=other", "soap_turbo with scaling_mode=other is not supported"),
        ("alpha_max={3 3}", "alpha_max={3 4}", "soap_turbo of 84 dimensions; its settings make 112"),
        ("alpha_max={3 3}", "alpha_max={3 3 3}", "soap_turbo with 3 numbers of alpha_max for 2 species"),
        ("central_index=1", "central_index=3", "soap_turbo with central_index 3"),
        ("rcut_soft=3.6", "rcut_soft=4.2", "soap_turbo with a soft cutoff 4.2 of 4.2"),
        ("l_max=3", "l_max=3 spectral=T", "soap_turbo with 'spectral' is not supported"),
        ("compress_mode=2_0", "compress_mode=2_3", "soap_turbo with compress_mode=2_3 is not supported"),
        ("compress_mode=2_0", "compress_file=absent.dat", "absent.dat is not beside it"),
    ],
)
def test_what_is_not_supported_of_soap_turbo_is_named(tmp_path, before, after, said):
    text = (FOLDER / "gap-turbo.xml").read_text()
    assert before in text
    (tmp_path / "gap.xml").write_text(text.replace(before, after, 1))
    with pytest.raises(ForeignModelError, match=said):
        import_model(tmp_path / "gap.xml")


def test_bases_that_quippy_takes_for_one_another_are_told(tmp_path):
    said = "species_Z=6 rcut_hard=4.5 rcut_soft=4.0 l_max=2 alpha_max=4"
    path = tmp_path / "gap.xml"

    def told(basis, *sigmas):
        words = [f"{said} basis={basis} atom_sigma={sigma}" for sigma in sigmas]
        each = [gap_turbo.options(Said(path, "soap_turbo", it))[0] for it in words]
        gap_turbo.warn_of_mixed_bases(path, each)

    with pytest.warns(UserWarning, match="two soap_turbo have 4 radial functions each, but not the same ones"):
        told("poly3gauss", "0.5", "0.6")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told("poly3gauss", "0.5", "0.5")
        told("poly3gauss", "0.5")
        told("poly3", "0.5", "0.6")  # its functions do not know the widths


def test_a_truncated_compression_is_named(tmp_path):
    for path in FOLDER.glob("gap-turbo*"):
        shutil.copy(path, tmp_path)
    matrix = tmp_path / "gap-turbo-matrix.dat"
    matrix.write_text(matrix.read_text().removesuffix("end_transformation\n"))
    with pytest.raises(ForeignModelError, match=r"gap-turbo-matrix\.dat: no compression of soap_turbo, or cut short"):
        import_model(tmp_path / "gap-turbo-files.xml")


def test_a_truncated_or_missing_file_is_named(gap):
    text = gap.read_text()
    for part in (0.2, 0.7, 0.99):
        gap.write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match=r"gap-cuau\.xml: cut short or damaged"):
            import_model(gap)
    gap.write_text(text)
    points = gap.with_name("gap-cuau.xml.sparseX.GAP4")
    content = points.read_bytes()
    shorter = content[: content.rstrip().rfind(b"\n") + 1]
    points.write_bytes(shorter)
    with pytest.raises(ForeignModelError, match=r"GAP4: not the file its potential was written with"):
        import_model(gap)
    gap.write_text(text.replace(hashlib.md5(content).hexdigest(), hashlib.md5(shorter).hexdigest()))
    with pytest.raises(ForeignModelError, match=r"GAP4: 849 numbers; wanted 10 sparse points of 85"):
        import_model(gap)
    points.unlink()
    with pytest.raises(ForeignModelError, match=r"GAP4 is not beside it"):
        import_model(gap)


def test_elements_are_asked_for_where_the_file_leaves_them_open():
    with pytest.raises(ForeignModelError, match="its elements are not in the file"):
        import_model(FOLDER / "gap-al.xml")
    with pytest.raises(ForeignModelError, match="all elements taken for one, is supported for one element alone"):
        import_model(FOLDER / "gap-al.xml", elements=["Al", "Cu"])
