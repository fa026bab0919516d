"""Pair styles from a LAMMPS input: `pair_style`, `pair_coeff`, `pair_modify`; lj/cut, morse, buck, zbl, snap, EAM, and hybrid/overlay of them.

Commands that say nothing of the potential are passed over; those that add to it, and those that nobody knows, are refused by name.
Numbers of pairs that are not given are mixed as LAMMPS does, in overlays not at all. A type is an element: files that snap and EAM
name, or the nuclear charges of zbl, say which; else the caller does.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adiabat.data.labels import factors
from adiabat.deploy.importers import eam, snap
from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import symbol
from adiabat.models import ZBL, Buckingham, LennardJones, Morse
from adiabat.models.pair import Pair
from adiabat.potential import Model, Potential, ReferenceEnergies

PEER = "LAMMPS"
FILES = "an input with pair_style and pair_coeff: lj/cut, morse, buck, zbl, snap, eam, eam/alloy, eam/fs, hybrid/overlay"
UNITS = ("energy", "length")

SYSTEMS = {"metal": {"energy": "eV", "length": "angstrom"}, "real": {"energy": "kcal/mol", "length": "angstrom"}}
# Of structure, motion and output. All others are refused: they add to the potential, or make another of it, or a script of the input.
WITHOUT = """
atom_modify atom_style balance boundary box change_box clear comm_modify comm_style compute compute_modify create_atoms create_box
delete_atoms dimension displace_atoms dump dump_modify echo fix_modify group info lattice log mass min_modify min_style minimize
neighbor newton package partition print processors read_data read_dump region replicate rerun reset_atoms reset_timestep restart run
run_style set suffix thermo thermo_modify thermo_style timer timestep uncompute undump unfix units variable velocity write_data
write_dump write_restart
""".split()
# of fixes and of what neigh_modify says, those that neither pull at atoms nor leave pairs out
FIXES = re.compile(
    r"(nve|nvt|npt|nph|langevin|temp|press|ave|print|balance|momentum|recenter|deform|dt/reset|halt|store|property/atom)(/|$)"
)
LISTS = ("delay", "every", "check", "once", "page", "one", "binsize", "cluster", "collection/interval", "collection/type")
FILED = {"snap": snap.load, "eam": eam.load, "eam/alloy": eam.load, "eam/fs": eam.load}


class Style(NamedTuple):
    """A style of numbers: its model, what they are, and the powers of energy and length in their units."""

    model: type[Pair]
    numbers: tuple[str, ...]
    units: tuple[tuple[int, int], ...]


STYLES = {
    "lj/cut": Style(LennardJones, LennardJones.NUMBERS, ((1, 0), (0, 1))),
    "morse": Style(Morse, Morse.NUMBERS, ((1, 0), (0, -1), (0, 1))),
    "buck": Style(Buckingham, Buckingham.NUMBERS, ((1, 0), (0, 1), (1, 6))),
}
MIXED: dict[str, Callable[[float, float], float]] = {
    "geometric": lambda a, b: math.sqrt(a * b),
    "arithmetic": lambda a, b: (a + b) / 2,
    "sixthpower": lambda a, b: ((a**6 + b**6) / 2) ** (1 / 6),
}


class _Part:
    """A style with its words, the coefficients of pairs of types, and how it is cut and mixed."""

    def __init__(self, style: str, words: list[str]) -> None:
        self.style, self.words, self.shift, self.mix = style, words, False, "geometric"
        self.pairs: dict[tuple[int, int], list[str]] = {}
        self.everywhere: list[str] | None = None  # of "* *", types not being counted yet


def recognizes(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > 1 << 20:
        return False
    return re.search(rb"^[ \t]*pair_style[ \t]", path.read_bytes(), re.MULTILINE) is not None


def load(path: Path, elements: Sequence[str] | None, units: Mapping[str, str] | None = None) -> Potential:
    commands, system = _commands(path)
    parts = _parts(path, commands)
    if units is None:
        if system is None and any(part.style in STYLES for part in parts):
            raise ForeignModelError(
                f"{path}: says no units; give them: units={{'energy': 'eV', 'length': 'angstrom'}}, or --energy-unit eV --length-unit "
                "angstrom"
            )
        if (system or "metal") not in SYSTEMS:
            raise ForeignModelError(f"{path}: units {system} is not supported; known are {', '.join(SYSTEMS)}")
        units = SYSTEMS[system or "metal"]
    try:
        scale = factors(dict(units), path)
    except ValueError as error:
        raise ForeignModelError(str(error)) from None
    if (scale.energy, scale.length) != (1, 1) and any(part.style not in STYLES for part in parts):
        raise ForeignModelError(f"{path}: zbl and files are read in units metal alone, {dict(units)} came")
    names = agreed(path, _named(path, parts), elements)
    terms: list[Model] = []
    alone = dict.fromkeys(names, 0.0)
    for part in parts:
        if part.style in FILED:
            file = _file(path, part)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the other terms are here
                of_file = FILED[part.style](file, None)
            known = of_file.terms[0].arguments["energies"]
            if missing := sorted({*names} - {*known}):
                raise ForeignModelError(f"{path}: {file.name} has no {missing[0]}")
            alone = {name: energy + known[name] for name, energy in alone.items()}
            terms += list(of_file.terms)[1:]
        elif part.style == "zbl":
            inner, outer = (_real(path, "zbl", word) for word in _these(path, part.words, 2, "zbl inner outer"))
            terms.append(ZBL(inner=inner, outer=outer, elements=names))
        else:
            terms.append(_of_numbers(path, part, names, scale.energy, scale.length, len(parts) == 1))
    return Potential(ReferenceEnergies(alone), *terms)


def _commands(path: Path) -> tuple[list[list[str]], str | None]:
    """Words of each command, variables put in; and the units, by the command or a potential's first comment."""
    text = re.sub(r"&[ \t]*\n", " ", path.read_text(encoding="utf-8", errors="replace"))
    told = re.match(r"#.*UNITS:\s*(\w+)", text)
    system, variables, found = told and told[1], {}, []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["variable"] and words[2:3] in (["index"], ["equal"], ["string"]) and len(words) == 4:
            variables[words[1]] = words[3]
        elif words[:1] == ["units"]:
            system = words[1] if len(words) == 2 else ""
        elif words and not words[0].startswith("pair_") and not _without(words):
            told = " ".join(words[:4] if words[0] in ("fix", "neigh_modify") else words[:1])
            raise ForeignModelError(
                f"{path}: {told} is not supported; known are pair_style, pair_coeff, pair_modify, and what does not change the potential"
            )
        elif words and words[0].startswith("pair_"):
            put = [re.sub(r"\$\{(\w+)\}|\$(\w)", lambda it: variables.get(it[1] or it[2], it[0]), word) for word in words]
            if unknown := [word for word in put if "$" in word]:
                raise ForeignModelError(f"{path}: {words[0]}: {unknown[0]} is no variable with one value given above")
            found.append(put)
    return found, system


