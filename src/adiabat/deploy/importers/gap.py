"""GAP potentials of QUIP: the XML file that `gap_fit` writes, with its `.sparseX…` files beside it.

QUIP gives a lone atom the energy of its own Gaussian; here it is part of its reference energy, and kernels count from the lone atom's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch

from adiabat.deploy.importers import gap_turbo
from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.kernels.mixing import Mixing
from adiabat.models import GAP
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.typing import Tensor

PEER = "QUIP-GAP"
FILES = "the .xml file of gap_fit, with its .sparseX files beside it"

OLDEST = 1426512068  # gap_version from which on a center's Gaussian stands in its own species' density alone
ARD_SE, DOT_PRODUCT = "1", "2"  # covariance_type
FIT_ONLY = """
add_species config_type_n_sparse covariance_type delta dimensions f0 file mark_sparse_atoms n_sparse n_sparsex print_sparse_index
print_index sparse_file sparse_method theta_fac theta_file theta_uniform unique_descriptor_tolerance unique_hash_tolerance
variance_estimate_regularisation xml_version zeta
""".split()  # what a descriptor says of its fit
# what changes a descriptor: known with this value only
ONLY: dict[str, dict[str, str | None]] = {
    "soap": {
        "average": "F", "basis_error_exponent": "10.0", "covariance_sigma0": "0.0", "cutoff_dexp": "0",
        "cutoff_rate": None, "cutoff_scale": None, "diagonal_radial": "F", "normalise": "T",
        "normalize": "T", "radial_basis": "EQUISPACED_GAUSS", "z_map": "",
    },
    "distance_2b": {
        "exponents": "1", "n_exponents": "1", "only_inter": "F", "only_intra": "F", "resid_name": "", "tail_exponent": "0",
        "tail_range": None,
    },
    "angle_3b": {},
    "soap_turbo": {"scaling_mode": "polynomial"},
}  # fmt: skip
READ = {
    "soap": ["cutoff", "cutoff_transition_width", "l_max", "n_max", "atom_sigma", "atom_gaussian_width", "central_weight",
             "central_reference_all_species", "n_species", "species_z", "n_z", "z", "nu_r", "nu_s", "coupling", "k", "mix_shift",
             "r_mix", "sym_mix", "z_mix"],
    "distance_2b": ["cutoff", "cutoff_transition_width", "z1", "z2"],
    "angle_3b": ["cutoff", "cutoff_transition_width", "z", "z1", "z2"],
    "soap_turbo": gap_turbo.READ,
}  # fmt: skip
ELEMENTS = {
    "soap": ("z", "species_z"),
    "distance_2b": ("z1", "z2"),
    "angle_3b": ("z", "z1", "z2"),
    "soap_turbo": ("species_z",),
}
KERNELS = {
    "distance_2b": "two_body",
    "angle_3b": "three_body",
    "soap": "soap",
    "soap_turbo": "soap_turbo",
}  # as they stand in a GAP


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
    gap = _one(path, root, "GAP_params")
    _refuse_other_terms(path, root, gap)
    blocks = [_Block(path, node) for node in _one(path, gap, "gpSparse").iter("gpCoordinates")]
    if not blocks:
        raise ForeignModelError(f"{path}: gpSparse has no gpCoordinates; wanted one a descriptor")
    gap_turbo.warn_of_mixed_bases(path, [block.options for block in blocks if block.kind == "soap_turbo"])
    named = sorted({z for block in blocks for z in block.named})
    anything = any(block.anything for block in blocks)
    symbols = [symbol(z) for z in atomic_numbers(agreed(path, None if anything else [symbol(z) for z in named], elements))]
    kernels = [(block, options) for block in blocks for options in block.kernels(symbols)]
    listed: dict[str, Any] = {
        name: [options for block, options in kernels if block.kind == kind] for kind, name in KERNELS.items()
    }
    model = GAP(**listed, elements=symbols).double()
    ordered = [block for kind in KERNELS for block, _ in kernels if block.kind == kind]
    with torch.no_grad():
        for kernel, block in zip(model.kernels, ordered, strict=True):
            kernel.points.copy_(block.points)
        model.coefficients.copy_(torch.cat([block.alpha for block in ordered])[None])
        lone = model.alone() @ model.coefficients[0]
    e0 = {_number(path, "Z of e0", node.get("Z")): _number(path, "e0", node.get("value")) for node in gap.iter("e0")}
    base = _number(path, "e0", _one(path, gap, "GAP_data").get("e0", "0"))
    energies = {s: e0.get(z, base) + float(e) for s, z, e in zip(symbols, atomic_numbers(symbols), lone, strict=True)}
    return Potential(ReferenceEnergies(energies), model)


class _Block:
    """One gpCoordinates: its descriptor, sparse points and coefficients."""

    def __init__(self, path: Path, node: ElementTree.Element) -> None:
        self.path = path
        text = (_one(path, node, "descriptor").text or "").split(None, 1)
        self.kind = text[0] if text else ""
        if self.kind not in ONLY:
            raise ForeignModelError(f"{path}: descriptor {self.kind!r} is not supported; known are {', '.join(ONLY)}")
        self.said = _arguments(text[1] if len(text) > 1 else "")
        self._refuse_unknown()
        of_spectra = self.kind in ("soap", "soap_turbo")
        wanted = DOT_PRODUCT if of_spectra else ARD_SE
        for key, value in (("covariance_type", wanted), ("n_permutations", "1"), ("sparsified", "T")):
            if node.get(key) != value:
                raise ForeignModelError(f"{path}: {self.kind} with {key} {node.get(key)} is not supported; known is {value}")
        if self._number(node, "signal_mean") != 0:
            raise ForeignModelError(
                f"{path}: {self.kind} with signal_mean (f0) {node.get('signal_mean')} is not supported; known is 0"
            )
        if self.kind == "soap_turbo":
            self.options, dimensions = gap_turbo.options(path, self.said, text[1])
        else:
            self.options = {"cutoff": self._float("cutoff"), "transition_width": self._float("cutoff_transition_width", 0.5)}
        self.options["delta_eV"] = self._number(node, "signal_variance")
        sparse = node.findall("sparseX")
        n, D = int(self._number(node, "n_sparseX")), int(self._number(node, "dimensions"))
        if len(sparse) != n:
            raise ForeignModelError(
                f"{path}: {len(sparse)} sparseX of {self.kind}, n_sparseX is {n}; the file is cut short or damaged"
            )
        self.options["n_sparse"] = n
        self.alpha = torch.tensor([self._number(s, "alpha") for s in sparse], dtype=torch.float64)
        self.points = self._points(node, n, D)
        cutoffs = torch.tensor([self._number(s, "sparseCutoff") for s in sparse], dtype=torch.float64)
        if of_spectra:
            self.options["zeta"] = self._number(node, "zeta")
            if not bool((cutoffs == 1).all()):
                raise ForeignModelError(f"{self.path}: sparseCutoff of {self.kind} other than 1 is not supported")
        if self.kind == "soap":
            self._soap()
        elif self.kind == "soap_turbo":
            self._check_dimensions(D, dimensions)
        else:
            theta = [_number(path, "theta", word) for word in (_one(path, node, "theta").text or "").split()]
            self._check_dimensions(D, 1 if self.kind == "distance_2b" else 3)
            self._check_dimensions(len(theta), D)
            self.options |= {"theta_angstrom": theta[0]} if self.kind == "distance_2b" else {"theta": theta}
            legs = self.points
            if self.kind == "angle_3b":
                half, apart = 0.5 * self.points[:, 0], 0.5 * self.points[:, 1].sqrt()
                legs = torch.stack([half + apart, half - apart], 1)
            x = ((legs - self.options["cutoff"]) / self.options["transition_width"] + 1).clamp(0, 1)
            if not torch.allclose(cutoffs, (0.5 * (1 + torch.cos(torch.pi * x))).prod(1), atol=1e-6, rtol=0):
                raise ForeignModelError(f"{path}: sparseCutoff of {self.kind} is not its cutoff function at the sparse points")

    def _soap(self) -> None:
        said = self.said
        sigma = "atom_sigma" if "atom_sigma" in said else "atom_gaussian_width"
        species = self._numbers("species_z", [0])
        one = len(species) == 1 and "central_reference_all_species" not in said
        self.options |= {
            "n_max": int(self._float("n_max")), "l_max": int(self._float("l_max")), "atom_sigma": self._float(sigma),
            "central_weight": self._float("central_weight", 1.0),
            "center_in_all": one or _true(said.get("central_reference_all_species", "F")),
            "nu_r": int(self._float("nu_r", 2)), "nu_s": int(self._float("nu_s", 2)),
        }  # fmt: skip
        r, s = self.options["nu_r"], self.options["nu_s"]
        if not {r, s} <= {0, 1, 2}:
            raise ForeignModelError(f"{self.path}: soap with nu_R {r}, nu_S {s} is not supported; known are 0, 1 and 2")
        first, second = (
            (self.options["n_max"] if r >= keep else 1) * (len(species) if s >= keep else 1) for keep in (1, 2)
        )  # channels of the two densities
        products = first * second if 1 in (r, s) else first * (first + 1) // 2
        if (mixing := self._mixing()) is not None:
            self.options["mixing"] = asdict(mixing)
            products = mixing.products(len(species), self.options["n_max"])
        self._check_dimensions(self.points.shape[1], products * (self.options["l_max"] + 1) + 1)
        if bool(self.points[:, -1].any()):
            raise ForeignModelError(f"{self.path}: covariance_sigma0 other than 0 is not supported")
        self.points = self.points[:, :-1]

    def _mixing(self) -> Mixing | None:
        radial, species, symmetric = (_true(self.said.get(key, "F")) for key in ("r_mix", "z_mix", "sym_mix"))
        coupled = _true(self.said.get("coupling", "T"))
        if not (radial or species):
            if symmetric or not coupled:
                raise ForeignModelError(
                    f"{self.path}: soap with sym_mix=T or coupling=F, but neither R_mix nor Z_mix, is not supported"
                )
            return None
        if (self.options["nu_r"], self.options["nu_s"]) != (2, 2):
            raise ForeignModelError(
                f"{self.path}: soap with R_mix or Z_mix and nu_R or nu_S is not supported; QUIP has none either"
            )
        channels, shift = int(self._float("k")), int(self._float("mix_shift", 0))
        if channels < 1:
            raise ForeignModelError(f"{self.path}: soap with K={channels} is not supported; wanted one channel at least")
        return Mixing(channels, species, radial, symmetric, coupled, shift)

    @property
    def named(self) -> list[int]:
        """Atomic numbers that are named."""
        return [z for key in ELEMENTS[self.kind] for z in self._numbers(key, [0]) if z]

    @property
    def anything(self) -> bool:
        """Whether elements are left open."""
        return any(0 in self._numbers(key, [0]) for key in ELEMENTS[self.kind])

    def kernels(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Options of one kernel a center, or a pair: QUIP lets several share their coefficients."""
        if self.kind == "soap_turbo":
            return [self.options]
        centers = self._numbers("z", [0])
        around = list(symbols) if 0 in centers else [symbol(z) for z in centers]
        if self.kind != "soap":
            (one,), (other,) = ([symbol(z) if z else None for z in self._numbers(key, [0])] for key in ("z1", "z2"))
            pairs = combinations_with_replacement(symbols, 2)
            mine = [[a, b] for a, b in pairs if any(x in (None, a) and y in (None, b) for x, y in ((one, other), (other, one)))]
            each = [{}] if self.kind == "distance_2b" else [{"center": center} for center in around]
            return [{**center, "pair": pair, **self.options} for center in each for pair in mine]
        species = self._numbers("species_z", [0])
        if 0 in species and len(symbols) > 1:
            raise ForeignModelError(
                f"{self.path}: soap with species_Z=0, all elements taken for one, is supported for one element alone"
            )
        counted = symbols if 0 in species else [symbol(z) for z in species]
        return [{"center": center, "species": list(counted), **self.options} for center in around]

    def _refuse_unknown(self) -> None:
        for key, value in self.said.items():
            only = ONLY[self.kind]
            if key in only:
                if (wanted := only[key]) is not None and not _same(value, wanted):
                    raise ForeignModelError(
                        f"{self.path}: {self.kind} with {key}={value} is not supported; known is {wanted!r}"
                    )
            elif key not in READ[self.kind] and key not in FIT_ONLY:
                raise ForeignModelError(f"{self.path}: {self.kind} with {key!r} is not supported")

    def _check_dimensions(self, came: int, wanted: int) -> None:
        if came != wanted:
            raise ForeignModelError(f"{self.path}: {self.kind} of {came} dimensions; its settings make {wanted}")

    def _points(self, node: ElementTree.Element, n: int, D: int) -> Tensor:
        name = node.get("sparseX_filename")
        if name is None:
            values = [
                _number(self.path, "sparseX", word) for s in node.findall("sparseX") for word in " ".join(s.itertext()).split()
            ]
            found = np.array(values)
            where: Path = self.path
        else:
            where = self.path.with_name(Path(name).name)
            if not where.is_file():
                raise ForeignModelError(
                    f"{self.path}: {where.name} is not beside it; the sparse points are in a file of their own"
                )
            raw = where.read_bytes()
            if (wanted := node.get("sparseX_md5sum")) and hashlib.md5(raw, usedforsecurity=False).hexdigest() != wanted:
                raise ForeignModelError(
                    f"{where}: not the file its potential was written with (md5 {wanted}); it was changed or cut short"
                )
            try:
                found = np.array(raw.decode("ascii").split(), dtype=np.float64)
            except ValueError as error:
                raise ForeignModelError(f"{where}: no column of numbers ({error})") from None
        if found.size != n * D:
            raise ForeignModelError(f"{where}: {found.size} numbers; wanted {n} sparse points of {D}")
        return torch.from_numpy(found).view(n, D)

    def _number(self, node: ElementTree.Element, key: str) -> float:
        return _number(self.path, key, node.get(key))

    def _float(self, key: str, default: float | None = None) -> float:
        if key not in self.said and default is None:
            raise ForeignModelError(f"{self.path}: {self.kind} says no {key}")
        return _number(self.path, key, self.said[key]) if key in self.said else float(default or 0.0)

    def _numbers(self, key: str, default: list[int]) -> list[int]:
        if key not in self.said:
            return default
        return [int(_number(self.path, key, word)) for word in self.said[key].split()]


