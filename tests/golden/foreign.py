"""A sound model of every peer, as its own files: what tests of importers change, cut and damage."""

import json
import lzma
import runpy
from pathlib import Path

import yaml

from adiabat.deploy.importers.extracted import Extracted
from golden.made_up import tables


def parts(folder: Path) -> list[Path]:
    """The files of a model."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def sound(what: str, golden: Path, folder: Path) -> tuple[Path, dict]:
    """A file or folder of a peer's, and how it is imported."""

    def kept(name: str) -> dict:
        return json.loads((golden / name).read_text())

    if what in ("mace", "ani", "schnetpack"):  # extracted: of a pickle nothing is read here
        name, options = {
            "mace": ("mace-soft.npz", {}),
            "ani": ("ani-smooth.npz", {}),
            "schnetpack": ("painn-bessel.npz", {"units": {"energy": "eV"}}),
        }[what]
        (folder / name).write_bytes((golden / name).read_bytes())
        return folder / name, {"intervals": 512, **options}
    if what == "neurochem":
        model = Extracted.read(golden / "ani-ensemble.npz")
        return runpy.run_path(str(golden / "neurochem_folder.py"))["write"](folder / "m", model.settings, model.arrays), {}
    if what == "runner":
        units = {"units": {"energy": "hartree", "length": "bohr"}}
        return runpy.run_path(str(golden / "runner_folder.py"))["write"](folder / "m", 1), units
    if what == "yace":
        return runpy.run_path(str(golden / "yace_file.py"))["write"](folder / "x.yace", 1), {}
    if what == "snap":
        for name, text in kept("snap-lammps.json")["cases"][0]["files"].items():
            (folder / name).write_text(text)
        return folder / "x.snapcoeff", {}
    if what == "deepmd":
        with lzma.open(golden / "deeppot-deepmd.json.xz", "rt") as file:
            (folder / "x.yaml").write_text(
                yaml.dump(json.load(file)["cases"]["se_e2_r"]["file"], Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
            )
        return folder / "x.yaml", {}
    name, text, options = {
        "amp": lambda: ("x.amp", kept("amp.json")["cases"][0]["text"], {}),
        "eam": lambda: ("x.eam.alloy", tables("x.eam.alloy", n_rho=30, drho=0.3, n=40, dr=0.12, cutoff=4.6), {}),
        "nep": lambda: ("nep.txt", kept("nep-calorine.json")["cases"][1]["file"], {}),
        "gap": lambda: ("x.xml", (golden / "gap-angles.xml").read_text(), {}),
        "mtp": lambda: ("x.mtp", kept("mtp-motep.json")["cases"][0]["file"], {"elements": ["W", "Ta"]}),
        "lammps": lambda: ("in.pair", kept("pair-lammps.json")["cases"]["morse"]["file"], {"elements": ["Ta", "W"]}),
    }[what]()
    (folder / name).write_text(text)
    return folder / name, options
