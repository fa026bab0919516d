"""The unrolled parts of a convolution in C++.

Per edge, harmonics and coupling coefficients fold into one small table B[path, a, c] = Σ_m C_amc Y_m. The channel loop is then
nothing but broadcast-multiply-adds; sums over neighbors stay in registers, and no message is ever stored:

| kernel | gives | inner loop |
|---|---|---|
| forward | A | o_c += B_ac · (R h_a) |
| backward, EDGES | Ȳ, d̄: each belongs to one edge | y_a = Σ_c B_ac g_c; B̄_ac = R h_a g_c; d̄ = R′ Σ_a h_a y_a |
| backward, NODES | h̄: added to the neighbor's rows | h̄_a += R y_a |
| backward, TABLE | the tables' gradient | w_q Σ_a h_a y_a, added to four rows |
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from adiabat.kernels.ir import Convolution

HEADER, STRUCT, FUNCTIONS = "conv.h", "Conv", ("forward", "backward")
ACCUMULATORS = 20  # vectors that a loop may keep in registers; x86-64-v4 has 32

TRIAL_SIZE = "(2 * ROWS + 2 * 17 * PATHS + 6 * PATHS + 2 * HARMONICS) * 16"
TRIAL = """I first[3] = {0, 1, 2}, i[2] = {0, 1}, j[2] = {1, 0}, kind[2] = {0, 0};
  Conv a = {2, 2, 16, 3, 6, HARMONICS, 1, 1.5, first, i, j, kind, p, p, p, p, p, p, p, p, p, p, o, o, o, o, {}, {}};
  for (int k = 0; k < OUTPUTS_MAX; k++) a.out[k] = o, a.g[k] = p;"""

MACROS = """
#define TYPES(T) typedef typename T::v v;
#define EDGE(t) const Edge<T> &edge = work.edges[t]; const v *B = work.folded(t); int lane = (t) % W;
#define PLACE(edge) ((cb / W) * a.table_rows + (edge).row) * PATHS * W
#define AT I at = PLACE(edge), later = cb + W < a.C ? at + a.table_rows * PATHS * W : at;
#define B(q) T::lane(B[q], lane)"""


def sizes(conv: Convolution) -> dict[str, int]:
    """Compile-time constants that conv.h stands on."""
    harmonics = (conv.l_max + 1) ** 2
    return {"ROWS": conv.irreps.dim, "PATHS": len(conv.paths), "HARMONICS": harmonics, "FOLDS": len(_Writer(conv).folds)}


def body(conv: Convolution) -> list[str]:
    writer = _Writer(conv)
    return [MACROS, *writer.folding(), *writer.forward(), *writer.backward()]


