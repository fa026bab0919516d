// Scalars and vectors on atoms that pass messages (PaiNN), a whole potential in one call; Schütt, Unke and Gastegger 2021
// (arXiv:2102.03150). Messages are summed over all edges, an edge and the edge back at once; then centers are walked in chunks: a chunk
// is updated and its message features are made before it leaves the cache. The last layer goes forth and back at once. Kept for the way
// back: what the updates' matrices gave.
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

enum { TOGETHER = 4, MANY = 1024 };  // rows of a center's sums: s, v_x, v_y, v_z; in longer lists nobody looks for the way back

// An edge below the cutoff: its splines, their slopes, its direction; its neighbor, its splines' first row, its place among its
// center's. `back`: the edge back shares the splines and is done with this one.
struct Near {
  S w[4], slope[4], u[3], d;
  int32_t j, row, which, back;
};

// What one thread needs for one chunk.
struct Local {
  std::vector<S> in, v, sb, vb, dot, norm, h, hb, ab, uvb, uv, z, a;
  Rows rows;
};

struct Kept { S *uv, *z, *a; };  // [n, 3, 2C] Uv and Vv, [n, C] before silu, [n, 3C]

struct Model : Facts {
  Model(const Facts &facts, const double *lone) : Facts(facts), lone(lone) {}
  const double *lone;  // [species] what is subtracted: the energy of a lone atom
  std::vector<Near> near;
  std::vector<int32_t> count;
  std::vector<S> s, rb, xb, parts;
  std::vector<S> sums;  // [atom][groups][TOGETHER][GROUP]: what neighbors say; on the way back the cotangents of that
  std::vector<std::vector<S>> uv, z, a, v, zphi, phi, x;  // of each layer
  std::vector<Local> locals;
  int fault = 0;
};

// The edges below the cutoff, once for all layers; each center's lie where all of its edges would. Of an edge and the edge back, where
// their vectors are the same to the last bit, the one from the lower atom stays and stands for both.
static void prepare(Model &m, const Input &in) {
  const S per = (S)(m.intervals / m.cutoff), sixth = (S)1 / 6, half = (S)1 / 2;
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I n = 0; n < in.atoms; n++) {
    I k = in.first[n];
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      if (square >= m.cutoff * m.cutoff) continue;
      S d = (S)std::sqrt(square), x0 = d * per;
      if (!(d < (S)m.cutoff)) continue;
      Near &at = m.near[k++];
      I row = std::min((I)x0, m.intervals - 1);
      at.j = in.j[e], at.which = e - in.first[n], at.d = d, at.back = 0;
      at.row = m.kinds[in.species[n] * m.species + in.species[in.j[e]]] * (m.intervals + 3) + row;
      for (int x = 0; x < 3; x++) at.u[x] = (S)r[x] / d;
      S t = x0 - (S)row, u = (S)1 - t, tt = t * t, uu = u * u;
      at.w[0] = sixth * (uu * u), at.w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
      at.w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu), at.w[3] = sixth * (tt * t);
      at.slope[0] = (-half * per) * uu, at.slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
      at.slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u), at.slope[3] = (half * per) * tt;
    }
    m.count[n] = k - in.first[n];
  }
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I n = 0; n < in.atoms; n++)
    for (I k = in.first[n]; k < in.first[n] + m.count[n]; k++) {
      Near &at = m.near[k];
      if (at.j <= n || m.count[at.j] > MANY) continue;
      const double *r = in.r + 3 * (in.first[n] + at.which);
      for (I l = in.first[at.j]; l < in.first[at.j] + m.count[at.j]; l++) {
        Near &other = m.near[l];
        const double *q = in.r + 3 * (in.first[at.j] + other.which);
        if (other.j != n || other.row != at.row || other.back || r[0] != -q[0] || r[1] != -q[1] || r[2] != -q[2]) continue;
        at.back = 1, other.back = -1;
        break;
      }
    }
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I n = 0; n < in.atoms; n++) {
    Near *near = m.near.data() + in.first[n];
    m.count[n] = std::remove_if(near, near + m.count[n], [](const Near &at) { return at.back < 0; }) - near;
  }
}

