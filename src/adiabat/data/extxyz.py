"""Extended XYZ: a count, a line of key=value, a row an atom. Read with the place of every fault, written without rounding.

The format: https://github.com/libAtoms/extxyz. Compressed files (.xz, .gz, .bz2) are read and written as they are named.
A frame here is still what the file says, under the file's own names; `formats` makes labels of it.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from adiabat import elements
from adiabat.data.unreadable import Truncated, Unreadable

OPENERS = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
_KINDS = {"S": str, "R": float, "I": int, "L": bool}
_CLOSING = {"[": "]", "{": "}"}
_BOOLEANS = {"T": True, "F": False, "True": True, "False": False, "TRUE": True, "FALSE": False, "true": True, "false": False}
_SHOWN: dict[str, Callable[[Any], str]] = {"R": repr, "I": str, "L": lambda x: "T" if x else "F", "S": str}
_KEY = re.compile(r"[^\s=]+")


@dataclass
class Frame:
    """One frame as the file tells it: `info` from the comment line, `columns` by their names, the line it starts at."""

    number: int
    line: int
    info: dict[str, Any]
    columns: dict[str, np.ndarray]
    open_end: bool = False  # its last row has no line end: the file may have been cut inside the last number


def opened(path: Path, mode: str) -> IO[str]:
    """Open text, through the decompressor its name asks for."""
    return OPENERS.get(path.suffix.lower(), open)(path, mode, encoding="utf-8")  # type: ignore[operator]


def frames(path: Path, refused: dict[int, Unreadable] | None = None) -> Iterator[Frame]:
    """Frames one by one; raises Truncated at a broken end, Unreadable at a broken row.

    With `refused` the errors are put there by the number of their frame, and reading goes on; Truncated is raised still.
    """
    try:
        yield from _frames(path, refused)
    except Unreadable as error:
        if refused is None or isinstance(error, Truncated):
            raise
        refused[error.frame] = error  # nobody knows where the next frame begins: the end


def _frames(path: Path, refused: dict[int, Unreadable] | None) -> Iterator[Frame]:
    number, line = 0, 0
    with opened(path, "rt") as file:
        while True:
            try:
                head = file.readline()
                line += 1
                if not head:
                    return
                if not head.strip():
                    continue
                n = _count(head, path, number, line)
                comment = file.readline()
                rows = [file.readline() for _ in range(n)]
            except (EOFError, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
                raise _truncated(path, number, f"the compressed stream breaks off ({error})") from error
            have = sum(1 for row in rows if row.strip())
            if not comment or have < n:
                raise _truncated(path, number, f"it has {have} of {n} atoms")
            info = parse_comment(comment) if "=" in comment else {"comment": comment.strip()} if comment.strip() else {}
            try:
                columns = _columns(rows, info.pop("Properties", None), path, number, line)
            except Unreadable as error:
                if refused is None:
                    raise
                refused[number] = error
            else:
                yield Frame(number, line, info, columns, open_end=n > 0 and not rows[-1].endswith("\n"))
            number, line = number + 1, line + 1 + n


def parse_comment(text: str) -> dict[str, Any]:
    """key=value pairs; quotes, brackets and `_JSON` values as ASE writes them. A bare word means True.

    >>> parse_comment('energy=-1.5 pbc="T F T" name="a b" done')
    {'energy': -1.5, 'pbc': [True, False, True], 'name': 'a b', 'done': True}
    """
    found: dict[str, Any] = {}
    place, text = 0, text.strip()
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        if text[place] in "\"'":
            key, place = _quoted(text, place)
        else:
            match = _KEY.match(text, place)
            if match is None:  # a stray "="
                place += 1
                continue
            key, place = match.group(), match.end()
        if place >= len(text) or text[place] != "=":
            found[key] = True
            continue
        place += 1
        first = text[place] if place < len(text) else ""
        if first in ("'", '"') and first:
            raw, place = _quoted(text, place)
        elif first in _CLOSING:
            raw, place = _bracketed(text, place)
        else:
            match = re.compile(r"\S*").match(text, place)
            raw, place = match.group(), match.end()  # type: ignore[union-attr]
        found[key] = _value(raw)
    return found


def format_comment(info: dict[str, Any]) -> str:
    """The line again, so that `parse_comment` gives the same values back.

    >>> format_comment({"energy": 0.1 + 0.2, "name": "300", "tags": ["a", "b"]})
    'energy=0.30000000000000004 name="_JSON \\\\"300\\\\"" tags="_JSON [\\\\"a\\\\", \\\\"b\\\\"]"'
    """
    words = []
    for key, value in info.items():
        text = _text(value)
        if _value(text) != value:
            text = "_JSON " + json.dumps(value)
        words.append(f"{_quote(key)}={_quote(text)}")
    return " ".join(words)


def format_frame(columns: dict[str, np.ndarray], info: dict[str, Any]) -> str:
    """One frame as text, floats by their shortest exact form."""
    n = len(columns["species"])
    properties, texts = [], []
    for name, values in columns.items():
        kind = {"U": "S", "f": "R", "i": "I", "u": "I", "b": "L"}[values.dtype.kind]
        rows = values.reshape(n, -1)
        properties.append(f"{name}:{kind}:{rows.shape[1]}")
        show = _SHOWN[kind]
        texts.append([" ".join(map(show, row)) for row in rows.tolist()])
    lattice = {"Lattice": info["Lattice"]} if "Lattice" in info else {}
    rest = {key: value for key, value in info.items() if key != "Lattice"}
    comment = " ".join(
        part for part in (format_comment(lattice), f"Properties={':'.join(properties)}", format_comment(rest)) if part
    )
    return "\n".join([str(n), comment, *(" ".join(row) for row in zip(*texts))]) + "\n"


def _count(head: str, path: Path, number: int, line: int) -> int:
    try:
        n = int(head)
    except ValueError:
        n = -1
    if n < 0:
        raise Unreadable(
            f"{path}, line {line}: {head.strip()[:40]!r} came where frame {number} should begin with its number of atoms; "
            "the frame before it has more rows than it announced, or this is no extended XYZ",
            frame=number,
        )
    return n


def _truncated(path: Path, number: int, what: str) -> Truncated:
    return Truncated(
        f"{path}: the file ends inside frame {number}: {what}; {number} whole frames (0 to {number - 1}) can be read; "
        "fetch the file again, or read them alone with partial=True"
        if number
        else f"{path}: the file ends inside its first frame: {what}; nothing can be read; fetch the file again",
        number,
    )


def _columns(rows: list[str], announced: str | None, path: Path, number: int, line: int) -> dict[str, np.ndarray]:
    properties = announced or "species:S:1:pos:R:3"  # plain XYZ, whose further columns have no name and stay unread
    parts = properties.split(":")
    where = f"{path}, frame {number}"
    if len(parts) % 3 or any(kind not in _KINDS for kind in parts[1::3]) or not all(w.isdigit() for w in parts[2::3]):
        raise Unreadable(f"{where}: Properties={properties} came, wanted name:kind:width triples with kind S, R, I or L")
    layout = [(parts[k], parts[k + 1], int(parts[k + 2])) for k in range(0, len(parts), 3)]
    width = sum(w for _, _, w in layout)
    cells = [row.split() for row in rows]
    for k, row in enumerate(cells):
        if len(row) != width and (len(row) < width or announced):
            raise Unreadable(
                f"{where}, line {line + 2 + k}: {len(row)} columns came, wanted {width} ({properties}); correct or leave out the frame"
            )
    columns: dict[str, np.ndarray] = {}
    start = 0
    for name, kind, w in layout:
        raw = [row[start : start + w] for row in cells]
        start += w
        try:
            if kind == "L":
                values = np.array([[_BOOLEANS[x] for x in row] for row in raw], dtype=bool)
            else:
                values = np.array([[_KINDS[kind](x) for x in row] for row in raw], dtype=_KINDS[kind])
        except (ValueError, KeyError) as error:
            raise Unreadable(
                f"{where}: column {name!r} holds what is no {_KINDS[kind].__name__}: {error}; correct it"
            ) from None
        columns[name] = values.reshape(len(rows)) if w == 1 else values.reshape(len(rows), w)
    return _with_numbers(columns, where)


def _with_numbers(columns: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Atomic numbers from `species` (symbols or numbers) or `Z`."""
    names = {name.lower(): name for name in columns}
    key = next((names[k] for k in ("species", "symbols", "element", "z", "numbers") if k in names), None)
    if key is None:
        raise Unreadable(f"{where}: no column names the elements; wanted species:S:1 or Z:I:1, came {', '.join(columns)}")
    values = columns.pop(key)
    numbers = []
    for k, value in enumerate(values.tolist()):
        try:
            numbers.append(
                elements.number(str(value)) if not str(value).isdigit() else elements.number(elements.symbol(int(value)))
            )
        except ValueError as error:
            raise Unreadable(
                f"{where}, atom {k}: {error}; wanted an element; correct or leave out the frame", "unknown element"
            ) from None
    return {"numbers": np.array(numbers, dtype=int), **columns}


