// Sparse Gaussian processes on three distances, q = (d_ij + d_ik, (d_ij − d_ik)², d_jk): of an atom i and its neighbors j < k,
// E_i = 2 Σ_jk f_c(d_ij) f_c(d_ik) Σ_s a_s exp(−Σ_x (q_x − s_x)²/2θ_x²). Lanes are pairs of neighbors, of as many atoms as it takes.
enum { ATOMS = 32, PAIRS = 256, WHO = 5, HOW = 5 };

struct Facts {
  I elements, processes;
  const I *kind;     // by atomic number; −1 where unknown
  const I *who;      // [processes, WHO]: kinds of the center and of the two neighbors, points (padded to whole vectors; for variances, to whole panels), where theirs begin
  const double *how; // [processes, HOW]: cutoff, width, 1/√2θ
  const S *points;   // of each process [4, points]: s/√2θ, a
};

struct Process {
  I center, one, other, points;
  double cutoff, width, per[3];
  const S *at, *a;
};

static inline Process process(const Facts &m, I p) {
  const I *who = m.who + WHO * p;
  const double *how = m.how + HOW * p;
  const S *at = m.points + who[4];
  return {who[0], who[1], who[2], who[3], how[0], how[1], {how[2], how[3], how[4]}, at, at + 3 * who[3]};
}

// Edges of a few atoms below the cutoff, and pairs of them.
struct Worker {
  std::vector<I> edge, j, k, center;
  std::vector<double> r, d, f, slope;
  void clear() { edge.clear(), j.clear(), k.clear(), center.clear(), r.clear(), d.clear(), f.clear(), slope.clear(); }
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<Worker> workers;
  std::vector<S> g;
  std::vector<double> own, pairs;
};

static void reserve(Model &m, const Call &in) {
  if ((I)m.workers.size() < in.threads) m.workers.resize(in.threads);
  m.g.assign(3 * in.edges + 1, 0);
  m.own.assign(in.atoms, 0);
  m.pairs.resize(9 * in.atoms);
}

// The pairs of one atom's edges that make this pair of kinds; 5, 6: a fault.
static int gather(const Facts &m, const Process &it, Worker &w, const Call &in, I n) {
  I from = (I)w.edge.size(), middle = from;
  double begin = it.cutoff - it.width;
  for (I kind : {it.one, it.other}) {
    if (kind == it.other) middle = (I)w.edge.size();
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      if (!(square - square == 0)) return 5;
      if (!(square > 0)) return 6;
      if (m.kind[in.numbers[in.j[e]]] != kind || !(square < it.cutoff * it.cutoff)) continue;
      double d = std::sqrt(square), x = 3.14159265358979323846 * (d - begin) / it.width;
      w.edge.push_back(e), w.d.push_back(d);
      w.f.push_back(d > begin ? 0.5 * (1 + std::cos(x)) : 1);
      w.slope.push_back(d > begin ? -0.5 * 3.14159265358979323846 / it.width * std::sin(x) : 0);
      w.r.insert(w.r.end(), r, r + 3);
    }
    if (it.one == it.other) break;
  }
  I end = (I)w.edge.size(), last = it.one == it.other ? end : middle;
  for (I j = from; j < last; j++)
    for (I k = it.one == it.other ? j + 1 : middle; k < end; k++) {
      double square = 0;
      for (int x = 0; x < 3; x++) square += (w.r[3 * j + x] - w.r[3 * k + x]) * (w.r[3 * j + x] - w.r[3 * k + x]);
      if (!(square > 0)) return 6;
      w.j.push_back(j), w.k.push_back(k), w.center.push_back(n);
    }
  return 0;
}

// What the pairs give to the energies of their centers and to the slopes of these along their edges.
static void add(const Process &it, const Worker &w, double *own, S *g) {
  I count = (I)w.j.size();
  for (I p0 = 0; p0 < count; p0 += W) {
    V dj, dk, fj, fk, sj, sk, r[3];
    for (int l = 0; l < W; l++) {
      I p = p0 + l < count ? p0 + l : count - 1, j = w.j[p], k = w.k[p];
      dj[l] = w.d[j], dk[l] = w.d[k], fj[l] = w.f[j], fk[l] = w.f[k], sj[l] = w.slope[j], sk[l] = w.slope[k];
      for (int x = 0; x < 3; x++) r[x][l] = w.r[3 * j + x] - w.r[3 * k + x];
    }
    V over = reciprocal_root(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), apart = dj - dk;
    V q[3] = {it.per[0] * (dj + dk), it.per[1] * (apart * apart), it.per[2] * ((r[0] * r[0] + r[1] * r[1] + r[2] * r[2]) * over)};
    V value = {}, slope[3] = {};
    for (I s = 0; s < it.points; s++) {
      V x = q[0] - it.at[s], y = q[1] - it.at[it.points + s], z = q[2] - it.at[2 * it.points + s];
      V k = it.a[s] * exponential(-(x * x + y * y + z * z));
      value += k, slope[0] += k * x, slope[1] += k * y, slope[2] += k * z;
    }
    V f = (S)2 * (fj * fk), sum = ((S)-2 * it.per[0]) * slope[0], turn = ((S)-4 * it.per[1]) * (apart * slope[1]);
    V energy = f * value, gj = (S)2 * (sj * fk * value) + f * (sum + turn), gk = (S)2 * (fj * sk * value) + f * (sum - turn);
    V across = ((S)-2 * it.per[2]) * (f * slope[2] * over);
    gj /= dj, gk /= dk;
    for (int l = 0; l < W && p0 + l < count; l++) {
      I p = p0 + l, j = w.j[p], k = w.k[p];
      own[w.center[p]] += energy[l];
      S *to = g + 3 * w.edge[j], *other = g + 3 * w.edge[k];
      for (int x = 0; x < 3; x++) {
        to[x] += gj[l] * w.r[3 * j + x] + across[l] * r[x][l];
        other[x] += gk[l] * w.r[3 * k + x] - across[l] * r[x][l];
      }
    }
  }
}

