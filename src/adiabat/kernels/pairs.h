// Pair potentials: E_i = ½ Σ φ(d_ij) f_c(d_ij), φ by Lennard-Jones, Morse or Buckingham, or the screened nuclear repulsion of ZBL, whose
// terms and range may be each pair's own (NEP files), or which ends in zero by a polynomial that is added (LAMMPS).
enum { LENNARD_JONES = 0, MORSE = 1, ZBL = 2, NEP_ZBL = 3, BUCKINGHAM = 4, SWITCHED_ZBL = 5, ROW = 10 };

struct Facts : Common {
  I form, rows, step;    // rows: how many elements have rows of their own; step: pairs are cut, not faded out
  double p[3];           // σ ε, or depth, width, minimum, or A ρ C; ZBL: e²/4πε₀ and 0.8854 a₀; NEP_ZBL: e²/4πε₀, 1/length
  const I *number;       // [kinds]: atomic numbers
  // ZBL, by atomic number: its share of the pair's cutoff, Z^0.23. Rows [rows, rows, ROW]: p, p, p, cutoff, φ there; NEP_ZBL: from, to, c b
  // c b c b c b; SWITCHED_ZBL: e²/4πε₀ Z Z, 1/length, from, to, and what is added: of t³ and t⁴ with t = d − from, and a constant
  const double *reach, *power;
};

static inline const double *own(const Facts &m, I i, I j) { return m.reach + ROW * (m.rows > 1 ? i * m.rows + j : 0); }

static inline double limit(const Facts &m, I i, I j) {
  return m.form == ZBL ? m.reach[m.number[i]] + m.reach[m.number[j]] : !m.rows ? m.most : own(m, i, j)[m.form == NEP_ZBL ? 1 : 3];
}

// φ and dφ/dd of two elements, faded out: walls, of which few pairs are near enough
static inline void wall(const Facts &m, I i, I j, double d, double most, double &y, double &slope) {
  const double z = (double)m.number[i] * m.number[j], *row = m.rows ? own(m, i, j) : nullptr;
  double sum = 0, down = 0, charge = m.p[0] * z;
  if (m.form == NEP_ZBL) {
    const double u = m.p[1] * (m.power[m.number[i]] + m.power[m.number[j]]);
    for (int k = 2; k < ROW; k += 2) {
      double e = row[k] * std::exp(-row[k + 1] * u * d);
      sum += e;
      down += row[k + 1] * u * e;
    }
  } else {
    static const double c[] = {0.18175, 0.50986, 0.28022, 0.02817}, b[] = {3.19980, 0.94229, 0.40290, 0.20162};
    const double u = m.form == SWITCHED_ZBL ? row[1] : (m.power[m.number[i]] + m.power[m.number[j]]) / m.p[1];
    if (m.form == SWITCHED_ZBL) charge = row[0];
    for (int k = 0; k < 4; k++) {
      double e = c[k] * std::exp(-b[k] * u * d);
      sum += e;
      down += b[k] * u * e;
    }
  }
  y = charge / d * sum;
  slope = -charge / d * (sum / d + down);
  double f = 1, fall = 0;
  if (m.form == SWITCHED_ZBL) {
    const double t = d > row[2] ? d - row[2] : 0;
    y += t * t * t * (row[4] + row[5] * t) + row[6];
    slope += t * t * (3 * row[4] + 4 * row[5] * t);
  } else if (m.form == NEP_ZBL) {
    const double per = 3.14159265358979323846 / (most - row[0]);
    f = d < row[0] ? 1 : 0.5 + 0.5 * std::cos(per * (d - row[0]));
    fall = d < row[0] ? 0 : -0.5 * per * std::sin(per * (d - row[0]));
  } else if (!m.step) {
    const double x = d / most, x5 = x * x * x * x * x;
    f = 1 - x * x5 * (28 - x * (48 - 21 * x)), fall = -168 * x5 * (1 - x) * (1 - x) / most;
  }
  slope = slope * f + y * fall;
  y *= f;
}

struct Family {
  enum { NODES = 0, KEPT = 1 };
  const Facts &m;
  explicit Family(const Facts &m) : m(m) {}

  inline __attribute__((always_inline)) void pair(I kind, const Pair &pair, V &half, V &along) const {
    const V d = root(pair.d2), over = d * (1 / pair.d2);  // neither waits for the other
    V y = {}, slope = {};
    if (m.form != LENNARD_JONES && m.form != MORSE && m.form != BUCKINGHAM) {
      for (int l = 0; l < W; l++) {
        const double most = limit(m, kind, pair.kind[l]);
        if (!pair.on[l] || !(d[l] < most)) continue;
        double e, down;
        wall(m, kind, pair.kind[l], d[l], most, e, down);
        y[l] = e, slope[l] = down;
      }
      half = (S)0.5 * y, along = slope * over;
      return;
    }
    V p[5] = {V{} + m.p[0], V{} + m.p[1], V{} + m.p[2], V{} + m.most, V{}};  // … the cutoff, and φ there
    if (m.rows)
      for (int l = 0; l < W; l++) {
        const double *row = own(m, kind, pair.kind[l]);
        for (int k = 0; k < 5; k++) p[k][l] = row[k];
      }
    if (m.form == LENNARD_JONES) {
      const V s = p[0] * over, s2 = s * s, s6 = s2 * s2 * s2;
      y = (S)4 * p[1] * (s6 * s6 - s6);
      slope = (S)4 * p[1] * ((S)6 * s6 - (S)12 * s6 * s6) * over;
    } else if (m.form == MORSE) {
      const V z = p[1] * (p[2] - d), e = exponential(z < 0 ? z : -z), x = z < 0 ? e : 1 / e;
      y = p[0] * (x * x - (S)2 * x);
      slope = (S)2 * p[0] * p[1] * (x - x * x);
    } else {
      const V wall = p[0] * exponential(-d / p[1]), over2 = over * over, pull = p[2] * over2 * over2 * over2;
      y = wall - pull;
      slope = (S)6 * pull * over - wall / p[1];
    }
    const VI on = pair.on & (d < p[3]);
    if (m.step) {
      y -= p[4];
    } else {  // f_c = 1 − 28 x⁶ + 48 x⁷ − 21 x⁸, polynomial_cutoff of radial.py
      const V x = d / p[3], x2 = x * x, x5 = x2 * x2 * x, left = (S)1 - x;
      const V f = (S)1 - x * x5 * ((S)28 - x * ((S)48 - (S)21 * x)), fall = (S)-168 * x5 * left * left / p[3];
      slope = slope * f + y * fall;
      y *= f;
    }
    half = where(on, (S)0.5 * y), along = where(on, slope * over);
  }
};
