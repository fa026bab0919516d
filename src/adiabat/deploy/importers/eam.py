"""EAM potentials in LAMMPS's text formats: funcfl (`.eam`, one element), setfl (`.eam.alloy`, `.alloy`, `.set`), eam/fs (`.eam.fs`, `.fs`).

What a file gives a lone atom, F(0), becomes its reference energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.models import EAM
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.typing import Tensor

PEER = "LAMMPS-EAM"
FILES = ".eam (funcfl), .alloy, .set, .eam.alloy (setfl), .fs, .eam.fs (Finnis–Sinclair)"

ENDS = {".alloy": "setfl", ".set": "setfl", ".setfl": "setfl", ".fs": "fs", ".eam": "funcfl", ".funcfl": "funcfl"}
HARTREE_BOHR = 27.2 * 0.529  # eV Å as LAMMPS has them where a file tabulates an effective charge


def recognizes(path: Path) -> bool:
    return path.is_file() and path.suffix in ENDS


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    kind = ENDS[path.suffix]
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()  # comments may be in anything
    names, steps, F, rho, pair = _funcfl(path, lines) if kind == "funcfl" else _setfl(path, lines, kind == "fs")
    agreed(path, names, elements)
    dr, drho, cutoff = steps
    if not (dr > 0 and drho > 0 and cutoff > 0):
        raise ForeignModelError(f"{path}: steps {dr:g} Å and {drho:g}, cutoff {cutoff:g} Å; wanted positive numbers")
    model = EAM(cutoff=cutoff, dr=dr, drho=drho, points=[F.shape[1], rho.shape[2]], elements=names).double()
    order = [(model.elements or ()).index(atomic_numbers([name])[0]) for name in names]
    place = torch.tensor(order)
    model.embedding[place] = F
    model.density[place[:, None], place] = rho
    model.pair[place[:, None], place] = pair
    lone = {symbol(z): float(e) for z, e in zip(model.elements or (), model.embedding[:, 0], strict=True)}
    return Potential(ReferenceEnergies(lone), model)


def _funcfl(path: Path, lines: list[str]) -> tuple[list[str], tuple[float, float, float], Tensor, Tensor, Tensor]:
    """Title; Z and mass; nrho drho nr dr cutoff; F, effective charge z(r), ρ(r), where r φ = 27.2 · 0.529 z²."""
    z = _words(path, lines, 1, 2, "atomic number and mass")
    n_rho, drho, n, dr, cutoff = _words(path, lines, 2, 5, "nrho drho nr dr cutoff")
    numbers = _numbers(path, lines, 3, len(lines))
    F, charge, rho = (
        _take(path, numbers, count, what)
        for count, what in ((_count(path, n_rho), "F"), (_count(path, n), "Z"), (_count(path, n), "ρ"))
    )
    _nothing_left(path, numbers)
    number = int(_real(path, z[0], "the atomic number"))
    if not 1 <= number <= 118:
        raise ForeignModelError(f"{path}: atomic number {z[0]} came")
    steps = _real(path, dr, "dr"), _real(path, drho, "drho"), _real(path, cutoff, "cutoff")
    return [symbol(number)], steps, F[None], rho[None, None], HARTREE_BOHR * charge.square()[None, None]


def _setfl(
    path: Path, lines: list[str], finnis_sinclair: bool
) -> tuple[list[str], tuple[float, float, float], Tensor, Tensor, Tensor]:
    """Three comments; elements; nrho drho nr dr cutoff; an element: Z mass a lattice, F, ρ (to every element: fs); r φ of i ≥ j."""
    if len(lines) < 5:
        raise ForeignModelError(f"{path}: {len(lines)} lines; the file is cut short")
    count, *names = lines[3].split() or [""]
    if not count.isdigit() or int(count) != len(names) or not names:
        raise ForeignModelError(f"{path}, line 4: {lines[3]!r} came; wanted the number of elements and their names")
    try:
        atomic_numbers(names)
    except ValueError as error:
        raise ForeignModelError(f"{path}, line 4: {error}") from None
    agreed(path, names, None)
    n_rho_word, drho, n_word, dr, cutoff = _words(path, lines, 4, 5, "nrho drho nr dr cutoff")
    n_rho, n, Z = _count(path, n_rho_word), _count(path, n_word), len(names)
    F, rho, pair = torch.zeros(Z, n_rho).double(), torch.zeros(Z, Z, n).double(), torch.zeros(Z, Z, n).double()
    numbers = _numbers(path, lines, 5, len(lines))
    for a, name in enumerate(names):
        head = [next(numbers, "") for _ in range(4)]
        if not head[3]:
            raise ForeignModelError(f"{path}: it ends before {name}; the file is cut short")
        if not head[0].isdigit():
            raise ForeignModelError(
                f"{path}: {' '.join(head)!r} came before {name}; wanted atomic number, mass, lattice constant, lattice"
            )
        # LAMMPS reads past this number; where it is another element's, names or tables are in the wrong order.
        if 0 < int(head[0]) < 119 and symbol(int(head[0])) != name:
            raise ForeignModelError(
                f"{path}: atomic number {head[0]} stands over the tables of {name}; line 4 says {', '.join(names)}"
            )
        F[a] = _take(path, numbers, n_rho, f"F of {name}")
        if finnis_sinclair:
            for b in range(Z):
                rho[a, b] = _take(path, numbers, n, f"ρ of {name} at {names[b]}")
        else:
            rho[a] = _take(path, numbers, n, f"ρ of {name}")
    for a in range(Z):
        for b in range(a + 1):
            pair[a, b] = pair[b, a] = _take(path, numbers, n, f"r φ of {names[a]} and {names[b]}")
    _nothing_left(path, numbers)
    return names, (_real(path, dr, "dr"), _real(path, drho, "drho"), _real(path, cutoff, "cutoff")), F, rho, pair


def _words(path: Path, lines: list[str], number: int, least: int, what: str) -> list[str]:
    words = lines[number].split() if number < len(lines) else []
    if len(words) < least:
        raise ForeignModelError(f"{path}, line {number + 1}: {' '.join(words)!r} came; wanted {what}")
    return words[:least]  # comments may follow


def _numbers(path: Path, lines: list[str], begin: int, end: int) -> Iterator[str]:
    return (word for line in lines[begin:end] for word in line.split())


def _take(path: Path, words: Iterator[str], n: int, what: str) -> Tensor:
    found = []
    for k in range(n):
        word = next(words, None)
        if word is None:
            raise ForeignModelError(f"{path}: {what} has {k} of {n} numbers; the file is cut short or of another format")
        found.append(_real(path, word, what))
    return torch.tensor(found, dtype=torch.float64)


def _nothing_left(path: Path, words: Iterator[str]) -> None:
    if (word := next(words, None)) is not None:
        raise ForeignModelError(f"{path}: {word!r} stands behind the last table; the file is damaged or of another format")


def _real(path: Path, word: str, what: str) -> float:
    try:
        value = float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ForeignModelError(f"{path}: {what}: {word!r} is no number")
    return value


def _count(path: Path, word: str) -> int:
    if not word.isdigit() or not 4 <= int(word) <= 10_000_000:
        raise ForeignModelError(f"{path}: a table of {word!r} points; wanted at least 4")
    return int(word)
