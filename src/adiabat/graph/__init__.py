"""`Graph`: the noun for tensors, always a batch; one structure is a batch of one.

| file | what |
|---|---|
| `batch` | `Graph`: structures with their neighbors, joined, moved, turned, cut |
| `carried` | what they carry beside their geometry: labels, inputs, held atoms |
| `edges` | what edges must be: numbers, and none missing when atoms have moved |

`Graph.of` is the only door from `ase.Atoms` to tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adiabat.graph.batch import Graph, weight_of
from adiabat.graph.carried import LABELS, Label

if TYPE_CHECKING:
    from ase import Atoms as Atoms  # for rooms that do not name ase

__all__ = ["LABELS", "Graph", "Label", "weight_of"]
