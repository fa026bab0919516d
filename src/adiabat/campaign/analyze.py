"""What a trajectory tells: distributions, g(r), wandering, drift, each number with its unit and its error.

One function a quantity, `ANALYSES` lists them; each takes a `Trajectory` and gives the object of `adiabat analyze --json`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units

from adiabat import analysis
from adiabat.campaign.frames import read_all
from adiabat.config import find
from adiabat.data.structure import fixed_atoms, labels
from adiabat.report.record import plain

# Of the kinetic energy's variation: that of a conserved total, made by the timestep, is far below; under a heat bath it is above.
SHARED = 0.3


@dataclass(frozen=True)
class Trajectory:
    """Frames in order, and the time between them (fs), where it is known."""

    frames: Sequence[Atoms]
    interval_fs: float | None
    cutoff: float
    bond: float | None  # Å, the longest distance that counts as one; None: 1.3 times the sum of covalent radii
    of: Sequence[str] = ()  # whose wandering: elements, or "all" for all atoms together; none: every element

    def interval(self, what: str) -> float:
        if self.interval_fs is None:
            raise ValueError(f"{what}: the frames do not tell their time (info time_fs); give it with --interval-fs")
        return self.interval_fs

    def velocities(self, what: str) -> np.ndarray:
        """[T, N, 3] in Å/fs."""
        if not all(a.has("momenta") for a in self.frames):
            raise ValueError(
                f"{what}: the frames have no velocities; wanted a trajectory with momenta, such as `adiabat md` writes"
            )
        return np.array([a.get_velocities() * units.fs for a in self.frames])

    def walks(self) -> list[tuple[str, np.ndarray]]:
        """Unwrapped positions by name, element or "all": kinds wander differently. Seen from the center of mass, unless atoms are held."""
        unwrapped = analysis.unwrap(self.frames)
        if len(self.frames[0]) > 1 and not fixed_atoms(self.frames[0]):
            unwrapped = analysis.without_drift(unwrapped, self.frames[0].get_masses())
        symbols = np.array(self.frames[0].symbols)
        names = self.of or self.symbols
        for name in names:
            if name != "all" and name not in self.symbols:
                raise ValueError(f"of: no atom of {name!r} in the trajectory; wanted {', '.join(self.symbols)} or all")
        return [(name, unwrapped if name == "all" else unwrapped[:, symbols == name]) for name in names]

    @property
    def symbols(self) -> list[str]:
        return sorted({str(s) for s in self.frames[0].symbols})


def analyze(
    path: str,
    what: Sequence[str],
    *,
    interval_fs: float | None = None,
    cutoff: float | None = None,
    skip: int = 0,
    of: Sequence[str] = (),
) -> dict[str, Any]:
    """The wanted quantities of a trajectory file, its first `skip` frames left out.

    msd and diffusion are those of each element, or of the elements (and "all") named in `of`.
    """
    for name in what:
        find(name, ANALYSES, where="what")
    frames = read_all(path, where="trajectory")[0][skip:]
    if len(frames) < 2:
        raise ValueError(f"{path}: {len(frames)} frames came after leaving out {skip}; wanted at least two")
    if len({len(a) for a in frames}) > 1:
        raise ValueError(f"{path}: the frames have different numbers of atoms; wanted one trajectory of one system")
    trajectory = Trajectory(frames, interval_fs or _interval(frames), cutoff or _cutoff(frames[0]), cutoff, of)
    return plain({name: ANALYSES[name](trajectory) for name in what})


def drift(t: Trajectory) -> Mapping[str, Any]:
    """Of what should be conserved: the total energy, less what a heat bath brought in, where the frames tell that."""
    potential, kinetic = _energies(t.frames)
    times = np.arange(len(t.frames)) * t.interval("drift")
    told = _told(t.frames, "conserved_eV")
    if told is None:
        if potential is None or kinetic is None:
            raise ValueError(
                "drift: the frames have neither info conserved_eV nor energy and velocities; use the file `adiabat md` wrote"
            )
        if (wiggle := _wiggle(potential + kinetic)) > SHARED * (own := _wiggle(kinetic)):
            raise ValueError(
                f"drift: the total energy of the frames varies by {wiggle:.3g} eV, their kinetic energy by {own:.3g} eV: it is not "
                "conserved, as under a thermostat, and they do not tell what that brought in (info conserved_eV). Wanted a run at "
                "constant energy (adiabat md --ensemble nve), or what `adiabat md` wrote; of this one ask for others (--what temperature)"
            )
        told = potential + kinetic
    bath = False
    if potential is not None and kinetic is not None:
        bath = bool(np.ptp(told - potential - kinetic) > 1e-6 * np.ptp(kinetic))  # but for rounding
    return analysis.energy_drift(told, times, len(t.frames[0]), bath=bath).to_json()


def temperature(t: Trajectory) -> Mapping[str, Any]:
    if (told := _told(t.frames, "temperature_K")) is not None:
        return analysis.mean(told, "K").to_json()
    v = t.velocities("temperature")
    masses, x = t.frames[0].get_masses(), t.frames[0].positions
    drifts = np.abs(masses @ v[0]).max() > 1e-6 * np.abs(masses[:, None] * v[0]).sum()
    arms = np.cross(x - masses @ x / masses.sum(), masses[:, None] * v[0])
    turns = bool(t.frames[0].pbc.any()) or np.abs(arms.sum(0)).max() > 1e-6 * np.abs(arms).sum()
    freedom = analysis.degrees_of_freedom(x, masses, momentum_removed=not drifts, rotation_removed=not turns)
    if held := fixed_atoms(t.frames[0]):  # they have no temperature, and take up the others' momentum
        freedom = 3 * (len(x) - len(held))
    return analysis.mean(np.array(analysis.temperature_K(analysis.kinetic_energy(v, masses), freedom)), "K").to_json()


def rdf(t: Trajectory) -> Mapping[str, Any]:
    found = {}
    for pair in [None, *itertools.combinations_with_replacement(t.symbols, 2)] if len(t.symbols) > 1 else [None]:
        if pair is not None and any((np.array(t.frames[0].symbols) == s).sum() < 1 + (pair[0] == pair[1]) for s in pair):
            continue
        g = analysis.rdf(t.frames, cutoff=t.cutoff, elements=pair)
        name = "all" if pair is None else "-".join(pair)
        found[name] = {
            "value": g.first_peak,
            "unit": "Å",
            "r_A": g.r,
            "g": g.g,
            "error": g.error,
            "coordination": g.coordination,
        }
    return _one_or_all(found)


def msd(t: Trajectory) -> Mapping[str, Any]:
    times = np.arange(len(t.frames)) * t.interval("msd")
    curves = {name: analysis.mean_square_displacement(r) for name, r in t.walks()}
    return _one_or_all({k: {"value": c[-1], "unit": "Å²", "time_fs": times, "msd_A2": c} for k, c in curves.items()})


def diffusion(t: Trajectory) -> Mapping[str, Any]:
    interval = t.interval("diffusion")
    return _one_or_all({name: analysis.diffusion_coefficient(r, interval).to_json() for name, r in t.walks()})


def distances(t: Trajectory) -> Mapping[str, Any]:
    pairs = list(itertools.combinations_with_replacement(t.symbols, 2))
    return _histograms({"-".join(p): analysis.distances(t.frames, p, cutoff=t.bond) for p in pairs}, "Å", 0.02)


def angles(t: Trajectory) -> Mapping[str, Any]:
    ends = list(itertools.combinations_with_replacement(t.symbols, 2))
    triples = [(a, vertex, b) for vertex in t.symbols for a, b in ends]
    return _histograms({"-".join(x): analysis.angles(t.frames, x, cutoff=t.bond) for x in triples}, "degree", 1.0)


def spectrum(t: Trajectory) -> Mapping[str, Any]:
    """The velocities' power spectrum, weighted by mass."""
    found = analysis.power_spectrum(t.velocities("spectrum"), t.interval("spectrum"), t.frames[0].get_masses())
    return {"value": found.peak_per_cm, "unit": "1/cm", **vars(found)}


