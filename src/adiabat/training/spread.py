"""What held-out frames teach of a committee's spread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from adiabat.graph import Graph
from adiabat.told import warn
from adiabat.uncertainty import Committee, calibrate


class Uncalibrated(UserWarning):
    """A committee whose spread was compared with no error: it ranks, but it is no expected error."""


def not_calibrated() -> None:
    """Warn whoever called `fit` that no frame was held out."""
    warn(
        "the committee's spread is not calibrated: no frame was held out from training; give `validation` frames, "
        "or ten labeled frames at least, of which a tenth is held out",
        Uncalibrated,
    )


def scales(committee: Committee, held: Iterable[Graph]) -> dict[str, Any]:
    """Scales for a committee's spreads from held-out graphs, with coverage; what a model file keeps of it."""
    force_error, force_spread, energy_error, energy_spread = [], [], [], []
    for graph in held:
        each = committee.predictions(graph)
        labels = graph.labels
        if bool(labels["forces"].mask.all()):
            spread = each.forces.var(0).mean(-1).sqrt()
            force_error.append((each.forces.mean(0) - labels["forces"].value).reshape(-1))
            force_spread.append(spread[:, None].expand(-1, 3).reshape(-1))
        if bool(labels["energy"].mask.all()):
            energy_error.append(each.energy.mean(0) - labels["energy"].value)
            energy_spread.append(each.energy.std(0))
    found: dict[str, Any] = {"scale": {}}
    for name, errors, spreads in (("forces", force_error, force_spread), ("energy", energy_error, energy_spread)):
        if errors:
            result = calibrate(torch.cat(errors).numpy(force=True), torch.cat(spreads).numpy(force=True))
            found["scale"][name] = result.scale
            found[name] = {
                "n": result.n,
                "coverage": result.coverage,
                "rank_correlation": None if np.isnan(result.correlation) else result.correlation,
            }
    return found
