"""Structures in three dimensions: what the page's viewer is given, and a still picture of each, for paper and where a browser has no WebGL.

The viewer is 3Dmol.js (Rego and Koes, Bioinformatics 31, 1322 (2015)), which lies in `vendor/` with its licence and goes into the page whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors

from adiabat.report.forms import Structures, View

SIDE = 300  # of a still picture, in its own units
BOND = 1.2  # two atoms nearer than this many times the sum of their covalent radii are joined by a line
EDGES = [(a, a | b) for a in range(8) for b in (1, 2, 4) if not a & b]


@dataclass
class Drawn:
    """A view as the template wants it: words, the still picture, and the frames for the script."""

    name: str
    note: str
    summary: str
    still: str
    content: dict[str, Any]


def viewer() -> str:
    """The viewer's source, its licence before it."""
    folder = resources.files("adiabat.report") / "vendor"
    licence = (folder / "LICENSE-3Dmol.txt").read_text(encoding="utf-8")
    return f"/*!\n{licence}\n*/\n" + (folder / "3Dmol-min.js").read_text(encoding="utf-8")


def views(data: Structures) -> list[Drawn]:
    return [drawn for view in data.views if (drawn := _drawn(view))]


def _drawn(view: View) -> Drawn | None:
    first, turn, frames = view.frames[0], None, []
    for frame in view.frames:
        places, cell = np.array(frame.positions_A, float), np.array(frame.cell_A or first.cell_A or np.empty((0, 3)), float)
        if not (np.isfinite(places).all() and np.isfinite(cell).all()):
            continue
        turn = _turn(places, len(cell) > 0) if turn is None else turn  # one for all: a trajectory is seen from one place
        frames.append({
            "symbols": frame.symbols or first.symbols, "label": frame.label,
            "positions": (places @ turn.T).round(3).tolist(), "box": (_corners(cell) @ turn.T).round(3).tolist(),
        })  # fmt: skip
    if not frames:
        return None
    counted = f"{len(first.symbols)} atom{'s' * (len(first.symbols) != 1)}"
    summary = f"{view.name}: {counted}{f', {len(frames)} frames' if len(frames) > 1 else ''}"
    return Drawn(view.name, view.note or "", summary, _still(frames[0]), {"name": view.name, "frames": frames, "edges": EDGES})


def _turn(positions: np.ndarray, crystal: bool) -> np.ndarray:
    """The rotation from which a structure is looked at: a crystal a little from above, a molecule with its widest plane to the reader."""
    if crystal:
        y, x = np.radians(-25), np.radians(15)
        around_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        return np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]) @ around_y
    _, _, axes = np.linalg.svd(positions - positions.mean(0))
    # One hand is kept: a mirrored molecule would be another one.
    return axes * np.array([1, 1, np.linalg.det(axes)])[:, None]


def _corners(cell: np.ndarray) -> np.ndarray:
    """The eight corners; the binary digits of a corner's number say which lattice vectors lead to it."""
    return np.array([[(k >> a) & 1 for a in range(3)] for k in range(8)]) @ cell if len(cell) else cell


def _still(frame: dict[str, Any]) -> str:
    """An SVG, parallel projection along z, what is behind drawn first."""
    z = np.array([atomic_numbers[s] for s in frame["symbols"]])
    atoms, box = np.array(frame["positions"]), np.array(frame["box"]).reshape(-1, 3)
    everything = np.vstack([atoms, box])
    middle = (everything.min(0) + everything.max(0)) / 2
    scale = 0.9 * SIDE / max(np.ptp(everything[:, :2], axis=0).max() + 1.0, 3.0)
    atoms, box = ((points - middle) * scale * [1, -1, 1] + [SIDE / 2, SIDE / 2, 0] for points in (atoms, box))
    radii = covalent_radii[z] * scale
    parts: list[tuple[float, str]] = []
    for a, b in EDGES if len(box) else ():
        depth = min(box[a, 2], box[b, 2])
        parts.append((depth, f'<path d="M{_at(box[a])}L{_at(box[b])}" stroke="var(--line)"/>'))
    d = np.linalg.norm(atoms[:, None] - atoms[None], axis=-1)
    near = np.triu(d < BOND * (radii[:, None] + radii[None]), 1)
    for i, j in zip(*np.nonzero(near), strict=True):
        depth, width = min(atoms[i, 2], atoms[j, 2]) - 0.01, max(1.0, 0.18 * scale)
        parts.append((depth, f'<path d="M{_at(atoms[i])}L{_at(atoms[j])}" stroke="var(--muted)" stroke-width="{width:.1f}"/>'))
    for i in range(len(atoms)):
        color = "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[z[i]])
        x, y = _at(atoms[i]).split()
        parts.append(
            (
                atoms[i, 2],
                f'<circle cx="{x}" cy="{y}" r="{0.25 * radii[i] + 0.18 * scale:.1f}" fill="{color}" stroke="var(--ink)" stroke-width=".7"/>',
            )
        )
    drawn = "".join(text for _, text in sorted(parts, key=lambda part: part[0]))
    return f'<svg class="still" viewBox="0 0 {SIDE} {SIDE}" fill="none" aria-hidden="true">{drawn}</svg>'


def _at(point: np.ndarray) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
