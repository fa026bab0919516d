"""Local terms frozen into one C call each, on the same outputs: networks on symmetry functions, pair potentials.

A `Call` is a topology and the outputs of all terms; each adds its energies, forces and strain gradients. Several members of a
committee are one evaluator: geometry and descriptors are worked out once. Small systems live by what a call costs beyond its
arithmetic: a topology's half of the `Call` is made once and kept with it, and nothing here is a tensor operation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import Environment, LocalTerm
from adiabat.typing import Float, Int, Tensor

TANH, CELU = 0, 1
ATOMS_A_THREAD = 32  # fewer are not worth waking one
LISTS = ("numbers", "first", "j", "reverse", "structure")
FAULTS = (
    "the row pointers do not span the edges",
    "an element is unknown to the model",
    "an atom belongs to no structure",
    "a neighbor or a counter-edge is out of range, or does not lead back",
    "an edge is not a number: look at the positions and the cell",
    "two atoms lie at one place; remove one of them",
    "no memory is left; evaluate fewer atoms at once",
    "more sets of sums than members; wanted one, or one a member",
)
NO_MEMORY = 7  # what compiled code says of it: FAULTS counted from one


class Topology(Protocol):
    """What of a graph is read: everything but positions and cells."""

    @property
    def numbers(self) -> Tensor: ...
    @property
    def first(self) -> Tensor: ...
    @property
    def j(self) -> Tensor: ...
    @property
    def reverse(self) -> Tensor: ...
    @property
    def structure(self) -> Tensor: ...


class Sums(NamedTuple):
    """What terms add to, eV and Å, float64; of a committee's members side by side, with a leading axis."""

    energies: Float[Tensor, "*M N"]
    energy: Float[Tensor, "*M S"]
    forces: Float[Tensor, "*M N 3"]
    strain: Float[Tensor, "*M S 3 3"]

    @classmethod
    def zero(cls, members: tuple[int, ...], atoms: int, structures: int) -> Sums:
        # For a molecule each tensor operation costs as much as the arithmetic: no views here.
        shapes = ((atoms,), (structures,), (atoms, 3), (structures, 3, 3))
        return cls(*(torch.zeros(members + shape, dtype=torch.float64) for shape in shapes))


class Edges:
    """A topology as C reads it; keeps what it points to, and what a term worked out for it."""

    def __init__(self, topology: Topology, structures: int) -> None:
        self.kept = [getattr(topology, name).detach().to(torch.int64).contiguous() for name in LISTS]
        self.numbers, self.structure = self.kept[0], self.kept[4]
        self.atoms, self.edges, self.structures = len(self.kept[0]), len(self.kept[2]), structures
        N, E = self.atoms, self.edges
        found = [len(x) for x in self.kept]
        if found != (wanted := [N, N + 1, E, E, N]):
            raise ValueError(f"evaluator: lists {LISTS} of lengths {found} came; wanted {wanted}")
        self.pointers = [x.data_ptr() for x in self.kept]
        self.known: dict = {}

    def __reduce__(self) -> tuple:
        return Edges._again, (self.kept, self.structures)  # a copy has addresses of its own

    @staticmethod
    def _again(kept: list[Tensor], structures: int) -> Edges:
        return Edges(SimpleNamespace(**dict(zip(LISTS, kept, strict=True))), structures)


