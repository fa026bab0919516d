"""The physics of a crystal with a finished potential, beside the reference engine's own: lattice, elasticity, stress, hot structure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.analysis import Quantity, rdf
from adiabat.build import rattle, strain, supercell
from adiabat.campaign.measures import drift_of, frames_of, production_runs, temperature_of, trajectory
from adiabat.campaign.options import Campaign, Solid
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop
from adiabat.data.structure import labels
from adiabat.deploy.load import load
from adiabat.dynamics import State, relax
from adiabat.labelers import LabelError
from adiabat.properties import Answer, Ask, by_potential, elastic_constants, equation_of_state, stress_check
from adiabat.uncertainty import Committee

SHOWN = ("lattice_constant", "bulk_modulus", "C11", "C12", "C44")
NAMES = {"lattice_constant": "lattice constant", "bulk_modulus": "bulk modulus"}


def measure(shop: Workshop, story: Story, c: Campaign, model: Path, atoms: Atoms) -> dict[str, Any]:
    """Everything about a crystal; numbers for the summary, tiles, and the frames that were labeled for them."""
    potential = load(model)
    assert isinstance(potential, Committee)
    labeled: list[Atoms] = []
    reference = by_labels(shop, atoms, labeled)
    told = shop.stage("md-properties", lambda: _with_errors(potential, atoms, c.solid))
    shop.say("elastic", "lattice constant, bulk modulus, elastic constants and stress by the reference engine")
    own, unknown = _own(atoms, reference, c.solid)
    rows = compared(told["values"], own)
    stressed = all("stress" in labels(a) for a in labeled)
    checks = _stress_checks(potential, reference if stressed else None, atoms, c)
    failed = [
        f"the {who} has no such crystal: {why}" for who, why in (("model", told["failed"]), ("reference", unknown)) if why
    ]
    if own and not stressed:
        failed.append("the reference gives no stress: its elastic constants and the check of its stress are left out")
    story.crystal(rows, checks, c.solid, failed)
    for why in failed:
        shop.say("elastic", why)
    for row in rows:
        ours, theirs = ("–" if row[who] is None else f"{row[who]:.4g}" for who in ("model", "reference"))
        shop.say("elastic", f"{row['name']}: {ours} {row['unit']}, reference {theirs}")

    cell = supercell(atoms, c.measure.supercell)
    start = relax(State.of(cell, potential.without_spread), potential.without_spread, fmax=0.002).state.to_atoms()[0]
    nve, nvt = shop.stage("md", lambda: production_runs(shop, c.measure, model, start, c.seed))
    drift, temperature = drift_of(nve, len(start), c.measure), temperature_of(nvt)
    story.nve(nve, drift, c.measure, n_atoms=len(start))
    story.nvt(nvt, temperature, c.measure)
    story.trajectory(shop.folder.path("trajectories/nvt.npz"), c.measure)
    shop.say(
        "nve",
        f"drift {drift.value:.2g} ± {drift.error:.2g} meV/atom/ns over {c.measure.replicas} replicas of {len(start)} atoms",
    )
    story.rdf(_structure(shop, c), c.measure)
    return {
        "drift": drift.to_json(), "temperature": temperature.to_json(), "labeled": labeled,
        "properties": {row["name"]: {k: row[k] for k in row if k != "name"} for row in rows}, "stress_check": checks,
        "tiles": [_tile(row) for row in rows],
    }  # fmt: skip


def crystal_of(atoms: Atoms, ask: Ask, options: Solid) -> dict[str, Quantity]:
    """Lattice constant and bulk modulus from the equation of state, elastic constants at that very lattice.

    The former need energies alone. Who answers without stress has no elastic constants here: no label is spent on them.
    """
    answers: list[Answer] = []

    def heard(frames: Sequence[Atoms]) -> list[Answer]:
        answers.extend(ask(frames))
        return answers[-len(frames) :]

    state = equation_of_state(atoms, heard, largest=options.eos_strain, points=options.eos_points)
    if not all(np.isfinite(answer.stress).all() for answer in answers):
        return {k: q for k, q in state.quantities().items() if k in SHOWN}
    relaxed = atoms.copy()
    relaxed.set_cell(atoms.cell.array * state.scale.value, scale_atoms=True)
    elastic = elastic_constants(
        relaxed, ask, largest=options.elastic_strain, steps=options.elastic_steps, fmax=options.fmax_eV_per_angstrom
    )
    found = {**state.quantities(), **{k: q for k, q in elastic.quantities().items() if k.startswith("C")}}
    return {k: q for k, q in found.items() if k in SHOWN or k.startswith("C")}


def by_labels(shop: Workshop, atoms: Atoms, kept: list[Atoms]) -> Ask:
    """The reference engine as who is asked: labels through the ledger, with the grid of the unstrained cell for all strained ones."""
    labeler = shop.labeler.pinned(atoms)

    def ask(frames: Sequence[Atoms]) -> list[Answer]:
        found = shop.label(list(frames), "elasticity", keep=False, labeler=labeler)
        if len(found) < len(frames):
            raise LabelError(
                f"{labeler.name}: {len(frames) - len(found)} of {len(frames)} strained cells could not be labeled",
                "not_converged",
                "look at the run's log; all of them are needed",
            )
        kept.extend(found)
        return [_answer(a) for a in found]

    return ask


def compared(model: dict[str, Any], reference: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table: model and reference with their errors, and how far apart they are in percent."""
    rows = []
    nothing = {"value": None, "error": None}
    for name in [*reference, *(name for name in model if name not in reference)]:
        m, r = model.get(name, nothing), reference.get(name, nothing)
        unit = (reference.get(name) or model[name])["unit"]
        known = m["value"] is not None and r["value"]
        rows.append(
            {
                "name": NAMES.get(name, name), "unit": unit, "model": m["value"], "model_error": m["error"],
                "reference": r["value"], "reference_error": r["error"],
                "difference_percent": 100 * (m["value"] / r["value"] - 1) if known else None,
            }
        )  # fmt: skip
    return rows


