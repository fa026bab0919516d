"""Atomic cluster expansions in pacemaker's `.yace`, the YAML that LAMMPS's pair style `pace` reads.

Read by a loader that knows plain values only. pace looks radial functions up in splines of `deltaSplineBins` Å; here they are what the
splines stand for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import yaml

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.deploy.importers.plain_yaml import PlainLoader
from adiabat.elements import numbers as atomic_numbers
from adiabat.models.pace import BASES, BONDS, EMBEDDINGS, PACE
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.typing import Tensor

PEER = "pacemaker"
FILES = "a .yace (YAML of an ACE potential)"


# What a file may say; a word beside them would change what it is.
SAID = {
    "": "elements E0 deltaSplineBins embeddings bonds functions metadata auxdata",
    "embeddings": "ndensity FS_parameters npoti rho_core_cutoff drho_core_cutoff",
    "bonds": "nradmax lmax nradbasemax radbasename radparameters radcoefficients prehc lambdahc rcut dcut rcut_in dcut_in "
    "inner_cutoff_type",
    "functions": "mu0 rank ndensity num_ms_combs mus ns ls ms_combs ctildes",
}


def recognizes(path: Path) -> bool:
    return path.suffix == ".yace" and path.is_file()


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    told = _File(path)
    told.known("")
    names = agreed(path, [str(s) for s in told.get("elements")], elements)
    try:
        ours = [sorted(atomic_numbers(names)).index(atomic_numbers([s])[0]) for s in names]
    except ValueError as error:
        raise ForeignModelError(f"{path}: {error}") from None
    Z = len(names)
    pairs = [(a, b) for a in range(Z) for b in range(Z)]
    bonds = {pair: told.known("bonds", pair) for pair in pairs}
    for section, wanted in (("embeddings", range(Z)), ("bonds", pairs), ("functions", range(Z))):
        if strange := [key for key in told.get(section) if key not in wanted]:
            raise ForeignModelError(f"{path}: {section} {strange[0]}: elements are {Z}, counted from 0")
    for (a, b), bond in bonds.items():
        if bond.get("radbasename") not in BASES:
            raise ForeignModelError(
                f"{path}: bonds [{a}, {b}]: radbasename {bond.get('radbasename')!r} is not supported; known are {', '.join(BASES)}"
            )
    inner = {bond.get("inner_cutoff_type", "density") for bond in bonds.values()}
    if len(inner) > 1 or not inner <= {"density", "distance"}:
        raise ForeignModelError(
            f"{path}: inner_cutoff_type {' and '.join(map(str, inner))} is not supported; known are density, distance"
        )
    sizes = {what: max(int(told.get("bonds", pair, what)) for pair in bonds) for what in ("nradbasemax", "nradmax", "lmax")}
    embeddings = [told.known("embeddings", z) for z in range(Z)]
    for z, each in enumerate(embeddings):
        if each.get("npoti") not in EMBEDDINGS:
            raise ForeignModelError(
                f"{path}: embeddings {z}: npoti {each.get('npoti')!r} is not supported; known are {', '.join(EMBEDDINGS)}"
            )
    D = max(int(told.get("embeddings", z, "ndensity")) for z in range(Z))
    tables = _products(told, ours, sizes, D)
    order = sorted(range(Z), key=lambda z: ours[z])  # theirs by our place
    model = PACE(
        cutoff=max(told.number("bonds", pair, "rcut") for pair in bonds), elements=names, radial=sizes["nradbasemax"],
        n_max=sizes["nradmax"], l_max=sizes["lmax"], densities=D, inner=inner.pop(),
        bases=[[bonds[a, b]["radbasename"] for b in order] for a in order], embeddings=[embeddings[z]["npoti"] for z in order],
        sizes=[len(tables[0]), *tables[1].shape],
    ).double()  # fmt: skip
    with torch.no_grad():
        for name, table in zip(("products", "components", "couplings"), tables, strict=True):
            getattr(model, name).copy_(table)
        model.coefficients.fill_(1.0)
        model.radial_coefficients.zero_()
        model.embedding.zero_()
        model.embedding[..., 1] = 1.0
        for z, each in enumerate(embeddings):
            n = int(each["ndensity"])
            model.embedding[ours[z], :n] = told.array(2 * n, "embeddings", z, "FS_parameters").reshape(n, 2)
            core = [told.number("embeddings", z, what) for what in ("rho_core_cutoff", "drho_core_cutoff")]
            model.core[ours[z]] = torch.tensor(core, dtype=torch.float64)
        for a, b in bonds:
            numbers = [
                told.number("bonds", (a, b), "radparameters")
                if what == "lambda"
                else told.number("bonds", (a, b), what, default=0.0 if what.endswith("_in") else None)
                for what in BONDS
            ]
            model.bonds[ours[a], ours[b]] = torch.tensor(numbers, dtype=torch.float64)
            shape = [int(told.get("bonds", (a, b), what)) + (what == "lmax") for what in ("nradmax", "lmax", "nradbasemax")]
            c = told.array(shape[0] * shape[1] * shape[2], "bonds", (a, b), "radcoefficients").reshape(shape)
            model.radial_coefficients[ours[a], ours[b], : shape[0], : shape[1], : shape[2]] = c
    E0 = told.array(Z, "E0").tolist()
    return Potential(ReferenceEnergies(dict(zip(names, E0, strict=True))), model)


def _products(told: _File, ours: Sequence[int], sizes: Mapping[str, int], D: int) -> tuple[Tensor, Tensor, Tensor]:
    """`products`, `components`, `couplings` of the model, by element."""
    L, Z = sizes["lmax"] + 1, len(ours)
    products: list[tuple[int, ...]] = []
    components: list[list[int]] = []
    couplings: list[list[float]] = []
    for z in sorted(range(Z), key=lambda z: ours[z]):
        for f in told.get("functions", z) or ():
            where = f"{told.path}: functions {z}, one of {f.get('ns') if isinstance(f, Mapping) else f}"
            if isinstance(f, Mapping) and (unknown := [word for word in f if word not in SAID["functions"].split()]):
                raise ForeignModelError(f"{where}: {unknown[0]!r} is not supported")
            if isinstance(f, Mapping) and f.get("mu0", z) != z:
                raise ForeignModelError(f"{where}: mu0 {f['mu0']}; it stands among those of {z}")
            try:
                rank, combinations, n_densities = (int(f[what]) for what in ("rank", "num_ms_combs", "ndensity"))
                mus, ns, ls, ms = ([int(x) for x in f[what]] for what in ("mus", "ns", "ls", "ms_combs"))
                c = [float(x) for x in f["ctildes"]]
            except (KeyError, TypeError, ValueError) as error:
                raise ForeignModelError(f"{where}: {error!r}; the file is damaged") from None
            lengths = [len(mus), len(ns), len(ls), len(ms), len(c)]
            if lengths != (wanted := [rank, rank, rank, rank * combinations, combinations * n_densities]) or n_densities > D:
                raise ForeignModelError(f"{where}: mus, ns, ls, ms_combs, ctildes of lengths {lengths}; wanted {wanted}")
            most_n = sizes["nradbasemax" if rank == 1 else "nradmax"]
            fine = all(0 <= mu < Z and 1 <= n <= most_n and 0 <= l < L for mu, n, l in zip(mus, ns, ls, strict=True))
            if rank == 1 and ls != [0]:
                raise ForeignModelError(f"{where}: ls {ls} of one factor; wanted [0]")
            if not fine or not all(isfinite(x) for x in c) or any(abs(m) > ls[k % rank] for k, m in enumerate(ms)):
                raise ForeignModelError(f"{where}: an index is out of range, or a coefficient is not finite")
            products.append((ours[z], len(components), rank))
            for k in range(combinations):
                if rank == 1:  # pace leaves l and m out here: only l = 0 is left
                    places = [ours[mus[0]] * sizes["nradbasemax"] + ns[0] - 1]
                else:
                    places = [
                        (ours[mu] * sizes["nradmax"] + n - 1) * L**2 + l * l + l + m
                        for mu, n, l, m in zip(mus, ns, ls, ms[k * rank : (k + 1) * rank], strict=True)
                    ]
                components.append(places)
                couplings.append([*c[k * n_densities : (k + 1) * n_densities], *[0.0] * (D - n_densities)])
    if not products:
        raise ForeignModelError(f"{told.path}: functions is empty; the file is cut short")
    most = max(len(row) for row in components)
    filled = torch.tensor([[*row, *[-1] * (most - len(row))] for row in components])
    return torch.tensor(products), filled, torch.tensor(couplings, dtype=torch.float64)


class _File:
    """The document, asked by keys; what is missing or no number is named."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.document = yaml.load(path.read_text(), Loader=PlainLoader)
        except (yaml.YAMLError, TypeError, ValueError) as error:  # a TypeError: a key that no mapping can have
            raise ForeignModelError(f"{path}: no YAML, or a damaged one ({' '.join(str(error).split())[:120]})") from None

    def get(self, *keys: Any) -> Any:
        found = self.document
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                raise ForeignModelError(
                    f"{self.path}: {' '.join(map(str, keys))} is missing; the file is cut short or of another kind"
                )
            found = found[key]
        return found

    def known(self, *keys: Any) -> Any:
        """A mapping whose words are all known."""
        found = self.get(*(key for key in keys if key != ""))
        if not isinstance(found, Mapping):
            raise ForeignModelError(
                f"{self.path}: {' '.join(map(str, keys))} is no mapping; the file is cut short or of another kind"
            )
        if unknown := [word for word in found if word not in SAID[keys[0]].split()]:
            raise ForeignModelError(f"{self.path}: {' '.join(map(str, keys))} {str(unknown[0])[:60]!r} is not supported")
        return found

    def number(self, *keys: Any, default: float | None = None) -> float:
        if default is not None and keys[-1] not in self.get(*keys[:-1]):
            return default
        return float(self.array(1, *keys)[0])

    def array(self, count: int, *keys: Any) -> Tensor:
        try:
            found = torch.tensor(self.get(*keys), dtype=torch.float64).flatten()
        except (TypeError, ValueError) as error:
            raise ForeignModelError(f"{self.path}: {' '.join(map(str, keys))} holds no numbers ({error})") from None
        if len(found) != count or not bool(found.isfinite().all()):
            raise ForeignModelError(
                f"{self.path}: {' '.join(map(str, keys))} holds {len(found)} numbers; wanted {count}, finite"
            )
        return found
