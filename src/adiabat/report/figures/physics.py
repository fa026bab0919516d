"""What it predicts: distributions and spectra against the reference, energy conservation, temperature."""

from __future__ import annotations

import math
from html import escape
from itertools import zip_longest

from adiabat.report import forms
from adiabat.report.figures.accuracy import known
from adiabat.report.figures.theme import MODEL, REFERENCE, Figure, axis, band, line, points, thin
from adiabat.report.reading import measured


def distributions(data: forms.Distributions) -> list[Figure]:
    figures = []
    for k, d in enumerate(data.distributions):
        traces = []
        if d.reference and d.reference_error:
            traces.append(band(d.x, d.reference, d.reference_error, "", REFERENCE))
        if d.reference:
            name = data.reference + (" ± error" if d.reference_error else "")
            traces.append(line(d.x, d.reference, name, REFERENCE, hovertemplate=f"%{{x:.3f}} {d.unit}: %{{y:.3g}}"))
        if d.model and d.model_error:
            traces.append(band(d.x, d.model, d.model_error, "", MODEL))
        if d.model:
            traces.append(line(d.x, d.model, "model", MODEL, dash="dash" if d.reference else "solid", width=2.4,
                               hovertemplate=f"%{{x:.3f}} {d.unit}: %{{y:.3g}}"))  # fmt: skip
        if not traces:
            continue
        means = [
            f"{who} mean {measured(value, error, d.unit)}"
            for who, value, error in (("model", d.model_mean, d.model_mean_error),
                                      (data.reference, d.reference_mean, d.reference_mean_error))
            if value is not None
        ]  # fmt: skip
        caption = "The dashed model line should stay inside the reference's band."
        caption += f" {'; '.join(means)[0].upper()}{'; '.join(means)[1:]}." if means else ""
        layout = {
            "xaxis": axis(f"{escape(d.name)} ({escape(d.unit)})"),
            "yaxis": axis(f"probability density (1/{d.unit})", rangemode="tozero"),
        }
        figures.append(Figure(f"distribution-{k}", d.name, traces, layout, caption, height=330))
    return figures


def rdf(data: forms.RDF) -> list[Figure]:
    if not known(data.g):
        return []
    traces = [band(data.r, data.g, data.error, "", MODEL)] if known(data.error) else []
    traces.append(line(data.r, data.g, "model", MODEL, width=2.4, hovertemplate="%{x:.2f} Å: %{y:.3g}"))
    layout = {"xaxis": axis("r (Å)"), "yaxis": axis("g(r)", rangemode="tozero")}
    caption = "Peaks at the crystal's shells, as wide as the atoms swing; a liquid would have lost the far ones."
    return [Figure("rdf", "Radial distribution", traces, layout, caption)]


def nve(data: forms.NVE) -> list[Figure]:
    """Total energy along constant-energy runs, and the slope of each replica with their mean ± 2σ."""
    step, lines = thin(len(data.time_ps), 400), [r for r in data.energy_meV_per_atom if known(r)]
    figures = []
    if lines:
        x = data.time_ps[step]
        traces = [
            line(x, r[step], "one replica" if k == 0 else "", "$gray/30", width=1, hoverinfo="skip")
            for k, r in enumerate(lines)
        ]
        columns = [known(column) for column in zip_longest(*(r[step] for r in lines))]
        average = [sum(c) / len(c) if c else None for c in columns]
        traces.append(
            line(x, average, f"mean of {len(lines)}", MODEL, width=2.4, hovertemplate="%{x:.2f} ps: %{y:.4g} meV/atom")
        )
        caption = (
            "Total energy along runs at constant energy. Good is a band that stays level: a slope is energy that the forces or the "
            "timestep make or lose."
        )
        layout = {"xaxis": axis("time (ps)"), "yaxis": axis("E(t) − E(0) (meV/atom)")}
        figures.append(Figure("nve-energy", "Total energy, NVE", traces, layout, caption))
    slopes, mid, sigma = (
        known(data.slopes_meV_per_atom_per_ns),
        data.slope_meV_per_atom_per_ns,
        data.slope_error_meV_per_atom_per_ns,
    )
    if slopes:
        order = [((0.618034 * k) % 1.0 - 0.5) * 0.5 for k in range(len(slopes))]
        traces = [points(slopes, order, "replica", "$gray", size=7, hovertemplate="%{x:.3g} meV/atom/ns")]
        if mid is not None:
            bars = {"type": "data", "array": [2 * sigma], "color": MODEL, "thickness": 2.4, "width": 9} if sigma else {}
            traces.append(points([mid], [0], "mean ± 2σ", MODEL, size=12, symbol="diamond", error_x=bars,
                                 hovertemplate="%{x:.3g} meV/atom/ns"))  # fmt: skip
        target = data.target_meV_per_atom_per_ns
        reach = 1.15 * max([abs(v) for v in slopes] + [target or 0, abs(mid or 0) + 2 * (sigma or 0)])
        shapes = [vertical(0, "$muted", "solid")] + (
            [vertical(s * target, "$orange", "dash") for s in (-1, 1)] if target else []
        )
        layout = {
            "xaxis": axis("slope of the energy (meV/atom/ns)", range=[-reach, reach]), "shapes": shapes,
            "yaxis": axis("", range=[-0.6, 0.6], showticklabels=False, ticks="", showgrid=False, showline=False),
        }  # fmt: skip
        caption = "One dot a replica. Zero should lie within the mean ± 2σ" + (
            f", and the whole bar between the dashed lines (±{target:g} meV/atom/ns)." if target else ".")  # fmt: skip
        if data.advice:
            caption += f" {data.advice}"
        figures.append(Figure("nve-slopes", "Energy drift", traces, layout, caption))
    return figures


