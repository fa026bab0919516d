// Scalars and vectors on atoms that pass messages (PaiNN), a whole potential in one call; Schütt, Unke and Gastegger 2021
// (arXiv:2102.03150). Centers are walked in chunks; a chunk is summed over its neighbors, updated, and its message features are made
// before it leaves the cache. The last layer goes forth and back at once. Kept for the way back: what the updates' matrices gave.
// Features that neighbors read lie in groups of channels, [atom][group][rows][GROUP]: a group of all rows is one stretch of memory.
#include "gates.h"
enum { VECTORS = 2, GROUP = VECTORS * W, FULL = 5, FIRST = 2 };  // rows of message features: φ_s, φ_vs, φ_vv v_x, φ_vv v_y, φ_vv v_z

struct Dense {  // x → silu(x first + bias) second + more
  Matrix first, firstT, second, secondT;
  const S *bias, *more;
};

struct Weights {
  I rows;          // of the table: kinds × (intervals + 3)
  const S *table;  // [groups][rows][paths][GROUP], paths 0e → 0e, 0e → 1o (times √3), 1o → 1o
  Dense phi, a;    // φ of this layer's messages; a_ss, a_sv, a_vv
  Matrix mixed, mixedT;  // U | V
};

struct Facts {
  I C, species, layers, intervals, readouts;
  double cutoff, epsilon;
  const I *kinds;                  // [species, species] the radial table of a pair
  const S *embedding, *constant;   // [species, C]; the first layer's message features [species][groups][FIRST][GROUP]
  const Weights *weights;
  Matrix read, readT;              // [C, readouts]
  const S *bias, *last;            // [readouts]
};

struct Near {  // an edge below the cutoff: its neighbor, its splines' first row, its place among its center's
  int32_t j, row, which;
  S t, d, u[3];
};

// What one thread needs for one chunk.
struct Local {
  std::vector<S> w, in, v, sb, vb, dot, norm, h, hb, ab, uvb, uv, z, a;
  Rows rows;
};

struct Kept { S *uv, *z, *a; };  // [n, 3, 2C] Uv and Vv, [n, C] before silu, [n, 3C]

struct Model : Facts {
  Model(const Facts &facts, const double *lone) : Facts(facts), lone(lone) {}
  const double *lone;  // [species] what is subtracted: the energy of a lone atom
  std::vector<Near> near;
  std::vector<int32_t> count;
  std::vector<S> s, rb, sb, vb, xb;
  std::vector<std::vector<S>> uv, z, a, v, zphi, phi, x;  // of each layer
  std::vector<Local> locals;
};

// An edge's four splines, and their slopes where they are asked for.
static inline void splines(const Facts &m, const Near &e, S *w, S *slope) {
  S per = (S)(m.intervals / m.cutoff), t = e.t, u = (S)1 - t, tt = t * t, uu = u * u;
  const S sixth = (S)1 / 6, half = (S)1 / 2;
  w[0] = sixth * (uu * u), w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
  w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu), w[3] = sixth * (tt * t);
  if (!slope) return;
  slope[0] = (-half * per) * uu, slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
  slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u), slope[3] = (half * per) * tt;
}

// The edges below the cutoff, once for all layers; each center's lie where all of its edges would.
static void prepare(Model &m, const Input &in) {
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I n = 0; n < in.atoms; n++) {
    I k = in.first[n];
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      for (int x = 0; x < 3; x++) m.rb[3 * e + x] = 0;
      if (square >= m.cutoff * m.cutoff) continue;
      S d = (S)std::sqrt(square), x0 = d * (S)(m.intervals / m.cutoff);
      if (!(d < (S)m.cutoff)) continue;
      Near &at = m.near[k++];
      I row = std::min((I)x0, m.intervals - 1);
      at.j = in.j[e], at.which = e - in.first[n], at.d = d, at.t = x0 - (S)row;
      at.row = m.kinds[in.species[n] * m.species + in.species[in.j[e]]] * (m.intervals + 3) + row;
      for (int x = 0; x < 3; x++) at.u[x] = (S)r[x] / d;
    }
    m.count[n] = k - in.first[n];
  }
}

