// A sparse Gaussian process on normalized power spectra (SOAP): E_i = Σ_s a_s (p_i·p_s)^ζ less a lone atom's. NMAX and LMAX are
// defined above. Radial functions are lanes; overlaps with the sparse points are matrix products of BLOCK atoms at a time.
enum { L1 = LMAX + 1, LM = L1 * L1, NV = (NMAX + W - 1) / W, NP = NV * W, BLOCK = 32 };

struct Facts {
  I elements, kinds, points, columns, dimensions, intervals, zeta;  // points, columns: padded to whole panels
  I others, merged, summed;                                         // of a compressed spectrum's second density; others: 0 if there is none
  double cutoff, width, reach, lone, power;                         // power: ζ; zeta: the same if it is whole, or 0
  const I *known, *center, *channel;  // by atomic number: ≥ 0 if known; 1 if a center; which kind of neighbor, −1 if none counted
  const S *table;                     // [intervals + 3, L1, NP]: radial functions over √4π
  const S *alone;                     // [kinds, NP]: what the atom's own Gaussian gives to l = 0
  const S *across, *along, *a;        // points as panels [points, dimensions] → [·, dimensions, PANEL W] and [·, points, PANEL W]; [points]
  const S *norm;                      // [LM]: of the harmonics
};

struct Worker {
  std::vector<S> c, cb, x, xb, o, full, r, Y, dp, second, y;
  std::vector<I> edge, channel, from;
  std::vector<double> length, e;
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts), kind(facts.known) {}
  const I *kind;
  std::vector<Worker> workers;
  std::vector<I> centers;
  std::vector<S> g;
  std::vector<double> own, pairs;
};

static void reserve(Model &m, const Call &in) {
  if ((I)m.workers.size() < in.threads) m.workers.resize(in.threads);
  I rows = m.kinds * LM * NP, C = m.kinds * NMAX;
  for (Worker &w : m.workers) {
    w.c.resize(BLOCK * rows), w.cb.resize(rows);
    w.x.assign(BLOCK * m.columns, 0), w.xb.assign(BLOCK * m.columns, 0), w.o.assign(BLOCK * m.points, 0);
    w.full.assign(L1 * C * m.kinds * NP, 0), w.second.resize(2 * LM * m.others);
    w.Y.resize(4 * LM * W), w.from.resize(BLOCK + 1), w.length.resize(BLOCK), w.e.resize(BLOCK);
  }
  m.g.resize(3 * in.edges + 1);
  m.own.resize(in.atoms);
  m.pairs.resize(9 * in.atoms);
}

// Harmonics of W unit vectors, component-normalized, and their derivatives along x, y, z with |u| taken for 1 in their z-polynomials:
// what these point along u is taken out by who uses them. Q_l^m = d^m P_l/dz^m, so that its derivative is Q_l^(m+1).
template <bool SLOPES> static inline void harmonics(const S *norm, V x, V y, V z, S *Y) {
  V a[L1 + 1], b[L1 + 1], q[L1 + 2][L1 + 1];
  a[0] = V{} + 1, b[0] = V{};
#pragma GCC unroll 16
  for (int m = 1; m <= LMAX; m++) a[m] = x * a[m - 1] - y * b[m - 1], b[m] = x * b[m - 1] + y * a[m - 1];
  S odd = 1;
  for (int m = 0; m <= LMAX; m++) {
    q[m][m] = V{} + odd;
    odd *= 2 * m + 1;
    for (int l = m + 1; l <= LMAX; l++) {
      V down = l > m + 1 ? (S)(l + m - 1) * q[m][l - 2] : V{};
      q[m][l] = ((S)(2 * l - 1) * z * q[m][l - 1] - down) * (S)(1.0 / (l - m));
    }
  }
  for (int l = 0; l <= LMAX; l++) q[l + 1][l] = V{};
  for (int l = 0; l <= LMAX; l++)
    for (int m = 0; m <= l; m++) {
      int up = l * l + l + m, low = l * l + l - m;
      V n = V{} + norm[up], Q = n * q[m][l], D = n * q[m + 1][l];
      put(Y + up * W, Q * a[m]);
      if (m) put(Y + low * W, Q * b[m]);
      if (!SLOPES) continue;
      S *dx = Y + LM * W, *dy = dx + LM * W, *dz = dy + LM * W;
      V less = m ? (S)m * Q * a[m - 1] : V{}, other = m ? (S)m * Q * b[m - 1] : V{};
      put(dx + up * W, less), put(dy + up * W, -other), put(dz + up * W, D * a[m]);
      if (m) put(dx + low * W, other), put(dy + low * W, less), put(dz + low * W, D * b[m]);
    }
}