def _without(words: Sequence[str]) -> bool:
    """Whether a command says nothing of the potential."""
    if words[0] == "fix":
        return len(words) > 3 and FIXES.match(words[3]) is not None
    if words[0] == "neigh_modify":
        return all(key in LISTS for key in words[1::2])
    return words[0] in WITHOUT


def _parts(path: Path, commands: Sequence[list[str]]) -> list[_Part]:
    parts: list[_Part] = []
    for command, *words in commands:
        if command == "pair_style":
            overlay = words[:1] == ["hybrid/overlay"]
            parts = []
            for word in words[overlay:]:
                if word in STYLES or word in FILED or word == "zbl":
                    parts.append(_Part(word, []))
                elif not parts or not re.fullmatch(r"[-+.\deE]+", word):
                    raise ForeignModelError(
                        f"{path}: pair_style {word!r} is not supported; known are {FILES.partition(': ')[2]}"
                    )
                else:
                    parts[-1].words.append(word)
            if (len(parts) > 1 and not overlay) or len({part.style for part in parts}) < len(parts):
                raise ForeignModelError(
                    f"{path}: pair_style {' '.join(words)!r} is not supported; wanted each style once, behind hybrid/overlay"
                )
        elif command == "pair_coeff":
            _coefficients(path, parts, words)
        elif command == "pair_modify":
            for key, value in zip(words[::2], [*words[1::2], ""]):
                if key == "shift" and value in ("yes", "no"):
                    for part in parts:
                        part.shift = value == "yes"
                elif key == "mix" and value in MIXED:
                    for part in parts:
                        part.mix = value
                elif (key, value) != ("tail", "no"):
                    raise ForeignModelError(
                        f"{path}: pair_modify {key} {value} is not supported; known are shift, mix, tail no"
                    )
        else:
            raise ForeignModelError(f"{path}: {command} is not supported; known are pair_style, pair_coeff, pair_modify")
    if not parts:
        raise ForeignModelError(f"{path}: pair_style names no style")
    return parts


