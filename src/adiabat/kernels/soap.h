// A sparse Gaussian process on normalized power spectra (SOAP): E_i = Σ_s a_s (p_i·p_s)^ζ less a lone atom's. NMAX and LMAX are
// defined above. Radial functions are lanes; overlaps with the sparse points are matrix products of BLOCK atoms at a time.
#include "soap_density.h"
#include "soap_spectrum.h"

static void reserve(Model &m, const Call &in) {
  if ((I)m.workers.size() < in.threads) m.workers.resize(in.threads);
  I rows = m.kinds * LM * NP, C = m.kinds * NMAX;
  for (Worker &w : m.workers) {
    w.c.resize(BLOCK * rows), w.cb.resize(rows);
    w.x.assign(BLOCK * m.columns, 0), w.xb.assign(BLOCK * m.columns, 0), w.o.assign(BLOCK * m.points, 0);
    w.full.assign(L1 * C * m.kinds * NP, 0), make_room(m, w);
    w.Y.resize(4 * LM * W), w.R.resize(2 * L1 * NP), w.from.resize(BLOCK + 1), w.length.resize(BLOCK), w.e.resize(BLOCK);
  }
  m.g.resize(3 * in.edges + 1);
  m.own.resize(in.atoms);
  m.pairs.resize(9 * in.atoms);
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
  I size = (I)w.edge.size() + W;
  S *dc = w.cb.data();  // [3, LM, NP]
  for (I k0 = w.from[t]; k0 < w.from[t + 1]; k0 += W) {
    harmonics<true>(m.norm, at(&w.r[k0]), at(&w.r[size + k0]), at(&w.r[2 * size + k0]), w.Y.data());
    for (I k = k0; k < k0 + W && k < w.from[t + 1]; k++) {
      S *all = w.R.data(), u[3] = {w.r[k], w.r[size + k], w.r[2 * size + k]}, per = (S)(1 / w.length[k]);
      const S *Y = w.Y.data() + (k - k0);
      radial(m, w.channel[k], w.length[k], all, all + L1 * NP);
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          V R = at(all + l * NP + v * W), dR = at(all + (L1 + l) * NP + v * W);
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
            S slope[3], along = 0;
            for (int x = 0; x < 3; x++) slope[x] = Y[((x + 1) * LM + lm) * W], along += slope[x] * u[x];
            for (int x = 0; x < 3; x++)
              put(&dc[(x * LM + lm) * NP + v * W], (Y[lm * W] * u[x]) * dR + ((slope[x] - along * u[x]) * per) * R);
          }
        }
      for (int x = 0; x < 3; x++, dp += m.dimensions) spectrum_slope(m, w, c, dc + x * LM * NP, w.channel[k], p, over, dp);
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
  w.Y.resize(4 * LM * W), w.R.resize(2 * L1 * NP), w.from.resize(2), w.c.resize(each), w.cb.resize(3 * LM * NP), w.full.resize(C * NP), w.x.resize(m.columns), make_room(m, w);
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
