"""The cures that are safe: those that a finding carries as data, applied to copies, each told in words.

Safe means: the reading is single and the other frames bear it out. What a person must decide (which of two labels is right,
whether a short contact is meant) stays and is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ase import Atoms

from adiabat.data.gate.finding import Finding
from adiabat.data.structure import labeled, labels

WORDS = {"leave out": "left out", "strip record": "settings record removed", "reorder stress": "stress components put in order"}


class Cured(NamedTuple):
    """The frames that are left, the places they had, what was done, and what was not."""

    frames: list[Atoms]
    kept: list[int]
    done: list[str]
    open: list[Finding]


def cure(frames: Sequence[Atoms], findings: Sequence[Finding]) -> Cured:
    """Apply every remedy; a frame that is left out is not mended as well.

    >>> from adiabat.data.gate import check
    >>> h2 = labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), energy=-31.7, forces=[[0, 0, 0.1], [0, 0, -0.1]])
    >>> told = cure([h2, h2], check([h2, h2]))
    >>> len(told.frames), told.done
    (1, ['duplicates: 1 frame left out (1)'])
    """
    out: set[int] = set()
    done, open_ = [], []
    for f in findings:
        if f.remedy is not None and f.remedy[0] == "leave out":
            out |= set(f.frames)
            done.append(f"{f.name}: {_frames(f.frames)} left out ({', '.join(map(str, f.frames))})")
    mended = {k: atoms for k, atoms in enumerate(frames) if k not in out}
    for f in findings:
        if f.remedy is None:
            open_ += [f] if f.grade != "note" else []
        elif f.remedy[0] != "leave out":
            where = [k for k in (f.frames or mended) if k in mended]
            for k in where:
                mended[k] = _mend(mended[k], *f.remedy)
            what = WORDS.get(f.remedy[0]) or ", ".join(f"{name} times {x:.6g}" for name, x in f.remedy[1].items())
            done.append(f"{f.name}: {what} in {_frames(where)}")
    return Cured(list(mended.values()), list(mended), done, open_)


def _mend(atoms: Atoms, what: str, how) -> Atoms:
    if what == "strip record":
        atoms = labeled(atoms, **labels(atoms))
        del atoms.info["adiabat"]
        return atoms
    known = labels(atoms)
    if what == "scale":
        known = {name: value * how.get(name, 1.0) for name, value in known.items()}
    elif "stress" in known:
        known["stress"] = known["stress"][list(how)]
    return labeled(atoms, **known)


def _frames(ks: Sequence[int]) -> str:
    return f"{len(ks)} frame{'s' * (len(ks) != 1)}"
