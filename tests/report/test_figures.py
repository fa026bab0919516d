"""Figures: valid in Plotly's own eyes, with units at their axes, light enough for a page."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from adiabat.report.figures import FIGURES
from adiabat.report.figures.physics import canonical
from adiabat.report.figures.theme import DARK, LIGHT, log_axis, peaks, resolve
from adiabat.report.picture import draw
from adiabat.report.record import SECTIONS, plain
from report.water import sections, write_run


def figures(name, content=None):
    return FIGURES[name](SECTIONS[name].model_validate(plain(content or sections()[name])))


@pytest.mark.parametrize("name", FIGURES)
def test_plotly_accepts_the_figure(name):
    drawn = figures(name)
    assert drawn
    for figure in drawn:
        spec = json.loads(json.dumps(figure.spec(), allow_nan=False))
        go.Figure({"data": resolve(spec["data"]), "layout": resolve(spec["layout"], DARK)})
        assert "$" not in json.dumps(resolve(spec))


@pytest.mark.parametrize("name", FIGURES)
def test_axes_say_their_unit(name):
    without = ("number of labels", "epoch", "round", "loss", "promised coverage", "measured coverage", "")
    for figure in figures(name):
        titles = [axis["title"]["text"] for key, axis in figure.layout.items() if key.startswith(("xaxis", "yaxis"))]
        assert titles
        assert all(title in without or ("(" in title and title.endswith(")")) for title in titles), titles
        assert len(figure.caption) > 40


def test_a_large_set_makes_a_light_figure():
    rng = np.random.default_rng(0)
    force = rng.normal(size=300_000)
    big = {"sets": {"test": {"force_reference_eV_per_A": force, "force_model_eV_per_A": force + 0.01}}}
    [figure] = figures("parity", big)
    assert max(len(trace["x"]) for trace in figure.traces) <= 4000
    assert "10 meV/Å" in figure.caption


@pytest.mark.parametrize(("name", "content"), [
    ("learning_curve", {"labels": [], "test_force_mae_meV_per_A": []}),
    ("learning_curve", {"labels": [8], "test_force_mae_meV_per_A": [0.0]}),
    ("parity", {"sets": {}}),
    ("parity", {"sets": {"test": {"energy_reference_eV_per_atom": [-3.0], "energy_model_eV_per_atom": [-3.0]}}}),
    ("uncertainty", {"spread_meV_per_A": [0.0, None], "error_meV_per_A": [1.0, 2.0]}),
    ("nve", {"time_ps": [], "energy_meV_per_atom": []}),
    ("nve", {"time_ps": [0.0], "energy_meV_per_atom": [[0.0]], "slopes_meV_per_atom_per_ns": [0.0]}),
    ("nvt", {"time_ps": [0.0], "temperature_K": [[300.0]], "target_K": 300, "degrees_of_freedom": 6}),
    ("exploration", {"stages": []}),
    ("exploration", {"stages": [{"temperature_K": None, "time_fs": [0.0], "spread_meV_per_A": [[None]]}]}),
    ("rounds", {"rounds": [{"round": 1}]}),
    ("training", {"curves": [{"name": "m", "epoch": [1], "loss": [None]}]}),
    ("time_budget", {"stages": []}),
    ("label_cost", {"rows": []}),
    ("vibrations", {"modes": []}),
])  # fmt: skip
def test_the_smallest_data_draws_or_is_left_out(name, content):
    for figure in figures(name, content):
        go.Figure(resolve({k: v for k, v in figure.spec().items() if k != "height"}))


def test_the_canonical_law_is_a_density_with_the_right_mean():
    T, f = np.linspace(1e-3, 6000, 60_001), 6
    p = np.array([canonical(t, 300.0, f) for t in T])
    assert np.trapezoid(p, T) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(p * T, T) == pytest.approx(300, abs=1e-3)
    assert np.trapezoid(p * (T - 300) ** 2, T) == pytest.approx(2 * 300**2 / f, rel=1e-5)  # var T = 2T²/f


def test_peaks_are_kept_when_a_line_is_thinned():
    rng = np.random.default_rng(1)
    y = list(rng.random(5000))
    y[3217] = 9.0
    x, thinned = peaks(list(range(5000)), y, most=100)
    assert len(x) <= 100
    assert (3217, 9.0) in zip(x, thinned, strict=True)


def test_a_logarithmic_axis_has_ticks_inside_its_range():
    for values in ([3.0], [0.1, 4000.0], [None, 0.0], [1e-6, 2e-6]):
        axis = log_axis("x (y)", values)
        low, high = axis["range"]
        assert len(axis["tickvals"]) >= 2
        assert all(low <= np.log10(t) <= high for t in axis["tickvals"])


def luminance(color: str) -> float:
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize("color", ["ink", "muted", "blue", "good", "bad"])
def test_words_stand_out_from_the_page(palette, color):
    """WCAG 2 AA: contrast of 4.5 for text."""
    for ground in ("page", "card"):
        a, b = sorted((luminance(palette[color]), luminance(palette[ground])))
        assert (b + 0.05) / (a + 0.05) >= 4.5


def test_the_picture_is_drawn_from_what_there_is(tmp_path):
    picture = draw(write_run(tmp_path / "run"))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert draw(write_run(tmp_path / "part", only=["parity"]), tmp_path / "a.png").exists()
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(write_run(tmp_path / "none", only=["versions"]))
