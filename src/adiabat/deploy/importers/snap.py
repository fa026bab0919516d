"""SNAP potentials in LAMMPS's two texts, `.snapcoeff` (elements, coefficients) and `.snapparam` (settings) beside it.

LAMMPS gives a lone atom the energy of its own density; here it is a reference energy, and components count from the lone atom's. For
quadratic potentials the linear coefficients change with that: α (B + B₀)(B + B₀) = α B B + (α + αᵀ) B₀ B + constant.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import numbers as atomic_numbers
from adiabat.models import SNAP
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.told import warn
from adiabat.typing import Tensor

PEER = "LAMMPS-SNAP"
FILES = ".snapcoeff and .snapparam side by side, named alike (also .xz)"

ENDS = (".snapcoeff", ".snapparam")
SCRIPTS = (".snap", ".mod")  # LAMMPS's input of a potential
NEEDED = ("rcutfac", "twojmax")
# what LAMMPS takes where a file does not say; of the last group only this value is supported
DEFAULTS = {"rfac0": 0.99363, "bzeroflag": 1.0, "quadraticflag": 0.0}
ONLY = {"rmin0": 0.0, "switchflag": 1.0, "chemflag": 0.0, "bnormflag": 0.0, "wselfallflag": 0.0, "switchinnerflag": 0.0}
ONLY |= {"diagonalstyle": 3.0}  # of older files: the order that is now the only one
IGNORED = ("chunksize", "parallelthresh")


def recognizes(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".xz").endswith(ENDS)


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    coefficients, parameters = (_beside(path, end) for end in ENDS)
    _warn_of_other_terms(coefficients)
    settings = _settings(parameters)
    twojmax, quadratic = int(settings["twojmax"]), bool(settings["quadraticflag"])
    names, radii, weights, values = _coefficients(coefficients)
    agreed(coefficients, names, elements)
    model = SNAP(
        cutoff=settings["rcutfac"], twojmax=twojmax, quadratic=quadratic, rfac0=settings["rfac0"], elements=names,
        radii=dict(zip(names, radii)), weights=dict(zip(names, weights)),
    ).double()  # fmt: skip
    n = len(model.components)
    if len(values[0]) != model.size + 1:
        raise ForeignModelError(
            f"{coefficients}: {len(values[0])} coefficients an element; twojmax {twojmax}{', quadratic,' * quadratic} has {model.size + 1}"
        )
    lone = torch.zeros(n, dtype=torch.float64) if settings["bzeroflag"] else model.lone
    energies = {}
    for name, c in zip(names, values, strict=True):
        linear, energy = c[1 : n + 1], c[0]
        if quadratic:
            k, l = torch.triu_indices(n, n)
            alpha = torch.zeros(n, n, dtype=torch.float64).index_put_((k, l), torch.where(k == l, 0.5, 1.0) * c[n + 1 :])
            energy = energy + lone @ alpha @ lone
            energies[name] = float(energy + linear @ lone)
            row = torch.cat([linear + (alpha + alpha.T) @ lone, alpha[k, l]])
        else:
            energies[name], row = float(energy + linear @ lone), linear
        with torch.no_grad():
            model.coefficients[(model.elements or ()).index(atomic_numbers([name])[0])] = row
    return Potential(ReferenceEnergies(energies), model)


def _beside(path: Path, end: str) -> Path:
    stem = path.name.removesuffix(".xz").removesuffix(ENDS[0]).removesuffix(ENDS[1])
    for found in (path.with_name(stem + end), path.with_name(stem + end + ".xz")):
        if found.is_file():
            return found
    raise ForeignModelError(f"{path}: {stem + end} is not beside it; a SNAP potential is two files")


def _warn_of_other_terms(coefficients: Path) -> None:
    """Published SNAPs are often fitted beside ZBL: LAMMPS's input next to the two files says so, they do not."""
    for path in sorted(p for p in coefficients.parent.iterdir() if p.suffix in SCRIPTS and p.is_file()):
        said = path.read_text(encoding="utf-8", errors="replace")
        if coefficients.name.removesuffix(".xz") in said and (
            found := re.search(r"^\s*pair_style\s+hybrid.*", said, re.MULTILINE)
        ):
            warn(
                f"{path} adds other terms to this SNAP ('{' '.join(found[0].split())}'); they are not in its two files and not in the "
                "potential imported here, which is wrong without them; import that file instead",
            )


def _lines(path: Path) -> list[list[str]]:
    try:
        raw = path.read_bytes()
        text = (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8", "replace")  # comments may be in anything
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise ForeignModelError(f"{path}: no text, or a damaged one ({error})") from None
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return [line for line in lines if line]


def _settings(path: Path) -> dict[str, float]:
    found: dict[str, float] = dict(DEFAULTS)
    seen: set[str] = set()
    for words in _lines(path):
        key = words[0]
        if key in IGNORED:
            continue
        if key not in (*NEEDED, *DEFAULTS, *ONLY):
            raise ForeignModelError(f"{path}: {key!r} is not supported")
        if len(words) != 2:
            raise ForeignModelError(f"{path}: {' '.join(words)!r} came; wanted one value of {key}")
        if key in seen:
            raise ForeignModelError(f"{path}: {key} stands there twice")
        seen.add(key)
        value = _number(path, key, words[1])
        if key.endswith("flag") and value not in (0, 1):
            raise ForeignModelError(f"{path}: {key} {words[1]} came; wanted 0 or 1")
        if key in ONLY and value != ONLY[key]:
            raise ForeignModelError(f"{path}: {key} {words[1]} is not supported; known is {ONLY[key]:g}")
        found[key] = value
    for key in NEEDED:
        if key not in found:
            raise ForeignModelError(f"{path}: {key} is missing")
    if found["twojmax"] != int(found["twojmax"]) or not 0 <= found["twojmax"] <= 16 or not found["rcutfac"] > 0:
        raise ForeignModelError(f"{path}: twojmax {found['twojmax']:g} and rcutfac {found['rcutfac']:g} make no potential")
    return found


def _coefficients(path: Path) -> tuple[list[str], list[float], list[float], list[Tensor]]:
    lines = _lines(path)
    if not lines or len(lines[0]) != 2 or not all(word.isdigit() for word in lines[0]):
        raise ForeignModelError(f"{path}: the first line has to hold the number of elements and of coefficients")
    kinds, each = map(int, lines[0])
    if len(lines) != 1 + kinds * (each + 1):
        raise ForeignModelError(
            f"{path}: {len(lines)} lines for {kinds} elements of {each} coefficients; wanted {1 + kinds * (each + 1)}. "
            "The file is cut short or damaged"
        )
    names, radii, weights, values = [], [], [], []
    for k in range(kinds):
        head, *rows = lines[1 + k * (each + 1) : 1 + (k + 1) * (each + 1)]
        if len(head) != 3 or any(len(row) != 1 for row in rows):
            raise ForeignModelError(f"{path}: element {k + 1} wants a line 'name radius weight' and one coefficient a line")
        names.append(head[0])
        radii.append(_number(path, "radius", head[1]))
        if not radii[-1] > 0:
            raise ForeignModelError(f"{path}: radius {head[1]} of {head[0]} came; wanted a positive number")
        weights.append(_number(path, "weight", head[2]))
        values.append(torch.tensor([_number(path, f"coefficients of {head[0]}", row[0]) for row in rows], dtype=torch.float64))
    try:
        atomic_numbers(names)
    except ValueError as error:
        raise ForeignModelError(f"{path}: {error}") from None
    return names, radii, weights, values


def _number(path: Path, key: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ForeignModelError(f"{path}: {key}: {word!r} is no number")
    return value