// Sums over neighbors of a chunk's centers, added to s [n, 2C] (the first half of a row) and v [n, 3, C].
template <int ROWS> static __attribute__((noinline)) void sums(const Model &m, const Input &in, Local &l, I t, const S *x, I n0, I n) {
  const I C = m.C, groups = C / GROUP, rows = m.weights[t].rows;
  enum { P = ROWS == FULL ? 3 : 2 };
  l.w.resize(4 * (in.first[n0 + n] - in.first[n0]));
  S *w = l.w.data();
  for (I k = 0; k < n; k++) {
    const Near *near = m.near.data() + in.first[n0 + k];
    for (I e = 0; e < m.count[n0 + k]; e++, w += 4) splines(m, near[e], w, nullptr);
  }
  for (I g = 0; g < groups; g++) {
    const S *table = m.weights[t].table + g * rows * P * GROUP;
    const S *at = l.w.data();
    for (I k = 0; k < n; k++) {
      const Near *near = m.near.data() + in.first[n0 + k];
      V s[VECTORS] = {}, v[3][VECTORS] = {};
      for (I e = 0; e < m.count[n0 + k]; e++, at += 4) {
        const S *R = table + near[e].row * P * GROUP;
        const S *y = x + ((ROWS == FULL ? near[e].j : in.species[near[e].j]) * groups + g) * ROWS * GROUP;
#pragma GCC unroll 2
        for (int b = 0; b < VECTORS; b++, R += W, y += W) {
          V f[P];
#pragma GCC unroll 3
          for (int p = 0; p < P; p++)
            f[p] = at[0] * load(R + p * GROUP) + at[1] * load(R + (P + p) * GROUP) + at[2] * load(R + (2 * P + p) * GROUP) +
                   at[3] * load(R + (3 * P + p) * GROUP);
          s[b] += f[0] * load(y);
          V q = f[1] * load(y + GROUP);
#pragma GCC unroll 3
          for (int c = 0; c < 3; c++) {
            v[c][b] += near[e].u[c] * q;
            if (ROWS == FULL) v[c][b] += f[P - 1] * load(y + (2 + c) * GROUP);
          }
        }
      }
      for (int b = 0; b < VECTORS; b++) {
        I c0 = g * GROUP + b * W;
        *(VU *)&l.in[k * 2 * C + c0] += s[b];
        for (int c = 0; c < 3; c++) *(VU *)&l.v[(3 * k + c) * C + c0] += v[c][b];
      }
    }
  }
}

// From the cotangents of these sums, sb [n, C] and vb [n, 3, C], to edges and to neighbors' features.
template <int ROWS> static __attribute__((noinline)) void gradients(Model &m, const Input &in, Local &l, I t, const S *x, S *xb, I n0, I n) {
  const I C = m.C, groups = C / GROUP, rows = m.weights[t].rows;
  enum { P = ROWS == FULL ? 3 : 2 };
  for (I k = 0; k < n; k++)
    for (I e = 0; e < m.count[n0 + k]; e++) {
      const Near &near = m.near[in.first[n0 + k] + e];
      S w[8];
      splines(m, near, w, w + 4);
      V db = {}, ub[3] = {};
      for (I g = 0; g < groups; g++) {
        const S *R = m.weights[t].table + (g * rows + near.row) * P * GROUP;
        I place = ((ROWS == FULL ? near.j : in.species[near.j]) * groups + g) * ROWS * GROUP;
#pragma GCC unroll 2
        for (int b = 0; b < VECTORS; b++, R += W, place += W) {
          const I c0 = g * GROUP + b * W;
          const S *y = x + place, *vb = &l.vb[3 * k * C + c0];
          V f[P], slope[P];
#pragma GCC unroll 3
          for (int p = 0; p < P; p++) {
            V r0 = load(R + p * GROUP), r1 = load(R + (P + p) * GROUP), r2 = load(R + (2 * P + p) * GROUP), r3 = load(R + (3 * P + p) * GROUP);
            f[p] = w[0] * r0 + w[1] * r1 + w[2] * r2 + w[3] * r3;
            slope[p] = w[4] * r0 + w[5] * r1 + w[6] * r2 + w[7] * r3;
          }
          V s = load(&l.sb[k * C + c0]), v0 = load(vb), v1 = load(vb + C), v2 = load(vb + 2 * C);
          V y0 = load(y), y1 = load(y + GROUP), along = near.u[0] * v0 + near.u[1] * v1 + near.u[2] * v2, q = f[1] * y1;
          db += slope[0] * (y0 * s) + slope[1] * (y1 * along);
          ub[0] += q * v0, ub[1] += q * v1, ub[2] += q * v2;
          if (ROWS == FULL) {
            S *to = xb + place;
            const S *z = y + 2 * GROUP;
            db += slope[P - 1] * (load(z) * v0 + load(z + GROUP) * v1 + load(z + 2 * GROUP) * v2);
            *(VU *)to += f[0] * s, *(VU *)(to + GROUP) += f[1] * along;
            *(VU *)(to + 2 * GROUP) += f[P - 1] * v0, *(VU *)(to + 3 * GROUP) += f[P - 1] * v1, *(VU *)(to + 4 * GROUP) += f[P - 1] * v2;
          }
        }
      }
      S all[4];
      V together[4] = {db, ub[0], ub[1], ub[2]};
      totals(together, all, 4);
      // u = r/d: what is along u changes d alone
      S along = all[1] * near.u[0] + all[2] * near.u[1] + all[3] * near.u[2];
      S *rb = &m.rb[3 * (in.first[n0 + k] + near.which)];
      for (int c = 0; c < 3; c++) rb[c] += all[0] * near.u[c] + (all[1 + c] - along * near.u[c]) / near.d;
    }
}

