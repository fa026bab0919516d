"""Sampling as a run: structures in, more structures out, for a reference engine to label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.analysis import harmonic_frequencies
from adiabat.build import BUILDERS
from adiabat.campaign.frames import Source, read_all
from adiabat.config import ConfigError, build, checked, find, named
from adiabat.data.formats import write
from adiabat.deploy.load import load
from adiabat.labelers import LABELERS
from adiabat.samplers import SAMPLERS
from adiabat.uncertainty import Committee

Say = Callable[[str, str, dict[str, Any]], None]
# Options that the run supplies itself.
GIVEN = {"rng": None, "atoms": None, "potential": None, "vibrations": None, "guards": None, "stop_if": None}


def sample(
    *,
    structures: Source | list[Source],
    draw: list[dict[str, Any]],
    out: str,
    forces: dict[str, Any] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    say: Say | None = None,
) -> dict[str, Any]:
    """Draw structures from each of `structures` in every way that `draw` lists; returns the summary.

    `draw` is a list of ``{name: options}``, names of `build` (rattle, strain) and `samplers` (md, normal_modes). Those that follow
    forces need `forces`: ``{model: file}``, or ``{labeler: {tblite: {}}}`` for a cheap engine. The same seed draws the same structures.
    """
    say = say or (lambda *_: None)
    known: dict[str, Any] = dict(BUILDERS) | dict(SAMPLERS)
    if not draw:
        raise ConfigError(
            f"draw: nothing to draw; wanted a list such as [{{rattle: {{count: 20}}}}]; known: {', '.join(known)}"
        )
    asked = [named(spec, where=f"draw[{k}]") for k, spec in enumerate(draw)]
    ways = [(name, _options(name, options, known, f"draw[{k}]")) for k, (name, options) in enumerate(asked)]
    moved = [name for name, _ in ways if name in SAMPLERS]
    potential = _potential(forces) if moved else None
    if Path(out).exists() and not overwrite:
        raise FileExistsError(f"{out}: exists already; choose another name, or overwrite: true")
    starts = [_bare(a) for a in read_all(structures, where="structures")[0]]
    found: list[Atoms] = []
    counts: dict[str, int] = {}
    for k, (name, options) in enumerate(ways):
        for s, atoms in enumerate(starts):
            rng = np.random.default_rng([seed, k, s])
            fresh = list(known[name](atoms, *_needed(name, atoms, potential), **options, rng=rng))
            if name == "md":
                for step, frame in enumerate(fresh):  # so that neighbors in time stay on one side of a split
                    frame.info.update(trajectory=f"{Path(out).stem} {k}.{s}", step=step)
            found += fresh
            counts[name] = counts.get(name, 0) + len(fresh)
            say(
                "sample", f"{name}: {counts[name]} structures", {"done": k * len(starts) + s + 1, "of": len(ways) * len(starts)}
            )
    path = write(out, found, overwrite=overwrite)
    return {"structures": len(found), "by_way": counts, "out": str(path)}


def _options(name: str, options: Mapping[str, Any], known: Mapping[str, Any], where: str) -> dict[str, Any]:
    make = find(name, known, where=where)
    if callable(options.get("temperature_K")):
        raise ConfigError(f"{where}.{name}.temperature_K: wanted a number")
    return checked(make, options, where=f"{where}.{name}", given=GIVEN)


def _potential(forces: Mapping[str, Any] | None) -> Any:
    if not forces or len(forces) != 1 or next(iter(forces)) not in ("model", "labeler"):
        raise ConfigError("forces: wanted {model: FILE} or {labeler: {tblite: {}}}; md and normal_modes follow forces")
    [(source, what)] = forces.items()
    if source == "model":
        potential = load(what)
        return potential.without_spread if isinstance(potential, Committee) else potential
    from adiabat.campaign.workshop import EnginePotential

    return EnginePotential(build(what, LABELERS, where="forces.labeler"))


def _needed(name: str, atoms: Atoms, potential: Any) -> tuple[Any, ...]:
    """What a way of drawing wants besides the structure and its options."""
    if name == "md":
        return (potential,)
    if name == "normal_modes":
        return (harmonic_frequencies(atoms, lambda frames: _forces(potential, frames)),)
    return ()


def _forces(potential: Any, frames: Sequence[Atoms]) -> list[np.ndarray]:
    from adiabat.graph import Graph

    return [potential(Graph.of(a, potential.cutoff)).forces.numpy(force=True) for a in frames]


def _bare(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = None
    copy.info.pop("adiabat", None)
    return copy
