// A whole message-passing potential in one call: edge vectors and species in, energies, forces and the strain gradient out.
// Centers are walked in chunks: the sums over neighbors of a chunk are mixed, contracted and updated before they leave the cache,
// and the last layer is differentiated while its chunk is still there. What a layer keeps for its backward sweep are its mixed
// sums A, and the features its neighbors read. Layers are generated structs; GEOMETRY is the namespace of the edges.

enum { IRREPS = 16 };

struct Weights {
  I intervals, table_rows;
  double cutoff;
  const I *kinds;  // [species, species] the radial table of a center and a neighbor
  const S *table, *coefficients, *constant, *base;  // table: blocked; constant: features of the first layer [Z, C]; base: its skip
  const S *readout, *last;  // a vector [C], or after a hidden layer [hidden]
  Matrix hidden, hiddenT;
  Matrix up[IRREPS], upT[IRREPS], update[IRREPS], updateT[IRREPS];
  const Matrix *mix[IRREPS], *mixT[IRREPS], *skip[IRREPS], *skipT[IRREPS];  // one a species; for mix perhaps one for all
  I mixes;
  I kept[IRREPS], stored[IRREPS], stored_rows;  // rows of the features before that are skipped to output o; where o is stored
};

// What one thread needs for one chunk.
struct Local {
  I chunk = -1;  // whose edges these are, in this call
  std::vector<I> first, edge, j, kind, order;  // order: of the chunk's atoms, by species
  std::vector<S> r, d, Y, db, Yb, rb, mid, A, B, H, h, z;
  Rows rows;
};

struct Model {
  I C, species, layers, elements;
  double cutoff;
  const double *lone;    // [species] what is subtracted: the energy of a lone atom
  Weights *weights;
  // kept between calls
  std::vector<std::vector<S>> A, u, ub, h;
  std::vector<S> rb;
  std::vector<Local> locals;
  int fault;
};

static const S SILU = (S)1.6790;