// z [rows, N], which silu sees: the bias is added to it, and h is what silu gives.
static __attribute__((noinline)) void silu(S *z, const S *bias, S *h, I rows, I N) {
  for (I k = 0; k < rows; k++)
    for (I c = 0; c < N; c += W) {
      V x = load(z + k * N + c) + load(bias + c);
      store(z + k * N + c, x), store(h + k * N + c, x * sigmoid(x));
    }
}

// h̄ becomes z̄.
static __attribute__((noinline)) void silu_slope(const S *z, S *hb, I count) {
  for (I k = 0; k < count; k += W) *(VU *)(hb + k) *= silu_slope(load(z + k));
}

// One layer's chunk.
struct Chunk {
  Model &m;
  const Input &in;
  Local &l;
  const Weights &w;
  I t, n0, n, C;

  Chunk(Model &m, const Input &in, I t, I chunk) : m(m), in(in), l(m.locals[thread()]), w(m.weights[t]), t(t), C(m.C) {
    n0 = chunk * PIECE, n = std::min((I)PIECE, in.atoms - n0);
    l.in.resize(PIECE * 2 * C), l.h.resize(PIECE * 3 * C), l.ab.resize(PIECE * 3 * C), l.dot.resize(PIECE * C), l.sb.resize(PIECE * C);
    l.v.resize(PIECE * 3 * C), l.vb.resize(PIECE * 3 * C), l.uvb.resize(PIECE * 6 * C), l.hb.resize(PIECE * 2 * C);
  }

  void times(const Matrix &matrix, const S *x, I from, S *y, I to, I rows, bool more = false) {
    l.rows.clear();
    for (I k = 0; k < rows; k++) l.rows.add(x + k * from, y + k * to);
    l.rows.times(matrix, more);
  }

  bool final() const { return t == m.layers - 1; }
  I parts() const { return final() ? 2 : 3; }

