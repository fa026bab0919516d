"""Where training of listed products begins, and the coordinates it steps in.

Radial functions are those the data's densities vary by most. The linear density is solved for by least squares; each other begins as a number
of neighbors, negative, with a mean of 1: the smoothed root of what bonds cost, as Finnis and Sinclair have it, to which the least squares adds.

Radial functions: Goscinski, Musil, Pozdnyakov, Nigam and Ceriotti, J. Chem. Phys. 155, 104106 (2021). Finnis and Sinclair, Philos. Mag. A 50,
45 (1984).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch

from adiabat.kernels import segment_sum
from adiabat.nn.listed_products import ProductSums
from adiabat.nn.sketched import coordinates
from adiabat.typing import Float, Int, Tensor

EDGES_AT_ONCE = 20_000
ENERGY = 100.0  # what an energy an atom weighs against a force, squares of both, in the loss of the whole set
ROWS = 4  # for each product at least: random ones then tell the coordinates to a factor of three
MOST_ROWS = 8  # for each product, of as many frames
PROBES, PROBED = 6, 64  # of radial coefficients: random combinations of labels, frames


@runtime_checkable
class Graph(Protocol):
    """Labeled structures; `adiabat.graph.Graph` is one."""

    @property
    def labels(self) -> Mapping[str, Any]: ...
    @property
    def weight(self) -> Tensor | None: ...
    @property
    def r(self) -> Tensor: ...
    @property
    def i(self) -> Tensor: ...
    @property
    def j(self) -> Tensor: ...
    @property
    def structure(self) -> Tensor: ...
    @property
    def positions(self) -> Tensor: ...
    @property
    def n_atoms(self) -> int: ...
    @property
    def n_edges(self) -> int: ...
    @property
    def n_structures(self) -> int: ...
    @classmethod
    def batch(cls, graphs: Sequence[Any]) -> Any: ...
    def replace(self, **parts: Any) -> Any: ...


@runtime_checkable
class Listed(Protocol):
    """What a model of listed products tells: `models.pace`, in float64."""

    products: Int[Tensor, "P 3"]
    components: Int[Tensor, "M most"]
    couplings: Float[Tensor, "M D"]
    coefficients: torch.nn.Parameter
    radial_coefficients: torch.nn.Parameter

    def __call__(self, graph: Any) -> Mapping[str, Tensor]: ...
    def remember(self, graph: Any) -> Any: ...
    def sums(self, graph: Any) -> tuple[Float[Tensor, "N Z k lm"], Tensor, Int[Tensor, " N"]]: ...
    @property
    def lists(self) -> Sequence[ProductSums]: ...


def start(it: Listed, graphs: Sequence[Graph], rounding: float) -> tuple[Float[Tensor, "P P"], Float[Tensor, "Z Z n l k"]]:
    """Set the coefficients in coordinates of their own; what they are then multiplied by: a matrix, and numbers for radial ones.
    `rounding` is that of the numbers in which it will be trained."""
    rng, K = torch.Generator().manual_seed(0), len(it.products)
    graphs = [it.remember(graph) for graph in graphs[:: max(1, len(graphs) // (MOST_ROWS * K))]]
    batches = list(_batches(graphs))
    with torch.no_grad():
        _set_radial_functions(it, batches)
        _set_numbers_of_neighbors(it, batches)
    count = Counted.of(graphs)
    rows, wanted = zip(*(pair for batch in batches for pair in _rows(it, batch, count, rng)), strict=True)
    W, inverse, best = coordinates(torch.cat(rows), torch.cat(wanted), rounding)
    some = graphs[:: -(-len(graphs) // PROBED)]
    size = _pulls(it, W @ best, list(_batches(some)), Counted.of(some), rng).mean((2, 4), keepdim=True)
    reach = 1 / (size + 1e-4 * size.max()).clamp_min(1e-300).sqrt().expand_as(it.radial_coefficients)
    with torch.no_grad():
        it.coefficients.copy_(inverse @ it.coefficients)
        it.coefficients[:, 0] = best
        it.radial_coefficients.div_(reach)
    return W, reach.clone()


class Counted(NamedTuple):
    """Of all frames: the weights of energies, of force components, the most components of a frame."""

    energies: float
    forces: float
    most: int
    frames: int

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> Counted:
        energies = sum(float((_weight(g) * g.labels["energy"].mask).sum()) for g in graphs)
        forces = sum(3 * float((_weight(g)[g.structure] * g.labels["forces"].mask).sum()) for g in graphs)
        return cls(max(energies, 1e-300), max(forces, 1e-300), max(3 * g.n_atoms for g in graphs), len(graphs))


def _batches(graphs: Sequence[Graph]) -> Iterator[Graph]:
    some: list[Graph] = []
    for graph in graphs:
        if some and sum(g.n_edges for g in some) + graph.n_edges > EDGES_AT_ONCE:
            yield type(some[0]).batch(some)
            some = []
        some.append(graph)
    yield type(some[0]).batch(some)


def _weight(graph: Graph) -> Float[Tensor, " S"]:
    """Of frames; of a committee's, where some members leave them out, the largest."""
    weight = torch.ones(graph.n_structures, dtype=torch.float64) if graph.weight is None else graph.weight
    return weight if weight.dim() == 1 else weight.amax(1)


