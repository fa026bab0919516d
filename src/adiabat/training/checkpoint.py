"""Where a training stands, in one safetensors file: enough to go on bit for bit on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adiabat import modelfile
from adiabat.typing import Tensor


class ForeignCheckpoint(ValueError):
    """A checkpoint of another training: other data, model or options."""


def save(path: Path, fingerprint: str, facts: Mapping[str, Any], groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write groups of tensors and plain facts; the old file stays until the new one is whole."""
    tensors = {f"{group}/{name}": t for group, values in groups.items() for name, t in values.items()}
    modelfile.write(path, {"kind": "checkpoint", "fingerprint": fingerprint, "facts": dict(facts)}, tensors)


def load(path: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Facts and groups of a checkpoint of the training with this fingerprint."""
    header, tensors = modelfile.read(path)
    if header.get("fingerprint") != fingerprint:
        raise ForeignCheckpoint(
            f"{path}: a checkpoint of another training (its data, model or options differ from this one's); "
            "choose another folder, or remove the file to start anew"
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        group, name = key.split("/", 1)
        groups.setdefault(group, {})[name] = value
    return header["facts"], groups


def in_a_row(values: Sequence[Tensor]) -> dict[str, Tensor]:
    """A sequence as a group: copies, named by their place."""
    return {f"{k:06d}": t.detach().clone() for k, t in enumerate(values)}


def in_order(group: Mapping[str, Tensor]) -> list[Tensor]:
    """The sequence of such a group."""
    return [group[name] for name in sorted(group)]
