"""Moment tensor potentials in MLIP-2's text format, trained or not.

The file does not name its elements: they are given in the order of its species. A template (no coefficients) becomes an untrained
potential of that basis, with radial functions T_μ and every coefficient zero.
"""

from __future__ import annotations

import lzma
import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import numbers as atomic_numbers
from adiabat.models import MTP
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.typing import Tensor

PEER = "mlip"
FILES = "a text beginning with MTP (.mtp, .almtp, .pot; also .xz)"

VERSION = "1.1.0"
SELECTION = b"\n#MVS_v"  # what follows, partly binary, is for active learning alone: an .almtp has it
PLAIN = {
    "version", "potential_name", "scaling", "species_count", "potential_tag", "radial_basis_type", "min_dist", "max_dist",
    "radial_basis_size", "radial_funcs_count", "alpha_moments_count", "alpha_index_basic_count", "alpha_index_basic",
    "alpha_index_times_count", "alpha_index_times", "alpha_scalar_moments", "alpha_moment_mapping", "species_coeffs", "moment_coeffs",
}  # fmt: skip
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def recognizes(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with lzma.open(path) if path.suffix == ".xz" else open(path, "rb") as file:
            return file.read(4).rstrip(b"\r\n") == b"MTP"
    except (OSError, lzma.LZMAError, EOFError):
        return False


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    settings, radial = _parse(path)

    def value(key: str) -> str:
        if key not in settings:
            raise ForeignModelError(f"{path}: {key} is missing; the file is cut short or of another kind")
        return settings[key]

    def whole(key: str) -> int:
        return int(_numbers(path, key, value(key), 1, whole=True)[0])

    def real(key: str) -> float:
        return float(_numbers(path, key, value(key), 1)[0])

    if value("version") != VERSION:
        raise ForeignModelError(f"{path}: version = {value('version')}; known is {VERSION}")
    if value("radial_basis_type") != "RBChebyshev":
        raise ForeignModelError(f"{path}: radial_basis_type = {value('radial_basis_type')}; known is RBChebyshev")
    kinds, functions, size = whole("species_count"), whole("radial_funcs_count"), whole("radial_basis_size")
    named = agreed(path, None, elements, kinds)
    basics = _numbers(path, "alpha_index_basic", value("alpha_index_basic"), 4 * whole("alpha_index_basic_count"), whole=True)
    times = _numbers(path, "alpha_index_times", value("alpha_index_times"), 4 * whole("alpha_index_times_count"), whole=True)
    scalars = _numbers(path, "alpha_moment_mapping", value("alpha_moment_mapping"), whole("alpha_scalar_moments"), whole=True)
    tables = [basics.reshape(-1, 4), times.reshape(-1, 4), scalars]
    _check(path, tables, whole("alpha_moments_count"), functions)

    model = MTP(
        cutoff=real("max_dist"), nearest=real("min_dist"), scaling=real("scaling") if "scaling" in settings else 1.0, radial=size,
        radials=functions, elements=list(named), sizes=[len(table) for table in tables],
    ).double()  # fmt: skip
    order = [(model.elements or ()).index(z) for s in named for z in atomic_numbers([s])]
    with torch.no_grad():
        for name, table in zip(("basics", "times", "scalars"), tables, strict=True):
            getattr(model, name).copy_(table)
        model.radial_coefficients.copy_(torch.eye(functions, size).expand_as(model.radial_coefficients))
        for (a, b), rows in radial.items():
            if max(a, b) >= kinds or len(rows) != functions:
                raise ForeignModelError(
                    f"{path}: radial_coeffs {a}-{b} has {len(rows)} rows for {kinds} species; wanted {functions}"
                )
            for mu, row in enumerate(rows):
                model.radial_coefficients[order[a], order[b], mu] = _numbers(path, f"radial_coeffs {a}-{b}", row, size)
        if radial and len(radial) != kinds**2:
            raise ForeignModelError(f"{path}: radial_coeffs of {len(radial)} pairs; {kinds} species have {kinds**2}")
        trained = "moment_coeffs" in settings
        if trained != bool(radial) or trained != ("species_coeffs" in settings):
            absent = "radial" if not radial else "species" if trained else "moment"
            raise ForeignModelError(f"{path}: {absent}_coeffs are missing; the file is cut short")
        zero = torch.zeros(len(scalars), dtype=torch.float64)
        model.coefficients[0] = _numbers(path, "moment_coeffs", settings["moment_coeffs"], len(scalars)) if trained else zero
    alone = _numbers(path, "species_coeffs", settings["species_coeffs"], kinds) if trained else torch.zeros(kinds)
    return Potential(ReferenceEnergies({s: float(e) for s, e in zip(named, alone.tolist(), strict=True)}), model)


def _parse(path: Path) -> tuple[dict[str, str], dict[tuple[int, int], list[str]]]:
    """``key = value`` lines, and the rows of radial coefficients by pair of species."""
    try:
        raw = path.read_bytes()
        raw = lzma.decompress(raw) if path.suffix == ".xz" else raw
        lines = raw.partition(SELECTION)[0].decode("ascii").splitlines()
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise ForeignModelError(f"{path}: no text, or a damaged one ({error})") from None
    settings: dict[str, str] = {}
    radial: dict[tuple[int, int], list[str]] = {}
    pair: tuple[int, int] | None = None
    for number, line in enumerate(lines[1:], start=2):
        line = line.strip()
        if not line or line == "radial_coeffs":
            continue
        if found := re.fullmatch(r"(\d+)-(\d+)", line):
            pair = int(found[1]), int(found[2])
            if pair in radial:
                raise ForeignModelError(f"{path}, line {number}: radial_coeffs {line} stand there twice")
            radial[pair] = []
        elif line.startswith("{"):
            if pair is None or not line.endswith("}"):
                raise ForeignModelError(
                    f"{path}, line {number}: a row of numbers that is cut short or belongs to no radial_coeffs"
                )
            radial[pair].append(line)
        else:
            key, equals, value = (part.strip() for part in line.partition("="))
            if not equals or key not in PLAIN:
                raise ForeignModelError(f"{path}, line {number}: {key[:40]!r} is not supported in an MTP file")
            if key in settings:
                raise ForeignModelError(f"{path}, line {number}: {key} stands there twice")
            settings[key] = value
    return settings, radial


def _numbers(path: Path, key: str, text: str, count: int, whole: bool = False) -> Tensor:
    words = re.sub(r"[{},]", " ", text).split()
    if len(words) != count or text.count("{") != text.count("}"):
        raise ForeignModelError(f"{path}: {key} holds {len(words)} numbers, wanted {count}; the file is cut short or damaged")
    wrong = [word for word in words if not re.fullmatch(r"-?\d+" if whole else NUMBER, word)]
    if wrong:
        raise ForeignModelError(f"{path}: {key} holds {wrong[0]!r}, which is no {'whole ' if whole else ''}number")
    found = torch.tensor([int(w) if whole else float(w) for w in words], dtype=torch.int64 if whole else torch.float64)
    if not whole and not all(map(math.isfinite, found.tolist())):
        raise ForeignModelError(f"{path}: {key} holds a number that is not finite")
    return found


def _check(path: Path, tables: Sequence[Tensor], moments: int, functions: int) -> None:
    """Indices point at what is there, and products at moments that are made before them."""
    basics, times, scalars = tables
    if len(basics) and (int(basics.min()) < 0 or int(basics[:, 0].max()) >= functions):
        raise ForeignModelError(f"{path}: alpha_index_basic names radial functions beyond radial_funcs_count = {functions}")
    made = last = len(basics)
    for a, b, _, t in times.tolist():
        # In order of what they add to: so a moment is whole before it is used.
        if not (0 <= a < t and 0 <= b < t and last <= t < moments):
            raise ForeignModelError(
                f"{path}: alpha_index_times has {{{a}, {b}, …, {t}}}, a product of moments that are not there yet"
            )
        made, last = max(made, t + 1), t
    if len(scalars) and (int(scalars.min()) < 0 or int(scalars.max()) >= made):
        raise ForeignModelError(f"{path}: alpha_moment_mapping names moment {int(scalars.max())} of {made}")