def _quoted(text: str, place: int) -> tuple[str, int]:
    mark, out, place = text[place], [], place + 1
    while place < len(text) and text[place] != mark:
        if text[place] == "\\" and place + 1 < len(text):
            place += 1
        out.append(text[place])
        place += 1
    return "".join(out), place + 1


def _bracketed(text: str, place: int) -> tuple[str, int]:
    start, depth = place, 0
    while place < len(text):
        depth += (text[place] in "[{") - (text[place] in "]}")
        place += 1
        if depth == 0:
            break
    raw = text[start:place]
    try:
        return "_JSON " + json.dumps(json.loads(raw)), place
    except json.JSONDecodeError:
        return raw[1:-1].replace("[", " ").replace("]", " "), place


def _value(raw: str) -> Any:
    if raw.startswith("_JSON "):
        try:
            return json.loads(raw[6:])
        except json.JSONDecodeError:
            return raw
    words = raw.replace(",", " ").split() if "_" not in raw else []  # int("1_2") would be 12
    for kind in (int, float, _BOOLEANS.__getitem__):
        try:
            values = [kind(word) for word in words]
        except (ValueError, KeyError):
            continue
        if values:
            return values[0] if len(values) == 1 else values
    return raw


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, list) and value and all(isinstance(x, bool | int | float) for x in value):
        return " ".join(_text(x) for x in value)
    return value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else "_JSON " + json.dumps(value)


def _quote(text: str) -> str:
    if text and not re.search(r"""[\s"'{}\[\]=\\,]""", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
