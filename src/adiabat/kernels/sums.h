// Power spectra of two densities whose channels are sums x_k = Σ_zn A_zn,k c_zn and y_k = Σ_zn B_zn,k c_zn. There are `lots` of `sums`
// channels: one, or one a kind, or one a radial function, which then are not summed over. p_stkql = Σ_m x_sklm y_tqlm / √(2l+1) of all of
// them (`coupled`), or of k = q alone. `symmetric`: y is x, and of two pairs the one with t q ≤ s k stands here, times `twice`. k runs
// fastest, then l, s, q, t. x and y are [lots, LM, wide].
static inline I lot(const Model &m, I z, int n) { return z * m.of_kind + n * m.of_radial; }
static inline I room(const Model &m) { return m.lots * LM * m.wide; }

// x (`with` A) or y (B) of the densities c of kinds from `z` to `end`. Tiles of TILE harmonics and PANEL vectors stay in registers; the
// last harmonics may be worked out twice.
static void summed(const Model &m, const S *with, const S *c, I z, I end, S *x) {
  for (I s = 0; s < m.lots; s++, x += LM * m.wide) {
    I first = m.of_kind ? std::max(z, s) : z, last = m.of_kind ? std::min(end, s + 1) : end;
    I n0 = m.of_radial ? s : 0, n1 = m.of_radial ? s + 1 : NMAX;
    for (I v = 0; v < m.wide; v += PANEL * W)
      for (I lm = 0; lm < LM; lm += TILE) {
        V sum[TILE][PANEL] = {};
        I at_lm[TILE];
        for (int q = 0; q < TILE; q++) at_lm[q] = std::min(lm + q, (I)LM - 1);
        for (I y = first; y < last; y++)
          for (I n = n0; n < n1; n++) {
            const S *row = with + (y * NMAX + n) * m.wide + v, *here = c + (y - z) * LM * NP + n;
            V w[PANEL];
            for (int p = 0; p < PANEL; p++) w[p] = at(row + p * W);
#pragma GCC unroll 4
            for (int q = 0; q < TILE; q++)
              for (int p = 0; p < PANEL; p++) sum[q][p] += here[at_lm[q] * NP] * w[p];
          }
        for (int q = 0; q < TILE; q++)
          for (int p = 0; p < PANEL; p++) put(x + at_lm[q] * m.wide + v + p * W, sum[q][p]);
      }
  }
}

// visit(s, t, q, k): the products of x_sk … from k on with y_tq, or with y_tk … where they are not coupled.
template <class F> static inline void each_product(const Model &m, F visit) {
  for (I t = 0; t < m.lots; t++)
    for (I q = 0; q < (m.coupled ? m.sums : 1); q++)
      for (I s = m.symmetric ? t : 0; s < m.lots; s++) visit(s, t, q, m.symmetric && m.coupled && s == t ? q : 0);
}

// What a product is multiplied with, beside 1/√(2l+1).
static inline S times_of(const Model &m, I s, I t, I q, I k) { return !m.symmetric || (s == t && (k == q || !m.coupled)) ? 1 : (S)m.twice; }

// Lanes v … of y_tq, or of y_t.
static inline V beside(const Model &m, const S *y, I q, I v) { return m.coupled ? V{} + y[q] : at(y + v); }

static void sums(const Model &m, Worker &w, const S *once, const S *c, S *p) {
  S *x = w.second.data(), *y = m.symmetric ? x : x + room(m);
  summed(m, m.one, c, 0, m.kinds, x);
  if (!m.symmetric) summed(m, m.other, c, 0, m.kinds, y);
  each_product(m, [&](I s, I t, I q, I first) {
    for (int l = 0; l <= LMAX; l++, p += m.sums - first)
      for (I v = first / W * W; v < m.sums; v += W) {
        V sum = {};
        for (I lm = l * l; lm < (l + 1) * (l + 1); lm++) sum += beside(m, y + (t * LM + lm) * m.wide, q, v) * at(x + (s * LM + lm) * m.wide + v);
        for (I k = std::max(v, first); k < std::min(v + W, m.sums); k++) p[k - first] = once[l] * times_of(m, s, t, q, k) * sum[k - v];
      }
  });
}

// c̄ from p̄.
static void sums_back(const Model &m, Worker &w, const S *once, const S *c, const S *pb, S *cb) {
  I size = room(m);
  S *x = w.second.data(), *y = m.symmetric ? x : x + size, *xb = x + 2 * size, *yb = m.symmetric ? xb : xb + size;
  summed(m, m.one, c, 0, m.kinds, x);
  if (!m.symmetric) summed(m, m.other, c, 0, m.kinds, y);
  std::fill(xb, xb + 2 * size, (S)0);
  each_product(m, [&](I s, I t, I q, I first) {
    for (int l = 0; l <= LMAX; l++, pb += m.sums - first)
      for (I v = first / W * W; v < m.sums; v += W) {
        V g = {};
        for (I k = std::max(v, first); k < std::min(v + W, m.sums); k++) g[k - v] = once[l] * times_of(m, s, t, q, k) * pb[k - first];
        for (I lm = l * l; lm < (l + 1) * (l + 1); lm++) {
          I here = (s * LM + lm) * m.wide + v, there = (t * LM + lm) * m.wide;
          V moved = g * at(x + here);
          put(xb + here, at(xb + here) + g * beside(m, y + there, q, v));
          if (m.coupled) yb[there + q] += total(moved);
          else put(yb + there + v, at(yb + there + v) + moved);
        }
      }
  });
  for (I z = 0; z < m.kinds; z++)
    for (int n = 0; n < NMAX; n++) {
      const S *one = m.one + (z * NMAX + n) * m.wide, *other = m.other + (z * NMAX + n) * m.wide;
      I from = lot(m, z, n) * LM * m.wide;
      for (int lm = 0; lm < LM; lm++, from += m.wide) {
        V sum = {};
        for (I v = 0; v < m.wide; v += W) {
          sum += at(one + v) * at(xb + from + v);
          if (!m.symmetric) sum += at(other + v) * at(yb + from + v);
        }
        cb[(z * LM + lm) * NP + n] = total(sum);
      }
    }
}

// Slopes of p from those of c, [LM, NP], of one kind; of c itself x and y are known.
static void sums_slope(const Model &m, Worker &w, const S *once, const S *dc, I kind, S *dp) {
  I size = room(m);
  S *x = w.second.data(), *y = m.symmetric ? x : x + size, *dx = x + 2 * size, *dy = m.symmetric ? dx : dx + size;
  summed(m, m.one, dc, kind, kind + 1, dx);
  if (!m.symmetric) summed(m, m.other, dc, kind, kind + 1, dy);
  each_product(m, [&](I s, I t, I q, I first) {
    for (int l = 0; l <= LMAX; l++, dp += m.sums - first)
      for (I v = first / W * W; v < m.sums; v += W) {
        V sum = {};
        for (I lm = l * l; lm < (l + 1) * (l + 1); lm++) {
          I here = (s * LM + lm) * m.wide + v, there = (t * LM + lm) * m.wide;
          sum += beside(m, y + there, q, v) * at(dx + here) + beside(m, dy + there, q, v) * at(x + here);
        }
        for (I k = std::max(v, first); k < std::min(v + W, m.sums); k++) dp[k - first] = once[l] * times_of(m, s, t, q, k) * sum[k - v];
      }
  });
}
