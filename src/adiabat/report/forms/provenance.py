"""What was checked, with what software, on whose work."""

# ruff: noqa: RUF012 - a default is copied for every form
from __future__ import annotations

from typing import Literal

from adiabat.report.forms.base import Form, Number


class Finding(Form):
    name: str
    grade: Literal["fault", "warning", "note"]
    message: str
    frames: list[int] = []
    cure: str | None = None
    value: float | None = None  # in the unit the message names


class DataGate(Form):
    """As in `adiabat check --json`."""

    n_structures: int | None = None
    findings: list[Finding] = []


class Check(Form):
    """As in `adiabat gate --json`: one object a quantity."""

    value: Number = None
    unit: str = ""
    error: Number = None
    target: Number = None
    verdict: Literal["pass", "fail", "undetermined", "waived", "not run"]
    message: str | None = None


class ModelGate(Form):
    checks: dict[str, Check]


class Versions(Form):
    software: dict[str, str]
    machine: dict[str, str] = {}


class Citation(Form):
    key: str
    text: str
    doi: str | None = None
    bibtex: str | None = None


class Citations(Form):
    """`used`: keys of `report.citations.WORKS`; `more`: works of the run's own."""

    used: list[str] = []
    more: list[Citation] = []
