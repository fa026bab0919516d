// The density of an atom's neighbors in radial functions and harmonics, and what its gradient gives for edges. Radial functions are lanes.
enum { L1 = LMAX + 1, LM = L1 * L1, NV = (NMAX + W - 1) / W, NP = NV * W, BLOCK = 32 };

struct Facts {
  I elements, kinds, points, columns, dimensions, intervals, zeta;  // points, columns: padded to whole panels
  I others, merged, summed;                                         // of a compressed spectrum's second density; others: 0 if there is none
  I lots, sums, wide, of_kind, of_radial, coupled, symmetric;       // of spectra of sums of channels; lots: 0 if they are none
  I pieces, products;                                               // of so many products pieces are picked; pieces: 0 if all stand for themselves
  double cutoff, width, reach, lone, power, twice;                  // power: ζ; zeta: the same if it is whole, or 0
  const I *known, *center, *channel;  // by atomic number: ≥ 0 if known; 1 if a center; which kind of neighbor, −1 if none counted
  const S *table;                     // [intervals + 3, L1, NP]: radial functions over √4π; see `radial`
  const S *alone;                     // [kinds, NP]: what the atom's own Gaussian gives to l = 0
  const S *across, *along, *a;        // points as panels [points, dimensions] → [·, dimensions, PANEL W] and [·, points, PANEL W]; [points]
  const S *norm;                      // [LM]: of the harmonics
  const S *one, *other;               // [kinds NMAX, wide]: the sums
  const I *row, *column;              // of what is picked, with its factors
  const S *value;
  const struct Turbo *turbo;          // [kinds]: of soap_turbo, or nothing
};

struct Worker {
  std::vector<S> c, cb, x, xb, o, full, r, Y, R, dp, second, p, y;
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

#include "turbo.h"

// Places on a table of splines: the first of four rows, their weights, and those of the slope.
static inline I places(const Model &m, double d, S *w, S *dw) {
  double per = m.intervals / m.reach, p = d * per;
  I k = (I)p;
  k = k < m.intervals - 1 ? k : m.intervals - 1;
  double t = p - k, u = 1 - t;
  w[0] = (S)(u * u * u / 6), w[1] = (S)((3 * t * t * t - 6 * t * t + 4) / 6), w[2] = (S)((3 * u * u * u - 6 * u * u + 4) / 6), w[3] = (S)(t * t * t / 6);
  per /= 2;
  dw[0] = (S)(-u * u * per), dw[1] = (S)((3 * t * t - 4 * t) * per), dw[2] = (S)((4 * u - 3 * u * u) * per), dw[3] = (S)(t * t * per);
  return k;
}

// R_nl and ∂R_nl/∂d of a neighbor of this kind at distance d, [L1, NP], faded out.
static inline void radial(const Model &m, I kind, double d, S *R, S *dR) {
  S w[4], dw[4];
  I k = places(m, d, w, dw);
  if (m.turbo) {  // a function of the distance and n times one, of the table [kinds, intervals + 3, L1], of the distance and l
    S along[NP], slope[NP];
    turbo_radial(m.turbo[kind], (S)d, (S)m.cutoff, along, slope);
    const S *row = m.table + (kind * (m.intervals + 3) + k) * L1;
    for (int l = 0; l <= LMAX; l++, row++) {
      S a = 0, da = 0;
      for (int x = 0; x < 4; x++) a += w[x] * row[x * L1], da += dw[x] * row[x * L1];
      for (int v = 0; v < NP; v += W) put(R + l * NP + v, a * at(along + v)), put(dR + l * NP + v, a * at(slope + v) + da * at(along + v));
    }
    return;
  }
  double begin = m.cutoff - m.width;
  if (d > begin) {
    double x = 3.14159265358979323846 * (d - begin) / m.width;
    S f = (S)(0.5 * (1 + std::cos(x))), df = (S)(-0.5 * 3.14159265358979323846 / m.width * std::sin(x));
    for (int x = 0; x < 4; x++) dw[x] = dw[x] * f + w[x] * df, w[x] *= f;
  }
  const S *row = m.table + k * (L1 * NP);
  for (int v = 0; v < L1 * NP; v += W, row += W) {
    V T[4], sum = {}, slope = {};
    for (int x = 0; x < 4; x++) T[x] = at(row + x * L1 * NP), sum += w[x] * T[x], slope += dw[x] * T[x];
    put(R + v, sum), put(dR + v, slope);
  }
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
      S *to = c + w.channel[k] * LM * NP, *all = w.R.data();
      const S *Y = w.Y.data() + (k - k0);
      radial(m, w.channel[k], w.length[k], all, all + L1 * NP);
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          V R = at(all + l * NP + v * W);
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) put(to + lm * NP + v * W, at(to + lm * NP + v * W) + Y[lm * W] * R);
        }
    }
  }
}

// ∂E/∂r of one atom's edges, from c̄.
static void density_back(const Model &m, Worker &w, I t, const S *cb, S *g) {
  I size = (I)w.edge.size() + W;
  for (I k0 = w.from[t]; k0 < w.from[t + 1]; k0 += W) {
    harmonics<true>(m.norm, at(&w.r[k0]), at(&w.r[size + k0]), at(&w.r[2 * size + k0]), w.Y.data());
    for (I k = k0; k < k0 + W && k < w.from[t + 1]; k++) {
      S *R = w.R.data(), *dR = R + L1 * NP;
      const S *Y = w.Y.data() + (k - k0), *from = cb + w.channel[k] * LM * NP;
      radial(m, w.channel[k], w.length[k], R, dR);
      V down = {}, turn[3] = {};
      for (int l = 0; l <= LMAX; l++)
        for (int v = 0; v < NV; v++) {
          V sum[4] = {};
          for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
            V b = at(from + lm * NP + v * W);
            for (int x = 0; x < 4; x++) sum[x] += Y[(x * LM + lm) * W] * b;
          }
          down += at(dR + l * NP + v * W) * sum[0];
          for (int x = 0; x < 3; x++) turn[x] += at(R + l * NP + v * W) * sum[x + 1];
        }
      S all[4], u[3] = {w.r[k], w.r[size + k], w.r[2 * size + k]};
      V sums[4] = {down, turn[0], turn[1], turn[2]};
      totals(sums, all, 4);
      S over = (S)(1 / w.length[k]), along = all[1] * u[0] + all[2] * u[1] + all[3] * u[2];
      for (int x = 0; x < 3; x++) g[3 * w.edge[k] + x] = all[0] * u[x] + (all[x + 1] - along * u[x]) * over;
    }
  }
}
