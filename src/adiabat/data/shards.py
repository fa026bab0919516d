"""Packed shards: a data set as plain arrays on the disk, read through the page cache, in random order, without loading it.

A packed set is a folder, `NAME-HASH.shards`, HASH being the first 16 characters of `Dataset.data_hash`. In it `index.json` names the
files, and each file holds blocks of frames:

    8 bytes   "ADIBSHRD"
    8 bytes   length of the header, little-endian; 8 bytes, CRC-32 of the header
    header    JSON: {"format": 1, "data_hash", "arrays": [[name, dtype, rows, shape], …], "blocks": [[offset, frames, atoms, text, crc], …]}
    blocks    each at its offset from the file's start: the arrays of `ARRAYS`, one after the other, each starting at a multiple of 8

`rows` says what an array has a row of: a frame, an atom, a byte of text. A frame's atoms are `first[k]:first[k + 1]`; its text, what is
no label and no geometry, is JSON in UTF-8, `text_first[k]:text_first[k + 1]`. `has` tells which labels are there, by bits: 1 energy,
2 forces, 4 stress. Frames are shuffled once, when packed; an epoch draws blocks in random order and mixes a few at a time.

A folder appears whole or not at all, and is never changed. It can always be made again from its store.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from adiabat.data.damage import Damaged
from adiabat.data.row import atoms_of

if TYPE_CHECKING:
    from adiabat.graph import Graph

FORMAT = 1
MAGIC = b"ADIBSHRD"
# name, type, what it has a row of, shape of a row; a row more than frames for those that point
ARRAYS = (
    ("first", "<i8", "pointer", ()), ("text_first", "<i8", "pointer", ()), ("row", "<i8", "frame", ()),
    ("positions", "<f8", "atom", (3,)), ("forces", "<f8", "atom", (3,)), ("cell", "<f8", "frame", (3, 3)),
    ("energy", "<f8", "frame", ()), ("stress", "<f8", "frame", (6,)), ("numbers", "<i4", "atom", ()),
    ("has", "|u1", "frame", ()), ("text", "|u1", "text", ()),
)  # fmt: skip
BITS = {"energy": 1, "forces": 2, "stress": 4}


@dataclass(frozen=True)
class Block:
    """A few hundred frames as arrays; `order` is the one to take them in."""

    arrays: dict[str, np.ndarray]
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(f"a block has no array {name!r}; wanted one of {', '.join(a[0] for a in ARRAYS)}") from None

    def frames(self) -> list[Atoms]:
        """As labeled `Atoms`, equal to those of the store to the last bit."""
        return [self.frame(int(k)) for k in self.order]

    def frame(self, k: int) -> Atoms:
        """The one that stands at place `k`."""
        x, (a, b), (c, d) = self.arrays, self.first[k : k + 2], self.text_first[k : k + 2]
        given: dict[str, Any] = json.loads(x["text"][c:d].tobytes())
        given |= {name: x[name][a:b].tobytes() for name in ("numbers", "positions")} | {"cell": x["cell"][k].tobytes()}
        here = {
            "energy": lambda: float(x["energy"][k]),
            "forces": lambda: x["forces"][a:b].tobytes(),
            "stress": lambda: x["stress"][k].tobytes(),
        }
        given |= {name: value() if x["has"][k] & BITS[name] else None for name, value in here.items()}
        return atoms_of(given)


class Shards:
    """A packed set, opened.

    >>> import tempfile
    >>> from adiabat.data.store import Dataset
    >>> from adiabat.data.packing import pack
    >>> from adiabat.data.structure import labeled
    >>> dataset = Dataset(":memory:")
    >>> _ = dataset.add([labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * k]]), energy=-31.7) for k in range(5)])
    >>> shards = pack(dataset, tempfile.mkdtemp())
    >>> len(shards), shards.n_atoms, [len(block) for block in shards.blocks()]
    (5, 10, [5])
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.index = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
            version = self.index["format"]
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path}: no packed shards; wanted a folder with an index.json; pack a store first"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"{path}: index.json is damaged ({error}); delete the folder and pack the store again") from None
        if version > FORMAT:
            raise ValueError(f"{path}: shards of format {version}, this Adiabat reads up to {FORMAT}; update Adiabat")
        self._sound: set[int] = set()

    def __len__(self) -> int:
        return self.index["frames"]

    def __repr__(self) -> str:
        return f"Shards({str(self.path)!r}): {len(self)} frames"

    def __iter__(self) -> Iterator[Atoms]:
        """Frame by frame, in the order they were packed."""
        for block in self.blocks():
            yield from block.frames()

    @property
    def n_atoms(self) -> int:
        return self.index["atoms"]

    @property
    def data_hash(self) -> str:
        return self.index["data_hash"]

    def blocks(self, rng: np.random.Generator | None = None, *, mix: int = 4) -> Iterator[Block]:
        """All blocks once. With `rng`: in random order, `mix` of them at a time thrown together and shuffled."""
        places = np.arange(len(self._places))
        if rng is None:
            for k in places:
                yield self._block(int(k))
            return
        rng.shuffle(places)
        for start in range(0, len(places), mix):
            yield _together([self._block(int(k)) for k in places[start : start + mix]], rng)

    def graphs(self, cutoff: float, rng: np.random.Generator | None = None, *, mix: int = 4) -> Iterator[list[Graph]]:
        """Blocks as graphs with their labels, each made when it is asked for: as many are in memory as are in a block."""
        from adiabat.graph import Graph  # torch is for those who ask for tensors

        for block in self.blocks(rng, mix=mix):
            yield [Graph.of(atoms, cutoff) for atoms in block.frames()]

    def verify(self) -> list[str]:
        """What is damaged, a line a block; an empty list, as a rule."""
        self._sound.clear()
        found = []
        try:
            n = len(self._places)
        except Damaged as error:
            return [str(error)]
        for k in range(n):
            try:
                self._block(k)
            except Damaged as error:
                found.append(str(error))
        return found

    @cached_property
    def _files(self) -> list[tuple[str, dict[str, Any], mmap.mmap]]:
        return [_opened(self.path / shard["file"], shard["bytes"], self.data_hash) for shard in self.index["shards"]]

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return [(f, b) for f, (_, header, _) in enumerate(self._files) for b in range(len(header["blocks"]))]

    def _block(self, k: int) -> Block:
        f, b = self._places[k]
        name, header, data = self._files[f]
        offset, n, atoms, text, crc = header["blocks"][b]
        places, size = layout(n, atoms, text)
        if k not in self._sound:  # once an opening: what is on the disk does not change under us
            with memoryview(data) as whole, whole[offset : offset + size] as piece:
                if zlib.crc32(piece) != crc:
                    start = sum(x[1] for x in header["blocks"][:b])
                    raise Damaged(
                        f"{self.path / name}: block {b}, frames {start} to {start + n - 1} of this file, is damaged: its checksum differs; "
                        "delete the folder and pack the store again"
                    )
            self._sound.add(k)
        arrays = {
            key: np.frombuffer(data, dtype, int(np.prod(shape, dtype=int)), offset + at).reshape(shape)
            for key, (dtype, at, shape) in places.items()
        }
        return Block(arrays, np.arange(n))


