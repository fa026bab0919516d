// Chebyshev functions of the distances of one atom's neighbors, alone and times harmonics: their sums, and what the sums' cotangents
// mean for the edges. RADIAL, ANGULAR and HARMONICS are defined above; vectors.h comes before.
enum { ROWS = HARMONICS - 1, TURNED = ANGULAR * ROWS };

template <class X> static inline void harmonics(const X *u, X *y);            // generated
template <class X> static inline void slopes(const X *y, const X *g, X *ub);  // generated

// f_k = ½ (T_k(x) + 1) f_c with x = 2 (d/r_c − 1)² − 1, and ∂f_k/∂d; T_k' = k U_{k−1}. `per` = 1/r_c, of all lanes or each.
template <int N, class R, class X> static inline void functions(X d, R per, X *f, X *slope) {
  X t = (S)-1 + per * d, x = (S)-1 + (S)2 * (t * t), turn = ((S)4 * per) * t, fade, down;
  cutoff((per * per) * (d * d), fade, down);
  down = ((S)2 * per * per) * (down * d);
  X T0 = plain(d, 1), T1 = x, U0 = plain(d, 0), U1 = plain(d, 1);
#pragma GCC unroll 64
  for (int k = 0; k < N; k++) {
    X half = (S)0.5 * ((S)1 + T0);
    f[k] = half * fade;
    slope[k] = ((S)0.5 * k) * (U0 * (turn * fade)) + half * down;
    X T2 = (S)2 * (x * T1) - T0, U2 = (S)2 * (x * U1) - U0;
    T0 = T1, T1 = T2, U0 = U1, U1 = U2;
  }
}

// The edges of one atom by the neighbor's species, of each the near ones first.
template <class T> struct Center {
  typedef typename T::v X;
  enum { DUAL = sizeof(X) / sizeof(V) };
  std::vector<S> vectors;
  std::vector<I> edge, start;
  I n = 0, size = 0;
  Room r(int x) { S *p = vectors.data() + x * size * DUAL; return {p, p + size}; }
  Span all(I s) const { return {start[2 * s], start[2 * s + 2]}; }
  Span near(I s) const { return {start[2 * s], start[2 * s + 1]}; }

  // Edges from…to: vector(e, x) and the neighbor's species(e); both ranges are by species. `apart`: near ones of all species first.
  template <class Vector, class Species>
  void gather(I from, I to, I kinds, const S *range, const S *shorter, Vector vector, Species species, bool apart = false) {
    start.assign(2 * kinds + 2, 0);
    n = 0;
    auto place = [&](I e) -> I {  // −1: too far
      I s = species(e);
      S x = vector(e, 0), y = vector(e, 1), z = vector(e, 2), square = x * x + y * y + z * z;
      if (!(square < range[s] * range[s])) return -1;
      bool far = !(square < shorter[s] * shorter[s]);
      return apart ? far * kinds + s : 2 * s + far;
    };
    for (I e = from; e < to; e++)
      if (I p = place(e); p >= 0) start[p + 2]++, n++;
    for (I p = 0; p < 2 * kinds; p++) start[p + 2] += start[p + 1];
    size = n + 2 * W;
    if ((I)edge.size() < n + 1) edge.resize(n + 1);
    if ((I)vectors.size() < 3 * size * DUAL) vectors.resize(3 * size * DUAL);
    for (I e = from; e < to; e++)
      if (I p = place(e); p >= 0) edge[start[p + 1]++] = e;
  }
  inline void direction(I k, X &d, X &over, X *u) {
    X square = X{};
    for (int x = 0; x < 3; x++) u[x] = load(r(x), k, X{}), square += u[x] * u[x];
    over = reciprocal_root(square);
    d = square * over;
    for (int x = 0; x < 3; x++) u[x] = u[x] * over;
  }

  // Σ f_k [RADIAL] and Σ f_k Y_lm [ANGULAR, ROWS] over the neighbors of one species, lane by lane.
  void sums(I s, S range, S shorter, X *alone, X *turned) {
    Span run = all(s), close = near(s);
    for (I k = run.from; k < run.to; k += W) {
      X d, over, u[3], f[RADIAL], slope[RADIAL];
      direction(k, d, over, u);
      functions<RADIAL>(d, 1 / range, f, slope);
      VI mine = lanes_below(run.to - k);
      for (int q = 0; q < RADIAL; q++) alone[q] += where(mine, f[q]);
      if (k >= close.to || !ROWS) continue;
      X g[ANGULAR], gs[ANGULAR], y[HARMONICS];
      functions<ANGULAR>(d, 1 / shorter, g, gs);
      harmonics(u, y);
      mine = lanes_below(close.to - k);
      for (int q = 0; q < ANGULAR; q++) {
        X fq = where(mine, g[q]);
        for (int m = 0; m < ROWS; m++) turned[q * ROWS + m] += fq * y[m + 1];
      }
    }
  }

  // What cotangents of these sums pull each edge by: store(k, rb[3]) for W edges from k, of which the first run.to − k are the run's.
  template <class Store> void pull(I s, S range, S shorter, const S *alone, const S *turned, Store store) {
    Span run = all(s), close = near(s);
    for (I k = run.from; k < run.to; k += W) {
      X d, over, u[3], f[RADIAL], slope[RADIAL], along = X{}, ub[3] = {}, rb[3];
      direction(k, d, over, u);
      functions<RADIAL>(d, 1 / range, f, slope);
      for (int q = 0; q < RADIAL; q++) along += alone[q] * slope[q];
      if (k < close.to && ROWS) {  // beyond the shorter range functions are zero
        X g[ANGULAR], gs[ANGULAR], y[HARMONICS], yb[HARMONICS] = {};
        functions<ANGULAR>(d, 1 / shorter, g, gs);
        harmonics(u, y);
        for (int q = 0; q < ANGULAR; q++) {
          X sum = X{};
          for (int m = 0; m < ROWS; m++) sum += turned[q * ROWS + m] * y[m + 1], yb[m + 1] += turned[q * ROWS + m] * g[q];
          along += sum * gs[q];
        }
        slopes(y, yb, ub);
      }
      X back = along - (u[0] * ub[0] + u[1] * ub[1] + u[2] * ub[2]) * over;
      for (int x = 0; x < 3; x++) rb[x] = ub[x] * over + u[x] * back;
      store(k, run.to - k < W ? run.to - k : (I)W, rb);
    }
  }
};
