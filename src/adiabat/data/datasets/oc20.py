"""LMDB: entries of JSON (ASE's rows, as in *.aselmdb) are read; pickled ones, as OC20's first release has, are refused.

Unpickling runs whatever code is in the file. An entry is read only where its first bytes say zlib or JSON.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from adiabat.data.datasets.card import Card, Frames, needed
from adiabat.data.labels import Factors

NAME = "LMDB of ASE rows (OC20, OMat24)"
CARD = Card(
    "OC20", "RPBE, 350 eV (VASP)", "CC BY 4.0", "Chanussot et al., ACS Catal. 11, 6059 (2021), doi 10.1021/acscatal.0c04525",
    "https://github.com/facebookresearch/fairchem",
)  # fmt: skip
OWN = (b"nextid", b"deleted_ids", b"metadata", b"length")


def recognizes(path: Path, head: bytes) -> bool:
    return path.suffix in (".lmdb", ".aselmdb") or head[16:20] == b"\xde\xc0\xef\xbe"


def read(path: Path) -> Frames:
    lmdb = needed("lmdb", path)
    try:
        store = lmdb.open(str(path), readonly=True, lock=False, subdir=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(f"{path}: LMDB cannot open it ({error}); fetch it again") from None
    frames = Frames(path, CARD, Factors())
    with store, store.begin() as view:
        told = _entry(view.get(b"metadata"), path) if view.get(b"metadata") else {}
        for number, (_, value) in enumerate(item for item in view.cursor() if item[0] not in OWN):
            row = _entry(bytes(value), path)
            found = {
                name: np.array(row[name]) if name != "energy" else row[name]
                for name in ("energy", "forces", "stress")
                if row.get(name) is not None
            }
            level = (
                {"level_of_theory": str(told["level_of_theory"])}
                if isinstance(told, dict) and told.get("level_of_theory")
                else {}
            )
            pbc = np.asarray(row.get("pbc", [True] * 3))
            cell = row.get("cell") if pbc.any() else None
            info = dict(row.get("key_value_pairs") or {})
            frames.add(number, found, row["numbers"], row["positions"], cell, info=info, **level)
            if frames.kept and frames.kept[-1].info["adiabat"]["source_step"] == number and cell is not None:
                frames.kept[-1].pbc = pbc
    return frames


def _entry(value: bytes, path: Path) -> Any:
    if value[:1] == b"\x80":
        raise ValueError(
            f"{path}: its entries are pickles, and opening a pickle runs the code in it; wanted JSON entries (*.aselmdb) or extended XYZ; "
            "download the set's extended XYZ or ASE-LMDB form, or convert it yourself where you trust its origin"
        )
    text = zlib.decompress(value) if value[:1] == b"\x78" else value
    return _arrays(json.loads(text))


def _arrays(value: Any) -> Any:
    """ASE's JSON for arrays: {"__ndarray__": [shape, dtype, numbers]}."""
    if isinstance(value, dict):
        if set(value) == {"__ndarray__"}:
            shape, dtype, flat = value["__ndarray__"]
            return np.array(flat, dtype=dtype).reshape(shape)
        return {k: _arrays(v) for k, v in value.items()}
    return value
