"""C++ from the IR: straight-line code for one path list or one polynomial, for any number of channels and threads.

What does not depend on the operation stands in `lanes.h`, `conv.h`, `poly.h`, `edge.h` and `symmetry.h`; the unrolled parts are
written by `cpp_conv`, `cpp_poly`, `cpp_edge` and `cpp_symmetry`. Numbers come from coefficient tables alone: no text of a model
file reaches the compiler.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from types import ModuleType

from adiabat.kernels import (
    cpp_abreast,
    cpp_aev,
    cpp_chebyshev,
    cpp_conv,
    cpp_deeppot,
    cpp_each_pair,
    cpp_edge,
    cpp_evaluator,
    cpp_layer,
    cpp_local,
    cpp_polarizable,
    cpp_poly,
    cpp_process,
    cpp_symmetry,
)
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

MAX_TERMS = 4000  # a longer polynomial would compile for minutes: the reference does it


Spec = (
    Convolution | Contraction | Harmonics | Symmetry | Environment | MessagePassing | RigidMotion | LocalTerm | Polarizable | Chebyshev
    | Process
    | PolarizableStep | Abreast | DeepPotential | EachPair
)  # fmt: skip
WRITERS: dict[type, ModuleType] = {
    Convolution: cpp_conv,
    Contraction: cpp_poly,
    Harmonics: cpp_edge,
    Symmetry: cpp_symmetry,
    Environment: cpp_aev,
    Chebyshev: cpp_chebyshev,
}


def covers(spec: Spec) -> bool:
    """Whether this operation is one to generate."""
    if isinstance(spec, MessagePassing):
        return all(covers(poly) for _, poly in spec.layers)
    return not isinstance(spec, Contraction) or len(spec.terms) <= MAX_TERMS


def source(spec: Spec, tangents: bool = False) -> str:
    """The whole translation unit of one operation: its kernels on values, or those on duals, a check of arguments, a trial.

    Two libraries, because only training asks for second derivatives, and duals take most of the compiling.

    >>> source(Convolution.of("0e|0.0.0e"), tangents=True).count("int forward_tangent(const Conv *a)")
    1
    """
    if isinstance(spec, Process):
        return cpp_process.source(spec, _header)
    if isinstance(spec, MessagePassing):
        return cpp_evaluator.source(spec, _header)
    if isinstance(spec, Abreast):
        return cpp_abreast.source(spec, _header)
    if isinstance(spec, EachPair):
        return cpp_each_pair.source(spec, _header)
    if isinstance(spec, Polarizable):
        return cpp_polarizable.source(spec, _header)
    if isinstance(spec, PolarizableStep):
        return cpp_layer.source(spec, _header)
    if isinstance(spec, DeepPotential):
        return cpp_deeppot.source(spec, _header)
    if isinstance(spec, LocalTerm | RigidMotion):
        return cpp_local.source(spec, _header)
    writer = WRITERS[type(spec)]
    sizes = "enum { " + ", ".join(f"{name} = {n}" for name, n in writer.sizes(spec).items()) + " };"
    # Nothing inside has a name outside of this library: the loader would share it with another operation's.
    parts = [f"// {spec}", _header("lanes.h"), "namespace {", sizes, _header(writer.HEADER), *writer.body(spec), "}"]
    return "\n".join([*parts, *_exports(writer, tangents), ""])


@cache
def _header(name: str) -> str:
    """The text of a header, with those of ours that it includes."""
    text = files("adiabat.kernels").joinpath(name).read_text()
    return re.sub(r'^#include "(\w+\.h)"\n', lambda found: _header(found[1]), text, flags=re.MULTILINE)


def _exports(writer: ModuleType, tangents: bool) -> list[str]:
    struct = writer.STRUCT
    lines = ['extern "C" {', "int lanes() { return W; }"]
    lines += [f"int check_arguments(const {struct} *a, I n) {{ return check(*a, n); }}"]
    kind, numbers = ("_tangent", "Tangents") if tangents else ("", "Values")
    lines += [
        f"int {name}{kind}(const {struct} *a) {{ int fault = 0; safely(fault, [&] {{ {name}<{numbers}>(*a); }}); return fault; }}"
        for name in writer.FUNCTIONS
    ]
    # The trial: two atoms, every number one. What the processor cannot do shows here, in a process of its own.
    calls = " ".join(f"{name}{kind}(&a);" for name in writer.FUNCTIONS)
    return [
        *lines,
        "int trial() {",
        f"  std::vector<S> ones({writer.TRIAL_SIZE}, (S)1), outs(ones.size()); const S *p = ones.data(); S *o = outs.data();",
        f"  {writer.TRIAL}",
        f"  {calls}",
        "  for (S x : outs) if (!(x - x == 0)) return 1;",
        "  return 0;",
        "}",
        "}",
    ]
