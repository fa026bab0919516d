// The walk over pairs, each taken once: see each_pair.h.
struct Row {  // an atom's pairs as they are found
  std::vector<double> x, y, z, d2;
  std::vector<int> who, kind;
  void reserve(I n) {
    if ((I)d2.size() >= n + W) return;
    x.resize(n + W), y.resize(n + W), z.resize(n + W), d2.resize(n + W), who.resize(n + W), kind.resize(n + W);
  }
};

struct Kept {  // W pairs on the way back
  V v[Family::KEPT];  // r and what the family keeps
  int who[W];         // the other end
};

struct Slot {
  Row row;
  std::vector<Kept> kept;       // each atom's pairs, W at a time
  std::vector<I> first;         // where they begin
  std::vector<S> node, push;    // [atoms, 2]: sum and energy of pairs; [atoms, 4]: forces
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<Slot> slots;
  std::vector<Image> images;
  std::vector<double> slope, own, strain;  // of each atom
};

static inline V load(const S *p) { return *(const VU *)p; }
static inline VI below(I count) {
  VI k = {};
  for (int l = 0; l < W; l++) k[l] = l;
  return k < (B)count;
}

// `find`: the pairs of atom n that are its own to take, nearer than `most`. Among edges both ways the ends of a pair take it in turn, so that
// slots have equal shares; an edge and its counter-edge from an atom to its own images are one pair, too. Counting goes on or not without
// a branch, which the processor would guess wrong too often.
struct OfCall {
  const Model &m;
  const Call &in;
  I kind(I n) const { return m.kind[in.numbers[n]]; }
  I most(I n) const { return in.first[n + 1] - in.first[n]; }
  I find(I n, Row &to, int &fault) const {
    const double reach = m.most * m.most;
    double least = reach, sum = 0;
    I k = 0;
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e, d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      const I j = in.j[e];
      to.x[k] = r[0], to.y[k] = r[1], to.z[k] = r[2], to.d2[k] = d2, to.who[k] = j;
      least = std::min(least, d2), sum += d2;
      const bool mine = j == n ? e < in.reverse[e] : (n ^ j ^ (n < j)) & 1;
      k += mine & (d2 < reach);
    }
    if (!(sum - sum == 0)) fault = 5;
    else if (!(least > 0)) fault = 6;
    if (m.kinds > 1)
      for (I p = 0; p < k; p++) to.kind[p] = m.kind[in.numbers[to.who[p]]];
    return k;
  }
};
struct OfImages {
  const Model &m;
  const Images &in;
  I kind(I n) const { return m.images[n].kind; }
  I most(I n) const { return in.count[n]; }
  I find(I n, Row &to, int &fault) const {
    const double reach = m.most * m.most, x0 = m.images[n].x[0], y0 = m.images[n].x[1], z0 = m.images[n].x[2];
    const int *near = in.near[n];
    double least = reach;
    I k = 0;
    for (I p = 0; p < in.count[n]; p++) {
      const Image &other = m.images[near[p] & in.mask];
      const double x = other.x[0] - x0, y = other.x[1] - y0, z = other.x[2] - z0, d2 = x * x + y * y + z * z;
      to.x[k] = x, to.y[k] = y, to.z[k] = z, to.d2[k] = d2, to.who[k] = other.owner;
      least = std::min(least, d2);
      k += d2 < reach;
    }
    if (!(least > 0)) fault = 6;  // positions are numbers: `run` looked
    if (m.kinds > 1)
      for (I p = 0; p < k; p++) to.kind[p] = m.images[to.who[p]].kind;
    return k;
  }
};


// Forces on a center from its pairs, and its share of ∂E/∂ε: six numbers.
struct Center {
  V f[3] = {}, w[6] = {};
  void add(const V *r, V along, const int *who, I lanes, double *push) {
    const V g[3] = {along * r[0], along * r[1], along * r[2]};
    for (int x = 0; x < 3; x++) f[x] += g[x];
    w[0] += g[0] * r[0], w[1] += g[1] * r[1], w[2] += g[2] * r[2];
    w[3] += g[0] * r[1], w[4] += g[0] * r[2], w[5] += g[1] * r[2];
    for (I l = 0; l < lanes; l++) {
      double *to = push + 4 * (I)who[l];
      to[0] -= g[0][l], to[1] -= g[1][l], to[2] -= g[2][l];
    }
  }
  void done(double *push, double *strain) const {
    S found[3];
    totals(f, found, 3), totals(w, strain, 6);
    for (int x = 0; x < 3; x++) push[x] += found[x];
  }
};

