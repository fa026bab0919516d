"""An evaluator as bytes: what its library points to, with a list of the places where pointers stand.

Evaluators hand their library C structs that point to arrays, to other structs, to nothing. All of it is laid out in one block here,
every pointer replaced by the offset of what it points to; whoever loads the block adds its own address at the listed places. So one
writer and one reader serve every family, and no layout is described twice.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

ALIGN = 64


class Image(NamedTuple):
    """`arguments` are words: offsets where `pointers` says so, else numbers as they are (doubles by their bits)."""

    content: bytes
    relocations: list[int]  # offsets of words that hold offsets
    arguments: list[int]
    pointers: list[bool]
    signature: str  # a letter an argument: p, i, d


def image(arguments: Iterable[Any], kept: Iterable[Any]) -> Image:
    """The arguments of a library's `make`, with everything they lead to. `kept` are the arrays, tensors and structs an evaluator holds.

    >>> numbers = np.arange(3.0)
    >>> found = image([ctypes.c_int64(7), ctypes.c_void_p(numbers.ctypes.data)], [numbers])
    >>> found.signature, found.arguments, np.frombuffer(found.content[:24])
    ('ip', [7, 0], array([0., 1., 2.]))
    >>> np.frombuffer(image([ctypes.c_void_p(numbers.ctypes.data)], [numbers[:1], numbers]).content[:24])
    array([0., 1., 2.])
    """
    layout = _Layout([*_flat(kept), *(a._obj for a in arguments if hasattr(a, "_obj"))])
    words, pointers, signature = [], [], ""
    for argument in arguments:
        letter, value = _argument(argument)
        words.append(layout.place(value) if letter == "p" else value)
        pointers.append(letter == "p")
        signature += letter
    content, relocations = layout.finish()
    return Image(content, relocations, words, pointers, signature)


def _argument(argument: Any) -> tuple[str, int]:
    if hasattr(argument, "_obj"):  # byref(struct)
        return "p", ctypes.addressof(argument._obj)
    if isinstance(argument, ctypes.c_void_p):
        return "p", argument.value or 0
    if isinstance(argument, ctypes.c_double):
        return "d", int(np.float64(argument.value).view(np.int64))
    if isinstance(argument, ctypes.c_int64):
        return "i", argument.value
    raise TypeError(f"an argument of type {type(argument).__name__} came; wanted c_int64, c_double, c_void_p or byref")


class _Layout:
    """Buffers by address; those that are asked for get a place, and what they point to, too."""

    def __init__(self, kept: list[Any]) -> None:
        # Of a view and the array that it begins, the array comes first.
        self.buffers = sorted(((*_extent(x), x) for x in kept), key=lambda b: (b[0], -b[1]))
        self.places: dict[int, int] = {}  # address of a buffer → its offset
        self.order: list[tuple[int, int, Any]] = []
        self.size = 0

    def place(self, address: int) -> int:
        """The offset of what lies at an address."""
        found = next(((a, n, x) for a, n, x in self.buffers if a <= address < a + max(n, 1)), None)
        if found is None:
            raise ValueError("an evaluator points to something it does not keep; this is a bug of Adiabat")
        start, size, _ = found
        if start not in self.places:
            self.places[start] = self.size
            self.order.append(found)
            self.size += -(-max(size, 1) // ALIGN) * ALIGN
        return self.places[start] + address - start

    def finish(self) -> tuple[bytes, list[int]]:
        relocations: list[int] = []
        parts: list[bytes] = []
        for start, size, owner in self.order:  # grows while it is walked
            content = bytearray(ctypes.string_at(start, size))
            for at in _pointers(type(owner)) if isinstance(owner, ctypes.Structure | ctypes.Array) else ():
                address = int.from_bytes(content[at : at + 8], "little")
                if address:
                    content[at : at + 8] = self.place(address).to_bytes(8, "little")
                    relocations.append(self.places[start] + at)
            parts.append(bytes(content) + bytes(-size % ALIGN if size else ALIGN))
        return b"".join(parts), relocations


def _pointers(kind: Any, base: int = 0) -> list[int]:
    """Where pointers stand in a C type."""
    if issubclass(kind, ctypes.c_void_p | ctypes._Pointer):
        return [base]
    if issubclass(kind, ctypes.Structure):
        fields = [(field[0], field[1]) for field in kind._fields_]
        return [at for name, inner in fields for at in _pointers(inner, base + getattr(kind, name).offset)]
    if issubclass(kind, ctypes.Array):
        step = ctypes.sizeof(kind._type_)
        inside = _pointers(kind._type_)
        return [base + k * step + at for k in range(kind._length_) for at in inside]
    return []


def _extent(x: Any) -> tuple[int, int]:
    if isinstance(x, np.ndarray):
        return x.ctypes.data, x.nbytes
    if hasattr(x, "data_ptr"):
        return x.data_ptr(), x.numel() * x.element_size()
    return ctypes.addressof(x), ctypes.sizeof(x)


def _flat(kept: Any) -> list[Any]:
    if isinstance(kept, list | tuple):
        return [x for inner in kept for x in _flat(inner)]
    return [kept]