// f_c and its slope; weights of the four rows of the table, and of its slope. The first row.
static inline const S *radial(const Model &m, double d, S &f, S &df, S *w, S *dw) {
  double begin = m.cutoff - m.width;
  f = 1, df = 0;
  if (d > begin) {
    double x = 3.14159265358979323846 * (d - begin) / m.width;
    f = (S)(0.5 * (1 + std::cos(x))), df = (S)(-0.5 * 3.14159265358979323846 / m.width * std::sin(x));
  }
  double per = m.intervals / m.reach, p = d * per;
  I k = (I)p;
  k = k < m.intervals - 1 ? k : m.intervals - 1;
  double t = p - k, u = 1 - t;
  w[0] = (S)(u * u * u / 6), w[1] = (S)((3 * t * t * t - 6 * t * t + 4) / 6), w[2] = (S)((3 * u * u * u - 6 * u * u + 4) / 6), w[3] = (S)(t * t * t / 6);
  per /= 2;
  dw[0] = (S)(-u * u * per), dw[1] = (S)((3 * t * t - 4 * t) * per), dw[2] = (S)((4 * u - 3 * u * u) * per), dw[3] = (S)(t * t * per);
  return m.table + k * (L1 * NP);
}

// The edges of a block's atoms that count: unit vectors as three rows, lengths behind them; 5, 6: a fault.
static int gather(const Model &m, Worker &w, const Call &in, const I *atoms, I count) {
  w.edge.clear(), w.channel.clear();
  for (I t = 0; t < count; t++) {
    w.from[t] = (I)w.edge.size();
    for (I e = in.first[atoms[t]]; e < in.first[atoms[t] + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      if (!(square - square == 0)) return 5;
      if (!(square > 0)) return 6;
      I channel = m.channel[in.numbers[in.j[e]]];
      if (square < m.cutoff * m.cutoff && channel >= 0) w.edge.push_back(e), w.channel.push_back(channel);
    }
  }
  w.from[count] = (I)w.edge.size();
  I E = (I)w.edge.size(), size = E + W;
  if ((I)w.r.size() < 3 * size) w.r.resize(3 * size);
  if ((I)w.length.size() < E) w.length.resize(E);
  for (I k = 0; k < E; k++) {
    const double *r = in.r + 3 * w.edge[k];
    double d = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
    w.length[k] = d;
    for (int x = 0; x < 3; x++) w.r[x * size + k] = (S)(r[x] / d);
  }
  for (int x = 0; x < 3; x++)
    for (I k = E; k < size; k++) w.r[x * size + k] = 0;
  return 0;
}

// c of one atom, [kinds, LM, NP].
static void density(const Model &m, Worker &w, I t, S *c) {
  for (I k = 0; k < m.kinds * LM * NP; k += W) put(c + k, V{});
  for (I z = 0; z < m.kinds; z++)
    for (int v = 0; v < NV; v++) put(c + z * LM * NP + v * W, at(m.alone + z * NP + v * W));
  I size = (I)w.edge.size() + W;
  for (I k0 = w.from[t]; k0 < w.from[t + 1]; k0 += W) {
    harmonics<false>(m.norm, at(&w.r[k0]), at(&w.r[size + k0]), at(&w.r[2 * size + k0]), w.Y.data());
    for (I k = k0; k < k0 + W && k < w.from[t + 1]; k++) {
      S f, df, q[4], dq[4], *to = c + w.channel[k] * LM * NP;
      const S *row = radial(m, w.length[k], f, df, q, dq), *Y = w.Y.data() + (k - k0);
      for (int x = 0; x < 4; x++) q[x] *= f;
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          const S *here = row + l * NP + v * W;
          V R = q[0] * at(here) + q[1] * at(here + L1 * NP) + q[2] * at(here + 2 * L1 * NP) + q[3] * at(here + 3 * L1 * NP);
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) put(to + lm * NP + v * W, at(to + lm * NP + v * W) + Y[lm * W] * R);
        }
    }
  }
}

