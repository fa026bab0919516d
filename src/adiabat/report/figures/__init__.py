"""The figures of a report, by section: plain data in, Plotly dicts out. A section without an entry has tables or words only."""

from adiabat.report.figures import accuracy, effort, physics
from adiabat.report.figures.theme import Figure

FIGURES = {
    "learning_curve": accuracy.learning_curve,
    "parity": accuracy.parity,
    "uncertainty": accuracy.uncertainty,
    "distributions": physics.distributions,
    "vibrations": physics.vibrations,
    "rdf": physics.rdf,
    "nve": physics.nve,
    "nvt": physics.nvt,
    "rounds": effort.rounds,
    "exploration": effort.exploration,
    "training": effort.training,
    "time_budget": effort.time_budget,
    "label_cost": effort.label_cost,
}

__all__ = ["FIGURES", "Figure"]
