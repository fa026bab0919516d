"""Whatever a file says is either read or refused by its name: a word that nobody knows, a section too many or none, an element elsewhere."""

import pytest

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError
from golden.foreign import parts, sound

SAID = {
    "runner": [
        ("input.nn", "epochs 10", "energy_offset 3.0", "'energy_offset' is not supported; if only training heeds it"),
        ("input.nn", "epochs 10", "short_range_repulsion 1.0", "'short_range_repulsion' is not supported"),
        ("input.nn", "atom_energy Si", "atom_energy Ge", "atom_energy Ge: names an element"),
        ("input.nn", "epochs 10", "element_nodes_short Ge 3 3", "element_nodes_short Ge: names an element"),
    ],
    "amp": [
        ("x.amp", "dict(descriptor", "dict(charges=3.0, descriptor", "the file says 'charges'"),
        ("x.amp", "{'Rc': 4.3}", "{'Rc': 4.3, 'gamma': 2.0}", "Cosine says 'gamma'"),
        ("x.amp", "'name': 'Cosine'", "'name': 'Cosine', 'shift': 2", "cutoff says 'shift'"),
        ("x.amp", "'slope': 1.7", "'offset': 3.0, 'slope': 1.7", "scalings says 'offset'"),
        ("x.amp", "'Si': (6,)", "'Si': (6,), 'Ge': (6,)", "hiddenlayers of Ge; elements are O, Si"),
    ],
    "eam": [
        ("x.eam.alloy", "2 W Ta", "2 Ta W", "atomic number 74 stands over the tables of Ta"),
        ("x.eam.alloy", "73 180.9", "41 180.9", "atomic number 41 stands over the tables of Ta"),
    ],
    "mtp": [
        ("x.mtp", "scaling = 1.3e-01", "scaling = 1.3e-01\nscaling = 2.0", "line 5: scaling stands there twice"),
        ("x.mtp", "\t\t1-1", "\t\t0-0", "radial_coeffs 0-0 stand there twice"),
        ("x.mtp", "scaling = 1.3e-01", "charge = 2.0", "line 4: 'charge' is not supported"),
        ("x.mtp", "species_coeffs", None, "species_coeffs are missing"),
        ("x.mtp", "moment_coeffs", None, "moment_coeffs are missing"),
    ],
    "lammps": [
        ("in.pair", "units metal", "units metal\nfoo bar", "foo is not supported"),
        ("in.pair", "units metal", "units metal\nneigh_modify exclude type 1 2", "neigh_modify exclude type 1 is not supported"),
        ("in.pair", "units metal", "units metal\nfix 1 all efield 0 0 1", "fix 1 all efield is not supported"),
        ("in.pair", "units metal", "units metal\nfix 1 all wall/lj93 zlo 0 1 1 2", "fix 1 all wall/lj93 is not supported"),
        ("in.pair", "units metal", "units metal\ndielectric 3.0", "dielectric is not supported"),
    ],
    "yace": [
        ("x.yace", "functions:", "functions:\n  7: []", "functions 7: elements are 2, counted from 0"),
        ("x.yace", "bonds:", "bonds:\n  [0, 7]: {}", r"bonds \(0, 7\): elements are 2"),
        ("x.yace", "embeddings:", "embeddings:\n  7: {}", "embeddings 7: elements are 2"),
        ("x.yace", "dcut: 0.01", "dcot: 0.01", r"bonds \(0, 0\) 'dcot' is not supported"),
        ("x.yace", ", dcut: 0.01", "", r"bonds \(0, 0\) dcut is missing"),
        ("x.yace", "prehc: 30.0, ", "", r"bonds \(0, 0\) prehc is missing"),
        ("x.yace", "E0:", "charges: 3\nE0:", "'charges' is not supported"),
        ("x.yace", "ls: [0]", "ls: [1]", r"ls \[1\] of one factor"),
        ("x.yace", "E0:", "E0: [0, 0]\nE0:", "line 3: E0 stands there twice"),
    ],
    "deepmd": [
        ("x.yaml", "backend: PyTorch", "backend: PyTorch\ncharges: 3", "charges = 3 is not supported"),
        ("x.yaml", "  atom_exclude_types: []", "  atom_exclude_types: [0]", r"model\.atom_exclude_types = \[0\] is not supported"),
        ("x.yaml", "  atom_exclude_types: []", "  atom_exclude_types: []\n  atom_exclude_types: []", "atom_exclude_types stands there twice"),
        ("x.yaml", "      davg:", "      scale: 3.0\n      davg:", r"model\.descriptor\.@variables\.scale is not supported"),
        ("x.yaml", "    embeddings:", "    embeddings:\n      factor: 2.0", r"embeddings\.factor = 2\.0 is not supported"),
        ("x.yaml", "  '@variables':", "  '@variables':\n    scale: 3.0", r"model\.@variables\.scale is not supported"),
        ("x.yaml", "        - - -13.25", "", r"model\.@variables\.out_bias holds 1 numbers for 2 elements"),
    ],
    "neurochem": [
        ("m.params", "TM = 1", "TM = 1\nEtaB = 3", r"m\.params: 'EtaB' is not supported"),
        ("m.params", "TM = 1", "TM = 2", "TM = 2 is not supported"),
        ("m.params", "Rcr = 4.3", "Rcr = 4.3\nRcr = 4.0", "Rcr stands there twice"),
        ("sae.dat", "H,1=", "H,1=-0.5\nH,1=", "H stands there twice"),
        ("sae.dat", "H,1=", "Ge,9=-3\nH,1=", "a self energy of Ge; elements are"),
        ("m.info", "2\n", "2\nmore\n", "wanted four lines"),
    ],
    "gap": [
        ("x.xml", "<gpCoordinates ", '<gpCoordinates scale="2.0" ', "gpCoordinates with scale='2.0' is not supported"),
        ("x.xml", 'n_coordinate="9"', 'n_coordinate="10"', "9 gpCoordinates; n_coordinate is 10"),
        ("x.xml", "<GAP_data ", '<GAP_data core="T" ', "GAP_data with core='T' is not supported"),
        ("x.xml", "</GAP_data>", "<glue/></GAP_data>", "glue in GAP_params is not supported"),
        ("x.xml", '<e0 Z="29"', None, "no e0 of Cu"),
    ],
    "snap": [
        ("x.snapparam", "rfac0 0.97", "rfac0 0.97\nrfac0 0.5", "rfac0 stands there twice"),
        ("x.snapparam", "bzeroflag 0", "bzeroflag 0.5", "bzeroflag 0.5 came; wanted 0 or 1"),
        ("x.snapparam", "rfac0 0.97", "charge 1", "'charge' is not supported"),
    ],
    "nep": [
        ("nep.txt", "ANN 5 0", "ANN 5 0\ncharge 3", "line 7: 'charge 3' came; wanted one number"),
        ("nep.txt", "cutoff", "charge 1\ncutoff", "line 2: 'charge' came; wanted cutoff"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_nothing_that_a_file_says_is_passed_over(what, repository, tmp_path, monkeypatch):
    """`None`: the whole line is taken out."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    path, options = sound(what, repository / "tests" / "golden", tmp_path)
    for name, before, after, said in SAID[what]:
        (file,) = (part for part in parts(tmp_path) if part.name == name)
        text = file.read_text()
        assert before in text, (name, before)
        if after is None:
            changed = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(before))
        else:
            changed = text.replace(before, after, 1)
        file.write_text(changed)
        with pytest.raises(ForeignModelError, match=said) as refusal:
            ad.import_model(path, **options)
        assert str(tmp_path) in str(refusal.value), "it names the file"
        file.write_text(text)


def test_what_says_nothing_of_the_potential_may_stand_in_an_input(repository, tmp_path):
    """A whole run of LAMMPS, with the potential in it, is the potential."""
    path, options = sound("lammps", repository / "tests" / "golden", tmp_path)
    alone = ad.import_model(path, **options)
    run = "boundary p p p\natom_style atomic\nread_data some.data\nneighbor 2.0 bin\nneigh_modify every 1 delay 0 check yes\n"
    path.write_text(run + path.read_text() + "mass 1 180.9\nfix 1 all nvt temp 300 300 0.1\nthermo 10\nrun 100\n")
    assert [it.arguments for it in ad.import_model(path, **options).terms] == [it.arguments for it in alone.terms]
