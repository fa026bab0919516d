"""Structures to be looked at: one, or frames to step through."""

# ruff: noqa: RUF012 - a default is copied for every form
from __future__ import annotations

from pydantic import model_validator

from adiabat.report.forms.base import Form, Number

MOST = 60_000  # coordinates of a report, about half a megabyte of the page: a page must stay one that can be mailed

Vector = tuple[Number, Number, Number]


class Frame(Form):
    """`symbols` and `cell_A` (rows are the lattice vectors) are left out where they are those of the view's first frame.

    A frame with a coordinate that is not known, as an exploded run leaves them, is not shown.
    """

    positions_A: list[Vector]
    symbols: list[str] = []
    cell_A: tuple[Vector, Vector, Vector] | None = None
    label: str = ""


class View(Form):
    name: str
    frames: list[Frame]
    note: str | None = None

    @model_validator(mode="after")
    def every_atom_has_an_element(self):
        if not self.frames or not self.frames[0].symbols:
            raise ValueError(f"view {self.name!r}: its first frame, with the symbols of its atoms, is missing")
        for k, frame in enumerate(self.frames):
            symbols = frame.symbols or self.frames[0].symbols
            if len(symbols) != len(frame.positions_A):
                raise ValueError(
                    f"view {self.name!r}, frame {k}: {len(symbols)} symbols for {len(frame.positions_A)} positions"
                )
        return self


class Structures(Form):
    views: list[View]

    @model_validator(mode="after")
    def they_fit_on_a_page(self):
        n = sum(3 * len(frame.positions_A) for view in self.views for frame in view.frames)
        if n > MOST:
            raise ValueError(f"{n} coordinates, {MOST} fit on a page; give fewer frames or a smaller cell")
        return self
