"""Model files back to potentials. Only registered names and checked arguments are turned into objects; no code comes from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adiabat import modelfile
from adiabat.config import build, find, named
from adiabat.modelfile import ModelFileError
from adiabat.models import MODELS
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.typing import Tensor
from adiabat.uncertainty import Committee

TERMS: dict[str, type[Model]] = {**MODELS, ReferenceEnergies.name: ReferenceEnergies, Scaled.name: Scaled}
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def load(path: str | Path) -> Potential:
    """The potential, or committee, of a model file that `Potential.save` wrote."""
    header, tensors = modelfile.read(path)
    members = header.get("members") if header.get("kind") == Committee.kind else None
    if header.get("kind") not in (Potential.kind, Committee.kind):
        raise ModelFileError(f"{path}: holds a {header.get('kind')!r}; wanted a model file, such as `adiabat train` writes")
    try:
        template = Potential(*(_term(spec, where=str(path)) for spec in header["terms"]), metadata=header.get("metadata"))
        template = template.to(DTYPES[header["dtype"]])
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFileError(f"{path}: its header describes no potential this Adiabat knows ({error})") from None
    if header["kind"] == Committee.kind and not (isinstance(members, int) and members > 1):
        raise ModelFileError(f"{path}: a committee of {members} members; the file is damaged or was edited")
    _same_numbers(template, tensors, path, members=members)
    if header["kind"] == Committee.kind:
        return Committee(template, tensors, metadata=header.get("metadata"))
    template.load_state_dict(tensors)
    return template.eval()


def _term(spec: Mapping[str, Any], *, where: str) -> Model:
    name, arguments = named(spec, where=where)
    find(name, TERMS, where=where)
    # An argument that names a registered model is one.
    inner = {
        k: _term(v, where=f"{where}.{name}")
        for k, v in arguments.items()
        if isinstance(v, Mapping) and len(v) == 1 and next(iter(v)) in TERMS
    }
    return build({name: {k: v for k, v in arguments.items() if k not in inner}}, TERMS, where=where, **inner)


def _same_numbers(template: Potential, tensors: Mapping[str, Tensor], path: str | Path, members: int | None) -> None:
    wanted = {k: (*(() if members is None else (members,)), *v.shape, v.dtype) for k, v in template.state_dict().items()}
    found = {k: (*v.shape, v.dtype) for k, v in tensors.items()}
    if wanted != found:
        wrong = sorted(set(wanted) ^ set(found)) or sorted(k for k in wanted if wanted[k] != found[k])
        raise ModelFileError(
            f"{path}: its numbers do not fit its header (first difference: {wrong[0]}); the file is damaged or was edited"
        )
