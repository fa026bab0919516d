// Compressed power spectra, of the density c of each kind z and of a second one o, which is c summed over kinds (`merged`), over radial
// functions (`summed`), or both: p_znbl = Σ_m c_znlm o_blm / √(2l+1), n fastest, then l, b, z. Here o is [LM, others].

// Where kind z stands in the second density.
static inline I part(const Model &m, I z) { return m.merged ? 0 : z * (m.summed ? 1 : NMAX); }

static void second(const Model &m, const S *c, S *o) {
  std::fill(o, o + LM * m.others, (S)0);
  for (I z = 0; z < m.kinds; z++)
    for (int lm = 0; lm < LM; lm++)
      for (int n = 0; n < NMAX; n++) o[lm * m.others + part(m, z) + (m.summed ? 0 : n)] += c[(z * LM + lm) * NP + n];
}

static void products(const Model &m, Worker &w, const S *c, S *x) {
  S *o = w.second.data();
  second(m, c, o);
  for (I z = 0; z < m.kinds; z++)
    for (I b = 0; b < m.others; b++)
      for (int l = 0; l <= LMAX; l++, x += NMAX) {
        V sum[NV] = {};
        S once = (S)(1 / std::sqrt(2.0 * l + 1));
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
          for (int v = 0; v < NV; v++) sum[v] += o[lm * m.others + b] * at(c + (z * LM + lm) * NP + v * W);
        for (int n = 0; n < NMAX; n++) x[n] = once * sum[n / W][n % W];
      }
}

// c̄ from p̄.
static void products_back(const Model &m, Worker &w, const S *c, const S *pb, S *cb) {
  S *o = w.second.data(), *ob = o + LM * m.others;
  second(m, c, o);
  std::fill(ob, ob + LM * m.others, (S)0);
  for (I k = 0; k < m.kinds * LM * NP; k += W) put(cb + k, V{});
  for (I z = 0; z < m.kinds; z++)
    for (I b = 0; b < m.others; b++)
      for (int l = 0; l <= LMAX; l++, pb += NMAX) {
        V g[NV] = {};
        S once = (S)(1 / std::sqrt(2.0 * l + 1));
        for (int n = 0; n < NMAX; n++) g[n / W][n % W] = once * pb[n];
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
          V sum = {};
          S with = o[lm * m.others + b];
          for (int v = 0; v < NV; v++) {
            I k = (z * LM + lm) * NP + v * W;
            sum += g[v] * at(c + k);
            put(cb + k, at(cb + k) + with * g[v]);
          }
          ob[lm * m.others + b] += total(sum);
        }
      }
  for (I z = 0; z < m.kinds; z++)
    for (int lm = 0; lm < LM; lm++)
      for (int n = 0; n < NMAX; n++) cb[(z * LM + lm) * NP + n] += ob[lm * m.others + part(m, z) + (m.summed ? 0 : n)];
}

// Slopes of p over `over` from those of c, [LM, NP], of one kind; of c itself the second density is known.
static void products_slope(const Model &m, Worker &w, const S *c, const S *dc, I kind, S over, S *dp) {
  const S *o = w.second.data();
  I mine = part(m, kind), wide = m.summed ? 1 : NMAX;
  S *d = w.second.data() + LM * m.others;  // [LM, wide]
  for (int lm = 0; lm < LM; lm++) {
    if (m.summed) d[lm] = 0;
    for (int n = 0; n < NMAX; n++)
      if (m.summed) d[lm] += dc[lm * NP + n];
      else d[lm * NMAX + n] = dc[lm * NP + n];
  }
  for (I z = 0; z < m.kinds; z++)
    for (I b = 0; b < m.others; b++) {
      bool moves = b >= mine && b < mine + wide;
      for (int l = 0; l <= LMAX; l++, dp += NMAX) {
        V sum[NV] = {};
        S once = over * (S)(1 / std::sqrt(2.0 * l + 1));
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++)
          for (int v = 0; v < NV; v++) {
            if (z == kind) sum[v] += o[lm * m.others + b] * at(dc + lm * NP + v * W);
            if (moves) sum[v] += d[lm * wide + b - mine] * at(c + (z * LM + lm) * NP + v * W);
          }
        for (int n = 0; n < NMAX; n++) dp[n] = once * sum[n / W][n % W];
      }
    }
}
