"""How right is it: errors against labels, model against reference, spread against error."""

from __future__ import annotations

import math
from html import escape

from adiabat.report import forms
from adiabat.report.figures.theme import (
    MODEL,
    SERIES,
    TEST,
    TRAIN,
    Figure,
    axis,
    level,
    line,
    log_axis,
    note_at,
    points,
    thin,
)  # fmt: skip


def learning_curve(data: forms.LearningCurve) -> list[Figure]:
    """Two figures, energy and force, validation and test against the number of labels; logarithmic errors."""
    figures = []
    for key, word, unit, columns, target in (
        ("energy", "Energy error", "meV/atom",
         (data.validation_energy_mae_meV_per_atom, data.test_energy_mae_meV_per_atom), data.target_energy_mae_meV_per_atom),
        ("force", "Force error", "meV/Å",
         (data.validation_force_mae_meV_per_A, data.test_force_mae_meV_per_A), data.target_force_mae_meV_per_A),
    ):  # fmt: skip
        if not any(known(column) for column in columns):
            continue
        traces = [
            line(data.labels, column, name, color, mode="lines+markers", marker={"size": size, "symbol": symbol, "color": color},
                 hovertemplate="%{x} labels: %{y:.3g} " + unit)
            for column, name, color, size, symbol in zip(
                columns, ("validation", "test"), ("$gray", MODEL), (7, 9), ("circle-open", "circle"), strict=True)
            if known(column)
        ]  # fmt: skip
        shape, note = level(target, f"target {target:g} {unit}") if target else (None, None)
        if note:
            note["y"] = math.log10(target)
        last = [column for column in columns if known(column)][-1]
        caption = (
            f"Mean absolute error against labels used: it should fall, then flatten{' below the dashed target' if target else ''}. "
            f"The last point is {known(last)[-1]:.3g} {unit} at {data.labels[-1]} labels."
        )
        layout = {
            "xaxis": axis("number of labels", rangemode="tozero"),
            "yaxis": log_axis(f"mean absolute error ({unit})", [v for c in columns for v in c] + [target]),
            "shapes": [shape] if shape else [], "annotations": [note] if note else [],
        }  # fmt: skip
        figures.append(Figure(f"learning-{key}", word, traces, layout, caption, height=330))
    return figures


def parity(data: forms.Parity) -> list[Figure]:
    """Model against reference on top, their difference below, on one x axis; energies are counted from the lowest reference."""
    figures = []
    lowest = min((v for s in data.sets.values() for v in known(s.energy_reference_eV_per_atom)), default=0.0)
    for key, word, unit, small, zero in (
        ("energy", "Energy per atom", "eV/atom", "meV/atom", lowest), ("force", "Force components", "eV/Å", "meV/Å", 0.0),
    ):  # fmt: skip
        traces, ends, differences = [], [], []
        for (name, s), color in zip(data.sets.items(), (TRAIN, TEST, *SERIES[1:]), strict=False):
            pair = (s.energy_reference_eV_per_atom, s.energy_model_eV_per_atom) if key == "energy" else (
                s.force_reference_eV_per_A, s.force_model_eV_per_A)  # fmt: skip
            kinds = s.kinds if key == "energy" and len(s.kinds) == len(pair[0]) else [""] * len(pair[0])
            rows = [(r - zero, m - zero, k) for r, m, k in zip(*pair, kinds, strict=True) if r is not None and m is not None]
            if not rows:
                continue
            ends += [v for r in rows for v in r[:2]]
            differences += [1000 * (m - r) for r, m, _ in rows]
            rows = rows[thin(len(rows))]
            x, style = (
                [r[0] for r in rows],
                {"size": 5 if key == "force" else 7, "opacity": 0.75, "text": [escape(r[2]) for r in rows]},
            )
            hover = f"%{{text}} reference %{{x:.4f}}, model %{{y:.4f}} {unit}<extra>{name}</extra>"
            traces.append(points(x, [r[1] for r in rows], name, color, hovertemplate=hover, legendgroup=name, **style))
            traces.append(points(x, [1000 * (r[1] - r[0]) for r in rows], "", color, yaxis="y2", legendgroup=name,
                                 hovertemplate=f"%{{text}} difference %{{y:.3g}} {small}<extra>{name}</extra>", **style))  # fmt: skip
        if not traces:
            continue
        span = [min(ends), max(ends)]
        room = 0.04 * (span[1] - span[0] or 1.0)
        span = [span[0] - room, span[1] + room]
        off = 1.15 * max(map(abs, differences)) or 1.0
        what = "relative energy" if key == "energy" else "force"
        layout = {

            "yaxis": axis(f"model ({unit})", domain=[0.36, 1], range=span),
            "yaxis2": axis(f"difference<br>({small})", domain=[0, 0.28], range=[-off, off], nticks=5),
            "xaxis": axis(f"reference {what} ({unit})", anchor="y2", range=span),
            "shapes": [
                {"type": "line", "x0": span[0], "x1": span[1], "y0": span[0], "y1": span[1], "layer": "below",
                 "line": {"color": "$muted", "width": 1}},
                {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 0, "y1": 0, "line": {"color": "$muted", "width": 1}},
            ],
        }  # fmt: skip
        caption = (
            "Points should lie on the diagonal; the lower panel magnifies what is left, which should scatter about zero without a "
            f"trend or a lone outlier. The largest difference is {max(map(abs, differences)):.3g} {small}."
        )
        figures.append(Figure(f"parity-{key}", word, traces, layout, caption, height=470))
    return figures