class _Writer:
    def __init__(self, conv: Convolution) -> None:
        self.conv = conv
        self.rows = conv.irreps.rows

    # -- what paths look like ------------------------------------------------------------------------------------------

    def start(self, p: int) -> int:
        """The first row of path p's input."""
        return self.rows[self.conv.paths[p].input].start

    def parts(self, p: int) -> tuple[range, range]:
        """Rows a of path p's input, rows c of its output."""
        path = self.conv.paths[p]
        return range(self.conv.irreps[path.input].dim), range(path.output.dim)

    def at(self, p: int, c: int) -> str:
        """Where path p's row c of atom n lies in its output [N, 2l+1, paths, C]."""
        o, slot = self.conv.slots[p]
        k = self.conv.multiplicity[o]
        return f"(n * {self.conv.outputs[o].dim * k} + {c * k + slot}) * a.C + cb"

    def output(self, p: int) -> int:
        return self.conv.slots[p][0]

    def features(self, p: int) -> str:
        return " ".join(f"v h{a} = T::load(h, hj + {self.start(p) + a} * a.C);" for a in self.parts(p)[0])

    @cached_property
    def folds(self) -> dict[tuple[int, int, int], int]:
        """The place of (path, a, c) in an edge's table B."""
        keys = dict.fromkeys((t.path, t.a - self.start(t.path), t.c) for t in self.conv.coefficients)
        return {key: q for q, key in enumerate(keys)}

    def folding(self) -> list[str]:
        sums: dict[int, list[str]] = {}
        for t in self.conv.coefficients:
            q = self.folds[t.path, t.a - self.start(t.path), t.c]
            sums.setdefault(q, []).append(f"(S){t.value!r} * y[{t.m}]")
        lines = [f"  B[{q}] = {' + '.join(terms)};" for q, terms in sums.items()]
        return ["template <class T> static void fold(const typename T::v *y, typename T::v *B) {", *lines, "}"]

    # -- forward -------------------------------------------------------------------------------------------------------

    def units(self) -> Iterator[list[int]]:
        """Paths of one input whose outputs fit into the registers together."""
        for k in range(len(self.rows)):
            unit: list[int] = []
            for p in (p for p, path in enumerate(self.conv.paths) if path.input == k):
                if unit and sum(len(self.parts(q)[1]) for q in (*unit, p)) > ACCUMULATORS:
                    yield unit
                    unit = []
                unit.append(p)
            if unit:
                yield unit

    def forward(self) -> list[str]:
        units = list(self.units())
        return [
            *(line for u, unit in enumerate(units) for line in self.sum(u, unit)),
            "template <class T> static void sums(const Conv &a, const Work<T> &work, I n0, I n1, I e0) {",
            "  ask(a, work, n0, n1, e0);",
            "  for (I cb = 0; cb < a.C; cb += W) for (I n = n0; n < n1; n++) {",
            *(f"    sum{u}<T>(a, work, n, e0, cb);" for u in range(len(units))),
            "  } }",
        ]

    def sum(self, u: int, unit: list[int]) -> list[str]:
        code = [f"template <class T> static void sum{u}(const Conv &a, const Work<T> &work, I n, I e0, I cb) {{ TYPES(T)"]
        code += [f"  v {', '.join(f'o{p}_{c} = {{}}' for c in self.parts(p)[1])};" for p in unit]
        code += ["  In h = {a.h, a.ht}, table = {a.blocked, a.blockedt};"]
        code += ["  for (I e = a.first[n]; e < a.first[n + 1]; e++) { EDGE(e - e0) AT"]
        code += [f"    I hj = a.j[e] * ROWS * a.C + cb; {self.features(unit[0])}"]
        for p in unit:
            code += [f"    {{ soon(table, later + {p} * W, PATHS * W); v R = mix<T>(edge.w, table, at + {p} * W, PATHS * W);"]
            for a in self.parts(p)[0]:
                terms = [f"o{p}_{c} += B({self.folds[p, a, c]}) * x;" for c in self.parts(p)[1] if (p, a, c) in self.folds]
                code += [f"      {{ v x = R * h{a}; {' '.join(terms)} }}"]
            code += ["    }"]
        return [
            *code,
            "  }",
            *(f"  T::put(a.out[{self.output(p)}], {self.at(p, c)}, o{p}_{c});" for p in unit for c in self.parts(p)[1]),
            "}",
        ]

    # -- backward ------------------------------------------------------------------------------------------------------

    def backward(self) -> list[str]:
        paths = range(len(self.conv.paths))
        return [
            *(line for p in paths for line in self.edge(p)),
            "template <class T, bool EDGES, bool NODES, bool TABLE, bool BLOCKED>",
            "static void gradients(const Conv &a, const Work<T> &work, I n0, I n1, I e0, I c0, I c1) { TYPES(T)",
            "  for (I n = n0; n < n1; n++) for (I e = a.first[n]; e < a.first[n + 1]; e++) { EDGE(e - e0)",
            "    v yb[HARMONICS] = {}, db = {}; I hj = a.j[e] * ROWS * a.C;",
            *(f"    edge{p}<T, EDGES, NODES, TABLE, BLOCKED>(a, edge, B, lane, n, hj, c0, c1, yb, db);" for p in paths),
            "    if (EDGES) {",
            "      T::sums(yb, a.Yb + e * a.harmonics, HARMONICS);",
            "      a.db[e] = T::sum(db);",
            "    } } }",
        ]

    def edge(self, p: int) -> list[str]:
        rows_a, rows_c = self.parts(p)
        code = [
            "template <class T, bool EDGES, bool NODES, bool TABLE, bool BLOCKED>",
            f"static void edge{p}(const Conv &a, const Edge<T> &edge, const typename T::v *B, int lane, I n, I hj, I c0, I c1,",
            "    typename T::v *yb, typename T::v &db) { TYPES(T)",
            "  In h = {a.h, a.ht}, table = {BLOCKED ? a.blocked : a.table, BLOCKED ? a.blockedt : a.tablet};",
            "  const I row = PATHS * (BLOCKED ? W : a.C);",
            f"#define PATH_ROW(edge) (BLOCKED ? PLACE(edge) + {p} * W : ((edge).row * PATHS + {p}) * a.C + cb)",
        ]
        width = max(1, ACCUMULATORS // len(rows_a))
        for c0 in range(0, len(rows_c), width):  # everything is a sum over c: what does not fit at once comes in parts
            code += self.edge_part(p, rows_c[c0 : c0 + width])
        return [*code, "}", "#undef PATH_ROW"]

    def edge_part(self, p: int, rows_c: range) -> list[str]:
        rows_a, start = self.parts(p)[0], self.start(p)
        chosen = [(a, c) for c in rows_c for a in rows_a if (p, a, c) in self.folds]
        if not chosen:
            return []
        used = sorted({a for a, _ in chosen})
        code = [
            f"  {{ v {', '.join(f'b{a}_{c} = {{}}' for a, c in chosen)};",
            "  for (I cb = c0; cb < c1; cb += W) { I hc = hj + cb;",
            "    I at = PATH_ROW(edge); soon(table, PATH_ROW((&edge)[1]), row); v R = mix<T>(edge.w, table, at, row);",
            *(f"    v h{a} = T::load(h, hc + {start + a} * a.C), x{a} = R * h{a}, y{a} = {{}};" for a in used),
        ]
        for c in rows_c:
            terms = [
                f"y{a} += B({self.folds[p, a, c]}) * g; if (EDGES) b{a}_{c} += x{a} * g;" for a in used if (a, c) in chosen
            ]
            code += [f"    {{ V g = fixed(a.g[{self.output(p)}], {self.at(p, c)}); {' '.join(terms)} }}"] if terms else []
        code += [f"    if (EDGES || TABLE) {{ v Rb = {' + '.join(f'y{a} * h{a}' for a in used)};"]
        code += ["      if (EDGES) db += Rb * mix<T>(edge.slope, table, at, row);"]
        code += ["      if (TABLE) for (int q = 0; q < 4; q++) T::add(a.tableb, at + q * row, edge.w[q] * Rb); }"]
        code += ["    if (NODES) { " + " ".join(f"T::add(a.hb, hc + {start + a} * a.C, R * y{a});" for a in used) + " } }"]
        slopes = [t for t in self.conv.coefficients if t.path == p and (t.a - start, t.c) in chosen]
        code += ["  if (EDGES) {", *(f"    yb[{t.m}] += (S){t.value!r} * b{t.a - start}_{t.c};" for t in slopes), "  } }"]
        return code
