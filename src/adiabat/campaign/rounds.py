"""The rounds of a campaign: train, explore, decide, label; until the rule says stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.active import Candidate, Decision, explore
from adiabat.campaign.committees import Committees
from adiabat.campaign.groundwork import positions_only
from adiabat.campaign.options import Campaign
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop, as_atoms, as_json
from adiabat.uncertainty import Committee


class Rounds:
    """Of one campaign."""

    def __init__(self, campaign: Campaign, workshop: Workshop, story: Story, committees: Committees) -> None:
        self.c, self.shop, self.story, self.committees = campaign, workshop, story, committees

    def until_stop(
        self, atoms: Atoms, labels: list[Atoms], lone: list[Atoms], test: list[Atoms]
    ) -> tuple[list[dict[str, Any]], list[Atoms]]:
        """Train, explore, decide, label; until the rule says stop."""
        told: list[dict[str, Any]] = []
        temperatures = self.c.explore.temperatures_K
        stage, number = 0, 1
        while True:
            committee = self.committees.train(f"round-{number}", labels, lone, self.committees.fit_options())
            self.story.learning_curve(committee, labels, lone, test)
            while True:
                T = temperatures[stage]
                exploring = partial(self.explored, committee, atoms, labels, T, number)
                product = self.shop.stage(f"explore-{number}-{T:g}K", exploring)
                candidates = [
                    Candidate(**{**row, "atoms": a})
                    for row, a in zip(product["candidates"], as_atoms(product["frames"]), strict=True)
                ]
                decision = self.c.stop.decide(
                    share=product["share"],
                    halted=product["halted"],
                    temperature_K=T,
                    hotter=stage + 1 < len(temperatures),
                    labels=len(labels) + len(lone),
                    rounds=number,
                )
                fresh: list[Atoms] = []
                chosen = 0
                if decision.action == "label":
                    fresh, chosen, decision = self.telling(candidates, labels, lone, T, number, decision)
                else:
                    self.shop.say("explore", f"round {number}, {decision.why}")
                row = self._row(number, T, product, chosen, len(labels) + len(lone), decision)
                told.append(row)
                self.story.round(row, product, decision)
                if decision.action != "heat":
                    break
                stage += 1
            if decision.action == "stop":
                return told, labels
            self.committees.judge(committee, fresh)
            labels = labels + fresh
            number += 1

    def telling(
        self, candidates: list[Candidate], labels: list[Atoms], lone: list[Atoms], T: float, number: int, decision: Decision
    ) -> tuple[list[Atoms], int, Decision]:
        """The most telling candidates, labeled; how many were asked for; what is decided now.

        Where the engine refuses every one of them, the next candidates are asked for, far from those, until none is left.
        """
        fresh: list[Atoms] = []
        refused: list[Atoms] = []
        self.shop.say("explore", f"round {number}, {decision.why}")
        seen = decision.why.partition(": label")[0]
        while not fresh:
            rest = [c for c in candidates if all(c.atoms is not a for a in refused)]
            chosen = self.c.select.choose(rest, [*labels, *refused], self.c.stop.labels - len(labels) - len(lone))
            if not chosen:
                why = f"none of {len(refused)} could be labeled" if refused else "none of them is new"
                decision = Decision("stop", f"{seen}, but {why}")
                self.shop.say("explore", f"round {number}, {decision.why}")
                return [], len(refused), decision
            fresh = self.shop.label([c.atoms for c in chosen], f"explored {T:g} K", needed=False)
            if not fresh:
                self.shop.say(
                    "label", f"round {number}, {T:g} K: none of {len(chosen)} frames could be labeled; on with the next"
                )
                refused += [c.atoms for c in chosen]
        if refused:
            decision = replace(decision, why=f"{decision.why} ({len(refused)} others could not be labeled)")
        return fresh, len(refused) + len(chosen), decision

    def explored(self, committee: Committee, atoms: Atoms, labels: Sequence[Atoms], T: float, number: int) -> dict[str, Any]:
        """One exploration as a product: the uncertain frames, and the series the report shows."""
        x, rng = self.c.explore, np.random.default_rng([self.c.seed, number, round(T)])
        # Half the replicas start from the minimum, half from labeled frames with nothing broken.
        known = [atoms] * (x.replicas - x.replicas // 2) + [labels[k] for k in rng.choice(len(labels), x.replicas // 2)]
        found = explore(
            committee,
            known,
            temperature_K=T,
            duration_fs=x.duration_fs,
            timestep_fs=x.timestep_fs,
            look_every_fs=x.look_every_fs,
            halt_eV_per_A=x.halt_eV_per_angstrom,
            friction_per_fs=x.friction_per_fs,
            seed=int(rng.integers(2**31)),
            pressure_GPa=x.pressure_GPa,
        )
        uncertain = found.uncertain(self.c.stop.tolerance_eV_per_A)
        spreads = [c.spread_eV_per_A for c in found.candidates] or [float("inf")]
        return {
            "share": found.share(self.c.stop.tolerance_eV_per_A),
            "halted": sum(h is not None for h in found.halted_fs),
            "candidates": [{k: v for k, v in vars(c).items() if k != "atoms"} for c in uncertain],
            "frames": as_json([_placed(c, known[c.replica], number, x.timestep_fs) for c in uncertain]),
            "looked_at": len(found.candidates),
            "median": _finite(np.median(spreads)),
            "largest": _finite(np.max(spreads)),
            "time_fs": found.time_fs.tolist(),
            "spread_eV_per_A": found.spread_eV_per_A,
            "halted_fs": found.halted_fs,
        }

    def _row(
        self, number: int, T: float, product: Mapping[str, Any], chosen: int, labels: int, decision: Decision
    ) -> dict[str, Any]:
        return {
            "round": number,
            "temperature_K": T,
            "candidates": product["looked_at"],
            "uncertain": len(product["candidates"]),
            "chosen": chosen,
            "labels": labels,
            "threshold_meV_per_A": 1e3 * self.c.stop.tolerance_eV_per_A,
            "spread_median_meV_per_A": 1e3 * product["median"],
            "spread_max_meV_per_A": 1e3 * product["largest"],
            "decision": decision.why,
        }


def _finite(value: float) -> float:
    """JSON has no infinity; a spread beyond any measure is told as 10⁶ eV/Å."""
    return float(np.nan_to_num(value, nan=1e6, posinf=1e6))


def _placed(candidate: Candidate, start: Atoms, number: int, timestep_fs: float) -> Atoms:
    """A frame met in a round's exploration, with its place in a trajectory, so that a split keeps neighbors in time together.

    Where the replica started from a frame of an earlier trajectory it goes on with that one: its first looks stand next to it.
    """
    bare = positions_only(candidate.atoms, start)
    own = f"round {number}: {candidate.temperature_K:g} K: replica {candidate.replica}"
    bare.info["trajectory"] = start.info.get("trajectory", own)
    bare.info["step"] = int(start.info.get("step", 0)) + round(candidate.time_fs / timestep_fs)
    return bare