def vacf(t: Trajectory) -> Mapping[str, Any]:
    curve = analysis.velocity_autocorrelation(t.velocities("vacf"), t.frames[0].get_masses())
    return {"unit": "1", "time_fs": np.arange(len(curve)) * t.interval("vacf"), "vacf": curve}


ANALYSES: dict[str, Callable[[Trajectory], Mapping[str, Any]]] = {
    f.__name__: f for f in (drift, temperature, distances, angles, rdf, msd, diffusion, vacf, spectrum)
}


def told(name: str, result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of a table for people: quantity, value with its error and unit, verdict."""
    if "unit" not in result:
        return [row for key, inner in result.items() for row in told(f"{name} {key}", inner)]
    name = f"{name} {result['of']}" if "of" in result else name
    value, error = result.get("value"), result.get("error")
    text = "a curve" if value is None else f"{value:.5g}" + (f" ± {error:.2g}" if isinstance(error, float) else "")
    return [(name, f"{text} {result['unit']}".strip(), str(result.get("verdict") or ""))]


def _one_or_all(found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of one curve its object, which says whose it is; of several one a name."""
    if len(found) > 1:
        return found
    [(name, result)] = found.items()
    return {**result, "of": name}


def _histograms(samples: Mapping[str, Any], unit: str, width: float) -> dict[str, Any]:
    found = {}
    for name, values in samples.items():
        everything = np.concatenate(values)
        if not len(everything):
            continue
        low, high = np.floor(everything.min() / width) * width, (np.ceil(everything.max() / width) + 1) * width
        edges = np.arange(low, high + width / 2, width)
        block = max(1, len(values) // 20)
        h = analysis.histogram(values, edges, rng=np.random.default_rng(0), unit=unit, block=block)
        means = np.array([v.mean() for v in values if len(v)])
        found[name] = {**analysis.mean(means, unit).to_json(), "x": h.centers, "density": h.density, "density_error": h.error}
    if not found:
        raise ValueError(
            "no bond in any frame: atoms are further apart than 1.3 times the sum of covalent radii; give --cutoff-angstrom"
        )
    return found


def _energies(frames: Sequence[Atoms]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Potential and kinetic energies, eV; None where not all frames have them."""
    potential, kinetic = _told(frames, "potential_eV"), _told(frames, "kinetic_eV")
    energies = [labels(a).get("energy") for a in frames]
    if potential is None and all(e is not None for e in energies):
        potential = np.array(energies, float)
    if kinetic is None and all(a.has("momenta") for a in frames):
        kinetic = np.array([a.get_kinetic_energy() for a in frames])
    return potential, kinetic


def _told(frames: Sequence[Atoms], name: str) -> np.ndarray | None:
    """A number that every frame says of itself."""
    numbers = [a.info.get(name) for a in frames]
    return np.array(numbers, float) if all(isinstance(x, int | float) for x in numbers) else None


def _wiggle(energies: np.ndarray) -> float:
    """How far they stray from a straight line, rms."""
    t = np.arange(len(energies)) - (len(energies) - 1) / 2
    away = energies - energies.mean()
    return float(np.sqrt(np.mean((away - t * (t @ away) / (t @ t)) ** 2)))


def _interval(frames: Sequence[Atoms]) -> float | None:
    times = [a.info.get("time_fs") for a in frames]
    if any(t is None for t in times):
        return None
    steps = np.diff(np.array(times, float))
    if not np.allclose(steps, steps[0], rtol=1e-6):
        raise ValueError("the frames are not evenly spaced in time (info time_fs); give one trajectory, or --interval-fs")
    return float(steps[0])


def _cutoff(atoms: Atoms) -> float:
    """Half the shortest height of the cell: as far as one image reaches."""
    if atoms.cell.rank < 3:
        return 6.0
    heights = atoms.get_volume() / np.linalg.norm(np.cross(atoms.cell.array[[1, 2, 0]], atoms.cell.array[[2, 0, 1]]), axis=1)
    return float(max(heights.min() / 2, 3.0))