def _set_radial_functions(it: Listed, batches: Sequence[Graph]) -> None:
    """Those of which Σ_m S² is largest, for each pair of elements and l, as large on average as one neighbor at S = 1."""
    Z, _, n_max, L, K = it.radial_coefficients.shape
    second, atoms = torch.zeros(Z, Z, L, K, K, dtype=torch.float64), torch.zeros(Z, dtype=torch.float64)
    for batch in batches:
        S, _, species = it.sums(batch)
        for z in range(Z):
            here = S[species == z]
            atoms[z] += len(here)
            for l in range(L):
                part = here[..., l * l : (l + 1) ** 2]
                second[z, :, l] += torch.einsum("aukm,aujm->ukj", part, part) / (2 * l + 1)
    value, vector = torch.linalg.eigh(second / atoms.clamp_min(1)[:, None, None, None, None])
    n = min(n_max, K)
    value, vector = value.flip(-1)[..., :n], vector.flip(-1)[..., :n]
    met = value[..., :1] > 0  # pairs that never meet keep what they have
    c = vector / torch.maximum(value, 1e-6 * value[..., :1]).clamp_min(1e-300).sqrt()[..., None, :]  # Z Z L K n
    there = it.radial_coefficients[:, :, :n]
    there.copy_(torch.where(met[..., None], c, there.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3))


def _set_numbers_of_neighbors(it: Listed, batches: Sequence[Graph]) -> None:
    """All densities but the first: −Σ_j g_k, over its mean, with another k for each."""
    Z, K = it.radial_coefficients.shape[1], it.radial_coefficients.shape[-1]
    it.coefficients.zero_()
    place = it.components[it.products[:, 1], 0] % K
    for density in range(1, it.coefficients.shape[1]):
        k = (density - 1) % K
        S = torch.cat([it.sums(batch)[0][:, :, k, 0] for batch in batches])
        mean = float(S.sum(1).mean()) if Z else 0.0
        counts = (it.products[:, 2] == 1) & (place == k)
        it.coefficients[counts, density] = -1 / mean if mean > 0 else 0.0


