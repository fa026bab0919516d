"""The committees of a campaign: trained after each round, their spread calibrated on frames they had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.campaign.deviations import signed_errors
from adiabat.campaign.frames import GateFaults
from adiabat.campaign.options import Campaign
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop, model_path
from adiabat.config import build
from adiabat.data.gate import check
from adiabat.deploy.load import load
from adiabat.models import MODELS
from adiabat.training import fit
from adiabat.uncertainty import Committee, coverage, pooled


class Committees:
    """One after another, and what fresh frames have told of them."""

    def __init__(self, campaign: Campaign, workshop: Workshop, story: Story) -> None:
        self.c, self.shop, self.story = campaign, workshop, story
        self.folder = workshop.folder
        self.told_error, self.told_spread = np.zeros(0), np.zeros(0)  # components of fresh frames, eV/Å; the spread unscaled

    def judge(self, committee: Committee, fresh: Sequence[Atoms]) -> None:
        """What the committee thought of frames it had not seen, and how wrong it was: the next ones are calibrated on it, too."""
        error, spread = signed_errors(committee, fresh)
        raw = spread / committee.calibration["forces"]
        self.told_error, self.told_spread = np.append(self.told_error, error), np.append(self.told_spread, raw)
        rms = 1e3 * np.sqrt(np.mean(np.array([error, spread]) ** 2, axis=1))
        self.shop.say("judge", f"{len(fresh)} fresh frames: predicted {rms[1]:.3g} meV/Å of error, found {rms[0]:.3g}")

    def fit_options(self, **more: Any) -> dict[str, Any]:
        return {"members": self.c.members, "seed": self.c.seed, **self.c.fit, **more}

    def calibrated(self, committee: Committee) -> Committee:
        """The committee with its force spread scaled on its validation frames and on all fresh frames of the rounds so far."""
        known = committee.metadata.setdefault("calibration", {"scale": {}})
        n = known.get("forces", {}).get("n", 0)
        if n + len(self.told_error):
            scale = pooled(committee.calibration["forces"], n, self.told_error, self.told_spread)
            known["scale"]["forces"] = scale
            known["fresh"] = {"n": len(self.told_error)}
            if len(self.told_error):
                known["fresh"]["coverage"] = coverage(self.told_error, np.maximum(scale * self.told_spread, 1e-12))
        return committee

    def train(self, name: str, labels: Sequence[Atoms], lone: Sequence[Atoms], options: Mapping[str, Any]) -> Committee:
        """A committee on these labels; kept as a model file, its training resumed where it was interrupted."""
        path = model_path(self.folder, name)
        findings = check([*lone, *labels])
        self.story.gate(findings, len(labels) + len(lone))
        if any(f.grade == "fault" for f in findings):
            raise GateFaults("the labels", findings)

        def work() -> str:
            self.shop.say("train", f"{name}: {self.c.members} members on {len(labels)} labels")
            model = build(self.c.model, MODELS, where="model")
            folder = self.shop.bench(f"training/{name}")
            potential = fit(
                model, [*lone, *labels], folder=folder, progress=lambda m: self.shop.progress("train", name, m), **options
            )
            assert isinstance(potential, Committee)  # parse() wants two members at least
            self.calibrated(potential)
            potential.save(path)
            return str(path.relative_to(self.folder.folder))

        self.shop.stage(f"train-{name}", work)
        self.story.training(name)
        committee = load(path)
        assert isinstance(committee, Committee)
        return committee
