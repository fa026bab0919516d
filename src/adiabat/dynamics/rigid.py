"""Drift and rotation, taken out of the velocities of a whole batch at once, and the degrees of freedom that remain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from adiabat.graph import Graph
from adiabat.kernels.rigid import WithoutRigidMotion
from adiabat.typing import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Rigid:
    """Which rigid motions each structure does without. Atoms stand in rows of equal length, short ones filled with massless ones.

    Masses are zero in structures that keep their motion: what has no momentum has none to lose, and no branch is needed.
    """

    share: Float[Tensor, "S 1 M"]  # of the structure's mass; 0 where it may drift
    mass: Float[Tensor, "S M3 1"]  # amu, a component each; 0 where it may turn
    soft: Float[Tensor, "S 3 3"]  # a line has no inertia about itself, and no momentum either: 1e-12 turns 0/0 into 0
    layout: Float[Tensor, "6 12"]
    slots: Int[Tensor, "N"] | None  # where each atom stands in the S·M slots; None: all structures are of one size
    momentum: Bool[Tensor, "S"]  # removed
    rotation: Bool[Tensor, "S"]  # removed
    degrees_of_freedom: Float[Tensor, "S"]
    sizes: tuple[int, ...]
    masses: Float[Tensor, "N"]  # amu
    any_momentum: bool
    any_rotation: bool

    @classmethod
    def of(cls, graph: Graph, masses: Float[Tensor, "N"], remove: str | None = None) -> Rigid:
        """Count: 3N, less 3 without drift, less 6 without rotation (a pair of atoms: 5; a lone atom: 3).

        Three atoms in a line count 3N − 6 in motion, not 3N − 5: as soon as they bend, they turn about all three axes.
        """
        if remove not in (None, "nothing", "momentum", "rotation"):
            raise ValueError(f"remove={remove!r} is unknown; wanted 'nothing', 'momentum' or 'rotation'")
        sizes = torch.bincount(graph.structure, minlength=graph.n_structures)
        held = torch.zeros_like(graph.structure, dtype=torch.bool) if graph.fixed is None else graph.fixed
        some_fixed = torch.zeros(graph.n_structures, dtype=torch.bool, device=graph.device)
        some_fixed[graph.structure[held]] = True
        if remove in ("momentum", "rotation") and bool(some_fixed.any()):
            raise ValueError(
                f"structure {int(some_fixed.nonzero()[0, 0])} has fixed atoms, which hold it in place; use remove='nothing'"
            )
        momentum = ~some_fixed & (remove != "nothing")
        rotation = momentum & (~graph.pbc.any(1) if remove is None else torch.full_like(momentum, remove == "rotation"))
        turns = torch.where(sizes == 1, 0, torch.where(sizes == 2, 2, 3))
        mobile = torch.bincount(graph.structure[~held], minlength=graph.n_structures)
        f = 3 * mobile - 3 * momentum.long() - turns * rotation.long()

        longest = int(sizes.max())
        first = torch.cumsum(sizes, 0) - sizes
        slots = graph.structure * longest + torch.arange(graph.n_atoms, device=graph.device) - first[graph.structure]
        mass = torch.zeros(graph.n_structures * longest, dtype=torch.float64, device=graph.device)
        mass[slots] = masses
        mass = mass.reshape(graph.n_structures, 1, longest)
        total = mass.sum(2, keepdim=True)
        share = mass / total
        eye = torch.eye(3, dtype=torch.float64, device=graph.device)
        return cls(
            share * momentum[:, None, None], (mass * rotation[:, None, None])[:, 0].repeat_interleave(3, 1)[:, :, None],
            1e-12 * total * eye, _layout().to(graph.device),
            None if bool((sizes == longest).all()) else slots, momentum, rotation,
            f.double(), tuple(sizes.tolist()), masses, bool(momentum.any()), bool(rotation.any()),
        )  # fmt: skip

    def without(self, positions: Float[Tensor, "N 3"], velocities: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """Velocities less v_com + ω × (r − r_com), with L = I ω: the nearest ones, by kinetic energy, that neither drift nor turn.

        One compiled call where that can be had. The plain form is written for few calls, since small molecules live or die by
        them: one product lays the three rotations e_a × r and v itself side by side as columns, a second gives I and L together.
        """
        if not self.any_momentum:
            return velocities
        return self._plain(positions, velocities) if self._compiled is None else self._compiled(positions, velocities)

    @cached_property
    def _compiled(self) -> WithoutRigidMotion | None:
        if not WithoutRigidMotion.fast(self.masses):
            return None
        return WithoutRigidMotion(self.sizes, self.masses, self.momentum, self.rotation)

    def _plain(self, positions: Float[Tensor, "N 3"], velocities: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """The meaning of `without`."""
        if not self.any_rotation:
            v = self._padded(velocities)
            return self._flat(v - torch.bmm(self.share, v))
        both = torch.cat([self._padded(positions), self._padded(velocities)], 2)  # S M 6
        columns = torch.mm((both - torch.bmm(self.share, both)).view(-1, 6), self.layout).view(len(both), -1, 4)  # S 3M 4
        turns = columns[:, :, :3]
        I_L = torch.bmm((self.mass * turns).transpose(1, 2), columns)  # S 3 4
        I, L = I_L[:, :, :3] + self.soft, I_L[:, :, 3:]
        # ω = I⁻¹ L by the adjugate: the columns of det(I) I⁻¹ are cross products of the rows of I.
        twice = torch.cat([I, I], 1)
        adjugate = torch.linalg.cross(twice[:, 1:4], twice[:, 2:5])
        omega = torch.bmm(adjugate.transpose(1, 2), L) / torch.linalg.vecdot(I[:, 0], adjugate[:, 0])[:, None, None]
        return self._flat(torch.baddbmm(columns[:, :, 3:], turns, omega, alpha=-1))

    def rows(self) -> list[slice]:
        """Each structure's atoms."""
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        return [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]

    def _padded(self, x: Tensor) -> Float[Tensor, "S M 3"]:
        if self.slots is None:
            return x.reshape(len(self.share), -1, 3)
        padded = x.new_zeros(self.share.numel(), 3)
        padded[self.slots] = x
        return padded.reshape(len(self.share), -1, 3)

    def _flat(self, x: Float[Tensor, "S ..."]) -> Float[Tensor, "N 3"]:
        flat = x.reshape(-1, 3)
        return flat if self.slots is None else flat[self.slots]


def _layout() -> Float[Tensor, "6 12"]:
    """(x, v) → for each component c: (e_x × x)_c, (e_y × x)_c, (e_z × x)_c, v_c."""
    table = torch.zeros(6, 3, 4, dtype=torch.float64)
    for c in range(3):
        a, b = (c + 1) % 3, (c + 2) % 3
        table[b, c, a], table[a, c, b] = 1.0, -1.0  # (e_a × x)_c = x_b, (e_b × x)_c = −x_a for c, a, b in cyclic order
        table[3 + c, c, 3] = 1.0
    return table.reshape(6, 12)