// A few atoms: what it adds belongs to them and their edges alone, pair after pair in their order.
static int block(Model &m, Worker &w, const Call &in, I from, I to) {
  for (I p = 0; p < m.processes; p++) {
    const Process it = process(m, p);
    w.clear();
    for (I n = from; n < to; n++) {
      if (m.kind[in.numbers[n]] != it.center) continue;
      if (int fault = gather(m, it, w, in, n)) return fault;
      if ((I)w.j.size() >= PAIRS) add(it, w, m.own.data(), m.g.data()), w.clear();
    }
    add(it, w, m.own.data(), m.g.data());
  }
  return 0;
}

static int run(Model &m, const Call &in) {
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic, 1) if (in.threads > 1)
  for (I from = 0; from < in.atoms; from += ATOMS) {
#ifdef _OPENMP
    Worker &w = m.workers[in.threads > 1 ? omp_get_thread_num() : 0];
#else
    Worker &w = m.workers[0];
#endif
    told(fault, [&] { return block(m, w, in, from, std::min(from + ATOMS, in.atoms)); });
  }
  if (fault) return fault;
  for (I copy = 0; copy < in.copies; copy++) collect(in, copy, m.own.data(), m.g.data(), m.pairs.data());
  return 0;
}

// Of one process alone. Lanes are sparse points; slopes are summed by edge before they are pushed.
static int columns(Model &m, const Call &in, const Columns &out) {
  const Process it = process(m, 0);
  Worker w;
  std::vector<S> rows;
  for (I n = 0; n < in.atoms; n++) {
    if (m.kind[in.numbers[n]] != it.center) continue;
    w.clear();
    if (int fault = gather(m, it, w, in, n)) return fault;
    rows.assign(3 * w.edge.size() * it.points, 0);
    for (size_t p = 0; p < w.j.size(); p++) {
      I j = w.j[p], k = w.k[p];
      const double *rj = &w.r[3 * j], *rk = &w.r[3 * k];
      double dj = w.d[j], dk = w.d[k];
      double r[3] = {rj[0] - rk[0], rj[1] - rk[1], rj[2] - rk[2]}, d = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
      S f = 2 * w.f[j] * w.f[k], fj = 2 * w.slope[j] * w.f[k], fk = 2 * w.f[j] * w.slope[k];
      S q[3] = {it.per[0] * (dj + dk), it.per[1] * (dj - dk) * (dj - dk), it.per[2] * d};
      for (I s = 0; s < it.points; s += W) {
        V x = q[0] - at(it.at + s), y = q[1] - at(it.at + it.points + s), z = q[2] - at(it.at + 2 * it.points + s);
        V value = at(it.a + s) * exponential(-(x * x + y * y + z * z)), part = f * value;
        V sum = (-2 * it.per[0]) * (part * x), turn = (-4 * it.per[1] * (dj - dk)) * (part * y), across = (-2 * it.per[2] / d) * (part * z);
        V gj = (fj * value + sum + turn) / dj, gk = (fk * value + sum - turn) / dk;
        put(out.energy + s, at(out.energy + s) + part);
        for (int c = 0; c < 3; c++) {
          S *to = &rows[(3 * j + c) * it.points + s], *other = &rows[(3 * k + c) * it.points + s];
          put(to, at(to) + rj[c] * gj + r[c] * across);
          put(other, at(other) + rk[c] * gk - r[c] * across);
        }
      }
    }
    for (size_t e = 0; e < w.edge.size(); e++)
      for (I s = 0; s < it.points; s += W) {
        V J[3];
        for (int c = 0; c < 3; c++) J[c] = at(&rows[(3 * e + c) * it.points + s]);
        push(in, out, n, w.edge[e], s, J);
      }
  }
  return 0;
}

// Of one process alone; a is δ² f_s. Each pair of neighbors counts in both orders.
static int variances(Model &m, const Call &in, const Variances &out) {
  const Process it = process(m, 0);
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic, ATOMS) if (in.threads > 1)
  for (I n = 0; n < in.atoms; n++)
    told(fault, [&] {
      if (m.kind[in.numbers[n]] != it.center) return 0;
      Worker w;
      if (int found = gather(m, it, w, in, n)) return found;
      Tuples tuples(it.points);
      for (size_t p = 0; p < w.j.size(); p++) {
        I j = w.j[p], k = w.k[p];
        double square = 0, f = w.f[j] * w.f[k], dj = w.d[j], dk = w.d[k];
        for (int x = 0; x < 3; x++) square += (w.r[3 * j + x] - w.r[3 * k + x]) * (w.r[3 * j + x] - w.r[3 * k + x]);
        S q[3] = {it.per[0] * (dj + dk), it.per[1] * (dj - dk) * (dj - dk), it.per[2] * std::sqrt(square)}, *row = tuples.next();
        for (I s = 0; s < it.points; s += W) {
          V x = q[0] - at(it.at + s), y = q[1] - at(it.at + it.points + s), z = q[2] - at(it.at + 2 * it.points + s);
          put(row + s, at(it.a + s) * exponential(-(x * x + y * y + z * z)));
        }
        out.variance[n] += tuples.tell(2 * f * f, out);
      }
      out.variance[n] += tuples.rest(out);
      return 0;
    });
  return fault;
}
