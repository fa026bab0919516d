// The parts of a polynomial that do not depend on its terms. ROWS, OUTPUTS and TERMS are defined above.
enum { CHUNK = 64 };

struct Poly {
  I n, C, threads;
  const I *order, *species;
  const S *x, *c, *g;  // c: [species][C / W][TERMS][W]
  const S *xt, *ct;
  S *out, *xb, *cb;
};

// 0 if every species has coefficients and the order is one of the atoms.
static int check(const Poly &a, I species) {
  for (I k = 0; k < a.n; k++) {
    if (a.species[k] < 0 || a.species[k] >= species) return 1;
    if (a.order[k] < 0 || a.order[k] >= a.n) return 2;
  }
  return 0;
}

template <class T> static void evaluate(const typename T::v *x, In c, I at, S *out, I to, I stride);
template <class T, bool COEFFICIENTS>
static void differentiate(const typename T::v *x, In c, I at, const S *g, I from, I stride, typename T::v *xb, S *cb);

template <class T> static void forward(const Poly &a) {
  I chunks = (a.n + CHUNK - 1) / CHUNK, blocks = a.C / W;
#pragma omp parallel for schedule(static) num_threads(a.threads)
  for (I chunk = 0; chunk < chunks; chunk++)
    for (I b = 0; b < blocks; b++)
      for (I k = chunk * CHUNK; k < (chunk + 1) * CHUNK && k < a.n; k++) {
        I n = a.order[k];
        typename T::v x[ROWS];
        for (int r = 0; r < ROWS; r++) x[r] = T::load({a.x, a.xt}, (n * ROWS + r) * a.C + b * W);
        evaluate<T>(x, {a.c, a.ct}, (a.species[n] * blocks + b) * TERMS * W, a.out, n * OUTPUTS * a.C + b * W, a.C);
      }
}

template <class T, bool COEFFICIENTS> static void backward(const Poly &a, I k0, I k1, I b0, I b1) {
  I blocks = a.C / W;
  for (I b = b0; b < b1; b++)
    for (I k = k0; k < k1; k++) {
      I n = a.order[k], at = (a.species[n] * blocks + b) * TERMS * W;
      typename T::v x[ROWS], xb[ROWS] = {};
      for (int r = 0; r < ROWS; r++) x[r] = T::load({a.x, a.xt}, (n * ROWS + r) * a.C + b * W);
      differentiate<T, COEFFICIENTS>(x, {a.c, a.ct}, at, a.g, n * OUTPUTS * a.C + b * W, a.C, xb, COEFFICIENTS ? a.cb + at : nullptr);
      for (int r = 0; r < ROWS; r++) T::put(a.xb, (n * ROWS + r) * a.C + b * W, xb[r]);
    }
}

// Coefficients are sums over atoms: each thread then owns channels, so that every sum has one order for any thread count.
template <class T> static void backward(const Poly &a) {
  I chunks = (a.n + CHUNK - 1) / CHUNK, blocks = a.C / W;
  if (a.cb) {
#pragma omp parallel num_threads(a.threads)
    {
      I b0, b1;
      share(blocks, b0, b1);
      backward<T, true>(a, 0, a.n, b0, b1);
    }
  } else {
#pragma omp parallel for schedule(static) num_threads(a.threads)
    for (I chunk = 0; chunk < chunks; chunk++) {
      I k1 = (chunk + 1) * CHUNK;
      backward<T, false>(a, chunk * CHUNK, k1 < a.n ? k1 : a.n, 0, blocks);
    }
  }
}
