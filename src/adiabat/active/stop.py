"""When to go on, when to heat, when to stop: one rule, stated, and every decision with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["label", "heat", "stop"]


@dataclass(frozen=True)
class Decision:
    """What to do next and why, in words for the log and the report."""

    action: Action
    why: str
    finished: bool = False  # the rule is satisfied; otherwise a budget ended the campaign


@dataclass(frozen=True)
class StopRule:
    """A temperature is learned when at most `share` of the frames met there have a force spread above `tolerance_eV_per_A`
    and no replica had to be halted; the campaign stops when the last temperature is learned, or at a budget.

    `labels` and `rounds` are the budget.
    """

    tolerance_eV_per_A: float = 0.03
    share: float = 0.02
    labels: int = 80
    rounds: int = 10

    def __post_init__(self) -> None:
        if not (self.tolerance_eV_per_A > 0 and 0 <= self.share < 1 and self.labels > 0 and self.rounds > 0):
            raise ValueError(f"stop: {self} came; wanted a positive tolerance, a share in [0, 1), and positive budgets")

    def __str__(self) -> str:
        return (
            f"a temperature is learned when at most {100 * self.share:g} % of the frames met there have a force spread above "
            f"{1000 * self.tolerance_eV_per_A:g} meV/Å and no replica was halted; stop after the last one, "
            f"or at {self.labels} labels or {self.rounds} rounds"
        )

    def decide(self, *, share: float, halted: int, temperature_K: float, hotter: bool, labels: int, rounds: int) -> Decision:
        """The decision after one exploration.

        >>> StopRule().decide(share=0.0, halted=0, temperature_K=300, hotter=True, labels=20, rounds=1).action
        'heat'
        >>> StopRule().decide(share=0.3, halted=0, temperature_K=300, hotter=True, labels=20, rounds=1).action
        'label'
        >>> StopRule().decide(share=0.3, halted=0, temperature_K=300, hotter=True, labels=80, rounds=1).why
        '300 K: 30.0 % of the frames are uncertain, but the budget of 80 labels is used'
        """
        seen = f"{temperature_K:g} K: {100 * share:.1f} % of the frames are uncertain"
        if halted:
            seen += f" and {halted} replica{'s were' if halted > 1 else ' was'} halted"
        if share <= self.share and not halted:
            if hotter:
                return Decision("heat", f"{seen}: learned, go on to the next temperature")
            return Decision("stop", f"{seen}: the last temperature is learned", finished=True)
        if labels >= self.labels:
            return Decision("stop", f"{seen}, but the budget of {self.labels} labels is used")
        if rounds >= self.rounds:
            return Decision("stop", f"{seen}, but the budget of {self.rounds} rounds is used")
        return Decision("label", f"{seen}: label the most telling of them and train again")