def uncertainty(data: forms.Uncertainty) -> list[Figure]:
    """Predicted spread against true error, and how often the error stays inside the promised interval."""
    figures = []
    rows = [(s, e) for s, e in zip(data.spread_meV_per_A, data.error_meV_per_A, strict=True) if s and e and s > 0 and e > 0]
    if rows:
        inside = sum(e <= 2 * s for s, e in rows) / len(rows)
        low, high = min(s for s, _ in rows) / 1.2, max(s for s, _ in rows) * 1.2
        floor, top = low / 10, max([2 * high, *(e for _, e in rows)])  # one lucky error of 1e-5 must not squeeze the rest
        hidden = any(e < floor for _, e in rows)
        rows = [(s, max(e, floor)) for s, e in rows[thin(len(rows))]]
        traces = [
            line([low, high], [low, high], "error = spread", "$ink", width=1.2, hoverinfo="skip"),
            line([low, high], [2 * low, 2 * high], "error = 2 × spread", "$orange", width=1.4, dash="dash", hoverinfo="skip"),
            points(
                *zip(*rows, strict=True),
                "atoms",
                MODEL,
                size=5,
                opacity=0.6,
                hovertemplate="spread %{x:.3g}, error %{y:.3g} meV/Å",
            ),
        ]
        layout = {
            "xaxis": log_axis("predicted spread of the force (meV/Å)", [low, high]),
            "yaxis": log_axis("true error of the force (meV/Å)", [floor, top]),
        }
        caption = (
            f"Error should grow with the spread: {inside:.0%} of the atoms lie below the dashed line (error ≤ 2 × spread). "
            "Points far above it are mistakes the committee did not see."
            + (f" Errors below {floor:.2g} meV/Å are drawn at the bottom." if hidden else "")
        )
        figures.append(Figure("uncertainty-scatter", "Spread against true error", traces, layout, caption, height=380))
    if data.nominal and data.observed:
        traces = [
            line([0, 1], [0, 1], "ideal", "$muted", width=1.2, dash="dash", hoverinfo="skip"),
            line(data.nominal, data.observed, "measured", MODEL, mode="lines+markers", marker={"size": 7, "color": MODEL},
                 hovertemplate="promised %{x:.0%}, measured %{y:.0%}"),
        ]  # fmt: skip
        layout = {
            "xaxis": axis("promised coverage", range=[0, 1.02], tickformat=".0%", dtick=0.25),
            "yaxis": axis("measured coverage", range=[0, 1.02], tickformat=".0%", dtick=0.25),
            "annotations": [note_at(0.97, 0.06, "overconfident below the line", xanchor="right"),
                            note_at(0.03, 0.97, "cautious above it", xanchor="left")],
        }  # fmt: skip
        caption = (
            "Of the errors promised to lie inside an interval, how many do. On the dashed line the promise is kept exactly."
        )
        figures.append(Figure("uncertainty-calibration", "Calibration", traces, layout, caption, height=380))
    return figures


def known(values) -> list[float]:
    return [v for v in values if v is not None]
