"""The still picture of a run for a README or a slide: learning curve, parity, distribution, in one row."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from adiabat.report.figures.accuracy import known
from adiabat.report.figures.theme import LIGHT
from adiabat.report.record import Run

STYLE = {
    "font.size": 9, "axes.edgecolor": LIGHT["line"], "axes.labelcolor": LIGHT["ink"], "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"], "ytick.color": LIGHT["muted"], "axes.grid": True, "grid.color": LIGHT["grid"], "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8, "axes.titlesize": 10,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "figure.facecolor": LIGHT["card"],
}  # fmt: skip


def draw(run_folder: str | os.PathLike, to: str | os.PathLike | None = None) -> Path:
    """A PNG of what the run has of learning curve, force parity and first distribution; by default `picture.png` in its folder."""
    import matplotlib

    run = Run.read(run_folder)
    panels = [(panel, run.sections[name]) for name, panel in PANELS.items() if name in run.sections]
    if not panels:
        raise ValueError(f"{run.folder}/report.json holds none of {', '.join(PANELS)}: nothing to draw a picture of")
    path = Path(to) if to else run.folder / "picture.png"
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(3.6 * len(panels), 3.1), dpi=160, layout="constrained"
        )  # no pyplot: no global state, no window
        for axes, (panel, data) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(axes, data)
        figure.savefig(path)
    return path


def learning_curve(axes, data):
    axes.set_title("Learning curve")
    for column, name, color, marker in (
        (data.validation_force_mae_meV_per_A, "validation", LIGHT["gray"], "o--"), (data.test_force_mae_meV_per_A, "test", LIGHT["blue"], "o-"),
    ):  # fmt: skip
        rows = [(n, e) for n, e in zip(data.labels, column, strict=False) if e is not None]
        if rows:
            axes.plot(
                *zip(*rows, strict=True),
                marker,
                color=color,
                label=name,
                markersize=5,
                markerfacecolor=LIGHT["card"] if "--" in marker else color,
            )
    if data.target_force_mae_meV_per_A:
        axes.axhline(data.target_force_mae_meV_per_A, color=LIGHT["orange"], linestyle="--", linewidth=1.2, label="target")
    axes.set(yscale="log", xlabel="number of labels", ylabel="force error, MAE (meV/Å)")
    low, high = axes.get_ylim()
    ticks = [t for d in range(-4, 6) for t in (10.0**d, 2 * 10.0**d, 5 * 10.0**d) if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.legend()


def parity(axes, data):
    axes.set_title("Model against reference")
    ends = [0.0]
    for (name, s), color in zip(data.sets.items(), (LIGHT["gray"], LIGHT["blue"], LIGHT["purple"]), strict=False):
        axes.plot(
            s.force_reference_eV_per_A,
            s.force_model_eV_per_A,
            ".",
            color=color,
            label=name,
            markersize=4,
            alpha=0.7,
            rasterized=True,
        )
        ends += known(s.force_reference_eV_per_A)
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=LIGHT["muted"], linewidth=1, zorder=0)
    axes.set(xlabel="reference force (eV/Å)", ylabel="model force (eV/Å)")
    judged = known((data.sets.get("test") or next(iter(data.sets.values()))).force_reference_eV_per_A)
    if judged:  # a few violent training frames would squeeze everything else into a dot
        room = 1.15 * max(map(abs, judged))
        axes.set(xlim=(-room, room), ylim=(-room, room))
    axes.legend(markerscale=2)


def distribution(axes, data):
    d = data.distributions[0]
    axes.set_title(f"Distribution of the {d.name}")
    columns = (d.x, d.reference, d.reference_error, d.model)
    x, y, e, m = (np.array([np.nan if v is None else v for v in column], float) for column in columns)
    if len(y) and len(e):
        axes.fill_between(x, y - e, y + e, color=LIGHT["orange"], alpha=0.25, linewidth=0)
    if len(y):
        axes.plot(x, y, color=LIGHT["orange"], label=data.reference, linewidth=1.8)
    if len(m):
        axes.plot(x, m, "--", color=LIGHT["blue"], label="model", linewidth=1.8)
    axes.set(xlabel=f"{d.name} ({d.unit})", ylabel=f"density (1/{d.unit})")
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.25)
    axes.legend(loc="upper left")


PANELS = {"learning_curve": learning_curve, "parity": parity, "distributions": distribution}
