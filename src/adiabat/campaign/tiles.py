"""The verdicts at the top of a campaign's report: a number, what was wanted, whether it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adiabat.campaign.options import Campaign
from adiabat.uncertainty import Trust


def tiles(
    campaign: Campaign, summary: Mapping[str, Any], results: Mapping[str, Any], trusted: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """By what the run found: its summary, its measurements, and what its uncertainty is worth."""
    targets = campaign.targets
    found: list[dict[str, Any]] = [
        {
            "name": "Energy error",
            "value": summary["energy_mae_meV_per_atom"],
            "unit": "meV/atom",
            "target": targets.energy_mae_meV_per_atom,
            "note": "mean absolute, independent test set",
        },
        {
            "name": "Force error",
            "value": summary["force_mae_meV_per_A"],
            "unit": "meV/Å",
            "target": targets.force_mae_meV_per_A,
            "note": "mean absolute, independent test set",
        },
        {
            "name": "Energy drift",
            "value": results["drift"]["value"],
            "error": results["drift"]["error"],
            "unit": "meV/atom/ns",
            "target": targets.nve_drift_meV_per_atom_per_ns,
            "passed": results["drift"]["verdict"] == "pass",
            "note": "|slope| + 2σ over the replicas",
        },
        {
            "name": "Labels",
            "value": summary["labels"],
            "target": campaign.stop.labels,
            "note": "reference calculations for training",
        },
    ]
    found.append(
        {
            "name": "Errors within their spread",
            "value": 100 * trusted["within_one"],
            "unit": "%",
            "passed": Trust(trusted["within_one"], trusted["within_two"]).trusted,
            "note": f"68 % wanted; {100 * trusted['within_two']:.0f} % within two; {trusted['advice']}",
        }
    )
    if campaign.budget_s is not None:
        found.append(
            {"name": "Time", "value": summary["wall_s"], "unit": "s", "target": campaign.budget_s, "note": "wall clock"}
        )
    if "effective_sample_size" in results:
        found.append(
            {
                "name": "Effective sample size",
                "value": results["effective_sample_size"],
                "target": results["reference_frames"] / 2,
                "better": "above",
                "note": f"of {results['reference_frames']} reweighted frames",
            }
        )
    if "largest_frequency_difference_per_cm" in results:
        found.append(
            {
                "name": "Largest frequency difference",
                "value": results["largest_frequency_difference_per_cm"],
                "unit": "cm⁻¹",
                "note": "harmonic",
            }
        )
    return [*found, *results.get("tiles", [])]