def _refuse_other_terms(path: Path, root: ElementTree.Element, gap: ElementTree.Element) -> None:
    for node in root.iter("Potential"):
        said = node.get("init_args", "")
        if not said.strip().startswith("IP GAP"):
            raise ForeignModelError(f"{path}: Potential {said.split(' label')[0]!r} is not supported; known is IP GAP alone")
    if _true(_one(path, gap, "GAP_data").get("do_core", "F")):
        raise ForeignModelError(f"{path}: do_core, a baseline potential (Glue or another) below the GAP, is not supported")
    version = int(_number(path, "gap_version", gap.get("gap_version", "0")))
    if version < OLDEST:
        raise ForeignModelError(f"{path}: gap_version {version} is not supported; its SOAP was another one before {OLDEST}")


def _arguments(text: str) -> dict[str, str]:
    """key=value, key={several values}, key="…" by lower-case key."""
    return {
        found[1].lower(): next(x for x in found.groups()[1:] if x is not None).strip()
        for found in re.finditer(r'(\w+)\s*=\s*(?:\{+([^}]*)\}+|"([^"]*)"|(\S*))', text)
    }


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip().upper() in (other.upper(), {"F": "FALSE", "T": "TRUE"}.get(other, other.upper()))


def _true(text: str) -> bool:
    return text.strip().upper() in ("T", "TRUE", "1", "Y", "YES")


def _one(path: Path, node: ElementTree.Element, name: str) -> ElementTree.Element:
    found = list(node.iter(name))
    if len(found) != 1:
        raise ForeignModelError(f"{path}: {len(found)} {name} in {node.tag}; wanted one")
    return found[0]


def _number(path: Path, key: str, text: str | None) -> float:
    try:
        value = float((text or "").replace("D", "E").replace("d", "e"))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ForeignModelError(f"{path}: {key} {text!r} came; wanted a number")
    return value
