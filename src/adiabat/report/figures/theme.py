"""One look for every figure: a palette told apart by colorblind readers in light and dark, and axes that say their unit.

A color in a figure is a token ("$blue", or "$blue/20" at 20 % opacity); the page resolves it when it draws, so one figure serves
light, dark and paper. Figures are plain dicts in Plotly's schema: no plotly import to build one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

LIGHT = {
    "page": "#f7f7f5", "card": "#ffffff", "ink": "#1b2430", "muted": "#5a6572", "grid": "#e8eaed", "line": "#c5cad1",
    "blue": "#1f6fb0", "orange": "#cf6a17", "teal": "#0f8069", "purple": "#87509c", "gold": "#a07a0c", "gray": "#87919d",
    "good": "#0f7660", "bad": "#b3341c",
}  # fmt: skip
DARK = {
    "page": "#10141a", "card": "#171c24", "ink": "#e5e9ee", "muted": "#9ba6b4", "grid": "#262d37", "line": "#3d4653",
    "blue": "#6cb2f0", "orange": "#f29a57", "teal": "#4ec2a2", "purple": "#cd9adf", "gold": "#e0be4d", "gray": "#7c8794",
    "good": "#55c7a7", "bad": "#f58a6f",
}  # fmt: skip

MODEL, REFERENCE, TRAIN, TEST = "$blue", "$orange", "$gray", "$blue"
WARMTH = ("$blue", "$teal", "$gold", "$orange", "$purple")  # from the coldest stage to the hottest
SERIES = ("$blue", "$orange", "$teal", "$purple", "$gold", "$gray")

MOST_POINTS = 4000  # of one trace: a page stays light; errors are computed before thinning


@dataclass(frozen=True)
class Figure:
    """`caption`: what to look at and what is good, in plain words."""

    key: str
    title: str
    traces: list[dict]
    layout: dict
    caption: str
    wide: bool = False
    height: int = 340

    def spec(self) -> dict:
        return {"data": [rounded(trace) for trace in self.traces], "layout": rounded(BASE | self.layout), "height": self.height}


def axis(title: str = "", **more: Any) -> dict:
    return {
        "title": {"text": title, "standoff": 10, "font": {"size": 13}}, "automargin": True, "showgrid": True, "gridcolor": "$grid",
        "zeroline": False, "showline": True, "linecolor": "$line", "ticks": "outside", "ticklen": 4, "tickcolor": "$line",
        "exponentformat": "power", "minexponent": 4, **more,
    }  # fmt: skip


def log_axis(title: str, values: Iterable[float | None], **more: Any) -> dict:
    """A logarithmic axis that never shows less than one decade, with plain numbers at its ticks."""
    positive = [v for v in values if v is not None and v > 0] or [0.1, 1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    room = max(0.08 * (high - low), (1.0 - (high - low)) / 2, 0.08)
    low, high = low - room, high + room
    steps = (1, 2, 5) if high - low < 2.6 else (1,)
    ticks = [s * 10.0**d for d in range(math.floor(low), math.ceil(high) + 1) for s in steps]
    ticks = [t for t in ticks if low <= math.log10(t) <= high]
    return axis(title, type="log", range=[low, high], tickvals=ticks, ticktext=[f"{t:g}" for t in ticks], **more)


def line(
    x: Sequence, y: Sequence, name: str = "", color: str = MODEL, *, width: float = 2, dash: str = "solid", **more: Any
) -> dict:
    return {
        "type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": escape(name), "showlegend": bool(name),
        "line": {"color": color, "width": width, "dash": dash}, **more,
    }  # fmt: skip


def points(
    x: Sequence, y: Sequence, name: str = "", color: str = MODEL, *, size: float = 6, symbol: str = "circle", **more: Any
) -> dict:
    return {
        "type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "name": escape(name), "showlegend": bool(name),
        "marker": {"color": color, "size": size, "symbol": symbol, "line": {"width": 0}}, **more,
    }  # fmt: skip


def band(x: Sequence, middle: Sequence, half: Sequence, name: str, color: str) -> dict:
    """The area middle ± half of a density (so never below zero), as one closed outline; points without a value are left out."""
    rows = [(a, m, h) for a, m, h in zip(x, middle, half, strict=True) if None not in (a, m, h)]
    return {
        "type": "scatter", "mode": "lines", "x": [r[0] for r in rows] + [r[0] for r in reversed(rows)],
        "y": [r[1] + r[2] for r in rows] + [max(0.0, r[1] - r[2]) for r in reversed(rows)], "fill": "toself", "fillcolor": f"{color}/22",
        "line": {"width": 0, "color": color}, "hoverinfo": "skip", "name": name, "showlegend": bool(name),
    }  # fmt: skip


def level(y: float, text: str, color: str = "$muted", *, yref: str = "y", xref: str = "paper") -> tuple[dict, dict]:
    """A dashed horizontal line and its words: (shape, annotation)."""
    shape = {
        "type": "line", "xref": xref if xref == "paper" else f"{xref} domain", "x0": 0, "x1": 1, "yref": yref, "y0": y, "y1": y,
        "line": {"color": color, "width": 1.4, "dash": "dash"},
    }  # fmt: skip
    note = note_at(0.01, y, text, xref=shape["xref"], yref=yref, xanchor="left", yanchor="bottom", color=color)
    return shape, note


def note_at(x: float, y: float, text: str, *, color: str = "$muted", size: int = 12, **more: Any) -> dict:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"color": color, "size": size}, **more}


def thin(count: int, most: int = MOST_POINTS) -> slice:
    """Every so many, such that at most `most` are left."""
    return slice(None, None, max(1, -(-count // most)))


def peaks(x: Sequence, y: Sequence, most: int = 600) -> tuple[list, list]:
    """A long line made short that keeps its peaks: the largest value of each stretch.

    >>> peaks([0, 1, 2, 3], [1.0, 5.0, None, 2.0], most=2)
    ([1, 3], [5.0, 2.0])
    """
    if len(y) <= most:
        return list(x), list(y)
    width = -(-len(y) // most)
    top = [
        max(range(i, min(i + width, len(y))), key=lambda k: -math.inf if y[k] is None else y[k])
        for i in range(0, len(y), width)
    ]
    return [x[k] for k in top], [y[k] for k in top]


def rounded(value: Any) -> Any:
    """Floats to six digits, what is not finite to None: a figure is for the eye, and JSON knows no NaN."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def resolve(value: Any, palette: dict[str, str] = LIGHT) -> Any:
    """Tokens to colors, as the page does when it draws.

    >>> resolve({"color": "$blue/20"})
    {'color': 'rgba(31,111,176,0.2)'}
    """
    if isinstance(value, dict):
        return {key: resolve(item, palette) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, palette) for item in value]
    if isinstance(value, str) and value.startswith("$"):
        name, _, percent = value[1:].partition("/")
        color = palette[name]
        if not percent:
            return color
        r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({r},{g},{b},{float(percent) / 100:g})"
    return value


BASE = {
    "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", "size": 13, "color": "$ink"},
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "margin": {"l": 12, "r": 14, "t": 14, "b": 12},
    "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12},
               "itemclick": "toggle", "bgcolor": "rgba(0,0,0,0)"},
    "hovermode": "closest", "hoverlabel": {"bgcolor": "$card", "bordercolor": "$line", "font": {"color": "$ink", "size": 12}},
    "colorway": list(SERIES), "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "$gray", "activecolor": "$ink"},
}  # fmt: skip
