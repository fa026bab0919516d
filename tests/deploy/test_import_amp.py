"""Potentials of Amp: a made-up one of two elements as Amp's own Python evaluates it."""

from __future__ import annotations

import json

import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.nn.symmetry_list import FADES


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests/golden/amp.json").read_text())


@pytest.fixture
def file(golden, tmp_path):
    path = tmp_path / "x.amp"
    path.write_text(golden["cases"][0]["text"])
    return path


@pytest.mark.parametrize("case", [0, 1])
def test_energies_and_forces_are_those_of_amp(case, golden, file, agrees):
    file.write_text(golden["cases"][case]["text"])
    potential = import_model(file)
    for name, wanted in golden["cases"][case]["answers"].items():
        atoms = Atoms(**golden["structures"][name])
        found = potential(ad.Graph.of(atoms, potential.cutoff))
        # Both in double, but Amp writes weights and ranges with `repr`, and its sums run in another order.
        n = len(found.forces)
        agrees(
            "Behler–Parrinello, Amp's Gaussian descriptors, two elements",
            golden["peer"].partition(",")[0],
            atoms,
            potential.cutoff,
            energy=(found.energy[0] / n, wanted["energy"] / n, 1e-12),
            forces=(found.forces, wanted["forces"], 1e-11),
        )


def test_the_polynomial_cutoff_is_amps(file):
    """f = 1 + γ x^(γ+1) − (γ + 1) x^γ: with γ = 2 it is the cubic one."""
    x = torch.linspace(0, 1.2, 25, dtype=torch.float64)
    assert torch.allclose(FADES["power"](x, torch.tensor(2.0)), FADES["poly1"](x, torch.tensor(0.0)), atol=1e-15)
    before = import_model(file)
    text = file.read_text()
    file.write_text(
        text.replace("'name': 'Cosine', 'kwargs': {'Rc': 4.3}", "'name': 'Polynomial', 'kwargs': {'Rc': 4.3, 'gamma': 2.0}")
    )
    assert file.read_text() != text
    after = import_model(file)
    assert after.cutoff == before.cutoff
    assert after.terms[1].arguments["functions"]["O"][0]["gamma"] == 2.0


def test_the_text_is_parsed_and_never_run(file, tmp_path):
    for code in ("__import__('os').system('touch ran')", "open('ran', 'w')", "[x for x in (1,)]", "1 + 1", "(lambda: 1)()"):
        file.write_text(f"dict(descriptor={code}, model='dict()')")
        with pytest.raises(ForeignModelError, match=r"x\.amp: no text of Amp, or a damaged one .*no plain value"):
            import_model(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("'elements': ['O', 'Si']", "'elements': ['O', 'Ge']", "a G4 of O names O, Ge; elements are O, Si"),
        ("'G5'", "'G7'", "type 'G7' of O is not supported"),
        ("Cosine", "Step", "cutoff 'Step' is not supported"),
        ("gaussian.Gaussian", "zernike.Zernike", "Zernike' is not supported"),
        ("activation='tanh'", "activation='relu'", "activation 'relu' is not supported"),
        ("atom-centered", "image-centered", "mode 'image-centered' is not supported"),
        ("'slope'", "'slop'", "scalings O slope is missing"),
        ("'type': 'G2',", "'type': 'G2', 'theta': 1.0,", "G2 says 'theta', which is not supported"),
        ("activation='tanh'", "activation='tanh', charges=True", "model says 'charges', which is not supported"),
        ("'slope': 1.7", "'slope': 'steep'", r"x\.amp: damaged, .*steep"),
        ("'gamma': 1.0", "'gamma': 1.5", r"\|λ\| ≤ 1"),
    ],
)
def test_what_is_not_supported_is_named(before, after, said, file):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    with pytest.raises(ForeignModelError, match=said):
        import_model(file)


def test_a_truncated_file_is_named(file):
    text = file.read_text()
    for part in (0.2, 0.6, 0.95):
        file.write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match=r"x\.amp: no text of Amp, or a damaged one"):
            import_model(file)