  // What message and update make of s and v; s stays in l.in (rows 2C), v in l.v.
  void forward(Kept k) {
    for (I a = 0; a < n; a++) {
      const S *s = t ? &m.s[(n0 + a) * C] : m.embedding + in.species[n0 + a] * C;
      std::copy_n(s, C, &l.in[a * 2 * C]);
    }
    if (t) {
      std::copy_n(&m.v[t][3 * n0 * C], 3 * n * C, l.v.data());
      sums<FULL>(m, in, l, t, m.x[t].data(), n0, n);
    } else {
      std::fill_n(l.v.data(), 3 * n * C, (S)0);
      sums<FIRST>(m, in, l, t, m.constant, n0, n);
    }
    times(w.mixed, l.v.data(), C, k.uv, 2 * C, 3 * n);
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        V dot, norm;
        products(k.uv + 6 * a * C + c, dot, norm);
        store(&l.dot[a * C + c], dot), store(&l.in[a * 2 * C + C + c], norm);
      }
    times(w.a.first, l.in.data(), 2 * C, k.z, C, n);
    silu(k.z, w.a.bias, l.h.data(), n, C);
    times(w.a.second, l.h.data(), C, k.a, parts() * C, n);
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        S *at = k.a + a * parts() * C + c;
        for (int p = 0; p < parts(); p++) *(VU *)(at + p * C) += load(w.a.more + p * C + c);
        *(VU *)&l.in[a * 2 * C + c] += load(at) + load(at + C) * load(&l.dot[a * C + c]);
        if (final()) continue;
        for (int x = 0; x < 3; x++) *(VU *)&l.v[(3 * a + x) * C + c] += load(at + 2 * C) * load(k.uv + (6 * a + 2 * x) * C + c);
      }
  }

  // ⟨Uv, Vv⟩ and √(|Vv|² + ε) of one atom's rows U v_x, V v_x, U v_y, …
  void products(const S *uv, V &dot, V &norm) const {
    dot = V{}, norm = V{} + (S)m.epsilon;
    for (int x = 0; x < 3; x++, uv += 2 * C) {
      V Vv = load(uv + C);
      dot += load(uv) * Vv, norm += Vv * Vv;
    }
    norm = root(norm);
  }

  // What the next layer's neighbors read, of s and v after this layer.
  void features() {
    const Dense &phi = m.weights[t + 1].phi;
    S *z = &m.zphi[t + 1][n0 * C], *vv = &m.phi[t + 1][n0 * C], *x = &m.x[t + 1][n0 * FULL * C];
    times(phi.first, l.in.data(), 2 * C, z, C, n);
    silu(z, phi.bias, l.h.data(), n, C);
    times(phi.second, l.h.data(), C, l.ab.data(), 3 * C, n);
    for (I a = 0; a < n; a++) {
      std::copy_n(&l.in[a * 2 * C], C, &m.s[(n0 + a) * C]);
      for (I c = 0; c < C; c += W) {
        S *to = x + a * FULL * C + place(c);
        const S *p = &l.ab[a * 3 * C + c];
        V last = load(p + 2 * C) + load(phi.more + 2 * C + c);
        store(to, load(p) + load(phi.more + c)), store(to + GROUP, load(p + C) + load(phi.more + C + c));
        for (int y = 0; y < 3; y++) store(to + (2 + y) * GROUP, last * load(&l.v[(3 * a + y) * C + c]));
        store(vv + a * C + c, last);
      }
    }
    std::copy_n(l.v.data(), 3 * n * C, &m.v[t + 1][3 * n0 * C]);
  }

  static I place(I c) { return c / GROUP * FULL * GROUP + c % GROUP; }

  // From l.sb, l.vb after this layer to those before its message, and on to edges and neighbors.
  void backward(Kept k, S *xb) {
    S *ab = l.ab.data(), *uvb = l.uvb.data();
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        const S *uv = k.uv + 6 * a * C + c, *at = k.a + a * parts() * C + c;
        V sb = load(&l.sb[a * C + c]), dotb = sb * load(at + C), dot = {}, vvb = {};
        for (int x = 0; x < 3; x++) {
          V Uv = load(uv + 2 * x * C), Vv = load(uv + (2 * x + 1) * C), Ub = dotb * Vv;
          dot += Uv * Vv;
          if (!final()) {
            V vb = load(&l.vb[(3 * a + x) * C + c]);
            vvb += vb * Uv, Ub += vb * load(at + 2 * C);
          }
          store(uvb + (6 * a + 2 * x) * C + c, Ub), store(uvb + (6 * a + 2 * x + 1) * C + c, dotb * Uv);
        }
        S *to = ab + a * parts() * C + c;
        store(to, sb), store(to + C, sb * dot);
        if (!final()) store(to + 2 * C, vvb);
      }
    times(w.a.secondT, ab, parts() * C, l.h.data(), C, n);
    silu_slope(k.z, l.h.data(), n * C);
    times(w.a.firstT, l.h.data(), C, l.hb.data(), 2 * C, n);
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        V dot, norm;
        products(k.uv + 6 * a * C + c, dot, norm);
        V per = load(&l.hb[a * 2 * C + C + c]) / norm;
        for (int x = 0; x < 3; x++) *(VU *)(uvb + (6 * a + 2 * x + 1) * C + c) += per * load(k.uv + (6 * a + 2 * x + 1) * C + c);
        *(VU *)&l.sb[a * C + c] += load(&l.hb[a * 2 * C + c]);
      }
    if (final()) std::fill_n(l.vb.data(), 3 * n * C, (S)0);
    times(w.mixedT, uvb, 2 * C, l.vb.data(), C, 3 * n, true);
    if (t) {
      gradients<FULL>(m, in, l, t, m.x[t].data(), xb, n0, n);
      std::copy_n(l.sb.data(), n * C, &m.sb[n0 * C]), std::copy_n(l.vb.data(), 3 * n * C, &m.vb[3 * n0 * C]);
    } else
      gradients<FIRST>(m, in, l, t, m.constant, nullptr, n0, n);
  }

  // l.sb and l.vb of what the next layer got: what it handed back, and what came through its neighbors' features.
  void receive(const S *const *slots) {
    const Dense &phi = m.weights[t + 1].phi;
    const S *z = &m.zphi[t + 1][n0 * C], *vv = &m.phi[t + 1][n0 * C], *v = &m.v[t + 1][3 * n0 * C];
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        I from = (n0 + a) * FULL * C + place(c);
        V got[FULL];
        for (int row = 0; row < FULL; row++) got[row] = load(slots[0] + from + row * GROUP) + load(slots[1] + from + row * GROUP);
        S *to = &l.ab[a * 3 * C + c];
        V last = {};
        for (int x = 0; x < 3; x++) {
          last += got[2 + x] * load(v + (3 * a + x) * C + c);
          store(&l.vb[(3 * a + x) * C + c], load(&m.vb[(3 * (n0 + a) + x) * C + c]) + load(vv + a * C + c) * got[2 + x]);
        }
        store(to, got[0]), store(to + C, got[1]), store(to + 2 * C, last);
      }
    times(phi.secondT, l.ab.data(), 3 * C, l.h.data(), C, n);
    silu_slope(z, l.h.data(), n * C);
    std::copy_n(&m.sb[n0 * C], n * C, l.sb.data());
    times(phi.firstT, l.h.data(), C, l.sb.data(), C, n, true);
  }

  // The readout's energies, and its cotangents in l.sb.
  void readout() {
    const I H = m.readouts;
    S *z = l.ab.data(), *h = l.h.data();
    times(m.read, l.in.data(), 2 * C, z, H, n);
    silu(z, m.bias, h, n, H);
    for (I a = 0; a < n; a++) {
      in.energies[n0 + a] = (double)dot(h + a * H, m.last, H) - m.lone[in.species[n0 + a]];
      std::copy_n(m.last, H, h + a * H);
    }
    silu_slope(z, h, n * H);
    times(m.readT, h, H, l.sb.data(), C, n);
  }

  Kept kept() const { return {&m.uv[t][6 * n0 * C], &m.z[t][n0 * C], &m.a[t][n0 * parts() * C]}; }
  Kept local() const {
    l.uv.resize(PIECE * 6 * C), l.z.resize(PIECE * C), l.a.resize(PIECE * 3 * C);
    return {l.uv.data(), l.z.data(), l.a.data()};
  }
};