def layout(frames: int, atoms: int, text: int) -> tuple[dict[str, tuple[str, int, tuple[int, ...]]], int]:
    """Where the arrays of a block begin, from its sizes; and its length."""
    counts = {"frame": frames, "pointer": frames + 1, "atom": atoms, "text": text}
    found, at = {}, 0
    for name, dtype, rows, shape in ARRAYS:
        whole = (counts[rows], *shape)
        found[name] = (dtype, at, whole)
        at += -(-int(np.prod(whole, dtype=int)) * np.dtype(dtype).itemsize // 8) * 8
    return found, at


def _opened(path: Path, size: int, data_hash: str) -> tuple[str, dict[str, Any], mmap.mmap]:
    cure = "delete the folder and pack the store again"
    if not path.exists() or path.stat().st_size != size:
        came = f"{path.stat().st_size} bytes" if path.exists() else "nothing"
        raise Damaged(f"{path}: {came} there, wanted {size} bytes; {cure}")
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length, crc = int.from_bytes(data[8:16], "little"), int.from_bytes(data[16:24], "little")
    text = data[24 : 24 + length]
    if data[:8] != MAGIC or zlib.crc32(text) != crc:
        raise Damaged(f"{path}: its header is damaged; {cure}")
    header = json.loads(text)
    if header["data_hash"] != data_hash:
        raise Damaged(f"{path}: belongs to another data set ({header['data_hash'][:16]}, wanted {data_hash[:16]}); {cure}")
    return path.name, header, data


def _together(blocks: list[Block], rng: np.random.Generator) -> Block:
    """Blocks as one, in random order."""
    arrays = {name: np.concatenate([b.arrays[name] for b in blocks]) for name, *_ in ARRAYS if not name.endswith("first")}
    for name in ("first", "text_first"):
        ends = np.cumsum([0, *(int(b.arrays[name][-1]) for b in blocks)])
        arrays[name] = np.concatenate([[0], *(b.arrays[name][1:] + end for b, end in zip(blocks, ends))])
    return Block(arrays, rng.permutation(sum(len(b) for b in blocks)))
