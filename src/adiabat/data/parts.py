"""Parts of a packed set: training, validation and test, by groups, without loading it.

What belongs together is known from what frames say of themselves: one `group`, or ten neighbors of one `trajectory`. A store holds
no structure twice at a level of theory; equivalent ones (turned, in another cell) are not looked for here, `Dataset.distinct` is for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.data.composition import is_isolated
from adiabat.data.shards import Block, Shards
from adiabat.data.split import BLOCK


@dataclass(frozen=True)
class Part:
    """Some frames of a packed set: those whose row is True in `chosen`; `group` numbers what stays together."""

    shards: Shards
    chosen: np.ndarray  # bool, by row
    group: np.ndarray  # by row

    def __len__(self) -> int:
        return int(self.chosen.sum())

    def __repr__(self) -> str:
        return f"Part of {len(self)} frames of {self.shards!r}"

    def __iter__(self) -> Iterator[Atoms]:
        for _, atoms in self.frames():
            yield atoms

    def frames(self, rng: np.random.Generator | None = None) -> Iterator[tuple[int, Atoms]]:
        """Row and frame, one by one; with `rng` in a new order, as `Shards.blocks` has it."""
        for block in self.shards.blocks(rng):
            for k in block.order:
                if self.chosen[row := int(block.row[k])]:
                    yield row, block.frame(int(k))

    def without(self, rows: np.ndarray) -> Part:
        """This part less the rows that are True."""
        return Part(self.shards, self.chosen & ~rows, self.group)


def whole(shards: Shards) -> Part:
    """All frames as one part."""
    group = grouped(shards)
    return Part(shards, group >= 0, group)


def divided(shards: Shards | Part, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[Part, ...]:
    """Training, validation and test parts, as near to the fractions as the groups allow; isolated atoms are trained on.

    >>> import tempfile
    >>> from adiabat.data.packing import pack
    >>> from adiabat.data.store import Dataset
    >>> from adiabat.data.structure import labeled
    >>> dataset = Dataset(":memory:")
    >>> _ = dataset.add([labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * k]]), energy=-31.7) for k in range(20)])
    >>> [len(part) for part in divided(pack(dataset, tempfile.mkdtemp()))]
    [16, 2, 2]
    """
    if min(fractions) < 0 or not np.isclose(sum(fractions), 1.0) or not fractions[0] > 0:
        raise ValueError(f"fractions {fractions} came, wanted three numbers ≥ 0 that sum to 1, the first above 0")
    part = shards if isinstance(shards, Part) else whole(shards)
    lone = np.zeros(len(part.chosen), dtype=bool)
    for block in part.shards.blocks():
        for k in np.flatnonzero(np.diff(block.first) == 1):
            lone[int(block.row[k])] = is_isolated(block.frame(int(k)))
    shared = part.chosen & ~lone
    place = places(part.group[shared], seed)
    # from the back: the last groups are tested on, those before them judged by
    first, second = 1 - fractions[1] - fractions[2], 1 - fractions[2]
    side = np.zeros(len(lone), dtype=int)
    side[shared] = np.where(place < first, 0, np.where(place < second, 1, 2))
    return tuple(Part(part.shards, part.chosen & (side == s), part.group) for s in range(3))


def places(group: np.ndarray, seed: int) -> np.ndarray:
    """For each frame where its group's middle lies, when the groups stand in random order on a line of length 1, each as long as
    its share of the frames."""
    names, inverse, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    middle = np.empty(len(names))
    middle[order] = (np.cumsum(sizes[order]) - 0.5 * sizes[order]) / max(1, len(group))
    return middle[inverse]


def grouped(shards: Shards) -> np.ndarray:
    """The number of each row's group, by row; −1 where a row is not in the set."""
    named: dict[tuple[str, str], int] = {}
    rows, numbers, steps = [], [], []
    for block in shards.blocks():
        for k in range(len(block)):
            about = info(block, k)
            rows.append(int(block.row[k]))
            name = next(
                (("group" if key == "group" else "run", str(about[key])) for key in ("group", "trajectory") if key in about),
                None,
            )
            numbers.append(-1 if name is None else named.setdefault(name, len(named)))
            step = about.get("step", about.get("frame"))
            steps.append(float(step) if name is not None and name[0] == "run" and isinstance(step, int | float) else np.nan)
    row, number, step = np.array(rows), np.array(numbers), np.array(steps)
    found = np.full(row.max() + 1, -1, dtype=np.int64)
    found[row] = len(row) + np.arange(len(row))  # each on its own
    runs = {n for (kind, _), n in named.items() if kind == "run"}
    order = np.lexsort((row, step, number))
    start: dict[int, int] = {}
    for k, place in enumerate(order):
        n = int(number[place])
        if n >= 0:
            first = start.setdefault(n, k)
            # the first of its block of neighbors, or of its group, lends its place as a name
            found[row[place]] = order[first + (k - first) // BLOCK * BLOCK if n in runs else first]
    return found


def info(block: Block, k: int) -> Mapping[str, Any]:
    """What the frame at place `k` says of itself."""
    a, b = block.text_first[k : k + 2]
    return json.loads(json.loads(block.text[a:b].tobytes())["info"])
