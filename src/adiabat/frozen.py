"""`Frozen`: a potential as it is called most quickly for values, its terms compiled where they state a program.

A potential makes its frozen form, so this file knows potentials and their terms by what they do, not by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn

from adiabat.graph import Graph
from adiabat.kernels.evaluation import Compiled, Evaluate, Lists, Program
from adiabat.kernels.local import Adds, Call, ConstantsEvaluator, Edges, LocalProgram, Sums
from adiabat.kernels.moving import Moved, Moving
from adiabat.kernels.moving_local import MovingLocal
from adiabat.prediction import Later, Prediction, overlaid, symmetric
from adiabat.typing import Tensor


class Frozen:
    """A potential whose terms that have a program run in one compiled call each; the others run as always, and so does all of it
    where nothing is compiled, on other devices, and while it trains. What a compiled term tells beside its energies (a variance) is
    worked out when it is read. Parameters that change are taken up at the next call."""

    def __init__(self, potential: Any) -> None:
        self.potential, self.cutoff = potential, potential.cutoff
        self.seen: Snapshot | None = None
        self.freezing = Lock()

    def __call__(self, graph: Graph) -> Prediction:
        potential = self.potential
        if potential.training or graph.device.type != "cpu":
            return potential(graph)
        if not self._holds():
            with self.freezing:  # threads that call at once freeze once
                if not self._holds():
                    self._freeze()
        if not self.evaluators:
            return potential(graph)
        self.facts.accept(graph)
        sums = None  # the first walk's outputs are what the other terms add to: for a molecule each tensor operation counts
        for evaluator in self.walks:
            found = self._walk(evaluator, graph)
            sums = found if sums is None else Sums(*(a + b for a, b in zip(sums, found, strict=True)))
        if sums is None or self.locals:
            sums = call_of(graph, sums=sums).made_by(self.locals)
        prediction = predicted(sums, graph, self._beside(graph))
        if self.rest:
            prediction = _sum([prediction, self._by_tensors(graph)])
        return potential.with_global(prediction) if self.facts.is_global else prediction

    def frozen(self) -> Frozen:
        """Itself."""
        return self

    def following(self, graph: Graph) -> Following | None:
        """What is called while the atoms of this graph's one structure move within its cell and its edges hold; None where some term
        is not compiled, tells more than energies, or where two of them pass messages."""
        if not self._holds() or not self.evaluators or self.rest or self.telling or self.facts.is_global:
            return None
        if graph.n_structures > 1 or graph.device.type != "cpu" or not graph.skin or graph.built is None:
            return None
        if not torch.equal(graph.cell, graph.built[1]):
            return None
        built, images = graph.built[0].numpy(), graph.images(graph.cell).numpy() if bool(graph.shift.any()) else None
        at: dict[str, Any] = {"skin": graph.skin, "volume": graph.volume.item()}
        if not self.walks:
            return Following(self, MovingLocal(self.locals, edges_of(graph), built, images, **at))
        walk, *others = self.walks
        if others:
            return None
        known = lists(walk, graph)
        if (
            len(self.locals) < 2
            and isinstance(walk, Compiled)
            and all(isinstance(it, ConstantsEvaluator) for it in self.locals)
        ):
            constants = call_of(graph).made_by(self.locals)
            energies = constants.energies.numpy(), constants.energy.item()
            return Following(self, Moving(walk, known, built, images, *energies, **at))
        at["walk"] = lambda r: walked(walk, known, r)
        return Following(self, MovingLocal(self.locals, edges_of(graph), built, images, **at))

    def __reduce__(self) -> tuple:
        return Frozen, (self.potential,)  # a copy freezes anew

    def _holds(self) -> bool:
        return self.seen is not None and self.seen.holds()

    def _freeze(self) -> None:
        seen, self.facts = Snapshot(self.potential), Facts(self.potential)
        self.cutoff = self.facts.cutoff
        self.evaluators: list[Evaluate | Adds] = []
        self.rest: list[Any] = []
        self.telling: list[Any] = []  # compiled terms that tell more
        for term in self.potential.terms:
            if (program := compiled(term)) is not None:
                self.evaluators.append(program.evaluator())
                self.telling += [term] * (len(term.outputs) > 1)
            elif not term.is_global:
                self.rest.append(term)
        self.locals = [it for it in self.evaluators if isinstance(it, Adds)]
        self.walks = [it for it in self.evaluators if not isinstance(it, Adds)]
        if all(isinstance(it, ConstantsEvaluator) for it in self.evaluators):
            self.evaluators = []  # nothing to gain
        self.seen = seen  # at the end: what failed halfway is begun anew

    def _beside(self, graph: Graph) -> Mapping[str, Tensor]:
        """What compiled terms tell beside their energies."""

        def later(term: Any) -> Later:
            return Later((name for name in term.outputs if name != "energies"), lambda: self._told(term, graph))

        return overlaid([later(term) for term in self.telling]) if self.telling else {}

    @torch.no_grad()
    def _told(self, term: Any, graph: Graph) -> dict[str, Tensor]:
        return term.beside(graph.replace(r=graph.r.detach().to(self.potential.dtype)))

    def _by_tensors(self, graph: Graph) -> Prediction:
        graph.accept_vectors()  # compiled terms look for themselves
        with torch.enable_grad():
            r = graph.r.detach().to(self.potential.dtype).requires_grad_()
            energies, outputs = self.potential.local(graph.replace(r=r), self.rest)
            return self.potential.differentiate(graph, r, energies, outputs)

    def _walk(self, evaluator: Evaluate, graph: Graph) -> Sums:
        r = graph.r.detach().to(torch.float64).numpy()
        return walked(evaluator, lists(evaluator, graph), r, structures=graph.n_structures)


def walked(evaluator: Evaluate, known: Lists, r: np.ndarray, structures: int = 1) -> Sums:
    """What a message-passing term says of edge vectors."""
    found = evaluator.on(known, r, structures=structures, threads=torch.get_num_threads())
    energy = np.bincount(known.structure, found.energies, structures)
    return Sums(*(torch.from_numpy(x) for x in (found.energies, energy, found.forces, found.strain)))


def lists(evaluator: Evaluate, graph: Graph) -> Lists:
    """A graph's topology as this evaluator reads it."""

    def made() -> Lists:
        species = torch.searchsorted(torch.from_numpy(evaluator.elements), graph.numbers)
        return Lists(*(x.numpy() for x in (graph.first, graph.j, species, graph.structure)))

    return graph.once(("evaluator", evaluator.known_as), made)


