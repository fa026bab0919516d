"""Structures with their neighbors, as tensors.

A model sees species and edge vectors, nothing else. The edges are sorted by their center, so that a sum over neighbors is a
sum over consecutive rows; the transposed order (sorted by neighbor) and each edge's counter-edge are kept beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adiabat import neighbors
from adiabat.graph import edges
from adiabat.graph.carried import Label, accept, held, inputs_of, joined_inputs, joined_labels, labels_of
from adiabat.kernels.triplet import triplets as edge_pairs
from adiabat.typing import Bool, Float, Int, Tensor

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Graph:
    """A batch of structures with their neighbors.

    Lengths in Å, float64; `r` alone may be of another precision, see `to`. `first[a]:first[a + 1]` are the edges of center `a`.
    `labels` hold energy (eV), forces (eV/Å) and stress (eV/Å³); `inputs` the global quantities some families need
    (``charge`` in e, ``multiplicity``); `features` what a model chose to remember of fixed structures, rows by atom or by edge.
    """

    numbers: Int[Tensor, "N"]
    positions: Float[Tensor, "N 3"]
    cell: Float[Tensor, "S 3 3"]
    pbc: Bool[Tensor, "S 3"]
    structure: Int[Tensor, "N"]
    i: Int[Tensor, "E"]
    j: Int[Tensor, "E"]
    shift: Int[Tensor, "E 3"]
    reverse: Int[Tensor, "E"]
    r: Float[Tensor, "*members E 3"]
    cutoff: float
    skin: float = 0.0
    fixed: Bool[Tensor, "N"] | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    weight: Float[Tensor, "S *each"] | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    built: tuple[Tensor, Tensor] | None = None  # positions and cells the edges were found at
    # Facts about the topology that someone worked out once (index lists, triplets); kept while the edges stay.
    known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        atoms: Atoms | Sequence[Atoms],
        cutoff: float,
        *,
        skin: float = 0.0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Graph:
        """The graph of one structure or of many, with every pair closer than `cutoff` + `skin` (Å).

        Labels are taken from the calculator results the atoms carry: the force-consistent energy, raw forces, stress. Results
        that belong to other positions (the calculator has moved on to another structure, or the atoms have moved) are none.

        >>> from ase import Atoms
        >>> graph = Graph.of(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), cutoff=2.0)
        >>> graph.i, graph.j, graph.r[0]
        (tensor([0, 1]), tensor([1, 0]), tensor([0.0000, 0.0000, 0.7400], dtype=torch.float64))
        """
        frames: list[Any] = [atoms] if hasattr(atoms, "get_positions") else list(atoms)
        if not frames:
            raise ValueError("no structure came; a graph needs at least one")
        if not cutoff > 0:
            raise ValueError(f"cutoff {cutoff} Å came; wanted a positive length")
        graph = cls.batch([_one(a, cutoff, skin) for a in frames])
        return graph.to(device=device, dtype=dtype)

    @classmethod
    def batch(cls, graphs: Sequence[Graph]) -> Graph:
        """Many graphs as one; structures keep their order."""
        if len(graphs) == 1:
            return graphs[0]
        atoms = _offsets([g.n_atoms for g in graphs])
        rows_of_edges = _offsets([g.n_edges for g in graphs])
        structures = _offsets([g.n_structures for g in graphs])

        def rows(name: str, by: Sequence[int] | None = None) -> Tensor:
            parts = [getattr(g, name) for g in graphs]
            return torch.cat([p + o for p, o in zip(parts, by, strict=True)] if by else parts)

        features = {
            k: tuple(torch.cat(c) for c in zip(*(g.features[k] for g in graphs), strict=True))
            for k in graphs[0].features
            if all(k in g.features for g in graphs)
        }
        places = [g.built for g in graphs if g.built is not None]
        built = (torch.cat([p[0] for p in places]), torch.cat([p[1] for p in places])) if len(places) == len(graphs) else None
        return cls(
            numbers=rows("numbers"), positions=rows("positions"), cell=rows("cell"), pbc=rows("pbc"),
            structure=rows("structure", structures), i=rows("i", atoms), j=rows("j", atoms), shift=rows("shift"),
            reverse=rows("reverse", rows_of_edges), r=rows("r"),
            cutoff=min(g.cutoff for g in graphs), skin=min(g.skin for g in graphs),
            fixed=None if all(g.fixed is None for g in graphs) else torch.cat([_fixed(g) for g in graphs]),
            labels=joined_labels([g.labels for g in graphs]),
            weight=None if all(g.weight is None for g in graphs) else torch.cat([weight_of(g) for g in graphs]),
            inputs=joined_inputs([g.inputs for g in graphs], [g.n_structures for g in graphs]), features=features, built=built,
        )  # fmt: skip

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def n_edges(self) -> int:
        return len(self.i)

    @property
    def n_structures(self) -> int:
        return len(self.cell)

    @property
    def device(self) -> torch.device:
        return self.numbers.device

    @cached_property
    def first(self) -> Int[Tensor, "N1"]:
        """Row pointers: the edges of center `a` are `first[a]:first[a + 1]`."""
        return self.once("first", lambda: _pointers(self.i, self.n_atoms))

    @cached_property
    def by_neighbor(self) -> Int[Tensor, "E"]:
        """The transposed order: the permutation that sorts the edges by their neighbor `j`."""
        return self.once("by_neighbor", lambda: torch.sort(self.j, stable=True).indices)

    @cached_property
    def first_by_neighbor(self) -> Int[Tensor, "N1"]:
        """Row pointers into `by_neighbor`."""
        return self.once("first_by_neighbor", lambda: _pointers(self.j[self.by_neighbor], self.n_atoms))

    @cached_property
    def volume(self) -> Float[Tensor, "S"]:
        """Å³; NaN for a structure without three cell vectors: stress has no meaning there."""
        volume = torch.linalg.det(self.cell).abs()
        return torch.where(volume > 1e-9, volume, torch.nan)

    @cached_property
    def triplets(self) -> tuple[Int[Tensor, "T"], Int[Tensor, "T"]]:
        """Pairs of edges (a, b), a < b, that share their center: every pair of neighbors once."""
        return self.once("triplets", lambda: edge_pairs(self.first))

    @cached_property
    def labeled(self) -> frozenset[str]:
        """The names of the labels that at least one row has."""
        return frozenset(name for name, label in self.labels.items() if bool(label.mask.any()))

    def atoms_of(self, number: int) -> Int[Tensor, "n"]:
        """The atoms of one element."""
        return self.once(("atoms_of", number), lambda: torch.nonzero(self.numbers == number)[:, 0])

    def once(self, key: Any, compute: Any) -> Any:
        """A fact of the topology, worked out at the first asking and kept while the edges stay the same."""
        if key not in self.known:
            self.known[key] = compute()
        return self.known[key]

    def replace(self, **changes: Any) -> Graph:
        """A copy with other values on the same edges."""
        return dataclasses.replace(self, **changes)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """On another device; `dtype` is the precision of the edge vectors, everything else stays float64."""
        device = torch.device(device) if device is not None else self.device
        if device == self.device:
            return self if dtype in (None, self.r.dtype) else self.replace(r=self.r.to(dtype))
        return dataclasses.replace(
            self,
            **{
                f.name: _moved(getattr(self, f.name), device)
                for f in dataclasses.fields(self)
                if f.name not in ("cutoff", "skin", "known")
            },
            known={},
        ).to(dtype=dtype)

    def move(self, positions: Float[Tensor, "N 3"], cell: Float[Tensor, "S 3 3"] | None = None) -> Graph:
        """The same atoms elsewhere. Edges are kept while none can be missing (half the skin), and found anew after that.

        Labels and remembered features belong to the old positions and are dropped.
        """
        cell = self.cell if cell is None else cell
        if not self._holds(positions, cell):
            return self._rebuilt(positions, cell)
        r = self._between(positions)
        if not self.once("no image", lambda: not bool(self.shift.any())):
            r = r.add_(self.images(cell))  # in place, here and below: new memory costs more than the sum
        r = r.to(self.r.dtype)
        return self.replace(positions=positions, cell=cell, r=r, labels={}, features={})

    def vectors(self) -> Float[Tensor, "E 3"]:
        """r = R_j + S·h − R_i in float64, differentiable with respect to positions and cells."""
        return self._vectors(self.positions, self.cell)

    def _vectors(self, positions: Float[Tensor, "N 3"], cell: Float[Tensor, "S 3 3"]) -> Float[Tensor, "E 3"]:
        r = self._between(positions)
        return r if self.once("no image", lambda: not bool(self.shift.any())) else r + self._images(cell)

    def _between(self, positions: Float[Tensor, "N 3"]) -> Float[Tensor, "E 3"]:
        return positions.index_select(0, self.j).sub_(positions.index_select(0, self.i))

    def _images(self, cell: Float[Tensor, "S 3 3"]) -> Float[Tensor, "E 3"]:
        """S·h of every edge."""
        return torch.einsum("ek,ekx->ex", self.shift.to(cell.dtype), cell[self.structure[self.i]])

    def images(self, cell: Float[Tensor, "S 3 3"]) -> Float[Tensor, "E 3"]:
        """S·h of every edge, worked out once while atoms move within one cell."""
        if cell.requires_grad:
            return self._images(cell)
        kept = self.known.get("images")
        if kept is None or not torch.equal(kept[0], cell):
            kept = self.known["images"] = cell.clone(), self._images(cell)
        return kept[1]

    def accept_vectors(self) -> None:
        """Refuse edges that are not numbers, and edges of no length: two atoms at one place."""
        edges.accept_vectors(self.r, self.i, self.j)

    def within(self, cutoff: float) -> Graph:
        """The view below a smaller cutoff, by the *current* distances; an edge stays if its counter-edge does."""
        if cutoff > self.cutoff:
            raise ValueError(
                f"cutoff {cutoff} Å exceeds the graph's {self.cutoff} Å; build it with Graph.of(..., cutoff={cutoff})"
            )
        near = (self.r.detach() ** 2).sum(-1) < cutoff**2
        near = near & near[self.reverse]
        kept = torch.nonzero(near)[:, 0]
        new = torch.cumsum(near, 0) - 1
        return self.replace(
            i=self.i[kept], j=self.j[kept], shift=self.shift[kept], reverse=new[self.reverse[kept]], r=self.r[kept],
            cutoff=cutoff, skin=0.0, features={}, known={},
        )  # fmt: skip

    def rotate(self, Q: Float[Tensor, "3 3"]) -> Graph:
        """Every vector turned: v → v Q. Labels turn with the structure."""
        turn = {"energy": lambda v: v, "forces": lambda v: v @ Q, "stress": lambda v: Q.T @ v @ Q}
        labels = {k: Label(turn[k](x.value), x.mask) for k, x in self.labels.items()}
        r = self.r @ Q.to(self.r.dtype)
        built = None if self.built is None else (self.built[0] @ Q, self.built[1] @ Q)
        return self.replace(positions=self.positions @ Q, cell=self.cell @ Q, r=r, labels=labels, features={}, built=built)

    def _holds(self, positions: Tensor, cell: Tensor) -> bool:
        """Whether the edges are those of atoms that moved here, too."""
        if self.skin == 0 or self.built is None:
            return False
        return edges.none_missing(self.built, positions, cell, self.structure, cutoff=self.cutoff, skin=self.skin)

    def _rebuilt(self, positions: Tensor, cell: Tensor) -> Graph:
        if not bool(torch.isfinite(positions).all()):
            atom = int(torch.nonzero(~torch.isfinite(positions).all(1))[0, 0])
            raise ValueError(
                f"atom {atom} of structure {int(self.structure[atom])} has moved to {positions[atom].tolist()}; "
                "the dynamics exploded: shorten the timestep or check the potential there"
            )
        bounds = _pointers(self.structure, self.n_structures).tolist()
        where, cells, pbc = (t.detach().cpu().numpy() for t in (positions, cell, self.pbc))
        numbers = self.numbers.cpu()
        parts = [
            _graph(numbers[a:b], where[a:b], cells[s], pbc[s], self.cutoff, self.skin)
            for s, (a, b) in enumerate(zip(bounds[:-1], bounds[1:], strict=True))
        ]  # fmt: skip
        return (
            Graph.batch(parts)
            .to(device=self.device, dtype=self.r.dtype)
            .replace(fixed=self.fixed, inputs=self.inputs, weight=self.weight)
        )


def _one(atoms: Atoms, cutoff: float, skin: float) -> Graph:
    accept(atoms)
    numbers = torch.as_tensor(atoms.get_atomic_numbers(), dtype=torch.int64)
    graph = _graph(numbers, atoms.get_positions(), atoms.cell.array, atoms.pbc, cutoff, skin)
    return graph.replace(labels=labels_of(atoms), inputs=inputs_of(atoms), fixed=held(atoms))


def _graph(numbers: Tensor, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float, skin: float) -> Graph:
    found = neighbors.edges(positions, cell, pbc, cutoff + skin)
    where, box = torch.tensor(positions, dtype=torch.float64), torch.tensor(cell, dtype=torch.float64)[None]
    graph = Graph(
        numbers=numbers, positions=where, cell=box, pbc=torch.tensor(pbc)[None], structure=torch.zeros(len(numbers), dtype=torch.int64),
        i=torch.as_tensor(found.i), j=torch.as_tensor(found.j), shift=torch.as_tensor(found.shift), reverse=torch.as_tensor(found.reverse),
        r=torch.zeros(len(found.i), 3, dtype=torch.float64), cutoff=float(cutoff), skin=float(skin), built=(where, box),
    )  # fmt: skip
    graph = graph.replace(r=graph.vectors())
    graph.accept_vectors()
    return graph


def _fixed(graph: Graph) -> Tensor:
    return torch.zeros(graph.n_atoms, dtype=torch.bool) if graph.fixed is None else graph.fixed


def weight_of(graph: Graph) -> Tensor:
    """The weight of each frame; 1 where nobody gave one."""
    return torch.ones(graph.n_structures, dtype=torch.float64, device=graph.device) if graph.weight is None else graph.weight


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes[:-1]).tolist()]


def _pointers(index: Tensor, n: int) -> Tensor:
    """Row pointers of a sorted index."""
    counts = torch.bincount(index, minlength=n)
    return torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)])


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Label):
        return Label(value.value.to(device), value.mask.to(device))
    if isinstance(value, tuple):
        return tuple(_moved(v, device) for v in value)
    if isinstance(value, Mapping):
        return {k: _moved(v, device) for k, v in value.items()}
    return value
