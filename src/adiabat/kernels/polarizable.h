// Scalars and vectors on atoms that pass messages (PaiNN), a whole potential in one call; Schütt, Unke and Gastegger 2021
// (arXiv:2102.03150). Messages are summed over all edges, an edge and the edge back at once; then centers are walked in chunks: a chunk
// is updated and its message features are made before it leaves the cache. The last layer goes forth and back at once. Kept for the way
// back: what the updates' matrices gave.
// Features that neighbors read lie in groups of channels, [group][atom][rows][GROUP]: walking a group, all of it is one stretch of memory.
// In the first layer what neighbors say depends on their species and distance alone, so sums are taken of the few radial functions that
// the filters are made of, and what follows is linear in them: matrices of `rank` rows, one set a neighbor's species.
#include "gates.h"
enum { VECTORS = 2, GROUP = VECTORS * W, FULL = 5, PATHS = 3 };  // rows of message features: φ_s, φ_vs, φ_vv v_x, φ_vv v_y, φ_vv v_z

struct Dense {  // x → silu(x first + bias) second + more
  Matrix first, firstT, second, secondT;
  const S *bias, *more;
};

struct Weights {       // table, φ and U | V are of later layers; the first layer's `a` sees norms alone
  I rows;              // of the table: kinds × (intervals + 3)
  const S *table;      // [groups][rows][PATHS][GROUP], paths 0e → 0e, 0e → 1o (times √3), 1o → 1o
  Dense phi, a;        // φ of this layer's messages; a_ss, a_sv, a_vv
  Matrix mixed, mixedT;  // U | V
};

// From sums over neighbors of one species: what is added to s, to what the first silu of the update sees, to v, and to U v | V v.
struct Said { Matrix s, sT, z, zT, v, vT, uv, uvT; };

struct Facts {
  I C, species, layers, intervals, readouts, rank;
  double cutoff, epsilon;
  const I *kinds;      // [species, species] the radial table of a pair
  const S *embedding;  // [species, C]
  const S *radial;     // [kinds × (intervals + 3)][rank] the first layer's radial functions
  const S *start;      // [species, C] what its silu sees of the embedding
  const Said *said;    // [species]
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
  std::vector<S> in, v, sb, vb, dot, norm, h, hb, ab, uvb, uv, z, a, scalars, vectors;
  std::vector<I> who;  // those of its atoms that have neighbors of one species
  Rows rows;
};

struct Kept { S *uv, *z, *a; };  // [n, 3, 2C] Uv and Vv, [n, C] before silu, [n, 3C]

struct Model : Facts {
  Model(const Facts &facts, const double *lone) : Facts(facts), lone(lone) {}
  const double *lone;  // [species] what is subtracted: the energy of a lone atom
  std::vector<Near> near;
  std::vector<int32_t> count, pairs;  // edges of a center; those of them, its first ones, that are done alone or stand for two
  std::vector<I> present;             // the species of this call
  std::vector<S> s, rb, xb, parts;
  std::vector<S> sums;  // [groups][atom][TOGETHER][GROUP]: what neighbors say; on the way back the cotangents of that
  std::vector<std::vector<S>> uv, z, a, v, zphi, phi, x;  // of each layer
  std::vector<Local> locals;
  int fault = 0;
};

// The edges below the cutoff, once for all layers; each center's lie where all of its edges would. Of an edge and the edge back, where
// their vectors are the same to the last bit, the one from the lower atom stands for both after the first layer; the other goes last.
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
    m.count[n] = m.pairs[n] = k - in.first[n];
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
    m.pairs[n] = std::partition(near, near + m.count[n], [](const Near &at) { return at.back >= 0; }) - near;
  }
}

