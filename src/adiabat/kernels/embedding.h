// Embedded atoms: densities and pair energies from tables, an energy of embedding in their sum. Between the points run the cubic curves of
// LAMMPS's pair styles; all curves of a pair of elements that are asked for at one distance stand side by side.
struct Facts : Common {
  I n, n_rho, curves;       // curves: 2 where each element brings every other what that brings it, else 3
  double dr, drho;
  const double *both;       // [center, neighbor, n − 1, curves, 4]: by rising power of t, ρ that the neighbor brings, d φ, ρ that the center brings
  const double *embedding;  // [kinds, n_rho − 1, 4]
  const double *last;       // [kinds]: slope beyond the last point
  const double *lone;       // [kinds]: F(0)
};

struct Family {
  enum { NODES = 1, KEPT = 6 };  // of a pair: r, φ′/d, and the slopes over d of the densities that come and go
  const Facts &m;
  const double per;
  explicit Family(const Facts &m) : m(m), per(1 / m.dr) {}

  // Rows of four numbers, one a lane, as vectors of each power.
  static inline void powers(const double *const *row, V *c) {
    for (int p = 0; p < 4; p++)
      for (int l = 0; l < W; l++) c[p][l] = row[l][p];
  }
  static V value(const V *c, V t) { return c[0] + t * (c[1] + t * (c[2] + t * c[3])); }
  static V rise(const V *c, V t) { return c[1] + t * ((S)2 * c[2] + t * ((S)3 * c[3])); }

  template <class Pair> void gather(I kind, const Pair &pair, V *rho, V &half, V *kept) const {
    const V over = root(1 / pair.d2), x = pair.d2 * over * per;
    VI k = __builtin_convertvector(x, VI);
    k = k < m.n - 2 ? k : VI{} + (m.n - 2);
    V t = x - __builtin_convertvector(k, V);
    t = t < 1 ? t : V{} + 1;
    const double *row[W];
    const I table = (m.n - 1) * m.curves * 4;
    for (int l = 0; l < W; l++) row[l] = m.both + (kind * m.kinds + (m.kinds > 1 ? pair.kind[l] : 0)) * table + k[l] * m.curves * 4;
    V c[4];
    powers(row, c);
    const V slopes = over * per;
    rho[0] = rho[1] = where(pair.on, value(c, t));
    kept[1] = kept[2] = where(pair.on, rise(c, t) * slopes);
    for (int l = 0; l < W; l++) row[l] += 4;
    powers(row, c);
    const V phi = value(c, t) * over;
    half = where(pair.on, (S)0.5 * phi);
    kept[0] = where(pair.on, (rise(c, t) * per - phi) * (over * over));
    if (m.curves == 2) return;
    for (int l = 0; l < W; l++) row[l] += 4;
    powers(row, c);
    rho[1] = where(pair.on, value(c, t));
    kept[2] = where(pair.on, rise(c, t) * slopes);
  }

  double node(I kind, double rho, double &slope) const {
    const double end = (m.n_rho - 1) * m.drho, x = std::min(rho, end) / m.drho, over = std::max(rho - end, 0.0);
    const I k = std::min(std::max((I)x, (I)0), m.n_rho - 2);
    const double *c = m.embedding + (kind * (m.n_rho - 1) + k) * 4, t = x - k;
    slope = over > 0 ? m.last[kind] : (c[1] + t * (2 * c[2] + t * 3 * c[3])) / m.drho;
    return c[0] + t * (c[1] + t * (c[2] + t * c[3])) + over * m.last[kind] - m.lone[kind];
  }

  static V push(double mine, V theirs, const V *kept) { return kept[0] + mine * kept[1] + theirs * kept[2]; }
};
