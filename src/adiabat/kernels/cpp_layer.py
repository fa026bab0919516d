"""One layer of a scalar-vector potential (PaiNN) for training; all of it stands in `layer.h`, its sizes come at run time."""

from __future__ import annotations

from adiabat.kernels.ir import PolarizableStep

FUNCTIONS = "forward_edges", "forward_layer", "backward_layer", "double_edges", "double_layer"


def source(spec: PolarizableStep, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> source(PolarizableStep(), lambda name: "").count("void double_layer_of(const Layer *a)")
    1
    """
    exports = [f"void {name}_of(const Layer *a) {{ {name}(*a); }}" for name in FUNCTIONS]
    # Nothing inside has a name outside of this library: the loader would share it with another operation's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "namespace {", header("layer.h"), "}", 'extern "C" {']
    calls = "\n".join(f"  {name}(a);" for name in FUNCTIONS)
    return "\n".join([*parts, *exports, _REST.replace("CALLS", calls), ""])


_REST = """int edge_size(int tangents) { return (tangents ? sizeof(Edge<Tangents>) : sizeof(Edge<Values>)) / sizeof(S); }
int check_arguments(const Layer *a, const I *i, I edges) { return check(*a, i, edges); }
// The trial: two atoms, every number one. What the processor cannot do shows here, in a process of its own.
int trial() {
  I first[3] = {0, 1, 2}, j[2] = {1, 0}, kind[2] = {0, 0};
  std::vector<S> ones(1024, (S)1), outs(1024, (S)1), near(1024);
  Layer a = {};
  const S **in[] = {&a.s, &a.v, &a.r, &a.table, &a.b1, &a.b2, &a.c1, &a.c2, &a.gs, &a.gv, &a.st, &a.vt, &a.rt};
  for (const S **p : in) *p = ones.data();
  for (S **p = &a.z1; p <= &a.edges; p++) *p = outs.data();
  for (S **p = &a.ab; p <= &a.tableb; p++) *p = outs.data();
  for (S **p = &a.z1t; p <= &a.of_vn; p++) *p = outs.data();
  for (S **p = &a.Phi1b; p <= &a.pack; p++) *p = outs.data();
  for (const S **p = &a.Phi1; p <= &a.A2; p++) *p = ones.data();
  a.atoms = 2, a.C = 16, a.paths = a.parts = 3, a.intervals = 3, a.kinds = a.threads = 1, a.cutoff = 2, a.epsilon = 1;
  a.first = first, a.j = j, a.kind = kind, a.edges = near.data(), a.edgest = near.data() + 512;
CALLS
  return check(a, kind, 2) == 2 ? 0 : 1;
}
}"""