#include "compressed.h"

// p of one atom from c: for a ≥ b and l, l fastest; 1/|p|, by which it is multiplied.
static S spectrum(const Model &m, Worker &w, const S *c, S *x) {
  I C = m.kinds * NMAX;
  double square = 0;
  S once[L1];
  if (m.others) products(m, w, c, x);
  for (int l = 0; l <= LMAX; l++) once[l] = (S)(1 / std::sqrt(2.0 * l + 1));
  for (I a = 0; a < C && !m.others; a++) {
    const S *ca = c + (a / NMAX) * LM * NP + a % NMAX;
    for (I y = 0; y <= a / NMAX; y++) {
      const S *cb = c + y * LM * NP;
      for (int l = 0; l <= LMAX; l++) {
        V sum[NV] = {};
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
          for (int v = 0; v < NV; v++) sum[v] += ca[lm * NP] * at(cb + lm * NP + v * W);
        S scale = once[l], twice = (S)1.4142135623730950488 * scale;
        for (int n = 0; n < NMAX; n++) {
          I b = y * NMAX + n;
          if (b > a) break;
          S value = sum[n / W][n % W] * (a == b ? scale : twice);
          x[(a * (a + 1) / 2 + b) * L1 + l] = value;
        }
      }
    }
  }
  for (I k = 0; k < m.dimensions; k++) square += (double)x[k] * x[k];
  S over = (S)(1 / std::sqrt(square));
  for (I k = 0; k < m.dimensions; k++) x[k] *= over;
  return over;
}

// c̄ of one atom from p̄.
static void spectrum_back(const Model &m, Worker &w, const S *c, const S *pb, S *cb) {
  I C = m.kinds * NMAX, wide = m.kinds * NP;
  if (m.others) return products_back(m, w, c, pb, cb);
  S once[L1];
  for (int l = 0; l <= LMAX; l++) once[l] = (S)(1.4142135623730950488 / std::sqrt(2.0 * l + 1));
  S *G = w.full.data();  // [L1, C, kinds NP], symmetric
  for (I a = 0; a < C; a++)
    for (I b = 0; b <= a; b++)
      for (int l = 0; l <= LMAX; l++) {
        S value = pb[(a * (a + 1) / 2 + b) * L1 + l] * once[l];
        if (a == b) value *= (S)1.4142135623730950488;
        G[(l * C + a) * wide + (b / NMAX) * NP + b % NMAX] = value;
        G[(l * C + b) * wide + (a / NMAX) * NP + a % NMAX] = value;
      }
  for (I z = 0; z < m.kinds; z++)
    for (int l = 0; l <= LMAX; l++)
      for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
        V sum[NV] = {};
        for (I b = 0; b < C; b++) {
          S with = c[((b / NMAX) * LM + lm) * NP + b % NMAX];
          for (int v = 0; v < NV; v++) sum[v] += with * at(G + (l * C + b) * wide + z * NP + v * W);
        }
        for (int v = 0; v < NV; v++) put(cb + (z * LM + lm) * NP + v * W, sum[v]);
      }
}