// One layer's chunk: the edges below the cutoff, their geometry and splines.
template <class L> struct Chunk {
  const Model &m;
  const Input &in;
  const Weights &w;
  Local &s;
  I t, n0, n, E, C;
  typename L::Conv a;
  typename L::Work work;

  Chunk(const Model &m, const Input &in, Local &s, I t) : m(m), in(in), w(m.weights[t]), s(s), t(t), C(m.C) {}

  I z(I k) const { return in.species[n0 + k]; }
  I middle(int o, I row) const { return (PIECE * L::middle[o] + row * L::many[o]) * C; }

  void gather(I chunk) {
    s.mid.resize(PIECE * L::MIDDLE * C);
    s.A.resize(PIECE * L::MIXED * C);
    s.B.resize(PIECE * L::OUT * C);
    s.H.resize(PIECE * L::OUT * C);
    n0 = chunk * PIECE;
    n = std::min((I)PIECE, in.atoms - n0);
    if (s.chunk != chunk) near(), s.chunk = chunk;
    E = s.edge.size();
    s.j.resize(E), s.kind.resize(E);
    for (I k = 0; k < n; k++)
      for (I q = s.first[k]; q < s.first[k + 1]; q++) {
        I j = in.j[s.edge[q]], zj = in.species[j];
        s.j[q] = t ? j : zj, s.kind[q] = w.kinds[z(k) * m.species + zj];
      }
    const int harmonics = GEOMETRY::HARMONICS;
    a = {};
    a.centers = n, a.C = C, a.intervals = w.intervals, a.table_rows = w.table_rows, a.harmonics = harmonics, a.threads = 1;
    a.neighbors = t ? in.atoms : m.species, a.cutoff = w.cutoff;
    a.first = s.first.data(), a.j = s.j.data(), a.kind = s.kind.data();
    a.h = t ? m.u[t].data() : w.constant, a.Y = s.Y.data(), a.d = s.d.data(), a.blocked = w.table;
    a.Yb = s.Yb.data(), a.db = s.db.data();
    for (int o = 0; o < L::MIXES; o++) a.out[o] = &s.mid[middle(o, 0)], a.g[o] = a.out[o];
    work.prepare(a, 0, E);
  }

  // The chunk's edges below the cutoff, their lengths and harmonics; its atoms by species. A molecule is one chunk in every sweep.
  void near() {
    s.first.resize(n + 1), s.edge.clear(), s.r.clear(), s.order.clear();
    for (I k = 0; k < n; k++) {
      s.first[k] = s.edge.size();
      for (I e = in.first[n0 + k]; e < in.first[n0 + k + 1]; e++) {
        const double *r = in.r + 3 * e;
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= m.cutoff * m.cutoff) continue;
        s.edge.push_back(e);
        for (int x = 0; x < 3; x++) s.r.push_back((S)r[x]);
      }
    }
    I E = s.first[n] = s.edge.size();
    for (I zk = 0; zk < m.species; zk++)
      for (I k = 0; k < n; k++)
        if (z(k) == zk) s.order.push_back(k);
    const int harmonics = GEOMETRY::HARMONICS;
    s.d.resize(E), s.Y.resize(E * harmonics), s.db.resize(E), s.Yb.resize(E * harmonics), s.rb.resize(3 * E);
    GEOMETRY::Edges geometry = {E, 1, s.r.data(), nullptr, nullptr, nullptr, s.d.data(), s.Y.data(), nullptr};
    GEOMETRY::forward<Values>(geometry);
  }

  // Sums over neighbors, mixed, contracted and updated: H is h of the next layer.
  void forward(S *A) {
    L::sums(a, work, n);
    for (int o = 0; o < L::MIXES; o++)
      for (I which = 0; which < w.mixes; which++) {
        mixed_rows(o, which, [&](I from, I to) { s.rows.add(s.mid.data() + from, A + to); });
        s.rows.times(w.mix[o][which]);
      }
    products([&](I b, I k, I at) {
      V x[L::MIXED];
      for (int r = 0; r < L::MIXED; r++) x[r] = fixed(A, (k * L::MIXED + r) * C + b * W);
      L::evaluate(x, {w.coefficients, nullptr}, at, s.B.data(), k * L::OUT * C + b * W, C);
    });
    for (int o = 0; o < L::OUTS; o++) {
      output_rows(o, [&](I at) { s.rows.add(&s.B[at], &s.H[at]); });
      s.rows.times(w.update[o]);
      if (w.kept[o] < 0) continue;
      if (t == 0) {
        for (I k = 0; k < n; k++)
          for (I c = 0; c < C; c++) s.H[(k * L::OUT + L::out_start[o]) * C + c] += w.base[z(k) * C + c];
      } else
        each_species([&](I zk) {
          output_rows(o, [&](I at) { s.rows.add(before(o, at), &s.H[at]); }, zk);
          s.rows.times(w.skip[o][zk], true);
        });
    }
  }

  // Blocks of channels, atoms of one species after the other: its coefficients, from `at` on, stay in the first-level cache meanwhile,
  // and those of its next block, which follow them, are asked for.
  template <class F> void products(F todo) {
    I blocks = C / W;
    for (I b = 0; b < blocks; b++)
      for (I q = 0; q < n; q++) {
        I k = s.order[q], at = (z(k) * blocks + b) * L::TERMS * W;
        if (b + 1 < blocks && (q == 0 || z(k) != z(s.order[q - 1])))
          for (I c = 0; c < L::TERMS; c++) __builtin_prefetch(w.coefficients + at + (L::TERMS + c) * W, 0, 2);
        todo(b, k, at);
      }
  }

  template <class F> void each_species(F todo) {
    for (I zk = 0; zk < m.species; zk++) todo(zk);
  }

  // Rows of the sums over neighbors of irrep o, and of A: those that the matrix `which` mixes.
  template <class F> void mixed_rows(int o, I which, F todo) {
    s.rows.clear();
    for (I k = 0; k < n; k++)
      if (w.mixes == 1 || z(k) == which)
        for (int c = 0; c < L::dim[o]; c++) todo(middle(o, k * L::dim[o] + c), (k * L::MIXED + L::start[o] + c) * C);
  }

  // The rows of output irrep o in this chunk, of one species or of all; `at` counts within [n, OUT, C].
  template <class F> void output_rows(int o, F todo, I only = -1) {
    s.rows.clear();
    for (I k = 0; k < n; k++)
      if (only < 0 || z(k) == only)
        for (int c = 0; c < L::out_dim[o]; c++) todo((k * L::OUT + L::out_start[o] + c) * C);
  }

  // Where the feature that is skipped to a row of output o is stored.
  S *before(int o, I at) const {
    I row = at / C, k = row / L::OUT, c = row % L::OUT - L::out_start[o];
    return const_cast<S *>(m.h[t].data()) + ((n0 + k) * m.weights[t - 1].stored_rows + w.kept[o] + c) * C;
  }

  // From H̄ in s.H to edge vectors and neighbors: what is added to the features' gradient goes into `ub`.
  void backward(const S *A, S *ub, S *rb) {
    if (t)
      for (int o = 0; o < L::OUTS; o++)
        if (w.kept[o] >= 0)
          each_species([&](I zk) {
            output_rows(o, [&](I at) { s.rows.add(&s.H[at], before(o, at)); }, zk);
            s.rows.times(w.skipT[o][zk]);
          });
    for (int o = 0; o < L::OUTS; o++) {
      output_rows(o, [&](I at) { s.rows.add(&s.H[at], &s.B[at]); });
      s.rows.times(w.updateT[o]);
    }
    products([&](I b, I k, I at) {
      V x[L::MIXED], xb[L::MIXED] = {};
      for (int r = 0; r < L::MIXED; r++) x[r] = fixed(A, (k * L::MIXED + r) * C + b * W);
      L::differentiate(x, {w.coefficients, nullptr}, at, s.B.data(), k * L::OUT * C + b * W, C, xb);
      for (int r = 0; r < L::MIXED; r++) *(VU *)(&s.A[(k * L::MIXED + r) * C + b * W]) = xb[r];
    });
    for (int o = 0; o < L::MIXES; o++)
      for (I which = 0; which < w.mixes; which++) {
        mixed_rows(o, which, [&](I from, I to) { s.rows.add(&s.A[to], &s.mid[from]); });
        s.rows.times(w.mixT[o][which]);
      }
    a.hb = ub;
    L::gradients(a, work, n, ub != nullptr);
    GEOMETRY::Edges geometry = {E, 1, s.r.data(), s.db.data(), s.Yb.data(), nullptr, nullptr, nullptr, s.rb.data()};
    GEOMETRY::backward<Values>(geometry);
    for (I e = 0; e < E; e++)
      for (int x = 0; x < 3; x++) rb[3 * s.edge[e] + x] += s.rb[3 * e + x];
  }
};

