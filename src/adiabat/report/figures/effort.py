"""How it got there and what it took: exploration, trainings, labels, time."""

from __future__ import annotations

from html import escape

from adiabat.report import forms
from adiabat.report.figures.accuracy import known
from adiabat.report.figures.theme import (
    MODEL,
    SERIES,
    WARMTH,
    Figure,
    axis,
    line,
    log_axis,
    note_at,
    peaks,
    points,
    thin,
)  # fmt: skip


def rounds(data: forms.Rounds) -> list[Figure]:
    """The threshold and the spread that exploration met: round by round, and within a round temperature by temperature."""
    x = list(range(len(data.rounds)))
    names = [f"{r.round}" if r.temperature_K is None else f"{r.round}<br>{r.temperature_K:g} K" for r in data.rounds]
    columns = (
        ("largest spread met", [r.spread_max_meV_per_A for r in data.rounds], "$orange", "circle"),
        ("median spread", [r.spread_median_meV_per_A for r in data.rounds], MODEL, "circle-open"),
    )
    columns = [c for c in columns if known(c[1])]
    if not columns or len(x) < 2:
        return []
    threshold = [r.threshold_meV_per_A for r in data.rounds]
    traces = [line(x, y, name, color, mode="lines+markers", marker={"size": 8, "symbol": symbol, "color": color},
                   hovertemplate="round %{x}: %{y:.3g} meV/Å") for name, y, color, symbol in columns]  # fmt: skip
    if known(threshold):
        traces.append(line(x, threshold, "threshold", "$ink", dash="dash", width=1.5, line_shape="hvh"))
        traces[-1]["line"]["shape"] = traces[-1].pop("line_shape")
    layout = {
        "xaxis": axis(
            "round", tickvals=x[:: 1 + len(x) // 16], ticktext=names[:: 1 + len(x) // 16], range=[-0.3, len(x) - 0.7]
        ),
        "yaxis": log_axis("spread of the force (meV/Å)", [v for c in columns for v in c[1]] + threshold),
    }
    caption = "What exploration met in each round. It is done when hardly a frame's spread, by the stated share, is above the dashed threshold."
    return [Figure("rounds", "Uncertainty met, round by round", traces, layout, caption, wide=True, height=320)]


def exploration(data: forms.Exploration) -> list[Figure]:
    """All stages one after the other on one time axis; a line a walker, its color the stage's temperature."""
    temperatures = sorted({s.temperature_K for s in data.stages if s.temperature_K is not None})
    traces, shapes, notes, named, values, start = [], [], [], set(), [], 0.0
    total = sum(map(explored, data.stages)) or 1.0
    most = max(60, 900 // max(1, len(data.stages)))  # points of a walker: enough for the eye
    for s in data.stages:
        rank = temperatures.index(s.temperature_K) if s.temperature_K is not None else 0
        color, name = WARMTH[min(rank, len(WARMTH) - 1)], f"{s.temperature_K:g} K" if s.temperature_K is not None else "stage"
        length = explored(s)
        for walker, spread in enumerate(s.spread_meV_per_A):
            x, y = peaks(s.time_fs[: len(spread)], spread, most)
            x = [None if t is None else (start + t) / 1000 for t in x]
            values += [v for v in y if v]
            traces.append(line(x, y, "" if name in named else name, color, width=1.2, opacity=0.75, legendgroup=name, legendrank=10 + rank,
                               hovertemplate=f"walker {walker + 1}, {name}: %{{y:.3g}} meV/Å<extra></extra>"))  # fmt: skip
            named.add(name)
            end = s.stopped_at_fs[walker] if walker < len(s.stopped_at_fs) else None
            if end is not None and known(y):
                top = next((v for t, v in zip(reversed(s.time_fs[: len(spread)]), reversed(spread), strict=False)
                            if v is not None and t is not None and t <= end), known(y)[-1])  # fmt: skip
                traces.append(points([(start + end) / 1000], [top], "" if "stop" in named else "stopped, frame taken", "$bad", size=9,
                                     symbol="x", legendgroup="stop", legendrank=91,
                                     hovertemplate=f"walker {walker + 1} stopped at {end:g} fs"))  # fmt: skip
                named.add("stop")
        if s.threshold_meV_per_A:
            values.append(s.threshold_meV_per_A)
            ends = [start / 1000, (start + length) / 1000]
            traces.append(line(ends, [s.threshold_meV_per_A] * 2, "" if "threshold" in named else "threshold", "$ink", dash="dash",
                               width=1.5, legendgroup="threshold", legendrank=90, hoverinfo="skip"))  # fmt: skip
            named.add("threshold")
        if start:
            shapes.append({"type": "line", "x0": start / 1000, "x1": start / 1000, "yref": "paper", "y0": 0, "y1": 1,
                           "line": {"color": "$line", "width": 1}})  # fmt: skip
        if length > 0.12 * total:
            label = f"round {s.round}" if s.round is not None else name
            notes.append(note_at((start + length / 2) / 1000, 1, label, yref="paper", yanchor="bottom", size=11))
        start += length
    if not values:
        return []
    layout = {
        "xaxis": axis("exploration time, all stages (ps)", range=[0, start / 1000]), "shapes": shapes, "annotations": notes,
        "yaxis": log_axis("largest spread of a force (meV/Å)", values), "legend": {"orientation": "h", "x": 0, "y": 1.08, "yanchor": "bottom"},
    }  # fmt: skip
    caption = (
        "Each line is one walker under dynamics with the current model. A cross marks where the committee disagreed beyond the "
        "threshold: the walker stopped and its frame went to the reference engine. Later rounds should run longer before they stop."
    )
    return [Figure("exploration", "Exploration under rising temperature", traces, layout, caption, wide=True, height=400)]


def explored(stage: forms.Stage) -> float:
    """How far its longest walker came."""
    reached = [
        t for w in stage.spread_meV_per_A for t, v in zip(stage.time_fs, w, strict=False) if t is not None and v is not None
    ]
    return max(reached, default=0.0)


def training(data: forms.Training) -> list[Figure]:
    traces, values = [], []
    for k, c in enumerate(c for c in data.curves if len(c.epoch) > 1):  # least squares has one step, which is no curve
        color, step = SERIES[k % len(SERIES)], thin(len(c.epoch), 500)
        if known(c.validation_loss):
            traces.append(line(c.epoch[step], c.validation_loss[step], c.name, color, legendgroup=c.name,
                               hovertemplate="epoch %{x}: %{y:.3g} (validation)"))  # fmt: skip
        if known(c.loss):
            traces.append(line(c.epoch[step], c.loss[step], "" if known(c.validation_loss) else c.name, f"{color}/50", width=1,
                               dash="dot", legendgroup=c.name, hovertemplate="epoch %{x}: %{y:.3g} (training)"))  # fmt: skip
        values += known(c.validation_loss) + known(c.loss)
    if not traces:
        return []
    layout = {"xaxis": axis("epoch"), "yaxis": log_axis("loss", values)}
    caption = (
        "Solid: validation; dotted: training. Both should fall and level off together; a validation line that turns upward while "
        "training still falls is learning by heart."
    )
    return [Figure("training", "Loss against epoch", traces, layout, caption, wide=True)]


def time_budget(data: forms.TimeBudget) -> list[Figure]:
    rows = [s for s in data.stages if s.wall_s is not None]
    if not rows:
        return []
    names = [f"{escape(s.name)}, {s.wall_s:.3g} s" for s in rows]
    over = [s.budget_s is not None and s.wall_s > s.budget_s for s in rows]
    traces = [{
        "type": "bar", "orientation": "h", "y": names, "x": [s.wall_s for s in rows], "name": "wall-clock time", "width": 0.55,
        "marker": {"color": ["$orange" if o else MODEL for o in over]}, "showlegend": False, "hovertemplate": "%{y}<extra></extra>",
    }]  # fmt: skip
    budgets = [(s.budget_s, name) for s, name in zip(rows, names, strict=True) if s.budget_s is not None]
    if budgets:
        marks = points(
            *zip(*budgets, strict=True),
            "budget",
            "$ink",
            size=18,
            symbol="line-ns",
            hovertemplate="budget %{x:g} s<extra></extra>",
        )
        marks["marker"]["line"] = {"width": 2, "color": "$ink"}
        traces.append(marks)
    most = max([s.wall_s for s in rows] + [b for b, _ in budgets])
    layout = {
        "xaxis": axis("wall-clock time (s)", range=[0, 1.05 * most]),
        "yaxis": axis("", autorange="reversed", showgrid=False, ticks="", type="category"),
    }
    total = sum(s.wall_s for s in rows)
    caption = f"Together {total:.4g} s" + (f" of a budget of {data.budget_s:g} s" if data.budget_s else "") + "."
    caption += " Bars should end before their budget mark; orange ones did not." if budgets else ""
    return [Figure("time-budget", "Time by stage", traces, layout, caption, wide=True, height=110 + 32 * len(rows))]


def label_cost(data: forms.LabelCost) -> list[Figure]:
    rows = [r for r in data.rows if r.cpu_s is not None or r.wall_s is not None]
    if not rows:
        return []
    traces = [
        {"type": "bar", "orientation": "h", "y": [escape(r.kind) for r in rows], "x": x, "name": name, "marker": {"color": color},
         "hovertemplate": "%{y}: %{x:.1f} s " + name + "<extra></extra>"}
        for name, x, color in (("wall", [r.wall_s for r in rows], MODEL), ("CPU", [r.cpu_s for r in rows], "$gray/70")) if known(x)
    ]  # fmt: skip
    layout = {
        "xaxis": axis("time spent on labels (s)"), "bargap": 0.35,
        "yaxis": axis("", autorange="reversed", showgrid=False, ticks="", type="category"),
    }  # fmt: skip
    caption = "Summed over the labels of a kind. Wall-clock far above CPU time means that workers waited: for memory, disk or each other."
    return [Figure("label-cost", "Time in the reference engine", traces, layout, caption, height=120 + 46 * len(rows))]