// ∂E/∂r of one atom's edges, from c̄.
static void density_back(const Model &m, Worker &w, I t, const S *cb, S *g) {
  I size = (I)w.edge.size() + W;
  for (I k0 = w.from[t]; k0 < w.from[t + 1]; k0 += W) {
    harmonics<true>(m.norm, at(&w.r[k0]), at(&w.r[size + k0]), at(&w.r[2 * size + k0]), w.Y.data());
    for (I k = k0; k < k0 + W && k < w.from[t + 1]; k++) {
      S f, df, q[4], dq[4];
      const S *row = radial(m, w.length[k], f, df, q, dq), *Y = w.Y.data() + (k - k0), *from = cb + w.channel[k] * LM * NP;
      for (int x = 0; x < 4; x++) dq[x] = dq[x] * f + q[x] * df, q[x] *= f;
      V down = {}, turn[3] = {};
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          const S *here = row + l * NP + v * W;
          V T[4], sum[4] = {};
          for (int x = 0; x < 4; x++) T[x] = at(here + x * L1 * NP);
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
            V b = at(from + lm * NP + v * W);
            for (int x = 0; x < 4; x++) sum[x] += Y[(x * LM + lm) * W] * b;
          }
          down += (dq[0] * T[0] + dq[1] * T[1] + dq[2] * T[2] + dq[3] * T[3]) * sum[0];
          V R = q[0] * T[0] + q[1] * T[1] + q[2] * T[2] + q[3] * T[3];
          for (int x = 0; x < 3; x++) turn[x] += R * sum[x + 1];
        }
      S all[4], u[3] = {w.r[k], w.r[size + k], w.r[2 * size + k]};
      V sums[4] = {down, turn[0], turn[1], turn[2]};
      totals(sums, all, 4);
      S over = (S)(1 / w.length[k]), along = all[1] * u[0] + all[2] * u[1] + all[3] * u[2];
      for (int x = 0; x < 3; x++) g[3 * w.edge[k] + x] = all[0] * u[x] + (all[x + 1] - along * u[x]) * over;
    }
  }
}

// a x^(ζ−1), lane by lane.
static inline V raised(const Model &m, V a, V x) {
  for (I k = 1; k < m.zeta; k++) a *= x;
  if (!m.zeta)
    for (int k = 0; k < W; k++) a[k] *= (S)std::pow((double)x[k], m.power - 1);
  return a;
}

// A block of centers. What it adds belongs to these atoms and their edges alone.
static int block(Model &m, Worker &w, const Call &in, const I *atoms, I count) {
  if (int fault = gather(m, w, in, atoms, count)) return fault;
  I each = m.kinds * LM * NP, rows = (count + TILE - 1) / TILE * TILE;
  S over[BLOCK];
  for (I t = 0; t < count; t++) {
    density(m, w, t, &w.c[t * each]);
    over[t] = spectrum(m, w, &w.c[t * each], &w.x[t * m.columns]);
  }
  times(w.x.data(), rows, m.dimensions, m.columns, m.across, m.points, w.o.data());
  for (I t = 0; t < count; t++) {
    S *o = &w.o[t * m.points];
    double energy = 0;
    for (I s = 0; s < m.points; s += W) {
      V x = at(o + s), power = raised(m, at(m.a + s), x);
      put(o + s, (S)m.power * power);
      power *= x;
      for (int k = 0; k < W; k++) energy += (double)power[k];
    }
    m.own[atoms[t]] += energy - m.lone;
  }
  times(w.o.data(), rows, m.points, m.points, m.along, m.columns, w.xb.data());
  for (I t = 0; t < count; t++) {
    S *x = &w.x[t * m.columns], *xb = &w.xb[t * m.columns];
    V sum = {};
    for (I k = 0; k < m.columns; k += W) sum += at(x + k) * at(xb + k);
    S along = total(sum);
    for (I k = 0; k < m.columns; k += W) put(xb + k, (at(xb + k) - along * at(x + k)) * over[t]);
    spectrum_back(m, w, &w.c[t * each], xb, w.cb.data());
    density_back(m, w, t, w.cb.data(), m.g.data());
  }
  return 0;
}

// Blocks of the centers that have a kernel; `body(worker, centers, count)` returns a fault.
template <class F> static int each_block(Model &m, const Call &in, F body) {
  m.centers.clear();
  for (I n = 0; n < in.atoms; n++)
    if (m.center[in.numbers[n]]) m.centers.push_back(n);
  I N = (I)m.centers.size(), blocks = (N + BLOCK - 1) / BLOCK;
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic, 1) if (in.threads > 1)
  for (I k = 0; k < blocks; k++) {
#ifdef _OPENMP
    Worker &w = m.workers[in.threads > 1 ? omp_get_thread_num() : 0];
#else
    Worker &w = m.workers[0];
#endif
    told(fault, [&] { return body(w, &m.centers[k * BLOCK], std::min((I)BLOCK, N - k * BLOCK)); });
  }
  return fault;
}