// A layer that others follow: its features, and the linear readout.
template <class L> static void forward(Model &m, const Input &in, I t) {
  const Weights &w = m.weights[t], &next = m.weights[t + 1];
  I C = m.C;
#pragma omp parallel num_threads(in.threads)
  {
    Local &s = m.locals[thread()];
    Chunk<L> chunk(m, in, s, t);
#pragma omp for schedule(dynamic)
    for (I k = 0; k < pieces(in); k++) safely(m.fault, [&] {
      chunk.gather(k);
      I n0 = chunk.n0;
      chunk.forward(&m.A[t][n0 * L::MIXED * C]);
      for (I c = 0; c < chunk.n; c++) in.energies[n0 + c] += dot(&s.H[c * L::OUT * C], w.last, C);
      for (int o = 0; o < L::OUTS; o++) {
        chunk.output_rows(o, [&](I at) { s.rows.add(&s.H[at], &m.u[t + 1][n0 * L::OUT * C + at]); });
        s.rows.times(next.up[o]);
        if (w.stored[o] >= 0)
          for (I c = 0; c < chunk.n; c++)
            std::copy_n(&s.H[(c * L::OUT + L::out_start[o]) * C], L::out_dim[o] * C, &m.h[t + 1][((n0 + c) * w.stored_rows + w.stored[o]) * C]);
      }
    });
  }
}

// Chunks are shared out by slots: those of one go into sums of their own, in order, by one thread at a time. Which these are depends on
// the number of atoms alone, and so no bit depends on threads. One slot more than two threads: whoever is free finds one that is idle,
// and a thread that has to wait for its processor keeps the other from waiting. With many atoms the third one's memory is worth more.
enum { FEW = 1 << 11 };
static inline I slots(const Input &in) { return std::min((I)(in.atoms <= FEW ? SLOTS + 1 : SLOTS), pieces(in)); }

struct Turns {
  I n, next[SLOTS + 1], end[SLOTS + 1];
  bool begun[SLOTS + 1], busy[SLOTS + 1];

  Turns(const Input &in) : n(slots(in)) {
    for (I k = 0; k < n; k++) next[k] = pieces(in) * k / n, end[k] = pieces(in) * (k + 1) / n, begun[k] = busy[k] = false;
  }
  I left(I slot) const { return end[slot] - next[slot]; }

  // The slot to go on with after `slot` (−1: none yet), −1 if there is no chunk left for this thread: the fullest idle one, but its own
  // neighbors are in the cache.
  I take(I slot) {
    I best = slot;
    if (slot >= 0) busy[slot] = false;
    for (I k = 0; k < n; k++)
      if (!busy[k] && left(k) > (best < 0 ? 0 : left(best) + (best == slot && left(best) ? std::min((I)3, left(best) / 2) : 0))) best = k;
    if (best < 0 || !left(best)) return -1;
    busy[best] = true;
    return best;
  }
};

