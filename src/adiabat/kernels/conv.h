// The parts of a convolution that do not depend on its path list. ROWS, PATHS, HARMONICS and FOLDS are defined above.
enum { CHUNK = 32 };  // centers whose folded coefficients stay in the second-level cache together

struct Conv {
  I centers, neighbors, C, intervals, table_rows, harmonics, threads;
  double cutoff;
  const I *first, *i, *j, *order, *first_by_neighbor, *kind;
  const S *h, *Y, *d, *table, *blocked, *g;
  const S *ht, *Yt, *dt, *tablet, *blockedt;
  S *out, *hb, *Yb, *db, *blockedb;
};

// What compiled code cannot survive, in the order of the messages in edge_conv_op.py; 0 if all is well.
static int check(const Conv &a, I edges) {
  if (a.first[0] != 0 || a.first[a.centers] != edges || a.first_by_neighbor[0] != 0 || a.first_by_neighbor[a.neighbors] != edges) return 1;
  for (I n = 0; n < a.centers; n++) {
    if (a.first[n] > a.first[n + 1]) return 1;
    for (I e = a.first[n]; e < a.first[n + 1]; e++)
      if (a.i[e] != n) return 2;
  }
  I kinds = a.table_rows / (a.intervals + 3);
  for (I e = 0; e < edges; e++) {
    if (a.j[e] < 0 || a.j[e] >= a.neighbors) return 3;
    if (a.kind[e] < 0 || a.kind[e] >= kinds) return 4;
    if (!(a.d[e] >= 0)) return 5;
  }
  for (I j = 0; j < a.neighbors; j++) {
    if (a.first_by_neighbor[j] > a.first_by_neighbor[j + 1]) return 1;
    for (I t = a.first_by_neighbor[j]; t < a.first_by_neighbor[j + 1]; t++)
      if (a.order[t] < 0 || a.order[t] >= edges || a.j[a.order[t]] != j) return 6;
  }
  return 0;
}

// One edge: where its splines are, their weights and slopes.
template <class T> struct Edge {
  typename T::s w[4], slope[4];
  I row;
};

template <class T> static inline void locate(const Conv &a, I e, Edge<T> &edge) {
  typename T::s d = T::get({a.d, a.dt}, e);
  S per = (S)(a.intervals / a.cutoff), x0 = T::value(d) * per;
  edge.row = a.kind[e] * (a.intervals + 3);
  if (!(T::value(d) < (S)a.cutoff)) {  // a skin edge: nothing, and no slope either
    for (int q = 0; q < 4; q++) edge.w[q] = edge.slope[q] = typename T::s{};
    return;
  }
  I k = (I)x0;
  k = k < 0 ? 0 : k > a.intervals - 1 ? a.intervals - 1 : k;
  edge.row += k;
  typename T::s t = (S)(-k) + per * d, u = (S)1 - t, tt = t * t, uu = u * u;
  const S sixth = (S)1 / 6, half = (S)1 / 2;
  edge.w[0] = sixth * (uu * u);
  edge.w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
  edge.w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu);
  edge.w[3] = sixth * (tt * t);
  edge.slope[0] = (-half * per) * uu;
  edge.slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
  edge.slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u);
  edge.slope[3] = (half * per) * tt;
}

template <class T> static void fold(const typename T::v *y, typename T::v *B);  // Σ_m C Y_m for each (path, a, c): generated

template <class T> struct Work {
  std::vector<typename T::v> B;  // [edges / W][FOLDS], edges as lanes
  std::vector<Edge<T>> edges;

  // Edges t0…t1 of the list (of `order`, if given).
  void prepare(const Conv &a, const I *order, I t0, I t1) {
    I n = t1 - t0, groups = (n + W - 1) / W;
    B.resize(groups * FOLDS);
    edges.resize(n);
    for (I g = 0; g < groups; g++) {
      typename T::v y[HARMONICS] = {};
      for (int k = 0; k < W && g * W + k < n; k++) {
        I e = order ? order[t0 + g * W + k] : t0 + g * W + k;
        locate<T>(a, e, edges[g * W + k]);
        for (int m = 0; m < HARMONICS; m++) T::set(y[m], k, T::get({a.Y, a.Yt}, e * a.harmonics + m));
      }
      fold<T>(y, &B[g * FOLDS]);
    }
  }
  const typename T::v *folded(I t) const { return &B[t / W * FOLDS]; }
};

// Four rows of a spline table weighted: `at` points to the first row's lanes, rows are `stride` apart.
template <class T> static inline typename T::v mix(const typename T::s *w, In table, I at, I stride) {
  return w[0] * T::load(table, at) + w[1] * T::load(table, at + stride) + w[2] * T::load(table, at + 2 * stride) +
         w[3] * T::load(table, at + 3 * stride);
}
