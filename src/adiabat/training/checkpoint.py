"""Where a training stands, in one safetensors file: enough to go on bit for bit on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adiabat import modelfile
from adiabat.typing import Tensor


class ForeignCheckpoint(ValueError):
    """A checkpoint of another training: other data, model or options."""


def save(
    path: Path, fingerprint: str, facts: Mapping[str, Any], groups: Mapping[str, Mapping[str, Tensor] | Sequence[Tensor]]
) -> None:
    """Write groups of tensors and plain facts; the old file stays until the new one is whole."""
    tensors = {f"{group}/{name}": t for group, values in groups.items() for name, t in _entries(values)}
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


def in_order(group: Mapping[str, Tensor]) -> list[Tensor]:
    """A group that was saved as a sequence."""
    return [group[name] for name in sorted(group)]


def _entries(values: Mapping[str, Tensor] | Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    pairs = values.items() if isinstance(values, Mapping) else ((f"{k:06d}", t) for k, t in enumerate(values))
    return [(name, t.detach().clone() if isinstance(t, Tensor) else torch.as_tensor(t)) for name, t in pairs]