// Sums over all atoms' neighbors. Atoms add to one another's, so that threads share groups of channels.
template <int ROWS> static __attribute__((noinline)) void sums(Model &m, const Input &in, I t, const S *x) {
  const I groups = m.C / GROUP, rows = m.weights[t].rows;
  enum { P = ROWS == FULL ? 3 : 2 };
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I g = 0; g < groups; g++) {
    const S *table = m.weights[t].table + g * rows * P * GROUP;
    auto of = [&](I n) { return m.sums.data() + (n * groups + g) * TOGETHER * GROUP; };
    auto features = [&](I n) { return x + ((ROWS == FULL ? n : in.species[n]) * groups + g) * ROWS * GROUP; };
    for (I n = 0; n < in.atoms; n++) std::fill_n(of(n), TOGETHER * GROUP, (S)0);
    for (I n = 0; n < in.atoms; n++) {
      const Near *near = m.near.data() + in.first[n];
      const S *own = features(n);
      V all[VECTORS][TOGETHER];
      for (int b = 0; b < VECTORS; b++)
        for (int k = 0; k < TOGETHER; k++) all[b][k] = load(of(n) + k * GROUP + b * W);
      for (I e = 0; e < m.count[n]; e++) {
        const Near &at = near[e];
        const S *R = table + at.row * P * GROUP, *y = features(at.j);
        S *to = of(at.j);
#pragma GCC unroll 2
        for (int b = 0; b < VECTORS; b++, R += W, y += W, to += W) {
          V f[P];
#pragma GCC unroll 3
          for (int p = 0; p < P; p++)
            f[p] = at.w[0] * load(R + p * GROUP) + at.w[1] * load(R + (P + p) * GROUP) + at.w[2] * load(R + (2 * P + p) * GROUP) +
                   at.w[3] * load(R + (3 * P + p) * GROUP);
          all[b][0] += f[0] * load(y);
          V q = f[1] * load(y + GROUP);
#pragma GCC unroll 3
          for (int c = 0; c < 3; c++) {
            all[b][1 + c] += at.u[c] * q;
            if (ROWS == FULL) all[b][1 + c] += f[P - 1] * load(y + (2 + c) * GROUP);
          }
          if (!at.back) continue;
          const S *z = own + b * W;
          *(VU *)to += f[0] * load(z);
          q = f[1] * load(z + GROUP);
#pragma GCC unroll 3
          for (int c = 0; c < 3; c++) {
            V v = load(to + (1 + c) * GROUP) - at.u[c] * q;
            if (ROWS == FULL) v += f[P - 1] * load(z + (2 + c) * GROUP);
            store(to + (1 + c) * GROUP, v);
          }
        }
      }
      for (int b = 0; b < VECTORS; b++)
        for (int k = 0; k < TOGETHER; k++) store(of(n) + k * GROUP + b * W, all[b][k]);
    }
  }
}

