"""One process of a GAP file: a gpCoordinates with its descriptor, sparse points and coefficients, as options of our kernels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch

from adiabat.deploy.importers import gap_soap, gap_turbo
from adiabat.deploy.importers.extracted import ForeignModelError
from adiabat.deploy.importers.gap_said import Said, number, only, same
from adiabat.elements import symbol
from adiabat.typing import Tensor

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
    "soap": gap_soap.READ,
    "distance_2b": ["cutoff", "cutoff_transition_width", "z1", "z2"],
    "angle_3b": ["cutoff", "cutoff_transition_width", "z", "z1", "z2"],
    "soap_turbo": gap_turbo.READ,
}
ELEMENTS = {
    "soap": ("z", "species_z"),
    "distance_2b": ("z1", "z2"),
    "angle_3b": ("z", "z1", "z2"),
    "soap_turbo": ("species_z",),
}
OPTIONS = {"soap": gap_soap.options, "soap_turbo": gap_turbo.options}  # and how many dimensions they make


class Process:
    """One gpCoordinates: `options` of its kernels but for elements, `points` and coefficients `alpha`."""

    options: dict[str, Any]

    def __init__(self, path: Path, node: ElementTree.Element) -> None:
        self.path = path
        text = (only(path, node, "descriptor").text or "").split(None, 1)
        self.kind = text[0] if text else ""
        if self.kind not in ONLY:
            raise ForeignModelError(f"{path}: descriptor {self.kind!r} is not supported; known are {', '.join(ONLY)}")
        self.said = Said(path, self.kind, text[1] if len(text) > 1 else "")
        self._refuse_unknown(node)
        sparse = node.findall("sparseX")
        n, D = int(self._number(node, "n_sparseX")), int(self._number(node, "dimensions"))
        if len(sparse) != n:
            raise ForeignModelError(
                f"{path}: {len(sparse)} sparseX of {self.kind}, n_sparseX is {n}; the file is cut short or damaged"
            )
        self.alpha = torch.tensor([self._number(s, "alpha") for s in sparse], dtype=torch.float64)
        self.points = self._points(node, n, D)
        cutoffs = torch.tensor([self._number(s, "sparseCutoff") for s in sparse], dtype=torch.float64)
        if self.kind in OPTIONS:
            self.options, dimensions = OPTIONS[self.kind](self.said)
            self._check_dimensions(D, dimensions)
            self._take_spectra(node, cutoffs)
        else:
            self._take_distances(node, cutoffs)
        self.options |= {"delta_eV": self._number(node, "signal_variance"), "n_sparse": n}

    def _take_spectra(self, node: ElementTree.Element, cutoffs: Tensor) -> None:
        self.options["zeta"] = self._number(node, "zeta")
        if not bool((cutoffs == 1).all()):
            raise ForeignModelError(f"{self.path}: sparseCutoff of {self.kind} other than 1 is not supported")
        if self.kind == "soap":
            if bool(self.points[:, -1].any()):
                raise ForeignModelError(f"{self.path}: covariance_sigma0 other than 0 is not supported")
            self.points = self.points[:, :-1]

    def _take_distances(self, node: ElementTree.Element, cutoffs: Tensor) -> None:
        pair = self.kind == "distance_2b"
        cutoff, width = self.said.number("cutoff"), self.said.number("cutoff_transition_width", 0.5)
        theta = [number(self.path, "theta", word) for word in (only(self.path, node, "theta").text or "").split()]
        self._check_dimensions(self.points.shape[1], 1 if pair else 3)
        self._check_dimensions(len(theta), self.points.shape[1])
        self.options = {"cutoff": cutoff, "transition_width": width}
        self.options |= {"theta_angstrom": theta[0]} if pair else {"theta": theta}
        legs = self.points
        if not pair:
            half, apart = 0.5 * self.points[:, 0], 0.5 * self.points[:, 1].sqrt()
            legs = torch.stack([half + apart, half - apart], 1)
        x = ((legs - cutoff) / width + 1).clamp(0, 1)
        if not torch.allclose(cutoffs, (0.5 * (1 + torch.cos(torch.pi * x))).prod(1), atol=1e-6, rtol=0):
            raise ForeignModelError(f"{self.path}: sparseCutoff of {self.kind} is not its cutoff function at the sparse points")

    @property
    def named(self) -> list[int]:
        """Atomic numbers that are named."""
        return [z for key in ELEMENTS[self.kind] for z in self._elements(key) if z]

    @property
    def anything(self) -> bool:
        """Whether elements are left open."""
        return any(0 in self._elements(key) for key in ELEMENTS[self.kind])

    def kernels(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Options of one kernel a center, or a pair: QUIP lets several share their coefficients."""
        if self.kind == "soap_turbo":
            return [self.options]
        centers = self._elements("z")
        around = list(symbols) if 0 in centers else [symbol(z) for z in centers]
        if self.kind != "soap":
            (one,), (other,) = ([symbol(z) if z else None for z in self._elements(key)] for key in ("z1", "z2"))
            pairs = combinations_with_replacement(symbols, 2)
            mine = [[a, b] for a, b in pairs if any(x in (None, a) and y in (None, b) for x, y in ((one, other), (other, one)))]
            each = [{}] if self.kind == "distance_2b" else [{"center": center} for center in around]
            return [{**center, "pair": pair, **self.options} for center in each for pair in mine]
        species = self._elements("species_z")
        if 0 in species and len(symbols) > 1:
            raise ForeignModelError(
                f"{self.path}: soap with species_Z=0, all elements taken for one, is supported for one element alone"
            )
        counted = symbols if 0 in species else [symbol(z) for z in species]
        return [{"center": center, "species": list(counted), **self.options} for center in around]

    def _refuse_unknown(self, node: ElementTree.Element) -> None:
        known = ONLY[self.kind]
        for key, value in self.said.by_key.items():
            if key in known:
                if (wanted := known[key]) is not None and not same(value, wanted):
                    raise ForeignModelError(
                        f"{self.path}: {self.kind} with {key}={value} is not supported; known is {wanted!r}"
                    )
            elif key not in READ[self.kind] and key not in FIT_ONLY:
                raise ForeignModelError(f"{self.path}: {self.kind} with {key!r} is not supported")
        covariance = DOT_PRODUCT if self.kind in OPTIONS else ARD_SE
        for key, value in (("covariance_type", covariance), ("n_permutations", "1"), ("sparsified", "T")):
            if node.get(key) != value:
                raise ForeignModelError(
                    f"{self.path}: {self.kind} with {key} {node.get(key)} is not supported; known is {value}"
                )
        if self._number(node, "signal_mean") != 0:
            raise ForeignModelError(
                f"{self.path}: {self.kind} with signal_mean (f0) {node.get('signal_mean')} is not supported; known is 0"
            )

    def _check_dimensions(self, came: int, wanted: int) -> None:
        if came != wanted:
            raise ForeignModelError(f"{self.path}: {self.kind} of {came} dimensions; its settings make {wanted}")

    def _points(self, node: ElementTree.Element, n: int, D: int) -> Tensor:
        name, where = node.get("sparseX_filename"), self.path
        if name is None:
            words = (word for s in node.findall("sparseX") for word in " ".join(s.itertext()).split())
            found = np.array([number(self.path, "sparseX", word) for word in words])
        else:
            where = self.path.with_name(Path(name).name)
            found = _column(self.path, where, node.get("sparseX_md5sum"))
        if found.size != n * D:
            raise ForeignModelError(f"{where}: {found.size} numbers; wanted {n} sparse points of {D}")
        return torch.from_numpy(found).view(n, D)

    def _number(self, node: ElementTree.Element, key: str) -> float:
        return number(self.path, key, node.get(key))

    def _elements(self, key: str) -> list[int]:
        """Atomic numbers; 0: any."""
        return [int(z) for z in self.said.numbers(key, [0])]


def _column(path: Path, where: Path, md5: str | None) -> np.ndarray:
    """The numbers of a file of sparse points."""
    if not where.is_file():
        raise ForeignModelError(f"{path}: {where.name} is not beside it; the sparse points are in a file of their own")
    raw = where.read_bytes()
    if md5 and hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise ForeignModelError(
            f"{where}: not the file its potential was written with (md5 {md5}); it was changed or cut short"
        )
    try:
        return np.array(raw.decode("ascii").split(), dtype=np.float64)
    except ValueError as error:
        raise ForeignModelError(f"{where}: no column of numbers ({error})") from None
