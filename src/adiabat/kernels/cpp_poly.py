"""The unrolled parts of a polynomial in C++: Horner trees, their values and, walked once more, their gradients."""

from __future__ import annotations

from adiabat.kernels.ir import Contraction, horner

HEADER, STRUCT, FUNCTIONS = "poly.h", "Poly", ("forward", "backward")
TERMS_IN_A_FUNCTION = 120  # compile time grows faster than linearly with a function's length

TRIAL_SIZE = "(2 * ROWS + 2 * OUTPUTS + TERMS) * 16"
TRIAL = "I order[2] = {0, 1}, species[2] = {0, 0}; Poly a = {2, 16, 1, order, species, p, p, p, p, p, o, o, o};"

MACROS = """
#define TYPES(T) typedef typename T::v v;
#define C(t) T::load(c, at + t * W)"""


def sizes(poly: Contraction) -> dict[str, int]:
    """Compile-time constants that poly.h stands on."""
    return {"ROWS": poly.irreps.dim, "OUTPUTS": poly.outputs.dim, "TERMS": len(poly.terms)}


def body(poly: Contraction) -> list[str]:
    code = [MACROS]
    calls: dict[int, list[int]] = {row: [] for row in range(poly.outputs.dim)}
    for row, root in horner(poly.terms).items():
        for part in _split(root):
            k = sum(map(len, calls.values()))
            calls[row].append(k)
            code += [
                f"template <class T> static inline typename T::v value{k}(const typename T::v *x, In c, I at) {{ TYPES(T)",
                *("  v m0 = {};", *_value(part), "  return m0;", "}"),
                f"template <class T, bool COEFFICIENTS> static void slope{k}(const typename T::v *x, In c, I at, V g0,",
                *("    typename T::v *xb, S *cb) { TYPES(T)", *_slope(part), "}"),
            ]
    code += ["template <class T> static void evaluate(const typename T::v *x, In c, I at, S *out, I to, I stride) {"]
    for row, mine in calls.items():
        value = " + ".join(f"value{k}<T>(x, c, at)" for k in mine) or "typename T::v{}"
        code += [f"  T::put(out, to + {row} * stride, {value});"]
    code += ["}", "template <class T, bool COEFFICIENTS> static void differentiate("]
    code += ["    const typename T::v *x, In c, I at, const S *g, I from, I stride, typename T::v *xb, S *cb) {"]
    for row, mine in calls.items():
        slopes = " ".join(f"slope{k}<T, COEFFICIENTS>(x, c, at, g0, xb, cb);" for k in mine)
        code += [f"  {{ V g0 = fixed(g, from + {row} * stride); {slopes} }}"]
    return [*code, "}"]


def _split(root: dict) -> list[dict]:
    """The terms of one row as trees of bounded size, by their first factor."""
    parts: list[dict] = [{}]
    terms = 0
    for factor, child in root.items():
        more = _size(child)
        if parts[-1] and terms + more > TERMS_IN_A_FUNCTION:
            parts.append({})
            terms = 0
        parts[-1][factor] = child
        terms += more
    return parts


def _size(node: dict) -> int:
    return sum(1 if factor is None else _size(child) for factor, child in node.items())


def _begin(child: dict) -> str:
    return f"C({child[None]})" if None in child else "{}"


def _value(node: dict, depth: int = 0) -> list[str]:
    """m += Σ_k x_k (value of the child k)."""
    lines, m, inner = [], f"m{depth}", f"m{depth + 1}"
    for k, child in node.items():
        if k is None:
            continue
        if set(child) == {None}:
            lines += [f"  {m} += {_begin(child)} * x[{k}];"]
        else:
            lines += [f"  {{ v {inner} = {_begin(child)};", *_value(child, depth + 1), f"  {m} += {inner} * x[{k}]; }}"]
    return lines


def _slope(node: dict, depth: int = 0) -> list[str]:
    """The tree once more, with the adjoint g of each node: g of its parent times the factor between them.

    A child k adds g · (its value) to x̄_k; a coefficient's own gradient is the g of its node.
    """
    lines, m, g, inner, g_inner = [], f"m{depth}", f"g{depth}", f"m{depth + 1}", f"g{depth + 1}"
    for k, child in node.items():
        if k is None:
            continue
        adjoint = f"v {g_inner} = x[{k}] * {g};"
        keep = f"T::add(cb, {child[None]} * W, {g_inner});" if None in child else ""
        lines += [f"  {{ v {inner} = {_begin(child)};"]
        if set(child) == {None}:
            lines += [f"  if (COEFFICIENTS) {{ {adjoint} {keep} }}"]
        else:
            lines += [f"  {adjoint}" + (f" if (COEFFICIENTS) {keep}" if keep else ""), *_slope(child, depth + 1)]
        lines += [f"  xb[{k}] += {inner} * {g};" + (f" {m} += {inner} * x[{k}];" if depth else "") + " }"]
    return lines
