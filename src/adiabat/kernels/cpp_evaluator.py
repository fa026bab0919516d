"""A whole message-passing potential as one C++ function: the kernels of each layer in a namespace, and the walk over them.

The unrolled parts are those of `cpp_edge`, `cpp_conv` and `cpp_poly`, unchanged; `evaluator.h` calls them chunk by chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from adiabat.kernels import cpp_conv, cpp_edge, cpp_poly
from adiabat.kernels.cpp_exports import MOVED
from adiabat.kernels.ir import Harmonics, MessagePassing


def source(spec: MessagePassing, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "struct Layer0" in source(MessagePassing.of("0e|0.0.0e&0e|0e|1"), lambda name: "")
    True
    """
    parts = [f"// {spec}".replace("\n", " "), header("lanes.h")]
    # Nothing below has a name outside of this library: the loader would share a layer's tables with another potential's.
    parts += ["#include <algorithm>", "#include <new>", "namespace {"]
    geometry = Harmonics(spec.l_max)
    parts += _namespace("GEOMETRY", geometry, cpp_edge, header)
    for t, (conv, poly) in enumerate(spec.layers):
        parts += _namespace(f"conv{t}", conv, cpp_conv, header) + _namespace(f"poly{t}", poly, cpp_poly, header)
    parts += [
        header("walk.h"),
        header("evaluator.h"),
        *(line for t in range(len(spec.layers)) for line in _layer(spec, t)),
        *_walk(spec),
    ]
    return "\n".join([*parts, ""])


def _namespace(name: str, spec, writer, header) -> list[str]:
    sizes = "enum { " + ", ".join(f"{key} = {n}" for key, n in writer.sizes(spec).items()) + " };"
    body = writer.body(spec)
    macros = re.findall(r"#define (\w+)", "\n".join(body))
    return [f"namespace {name} {{", sizes, header(writer.HEADER), *body, "}", *(f"#undef {macro}" for macro in macros)]


def _layer(spec: MessagePassing, t: int) -> list[str]:
    conv, poly = spec.layers[t]
    middle = [sum(out.dim * k for out, k in list(zip(conv.outputs, conv.multiplicity))[:o]) for o in range(len(conv.outputs))]
    tables = {
        "dim": [out.dim for out in conv.outputs],
        "many": conv.multiplicity,
        "middle": middle,
        "start": [rows.start for rows in poly.irreps.rows],
        "out_dim": [out.dim for out in poly.outputs],
        "out_start": [rows.start for rows in poly.outputs.rows],
    }
    sizes = {
        "ROWS": conv.irreps.dim, "MIXES": len(conv.outputs), "MIXED": poly.irreps.dim, "OUTS": len(poly.outputs),
        "OUT": poly.outputs.dim, "TERMS": len(poly.terms),
        "MIDDLE": sum(out.dim * k for out, k in zip(conv.outputs, conv.multiplicity)),
    }  # fmt: skip
    return [
        f"struct Layer{t} {{",
        f"  typedef conv{t}::Conv Conv; typedef conv{t}::Work<Values> Work;",
        "  enum { " + ", ".join(f"{name} = {n}" for name, n in sizes.items()) + " };",
        *(f"  static constexpr int {name}[] = {{{_numbers(values)}}};" for name, values in tables.items()),
        f"  static void sums(const Conv &a, const Work &work, I n) {{ conv{t}::sums<Values>(a, work, 0, n, 0); }}",
        "  static void gradients(const Conv &a, const Work &work, I n, bool nodes) {",
        f"    if (nodes) conv{t}::gradients<Values, true, true, false, true>(a, work, 0, n, 0, 0, a.C);",
        f"    else conv{t}::gradients<Values, true, false, false, true>(a, work, 0, n, 0, 0, a.C);",
        "  }",
        "  static inline void evaluate(const V *x, In c, I at, S *out, I to, I stride) {",
        f"    poly{t}::evaluate<Values>(x, c, at, out, to, stride);",
        "  }",
        "  static inline void differentiate(const V *x, In c, I at, const S *g, I from, I stride, V *xb) {",
        f"    poly{t}::differentiate<Values, false>(x, c, at, g, from, stride, xb, nullptr);",
        "  }",
        "};",
    ]


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def _walk(spec: MessagePassing) -> list[str]:
    final = len(spec.layers) - 1
    return [
        "}",
        'extern "C" {',
        "int lanes() { return W; }",
        "int panel() { return PANEL; }",
        "void *make(const double *lone, I C, I species, double cutoff, Weights *weights) {",
        "  Model *m = new (std::nothrow) Model();",
        f"  if (m) m->C = C, m->species = species, m->layers = {final + 1}, m->cutoff = cutoff,",
        "    m->lone = lone, m->weights = weights;",
        "  return m;",
        "}",
        "void drop(void *model) { delete (Model *)model; }",
        "int evaluate(void *model, const Input *given) {",
        "  Model &m = *(Model *)model;",
        "  if (int fault = check(*given, m.species)) return fault;",
        "  Input in = *given;",
        "  in.threads = std::max((I)1, std::min(in.threads, pieces(in)));",
        "  try { begin(m, in);",
        *(f"    reserve<Layer{t}>(m, in, {t}, {'true' if t == final else 'false'});" for t in range(final + 1)),
        "  } catch (const std::bad_alloc &) { return 7; }",
        *(f"  forward<Layer{t}>(m, in, {t});" for t in range(final)),
        f"  last<Layer{final}>(m, in, {final});",
        *(f"  backward<Layer{t}>(m, in, {t});" for t in reversed(range(final))),
        "  collect(in, m.rb.data());",
        "  return m.fault;",
        "}",
        # What the processor cannot do shows here, in a process of its own: one product in every width.
        "int trial() {",
        "  std::vector<S> x(4 * W, (S)1), y(4 * W), w(16 * W * W, (S)1); const S *from = x.data(); S *to = y.data();",
        "  Rows rows; rows.add(from, to); rows.times(Matrix{w.data(), W, PANEL * W});",
        "  return y[0] == W ? 0 : 1;",
        "}",
        "}",
        MOVED,
    ]
