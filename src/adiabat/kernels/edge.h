// The parts of edge geometry that do not depend on l_max. HARMONICS is defined above.
struct Edges {
  I n, threads;
  const S *r, *gd, *gY, *rt;
  S *d, *Y, *rb;
};

static int check(const Edges &, I) { return 0; }

static inline V root(V x) {
  for (int k = 0; k < W; k++) x[k] = std::sqrt(x[k]);
  return x;
}
static inline V inverse(V x) {  // 1/x, and 0 for a vector of no length: it has no direction
  for (int k = 0; k < W; k++) x[k] = x[k] == 0 ? 0 : 1 / x[k];
  return x;
}
static inline Dual<V> root(Dual<V> x) { V d = root(x.v); return {d, (S)0.5 * x.t * inverse(d)}; }
static inline Dual<V> inverse(Dual<V> x) { V i = inverse(x.v); return {i, -i * i * x.t}; }

template <class T> static inline void harmonics(const typename T::v *u, typename T::v *y);                     // generated
template <class T> static inline void slopes(const typename T::v *y, const V *g, typename T::v *ub);          // generated

// W edges from `e`: lengths and directions; lanes beyond the last edge hold zero vectors.
template <class T> static inline int directions(const Edges &a, I e, typename T::v &d, typename T::v &over, typename T::v *u) {
  int lanes = a.n - e < W ? a.n - e : W;
  typename T::v r[3] = {};
  for (int k = 0; k < lanes; k++)
    for (int x = 0; x < 3; x++) T::set(r[x], k, T::get({a.r, a.rt}, (e + k) * 3 + x));
  d = root(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
  over = inverse(d);
  for (int x = 0; x < 3; x++) u[x] = r[x] * over;
  return lanes;
}

static inline V lanes_of(const S *p, I stride, int lanes) {
  V x = {};
  for (int k = 0; k < lanes; k++) x[k] = p[k * stride];
  return x;
}

template <class T> static void forward(const Edges &a) {
#pragma omp parallel for schedule(static) num_threads(a.threads)
  for (I e = 0; e < a.n; e += W) {
    typename T::v d, over, u[3], y[HARMONICS];
    int lanes = directions<T>(a, e, d, over, u);
    harmonics<T>(u, y);
    for (int k = 0; k < lanes; k++) {
      a.d[e + k] = T::out(d)[k];
      for (int m = 0; m < HARMONICS; m++) a.Y[(e + k) * HARMONICS + m] = T::out(y[m])[k];
    }
  }
}

// r̄ = (ū − u (u·ū)) / d + d̄ u: what turns the direction, and what stretches the edge.
template <class T> static void backward(const Edges &a) {
#pragma omp parallel for schedule(static) num_threads(a.threads)
  for (I e = 0; e < a.n; e += W) {
    typename T::v d, over, u[3], y[HARMONICS], ub[3] = {};
    int lanes = directions<T>(a, e, d, over, u);
    V gd = lanes_of(a.gd + e, 1, lanes), g[HARMONICS];
    for (int m = 0; m < HARMONICS; m++) g[m] = lanes_of(a.gY + e * HARMONICS + m, HARMONICS, lanes);
    harmonics<T>(u, y);
    slopes<T>(y, g, ub);
    typename T::v along = u[0] * ub[0] + u[1] * ub[1] + u[2] * ub[2];
    for (int x = 0; x < 3; x++) {
      V rb = T::out((ub[x] - u[x] * along) * over + u[x] * gd);
      for (int k = 0; k < lanes; k++) a.rb[(e + k) * 3 + x] = rb[k];
    }
  }
}
