"""`adiabat demo`: the whole loop for the water molecule with real DFT, on any laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adiabat.campaign.learn import learn
from adiabat.campaign.workshop import Say

# PBE/def2-SVP through PySCF. Budgets were chosen on two cores: see docs/performance.md.
WATER: dict[str, Any] = {
    "structure": "H2O",
    "name": "water",
    "labeler": {"pyscf": {"functional": "pbe", "basis": "def2-svp"}},
    "model": {"ace": {"cutoff": 3.0, "channels": 16}},
    "members": 4,
    "fit": {"leave_out": 0.25},
    "start": {"rattled": 10, "hot": 12, "hot_temperature_K": 500.0},
    "explore": {"temperatures_K": [300.0, 500.0, 700.0], "replicas": 16, "duration_fs": 400.0},
    "select": {"per_round": 12},
    "stop": {"labels": 80, "tolerance_eV_per_A": 0.01},
    "budget_s": 300.0,
    "budgets_s": {"label": 80.0, "sample": 10.0, "train": 90.0, "explore": 30.0, "md": 80.0, "other": 10.0},
}


def demo(out: str | Path = "water-demo", *, workers: int | None = None, say: Say | None = None) -> Path:
    """Run the demonstration, or go on with it; returns the run folder."""
    return learn({**WATER, "workers": workers}, out=out, say=say)
