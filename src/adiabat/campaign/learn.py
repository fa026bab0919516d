"""The active-learning campaign: structure → labels → committee → exploration → labels … → a validated potential and its report.

The story is told in `tell`, from the beginning, at every start; stages that an earlier start finished are taken from the run
folder, labels from the ledger. So it may be killed anywhere and run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from adiabat.campaign import gate
from adiabat.campaign.committees import Committees
from adiabat.campaign.groundwork import Groundwork
from adiabat.campaign.matter import Matter, matter_of
from adiabat.campaign.options import Campaign, as_mapping, parse, structure_of
from adiabat.campaign.rounds import Rounds
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import EnginePotential, Say, Workshop, model_path
from adiabat.config import ConfigError, build, read_yaml
from adiabat.labelers import LABELERS
from adiabat.uncertainty import Trust
from adiabat.validation.errors import errors

# What may differ when a campaign goes on: it changes no number.
FREE = ("workers", "threads", "limit_minutes", "budget_s", "budgets_s", "waive")


def learn(config: str | Path | Mapping[str, Any], *, out: str | Path | None = None, say: Say | None = None) -> Path:
    """Run a learning campaign, or go on with it; returns the run folder.

    `config` is a YAML file (see ``adiabat new learn``) or a mapping of its content. The folder then holds `summary.json`,
    `report.html`, the model file, the labels (`labels.db`) and everything needed to go on.
    """
    given = dict(read_yaml(config) if isinstance(config, str | Path) else config)
    if out is not None:
        given["out"] = str(out)
    campaign = parse(given)
    atoms = structure_of(campaign.structure)
    if campaign.explore.pressure_GPa is not None and not atoms.pbc.all():
        raise ConfigError(
            f"explore.pressure_GPa: {campaign.explore.pressure_GPa:g} came for a structure that is not periodic along three axes; leave it out"
        )
    matter = matter_of(atoms)
    # All its cells are strained, rattled and relaxed from one: they share that one's k-points, or energies would jump between them.
    labeler = build(campaign.labeler, LABELERS, where="labeler").for_frames([atoms]).pinned(atoms)
    labeler.record()  # a missing engine is told before anything is written
    torch.set_num_threads(campaign.threads)
    options = {k: v for k, v in as_mapping(campaign).items() if k != "out"}
    folder = RunFolder(campaign.out, options, kind="learn", free=FREE)
    workshop = Workshop(folder, labeler, campaign.workers, say or (lambda *_: None), limit_minutes=campaign.limit_minutes)
    with folder, workshop:
        _Learning(campaign, workshop, matter).tell(atoms)
    return folder.folder


class _Learning:
    """One campaign under way."""

    def __init__(self, campaign: Campaign, workshop: Workshop, matter: Matter) -> None:
        self.c, self.shop, self.matter, self.folder = campaign, workshop, matter, workshop.folder
        self.story = Story(self.folder, campaign)
        self.groundwork = Groundwork(campaign, workshop, matter)
        self.committees = Committees(campaign, workshop, self.story)
        self.rounds = Rounds(campaign, workshop, self.story, self.committees)

    def tell(self, atoms: Atoms) -> None:
        """The whole campaign."""
        self.story.settings(self.shop.record, atoms)
        lone = self.groundwork.reference_atoms(atoms)
        atoms, labels = self.groundwork.first_labels(atoms)
        self.story.structure(atoms)
        engine = self.c.test.engine
        early = self.groundwork.test_set(atoms, EnginePotential(build(engine, LABELERS, where="test.engine"))) if engine else []
        rounds, labels = self.rounds.until_stop(atoms, labels, lone, early)
        potential = self.committees.train(self.c.name, labels, lone, self.committees.fit_options(**self.c.finish))
        test = early or self.groundwork.test_set(atoms, potential.without_spread)
        found = errors(potential, test).to_json()
        self.story.learning_curve(potential, labels, lone, test)
        judged = self.story.examine(potential, labels, test, found)
        self.shop.say(
            "test",
            f"{found['energy_mae_meV_per_atom']:.3g} meV/atom and {found['force_mae_meV_per_A']:.3g} meV/Å on {len(test)} test frames",
        )
        gated = gate.learned(self.shop, model_path(self.folder, self.c.name), labels, self.c.waive)
        self.story.sections.put("model_gate", **gate.section(gated))
        if not gated.passed:
            self.story.write()
            gated.refuse(f"{self.folder.folder}: the learned potential")
        results = self.matter.measure(self.shop, self.story, self.c, model_path(self.folder, self.c.name), atoms)
        self.conclude(labels, lone, test, rounds, found, judged, results)

    def conclude(
        self,
        labels: Sequence[Atoms],
        lone: Sequence[Atoms],
        test: Sequence[Atoms],
        rounds: Sequence[Any],
        found: Mapping[str, Any],
        judged: Trust,
        results: Mapping[str, Any],
    ) -> None:
        """Verdicts, costs, the summary and the report."""
        spent = self.shop.spent()
        kinds: dict[str, list[Atoms]] = {}
        for a in (*lone, *labels, *test, *results["labeled"]):
            kinds.setdefault(str(a.info["config_type"]).replace("md ", "test md "), []).append(a)
        rows = self.shop.label_costs(kinds)
        n = len(labels) + len(lone)
        wall = spent.pop("in all")
        for stage, used in self.story.costs(spent, rows, self.shop.pool_size):
            self.shop.say("budget", f"{stage} took longer than its {self.c.budgets_s[stage]:g} s", used_s=used)
        summary = {
            "labels": n,
            "energy_mae_meV_per_atom": found["energy_mae_meV_per_atom"],
            "force_mae_meV_per_A": found["force_mae_meV_per_A"],
            "nve_drift_meV_per_atom_per_ns": results["drift"]["value"],
            "nve_drift_error_meV_per_atom_per_ns": results["drift"]["error"],
            "errors_within_one_spread": judged.within_one,
            "errors_within_two_spreads": judged.within_two,
            "uncertainty_verdict": "pass" if judged.trusted else "fail",
            "rounds": max(r["round"] for r in rounds),
            **{name: results[name] for name in ("properties", "stress_check") if name in results},
            "wall_s": wall,
            "label_wall_s": spent["label"],
            "model": f"models/{self.c.name}.adiabat",
            "report": "report.html",
            "stopped_because": rounds[-1]["decision"],
        }
        self.story.verdicts(summary, results)
        self.folder.write_json("summary.json", summary)
        self.story.write()
        self.shop.say("done", "report.html", **summary)