static int run(Model &m, const Call &in) {
  std::fill(m.g.begin(), m.g.end(), (S)0);
  std::fill(m.own.begin(), m.own.end(), 0.0);
  if (int fault = each_block(m, in, [&](Worker &w, const I *centers, I n) { return block(m, w, in, centers, n); })) return fault;
  for (I copy = 0; copy < in.copies; copy++) collect(in, copy, m.own.data(), m.g.data(), m.pairs.data());
  return 0;
}

// ∂p/∂r of one atom's edges, [edges, 3, dimensions], of its normalized spectrum p; `over` is one by the length of what it was.
static void slopes(const Model &m, Worker &w, I t, const S *c, const S *p, S over, S *dp) {
  I C = m.kinds * NMAX, size = (I)w.edge.size() + W;
  S once[L1], *one = w.full.data(), *dc = w.cb.data();  // [C, NP]; [3, LM, NP]
  for (int l = 0; l <= LMAX; l++) once[l] = over * (S)(1.4142135623730950488 / std::sqrt(2.0 * l + 1));
  for (I k0 = w.from[t]; k0 < w.from[t + 1]; k0 += W) {
    harmonics<true>(m.norm, at(&w.r[k0]), at(&w.r[size + k0]), at(&w.r[2 * size + k0]), w.Y.data());
    for (I k = k0; k < k0 + W && k < w.from[t + 1]; k++) {
      S f, df, q[4], dq[4], u[3] = {w.r[k], w.r[size + k], w.r[2 * size + k]}, per = (S)(1 / w.length[k]);
      const S *row = radial(m, w.length[k], f, df, q, dq), *Y = w.Y.data() + (k - k0);
      for (int x = 0; x < 4; x++) dq[x] = dq[x] * f + q[x] * df, q[x] *= f;
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          V T[4], R = {}, dR = {};
          for (int x = 0; x < 4; x++) T[x] = at(row + (x * L1 + l) * NP + v * W), R += q[x] * T[x], dR += dq[x] * T[x];
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
            S slope[3], along = 0;
            for (int x = 0; x < 3; x++) slope[x] = Y[((x + 1) * LM + lm) * W], along += slope[x] * u[x];
            for (int x = 0; x < 3; x++)
              put(&dc[(x * LM + lm) * NP + v * W], (Y[lm * W] * u[x]) * dR + ((slope[x] - along * u[x]) * per) * R);
          }
        }
      I z = w.channel[k];
      for (int x = 0; x < 3; x++, dp += m.dimensions) {
        if (m.others) products_slope(m, w, c, dc + x * LM * NP, z, over, dp);
        for (int l = 0; l <= LMAX && !m.others; l++) {
          for (I b = 0; b < C; b++) {
            const S *cb = c + (b / NMAX) * LM * NP + b % NMAX;
            V sum[NV] = {};
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
              for (int v = 0; v < NV; v++) sum[v] += cb[lm * NP] * at(&dc[(x * LM + lm) * NP + v * W]);
            for (int v = 0; v < NV; v++) put(&one[b * NP + v * W], sum[v]);  // Σ_m ∂c_a c_b, a of this kind
          }
          for (I a = 0; a < C; a++)
            for (I b = 0; b <= a; b++) {
              S value = (a / NMAX == z ? one[b * NP + a % NMAX] : 0) + (b / NMAX == z ? one[a * NP + b % NMAX] : 0);
              dp[(a * (a + 1) / 2 + b) * L1 + l] = value * once[l] * (a == b ? (S)0.70710678118654752440 : (S)1);
            }
        }
        S along = 0;
        for (I d = 0; d < m.dimensions; d++) along += dp[d] * p[d];
        for (I d = 0; d < m.dimensions; d++) dp[d] -= along * p[d];
      }
    }
  }
}

// a (p·x_s)^ζ of W PANEL sparse points from `s` on, and its slope along p·x_s.
static inline void covariances(const Model &m, const S *p, I s, V *value, V *rate) {
  const S *w = m.across + s * m.dimensions;
  V o[PANEL] = {};
  for (I k = 0; k < m.dimensions; k++)
    for (int v = 0; v < PANEL; v++) o[v] += p[k] * at(w + (k * PANEL + v) * W);
  for (int v = 0; v < PANEL; v++) {
    V power = raised(m, at(m.a + s + v * W), o[v]);
    value[v] = power * o[v], rate[v] = (S)m.power * power;
  }
}

