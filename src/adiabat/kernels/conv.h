// The parts of a convolution that do not depend on its path list. ROWS, PATHS, HARMONICS and FOLDS are defined above.
enum { CHUNK = 32 };  // centers whose folded coefficients stay in the second-level cache together

enum { OUTPUTS_MAX = 16 };  // MAX_OUTPUTS of ir.py
struct Conv {
  I centers, neighbors, C, intervals, table_rows, harmonics, threads;
  double cutoff;
  const I *first, *i, *j, *kind;
  const S *h, *Y, *d, *table, *blocked;
  const S *ht, *Yt, *dt, *tablet, *blockedt;
  S *hb, *Yb, *db, *tableb;
  S *out[OUTPUTS_MAX];      // one an output irrep: [N, 2l+1, paths, C]
  const S *g[OUTPUTS_MAX];  // their cotangents
};

// What compiled code cannot survive, in the order of the messages in edge_conv_op.py; 0 if all is well.
static int check(const Conv &a, I edges) {
  if (a.first[0] != 0 || a.first[a.centers] != edges) return 1;
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
  std::vector<Edge<T>> edges;    // one more than there are: rows of the next one are asked for

  void prepare(const Conv &a, I e0, I e1) {
    I n = e1 - e0, groups = (n + W - 1) / W;
    B.resize(groups * FOLDS);
    edges.resize(n + 1);
    edges[n].row = 0;
    for (I g = 0; g < groups; g++) {
      typename T::v y[HARMONICS] = {};
      for (int k = 0; k < W && g * W + k < n; k++) {
        I e = e0 + g * W + k;
        locate<T>(a, e, edges[g * W + k]);
        for (int m = 0; m < HARMONICS; m++) T::set(y[m], k, T::get({a.Y, a.Yt}, e * a.harmonics + m));
      }
      fold<T>(y, &B[g * FOLDS]);
    }
  }
  const typename T::v *folded(I e) const { return &B[e / W * FOLDS]; }
};

// Four rows of a spline table weighted: `at` points to the first row's lanes, rows are `stride` apart.
template <class T> static inline typename T::v mix(const typename T::s *w, In table, I at, I stride) {
  return w[0] * T::load(table, at) + w[1] * T::load(table, at + stride) + w[2] * T::load(table, at + 2 * stride) +
         w[3] * T::load(table, at + 3 * stride);
}

// Those rows are soon read. Distances come in no order, and the tables lie in the third-level cache, or after a pause in memory: waiting
// would cost more than computing. Sums ask for an edge's rows of the next block of channels while they read those of this one.
static inline void soon(In table, I at, I stride) {
  for (int q = 0; q < 4; q++) __builtin_prefetch(table.v + at + q * stride, 0, 2);
}

// The first block's rows of all edges of a chunk at once.
template <class T> static void ask(const Conv &a, const Work<T> &work, I n0, I n1, I e0) {
  for (I n = n0; n < n1; n++)
    for (I e = a.first[n]; e < a.first[n + 1]; e++)
      for (int q = 0; q < 4 * PATHS; q++) __builtin_prefetch(a.blocked + (work.edges[e - e0].row * PATHS + q) * W, 0, 2);
}

// Generated: sums over neighbors of centers n0…n1, and gradients of what their edges touch, channels c0…c1.
template <class T> static void sums(const Conv &a, const Work<T> &work, I n0, I n1, I e0);
// BLOCKED: the tables are read where `sums` reads them, and `table` need not be there.
template <class T, bool EDGES, bool NODES, bool TABLE, bool BLOCKED = false>
static void gradients(const Conv &a, const Work<T> &work, I n0, I n1, I e0, I c0, I c1);

template <class T, class F> static void chunk_of(const Conv &a, Work<T> &work, I k, F todo) {
  I n0 = k * CHUNK, n1 = n0 + CHUNK < a.centers ? n0 + CHUNK : a.centers, e0 = a.first[n0];
  work.prepare(a, e0, a.first[n1]);
  todo(work, n0, n1, e0);
}

static inline I chunks(const Conv &a) { return (a.centers + CHUNK - 1) / CHUNK; }

// The team's threads share the chunks (this stands inside a parallel region).
template <class T, class F> static void share_chunks(const Conv &a, int &fault, F todo) {
  Work<T> work;
#pragma omp for schedule(dynamic)
  for (I k = 0; k < chunks(a); k++) safely(fault, [&] { chunk_of(a, work, k, todo); });
}

// One thread walks them all, in order.
template <class T, class F> static void walk_chunks(const Conv &a, F todo) {
  Work<T> work;
  for (I k = 0; k < chunks(a); k++) chunk_of(a, work, k, todo);
}

template <class T> static void forward(const Conv &a) {
  int fault = 0;
#pragma omp parallel num_threads(a.threads)
  share_chunks<T>(a, fault, [&](const Work<T> &work, I n0, I n1, I e0) { sums<T>(a, work, n0, n1, e0); });
  if (fault) throw std::bad_alloc();
}

// Features and tables collect from many edges. With one thread everything is done in one sweep; with several, edges are shared out
// first, and then channels, so that no two threads add to one number and every sum has one order for any number of threads.
template <class T, bool NODES, bool TABLE> static void backward(const Conv &a) {
  if (a.threads == 1 && a.Yb) {
    walk_chunks<T>(a, [&](const Work<T> &work, I n0, I n1, I e0) {
      gradients<T, true, NODES, TABLE>(a, work, n0, n1, e0, 0, a.C);
    });
    return;
  }
  int fault = 0;
#pragma omp parallel num_threads(a.threads)
  {
    if (a.Yb)
      share_chunks<T>(a, fault, [&](const Work<T> &work, I n0, I n1, I e0) {
        gradients<T, true, false, false>(a, work, n0, n1, e0, 0, a.C);
      });
    I b0, b1;
    share(a.C / W, b0, b1);
    if ((NODES || TABLE) && b0 < b1)
      safely(fault, [&] {
        walk_chunks<T>(a, [&](const Work<T> &work, I n0, I n1, I e0) {
          gradients<T, false, NODES, TABLE>(a, work, n0, n1, e0, b0 * W, b1 * W);
        });
      });
  }
  if (fault) throw std::bad_alloc();
}

// What is asked for are the pointers that are not null; Yb and db come together.
template <class T> static void backward(const Conv &a) {
  if (a.hb && a.tableb) backward<T, true, true>(a);
  else if (a.hb) backward<T, true, false>(a);
  else if (a.tableb) backward<T, false, true>(a);
  else backward<T, false, false>(a);
}