static void reserve(Model &m, const Input &in) {
  const I C = m.C, N = in.atoms, L = m.layers;
  if ((I)m.locals.size() < in.threads) m.locals.resize(in.threads);
  m.near.resize(in.edges), m.rb.resize(3 * in.edges), m.count.resize(N);
  for (auto *each : {&m.uv, &m.z, &m.a, &m.v, &m.zphi, &m.phi, &m.x}) each->resize(L);
  for (I t = 0; t + 1 < L; t++) m.uv[t].resize(6 * N * C), m.z[t].resize(N * C), m.a[t].resize(3 * N * C);
  for (I t = 1; t < L; t++) m.v[t].resize(3 * N * C), m.zphi[t].resize(N * C), m.phi[t].resize(N * C), m.x[t].resize(FULL * N * C);
  if (L > 1) m.s.resize(N * C), m.sb.resize(N * C), m.vb.resize(3 * N * C), m.xb.resize(2 * SLOTS * FULL * N * C);
}

// Chunks whose sums go into one slot, in order; slots do not depend on the number of threads, and so no bit does. Neighbors of one
// layer are added to while those of the next one are read: there are two sets of slots.
template <class F> static void by_slots(Model &m, const Input &in, I t, F todo) {
  const I size = FULL * in.atoms * m.C;
  const S *read[SLOTS];
  for (int slot = 0; slot < SLOTS; slot++) read[slot] = m.xb.empty() ? nullptr : m.xb.data() + ((t + 1) % 2 * SLOTS + slot) * size;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic)
  for (int slot = 0; slot < SLOTS; slot++) {
    S *xb = t ? m.xb.data() + (t % 2 * SLOTS + slot) * size : nullptr;
    if (t) std::fill_n(xb, size, (S)0);
    for (I k = pieces(in) * slot / SLOTS; k < pieces(in) * (slot + 1) / SLOTS; k++) {
      Chunk chunk(m, in, t, k);
      todo(chunk, xb, read);
    }
  }
}

static void run(Model &m, const Input &in) {
  prepare(m, in);
  const I last = m.layers - 1;
  for (I t = 0; t < last; t++) {
#pragma omp parallel for num_threads(in.threads) schedule(dynamic)
    for (I k = 0; k < pieces(in); k++) {
      Chunk chunk(m, in, t, k);
      chunk.forward(chunk.kept());
      chunk.features();
    }
  }
  by_slots(m, in, last, [](Chunk &chunk, S *xb, const S *const *) {
    Kept kept = chunk.local();
    chunk.forward(kept);
    chunk.readout();
    chunk.backward(kept, xb);
  });
  for (I t = last - 1; t >= 0; t--)
    by_slots(m, in, t, [](Chunk &chunk, S *xb, const S *const *slots) {
      chunk.receive(slots);
      chunk.backward(chunk.kept(), xb);
    });
  collect(in, m.rb.data());
}
