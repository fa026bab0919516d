"""What the mace-torch importer does not support is refused by name, before any number is taken out.

mace-torch is not in this environment: objects with its classes' names and attributes stand in for a loaded model, which `extract`
asks for nothing else until it has accepted it. The models it accepts are golden files, made where mace-torch is installed.
"""

import zipfile
from types import SimpleNamespace

import pytest
import torch

from adiabat.deploy.importers import ForeignModelError, extract, mace_extract


def named(name: str, **attributes):
    """An object whose class has this name."""
    thing = type(name, (), {})()
    thing.__dict__.update(attributes)
    return thing


def loaded(name="MACE", **changes):
    radial = named("RadialEmbeddingBlock", bessel_fn=named("BesselBasis"), apply_cutoff=True)
    model = {
        "heads": ["Default"], "interactions": [named("RealAgnosticInteractionBlock"), named("RealAgnosticResidualInteractionBlock")],
        "radial_embedding": radial, "readouts": [named("LinearReadoutBlock"), named("NonLinearReadoutBlock")],
        "products": [SimpleNamespace(symmetric_contractions=named("SymmetricContraction"))],
    }  # fmt: skip
    return named(name, **{**model, **changes})


def radial(**changes):
    return {"radial_embedding": named("R", **{"bessel_fn": named("BesselBasis"), "apply_cutoff": True, **changes})}


def test_what_is_supported_is_not_refused():
    mace_extract._refuse_unsupported(loaded())
    mace_extract._refuse_unsupported(loaded("ScaleShiftMACE", **radial(distance_transform=named("AgnesiTransform"))))
    mace_extract._refuse_unsupported(loaded(**radial(distance_transform=named("SoftTransform"))))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (loaded("AtomicDipolesMACE"), "the model is a AtomicDipolesMACE; .* MACE or ScaleShiftMACE"),
        (loaded(heads=["pt_head", "dft"]), r"2 heads \(pt_head, dft\).*mace_select_head"),
        (loaded(interactions=[named("RealAgnosticDensityInteractionBlock")]), "interaction 0 is a RealAgnosticDensityInteractionBlock"),
        (loaded(interactions=[named("RealAgnosticInteractionBlock")] * 2), "interaction 1 is a RealAgnosticInteractionBlock"),
        (loaded(interactions=[named("RealAgnosticInteractionBlock", cueq_config=object())]), "cuEquivariance.*mace_cueq_to_e3nn"),
        (loaded(**radial(bessel_fn=named("ChebychevBasis"))), "the radial basis is a ChebychevBasis"),
        (loaded(**radial(distance_transform=named("TrainedTransform"))), "distances pass through a TrainedTransform; .*AgnesiTransform"),
        (loaded(**radial(apply_cutoff=False)), "apply_cutoff is off"),
        (loaded(pair_repulsion=True), r"a pair repulsion \(ZBL\) is added"),
        (loaded(joint_embedding=object()), "embeds global inputs"),
        (loaded(use_so3=True), "use_so3 is on"),
        (loaded(lammps_mliap=True), "exported for LAMMPS"),
        (loaded(readouts=[named("LinearDipoleReadoutBlock")]), "readout 0 is a LinearDipoleReadoutBlock"),
        (loaded(products=[SimpleNamespace(symmetric_contractions=named("CuEquivariantContraction"))]), "product 0 holds a CuEquiv"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(model, said):
    with pytest.raises(ForeignModelError, match=f"mace-torch: .*{said}"):
        mace_extract._refuse_unsupported(model)


def test_another_radius_of_an_atom_is_refused():
    """Radial transforms are by covalent radii: a version of mace-torch with others is another function."""
    agnesi = named("AgnesiTransform", covalent_radii=torch.full((100,), 1.0), q=0.9, p=4.5, a=1.1)
    model = SimpleNamespace(atomic_numbers=torch.tensor([8]), radial_embedding=SimpleNamespace(distance_transform=agnesi))
    with pytest.raises(ForeignModelError, match="a covalent radius of 1.0 Å for atomic number 8"):
        mace_extract._transform(model)


@pytest.mark.parametrize("trust", [False, True])
def test_a_pickle_is_not_opened_by_looking_at_it(tmp_path, trust, monkeypatch):
    """The file would create another one if it were opened; it names mace-torch, which is looked up by searching the text."""
    bad = tmp_path / "bad.model"
    proof = tmp_path / "opened"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("m/data.pkl", f"cmace.modules.models\nMACE\n(cos\nsystem\n(S'touch {proof}'\ntR.".encode())
    try:
        import mace  # noqa: F401

        pytest.skip("mace-torch is here")
    except ImportError:
        pass
    with pytest.raises(ForeignModelError, match="runs the code in it" if not trust else "not installed here"):
        extract(bad, trust=trust)
    assert not proof.exists()
