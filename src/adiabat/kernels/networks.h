// Descriptors and a network for each element, forth and back, block by block: atoms of one element, a few at a time.
enum { BLOCK = 8 };

struct Worker {
  std::vector<S> kept, back, rows;
  std::vector<double> e;
  Atom atoms[BLOCK];
};

// What Python fills in; the numbers stay its own.
struct Facts {
  I elements, members, depth, columns, widest, widths;  // columns: of a padded row; widths: of all hidden layers together
  double eV;
  Functions functions;
  const I *kind;       // by atomic number, `elements` of them; −1 where unknown
  const S *mean;       // [members, kinds, columns]
  const Layer *layers; // [members, kinds, depth]
  const double *lone;  // [members, kinds], eV
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<Worker> workers;
  std::vector<I> order, place;
  std::vector<S> g;
  std::vector<double> own, pairs;  // energies of this term, [copies, atoms]; Σ r⊗g of each atom
};

static void reserve(Model &m, const Call &in) {
  I most = 0;
  for (I n = 0; n < in.atoms; n++) most = std::max(most, in.first[n + 1] - in.first[n]);
  if ((I)m.workers.size() < in.threads) m.workers.resize(in.threads);
  // The rows of `block`, with the vectors between them that are written too much.
  size_t rows = BLOCK * ((3 + m.members) * m.columns + m.widths + 2 * m.widest) + 8 * W, each = Atom::numbers_for(most);
  for (Worker &w : m.workers) {
    if (w.rows.size() < rows) w.rows.assign(rows, 0), w.e.assign(BLOCK, 0);
    if (w.kept.size() < BLOCK * each) w.kept.assign(BLOCK * each, 0), w.back.assign(Back::numbers_for(most), 0);
    for (int t = 0; t < BLOCK; t++) {
      w.atoms[t].numbers = w.kept.data() + t * each;
      w.atoms[t].edge.resize(most + 1);
    }
  }
  m.g.resize(3 * in.edges * in.copies + 1);
  m.pairs.resize(9 * in.atoms);
  m.order.resize(in.atoms);
  m.own.assign(in.copies * in.atoms, 0);
}

// One block: atoms of one element. What it adds belongs to these atoms and their edges alone.
static int block(Model &m, Worker &w, const Call &in, I kind, const I *atoms, I count) {
  Descriptor descriptor(m.functions);
  const I C = m.columns, rows = (count + TILE - 1) / TILE * TILE;
  S *G = w.rows.data(), *x = G + BLOCK * C + 2 * W, *xb = x + BLOCK * C, *sum = xb + BLOCK * C, *h = sum + in.copies * BLOCK * C + 2 * W;
  S *a = h + BLOCK * m.widths, *b = a + BLOCK * m.widest;
  Back back{w.back.data()};
  int fault = 0;
  for (I t = 0; t < count; t++) {
    for (I e = in.first[atoms[t]]; e < in.first[atoms[t] + 1]; e++)
      for (I copy = 0; copy < in.copies; copy++)
        for (int k = 0; k < 3; k++) m.g[3 * (copy * in.edges + e) + k] = 0;
    if (!descriptor.gather(w.atoms[t], in, m.kind, atoms[t], fault)) return fault;
    S *row = G + t * C;
    descriptor.forward(w.atoms[t], row);  // what it writes too much belongs to the next row, or to nobody
    for (I k = m.functions.columns; k < C; k++) row[k] = 0;
  }
  for (I k = count * C; k < rows * C; k++) G[k] = 0;
  bool mean = in.copies != m.members;
  if (mean)
    for (I k = 0; k < rows * C; k++) sum[k] = 0;
  for (I member = 0; member < m.members; member++) {
    const S *shift = m.mean + (member * m.functions.kinds + kind) * C;
    for (I t = 0; t < rows; t++)
      for (I k = 0; k < C; k += W) put(x, t * C + k, at(G, t * C + k) - at(shift, k));
    S *to = mean ? xb : sum + member * BLOCK * C;
    network(m.layers + (member * m.functions.kinds + kind) * m.depth, m.depth, x, rows, w.e.data(), to, h, a, b);
    double lone = m.lone[member * m.functions.kinds + kind], share = mean ? 1.0 / m.members : 1.0;
    for (I t = 0; t < count; t++) m.own[(mean ? 0 : member) * in.atoms + atoms[t]] += share * (w.e[t] * m.eV - lone);
    S unit = (S)(m.eV * share);
    S *all = mean ? sum : to;
    for (I k = 0; k < rows * C; k += W) put(all, k, (mean ? at(sum, k) : V{}) + unit * at(to, k));
  }
  for (I copy = 0; copy < in.copies; copy++)
    for (I t = 0; t < count; t++) {
      back.size = w.atoms[t].size, back.room = w.atoms[t].room;
      descriptor.backward(w.atoms[t], back, sum + (copy * BLOCK + t) * C, m.g.data() + 3 * copy * in.edges);
    }
  return 0;
}

static int run(Model &m, const Call &in) {
  if (in.copies != 1 && in.copies != m.members) return 8;
  const I kinds = m.functions.kinds;
  m.place.assign(kinds + 1, 0);  // atoms by element, in their order
  for (I n = 0; n < in.atoms; n++) m.place[m.kind[in.numbers[n]] + 1]++;
  for (I s = 0; s < kinds; s++) m.place[s + 1] += m.place[s];
  std::vector<I> next(m.place);
  for (I n = 0; n < in.atoms; n++) m.order[next[m.kind[in.numbers[n]]]++] = n;
  std::vector<I> blocks;  // (kind, first, count)
  for (I s = 0; s < kinds; s++)
    for (I from = m.place[s]; from < m.place[s + 1]; from += BLOCK)
      blocks.insert(blocks.end(), {s, from, std::min((I)BLOCK, m.place[s + 1] - from)});
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic, 1) if (in.threads > 1)
  for (I k = 0; k < (I)blocks.size(); k += 3) {
#ifdef _OPENMP
    Worker &w = m.workers[in.threads > 1 ? omp_get_thread_num() : 0];
#else
    Worker &w = m.workers[0];
#endif
    told(fault, [&] { return block(m, w, in, blocks[k], m.order.data() + blocks[k + 1], blocks[k + 2]); });
  }
  if (fault) return fault;
  for (I copy = 0; copy < in.copies; copy++) collect(in, copy, m.own.data() + copy * in.atoms, m.g.data() + 3 * copy * in.edges, m.pairs.data());
  return 0;
}
