// Embedded atoms: densities and pair energies from tables, an energy of embedding in their sum. Between the points run the cubic curves of
// LAMMPS's pair styles. Every lane has a place of its own in the tables, so lanes are walked one by one.
struct Facts : Common {
  I n, n_rho;
  double dr, drho;
  const double *both;       // [center, neighbor, n − 1, 8]: by rising power of t, ρ that the neighbor brings, then d φ
  const double *embedding;  // [kinds, n_rho − 1, 4]
  const double *last;       // [kinds]: slope beyond the last point
  const double *lone;       // [kinds]: F(0)
};

struct Family {
  const Facts &m;
  I kind = 0;
  double *rho, *pair, *slope;

  static size_t numbers(const Facts &) { return 3 * W * sizeof(double) / sizeof(S); }
  Family(const Facts &m, S *room) : m(m), rho((double *)room), pair(rho + W), slope(pair + W) {}

  void begin(I k) {
    kind = k;
    for (int t = 0; t < 3 * W; t++) rho[t] = 0;
  }

  struct Point { const double *c; double t; };
  Point at(const Near &n, int lane) const {
    double x = (double)n.d[lane] / m.dr;
    I k = std::min(std::max((I)x, (I)0), m.n - 2);
    return {m.both + ((kind * m.kinds + n.kind[lane]) * (m.n - 1) + k) * 8, std::min(x - k, 1.0)};
  }
  static double value(const double *c, double t) { return c[0] + t * (c[1] + t * (c[2] + t * c[3])); }
  static double rise(const double *c, double t) { return c[1] + t * (2 * c[2] + t * 3 * c[3]); }

  void gather(const Near &n) {
    for (int t = 0; t < W; t++)
      if (n.on[t]) {
        Point p = at(n, t);
        rho[t] += value(p.c, p.t);
        pair[t] += 0.5 * value(p.c + 4, p.t) / n.d[t];
      }
  }

  void node(double *e) {
    for (int t = 0; t < W; t++) {
      double end = (m.n_rho - 1) * m.drho, x = std::min(rho[t], end) / m.drho;
      I k = std::min(std::max((I)x, (I)0), m.n_rho - 2);
      const double *c = m.embedding + (kind * (m.n_rho - 1) + k) * 4;
      double over = std::max(rho[t] - end, 0.0);
      e[t] = value(c, x - k) + over * m.last[kind] - m.lone[kind] + pair[t];
      slope[t] = over > 0 ? m.last[kind] : rise(c, x - k) / m.drho;
    }
  }

  void push(const Near &n, V *g) {
    for (int t = 0; t < W; t++) {
      double along = 0, one = 1 / (double)n.d[t];
      if (n.on[t]) {
        Point p = at(n, t);
        along = slope[t] * rise(p.c, p.t) / m.dr + 0.5 * one * (rise(p.c + 4, p.t) / m.dr - value(p.c + 4, p.t) * one);
      }
      for (int x = 0; x < 3; x++) g[x][t] = (S)(along * one * n.r[x][t]);
    }
  }
};