class _Call(ctypes.Structure):
    """`struct Call` of call.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in "atoms edges structures threads copies".split()] + [
        (name, ctypes.c_void_p) for name in "numbers first j reverse structure r energies energy forces strain".split()
    ]


class Call:
    """One evaluation: a topology, its edge vectors (Å, float64), and the sums that terms add to."""

    def __init__(self, edges: Edges, r: Float[Tensor, "E 3"], threads: int, members: int | None = None) -> None:
        """`members`: how many sets of sums there are, one behind the other; None: one, without an axis of its own."""
        if r.shape != (edges.edges, 3) or r.dtype != torch.float64 or not r.is_contiguous():
            raise ValueError(
                f"evaluator: edge vectors {tuple(r.shape)} of {r.dtype} came; wanted {(edges.edges, 3)} of float64"
            )
        axis = () if members is None else (members,)
        self.edges, self.r, self.sums = edges, r, Sums.zero(axis, edges.atoms, edges.structures)
        # The same bits for any number of threads, so it may be chosen: one has to have some work.
        threads = max(1, min(threads, edges.atoms // ATOMS_A_THREAD))
        outs = [x.data_ptr() for x in self.sums]
        self.struct = _Call(
            edges.atoms, edges.edges, edges.structures, threads, members or 1, *edges.pointers, r.data_ptr(), *outs
        )

    def made_by(self, terms: Sequence[Adds]) -> Sums:
        """The sums after all these terms."""
        for term in terms:
            term.add(self)
        return self.sums


@runtime_checkable
class Adds(Protocol):
    """A term made ready to add its energies, forces and strain gradients to a call's sums."""

    def add(self, call: Call) -> None: ...


class LocalProgram(Protocol):
    """What such a term is made from; a frozen dataclass."""

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""

    def times(self, eV: float) -> LocalProgram:
        """The same in other units."""

    def evaluator(self) -> Adds:
        """What computes it."""


class Evaluator:
    """A compiled term; what it works in is kept for the next call, one workspace a running thread."""

    def __init__(self, spec: LocalTerm, dtype: torch.dtype, facts: ctypes.Structure, kept: list) -> None:
        self.library, self.facts, self.kept = dispatch.library(str(spec), dtype), facts, kept
        self.library.make.restype = ctypes.c_void_p
        self.library.drop.argtypes = [ctypes.c_void_p]
        self.library.evaluate.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.free: list[int] = []

    def add(self, call: Call) -> None:
        try:
            workspace = self.free.pop()  # list operations are whole: threads need no lock
        except IndexError:
            workspace = self.library.make(ctypes.byref(self.facts))
        if not workspace:
            raise MemoryError(f"evaluator: {FAULTS[NO_MEMORY - 1]}")
        fault = self.library.evaluate(workspace, ctypes.byref(call.struct))
        self.free.append(workspace)
        if fault:
            raise (MemoryError if fault == NO_MEMORY else ValueError)(f"evaluator: {FAULTS[fault - 1]}")

    def __del__(self) -> None:
        for workspace in getattr(self, "free", ()):
            self.library.drop(workspace)


@dataclass(frozen=True)
class Constants:
    """E_i = the energy of its element, by atomic number: nothing to compile, and nothing to compute twice for a topology."""

    table: Float[Tensor, " Z"]
    fast: bool = True

    def times(self, eV: float) -> Constants:
        """The same in other units."""
        return replace(self, table=self.table * eV)

    def evaluator(self) -> ConstantsEvaluator:
        """What adds them."""
        return ConstantsEvaluator(self.table)


class ConstantsEvaluator:
    """Adds an energy an element."""

    def __init__(self, table: Float[Tensor, " Z"]) -> None:
        self.table = table

    def add(self, call: Call) -> None:
        edges = call.edges
        if self not in edges.known:
            energies = self.table[edges.numbers]
            edges.known[self] = energies, energies.new_zeros(edges.structures).index_add_(0, edges.structure, energies)
        energies, energy = edges.known[self]
        call.sums.energies.add_(energies)
        call.sums.energy.add_(energy)