template <class L, class F> static void by_slots(Model &m, const Input &in, I t, F todo) {
  Turns turns(in);
#pragma omp parallel num_threads(in.threads)
  {
    Local &s = m.locals[thread()];
    Chunk<L> chunk(m, in, s, t);
    const I size = in.atoms * L::ROWS * m.C;
    for (I slot = -1;;) {
#pragma omp critical(turns)
      slot = turns.take(slot);
      if (slot < 0) break;
      S *ub = t ? &m.ub[t][slot * size] : nullptr;
      if (t && !turns.begun[slot]) std::fill_n(ub, size, (S)0);
      turns.begun[slot] = true;
      safely(m.fault, [&] {
        chunk.gather(turns.next[slot]);
        todo(chunk, s, ub);
      });
      turns.next[slot]++;
    }
  }
}

// The last layer, forth and back.
template <class L> static void last(Model &m, const Input &in, I t) {
  by_slots<L>(m, in, t, [&](Chunk<L> &chunk, Local &s, S *ub) {
    const Weights &w = m.weights[t];
    I C = m.C, n = chunk.n, H = w.hidden.N;
    std::vector<S> &A = s.h;
    A.resize(PIECE * L::MIXED * C);
    chunk.forward(A.data());
    if (H) {
      s.z.resize(PIECE * H);
      s.rows.clear();
      for (I k = 0; k < n; k++) s.rows.add(&s.H[k * L::OUT * C], &s.z[k * H]);
      s.rows.times(w.hidden);
      for (I k = 0; k < n; k++) {
        double energy = 0;
        for (I c = 0; c < H; c++) {
          S &z = s.z[k * H + c], sigmoid = 1 / (1 + std::exp(-z)), slope = sigmoid * (1 + z * (1 - sigmoid));
          energy += SILU * z * sigmoid * w.last[c];
          z = SILU * slope * w.last[c];
        }
        in.energies[chunk.n0 + k] += energy;
      }
      std::fill(s.H.begin(), s.H.end(), (S)0);
      s.rows.clear();
      for (I k = 0; k < n; k++) s.rows.add(&s.z[k * H], &s.H[k * L::OUT * C]);
      s.rows.times(w.hiddenT);
    } else {
      for (I k = 0; k < n; k++) in.energies[chunk.n0 + k] += dot(&s.H[k * L::OUT * C], w.last, C);
      std::fill(s.H.begin(), s.H.end(), (S)0);
      for (I k = 0; k < n; k++) std::copy_n(w.last, C, &s.H[k * L::OUT * C]);
    }
    chunk.backward(A.data(), ub, m.rb.data());
  });
}

// A layer that others follow, back: H̄ comes from the next layer's neighbors, its skipped features, and the readout.
template <class L> static void backward(Model &m, const Input &in, I t) {
  by_slots<L>(m, in, t, [&](Chunk<L> &chunk, Local &s, S *ub) {
    const Weights &w = m.weights[t], &next = m.weights[t + 1];
    I C = m.C, n0 = chunk.n0, all = in.atoms * L::OUT * C, from = n0 * L::OUT * C;
    S *total = &m.ub[t + 1][from];
    for (I slot = 1; slot < slots(in); slot++)
      for (I k = 0; k < chunk.n * L::OUT * C; k++) total[k] += total[slot * all + k];
    for (int o = 0; o < L::OUTS; o++) {
      chunk.output_rows(o, [&](I at) { s.rows.add(total + at, &s.H[at]); });
      s.rows.times(next.upT[o]);
      if (w.stored[o] >= 0)
        for (I k = 0; k < chunk.n; k++)
          for (I c = 0; c < L::out_dim[o] * C; c++)
            s.H[(k * L::OUT + L::out_start[o]) * C + c] += m.h[t + 1][((n0 + k) * w.stored_rows + w.stored[o]) * C + c];
    }
    for (I k = 0; k < chunk.n; k++)
      for (I c = 0; c < C; c++) s.H[k * L::OUT * C + c] += w.last[c];
    chunk.backward(&m.A[t][n0 * L::MIXED * C], ub, m.rb.data());
  });
}

template <class L> static void reserve(Model &m, const Input &in, I t, bool final) {
  if (t) m.u[t].resize(in.atoms * L::ROWS * m.C), m.ub[t].resize(slots(in) * in.atoms * L::ROWS * m.C);
  if (!final) m.A[t].resize(in.atoms * L::MIXED * m.C), m.h[t + 1].resize(in.atoms * m.weights[t].stored_rows * m.C);
}

static void begin(Model &m, const Input &in) {
  if ((I)m.locals.size() < in.threads) m.locals.resize(in.threads);
  for (Local &local : m.locals) local.chunk = -1;
  m.A.resize(m.layers + 1), m.u.resize(m.layers + 1), m.ub.resize(m.layers + 1), m.h.resize(m.layers + 1);
  m.fault = 0;
  m.rb.assign(3 * in.edges, (S)0);
  for (I n = 0; n < in.atoms; n++) in.energies[n] = -m.lone[in.species[n]];
}
