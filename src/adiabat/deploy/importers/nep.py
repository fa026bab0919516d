"""Neuroevolution potentials in GPUMD's `nep.txt`: NEP3, NEP4 and NEP5, with or without ZBL.

A network's answer to no neighbors at all, less its bias, is the energy of a lone atom; here that is a reference energy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import torch

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import SYMBOLS
from adiabat.models import NEP, NEPZBL
from adiabat.models.nep import PRODUCTS
from adiabat.potential import Model, Potential, ReferenceEnergies
from adiabat.typing import Float, Tensor

PEER = "GPUMD"
FILES = "a text beginning with nep3, nep4 or nep5 (nep.txt)"

KINDS = ("nep3", "nep3_zbl", "nep4", "nep4_zbl", "nep5", "nep5_zbl")
HEAVIEST = 94


def recognizes(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return re.match(rb"nep\d", file.read(8)) is not None


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    lines = Lines(path)
    kind, *names = lines.words()
    if kind not in KINDS:
        lines.refuse(f"{kind} is not supported; known are {', '.join(KINDS)}")
    version = int(kind[3])
    if len(names) < 2 or names[0] != str(len(names) - 1):
        lines.refuse(f"wanted {kind}, the number of elements and so many symbols")
    names = names[1:]
    if len(set(names)) < len(names) or not set(names) <= set(SYMBOLS[1 : HEAVIEST + 1]):
        lines.refuse(f"{' '.join(names)} are no elements, each once, up to {SYMBOLS[HEAVIEST]}")
    agreed(path, names, elements)
    zbl = lines.reals("zbl", 2, 3) if kind.endswith("_zbl") else None
    cutoffs = _cutoffs(lines, names)
    n_max, basis_size = lines.wholes("n_max", 2), lines.wholes("basis_size", 2)
    l_max, products = _angular(lines)
    neuron, second = lines.wholes("ANN", 2)
    if second or not neuron:
        lines.refuse(f"ANN {neuron} {second} is not supported; known is one hidden layer, ANN neurons 0")

    fewest = neuron + sum((n + 1) * (k + 1) for n, k in zip(n_max, basis_size, strict=True)) * len(names) ** 2
    if fewest > len(lines.lines) + 1_000_000:  # before so much memory is filled
        lines.refuse(
            f"the settings make {fewest} numbers and more, the file has {len(lines.lines)} lines; it is cut short or damaged"
        )

    try:
        model = NEP(
            elements=names, cutoff=cutoffs[0][0], angular_cutoff=cutoffs[0][1], n_max=n_max, basis_size=basis_size, l_max=l_max,
            products=products, neuron=neuron, version=3 if version == 3 else 4,
            cutoffs=None if len(set(cutoffs)) == 1 else {s: list(own) for s, own in zip(names, cutoffs, strict=True)},
        ).double()  # fmt: skip
    except ValueError as error:
        raise ForeignModelError(f"{path}: {error}") from None
    order = [(model.elements or ()).index(SYMBOLS.index(s)) for s in names]
    energies = _networks(lines, model, version, order)
    _fill(model, lines, n_max, basis_size, order)
    terms: list[Model] = [ReferenceEnergies(dict(zip(names, energies, strict=True))), model]
    if zbl is not None:
        terms.append(_wall(lines, zbl, names))
    lines.end()
    return Potential(*terms)


def _cutoffs(lines: Lines, names: Sequence[str]) -> list[tuple[float, float]]:
    """[radial, angular] of each element; the last two numbers of the line are sizes of GPUMD's lists."""
    found = lines.reals("cutoff", 4, 2 * len(names) + 2)
    if len(found) not in (4, 2 * len(names) + 2):
        lines.refuse(f"cutoff wants 4 numbers, or two an element and two more; {len(found)} came")
    own = [(a, b) for a, b in zip(found[:-2:2], found[1:-2:2], strict=True)]
    return own if len(own) == len(names) else own * len(names)


def _angular(lines: Lines) -> tuple[int, list[str]]:
    """l_max and the products: `l_max 4 2 1` in older files (2 for l = 2 of four bodies, 1 for l = 1 of five), else flags of 0 and 1."""
    l_max, *flags = lines.wholes("l_max", 3, 1 + len(PRODUCTS))
    if flags[0] == 2:
        flags = [1, *flags[1:2]]
    if not all(flag in (0, 1) for flag in flags):
        lines.refuse(
            f"l_max {l_max} {' '.join(map(str, flags))} is not supported; after l_max are flags of 0 and 1, or 2 first"
        )
    return l_max, [name for name, flag in zip(PRODUCTS, flags) if flag]


