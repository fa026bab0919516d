"""Moment tensor potentials as motep evaluates them: made-up ones of two elements; Zuo et al., J. Phys. Chem. A 124, 731 (2020)."""

from __future__ import annotations

import json
import lzma

import pytest
import torch
from ase import Atoms
from ase.io import read

from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.graph import Graph
from adiabat.models.mtp import moment_tables


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests/golden/mtp-motep.json").read_text())


@pytest.mark.parametrize("case", [0, 1], ids=["level 8", "level 12"])
@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.compiled)], ids=["", "compiled"])
def test_two_elements(case, frozen, golden, tmp_path, agrees):
    """Both in double: sums of hundreds of terms of both signs, forces of 20 eV/Å."""
    told = golden["cases"][case]
    (tmp_path / "x.mtp").write_text(told["file"])
    potential = import_model(tmp_path / "x.mtp", elements=told["elements"])
    evaluated = potential.frozen() if frozen else potential
    for name, wanted in told["answers"].items():
        atoms = Atoms(**golden["structures"][name])
        found = evaluated(Graph.of(atoms, potential.cutoff))
        compared = {
            "energy": (found.atomic_energies, wanted["energies"], 1e-12),
            "forces": (found.forces, wanted["forces"], 1e-11),
        }
        if "stress" in wanted:
            xx, yy, zz, yz, xz, xy = wanted["stress"]
            compared["stress"] = (found.stress[0], [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], 1e-12)
        row = f"MTP, two elements, level {told['level']}" + ", compiled" * frozen
        agrees(row, golden["peer"], atoms, potential.cutoff, **compared)


@pytest.mark.parametrize("element", ["Cu", "Li", "Si"])
def test_energies_and_forces_are_those_of_motep(element, data_folder, agrees):
    folder = data_folder / "reference_mlearn_potentials" / element
    potential = import_model(folder / "mtp" / "fitted.mtp.xz", elements=[element])
    with lzma.open(folder / "expected_first5_test_frames.json.xz") as file:
        wanted = json.load(file)["mtp"]
    with lzma.open(data_folder / f"mlearn_{element}" / "test.xyz.xz", "rt") as file:
        frames = read(file, ":2", format="extxyz")
    for atoms, energy, forces in zip(frames, wanted["energy"], wanted["forces"]):
        found = potential(Graph.of(atoms, potential.cutoff))
        agrees(
            f"MTP, {element} of Zuo et al. 2020",
            str(wanted["engine"]),
            atoms,
            potential.cutoff,
            energy=(found.energy[0] / len(atoms), energy / len(atoms), 1e-11),  # summed in another order
            forces=(found.forces, forces, 1e-10),  # the expected forces are kept to ten decimals
        )


def test_levels_have_the_basis_of_the_templates(data_folder):
    """As many moments and contractions, and the same space of functions: each set is linear in the other."""
    generator = torch.Generator().manual_seed(0)
    for level in (8, 12, 16):
        template = import_model(data_folder / "reference_mtp_templates" / f"{level:02}.mtp", elements=["Si"])
        theirs: torch.nn.Module = template.terms[1]
        basics, _, scalars = moment_tables(level)
        assert len(scalars) == theirs.size
        assert sorted(basics.tolist()) == sorted(theirs.basics.tolist())
        ours = type(theirs)(level=level, cutoff=theirs.cutoff, nearest=theirs.nearest, radial=8, elements=["Si"]).double()
        ours.radial_coefficients.data[:] = theirs.radial_coefficients.data
        r = torch.randn(8 * 200, 3, dtype=torch.float64, generator=generator)
        r = 2.5 * r / r.norm(dim=1, keepdim=True) + 0.3 * torch.randn(1600, 3, dtype=torch.float64, generator=generator)
        at = surroundings(r, 200)
        A, B = ours.basis(at), theirs.basis(at)
        A, B = A / A.norm(dim=0), B / B.norm(dim=0)
        # Columns are of norm 1, and least squares in float64 leaves 1e-12 of them times a moderate condition.
        assert (A @ torch.linalg.lstsq(A, B, driver="gelsd").solution - B).detach().abs().max() < 1e-9


def surroundings(r, n):
    from adiabat.nn.linear_basis import Centers

    zero = torch.zeros(len(r), dtype=torch.int64)
    each = torch.arange(n).repeat_interleave(len(r) // n)
    return Centers(torch.zeros(n, dtype=torch.int64), zero, each, r, slice(0, len(r)), slice(0, n))


def template(data_folder):
    return (data_folder / "reference_mtp_templates" / "08.mtp").read_text()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("RBChebyshev", "RBTaylor", "radial_basis_type = RBTaylor"),
        ("potential_tag", "magnetic_basis_type", "'magnetic_basis_type' is not supported"),
        ("version = 1.1.0", "version = 2.0", "version = 2.0"),
        ("version = 1.1.0", " = 1.1.0", r"x\.mtp, line 2: '' is not supported"),
        ("{0, 15, 1, 17}", "{0, 15, 1, 99}", "moments that are not there yet"),
        ("{1, 1, 1, 12}", "{1, 1, 1}", "alpha_index_times holds 55 numbers, wanted 56"),
        ("max_dist = 5", "max_dist = five", "max_dist holds 'five'"),
    ],
)
def test_what_is_not_supported_is_named(before, after, said, data_folder, tmp_path):
    assert before in template(data_folder)
    (tmp_path / "x.mtp").write_text(template(data_folder).replace(before, after))
    with pytest.raises(ForeignModelError, match=said):
        import_model(tmp_path / "x.mtp", elements=["Si"])


def test_a_selection_state_behind_the_potential_is_left_out(data_folder, tmp_path):
    """MLIP writes what active learning needs, partly binary, behind the same text."""
    folder = data_folder / "reference_mlearn_potentials" / "Cu" / "mtp"
    text = lzma.decompress((folder / "fitted.mtp.xz").read_bytes())
    (tmp_path / "x.almtp").write_bytes(text + b"\n#MVS_v1.1\nenergy_weight 1.0\nforce_weight 0.0\n#\x00\xff\x80\n")
    plain, selected = (
        import_model(folder / "fitted.mtp.xz", elements=["Cu"]),
        import_model(tmp_path / "x.almtp", elements=["Cu"]),
    )
    for name, value in plain.state_dict().items():
        assert torch.equal(value, selected.state_dict()[name])


def test_elements_are_elements_each_once(data_folder, tmp_path):
    text = template(data_folder).replace("species_count = 1", "species_count = 2")
    (tmp_path / "x.mtp").write_text(text)
    for elements, said in ((["Si", "Si"], "an element stands twice among Si, Si"), (["Si", "Xy"], "elements: 'Xy'")):
        with pytest.raises(ForeignModelError, match=rf"x\.mtp: {said}"):
            import_model(tmp_path / "x.mtp", elements=elements)


def test_a_truncated_file_is_named(data_folder, tmp_path):
    text = template(data_folder)
    for part in (0.3, 0.6, 0.9, 0.99):
        (tmp_path / "cut.mtp").write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match="cut.mtp"):
            import_model(tmp_path / "cut.mtp", elements=["Si"])


def test_its_elements_are_asked_for(data_folder):
    path = data_folder / "reference_mtp_templates" / "08.mtp"
    with pytest.raises(ForeignModelError, match="its elements are not in the file"):
        import_model(path)
    with pytest.raises(ForeignModelError, match="for 1 elements, 2 came"):
        import_model(path, elements=["Si", "O"])
