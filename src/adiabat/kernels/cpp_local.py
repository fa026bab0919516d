"""Whole local terms in C++: descriptors with a network for each element, each one function of a `Call`; and what a step of dynamics needs
beside.

What differs between them stands in `networks.h` (on `descriptor.h`, `listed.h`, `environment.h` or `invariants.h`, `dense.h` and
`vectors.h`); nothing is written here but sizes, powers and the frame.
"""

from __future__ import annotations

from types import ModuleType

from adiabat.kernels import cpp_aev, cpp_invariants, cpp_listed, cpp_symmetry
from adiabat.kernels.cpp_exports import exports
from adiabat.kernels.ir import Environment, Invariants, Listed, LocalTerm, RigidMotion, Symmetry

DESCRIPTORS: dict[type, tuple[ModuleType, str]] = {
    Symmetry: (cpp_symmetry, "descriptor.h"),
    Environment: (cpp_aev, "environment.h"),
    Invariants: (cpp_invariants, "invariants.h"),
    Listed: (cpp_listed, "listed.h"),
}


def source(spec: LocalTerm | RigidMotion, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "int evaluate" in source(LocalTerm.of("networks;8;1;1.2.4"), lambda name: "")
    True
    """
    if isinstance(spec, RigidMotion):
        return "\n".join(
            [f"// {spec}", header("lanes.h"), "#include <utility>", "namespace {", header("rigid.h"), "}", *_RIGID, ""]
        )
    # Nothing inside has a name outside of this library: the loader would share it with another potential's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "#include <new>", "namespace {"]
    writer, descriptor = DESCRIPTORS[type(spec.symmetry)]
    sizes = ", ".join(f"{name} = {n}" for name, n in writer.sizes(spec.symmetry).items())
    parts += [f"enum {{ {sizes} }};", header("vectors.h"), *writer.body(spec.symmetry)]
    parts += [header(name) for name in ("call.h", "dense.h", descriptor, "networks.h")]
    return "\n".join([*parts, "}", exports(_TRIAL), ""])


_RIGID = [
    'extern "C" {',
    "void without(const Rigid *a, const double *r, const double *v, double *out) {",
    "  for (I s = 0; s < a->structures; s++) one(*a, s, r, v, out);",
    "}",
    "int trial() { return 0; }",
    "}",
]
_TRIAL = """  std::vector<S> x(TILE * W, (S)1), w(W * W, (S)1), y(TILE * W), b(W, (S)0);
  times(x.data(), TILE, W, w.data(), W, b.data(), y.data());
  V e = activate(TANH, *(VU *)y.data());
  return e[0] > 0 && y[0] == W ? 0 : 1;"""
