"""Which path runs: the generated one where it can, the reference everywhere else. Callers never choose.

`ADIABAT_KERNELS=reference` switches compiled code off, `=cpp` makes its absence an error; both are for tests and for finding out.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from functools import cache

import torch

from adiabat.kernels import build, cpp
from adiabat.kernels.cpp import Spec
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.cpp_each_pair import EachPair
from adiabat.kernels.cpp_process import Process
from adiabat.kernels.ir import (
    Chebyshev,
    Contraction,
    Convolution,
    DeepPotential,
    Environment,
    Harmonics,
    LocalTerm,
    MessagePassing,
    Polarizable,
    PolarizableStep,
    RigidMotion,
    Symmetry,
)
from adiabat.typing import Tensor

SCALARS = {torch.float32: "float", torch.float64: "double"}
_reason: str | None = None  # why compiled kernels were given up in this process


def fast_for(spec: Spec, x: Tensor, vmapped: bool = False) -> bool:
    """Whether compiled code does this operation on this tensor; compiles at the first asking.

    The reference runs on other devices and precisions, inside torch.func transforms (jvp; vmap unless the operation has a rule for
    it: `vmapped`), on systems not tested yet, for polynomials beyond `cpp.MAX_TERMS`, and, with one warning, where no library can
    be made.
    """
    global _reason
    asked = wish()
    if asked == "reference" or x.device.type != "cpu" or x.dtype not in SCALARS or not sys.platform.startswith("linux"):
        return False
    if _transformed(vmapped) or not cpp.covers(spec):
        return False
    if _reason and asked != "cpp":
        return False
    try:
        library(str(spec), x.dtype)
    except build.NoKernels as error:
        if asked == "cpp":
            raise
        _reason = str(error)
        warnings.warn(
            f"compiled kernels are off, the plain PyTorch reference runs (slower, same numbers): {error}", stacklevel=4
        )
        return False
    return True


def _transformed(vmapped: bool) -> bool:
    """Whether a torch.func transform is running that compiled code does not know."""
    functorch = torch._C._functorch
    if functorch.peek_interpreter_stack() is None:
        return False
    return not vmapped or any(it.key() != functorch.TransformType.Vmap for it in functorch.get_interpreter_stack())


def wish() -> str:
    """What ADIABAT_KERNELS asks for: 'auto', 'reference' or 'cpp'."""
    asked = os.environ.get("ADIABAT_KERNELS", "auto")
    if asked not in ("auto", "reference", "cpp"):
        raise ValueError(f"ADIABAT_KERNELS={asked!r}; wanted reference, cpp or nothing")
    return asked


@cache
def library(spec: str, dtype: torch.dtype, tangents: bool = False) -> ctypes.CDLL:
    """The loaded library of an operation, on values or on duals; `spec` is the text form of what `ir` describes."""
    return build.library(cpp.source(parse(spec), tangents), SCALARS[dtype])


def run(spec: str, dtype: torch.dtype, name: str, arguments: ctypes.Structure) -> None:
    """Call a compiled function of an operation; those that end in _tangent are compiled when the first is asked for.

    Raises MemoryError where the call finds no memory to work in.
    """
    fault = getattr(library(spec, dtype, name.endswith("_tangent")), name)(ctypes.byref(arguments))
    if fault:
        raise MemoryError(f"{name} of a compiled operation: no memory is left; take fewer structures at once, or a smaller one")


@cache
def parse(spec: str) -> Spec:
    if spec.isdigit():
        return Harmonics.of(spec)
    if "&" in spec:
        return MessagePassing.of(spec)
    if spec == str(DeepPotential()):
        return DeepPotential()
    if spec == str(Polarizable()):
        return Polarizable()
    if spec == str(PolarizableStep()):
        return PolarizableStep()
    if spec.startswith("chebyshev;"):
        return Chebyshev.of(spec)
    if spec.startswith("abreast;"):
        return Abreast.of(spec)
    if spec.startswith("each_pair;"):
        return EachPair.of(spec)
    if spec.startswith("process;"):
        return Process.of(spec)
    if spec.startswith("aev;"):
        return Environment.of(spec)
    if spec == str(RigidMotion()):
        return RigidMotion()
    if spec.startswith("networks;"):
        return LocalTerm.of(spec)
    if ";" in spec:
        return Symmetry.of(spec)
    return Contraction.of(spec) if spec.count("|") == 2 else Convolution.of(spec)


def status() -> dict[str, str]:
    """What runs and why, in words; `adiabat doctor` prints it. Compiles nothing.

    >>> sorted(status())
    ['cache', 'compiler', 'kernels', 'level', 'openmp']
    """

    def attempt(ask) -> str:
        try:
            return str(ask())
        except build.NoKernels as error:
            return f"none: {error}"

    rows = {
        "compiler": attempt(lambda: " ".join(build.compiler())),
        "level": attempt(build.level),
        "cache": attempt(build.cache_folder),
        "openmp": build.openmp() or "none shared with torch: kernels run on one thread",
    }
    trouble = _reason or next((row.removeprefix("none: ") for row in rows.values() if row.startswith("none: ")), None)
    if wish() == "reference":
        trouble = "ADIABAT_KERNELS=reference"
    rows["kernels"] = f"reference ({trouble})" if trouble else "compiled C++"
    return rows