def _rows(it: Listed, graph: Graph, count: Counted, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Energies, and forces or random sums of them, for each product's coefficient of 1 in the first density; and what they should be
    beside the other densities. Their squares add up to the loss: of random sums on average."""
    P, r = len(it.products), graph.r.detach().requires_grad_()
    with torch.enable_grad():
        here = graph.replace(r=r)
        S, _, species = it.sums(here)
        B = S.new_zeros(graph.n_structures, P)
        for z, products in enumerate(it.lists):
            atoms = torch.nonzero(species == z)[:, 0]
            if len(atoms):
                each = products.products(S[atoms], it.radial_coefficients[z].detach(), it.couplings[:, 0], P)
                B = B.index_add(0, graph.structure[atoms], each.T)
        v = torch.zeros_like(B).requires_grad_()
        (slope,) = torch.autograd.grad((B * v).sum(), r, create_graph=True)  # linear in v
        others = it(here)["energies"]
        (pull,) = torch.autograd.grad(others.sum(), r)
    natoms = torch.bincount(graph.structure, minlength=graph.n_structures).double()
    energy, forces = graph.labels["energy"], graph.labels["forces"]
    size = torch.where(energy.mask, (ENERGY * _weight(graph) / count.energies).sqrt() / natoms, 0.0)
    other = segment_sum(others.detach(), graph.structure, graph.n_structures)
    yield B.detach() * size[:, None], torch.where(energy.mask, energy.value - other, 0.0) * size
    if not bool(forces.mask.any()):
        return
    directions, every = _directions(graph, count, P, rng)
    size = (_weight(graph) / count.forces / every).sqrt()
    label = torch.where(forces.mask[:, None], forces.value, 0.0)
    for u in directions:
        u = u * forces.mask[:, None]
        along = u[graph.j] - u[graph.i]  # of each edge
        (slopes,) = torch.autograd.grad((slope * along).sum(), v, retain_graph=True)
        other = segment_sum((pull * along).sum(1), graph.structure[graph.i], graph.n_structures)
        wanted = segment_sum((u * label).sum(1), graph.structure, graph.n_structures)
        yield -slopes * size[:, None], (wanted + other) * size


def _directions(graph: Graph, count: Counted, P: int, rng: torch.Generator) -> tuple[Iterator[Float[Tensor, "N 3"]], int]:
    """Ways to move all atoms: one component a structure, each in its turn, or where these are too many, random signs of all; and how
    many of them speak for the same."""
    wanted = -(-ROWS * P // count.frames)
    if wanted < count.most:
        signs = (torch.randint(2, graph.positions.shape, generator=rng).double() * 2 - 1 for _ in range(wanted))
        return signs, wanted
    first = torch.searchsorted(graph.structure, torch.arange(graph.n_structures))
    place = torch.arange(graph.n_atoms) - first[graph.structure]
    components = 3 * place[:, None] + torch.arange(3)
    return ((components == k).double() for k in range(int(components.max()) + 1)), 1


def _pulls(
    it: Listed, solved: Tensor, batches: Sequence[Graph], count: Counted, rng: torch.Generator
) -> Float[Tensor, "Z Z n l k"]:
    """Half the curvature of the loss along each radial coefficient: the mean square of what random signs of the labels' errors pull."""
    begun, total = it.coefficients.detach().clone(), torch.zeros_like(it.radial_coefficients)
    with torch.no_grad():
        it.coefficients[:, 0] = solved
    for graph in batches:
        natoms = torch.bincount(graph.structure, minlength=graph.n_structures).double()
        with torch.enable_grad():
            r = graph.r.detach().requires_grad_()
            energies = it(graph.replace(r=r))["energies"]
            (slope,) = torch.autograd.grad(energies.sum(), r, create_graph=True)
            for _ in range(PROBES):
                u = torch.randint(2, graph.positions.shape, generator=rng).double() * 2 - 1
                sign = torch.randint(2, (graph.n_structures,), generator=rng).double() * 2 - 1
                probe = (slope * (u[graph.j] - u[graph.i])).sum() / count.forces**0.5
                probe = probe + (energies * (sign / natoms)[graph.structure]).sum() * (ENERGY / count.energies) ** 0.5
                total += torch.autograd.grad(probe, it.radial_coefficients, retain_graph=True)[0].square() / PROBES
    with torch.no_grad():
        it.coefficients.copy_(begun)
    return total