class Following:
    """A frozen potential on one structure whose atoms move: what it says of positions [N, 3], or None where another graph, or a potential
    frozen anew, has to answer. The numbers are those of the call on the moved graph."""

    def __init__(self, frozen: Frozen, moving: Moving | MovingLocal) -> None:
        self.frozen, self.seen, self.moving = frozen, frozen.seen, moving

    def __call__(self, positions: np.ndarray) -> Moved | None:
        frozen = self.frozen
        if frozen.seen is not self.seen or frozen.potential.training or not frozen._holds():
            return None
        return self.moving(positions, torch.get_num_threads())

    def __reduce__(self) -> tuple:
        return type(None), ()  # a copy makes its own


class Facts:
    """What a potential is asked before every call, asked once."""

    def __init__(self, potential: Any) -> None:
        self.potential, self.cutoff, self.elements = potential, potential.cutoff, potential.elements
        self.is_global = any(term.is_global for term in potential.terms)

    def accept(self, graph: Graph) -> None:
        """What `Potential.accept` refuses is refused."""
        if graph.inputs or self.cutoff > graph.cutoff:
            self.potential.accept(graph)
        graph.once(("accepted", self.elements), lambda: self.potential._accept_elements(graph))


def compiled(term: Any) -> Program | LocalProgram | None:
    """The program of a term's energies that may run compiled here."""
    program = None if term.is_global or not _states_its_program(term) else term.program()
    return program if program is not None and program.fast else None


def _states_its_program(term: Any) -> bool:
    """False for a subclass with methods of its own that inherits its program: that one would tell of another function."""
    for kind in type(term).__mro__:
        if "program" in vars(kind):
            return True
        if any(callable(value) for name, value in vars(kind).items() if not name.startswith("__")):
            return False
    return False


_PLACE, _VERSION = torch.Tensor.data_ptr, torch.Tensor._version.__get__  # type: ignore[attr-defined]


class Snapshot:
    """Whether a module still has the tensors it had, unchanged. Looked at before every call, so it must cost little."""

    def __init__(self, module: nn.Module) -> None:
        modules = list(module.modules())
        self.children = [(it._modules, list(it._modules.values())) for it in modules if it._modules]
        # Buffers count, too: a mean number of neighbors is one.
        self.places = [place for it in modules for place in (it._parameters, it._buffers) if place]
        # Held, so that no other tensor takes an address that the key knows.
        self.held = [t.detach() for place in self.places for t in place.values() if t is not None]
        self.key = self._key()

    def _key(self) -> tuple[list[int], list[int]]:
        now = [t for place in self.places for t in place.values() if t is not None]
        return list(map(_PLACE, now)), list(map(_VERSION, now))

    def holds(self) -> bool:
        return all(list(now.values()) == before for now, before in self.children) and self._key() == self.key


def edges_of(graph: Graph) -> Edges:
    """A graph's topology as compiled local terms read it."""
    return graph.once("compiled edges", lambda: Edges(graph, graph.n_structures))


def call_of(graph: Graph, members: int | None = None, sums: Sums | None = None) -> Call:
    """A call of compiled local terms on a graph: they add to `sums`, or to zero: one set, or one for each member."""
    edges = edges_of(graph)
    r = graph.r.detach().to(torch.float64).contiguous()
    return Call(edges, r, torch.get_num_threads(), members, sums)


def predicted(sums: Sums, graph: Graph, outputs: Mapping[str, Tensor] | None = None) -> Prediction:
    """What the sums of a call say."""
    return Prediction(sums.energy, sums.forces, sums.energies, graph, outputs or {}, lambda: symmetric(sums.strain))


def _sum(parts: Sequence[Prediction]) -> Prediction:
    """The prediction of all terms together."""

    def total(name: str) -> Tensor:
        return torch.stack([getattr(it, name) for it in parts]).sum(0)

    outputs = overlaid([it.outputs for it in parts])
    return Prediction(
        total("energy"), total("forces"), total("atomic_energies"), parts[0].graph, outputs, lambda: total("strain_gradient")
    )
