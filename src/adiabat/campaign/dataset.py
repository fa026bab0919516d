"""What `adiabat dataset` does with a store: count, merge, choose, verify, pack, and write its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adiabat.config import ConfigError
from adiabat.data.store import Dataset


def work(
    path: str, *, select: str = "", merge: Sequence[str] = (), distinct: str | None = None, verify: bool = False,
    rescue: str | None = None, pack: bool = False, card: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Statistics of a store, and what was done with it: `done` in lines, `damage` by row where it was looked for."""
    from adiabat.data.statistics import statistics

    if not merge and not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such store; look at the path, relative to {Path.cwd()}")
    done: list[str] = []
    with Dataset(path) as dataset:
        if verify or rescue is not None:
            found = dataset.verify() if rescue is None else dataset.rescue(rescue)
            if rescue is not None:
                with Dataset(rescue) as rescued:
                    done.append(f"{len(rescued)} undamaged configurations in {rescue}")
            # a damaged store is not counted: its numbers would be wrong, or could not be read
            return {"damage": [damage._asdict() for damage in found], "done": done}
        if merge:
            done.append(f"{dataset.merge(*merge, select=select)} from {', '.join(merge)}")
            select = ""
        if select and not dataset.ids(select):
            raise ConfigError(f"{path}: no configuration has {select}; look at what there is without --select")
        if distinct is not None:
            if select:
                raise ConfigError("dataset: --distinct looks at the whole store; leave out --select")
            added, pairs = dataset.distinct(distinct)
            done.append(f"{added.new} configurations in {distinct}, {len(pairs)} equivalent ones left out")
        if pack:
            from adiabat.data.packing import pack as packed

            done.append(f"packed in {packed(dataset, select=select).path}")
        if card is not None:
            from adiabat.campaign.card import write_card

            done.append(f"card in {write_card(dataset, card, select=select)}")
        return {**statistics(dataset, select), "done": done}