@dataclass(frozen=True)
class Member:
    """One member's numbers, an entry or row an element: descriptors are shifted by `mean`, multiplied with `scale`, and go through
    dense layers (weight [out, in], bias [out]) with the activation between."""

    mean: Float[Tensor, "Z D"]
    scale: Float[Tensor, "Z D"]
    networks: Sequence[Sequence[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Networks:
    """E_i = eV (NN_{Z_i}(G_i) − NN_{Z_i}(0)), with the symmetry functions of `symmetry_functions`, or, where `environment` is
    given, those of `environments` (parameters as in aev.h); one or several members."""

    elements: tuple[int, ...]
    cutoff: float
    eta: Float[Tensor, " _"]
    R_s: Float[Tensor, " K"]
    angular_eta: Float[Tensor, " A"]
    zetas: tuple[float, ...]
    members: tuple[Member, ...]
    dtype: torch.dtype
    activation: int = TANH
    eV: float = 1.0
    environment: Environment | None = None

    def times(self, eV: float) -> Networks:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    def together(self, others: Sequence[Networks]) -> Networks:
        """One evaluation of several members that differ in their numbers only."""
        return replace(self, members=tuple(member for each in (self, *others) for member in each.members))

    @property
    def spec(self) -> LocalTerm | None:
        from adiabat.kernels.symmetry import spec_of

        symmetry = self.environment or spec_of(len(self.eta), len(self.angular_eta), self.zetas)
        return None if symmetry is None else LocalTerm(symmetry)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return self.spec is not None and dispatch.fast_for(self.spec, torch.empty(0, dtype=self.dtype))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        with torch.no_grad():
            return _Packing(self).evaluator()


@dataclass(frozen=True)
class Pairs:
    """E_i = ½ Σ_j φ(d_ij) f_c(d_ij); `form` is lennard_jones (σ, ε), morse (depth, width, minimum) or zbl (e²/4πε₀, 0.8854 a₀).

    `reach` and `power` are the ZBL's, by atomic number: an atom's share of the pair's cutoff in Å, and Z^0.23. Computed in float64.
    """

    form: str
    elements: tuple[int, ...] | None
    cutoff: float
    numbers: tuple[float, ...]
    reach: Sequence[float] = ()
    power: Sequence[float] = ()

    def times(self, eV: float) -> Pairs:
        """The same in other units."""
        depth = 1 if self.form == "lennard_jones" else 0  # the number that is an energy, or proportional to one
        return replace(self, numbers=tuple(x * eV if k == depth else x for k, x in enumerate(self.numbers)))

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(LocalTerm(), torch.empty(0, dtype=torch.float64))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        kept: list[Tensor] = []
        reach, power = (
            _hold(kept, torch.tensor(list(x) or [0.0], dtype=torch.float64), torch.float64) for x in (self.reach, self.power)
        )
        known = range(1, 119) if self.elements is None else self.elements
        kind, elements = _kinds(kept, dict.fromkeys(known, 0))
        form = ("lennard_jones", "morse", "zbl").index(self.form)
        p = (ctypes.c_double * 3)(*self.numbers)
        return Evaluator(LocalTerm(), torch.float64, _PairFacts(form, elements, self.cutoff, p, kind, reach, power), kept)


class _PairFacts(ctypes.Structure):
    """`struct Facts` of pairs.h, field by field."""

    _fields_ = [
        ("form", ctypes.c_int64), ("elements", ctypes.c_int64), ("cutoff", ctypes.c_double), ("p", ctypes.c_double * 3),
        *((name, ctypes.c_void_p) for name in ("kind", "reach", "power")),
    ]  # fmt: skip


class _Layer(ctypes.Structure):
    """`struct Layer` of dense.h, field by field."""

    _fields_ = [("K", ctypes.c_int64), ("N", ctypes.c_int64), *((name, ctypes.c_void_p) for name in ("w", "wt", "b"))]


class _Functions(ctypes.Structure):
    """`struct Functions` of descriptor.h, field by field."""

    _fields_ = [
        ("kinds", ctypes.c_int64), ("columns", ctypes.c_int64), ("cutoff", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("eta", "center", "width")),
    ]  # fmt: skip


class _NetworkFacts(ctypes.Structure):
    """`struct Facts` of networks.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "elements members depth columns widest widths activation".split()]
        + [("eV", ctypes.c_double), ("functions", _Functions)]
        + [(name, ctypes.c_void_p) for name in "kind mean layers lone".split()]
    )


class _Packing:
    """Networks as the library wants them: widths padded to whole vectors, the scale folded into the first layer."""

    def __init__(self, it: Networks) -> None:
        self.it = it
        self.kept: list = []
        assert it.spec is not None
        self.lanes = dispatch.library(str(it.spec), it.dtype).lanes()

    def evaluator(self) -> Evaluator:
        it, Z = self.it, len(self.it.elements)
        D, depth = it.members[0].mean.shape[1], len(it.members[0].networks[0])
        layers = [self.layer(member, z, t) for member in it.members for z in range(Z) for t in range(depth)]
        block = (_Layer * len(layers))(*layers)
        lone = torch.zeros(len(it.members), Z, dtype=torch.float64)
        self.kept += [block, lone]
        wide = -(-D // self.lanes) * self.lanes
        hidden = [layers[z * depth + t].N for z in range(Z) for t in range(depth - 1)]
        widths = max(sum(layers[z * depth + t].N for t in range(depth - 1)) for z in range(Z))
        kind, elements = _kinds(self.kept, {number: z for z, number in enumerate(it.elements)})
        functions = _Functions(
            Z, D, it.cutoff, self.hold(self.wide(it.eta, 0)), self.hold(self.wide(it.R_s, 0)), self.hold(it.angular_eta)
        )
        mean = self.hold(torch.stack([self.wide(member.mean, 1) for member in it.members]))
        facts = _NetworkFacts(
            elements, len(it.members), depth, wide, max([wide, *hidden]), widths, it.activation, it.eV, functions, kind, mean,
            ctypes.addressof(block), lone.data_ptr(),
        )  # fmt: skip
        assert it.spec is not None
        made = Evaluator(it.spec, it.dtype, facts, self.kept)
        lone.copy_(self.alone(made))  # the pointer stays: later calls subtract what this one found
        made.free, old = [], made.free
        for workspace in old:
            made.library.drop(workspace)
        return made

    def alone(self, evaluator: Evaluator) -> Tensor:
        """Every member's energy of an atom of each element without neighbors."""
        Z = len(self.it.elements)
        nothing = torch.zeros(0, dtype=torch.int64)

        lists = (torch.tensor(self.it.elements), torch.zeros(Z + 1), nothing, nothing, torch.zeros(Z))
        lone = SimpleNamespace(**dict(zip(LISTS, lists, strict=True)))
        call = Call(Edges(lone, 1), torch.zeros(0, 3, dtype=torch.float64), 1, len(self.it.members))
        return call.made_by([evaluator]).energies

    def layer(self, member: Member, z: int, t: int) -> _Layer:
        weight, bias = (x.detach().to(torch.float64) for x in member.networks[z][t])
        if t == 0:
            weight = weight * member.scale[z].to(torch.float64)
        last = t == len(member.networks[z]) - 1
        w = self.wide(weight.T, 0) if last else self.wide(self.wide(weight.T, 0), 1)
        b = bias if last else self.wide(bias, 0)
        return _Layer(w.shape[0], w.shape[1], self.hold(w), self.hold(w.T), self.hold(b))

    def wide(self, x: Tensor, axis: int) -> Tensor:
        """Zeros up to whole vectors."""
        return torch.nn.functional.pad(x.movedim(axis, -1), (0, -x.shape[axis] % self.lanes)).movedim(-1, axis)

    def hold(self, x: Tensor) -> int:
        return _hold(self.kept, x, self.it.dtype)


def _hold(kept: list, x: Tensor, dtype: torch.dtype) -> int:
    """The address of a copy that lives as long as `kept`; a zero stands where there is nothing to read."""
    copy = x.detach().to(dtype).contiguous().clone() if x.numel() else torch.zeros(1, dtype=dtype)
    kept.append(copy)
    return copy.data_ptr()


def _kinds(kept: list, kinds: Mapping[int, int]) -> tuple[int, int]:
    """The address of a table by atomic number (−1: unknown), and its length."""
    table: Int[Tensor, " Z"] = torch.full((max(kinds) + 1,), -1, dtype=torch.int64)
    for number, kind in kinds.items():
        table[number] = kind
    kept.append(table)
    return table.data_ptr(), len(table)