def _coefficients(path: Path, parts: Sequence[_Part], words: Sequence[str]) -> None:
    """A `pair_coeff`: two types or ranges of them, the style's name if there are several, its words."""
    if len(words) < 3 or not parts:
        raise ForeignModelError(
            f"{path}: pair_coeff {' '.join(words)!r}: wanted two types and coefficients, behind a pair_style"
        )
    first, second, *rest = words
    part = next((part for part in parts if part.style == rest[0]), parts[0] if len(parts) == 1 else None)
    if part is None:
        raise ForeignModelError(f"{path}: pair_coeff {' '.join(words)!r}: wanted one of {', '.join(p.style for p in parts)}")
    rest = rest[rest[0] == part.style :]
    if (first, second) == ("*", "*"):
        part.everywhere, part.pairs = rest, {}
        return
    for a in _types(path, first):
        for b in _types(path, second):
            part.pairs[min(a, b), max(a, b)] = rest


def _types(path: Path, word: str) -> range:
    found = re.fullmatch(r"([1-9]\d?)(?:\*([1-9]\d?))?", word)
    if not found:
        raise ForeignModelError(
            f"{path}: pair_coeff: type {word!r} is not supported; wanted a number, two with * between them, or * *"
        )
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _named(path: Path, parts: Sequence[_Part]) -> list[str] | None:
    """Elements of types 1, 2, … as the styles say, which must agree; None where no style does."""
    told = [names for part in parts if (names := _names(path, part)) is not None]
    if any(names != told[0] for names in told):
        raise ForeignModelError(
            f"{path}: its styles are for different elements: {'; '.join(', '.join(names) for names in told)}"
        )
    return told[0] if told else None


def _names(path: Path, part: _Part) -> list[str] | None:
    if part.style in STYLES:
        return None
    if part.style == "eam":
        return list(eam.load(_file(path, part), None).terms[0].arguments["energies"])
    if part.style != "zbl":
        _file(path, part)
        names = (part.everywhere or [])[2 if part.style == "snap" else 1 :]
        if "NULL" in names or not names:
            raise ForeignModelError(
                f"{path}: pair_coeff of {part.style}: wanted an element for each type; NULL is not supported"
            )
        return names
    given = {**({(1, 1): part.everywhere} if part.everywhere is not None else {}), **part.pairs}
    charges = {
        pair: [_real(path, "zbl", word) for word in _these(path, words, 2, "two nuclear charges")]
        for pair, words in given.items()
    }
    own = {a: z for (a, b), (z, w) in charges.items() if a == b and z == w and z in range(1, 119)}
    if sorted(own) != list(range(1, len(own) + 1)) or any(
        [own.get(a), own.get(b)] != found for (a, b), found in charges.items()
    ):
        raise ForeignModelError(
            f"{path}: zbl: wanted the nuclear charge of an element for each type, and the same in every pair_coeff"
        )
    return [symbol(int(own[a])) for a in sorted(own)]


