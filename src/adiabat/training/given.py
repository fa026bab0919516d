"""What is given to a training and has nothing to learn: the elements, their reference energies, the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from adiabat.data.composition import Reference, is_isolated, reference_energies
from adiabat.data.structure import Atoms, labels
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.models import ZBL
from adiabat.potential import Model, ReferenceEnergies


def for_elements(model: Model, elements: Sequence[int]) -> Model:
    """The model for the elements of the data, all of which it must know."""
    with torch.random.fork_rng(devices=[]):  # weights drawn here are drawn again for each member
        model = model.for_elements([symbol(z) for z in elements])
    known = model.elements or elements
    missing = sorted(set(elements) - set(known))
    if missing:
        raise ValueError(
            f"the data contain {' '.join(map(symbol, missing))}, the model is for {' '.join(map(symbol, known))}; "
            "leave its elements out to take them from the data"
        )
    return model


def given_terms(reference: Reference, elements: Sequence[int], wall: bool) -> list[Model]:
    """What has nothing to learn."""
    counted = ReferenceEnergies({symbol(z): e for z, e in reference.energies.items()})
    return [counted, ZBL(elements=[symbol(z) for z in elements])] if wall else [counted]


def reference_of(wanted: str | Mapping[str, float], frames: Sequence[Atoms], elements: Sequence[int]) -> Reference:
    """Reference energies as they are asked for."""
    counted = given_reference(wanted, elements, any("energy" in labels(a) for a in frames))
    if counted is not None:
        return counted
    return reference_energies(frames if wanted == "auto" else [a for a in frames if not is_isolated(a)])


def given_reference(wanted: str | Mapping[str, float], elements: Sequence[int], labeled: bool) -> Reference | None:
    """Reference energies that need no look at the frames; None where ``auto`` or ``fit`` asks for one."""
    if not isinstance(wanted, str):
        given = {atomic_numbers([s])[0]: float(e) for s, e in wanted.items()}
        missing = [symbol(z) for z in elements if z not in given]
        if missing:
            raise ValueError(
                f"reference_energies: none for {' '.join(missing)}, which the data contain; give one in eV for each element"
            )
        return Reference(given, "as given", (), 0.0)
    if wanted in ("auto", "fit"):
        # forces alone: energies have no zero
        return None if labeled else Reference(dict.fromkeys(elements, 0.0), "no energies", tuple(elements), 0.0)
    raise ValueError(
        f"reference_energies: {wanted!r} came; wanted 'auto' (isolated atoms where present, else a fit), 'fit', "
        "or a mapping such as {H: -13.6}"
    )
