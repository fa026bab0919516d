"""A learning campaign small enough for a test: water by EMT, whose numbers mean nothing and cost nothing."""

from __future__ import annotations

import time
from typing import Any

from ase.calculators.emt import EMT

SMALL: dict[str, Any] = {
    "structure": "H2O",
    "labeler": {"ase": {"calculator": "emt"}},
    "model": {"bpnn": {"cutoff": 3.0, "radial": 5, "angular": 1, "zetas": [1.0], "hidden": [5]}},
    "members": 3,
    "fit": {"optimizer": "lbfgs", "epochs": 60},
    "finish": {"epochs": 120},
    "start": {"rattled": 8, "hot": 4, "engine": {"ase": {"calculator": "emt"}}},
    "explore": {"temperatures_K": [200.0, 300.0], "replicas": 4, "duration_fs": 60.0},
    "select": {"per_round": 5},
    "stop": {"labels": 40, "rounds": 2, "tolerance_eV_per_A": 0.02},
    "test": {"frames": 6, "engine": {"ase": {"calculator": "emt"}}},
    "measure": {"duration_fs": 100.0, "equilibration_fs": 20.0, "replicas": 4, "reference_frames": 6},
    "workers": 2,
}


class Unhurried(EMT):
    """The same numbers as EMT, in the time of a real engine: a kill can meet a label under way."""

    def calculate(self, *arguments, **more):
        time.sleep(0.2)
        super().calculate(*arguments, **more)


UNHURRIED: dict[str, Any] = {**SMALL, "labeler": {"ase": {"calculator": "campaign.small:Unhurried"}}}


def run(folder: str, unhurried: bool = False) -> None:
    """`python -m campaign.small FOLDER [unhurried]`: the campaign, or the rest of it."""
    from adiabat.campaign.learn import learn

    learn(UNHURRIED if unhurried else SMALL, out=folder)


if __name__ == "__main__":
    import sys

    run(sys.argv[1], unhurried="unhurried" in sys.argv)
