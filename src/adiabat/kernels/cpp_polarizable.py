"""A whole scalar-vector potential (PaiNN) as one C++ function; all of it stands in `polarizable.h`, its sizes come at run time."""

from __future__ import annotations

from adiabat.kernels.cpp_exports import MOVED
from adiabat.kernels.ir import Polarizable


def source(spec: Polarizable, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "int evaluate" in source(Polarizable(), lambda name: "")
    True
    """
    # Nothing inside has a name outside of this library: the loader would share it with another potential's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "#include <new>", "namespace {"]
    return "\n".join([*parts, *(header(name) for name in ("walk.h", "polarizable.h")), "}", _EXPORTS, MOVED, ""])


_EXPORTS = """extern "C" {
int lanes() { return W; }
int panel() { return PANEL; }
int group() { return GROUP; }
void *make(const double *lone, const Facts *facts) { return new (std::nothrow) Model(*facts, lone); }
void drop(void *model) { delete (Model *)model; }
int evaluate(void *model, const Input *in) {
  Model &m = *(Model *)model;
  if (int fault = check(*in, m.species)) return fault;
  try { reserve(m, *in); } catch (const std::bad_alloc &) { return 7; }
  run(m, *in);
  return m.fault;
}
// What the processor cannot do shows here, in a process of its own: one product and one exponential.
int trial() {
  std::vector<S> x(4 * W, (S)1), y(4 * W), w(16 * W * W, (S)1); const S *from = x.data(); S *to = y.data();
  Rows rows; rows.add(from, to); rows.times(Matrix{w.data(), W, PANEL * W});
  return y[0] == W && sigmoid(V{})[0] == (S)0.5 ? 0 : 1;
}
}"""