// Sums over all atoms' neighbors. Atoms add to one another's, so that threads share groups of channels.
static __attribute__((noinline)) void sums(Model &m, const Input &in, I t) {
  const I groups = m.C / GROUP, rows = m.weights[t].rows;
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (I g = 0; g < groups; g++) {
    const S *table = m.weights[t].table + g * rows * PATHS * GROUP, *x = m.x[t].data() + g * in.atoms * FULL * GROUP;
    S *all = m.sums.data() + g * in.atoms * TOGETHER * GROUP;
    std::fill_n(all, in.atoms * TOGETHER * GROUP, (S)0);
    for (I n = 0; n < in.atoms; n++) {
      const Near *near = m.near.data() + in.first[n];
      const S *own = x + n * FULL * GROUP;
      S *sum = all + n * TOGETHER * GROUP;
      V total[VECTORS][TOGETHER];
      for (int b = 0; b < VECTORS; b++)
        for (int k = 0; k < TOGETHER; k++) total[b][k] = load(sum + k * GROUP + b * W);
      for (I e = 0; e < m.pairs[n]; e++) {
        const Near &at = near[e];
        const S *R = table + (I)at.row * PATHS * GROUP, *y = x + (I)at.j * FULL * GROUP;
        S *to = all + (I)at.j * TOGETHER * GROUP;
#pragma GCC unroll 2
        for (int b = 0; b < VECTORS; b++, R += W, y += W, to += W) {
          V f[PATHS];
#pragma GCC unroll 3
          for (int p = 0; p < PATHS; p++)
            f[p] = at.w[0] * load(R + p * GROUP) + at.w[1] * load(R + (PATHS + p) * GROUP) + at.w[2] * load(R + (2 * PATHS + p) * GROUP) +
                   at.w[3] * load(R + (3 * PATHS + p) * GROUP);
          total[b][0] += f[0] * load(y);
          V q = f[1] * load(y + GROUP);
#pragma GCC unroll 3
          for (int c = 0; c < 3; c++) total[b][1 + c] += at.u[c] * q + f[2] * load(y + (2 + c) * GROUP);
          if (!at.back) continue;
          const S *z = own + b * W;
          *(VU *)to += f[0] * load(z);
          q = f[1] * load(z + GROUP);
#pragma GCC unroll 3
          for (int c = 0; c < 3; c++) *(VU *)(to + (1 + c) * GROUP) += f[2] * load(z + (2 + c) * GROUP) - at.u[c] * q;
        }
      }
      for (int b = 0; b < VECTORS; b++)
        for (int k = 0; k < TOGETHER; k++) store(sum + k * GROUP + b * W, total[b][k]);
    }
  }
}