static int columns(Model &m, const Call &in, const Columns &out) {
  if (m.workers.empty()) m.workers.resize(1);
  Worker &w = m.workers[0];
  I each = m.kinds * LM * NP, C = m.kinds * NMAX;
  w.Y.resize(4 * LM * W), w.from.resize(2), w.c.resize(each), w.cb.resize(3 * LM * NP), w.full.resize(C * NP), w.x.resize(m.columns), w.second.resize(2 * LM * m.others);
  std::vector<S> lone(m.points);
  V value[PANEL], rate[PANEL];
  w.edge.clear(), w.channel.clear(), w.from[0] = w.from[1] = 0, w.r.assign(3 * W, 0);
  density(m, w, 0, w.c.data());
  spectrum(m, w, w.c.data(), w.x.data());
  for (I s = 0; s < m.points; s += PANEL * W) {
    covariances(m, w.x.data(), s, value, rate);
    for (int v = 0; v < PANEL; v++) put(&lone[s + v * W], value[v]);
  }
  for (I n = 0; n < in.atoms; n++) {
    if (!m.center[in.numbers[n]]) continue;
    if (int fault = gather(m, w, in, &n, 1)) return fault;
    I E = (I)w.edge.size(), row = 3 * m.dimensions;
    if ((I)w.dp.size() < E * row) w.dp.resize(E * row);
    density(m, w, 0, w.c.data());
    S over = spectrum(m, w, w.c.data(), w.x.data());
    slopes(m, w, 0, w.c.data(), w.x.data(), over, w.dp.data());
    for (I s = 0; s < m.points; s += PANEL * W) {
      const S *panel = m.across + s * m.dimensions;
      covariances(m, w.x.data(), s, value, rate);
      for (int v = 0; v < PANEL; v++) {
        S *to = out.energy + s + v * W;
        put(to, at(to) + (value[v] - at(&lone[s + v * W])));
      }
      for (I e = 0; e < E; e++) {
        const S *dp = &w.dp[e * row];
        V sum[3][PANEL] = {};
        for (I k = 0; k < m.dimensions; k++) {
          V x[PANEL];
          for (int v = 0; v < PANEL; v++) x[v] = at(panel + (k * PANEL + v) * W);
#pragma GCC unroll 3
          for (int y = 0; y < 3; y++)
            for (int v = 0; v < PANEL; v++) sum[y][v] += dp[y * m.dimensions + k] * x[v];
        }
        for (int v = 0; v < PANEL; v++) {
          V J[3] = {sum[0][v] * rate[v], sum[1][v] * rate[v], sum[2][v] * rate[v]};
          push(in, out, n, w.edge[e], s + v * W, J);
        }
      }
    }
  }
  return 0;
}

// The variances of a block of centers; a is δ² of every sparse point.
static int doubt(Model &m, Worker &w, const Call &in, const Variances &out, const I *atoms, I count) {
  if (int fault = gather(m, w, in, atoms, count)) return fault;
  I each = m.kinds * LM * NP, rows = (count + TILE - 1) / TILE * TILE;
  for (I t = 0; t < count; t++) {
    density(m, w, t, &w.c[t * each]);
    spectrum(m, w, &w.c[t * each], &w.x[t * m.columns]);
  }
  times(w.x.data(), rows, m.dimensions, m.columns, m.across, m.points, w.o.data());
  for (I k = 0; k < count * m.points; k += W) {
    V x = at(&w.o[k]);
    put(&w.o[k], x * raised(m, at(m.a + k % m.points), x));
  }
  double known[BLOCK];
  w.y.resize(BLOCK * m.points);
  explained(w.o.data(), rows, m.points, out.root, w.y.data(), known);
  for (I t = 0; t < count; t++) out.variance[atoms[t]] += out.prior - known[t];
  return 0;
}

static int variances(Model &m, const Call &in, const Variances &out) {
  reserve(m, in);
  return each_block(m, in, [&](Worker &w, const I *centers, I n) { return doubt(m, w, in, out, centers, n); });
}