// From the cotangents of these sums to edges, whose parts of each slot of channels are kept, and to neighbors' features. Slots do not
// depend on the number of threads, and so no bit does.
template <int ROWS> static __attribute__((noinline)) void gradients(Model &m, const Input &in, I t, const S *x) {
  const I groups = m.C / GROUP, rows = m.weights[t].rows;
  enum { P = ROWS == FULL ? 3 : 2 };
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (int slot = 0; slot < SLOTS; slot++) {
    const I g0 = groups * slot / SLOTS, g1 = groups * (slot + 1) / SLOTS;
    if (ROWS == FULL)
      for (I n = 0; n < in.atoms; n++) std::fill_n(m.xb.data() + (n * groups + g0) * FULL * GROUP, (g1 - g0) * FULL * GROUP, (S)0);
    for (I n = 0; n < in.atoms; n++)
      for (I e = in.first[n]; e < in.first[n] + m.count[n]; e++) {
        const Near &at = m.near[e];
        const S *w = at.w, *s = at.slope;
        const I j = at.j;
        const bool back = at.back;
        V db = {}, ub[3] = {};
        for (I g = g0; g < g1; g++) {
          const S *R = m.weights[t].table + (g * rows + at.row) * P * GROUP;
          const S *vb = m.sums.data() + (n * groups + g) * TOGETHER * GROUP, *vbj = m.sums.data() + (j * groups + g) * TOGETHER * GROUP;
          I of = ((ROWS == FULL ? j : in.species[j]) * groups + g) * ROWS * GROUP, own = ((ROWS == FULL ? n : in.species[n]) * groups + g) * ROWS * GROUP;
#pragma GCC unroll 2
          for (int b = 0; b < VECTORS; b++, R += W, vb += W, vbj += W, of += W, own += W) {
            V f[P], slope[P];
#pragma GCC unroll 3
            for (int p = 0; p < P; p++) {
              V r0 = load(R + p * GROUP), r1 = load(R + (P + p) * GROUP), r2 = load(R + (2 * P + p) * GROUP), r3 = load(R + (3 * P + p) * GROUP);
              f[p] = w[0] * r0 + w[1] * r1 + w[2] * r2 + w[3] * r3;
              slope[p] = s[0] * r0 + s[1] * r1 + s[2] * r2 + s[3] * r3;
            }
            V F[P];
            {
              const S *y = x + of;
              V sb = load(vb), v0 = load(vb + GROUP), v1 = load(vb + 2 * GROUP), v2 = load(vb + 3 * GROUP);
              V y1 = load(y + GROUP), along = at.u[0] * v0 + at.u[1] * v1 + at.u[2] * v2, q = f[1] * y1;
              F[0] = load(y) * sb, F[1] = y1 * along;
              ub[0] += q * v0, ub[1] += q * v1, ub[2] += q * v2;
              if (ROWS == FULL) {
                S *to = m.xb.data() + of;
                F[P - 1] = load(y + 2 * GROUP) * v0 + load(y + 3 * GROUP) * v1 + load(y + 4 * GROUP) * v2;
                *(VU *)to += f[0] * sb, *(VU *)(to + GROUP) += f[1] * along;
                *(VU *)(to + 2 * GROUP) += f[P - 1] * v0, *(VU *)(to + 3 * GROUP) += f[P - 1] * v1, *(VU *)(to + 4 * GROUP) += f[P - 1] * v2;
              }
            }
            if (back) {  // the same, the other way round
              const S *y = x + own;
              V sb = load(vbj), v0 = load(vbj + GROUP), v1 = load(vbj + 2 * GROUP), v2 = load(vbj + 3 * GROUP);
              V y1 = load(y + GROUP), along = at.u[0] * v0 + at.u[1] * v1 + at.u[2] * v2, q = f[1] * y1;
              F[0] += load(y) * sb, F[1] -= y1 * along;
              ub[0] -= q * v0, ub[1] -= q * v1, ub[2] -= q * v2;
              if (ROWS == FULL) {
                S *to = m.xb.data() + own;
                F[P - 1] += load(y + 2 * GROUP) * v0 + load(y + 3 * GROUP) * v1 + load(y + 4 * GROUP) * v2;
                *(VU *)to += f[0] * sb, *(VU *)(to + GROUP) -= f[1] * along;
                *(VU *)(to + 2 * GROUP) += f[P - 1] * v0, *(VU *)(to + 3 * GROUP) += f[P - 1] * v1, *(VU *)(to + 4 * GROUP) += f[P - 1] * v2;
              }
            }
#pragma GCC unroll 3
            for (int p = 0; p < P; p++) db += slope[p] * F[p];
          }
        }
        S all[4], *part = &m.parts[(slot * in.edges + e) * 4];
        V together[4] = {db, ub[0], ub[1], ub[2]};
        totals(together, all, 4);
        for (int k = 0; k < 4; k++) part[k] = t == m.layers - 1 ? all[k] : part[k] + all[k];
      }
  }
}

