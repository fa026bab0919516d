"""QM9 (xyz): small organic molecules at their minima. Its U0 holds the zero-point energy; the label is U0 − zpve, and there are no forces."""

from __future__ import annotations

import re
from pathlib import Path

from adiabat.data.datasets.card import Card, Frames
from adiabat.data.engines.calculation import opened
from adiabat.data.labels import factors
from adiabat.elements import number as atomic_number

NAME = "QM9 (xyz)"
CARD = Card(
    "QM9", "B3LYP/6-31G(2df,p) (Gaussian)", "as stated at its page",
    "Ramakrishnan et al., Sci. Data 1, 140022 (2014), doi 10.1038/sdata.2014.22", "https://doi.org/10.6084/m9.figshare.c.978904",
)  # fmt: skip
# after the tag and the index, in the order of the set's readme
PROPERTIES = "A B C mu alpha homo lumo gap r2 zpve U0 U H G Cv".split()


def recognizes(path: Path, head: bytes) -> bool:
    return bool(re.match(rb"\s*\d+\s*\r?\ngdb \d+\s", head))


def read(path: Path) -> Frames:
    """One molecule a file, or many after another."""
    frames = Frames(path, CARD, factors({"energy": "hartree"}, path))
    with opened(path) as file:
        lines = iter(file)
        number = 0
        for line in lines:
            if not line.strip():
                continue
            n = int(line)
            words = next(lines, "").split()
            atoms = [next(lines, "").split() for _ in range(n)]
            rest = [next(lines, "") for _ in range(3)]  # frequencies, SMILES, InChI
            if len(words) != 2 + len(PROPERTIES) or any(len(a) < 4 for a in atoms) or not rest[2].strip():
                frames.drop(number, "the file is cut inside this molecule", "fetch it again")
                break
            told = dict(zip(PROPERTIES, map(_float, words[2:])))
            places = [[_float(w) for w in a[1:4]] for a in atoms]
            info = {"qm9_index": int(words[1]), "smiles": rest[1].split()[-1]}
            frames.add(number, {"energy": told["U0"] - told["zpve"]}, [atomic_number(a[0]) for a in atoms], places, info=info)
            number += 1
    return frames


def _float(word: str) -> float:
    """Mathematica's exponents.

    >>> _float("1.5*^-6")
    1.5e-06
    """
    return float(word.replace("*^", "e"))