// From the cotangents of these sums to edges, whose parts of each slot of channels are kept, and to neighbors' features. Slots do not
// depend on the number of threads, and so no bit does.
static __attribute__((noinline)) void gradients(Model &m, const Input &in, I t) {
  const I groups = m.C / GROUP, rows = m.weights[t].rows;
#pragma omp parallel for num_threads(in.threads) schedule(static)
  for (int slot = 0; slot < SLOTS; slot++)
    for (I g = groups * slot / SLOTS; g < groups * (slot + 1) / SLOTS; g++) {
      const bool fresh = t == m.layers - 1 && g == groups * slot / SLOTS;
      const S *table = m.weights[t].table + g * rows * PATHS * GROUP, *x = m.x[t].data() + g * in.atoms * FULL * GROUP;
      const S *sums = m.sums.data() + g * in.atoms * TOGETHER * GROUP;
      S *xb = m.xb.data() + g * in.atoms * FULL * GROUP;
      std::fill_n(xb, in.atoms * FULL * GROUP, (S)0);
      for (I n = 0; n < in.atoms; n++)
        for (I e = in.first[n]; e < in.first[n] + m.pairs[n]; e++) {
          const Near &at = m.near[e];
          V db = {}, ub[3] = {};
          for (int b = 0; b < VECTORS; b++) {
            const S *R = table + (I)at.row * PATHS * GROUP + b * W;
            V f[PATHS], slope[PATHS], F[PATHS];
#pragma GCC unroll 3
            for (int p = 0; p < PATHS; p++) {
              V r0 = load(R + p * GROUP), r1 = load(R + (PATHS + p) * GROUP), r2 = load(R + (2 * PATHS + p) * GROUP), r3 = load(R + (3 * PATHS + p) * GROUP);
              f[p] = at.w[0] * r0 + at.w[1] * r1 + at.w[2] * r2 + at.w[3] * r3;
              slope[p] = at.slope[0] * r0 + at.slope[1] * r1 + at.slope[2] * r2 + at.slope[3] * r3;
            }
            {
              const S *y = x + (I)at.j * FULL * GROUP + b * W, *vb = sums + n * TOGETHER * GROUP + b * W;
              S *to = xb + (I)at.j * FULL * GROUP + b * W;
              V sb = load(vb), v0 = load(vb + GROUP), v1 = load(vb + 2 * GROUP), v2 = load(vb + 3 * GROUP);
              V y1 = load(y + GROUP), along = at.u[0] * v0 + at.u[1] * v1 + at.u[2] * v2, q = f[1] * y1;
              F[0] = load(y) * sb, F[1] = y1 * along;
              F[2] = load(y + 2 * GROUP) * v0 + load(y + 3 * GROUP) * v1 + load(y + 4 * GROUP) * v2;
              ub[0] += q * v0, ub[1] += q * v1, ub[2] += q * v2;
              *(VU *)to += f[0] * sb, *(VU *)(to + GROUP) += f[1] * along;
              *(VU *)(to + 2 * GROUP) += f[2] * v0, *(VU *)(to + 3 * GROUP) += f[2] * v1, *(VU *)(to + 4 * GROUP) += f[2] * v2;
            }
            if (at.back) {  // the same, the other way round
              const S *y = x + n * FULL * GROUP + b * W, *vb = sums + (I)at.j * TOGETHER * GROUP + b * W;
              S *to = xb + n * FULL * GROUP + b * W;
              V sb = load(vb), v0 = load(vb + GROUP), v1 = load(vb + 2 * GROUP), v2 = load(vb + 3 * GROUP);
              V y1 = load(y + GROUP), along = at.u[0] * v0 + at.u[1] * v1 + at.u[2] * v2, q = f[1] * y1;
              F[0] += load(y) * sb, F[1] -= y1 * along;
              F[2] += load(y + 2 * GROUP) * v0 + load(y + 3 * GROUP) * v1 + load(y + 4 * GROUP) * v2;
              ub[0] -= q * v0, ub[1] -= q * v1, ub[2] -= q * v2;
              *(VU *)to += f[0] * sb, *(VU *)(to + GROUP) -= f[1] * along;
              *(VU *)(to + 2 * GROUP) += f[2] * v0, *(VU *)(to + 3 * GROUP) += f[2] * v1, *(VU *)(to + 4 * GROUP) += f[2] * v2;
            }
            db += slope[0] * F[0] + slope[1] * F[1] + slope[2] * F[2];
          }
          S all[4], *part = &m.parts[(slot * in.edges + e) * 4];
          V together[4] = {db, ub[0], ub[1], ub[2]};
          totals(together, all, 4);
          for (int k = 0; k < 4; k++) part[k] = fresh ? all[k] : part[k] + all[k];
        }
    }
}

