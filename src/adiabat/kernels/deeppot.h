// A Deep Potential (smooth edition) in one call: Zhang et al., NeurIPS 2018 (arXiv:1805.09003). No atom reads what another one made, so
// that a chunk of centers goes forth and back before it leaves the cache. A [4, M]: the embedded environment, of each neighbor a spline
// of its distance times 1 and its direction; D_am = Σ_k A_ka A_km for a < axis, m ≥ a (it is symmetric in its first columns, and the
// weights know); then the fitting network of the center's element. Rows of channels are padded: what stands there meets zeros.
struct Step {  // y = copies of x + Δt ∘ tanh(x w + b)
  Matrix w, wt;         // [from, columns of y], [to, columns of x]
  I from, copies;
  const S *bias, *dt;   // padded with zeros
};

struct Facts {
  I species, M, C, axis, paths, intervals, layers, wide;  // C: M padded; wide: the widest row of any layer
  double cutoff;
  const S *table;       // [species², intervals + 3, paths, C], divided by the expected number of neighbors
  const S *background;  // [species, C], likewise
  const Step *steps;    // [species, layers]
  const S *last;        // [species, wide]
};

struct Near {  // an edge below the cutoff: where its splines begin, their weights and slopes
  const S *rows;
  I edge;
  S w[4], slope[4], u[3], d;
};

struct Local {
  std::vector<Near> near;
  std::vector<I> first;
  std::vector<S> A, Ab, x, t, back;
  Rows rows;
};

struct Model : Facts {
  Model(const Facts &facts, const double *lone) : Facts(facts), lone(lone) {}
  const double *lone;  // [species] what is subtracted: the energy of a lone atom
  std::vector<S> rb;
  std::vector<Local> locals;
};

static inline V load(const S *p) { return *(const VU *)p; }
static inline void store(S *p, V x) { *(VU *)p = x; }
static inline V tangent(V x) {  // the hyperbolic one
  V e = exponential((x < 0 ? x : -x) * (S)2), y = ((S)1 - e) / ((S)1 + e);
  return x < 0 ? -y : y;
}

static void reserve(Model &m, const Input &in) {
  m.rb.resize(3 * in.edges + 1);
  if ((I)m.locals.size() < in.threads) m.locals.resize(in.threads);
  for (Local &l : m.locals) {
    if (l.A.size()) continue;
    // Whole vectors may be read and written beyond the last row.
    l.A.assign(4 * PIECE * m.C + W, 0), l.Ab.assign(4 * PIECE * m.C + W, 0);
    l.x.assign((m.layers + 1) * PIECE * m.wide + W, 0), l.t.assign(m.layers * PIECE * m.wide + W, 0);
    l.back.assign(3 * PIECE * m.wide + W, 0);
    l.first.assign(PIECE + 1, 0);
  }
}

struct Chunk {
  Model &m;
  const Input &in;
  Local &l;
  I n0, n;
  Chunk(Model &m, const Input &in, I k) : m(m), in(in), l(m.locals[in.threads > 1 ? thread() : 0]), n0(k * PIECE) {
    n = std::min((I)PIECE, in.atoms - n0);
  }
  S *A(I k, int x) { return l.A.data() + (4 * k + x) * m.C; }
  S *Ab(I k, int x) { return l.Ab.data() + (4 * k + x) * m.C; }
  S *x(I t, I k) { return l.x.data() + (t * PIECE + k) * m.wide; }  // what layer t reads
  S *t(I t, I k) { return l.t.data() + (t * PIECE + k) * m.wide; }
  S *back(I which, I k) { return l.back.data() + (which * PIECE + k) * m.wide; }