template <class F, class Find> static int sums(Model &m, Slot &slot, const Find &all, I atoms, I from, I to) {
  const F family(m);
  int fault = 0;
  slot.node.assign(2 * atoms, 0), slot.push.assign(4 * atoms, 0), slot.first.resize(to - from + 1);
  slot.first[0] = 0;
  for (I n = from; n < to; n++) {
    Row &row = slot.row;
    row.reserve(all.most(n));
    const I found = all.find(n, row, fault), blocks = (found + W - 1) / W, at = slot.first[n - from], kind = all.kind(n);
    if (fault) return fault;
    for (I k = found; k < blocks * W; k++) {
      row.x[k] = 0.5 * m.most, row.y[k] = row.z[k] = 0, row.d2[k] = 0.25 * m.most * m.most;
      row.who[k] = n, row.kind[k] = kind;
    }
    slot.first[n - from + 1] = at + blocks;
    if (F::NODES && (I)slot.kept.size() < at + blocks) slot.kept.resize(3 * (at + blocks) / 2 + 1);
    V mine[2] = {};
    Center center;
    for (I b = 0; b < blocks; b++) {
      const I k = b * W, lanes = std::min(found - k, (I)W);
      const Pair pair = {{load(&row.x[k]), load(&row.y[k]), load(&row.z[k])}, load(&row.d2[k]), below(found - k), &row.kind[k]};
      const int *who = &row.who[k];
      if constexpr (F::NODES) {
        Kept &kept = slot.kept[at + b];
        V rho[2], half;
        for (int x = 0; x < 3; x++) kept.v[x] = pair.r[x];
        std::copy_n(who, W, kept.who);
        family.gather(kind, pair, rho, half, kept.v + 3);
        mine[0] += rho[0], mine[1] += half;
        for (I l = 0; l < lanes; l++) {
          double *to = slot.node.data() + 2 * (I)who[l];
          to[0] += rho[1][l], to[1] += half[l];
        }
      } else {
        V half, along;
        family.pair(kind, pair, half, along);
        mine[1] += half;
        for (I l = 0; l < lanes; l++) slot.node[2 * (I)who[l] + 1] += half[l];
        center.add(pair.r, along, who, lanes, slot.push.data());
      }
    }
    S total[2];
    totals(mine, total, 2);
    slot.node[2 * n] += total[0], slot.node[2 * n + 1] += total[1];
    if (!F::NODES) center.done(slot.push.data() + 4 * n, m.strain.data() + 6 * n);
  }
  return 0;
}

template <class F> static void pushes(Model &m, Slot &slot, I from, I to) {
  const F family(m);
  for (I n = from; n < to; n++) {
    Center center;
    for (I b = slot.first[n - from]; b < slot.first[n - from + 1]; b++) {
      const Kept &kept = slot.kept[b];
      V theirs;
      for (int l = 0; l < W; l++) theirs[l] = m.slope[kept.who[l]];
      center.add(kept.v, family.push(m.slope[n], theirs, kept.v + 3), kept.who, W, slot.push.data());
    }
    center.done(slot.push.data() + 4 * n, m.strain.data() + 6 * n);
  }
}

// `tell(n, energy, force, strain)` is called for every atom, in their order.
template <class F, class Find, class Tell> static int walk(Model &m, const Find &all, I atoms, I threads, Tell tell) {
  const I slots = std::min(std::max(atoms / SHARE, (I)1), (I)SLOTS);
  if ((I)m.slots.size() < slots) m.slots.resize(slots);
  m.slope.resize(atoms), m.own.resize(atoms), m.strain.resize(6 * atoms);
  int fault = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
  for (I s = 0; s < slots; s++) told(fault, [&] { return sums<F>(m, m.slots[s], all, atoms, atoms * s / slots, atoms * (s + 1) / slots); });
  if (fault) return fault;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (I n = 0; n < atoms; n++) {
    double rho = 0, e = 0;
    for (I s = 0; s < slots; s++) rho += m.slots[s].node[2 * n], e += m.slots[s].node[2 * n + 1];
    if constexpr (F::NODES) e += F(m).node(all.kind(n), rho, m.slope[n]);
    m.own[n] = e;
  }
  if constexpr (F::NODES) {
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (I s = 0; s < slots; s++) pushes<F>(m, m.slots[s], atoms * s / slots, atoms * (s + 1) / slots);
  }
  for (I n = 0; n < atoms; n++) {
    double f[3] = {};
    for (I s = 0; s < slots; s++)
      for (int x = 0; x < 3; x++) f[x] += m.slots[s].push[4 * n + x];
    tell(n, m.own[n], f, m.strain.data() + 6 * n);
  }
  return 0;
}

static const int PLACE[3][3] = {{0, 3, 4}, {3, 1, 5}, {4, 5, 2}};

static int run(Model &m, const Call &in) {
  return walk<Family>(m, OfCall{m, in}, in.atoms, in.threads, [&](I n, double e, const double *f, const double *w) {
    for (I copy = 0; copy < in.copies; copy++) {
      in.energies[copy * in.atoms + n] += e;
      in.energy[copy * in.structures + in.structure[n]] += e;
      for (int x = 0; x < 3; x++) in.forces[3 * (copy * in.atoms + n) + x] += f[x];
      double *strain = in.strain + 9 * (copy * in.structures + in.structure[n]);
      for (int x = 0; x < 9; x++) strain[x] += w[PLACE[x / 3][x % 3]];
    }
  });
}

static int run(Model &m, const Images &in) {
  m.images.resize(in.images);
  for (I n = 0; n < in.images; n++) {
    const I owner = in.owner[n];
    if (owner < 0 || owner >= in.atoms) return 4;
    const I number = in.numbers[owner];
    if (number < 0 || number >= m.elements || m.kind[number] < 0) return 2;
    const double *x = in.x + 3 * n, far = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
    if (!(far - far == 0)) return 5;
    m.images[n] = {{x[0], x[1], x[2]}, (int)owner, (int)m.kind[number]};
  }
  return walk<Family>(m, OfImages{m, in}, in.atoms, in.threads, [&](I n, double e, const double *f, const double *w) {
    in.energies[n] += e;
    for (int x = 0; x < 3; x++) in.forces[3 * n + x] += f[x];
    for (int x = 0; x < 9; x++) in.strain[x] += w[PLACE[x / 3][x % 3]];
  });
}