// Gradients of edge vectors from those of lengths and directions: u = r/d, what is along u changes d alone. Those of an edge back are
// with the edge that stands for both: forces and the strain gradient see their difference only.
static void turn(Model &m, const Input &in) {
  std::fill_n(m.rb.data(), 3 * in.edges, (S)0);
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n] + m.count[n]; e++) {
      const Near &at = m.near[e];
      S all[4] = {}, *rb = &m.rb[3 * (in.first[n] + at.which)];
      for (int slot = 0; slot < SLOTS; slot++)
        for (int k = 0; k < 4; k++) all[k] += m.parts[(slot * in.edges + e) * 4 + k];
      S along = all[1] * at.u[0] + all[2] * at.u[1] + all[3] * at.u[2];
      for (int c = 0; c < 3; c++) rb[c] = all[0] * at.u[c] + (all[1 + c] - along * at.u[c]) / at.d;
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
    const I wide = PIECE * std::max(3 * C, m.readouts);  // the readout's hidden layer works in them, too
    l.in.resize(PIECE * 2 * C), l.h.resize(wide), l.ab.resize(wide), l.dot.resize(PIECE * C), l.sb.resize(PIECE * C);
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
      for (I c = 0; c < C; c += W) {
        const S *sum = of_sums(a, c);
        store(&l.in[a * 2 * C + c], load(s + c) + load(sum));
        for (int x = 0; x < 3; x++) {
          const I at = (3 * a + x) * C + c;
          V v = load(sum + (1 + x) * GROUP);
          store(&l.v[at], t ? v + load(&m.v[t][3 * n0 * C + at]) : v);
        }
      }
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
  S *of_sums(I a, I c) const { return &m.sums[((n0 + a) * (C / GROUP) + c / GROUP) * TOGETHER * GROUP + c % GROUP]; }

  // From l.sb, l.vb after this layer to those before its update, in place of the sums.
  void backward(Kept k) {
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
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        S *to = of_sums(a, c);
        store(to, load(&l.sb[a * C + c]));
        for (int x = 0; x < 3; x++) store(to + (1 + x) * GROUP, load(&l.vb[(3 * a + x) * C + c]));
      }
  }

  // l.sb and l.vb of what the next layer got: what it handed back, and what came through its neighbors' features.
  void receive() {
    const Dense &phi = m.weights[t + 1].phi;
    const S *z = &m.zphi[t + 1][n0 * C], *vv = &m.phi[t + 1][n0 * C], *v = &m.v[t + 1][3 * n0 * C];
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        I from = (n0 + a) * FULL * C + place(c);
        const S *own = of_sums(a, c);
        V got[FULL];
        for (int row = 0; row < FULL; row++) got[row] = load(&m.xb[from + row * GROUP]);
        S *to = &l.ab[a * 3 * C + c];
        V last = {};
        for (int x = 0; x < 3; x++) {
          last += got[2 + x] * load(v + (3 * a + x) * C + c);
          store(&l.vb[(3 * a + x) * C + c], load(own + (1 + x) * GROUP) + load(vv + a * C + c) * got[2 + x]);
        }
        store(&l.sb[a * C + c], load(own));
        store(to, got[0]), store(to + C, got[1]), store(to + 2 * C, last);
      }
    times(phi.secondT, l.ab.data(), 3 * C, l.h.data(), C, n);
    silu_slope(z, l.h.data(), n * C);
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

  // The last layer goes forth and back at once: what it keeps stays in the cache.
  void last() {
    Kept kept = local();
    forward(kept);
    readout();
    backward(kept);
  }

  Kept kept() const { return {&m.uv[t][6 * n0 * C], &m.z[t][n0 * C], &m.a[t][n0 * parts() * C]}; }
  Kept local() const {
    l.uv.resize(PIECE * 6 * C), l.z.resize(PIECE * C), l.a.resize(PIECE * 3 * C);
    return {l.uv.data(), l.z.data(), l.a.data()};
  }
};

static void reserve(Model &m, const Input &in) {
  const I C = m.C, N = in.atoms, L = m.layers;
  m.fault = 0;
  if ((I)m.locals.size() < in.threads) m.locals.resize(in.threads);
  m.near.resize(in.edges), m.rb.resize(3 * in.edges), m.count.resize(N);
  for (auto *each : {&m.uv, &m.z, &m.a, &m.v, &m.zphi, &m.phi, &m.x}) each->resize(L);
  for (I t = 0; t + 1 < L; t++) m.uv[t].resize(6 * N * C), m.z[t].resize(N * C), m.a[t].resize(3 * N * C);
  for (I t = 1; t < L; t++) m.v[t].resize(3 * N * C), m.zphi[t].resize(N * C), m.phi[t].resize(N * C), m.x[t].resize(FULL * N * C);
  m.sums.resize(TOGETHER * N * C), m.parts.resize(SLOTS * 4 * in.edges);
  if (L > 1) m.s.resize(N * C), m.xb.resize(FULL * N * C);
}

template <class F> static void chunks(Model &m, const Input &in, I t, F todo) {
#pragma omp parallel for num_threads(in.threads) schedule(dynamic)
  for (I k = 0; k < pieces(in); k++) safely(m.fault, [&] {
    Chunk chunk(m, in, t, k);
    todo(chunk);
  });
}

static void run(Model &m, const Input &in) {
  prepare(m, in);
  for (I t = 0; t < m.layers; t++) {
    t ? sums<FULL>(m, in, t, m.x[t].data()) : sums<FIRST>(m, in, t, m.constant);
    chunks(m, in, t, [](Chunk &chunk) {
      if (chunk.final()) return chunk.last();
      chunk.forward(chunk.kept());
      chunk.features();
    });
  }
  for (I t = m.layers - 1; t >= 0; t--) {
    if (t < m.layers - 1) chunks(m, in, t, [](Chunk &chunk) {
      chunk.receive();
      chunk.backward(chunk.kept());
    });
    t ? gradients<FULL>(m, in, t, m.x[t].data()) : gradients<FIRST>(m, in, t, m.constant);
  }
  turn(m, in);
  collect(in, m.rb.data());
}
