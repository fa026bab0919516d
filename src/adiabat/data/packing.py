"""Packing: a store's frames, shuffled once, as the files that `adiabat.data.shards` reads."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from adiabat.data.shards import ARRAYS, BITS, FORMAT, MAGIC, Shards
from adiabat.data.store import Dataset
from adiabat.durable import put, sync_folder

BLOCK = 256  # frames
SHARD_MB = 64  # a file is closed when it is this large: as much is held in memory while packing


def pack(dataset: Dataset, folder: str | Path | None = None, *, select: str = "", seed: int = 0) -> Shards:
    """A data set, or a choice of it, as packed shards in `folder` (by default beside the store); made before, it is only opened.

    `seed` is of the order the frames are packed in; another order is another folder.
    """
    data_hash = dataset.data_hash(select)
    if folder is None and str(dataset.path) == ":memory:":
        raise ValueError("pack: a store in memory has no folder beside it; wanted folder=…")
    home = Path(dataset.path).parent if folder is None else Path(folder)
    order = f"-{seed}" if seed else ""
    path = home / f"{Path(dataset.path).stem.strip(':')}-{data_hash[:16]}{order}.shards"
    if path.exists():
        return Shards(path)
    ids = np.array(dataset.ids(select), dtype=np.int64)
    if not len(ids):
        raise ValueError(
            f"{dataset.path}: no configuration to pack{f' for select={select!r}' if select else ''}; add some first"
        )
    np.random.default_rng(seed).shuffle(ids)
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{path.name}.writing-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        shards, elements = _write_all(dataset, ids.tolist(), temporary, data_hash)
        index = {
            "format": FORMAT, "data_hash": data_hash, "store": str(Path(dataset.path).name), "select": select, "seed": seed,
            "frames": len(ids), "atoms": sum(s["atoms"] for s in shards), "elements": sorted(elements), "shards": shards,
        }  # fmt: skip
        put(temporary / "index.json", [json.dumps(index, indent=1).encode()])
        os.rename(temporary, path)
        sync_folder(home)
    except FileExistsError:  # somebody else packed the same
        pass
    except OSError as error:
        if path.exists():
            return Shards(path)
        raise OSError(
            f"{path}: could not be packed: {error}; nothing was left behind; free some space and try again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Shards(path)


def _write_all(dataset: Dataset, ids: list[int], folder: Path, data_hash: str) -> tuple[list[dict[str, Any]], set[int]]:
    shards: list[dict[str, Any]] = []
    elements: set[int] = set()
    pending: list[tuple[list[int], bytes]] = []
    for start in range(0, len(ids), BLOCK):
        wanted = ids[start : start + BLOCK]
        sizes, piece, found = _packed(list(dataset.rows(wanted)), wanted)
        elements |= found
        pending.append((sizes, piece))
        if start + BLOCK >= len(ids) or sum(len(p) for _, p in pending) > SHARD_MB * 1e6:
            shards.append(_write_shard(folder / f"{len(shards):05d}.shard", pending, data_hash))
            pending = []
    return shards, elements


def _packed(rows: list[dict[str, Any]], ids: list[int]) -> tuple[list[int], bytes, set[int]]:
    """A block's sizes and bytes, and its elements."""
    texts = [json.dumps({"rest": r["rest"], "info": r["info"]}, ensure_ascii=False).encode() for r in rows]
    atoms = [len(r["numbers"]) // 4 for r in rows]
    zeros = bytes(48)
    parts = {
        "first": np.cumsum([0, *atoms]).astype("<i8").tobytes(),
        "text_first": np.cumsum([0, *map(len, texts)]).astype("<i8").tobytes(),
        "row": np.array(ids, "<i8").tobytes(),
        "positions": b"".join(r["positions"] for r in rows),
        "forces": b"".join(bytes(24 * n) if r["forces"] is None else r["forces"] for r, n in zip(rows, atoms)),
        "cell": b"".join(r["cell"] for r in rows),
        "energy": np.array([r["energy"] or 0.0 for r in rows], "<f8").tobytes(),
        "stress": b"".join(zeros if r["stress"] is None else r["stress"] for r in rows),
        "numbers": b"".join(r["numbers"] for r in rows),
        "has": bytes(sum(bit for name, bit in BITS.items() if r[name] is not None) for r in rows),
        "text": b"".join(texts),
    }
    sizes = [len(rows), sum(atoms), len(parts["text"])]
    piece = b"".join(parts[name].ljust(-(-len(parts[name]) // 8) * 8, b"\0") for name, *_ in ARRAYS)
    return sizes, piece, set(np.unique(np.frombuffer(parts["numbers"], "<i4")).tolist())


def _write_shard(path: Path, pending: list[tuple[list[int], bytes]], data_hash: str) -> dict[str, Any]:
    lengths = [0, *(len(piece) for _, piece in pending)]
    ends = np.cumsum(lengths).tolist()
    blocks = [[at, *sizes, zlib.crc32(piece)] for at, (sizes, piece) in zip(ends, pending)]
    header: dict[str, Any] = {"format": FORMAT, "data_hash": data_hash, "arrays": ARRAYS, "blocks": blocks}
    room = -(-(len(json.dumps(header)) + 20 * len(blocks) + 24) // 64) * 64  # offsets grow by digits once they are known
    header["blocks"] = [[at + room, *rest] for at, *rest in blocks]
    text = json.dumps(header).encode().ljust(room - 24)
    put(path, [MAGIC, len(text).to_bytes(8, "little"), zlib.crc32(text).to_bytes(8, "little"), text, *(p for _, p in pending)])
    return {
        "file": path.name, "frames": sum(s[0] for s, _ in pending), "atoms": sum(s[1] for s, _ in pending), "bytes": room + ends[-1],
    }  # fmt: skip
