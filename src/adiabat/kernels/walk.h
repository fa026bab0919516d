// What potentials in one call share: what comes and goes, matrix products on rows that lie anywhere, the checks and the last sums.
#include "rows.h"
enum { PIECE = 32, SLOTS = 2 };

struct Input {
  I atoms, edges, structures, threads;
  const I *first, *j, *species, *structure;
  const double *r;
  double *energies, *forces, *strain;
};

// Rows of two arrays that belong together: y = x·W, or y += x·W.
struct Rows {
  std::vector<const S *> x;
  std::vector<S *> y;
  void clear() { x.clear(), y.clear(); }
  void add(const S *a, S *b) { x.push_back(a), y.push_back(b); }
  void times(const Matrix &m, bool more = false) const {
    if (x.empty()) return;
    if (!m.w) {
      for (size_t k = 0; k < x.size(); k++) std::copy_n(x[k], m.N, y[k]);
      return;
    }
    I blocks = m.N / W;
    if (PANEL == 4 && blocks % 4 == 0) multiply<PANEL>(m, x.data(), y.data(), x.size(), more);
    else if (blocks % 2 == 0) multiply<2>(m, x.data(), y.data(), x.size(), more);
    else multiply<1>(m, x.data(), y.data(), x.size(), more);
  }
};

static inline S dot(const S *a, const S *b, I n) {
  V sum = {};
  for (I k = 0; k < n; k += W) sum += *(const VU *)(a + k) * *(const VU *)(b + k);
  return total(sum);
}

// What compiled code cannot survive, in the order of the messages in evaluation.py; 0 if all is well.
static int check(const Input &in, I species) {
  if (in.first[0] != 0 || in.first[in.atoms] != in.edges) return 1;
  for (I n = 0; n < in.atoms; n++) {
    if (in.first[n] > in.first[n + 1]) return 1;
    if (in.species[n] < 0 || in.species[n] >= species) return 2;
    if (in.structure[n] < 0 || in.structure[n] >= in.structures) return 3;
  }
  for (I e = 0; e < in.edges; e++) {
    if (in.j[e] < 0 || in.j[e] >= in.atoms) return 4;
    const double *r = in.r + 3 * e;
    double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
    if (!(square - square == 0)) return 5;
    if (!(square > 1e-12)) return 6;
  }
  return 0;
}

static inline I pieces(const Input &in) { return (in.atoms + PIECE - 1) / PIECE; }

static inline int thread() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// Forces and the strain gradient from the edges' gradients, in one order.
static void collect(const Input &in, const S *rb) {
  std::fill_n(in.forces, 3 * in.atoms, 0.0);
  std::fill_n(in.strain, 9 * in.structures, 0.0);
  for (I n = 0; n < in.atoms; n++) {
    double *strain = in.strain + 9 * in.structure[n];
    for (I e = in.first[n]; e < in.first[n + 1]; e++)
      for (int x = 0; x < 3; x++) {
        double g = rb[3 * e + x];
        in.forces[3 * n + x] += g;
        in.forces[3 * in.j[e] + x] -= g;
        for (int y = 0; y < 3; y++) strain[3 * y + x] += in.r[3 * e + y] * g;
      }
  }
}

// Atoms of one structure that move on one topology, again and again: what their calls share (moving.py).
struct Moved {
  Input in;  // its edge vectors are written here
  const double *positions, *built, *images, *constants;  // built: where edges were found; images: S·h of each edge, or none
  double *r, constant, skin, volume;
  double *energy, *stress;  // stress in Voigt order
};
enum { GONE = -1 };  // an edge may be missing

// The edge vectors of these positions, what `evaluate` says of them, and what is handed out of it. Constants are energies of atoms.
template <class F> static int follow(const Moved &m, I threads, F evaluate) {
  Input in = m.in;
  in.threads = std::max((I)1, threads);
  const double *x = m.positions;
  for (I n = 0; n < in.atoms; n++) {
    double square = 0;
    for (int c = 0; c < 3; c++) square += (x[3 * n + c] - m.built[3 * n + c]) * (x[3 * n + c] - m.built[3 * n + c]);
    if (!(2 * std::sqrt(square) < m.skin)) return GONE;  // nor does a position hold that is no number
  }
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++)
      for (int c = 0; c < 3; c++) {
        double r = x[3 * in.j[e] + c] - x[3 * n + c];
        m.r[3 * e + c] = m.images ? r + m.images[3 * e + c] : r;
      }
  if (int fault = evaluate(in)) return fault;
  double energy = 0;
  for (I n = 0; n < in.atoms; n++) energy += in.energies[n], in.energies[n] += m.constants[n];
  *m.energy = energy + m.constant;
  static const int voigt[6][2] = {{0, 0}, {1, 1}, {2, 2}, {1, 2}, {0, 2}, {0, 1}};
  for (int k = 0; k < 6; k++) {
    int a = voigt[k][0], b = voigt[k][1];
    m.stress[k] = 0.5 * (in.strain[3 * a + b] + in.strain[3 * b + a]) / m.volume;
  }
  return 0;
}
