"""The folder LAMMPS is given: one file of numbers, the libraries that read it, and the plugin that brings both together.

`potential.bin` is words of eight bytes, little-endian: the letters ADIABAT1, the format version, a checksum of what follows; cutoff,
elements with their energies when alone; then the parts, each an evaluator's `Image` with the name and checksum of its library.
`runtime.h` reads it.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adiabat.deploy.lammps.image import ALIGN, Image, image
from adiabat.elements import symbol
from adiabat.frozen import compiled
from adiabat.kernels import dispatch
from adiabat.kernels.evaluation import Compiled
from adiabat.kernels.local import Several
from adiabat.potential import Model, Potential, ReferenceEnergies
from adiabat.uncertainty import Committee
from adiabat.uncertainty.frozen import linear_mean

MAGIC, VERSION = b"ADIABAT1", 1
SIGNATURES = {"p": 1, "pp": 0, "piidp": 0}  # of `make`: the ones runtime.h can call → whether the evaluator is a local term's
NAME = "potential.bin"
INSTEAD = "LAMMPS can be run from Python instead: adiabat.deploy.lammps.external"


class NotCompiled(ValueError):
    """A potential with a term that no compiled evaluator computes here."""


def write(potential: Potential, folder: Path) -> list[str]:
    """Write `potential.bin` and its libraries; returns the names of the libraries. NotCompiled where a term has no evaluator."""
    elements = potential.elements
    if elements is None:
        raise ValueError("the potential is for any element; LAMMPS wants to know which: build it with elements=[...]")
    given = [(term.table, share) for term, share in _terms(potential) if isinstance(term, ReferenceEnergies)]
    alone = {z: sum(share * table[z] for table, share in given) for z in elements}
    parts = [(evaluator, image(*_contents(evaluator))) for evaluator in evaluators(potential)]
    folder.mkdir(parents=True, exist_ok=True)
    out = _Words()
    out.put("d", potential.cutoff)
    out.put("q", len(elements))
    for z, energy in alone.items():
        out.put("q", z)
        out.put("d", energy)
    out.put("q", len(parts))
    libraries = []
    for evaluator, found in parts:
        if found.signature not in SIGNATURES:
            raise NotCompiled(f"an evaluator made from ({found.signature}) is unknown to the plugin; {INSTEAD}")
        libraries.append(_part(out, evaluator, found, elements, folder))
    body = out.content
    head = MAGIC + struct.pack("<qQ", VERSION, checksum(body))
    beside = folder / f".{NAME}.new"
    beside.write_bytes(head + body)
    beside.replace(folder / NAME)
    return sorted(set(libraries))


def evaluators(potential: Potential) -> Iterator[Any]:
    """Compiled evaluators with a library each, whose sum is that of the terms with neighbors.

    A committee's mean is one potential where its members are linear in all they differ in, else all of them with a share each.
    """
    for term, share in _terms(potential):
        if isinstance(term, ReferenceEnergies):
            continue
        program = compiled(term)
        if program is None:
            raise NotCompiled(f"{term.name}: no compiled evaluator computes it here ({_why_not(term)}); {INSTEAD}")
        yield from _single((program if share == 1 else program.times(share)).evaluator())


def _single(evaluator: Any) -> Iterator[Any]:
    """The evaluators with a library each that one is made of; the file adds up what its parts say, as the call does."""
    if not isinstance(evaluator, Several):
        yield evaluator
        return
    for term in evaluator.terms:
        yield from _single(term)


def checksum(content: bytes) -> int:
    """FNV-1a on words of eight bytes, the last one filled up with zeros.

    >>> hex(checksum(b""))
    '0xcbf29ce484222325'
    """
    hash = 14695981039346656037
    for word in np.frombuffer(content + bytes(-len(content) % 8), "<u8").tolist():
        hash = ((hash ^ word) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return hash


def _why_not(term: Model) -> str:
    if term.is_global:
        return "it is no sum over neighbors"
    program = term.program()
    if program is None:
        return term.uncompiled()
    return f"kernels: {dispatch.status()['kernels']}" if not program.fast else "its class changes what its family computes"


def _terms(potential: Potential) -> Iterator[tuple[Model, float]]:
    if isinstance(potential, Committee) and (mean := linear_mean(potential)) is not None:
        potential = mean
    if not isinstance(potential, Committee):
        yield from ((term, 1.0) for term in potential.terms)
        return
    members = [potential.member(m).eval() for m in range(potential.size)]
    for k, term in enumerate(potential.terms):
        learned = any(True for _ in term.state_dict())
        for member in members if learned else members[:1]:
            yield member.terms[k], 1 / potential.size if learned else 1.0


def _contents(evaluator: Any) -> tuple[list[Any], list[Any]]:
    """The arguments of `make`, and what they point to."""
    kept = list(getattr(evaluator, "kept", []))
    if isinstance(evaluator, Compiled):
        return [ctypes.c_void_p(evaluator.lone.ctypes.data), *evaluator.arguments], [*kept, evaluator.lone]
    if not hasattr(evaluator, "facts"):
        raise NotCompiled(f"{type(evaluator).__name__}: this compiled form cannot be written into a file yet; {INSTEAD}")
    return [ctypes.byref(evaluator.facts)], kept


def _part(out: _Words, evaluator: Any, found: Image, elements: tuple[int, ...], folder: Path) -> str:
    library = Path(evaluator.library._name)
    content = library.read_bytes()
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.so"
    shutil.copyfile(library, folder / name)
    local = SIGNATURES[found.signature]
    known = elements if local else tuple(int(z) for z in evaluator.elements)
    out.put("q", local)
    out.put("q", len(known))
    for z in known:
        out.put("q", z)
    out.text(name)
    out.text(found.signature)
    out.put("q", len(content))
    out.put("Q", checksum(content))
    out.put("q", len(found.relocations))
    for word in (*found.arguments, *found.relocations):
        out.put("q", word)
    out.put("q", len(found.content))
    out.block(found.content)
    return name


class _Words:
    """What is written, and where: blocks stand at multiples of 64 bytes of the file."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = len(MAGIC) + 16

    def put(self, form: str, value: Any) -> None:
        self._add(struct.pack("<" + form, value))

    def text(self, value: str) -> None:
        self.put("q", len(value))
        self._add(value.encode() + bytes(8 - len(value) % 8 if len(value) % 8 else 0))

    def block(self, content: bytes) -> None:
        self._add(bytes(-self.size % ALIGN))
        self._add(content)
        self._add(bytes(-len(content) % 8))

    def _add(self, content: bytes) -> None:
        self.parts.append(content)
        self.size += len(content)

    @property
    def content(self) -> bytes:
        return b"".join(self.parts)


def names(elements: tuple[int, ...]) -> str:
    """Symbols with spaces between."""
    return " ".join(symbol(z) for z in elements)