def _own(atoms: Atoms, reference: Ask, options: Solid) -> tuple[dict[str, Any], str | None]:
    """The reference engine's own crystal; why there is none, where the structure given is far from its minimum.

    Labels cost hours and the potential is trained: that is told in the report, and no end of the campaign.
    """
    try:
        return {name: q.to_json() for name, q in crystal_of(atoms, reference, options).items()}, None
    except ValueError as error:
        return {}, str(error)


def _with_errors(potential: Committee, atoms: Atoms, options: Solid) -> dict[str, Any]:
    """The committee's mean potential, with the spread of its members' own answers as the error; why not, where it has no crystal there.

    A potential may be too poor to have a minimum near the engine's: that is a result, and no end of the campaign.
    """
    try:
        mean = crystal_of(atoms, by_potential(potential), options)
    except ValueError as error:
        return {"values": {}, "failed": str(error)}
    each: list[dict[str, Quantity]] = []
    for m in range(potential.size):
        with suppress(ValueError):
            each.append(crystal_of(atoms, by_potential(potential.member(m).eval()), options))
    found = {}
    for name, q in mean.items():
        told = [e[name].value for e in each if name in e]
        # A member that has no such crystal is a doubt that no number can say.
        doubt = float(np.std(told, ddof=1)) if len(told) == potential.size else float("nan")
        found[name] = Quantity(q.value, doubt, q.unit).to_json()
    return {"values": found, "failed": None}


def _stress_checks(potential: Committee, reference: Ask | None, atoms: Atoms, c: Campaign) -> dict[str, Any]:
    """One strained and rattled cell: is the stress the slope of the energy, for the model and for an engine that has one?"""
    rng = np.random.default_rng([c.seed, 77])
    [cell] = strain(atoms, 1, largest=c.start.strain_largest, rng=rng)
    [frame] = rattle(cell, 1, sigma_angstrom=c.start.rattle_angstrom, rng=rng)
    own = stress_check(frame, by_potential(potential))
    if reference is None:
        return {"model": own.to_json()}
    engine = stress_check(frame, reference, strain=c.solid.stress_strain, components=(0, 3))
    return {"model": own.to_json(), "reference": engine.to_json()}


def _structure(shop: Workshop, c: Campaign) -> dict[str, Any]:
    """g(r) of the NVT run."""
    path = shop.folder.path("trajectories/nvt.npz")
    _, positions = trajectory(path)
    samples, replicas = positions.shape[:2]
    picks = [
        (t, r)
        for t in np.linspace(samples // 5, samples - 1, max(1, 80 // replicas)).astype(int).tolist()
        for r in range(replicas)
    ]
    found = rdf(frames_of(path, picks), cutoff=c.solid.rdf_cutoff_angstrom, bins=120)
    return {"r": found.r, "g": found.g, "error": found.error, "coordination": found.coordination}


def _answer(atoms: Atoms) -> Answer:
    """Stress is NaN where the engine has none: the equation of state asks for energies alone."""
    known = labels(atoms)
    s = np.asarray(known.get("stress", np.full(6, np.nan)), float)
    if s.shape == (6,):
        s = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
    return Answer(float(known["energy"]), np.asarray(known["forces"]), s)


def _tile(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{row['name'][0].upper()}{row['name'][1:]}, model − reference",
        "value": row["difference_percent"],
        "unit": "%",
    }