def _file(path: Path, part: _Part) -> Path:
    if part.everywhere is None or part.pairs:
        raise ForeignModelError(f"{path}: pair_coeff of {part.style}: wanted one line '* * file elements'")
    file = path.with_name(part.everywhere[0])
    if part.style == "snap" and part.everywhere[1:2] != [file.name.removesuffix(".snapcoeff") + ".snapparam"]:
        raise ForeignModelError(f"{path}: pair_coeff of snap: wanted two files named alike, .snapcoeff and .snapparam")
    if part.style != "snap" and not file.name.endswith({"eam": ".eam", "eam/alloy": ".alloy", "eam/fs": ".fs"}[part.style]):
        raise ForeignModelError(f"{path}: {file.name} of {part.style} does not end as such files do")
    if not file.is_file():
        raise ForeignModelError(f"{path}: {file.name} is not beside it")
    return file


def _of_numbers(path: Path, part: _Part, names: Sequence[str], energy: float, length: float, mixes: bool) -> Pair:
    style, Z = STYLES[part.style], len(names)
    (common,) = (_real(path, part.style, word) for word in _these(path, part.words, 1, f"{part.style} cutoff"))
    rows: dict[tuple[int, int], list[float]] = {}
    if part.pairs and max(b for _, b in part.pairs) > Z:
        raise ForeignModelError(
            f"{path}: pair_coeff of type {max(b for _, b in part.pairs)}; there are {Z} elements, {', '.join(names)}"
        )
    for a in range(1, Z + 1):
        for b in range(a, Z + 1):
            words = part.pairs.get((a, b), part.everywhere)
            if words is not None:
                numbers = [_real(path, part.style, word) for word in words]
                if len(numbers) not in (len(style.numbers), len(style.numbers) + 1):
                    raise ForeignModelError(
                        f"{path}: pair_coeff {a} {b}: {len(numbers)} numbers; {part.style} has {', '.join(style.numbers)}, cutoff"
                    )
                rows[a, b] = numbers if len(numbers) > len(style.numbers) else [*numbers, common]
    for a in range(1, Z + 1):
        for b in range(a + 1, Z + 1):
            if (a, b) not in rows and part.style == "lj/cut" and mixes and (a, a) in rows and (b, b) in rows:
                rows[a, b] = _mixed(part.mix, rows[a, a], rows[b, b])
    if missing := [(a, b) for a in range(1, Z + 1) for b in range(a, Z + 1) if (a, b) not in rows]:
        raise ForeignModelError(f"{path}: pair_coeff {missing[0][0]} {missing[0][1]} of {part.style} is missing")
    powers = [*style.units, (0, 1)]
    pairs = {
        f"{names[a - 1]}-{names[b - 1]}": {
            name: value * energy**e * length**l
            for name, value, (e, l) in zip((*style.numbers, "cutoff"), row, powers, strict=True)
        }
        for (a, b), row in rows.items()
    }
    return style.model(**next(iter(pairs.values())), elements=list(names), fade="shifted" if part.shift else "cut", pairs=pairs)  # type: ignore[arg-type]


def _mixed(rule: str, one: Sequence[float], other: Sequence[float]) -> list[float]:
    (e, s, c), (f, t, d) = one, other
    epsilon = math.sqrt(e * f)
    if rule == "sixthpower":
        epsilon *= 2 * s**3 * t**3 / (s**6 + t**6)
    return [epsilon, MIXED[rule](s, t), MIXED[rule](c, d)]


def _these(path: Path, words: Sequence[str], count: int, what: str) -> Sequence[str]:
    if len(words) != count:
        raise ForeignModelError(f"{path}: {' '.join(words) or 'nothing'!r} came; wanted {what}")
    return words


def _real(path: Path, what: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ForeignModelError(f"{path}: {what}: {word!r} is no number")
    return value
