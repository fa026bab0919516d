"""How far a potential should look: minima and peaks of g(r), by kind of system.

The usual spans: metals 5–6 Å, hydrogen-bonded liquids 6–8 Å, ionic crystals 8–10 Å, molecules 4–5 Å. Within the span the first
minimum of g(r) behind the third peak is a good place: few pairs cross it, so a cutoff there costs the least.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from adiabat.data.gate.finding import Finding, Set
from adiabat.data.geometry import pairs

SPANS = {
    "metal": (5.0, 6.0),
    "hydrogen-bonded": (6.0, 8.0),
    "ionic": (8.0, 10.0),
    "molecule": (4.0, 5.0),
    "covalent": (5.0, 6.0),
}
NONMETALS = {1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 33, 34, 35, 36, 52, 53, 54}
HALIDES_AND_OXIDES = {8, 9, 16, 17, 34, 35, 53}
FRAMES, REACH, STEP = 24, 10.0, 0.05


def advice(given: Set) -> list[Finding]:
    """A note: the cutoff that fits, and what g(r) shows there."""
    frames = [a for a in given.frames if len(a) > 1]
    if not frames:
        return []
    some = frames[:: max(1, len(frames) // FRAMES)][:FRAMES]
    names = [bonding(a) for a in some]
    kind = max(set(names), key=names.count)
    low, high = SPANS[kind]
    r, g = _rdf(some)
    peaks, valleys = _turns(r, g)
    inside = [v for v in valleys if low <= v <= high]
    third = peaks[2] if len(peaks) > 2 else None
    fit = [v for v in inside if third is None or v > third] or inside
    chosen = fit[0] if fit else float(np.clip(third + 0.5 if third is not None else 0.5 * (low + high), low, high))
    told = f"g(r) has peaks at {', '.join(f'{p:.1f}' for p in peaks[:4])} Å" if peaks else "g(r) shows no peaks"
    told += f" and minima at {', '.join(f'{v:.1f}' for v in valleys[:4])} Å" if valleys else ""
    message = f"a cutoff of {chosen:.1f} Å fits this {kind} set ({low:g}–{high:g} Å are usual); {told}"
    return [Finding("cutoff", "note", [], message, "set the model's cutoff; longer costs with its cube", round(chosen, 2))]


def system(atoms: Atoms) -> str:
    """A kind by shape, for frames that state none: molecule, slab, crystal."""
    periodic = int(atoms.pbc.sum())
    return {0: "molecule" if len(atoms) < 60 else "cluster", 3: "crystal"}.get(periodic, "slab" if periodic == 2 else "wire")


def bonding(atoms: Atoms) -> str:
    """A kind by elements and periodicity."""
    numbers = set(atoms.numbers.tolist())
    if not atoms.pbc.any():
        return "molecule"
    metals = numbers - NONMETALS
    if metals and numbers & HALIDES_AND_OXIDES:
        return "ionic"
    if metals:
        return "metal"
    return "hydrogen-bonded" if 1 in numbers and numbers & {7, 8, 9} else "covalent"


def _rdf(frames: list[Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs per shell volume, smoothed over 0.1 Å, on one scale for crystals and molecules."""
    edges = np.arange(0.5, REACH + STEP, STEP)
    counts = np.zeros(len(edges) - 1)
    for atoms in frames:
        _, _, d = pairs(atoms, REACH)
        counts += np.histogram(d, edges)[0] / max(len(atoms), 1)
    r = 0.5 * (edges[1:] + edges[:-1])
    x = np.arange(-6, 7) * STEP
    kernel = np.exp(-0.5 * (x / 0.1) ** 2)
    return r, np.convolve(counts / r**2, kernel / kernel.sum(), mode="same") / len(frames)


def _turns(r: np.ndarray, g: np.ndarray) -> tuple[list[float], list[float]]:
    """Peaks and minima that stand out by a tenth of the highest peak behind the first shell."""
    from scipy.signal import find_peaks

    if not g.max() > 0:
        return [], []
    peaks = find_peaks(g, prominence=0.04 * g.max())[0]
    inner = g[: peaks[-1] + 1] if len(peaks) else g[:0]
    valleys = [int(a + np.argmin(inner[a:b])) for a, b in zip(peaks, peaks[1:])]
    return [float(r[p]) for p in peaks], [float(r[v]) for v in valleys]
