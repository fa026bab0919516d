"""What a potential frozen into one C call looks like from outside, whatever it computes.

A model says what it computes by a `Program`: whitelisted operations and their tensors. The program's type chooses its evaluator,
which rearranges the tensors once and compiles the operations together: a call costs no tensor operation and needs no torch inside.
"""

from __future__ import annotations

import ctypes
import resource
from typing import NamedTuple, Protocol

import numpy as np


class Evaluation(NamedTuple):
    """eV and Å, float64."""

    energies: np.ndarray  # N
    forces: np.ndarray  # N 3
    strain: np.ndarray  # S 3 3, ∂E/∂ε


class Lists:
    """A topology as compiled code reads it: 64-bit integers in arrays that are whole, and where they lie."""

    def __init__(self, first: np.ndarray, j: np.ndarray, species: np.ndarray, structure: np.ndarray) -> None:
        self.kept = [np.ascontiguousarray(x, np.int64) for x in (first, j, species, structure)]
        self.atoms, self.edges, self.structure = len(species), len(j), self.kept[3]
        self.addresses = [x.ctypes.data for x in self.kept]

    def __reduce__(self) -> tuple:
        return Lists, tuple(self.kept)  # a copy lies elsewhere


class Evaluate(Protocol):
    """A program made ready to be called, by several threads at once if they like."""

    elements: np.ndarray  # atomic numbers, ascending: what `species` counts in
    known_as: tuple[int, ...]  # the same, by which a topology remembers its lists

    def __call__(
        self,
        first: np.ndarray,
        j: np.ndarray,
        species: np.ndarray,
        structure: np.ndarray,
        r: np.ndarray,
        *,
        structures: int,
        threads: int = 1,
    ) -> Evaluation:
        """`first` [N + 1] row pointers, `j` [E] neighbors, `species` [N] indices into `elements`, `r` [E, 3] edge vectors (Å)."""

    def on(self, lists: Lists, r: np.ndarray, *, structures: int, threads: int = 1) -> Evaluation:
        """The same for lists that are ready: a molecule feels what it costs to make them ready."""


class Program(Protocol):
    """What an evaluator is made from; a frozen dataclass. Per-atom energies are less a lone atom's of the same species."""

    @property
    def elements(self) -> tuple[int, ...]: ...
    @property
    def cutoff(self) -> float: ...

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""

    def times(self, eV: float) -> Program:
        """The same in other units."""

    def evaluator(self) -> Evaluate:
        """What computes it."""


FAULTS = (
    "the row pointers do not span the edges",
    "an element is unknown to the model",
    "an atom belongs to no structure",
    "a neighbor is out of range",
    "an edge is not a number: look at the positions and the cell",
    "two atoms lie at one place; remove one of them",
    "no memory is left; evaluate fewer atoms at once",
)


def refuse(fault: int) -> None:
    """What compiled code says was wrong, in words."""
    if fault:
        raise (MemoryError if fault == len(FAULTS) else ValueError)(f"evaluator: {FAULTS[fault - 1]}")


MUCH = 1 << 28  # bytes: less is never worth a question


class Input(ctypes.Structure):
    """`struct Input` of walk.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in "atoms edges structures threads".split()] + [
        (name, ctypes.c_void_p) for name in "first j species structure r energies forces strain".split()
    ]


class Compiled:
    """An evaluator whose library exports `make`, `drop` and `evaluate` as in walk.h.

    What a call works in is kept for the next one. There are as many such workspaces as calls have run at the same time: two
    threads never share one.
    """

    def __init__(
        self, library: ctypes.CDLL, elements: tuple[int, ...], kept: object, needs: tuple[int, int], *arguments: object
    ) -> None:
        """`arguments` are what `make` takes after the pointer to the lone atoms' energies; they may point into `kept`. A workspace
        takes `needs` bytes, an atom and an edge."""
        self.library, self.elements, self.kept, self.needs = library, np.array(elements), kept, needs
        self.known_as = tuple(elements)
        self.granted = MUCH
        library.make.restype = ctypes.c_void_p
        library.drop.argtypes = [ctypes.c_void_p]
        library.evaluate.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.arguments = arguments
        self.free: list[int] = []  # workspaces nobody works in; list operations are whole, so threads need no lock
        Z = len(elements)
        self.lone = np.zeros(Z)
        nothing = np.zeros(0, np.int64)
        lone = self(np.zeros(Z + 1, np.int64), nothing, np.arange(Z), np.zeros(Z, np.int64), np.zeros((0, 3)), structures=1)
        self.lone[:] = lone.energies

    def __call__(
        self,
        first: np.ndarray,
        j: np.ndarray,
        species: np.ndarray,
        structure: np.ndarray,
        r: np.ndarray,
        *,
        structures: int,
        threads: int = 1,
    ) -> Evaluation:
        N, E = len(species), len(j)
        if len(first) != N + 1 or len(structure) != N or np.shape(r) != (E, 3):
            raise ValueError(
                f"evaluator: {len(first)} row pointers, {len(structure)} structures of atoms and edge vectors {np.shape(r)} "
                f"came; wanted {N + 1}, {N} and {(E, 3)}"
            )
        self.grant(N, E)  # before anything is copied
        return self.on(Lists(first, j, species, structure), r, structures=structures, threads=threads)

    def on(self, lists: Lists, r: np.ndarray, *, structures: int, threads: int = 1) -> Evaluation:
        N, E = lists.atoms, lists.edges
        if np.shape(r) != (E, 3):
            raise ValueError(f"evaluator: edge vectors {np.shape(r)} came; wanted {(E, 3)}")
        self.grant(N, E)
        r = np.ascontiguousarray(r, np.float64)
        out = np.empty(4 * N + 9 * structures)
        at = out.ctypes.data
        given = Input(
            N, E, structures, max(1, threads), *lists.addresses, r.ctypes.data, at, at + 8 * N, at + 32 * N
        )  # fmt: skip
        workspace = self.workspace()
        try:
            fault = self.library.evaluate(workspace, ctypes.byref(given))
        finally:
            self.free.append(workspace)
        refuse(fault)
        return Evaluation(out[:N], out[N : 4 * N].reshape(N, 3), out[4 * N :].reshape(structures, 3, 3))

    def grant(self, atoms: int, edges: int) -> None:
        """Refuse what memory cannot hold: the system would grant it, and end the process when it is touched."""
        wanted = atoms * self.needs[0] + edges * self.needs[1]
        if wanted <= self.granted:
            return
        if wanted > (left := _memory_left()):
            raise MemoryError(
                f"evaluator: {atoms} atoms and {edges} edges need {wanted / 1e9:.2f} GB to work in, {left / 1e9:.2f} GB are left; "
                "evaluate fewer atoms at once, or on a machine with more memory"
            )
        self.granted = wanted

    def workspace(self) -> int:
        """One that nobody works in; whoever is done appends it to `free`."""
        try:
            return self.free.pop()
        except IndexError:
            made = self.library.make(ctypes.c_void_p(self.lone.ctypes.data), *self.arguments)
            if not made:
                raise MemoryError(f"evaluator: {FAULTS[-1]}") from None
            return made

    def __del__(self) -> None:
        for workspace in getattr(self, "free", ()):
            self.library.drop(workspace)


def _memory_left() -> float:
    """Bytes this process may still take: what the system has, and what its limit of address space leaves."""
    left = float("inf")
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            left = next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", encoding="ascii") as file:
                left = min(left, limit - resource.getpagesize() * int(file.read().split()[0]))
    except (OSError, StopIteration):
        pass  # the allocation itself will tell
    return left