@torch.no_grad()
def _networks(lines: Lines, model: NEP, version: int, order: Sequence[int]) -> list[float]:
    """Fills the networks; the energies of lone atoms (eV), as the elements stand in the file."""
    lone = []
    for kind in order if version > 3 else [0]:
        network = model.networks[kind]
        weight = network.hidden.weight
        weight.copy_(lines.numbers("w0", weight.numel()).view_as(weight))
        network.hidden.bias.copy_(-lines.numbers("b0", len(weight)))
        network.out.weight.copy_(lines.numbers("w1", len(weight))[None])
        own = float(lines.numbers("b1 of the element", 1)) if version == 5 else 0.0
        lone.append(float(network(torch.zeros(1, weight.shape[1], dtype=torch.float64))[0]) - own)
    bias = float(lines.numbers("b1", 1))
    return [energy - bias for energy in (lone if version > 3 else lone * len(order))]


@torch.no_grad()
def _fill(model: NEP, lines: Lines, n_max: Sequence[int], basis_size: Sequence[int], order: Sequence[int]) -> None:
    """The coefficients c [n, k, center, neighbor] of both kinds of functions, and the scale."""
    Z = len(order)
    place = torch.tensor(order)
    for name, to, n, k in zip(("radial", "angular"), (model.radial, model.angular), n_max, basis_size, strict=True):
        c = lines.numbers(f"{name} descriptor", (n + 1) * (k + 1) * Z * Z).view(n + 1, k + 1, Z, Z)
        to[place[:, None], :, place] = c.permute(2, 3, 0, 1)
    model.scale.copy_(lines.numbers("scale", len(model.scale)))


def _wall(lines: Lines, zbl: Sequence[float], names: Sequence[str]) -> NEPZBL:
    pairs = None
    if list(zbl[:2]) == [0, 0]:
        both = [f"{a}-{b}" for k, a in enumerate(names) for b in names[k:]]
        pairs = {pair: lines.numbers(f"zbl of {pair}", 10).tolist() for pair in both}
    elif not 0 <= zbl[0] < zbl[1]:
        lines.refuse(f"zbl {zbl[0]:g} {zbl[1]:g}: wanted 0 ≤ inner < outer")
    factor = zbl[2] if len(zbl) == 3 and pairs is None else None
    try:
        return NEPZBL(zbl[0], zbl[1], list(names), factor, pairs)
    except ValueError as error:
        raise ForeignModelError(f"{lines.path}: {error}") from None


class Lines:
    """The lines of the file, one after the other: keywords with their values, then one number a line."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            self.lines = path.read_text("ascii").splitlines()
        except UnicodeDecodeError as error:
            raise ForeignModelError(f"{path}: no text, or a damaged one ({error})") from None

    def refuse(self, why: str) -> NoReturn:
        raise ForeignModelError(f"{self.path}, line {self.at}: {why}")

    def words(self) -> list[str]:
        self.at += 1
        found = self.lines[self.at - 1].split() if self.at <= len(self.lines) else []
        if not found:
            self.refuse("the line is empty or missing; the file is cut short or damaged")
        return found

    def reals(self, keyword: str, fewest: int, most: int) -> list[float]:
        """The numbers behind a keyword."""
        found, *values = self.words()
        if found != keyword:
            self.refuse(f"{found!r} came; wanted {keyword}")
        if not fewest <= len(values) <= max(fewest, most):
            self.refuse(f"{keyword} wants {fewest} numbers or more; {len(values)} came")
        return [self._number(keyword, value) for value in values]

    def wholes(self, keyword: str, fewest: int, most: int = 0) -> list[int]:
        values = self.reals(keyword, fewest, most)
        if not all(x == int(x) and x >= 0 for x in values):
            self.refuse(f"{keyword} wants whole numbers")
        return [int(x) for x in values]

    def numbers(self, what: str, count: int) -> Float[Tensor, " n"]:
        """So many numbers, one a line."""
        return torch.tensor(list(self._column(what, count)), dtype=torch.float64)

    def _column(self, what: str, count: int) -> Iterator[float]:
        for k in range(count):
            if self.at >= len(self.lines):
                self.at += 1
                self.refuse(f"the file ends at number {k} of {count} of {what}; it is cut short")
            words = self.words()
            if len(words) != 1:
                self.refuse(f"{' '.join(words)!r} came; wanted one number, {k + 1} of {count} of {what}")
            yield self._number(what, words[0])

    def end(self) -> None:
        rest = [line for line in self.lines[self.at :] if line.strip()]
        if rest:
            self.at += 1
            self.refuse(f"{len(rest)} more lines than the model has numbers; the file is damaged, or of a kind not known here")

    def _number(self, what: str, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            self.refuse(f"{what}: {word!r} is no number")
        return value
