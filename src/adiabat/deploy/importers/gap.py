"""GAP potentials of QUIP: the XML file that `gap_fit` writes, with its `.sparseX…` files beside it.

QUIP gives a lone atom the energy of its own Gaussian; here it is part of its reference energy, and kernels count from the lone atom's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from adiabat.deploy.importers import gap_turbo
from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.deploy.importers.gap_process import Process
from adiabat.deploy.importers.gap_said import number, only, true
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.models import GAP
from adiabat.potential import Potential, ReferenceEnergies

PEER = "QUIP-GAP"
FILES = "the .xml file of gap_fit, with its .sparseX files beside it"

OLDEST = 1426512068  # gap_version from which on a center's Gaussian stands in its own species' density alone
KERNELS = {
    "distance_2b": "two_body",
    "angle_3b": "three_body",
    "soap": "soap",
    "soap_turbo": "soap_turbo",
}  # as they stand in a GAP
# What a GAP holds, and what each part says of itself; XYZ_data and command_line tell of the fit
TAGS = {
    "GAP_params": ("label", "gap_version", "svn_version", "git_version"),
    "GAP_data": ("do_core", "e0"),
    "e0": ("Z", "value"),
    "gpSparse": ("label", "n_coordinate", "fitted"),
    "gpCoordinates": (
        "label", "dimensions", "signal_variance", "signal_mean", "sparsified", "n_permutations", "covariance_type", "zeta", "n_sparseX",
        "sparseX_filename", "sparseX_md5sum",
    ),
    "theta": (), "descriptor": (), "permutation": ("i",),
    "sparseX": ("i", "alpha", "sparseCutoff", "sliced"),
    "sparseX_slice": ("start", "end"),
    "command_line": (), "XYZ_data": ("compressed",),
}  # fmt: skip


def recognizes(path: Path) -> bool:
    if not path.is_file() or path.suffix != ".xml":
        return False
    with open(path, "rb") as file:
        return b"<GAP_params" in file.read(1 << 16)


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ForeignModelError(f"{path}: cut short or damaged ({error})") from None
    gap = only(path, root, "GAP_params")
    _refuse_other_terms(path, root, gap)
    sparse = only(path, gap, "gpSparse")
    processes = [Process(path, node) for node in sparse.iter("gpCoordinates")]
    if not processes:
        raise ForeignModelError(f"{path}: gpSparse has no gpCoordinates; wanted one a descriptor")
    if (told := int(number(path, "n_coordinate", sparse.get("n_coordinate")))) != len(processes):
        raise ForeignModelError(
            f"{path}: {len(processes)} gpCoordinates; n_coordinate is {told}; the file is cut short or damaged"
        )
    _refuse_unknown(path, gap)
    gap_turbo.warn_of_mixed_bases(path, [process.options for process in processes if process.kind == "soap_turbo"])
    named = sorted({z for process in processes for z in process.named})
    anything = any(process.anything for process in processes)
    symbols = [symbol(z) for z in atomic_numbers(agreed(path, None if anything else [symbol(z) for z in named], elements))]
    kernels = [(process, options) for process in processes for options in process.kernels(symbols)]
    listed: dict[str, Any] = {
        name: [options for process, options in kernels if process.kind == kind] for kind, name in KERNELS.items()
    }
    model = GAP(**listed, elements=symbols).double()
    ordered = [process for kind in KERNELS for process, _ in kernels if process.kind == kind]
    with torch.no_grad():
        for kernel, process in zip(model.kernels, ordered, strict=True):
            kernel.points.copy_(process.points)
        model.coefficients.copy_(torch.cat([process.alpha for process in ordered])[None])
        lone = model.alone() @ model.coefficients[0]
    e0 = {number(path, "Z of e0", node.get("Z")): number(path, "e0", node.get("value")) for node in gap.iter("e0")}
    if e0 and (missing := [s for s, z in zip(symbols, atomic_numbers(symbols), strict=True) if z not in e0]):
        raise ForeignModelError(f"{path}: no e0 of {missing[0]}; the file is cut short or damaged")
    base = number(path, "e0", only(path, gap, "GAP_data").get("e0", "0"))
    energies = {s: e0.get(z, base) + float(e) for s, z, e in zip(symbols, atomic_numbers(symbols), lone, strict=True)}
    return Potential(ReferenceEnergies(energies), model)


def _refuse_other_terms(path: Path, root: ElementTree.Element, gap: ElementTree.Element) -> None:
    for node in root.iter("Potential"):
        said = node.get("init_args", "")
        if not said.strip().startswith("IP GAP"):
            raise ForeignModelError(f"{path}: Potential {said.split(' label')[0]!r} is not supported; known is IP GAP alone")
    if true(only(path, gap, "GAP_data").get("do_core", "F")):
        raise ForeignModelError(f"{path}: do_core, a baseline potential (Glue or another) below the GAP, is not supported")
    version = int(number(path, "gap_version", gap.get("gap_version", "0")))
    if version < OLDEST:
        raise ForeignModelError(f"{path}: gap_version {version} is not supported; its SOAP was another one before {OLDEST}")


def _refuse_unknown(path: Path, gap: ElementTree.Element) -> None:
    for node in gap.iter():
        if node.tag not in TAGS:
            raise ForeignModelError(f"{path}: {node.tag} in {gap.tag} is not supported; known are {', '.join(TAGS)}")
        if strange := sorted({*node.attrib} - {*TAGS[node.tag]}):
            raise ForeignModelError(f"{path}: {node.tag} with {strange[0]}={node.get(strange[0])!r} is not supported")