  void neighbors() {
    l.near.clear();
    S per = (S)(m.intervals / m.cutoff);
    const S sixth = (S)1 / 6, half = (S)1 / 2;
    for (I k = 0; k < n; k++) {
      I c = in.species[n0 + k];
      for (I e = in.first[n0 + k]; e < in.first[n0 + k + 1]; e++) {
        const double *r = in.r + 3 * e;
        double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
        for (int x = 0; x < 3; x++) m.rb[3 * e + x] = 0;
        if (square >= m.cutoff * m.cutoff) continue;
        double exact = std::sqrt(square), at = exact * (m.intervals / m.cutoff);
        I row = std::min((I)at, m.intervals - 1);
        Near near;
        near.edge = e, near.d = (S)exact;
        for (int x = 0; x < 3; x++) near.u[x] = (S)(r[x] / exact);
        near.rows = m.table + ((c * m.species + in.species[in.j[e]]) * (m.intervals + 3) + row) * m.paths * m.C;
        S t = (S)(at - row), u = (S)1 - t, tt = t * t, uu = u * u;
        near.w[0] = sixth * (uu * u), near.w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
        near.w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu), near.w[3] = sixth * (tt * t);
        near.slope[0] = (-half * per) * uu, near.slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
        near.slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u), near.slope[3] = (half * per) * tt;
        l.near.push_back(near);
      }
      l.first[k + 1] = l.near.size();
    }
  }

  // A of one center: its background and the sum over its neighbors
  template <int P> void embed(I k) {
    const S *background = m.background + in.species[n0 + k] * m.C;
    for (I c = 0; c < m.C; c += W) {
      V a0 = load(background + c), a1 = {}, a2 = {}, a3 = {};
      for (I e = l.first[k]; e < l.first[k + 1]; e++) {
        const Near &near = l.near[e];
        const S *at = near.rows + c;
        const I row = P * m.C;
        a0 += near.w[0] * load(at) + near.w[1] * load(at + row) + near.w[2] * load(at + 2 * row) + near.w[3] * load(at + 3 * row);
        if (P == 1) continue;
        at += m.C;
        V p = near.w[0] * load(at) + near.w[1] * load(at + row) + near.w[2] * load(at + 2 * row) + near.w[3] * load(at + 3 * row);
        a1 += near.u[0] * p, a2 += near.u[1] * p, a3 += near.u[2] * p;
      }
      store(A(k, 0) + c, a0);
      if (P == 2) store(A(k, 1) + c, a1), store(A(k, 2) + c, a2), store(A(k, 3) + c, a3);
    }
  }

  // The gradients of one center's edges by Ab
  template <int P> void edges(I k) {
    const S *b0 = Ab(k, 0), *b1 = Ab(k, 1), *b2 = Ab(k, 2), *b3 = Ab(k, 3);
    const I row = P * m.C;
    for (I e = l.first[k]; e < l.first[k + 1]; e++) {
      const Near &near = l.near[e];
      const S *w = near.w, *s = near.slope, *u = near.u;
      V sum[4] = {};  // along the distance; the directions
      for (I c = 0; c < m.C; c += W) {
        const S *at = near.rows + c;
        V along = s[0] * load(at) + s[1] * load(at + row) + s[2] * load(at + 2 * row) + s[3] * load(at + 3 * row);
        sum[0] += along * load(b0 + c);
        if (P == 1) continue;
        at += m.C;
        V q0 = load(at), q1 = load(at + row), q2 = load(at + 2 * row), q3 = load(at + 3 * row);
        V p = w[0] * q0 + w[1] * q1 + w[2] * q2 + w[3] * q3, slope = s[0] * q0 + s[1] * q1 + s[2] * q2 + s[3] * q3;
        V x = load(b1 + c), y = load(b2 + c), z = load(b3 + c);
        sum[0] += slope * (u[0] * x + u[1] * y + u[2] * z);
        sum[1] += p * x, sum[2] += p * y, sum[3] += p * z;
      }
      S g[4];
      totals(sum, g, 4);
      S radial = g[1] * u[0] + g[2] * u[1] + g[3] * u[2];
      for (int x = 0; x < 3; x++) m.rb[3 * near.edge + x] = g[0] * u[x] + (g[1 + x] - radial * u[x]) / near.d;
    }
  }

  void describe(I k) {
    S *D = x(0, k);
    if (m.paths == 1) {
      for (I c = 0; c < m.M; c += W) store(D + c, load(A(k, 0) + c));
      return;
    }
    const S *a[4] = {A(k, 0), A(k, 1), A(k, 2), A(k, 3)};
    for (I axis = 0; axis < m.axis; D += m.M - axis, axis++)  // what is written too much, the next row overwrites
      for (I c = axis; c < m.M; c += W)
        store(D + c - axis, a[0][axis] * load(a[0] + c) + a[1][axis] * load(a[1] + c) + a[2][axis] * load(a[2] + c) + a[3][axis] * load(a[3] + c));
  }

  void undescribe(I k, const S *Db) {
    S *b[4] = {Ab(k, 0), Ab(k, 1), Ab(k, 2), Ab(k, 3)};
    if (m.paths == 1) {
      for (I c = 0; c < m.C; c += W) store(b[0] + c, load(Db + c));
      return;
    }
    const S *a[4] = {A(k, 0), A(k, 1), A(k, 2), A(k, 3)};
    std::fill_n(b[0], 4 * m.C, (S)0);
    for (I axis = 0; axis < m.axis; Db += m.M - axis, axis++) {
      V sum[4] = {};
      for (I c = axis; c < m.M; c += W) {
        V d = load(Db + c - axis);
        for (int x = 0; x < 4; x++) {
          sum[x] += d * load(a[x] + c);
          store(b[x] + c, load(b[x] + c) + d * a[x][axis]);
        }
      }
      S more[4];
      totals(sum, more, 4);
      for (int x = 0; x < 4; x++) b[x][axis] += more[x];
    }
  }

  // Energies of the centers of one element, and the gradients of their descriptors in back(2, …)
  void fit(I species) {
    const Step *steps = m.steps + species * m.layers;
    const S *last = m.last + species * m.wide;
    auto each = [&](auto todo) {
      for (I k = 0; k < n; k++)
        if (in.species[n0 + k] == species) todo(k);
    };
    for (I s = 0; s < m.layers; s++) {
      const Step &step = steps[s];
      l.rows.clear();
      each([&](I k) { l.rows.add(x(s, k), t(s, k)); });
      l.rows.times(step.w);
      each([&](I k) {
        S *z = t(s, k), *y = x(s + 1, k);
        const S *from = x(s, k);
        for (I c = 0; c < step.w.N; c += W) {
          V e = tangent(load(z + c) + load(step.bias + c));
          store(z + c, e), store(y + c, e * load(step.dt + c));
        }
        for (I copy = 0; copy < step.copies; copy++)
          for (I c = 0; c < step.from; c++) y[copy * step.from + c] += from[c];
      });
    }
    const I width = steps[m.layers - 1].w.N;
    each([&](I k) {
      in.energies[n0 + k] = (double)dot(x(m.layers, k), last, width) - m.lone[species];
      std::copy_n(last, width, back(0, k));
    });
    for (I s = m.layers - 1; s >= 0; s--) {
      const Step &step = steps[s];
      // gradients by y come in one of two rows, those by x go into the other; by z they stand in the third
      I now = (m.layers - 1 - s) % 2;
      l.rows.clear();
      each([&](I k) {
        const S *yb = back(now, k);
        S *zb = t(s, k);
        for (I c = 0; c < step.w.N; c += W) {
          V e = load(zb + c);
          store(zb + c, load(yb + c) * load(step.dt + c) * ((S)1 - e * e));
        }
        l.rows.add(zb, back(s ? 1 - now : 2, k));
      });
      l.rows.times(step.wt);
      each([&](I k) {
        const S *yb = back(now, k);
        S *xb = back(s ? 1 - now : 2, k);
        for (I copy = 0; copy < step.copies; copy++)
          for (I c = 0; c < step.from; c++) xb[c] += yb[copy * step.from + c];
      });
    }
  }

  template <int P> void all() {
    neighbors();
    for (I k = 0; k < n; k++) embed<P>(k), describe(k);
    for (I species = 0; species < m.species; species++) fit(species);
    for (I k = 0; k < n; k++) undescribe(k, back(2, k)), edges<P>(k);
  }
};

static int run(Model &m, const Input &in) {
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic) if (in.threads > 1)
  for (I k = 0; k < pieces(in); k++) safely(fault, [&] {
    Chunk chunk(m, in, k);
    if (m.paths == 2) chunk.all<2>();
    else chunk.all<1>();
  });
  if (!fault) collect(in, m.rb.data());
  return fault;
}