def nvt(data: forms.NVT) -> list[Figure]:
    """Temperature against time with its running mean, and its histogram against the canonical law."""
    replicas = [r for r in data.temperature_K if known(r)]
    if not replicas:
        return []
    step, first = thin(len(data.time_ps), 800), replicas[0]
    total, count, running = 0.0, 0, []
    for column in zip_longest(*replicas):
        total, count = total + sum(known(column)), count + len(known(column))
        running.append(total / count if count else None)
    traces = [
        line(data.time_ps[step], first[step], "one replica, instantaneous", "$gray/50", width=1, hoverinfo="skip"),
        line(data.time_ps[step], running[step], "running mean", MODEL, width=2.6, hovertemplate="%{x:.2f} ps: %{y:.1f} K"),
    ]
    if data.target_K is not None:
        ends, name = [data.time_ps[0], data.time_ps[-1]], f"thermostat, {data.target_K:g} K"
        traces.append(line(ends, [data.target_K] * 2, name, REFERENCE, dash="dash", hoverinfo="skip"))
    layout = {"xaxis": axis("time (ps)"), "yaxis": axis("temperature (K)", rangemode="tozero")}
    caption = "The running mean should settle on the thermostat's temperature; few atoms fluctuate widely, and must."
    if data.mean_K is not None:
        caption += f" Mean {measured(data.mean_K, data.error_K, 'K')}."
    figures = [Figure("nvt-time", "Temperature, NVT", traces, layout, caption)]
    f, values = data.degrees_of_freedom, [v for r in replicas for v in known(r)]
    if f and data.target_K and len(values) >= 50:
        top = max(values)
        bins = max(12, min(60, round(len(values) ** (1 / 3) * 2)))
        counts = [0] * bins
        for v in values:
            counts[min(bins - 1, max(0, int(v / top * bins)))] += 1
        centers = [(k + 0.5) * top / bins for k in range(bins)]
        x = [top * (k + 0.5) / 300 for k in range(300)]
        traces = [
            {"type": "bar", "x": centers, "y": [c / len(values) * bins / top for c in counts], "name": "model", "hoverinfo": "skip",
             "marker": {"color": "$blue/35", "line": {"width": 0}}},
            line(x, [canonical(T, data.target_K, f) for T in x], f"canonical law, {f} degrees of freedom", REFERENCE, hoverinfo="skip"),
        ]  # fmt: skip
        layout = {
            "xaxis": axis("temperature (K)"),
            "yaxis": axis("probability density (1/K)", rangemode="tozero"),
            "bargap": 0.04,
        }
        caption = (
            "Kinetic temperature has a known law at equilibrium (a gamma distribution with f/2): the bars should follow it. "
            "A miscounted degree of freedom or a lazy thermostat shows here first."
        )
        figures.append(Figure("nvt-law", "Does it sample the canonical ensemble?", traces, layout, caption))
    return figures


def vibrations(data: forms.Vibrations) -> list[Figure]:
    modes = [m for m in data.modes if m.model_per_cm is not None and m.reference_per_cm is not None]
    if not modes:
        return []
    difference = [m.model_per_cm - m.reference_per_cm for m in modes]
    traces = [{
        "type": "bar", "orientation": "h", "y": [escape(m.name) for m in modes], "x": difference, "showlegend": False,
        "marker": {"color": MODEL}, "width": 0.5, "text": [f"{d:+.1f}".replace("-", "−") for d in difference], "textposition": "outside",
        "cliponaxis": False, "textfont": {"color": "$muted"}, "hovertemplate": "%{y}: %{x:+.1f} cm⁻¹<extra></extra>",
    }]  # fmt: skip
    reach = 1.5 * max(1.0, *map(abs, difference))
    layout = {
        "xaxis": axis("model − reference (cm⁻¹)", range=[-reach, reach]), "shapes": [vertical(0, "$muted", "solid")],
        "yaxis": axis("", autorange="reversed", showgrid=False, ticks="", type="category"),
    }  # fmt: skip
    caption = f"Short bars are good. Harmonic frequencies at each one's own minimum; largest difference {max(map(abs, difference)):.1f} cm⁻¹."
    return [Figure("vibrations", "Frequency differences", traces, layout, caption, height=130 + 34 * len(modes))]


def canonical(T: float, target: float, f: int) -> float:
    """p(T) of the kinetic temperature of f degrees of freedom: 2K/kT₀ = f T/T₀ follows χ²_f.

    >>> round(canonical(300.0, 300.0, 2) * 300, 4)  # f = 2: an exponential, e⁻¹
    0.3679
    """
    x = T / target * f / 2
    return math.exp((f / 2 - 1) * math.log(x) - x - math.lgamma(f / 2)) * f / (2 * target)


def vertical(x: float, color: str, dash: str) -> dict:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": color, "width": 1.4, "dash": dash},
    }