// Gradients of edge vectors from those of lengths and directions: u = r/d, what is along u changes d alone. Those of an edge back are
// with the edge that stands for both, but for the first layer's: forces and the strain gradient see their difference only.
static void turn(Model &m, const Input &in) {
  // Few channels leave slots without a group, one layer all of them: nothing was written there in this call.
  auto filled = [&](I slot) { I groups = m.C / GROUP; return m.layers > 1 && groups * slot / SLOTS < groups * (slot + 1) / SLOTS; };
  std::fill_n(m.rb.data(), 3 * in.edges, (S)0);
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n] + m.count[n]; e++) {
      const Near &at = m.near[e];
      S all[4] = {}, *rb = &m.rb[3 * (in.first[n] + at.which)];
      for (int slot = e < in.first[n] + m.pairs[n] ? 0 : SLOTS; slot <= SLOTS; slot++)
        if (slot == SLOTS || filled(slot)) for (int k = 0; k < 4; k++) all[k] += m.parts[(slot * in.edges + e) * 4 + k];
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
    l.scalars.resize(PIECE * m.rank), l.vectors.resize(PIECE * 3 * m.rank), l.who.reserve(PIECE);
  }

  void times(const Matrix &matrix, const S *x, I from, S *y, I to, I rows, bool more = false) {
    l.rows.clear();
    for (I k = 0; k < rows; k++) l.rows.add(x + k * from, y + k * to);
    l.rows.times(matrix, more);
  }

  bool final() const { return t == m.layers - 1; }
  I parts() const { return final() ? 2 : 3; }

  // The atoms that have neighbors of a species.
  void look(I species) {
    l.who.clear();
    for (I a = 0; a < n; a++) {
      const Near *near = &m.near[in.first[n0 + a]], *end = near + m.count[n0 + a];
      if (std::any_of(near, end, [&](const Near &at) { return in.species[at.j] == species; })) l.who.push_back(a);
    }
  }

  // Of these alone, `each` rows an atom.
  void of_these(const Matrix &matrix, const S *x, I from, S *y, I to, I each, bool more) {
    l.rows.clear();
    for (I a : l.who)
      for (I k = each * a; k < each * (a + 1); k++) l.rows.add(x + k * from, y + k * to);
    l.rows.times(matrix, more);
  }

  // The first layer's message, and all that is linear in it.
  void hear(Kept k) {
    for (I a = 0; a < n; a++) {
      const I species = in.species[n0 + a];
      std::copy_n(m.embedding + species * C, C, &l.in[a * 2 * C]);
      std::copy_n(m.start + species * C, C, k.z + a * C);
    }
    std::fill_n(l.v.data(), 3 * n * C, (S)0);
    std::fill_n(k.uv, 6 * n * C, (S)0);
    for (I species : m.present) {
      look(species);
      for (I a : l.who)
        for (I c = 0; c < m.rank; c += W) {
          V sum[TOGETHER] = {};
          for (I e = in.first[n0 + a], end = e + m.count[n0 + a]; e < end; e++) {
            const Near &at = m.near[e];
            if (in.species[at.j] != species) continue;
            const S *R = m.radial + at.row * m.rank + c;
            V f = at.w[0] * load(R) + at.w[1] * load(R + m.rank) + at.w[2] * load(R + 2 * m.rank) + at.w[3] * load(R + 3 * m.rank);
            sum[0] += f;
            for (int x = 0; x < 3; x++) sum[1 + x] += at.u[x] * f;
          }
          store(&l.scalars[a * m.rank + c], sum[0]);
          for (int x = 0; x < 3; x++) store(&l.vectors[(3 * a + x) * m.rank + c], sum[1 + x]);
        }
      const Said &by = m.said[species];
      of_these(by.s, l.scalars.data(), m.rank, l.in.data(), 2 * C, 1, true);
      of_these(by.z, l.scalars.data(), m.rank, k.z, C, 1, true);
      of_these(by.v, l.vectors.data(), m.rank, l.v.data(), C, 3, true);
      of_these(by.uv, l.vectors.data(), m.rank, k.uv, 2 * C, 3, true);
    }
  }

  // The way back of that, from l.sb, l.h (of what silu saw), l.vb and l.uvb to edges.
  void heard() {
    const I R = m.rank;
    S *sb = l.scalars.data(), *vb = l.vectors.data();
    for (I species : m.present) {
      look(species);
      const Said &by = m.said[species];
      of_these(by.sT, l.sb.data(), C, sb, R, 1, false);
      of_these(by.zT, l.h.data(), C, sb, R, 1, true);
      of_these(by.uvT, l.uvb.data(), 2 * C, vb, R, 3, false);
      if (!final()) of_these(by.vT, l.vb.data(), C, vb, R, 3, true);
      for (I a : l.who)
        for (I e = in.first[n0 + a], end = e + m.count[n0 + a]; e < end; e++) {
          const Near &at = m.near[e];
          if (in.species[at.j] != species) continue;
          V together[4] = {};  // of the distance and the direction
          for (I c = 0; c < R; c += W) {
            const S *row = m.radial + at.row * R + c;
            V r0 = load(row), r1 = load(row + R), r2 = load(row + 2 * R), r3 = load(row + 3 * R), along = load(sb + a * R + c);
            V f = at.w[0] * r0 + at.w[1] * r1 + at.w[2] * r2 + at.w[3] * r3;
            for (int x = 0; x < 3; x++) {
              V v = load(vb + (3 * a + x) * R + c);
              along += at.u[x] * v, together[1 + x] += f * v;
            }
            together[0] += (at.slope[0] * r0 + at.slope[1] * r1 + at.slope[2] * r2 + at.slope[3] * r3) * along;
          }
          totals(together, &m.parts[(SLOTS * in.edges + e) * 4], 4);
        }
    }
  }

  // What message and update make of s and v; s stays in l.in (rows 2C), v in l.v.
  void forward(Kept k) {
    if (!t) hear(k);
    else {
      for (I a = 0; a < n; a++)
        for (I c = 0; c < C; c += W) {
          const S *sum = of_sums(a, c);
          store(&l.in[a * 2 * C + c], load(&m.s[(n0 + a) * C + c]) + load(sum));
          for (int x = 0; x < 3; x++) {
            const I at = (3 * a + x) * C + c;
            store(&l.v[at], load(sum + (1 + x) * GROUP) + load(&m.v[t][3 * n0 * C + at]));
          }
        }
      times(w.mixed, l.v.data(), C, k.uv, 2 * C, 3 * n);
    }
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        V dot, norm;
        products(k.uv + 6 * a * C + c, dot, norm);
        store(&l.dot[a * C + c], dot), store(&l.in[a * 2 * C + C + c], norm);
      }
    t ? times(w.a.first, l.in.data(), 2 * C, k.z, C, n) : times(w.a.first, l.in.data() + C, 2 * C, k.z, C, n, true);
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
    S *z = &m.zphi[t + 1][n0 * C], *vv = &m.phi[t + 1][n0 * C];
    times(phi.first, l.in.data(), 2 * C, z, C, n);
    silu(z, phi.bias, l.h.data(), n, C);
    times(phi.second, l.h.data(), C, l.ab.data(), 3 * C, n);
    for (I a = 0; a < n; a++) {
      std::copy_n(&l.in[a * 2 * C], C, &m.s[(n0 + a) * C]);
      for (I c = 0; c < C; c += W) {
        S *to = of_features(m.x[t + 1], a, c);
        const S *p = &l.ab[a * 3 * C + c];
        V last = load(p + 2 * C) + load(phi.more + 2 * C + c);
        store(to, load(p) + load(phi.more + c)), store(to + GROUP, load(p + C) + load(phi.more + C + c));
        for (int y = 0; y < 3; y++) store(to + (2 + y) * GROUP, last * load(&l.v[(3 * a + y) * C + c]));
        store(vv + a * C + c, last);
      }
    }
    std::copy_n(l.v.data(), 3 * n * C, &m.v[t + 1][3 * n0 * C]);
  }

  S *of_sums(I a, I c) const { return &m.sums[(c / GROUP * in.atoms + n0 + a) * TOGETHER * GROUP + c % GROUP]; }
  S *of_features(std::vector<S> &x, I a, I c) const { return &x[(c / GROUP * in.atoms + n0 + a) * FULL * GROUP + c % GROUP]; }

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
    const I own = t ? C : 0;  // the first layer's matrix does not see s
    times(w.a.firstT, l.h.data(), C, l.hb.data(), own + C, n);
    for (I a = 0; a < n; a++)
      for (I c = 0; c < C; c += W) {
        V dot, norm;
        products(k.uv + 6 * a * C + c, dot, norm);
        V per = load(&l.hb[a * (own + C) + own + c]) / norm;
        for (int x = 0; x < 3; x++) *(VU *)(uvb + (6 * a + 2 * x + 1) * C + c) += per * load(k.uv + (6 * a + 2 * x + 1) * C + c);
        if (t) *(VU *)&l.sb[a * C + c] += load(&l.hb[a * 2 * C + c]);
      }
    if (!t) return heard();
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
        const S *own = of_sums(a, c), *from = of_features(m.xb, a, c);
        V got[FULL];
        for (int row = 0; row < FULL; row++) got[row] = load(from + row * GROUP);
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
  m.near.resize(in.edges), m.rb.resize(3 * in.edges), m.count.resize(N), m.pairs.resize(N);
  m.present.assign(in.species, in.species + N);
  std::sort(m.present.begin(), m.present.end());
  m.present.erase(std::unique(m.present.begin(), m.present.end()), m.present.end());
  for (auto *each : {&m.uv, &m.z, &m.a, &m.v, &m.zphi, &m.phi, &m.x}) each->resize(L);
  for (I t = 0; t + 1 < L; t++) m.uv[t].resize(6 * N * C), m.z[t].resize(N * C), m.a[t].resize(3 * N * C);
  for (I t = 1; t < L; t++) m.v[t].resize(3 * N * C), m.zphi[t].resize(N * C), m.phi[t].resize(N * C), m.x[t].resize(FULL * N * C);
  m.parts.resize((SLOTS + 1) * 4 * in.edges);
  if (L > 1) m.sums.resize(TOGETHER * N * C), m.s.resize(N * C), m.xb.resize(FULL * N * C);
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
    if (t) sums(m, in, t);
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
    if (t) gradients(m, in, t);
  }
  turn(m, in);
  collect(in, m.rb.data());
}
