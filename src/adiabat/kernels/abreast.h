// The walk over blocks of atoms abreast: gather, node, push; see near.h.
struct Worker {
  std::vector<S> room, r;
  std::vector<I> edge, kind, size, first;
  void fits(I neighbors) {
    if ((I)edge.size() < neighbors * W) edge.resize(neighbors * W), kind.resize(neighbors * W), r.resize(5 * neighbors * W + W);
  }
};

// A family takes neighbors as they come, one of each atom; or, if it says so, TOGETHER of them, all of one element.
template <class F, class = void> struct Takes {
  enum { TOGETHER = 1 };
  static I groups(const Facts &) { return 1; }
  static void gather(F &f, const Near *n) { f.gather(*n); }
  static void push(F &f, const Near *n, V (*g)[3]) { f.push(*n, *g); }
};
template <class F> struct Takes<F, decltype(void(F::TOGETHER))> {
  enum { TOGETHER = F::TOGETHER };
  static I groups(const Facts &m) { return m.kinds; }
  static void gather(F &f, const Near *n) { f.gather(n); }
  static void push(F &f, const Near *n, V (*g)[3]) { f.push(n, g); }
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<Worker> workers;
  std::vector<I> order, place, blocks;
  std::vector<S> g;
  std::vector<double> own, pairs;
};

static S *aligned(std::vector<S> &room) {
  auto at = reinterpret_cast<uintptr_t>(room.data());
  return room.data() + (-at % ADIABAT_BYTES) / sizeof(S);
}

static void reserve(Model &m, const Call &in) {
  I most = 0;
  for (I n = 0; n < in.atoms; n++) most = std::max(most, in.first[n + 1] - in.first[n]);
  if ((I)m.workers.size() < in.threads) m.workers.resize(in.threads);
  for (Worker &w : m.workers) {
    if (w.room.empty()) w.room.assign(Family::numbers(m) + W, 0);
    w.fits(most + Takes<Family>::TOGETHER);
  }
  m.g.resize(3 * in.edges + 1);
  m.own.resize(in.atoms);
  m.pairs.resize(9 * in.atoms);
  m.order.resize(in.atoms);
}

static int block(const Model &m, Worker &w, const Call &in, I kind, const I *atoms, I count, double *own, S *g) {
  typedef Takes<Family> T;
  const I G = T::groups(m);
  auto whole = [](I neighbors) { return (neighbors + T::TOGETHER - 1) / T::TOGETHER * T::TOGETHER; };
  auto reach = [&](I other) { return m.reach[kind * m.kinds + other]; };
  w.size.assign(G * W, 0), w.first.assign(G + 1, 0);  // neighbors of each atom, [group][lane]; where a group begins
  if (G > 1) {
    for (I t = 0; t < count; t++)
      for (I e = in.first[atoms[t]]; e < in.first[atoms[t] + 1]; e++) {
        const double *v = in.r + 3 * e;
        I other = m.kind[in.numbers[in.j[e]]];
        if (v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < reach(other) * reach(other)) w.size[other * W + t]++;
      }
    for (I s = 0; s < G; s++) w.first[s + 1] = w.first[s] + whole(*std::max_element(&w.size[s * W], &w.size[s * W] + W));
    w.fits(w.first[G]);
    std::fill(w.size.begin(), w.size.end(), 0);
  }
  S *r = aligned(w.r);  // [neighbor][x y z d on][lane]
  for (I t = 0; t < count; t++) {
    for (I e = in.first[atoms[t]]; e < in.first[atoms[t] + 1]; e++) {
      const double *v = in.r + 3 * e;
      double d2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
      I other = m.kind[in.numbers[in.j[e]]];
      for (int x = 0; x < 3; x++) g[3 * e + x] = 0;
      if (!(d2 - d2 == 0)) return 5;
      if (!(d2 > 0)) return 6;
      if (!(d2 < reach(other) * reach(other))) continue;
      I group = G > 1 ? other : 0, at = (w.first[group] + w.size[group * W + t]++) * W + t;
      S *to = r + 5 * (at - t) + t;
      for (int x = 0; x < 3; x++) to[x * W] = (S)v[x];
      to[3 * W] = (S)std::sqrt(d2);
      to[4 * W] = 1;
      w.edge[at] = e;
      w.kind[at] = other;
    }
  }
  if (G == 1) w.first[1] = whole(*std::max_element(w.size.begin(), w.size.end()));
  const I most = w.first[G];
  for (I s = 0; s < G; s++)
    for (I t = 0; t < W; t++)
      for (I k = w.first[s] + w.size[s * W + t]; k < w.first[s + 1]; k++) {
        const I other = G > 1 ? s : kind;
        S half = (S)(0.5 * reach(other)), *to = r + 5 * k * W + t;
        to[0] = to[3 * W] = half;
        to[W] = to[2 * W] = to[4 * W] = 0;
        w.edge[k * W + t] = -1;
        w.kind[k * W + t] = other;
      }
  Family family(m, aligned(w.room));
  auto near = [&](I k) {
    const V *v = (const V *)(r + 5 * k * W);
    return Near{{v[0], v[1], v[2]}, v[3], v[4], w.kind.data() + k * W};
  };
  family.begin(kind);
  for (I k = 0; k < most; k += T::TOGETHER) {
    Near n[T::TOGETHER];
    for (int t = 0; t < T::TOGETHER; t++) n[t] = near(k + t);
    T::gather(family, n);
  }
  double e[W];
  family.node(e);
  for (I t = 0; t < count; t++) own[atoms[t]] = e[t];
  for (I k = 0; k < most; k += T::TOGETHER) {
    Near n[T::TOGETHER];
    V push[T::TOGETHER][3];
    for (int t = 0; t < T::TOGETHER; t++) n[t] = near(k + t);
    T::push(family, n, push);
    for (int q = 0; q < T::TOGETHER; q++)
      for (I t = 0; t < count; t++)
        if (I to = w.edge[(k + q) * W + t]; to >= 0)
          for (int x = 0; x < 3; x++) g[3 * to + x] = push[q][x][t];
  }
  return 0;
}

static int run(Model &m, const Call &in) {
  if (in.copies != 1) return 8;
  m.place.assign(m.kinds + 1, 0);  // atoms by element, in their order
  for (I n = 0; n < in.atoms; n++) m.place[m.kind[in.numbers[n]] + 1]++;
  for (I s = 0; s < m.kinds; s++) m.place[s + 1] += m.place[s];
  m.blocks.clear();  // (kind, first, count)
  for (I s = 0; s < m.kinds; s++)
    for (I from = m.place[s]; from < m.place[s + 1]; from += W) m.blocks.insert(m.blocks.end(), {s, from, std::min((I)W, m.place[s + 1] - from)});
  for (I n = 0; n < in.atoms; n++) m.order[m.place[m.kind[in.numbers[n]]]++] = n;
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic, 1) if (in.threads > 1)
  for (I k = 0; k < (I)m.blocks.size(); k += 3) {
#ifdef _OPENMP
    Worker &w = m.workers[in.threads > 1 ? omp_get_thread_num() : 0];
#else
    Worker &w = m.workers[0];
#endif
    told(fault, [&] { return block(m, w, in, m.blocks[k], m.order.data() + m.blocks[k + 1], m.blocks[k + 2], m.own.data(), m.g.data()); });
  }
  if (fault) return fault;
  collect(in, 0, m.own.data(), m.g.data(), m.pairs.data());
  return 0;
}
