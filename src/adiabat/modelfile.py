"""The file people keep: safetensors with a JSON header. No pickle: loading a file runs no code from it.

This room knows numbers and headers, not models; `Potential.save` writes through it and `deploy.load` reads through it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from adiabat.typing import Tensor

# Raised when the meaning of a header changes; files of every version so far stay loadable.
FORMAT_VERSION = 1


class ModelFileError(ValueError):
    """A file that is no model file of ours, or one from a newer Adiabat, or a damaged one."""


def write(path: str | Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write header and tensors to `path`, whole or not at all."""
    path = Path(path)
    content = {"adiabat": json.dumps({"format_version": FORMAT_VERSION, **header}, sort_keys=True, allow_nan=False)}
    data = save({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata=content)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:  # not a tempfile: a model is for others to read, too, as the umask allows
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a model file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as error:
        raise ModelFileError(
            f"{path}: not a model file, or a damaged one ({error}); copy it again from where it was written"
        ) from None
    if "adiabat" not in metadata:
        raise ModelFileError(
            f"{path}: a safetensors file without an Adiabat header; 'adiabat import' reads other packages' models"
        )
    try:
        header = json.loads(metadata["adiabat"])
        version = header["format_version"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ModelFileError(f"{path}: its Adiabat header cannot be read; the file is damaged or was edited") from None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: format version {version}; this Adiabat reads version {FORMAT_VERSION}. "
            "Install a newer one: pip install -U adiabat"
        )
    return header, tensors
