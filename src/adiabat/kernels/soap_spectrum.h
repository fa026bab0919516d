// An atom's power spectrum p of its density c, whole, compressed or of sums, with what its gradient gives for c, and its slopes.
#include "compressed.h"
#include "sums.h"

struct Once {  // times / √(2l+1)
  explicit Once(S times = 1) {
    for (int l = 0; l <= LMAX; l++) of[l] = (S)(times / std::sqrt(2.0 * l + 1));
  }
  S of[L1];
};
static const S ROOT = (S)1.4142135623730950488;

// Room beside c: for densities of other channels, and for what products there are before some are picked.
static void make_room(const Model &m, Worker &w) { w.second.resize(m.lots ? 4 * room(m) : 2 * LM * m.others), w.p.resize(m.pieces ? m.products : 0); }

// All products of channels: for a ≥ b and l, l fastest.
static void whole(const Model &m, const S *c, S *p) {
  I C = m.kinds * NMAX;
  Once once;
  for (I a = 0; a < C; a++) {
    const S *ca = c + (a / NMAX) * LM * NP + a % NMAX;
    for (I y = 0; y <= a / NMAX; y++) {
      const S *cb = c + y * LM * NP;
      for (int l = 0; l <= LMAX; l++) {
        V sum[NV] = {};
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
          for (int v = 0; v < NV; v++) sum[v] += ca[lm * NP] * at(cb + lm * NP + v * W);
        for (int n = 0; n < NMAX; n++) {
          I b = y * NMAX + n;
          if (b > a) break;
          p[(a * (a + 1) / 2 + b) * L1 + l] = sum[n / W][n % W] * (a == b ? once.of[l] : ROOT * once.of[l]);
        }
      }
    }
  }
}

// c̄ from p̄.
static void whole_back(const Model &m, Worker &w, const S *c, const S *pb, S *cb) {
  I C = m.kinds * NMAX, wide = m.kinds * NP;
  Once once(ROOT);
  S *G = w.full.data();  // [L1, C, kinds NP], symmetric
  for (I a = 0; a < C; a++)
    for (I b = 0; b <= a; b++)
      for (int l = 0; l <= LMAX; l++) {
        S value = pb[(a * (a + 1) / 2 + b) * L1 + l] * once.of[l];
        if (a == b) value *= ROOT;
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

// Slopes of p over `over` from those of c, [LM, NP], of one kind.
static void whole_slope(const Model &m, Worker &w, const S *c, const S *dc, I z, S over, S *dp) {
  I C = m.kinds * NMAX;
  Once once(over * ROOT);
  S *one = w.full.data();  // [C, NP]
  for (int l = 0; l <= LMAX; l++) {
    for (I b = 0; b < C; b++) {
      const S *cb = c + (b / NMAX) * LM * NP + b % NMAX;
      V sum[NV] = {};
      for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
        for (int v = 0; v < NV; v++) sum[v] += cb[lm * NP] * at(dc + lm * NP + v * W);
      for (int v = 0; v < NV; v++) put(&one[b * NP + v * W], sum[v]);  // Σ_m ∂c_a c_b, a of this kind
    }
    for (I a = 0; a < C; a++)
      for (I b = 0; b <= a; b++) {
        S value = (a / NMAX == z ? one[b * NP + a % NMAX] : 0) + (b / NMAX == z ? one[a * NP + b % NMAX] : 0);
        dp[(a * (a + 1) / 2 + b) * L1 + l] = value * once.of[l] * (a == b ? (S)0.70710678118654752440 : (S)1);
      }
  }
}

// x = P p; P has `pieces` entries.
static void pick(const Model &m, const S *p, S *x) {
  std::fill(x, x + m.dimensions, (S)0);
  for (I k = 0; k < m.pieces; k++) x[m.row[k]] += m.value[k] * p[m.column[k]];
}

// p of one atom from c, of length 1; 1/|p|, by which it was multiplied.
static S spectrum(const Model &m, Worker &w, const S *c, S *x) {
  S *p = m.pieces ? w.p.data() : x;
  if (m.lots) sums(m, w, Once().of, c, p);
  else if (m.others) products(m, w, c, p);
  else whole(m, c, p);
  if (m.pieces) pick(m, p, x);
  double square = 0;
  for (I k = 0; k < m.dimensions; k++) square += (double)x[k] * x[k];
  S over = (S)(1 / std::sqrt(square));
  for (I k = 0; k < m.dimensions; k++) x[k] *= over;
  return over;
}

// c̄ of one atom from p̄.
static void spectrum_back(const Model &m, Worker &w, const S *c, const S *pb, S *cb) {
  if (m.pieces) {
    std::fill(w.p.begin(), w.p.end(), (S)0);
    for (I k = 0; k < m.pieces; k++) w.p[m.column[k]] += m.value[k] * pb[m.row[k]];
    pb = w.p.data();
  }
  if (m.lots) sums_back(m, w, Once().of, c, pb, cb);
  else if (m.others) products_back(m, w, c, pb, cb);
  else whole_back(m, w, c, pb, cb);
}

// Slopes of p, of length 1, from those of c, [LM, NP], of one kind, after `spectrum` of this c; `over` is one by the length of what it was.
static void spectrum_slope(const Model &m, Worker &w, const S *c, const S *dc, I kind, const S *p, S over, S *dp) {
  S *to = m.pieces ? w.p.data() : dp;
  if (m.lots) sums_slope(m, w, Once(over).of, dc, kind, to);
  else if (m.others) products_slope(m, w, c, dc, kind, over, to);
  else whole_slope(m, w, c, dc, kind, over, to);
  if (m.pieces) pick(m, to, dp);
  S along = 0;
  for (I d = 0; d < m.dimensions; d++) along += dp[d] * p[d];
  for (I d = 0; d < m.dimensions; d++) dp[d] -= along * p[d];
}
