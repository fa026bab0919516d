// Pair potentials: E_i = ½ Σ φ(d_ij) f_c(d_ij), φ by Lennard-Jones, Morse or Buckingham, or the screened nuclear repulsion of ZBL, whose
// terms and range may be each pair's own (NEP files), or which ends in zero by a polynomial that is added (LAMMPS).
enum { LENNARD_JONES = 0, MORSE = 1, ZBL = 2, NEP_ZBL = 3, BUCKINGHAM = 4, SWITCHED_ZBL = 5, ROW = 10 };

struct Facts {
  I form, elements, kinds, step;       // kinds: how many elements have rows of their own; step: pairs are cut, not faded out
  double cutoff, p[3];                 // σ ε, or depth, width, minimum, or A ρ C; ZBL: e²/4πε₀ and 0.8854 a₀; NEP_ZBL: e²/4πε₀, 1/length
  const I *kind;                       // by atomic number, `elements` of them; −1 where unknown; with rows: which element
  // ZBL, by atomic number: its share of the pair's cutoff, Z^0.23. Rows [kinds, kinds, ROW]: p, p, p, cutoff, φ there; NEP_ZBL: from, to, c b
  // c b c b c b; SWITCHED_ZBL: e²/4πε₀ Z Z, 1/length, from, to, and what is added: of t³ and t⁴ with t = d − from, and a constant
  const double *reach, *power;
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<double> g, own, pairs;
};

static inline const double *own(const Facts &m, I zi, I zj) { return m.reach + ROW * (m.kinds > 1 ? m.kind[zi] * m.kinds + m.kind[zj] : 0); }

// φ and dφ/dd
static inline void pair(const Facts &m, I zi, I zj, double d, double &y, double &slope) {
  const double *p = m.kinds && m.form != NEP_ZBL ? own(m, zi, zj) : m.p;
  if (m.form == LENNARD_JONES) {
    double s = p[0] / d, s2 = s * s, s6 = s2 * s2 * s2;
    y = 4 * p[1] * (s6 * s6 - s6);
    slope = 4 * p[1] * (6 * s6 - 12 * s6 * s6) / d;
  } else if (m.form == MORSE) {
    double x = std::exp(-p[1] * (d - p[2]));
    y = p[0] * (x * x - 2 * x);
    slope = 2 * p[0] * p[1] * (x - x * x);
  } else if (m.form == BUCKINGHAM) {
    double wall = p[0] * std::exp(-d / p[1]), d2 = d * d, pull = p[2] / (d2 * d2 * d2);
    y = wall - pull;
    slope = 6 * pull / d - wall / p[1];
  } else if (m.form == NEP_ZBL) {
    const double *row = own(m, zi, zj), u = m.p[1] * (m.power[zi] + m.power[zj]);
    double sum = 0, down = 0;
    for (int k = 2; k < ROW; k += 2) {
      double e = row[k] * std::exp(-row[k + 1] * u * d);
      sum += e;
      down += row[k + 1] * u * e;
    }
    y = m.p[0] * zi * zj / d * sum;
    slope = -m.p[0] * zi * zj / d * (sum / d + down);
  } else {
    static const double c[] = {0.18175, 0.50986, 0.28022, 0.02817}, b[] = {3.19980, 0.94229, 0.40290, 0.20162};
    bool switched = m.form == SWITCHED_ZBL;
    double z = switched ? p[0] : p[0] * zi * zj, u = switched ? p[1] : (m.power[zi] + m.power[zj]) / p[1], sum = 0, down = 0;
    for (int k = 0; k < 4; k++) {
      double e = c[k] * std::exp(-b[k] * u * d);
      sum += e;
      down += b[k] * u * e;
    }
    y = z / d * sum;
    slope = -z / d * (sum / d + down);
    if (switched) {
      double t = d > p[2] ? d - p[2] : 0;
      y += t * t * t * (p[4] + p[5] * t) + p[6];
      slope += t * t * (3 * p[4] + 4 * p[5] * t);
    }
  }
}

static inline double limit(const Facts &m, I zi, I zj) {
  return m.form == ZBL ? m.reach[zi] + m.reach[zj] : !m.kinds ? m.cutoff : own(m, zi, zj)[m.form == NEP_ZBL ? 1 : 3];
}

static int run(Model &m, const Call &in) {
  bool any = false;
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], most = limit(m, in.numbers[n], in.numbers[in.j[e]]);
      if (!(d2 - d2 == 0)) return 5;
      if (!(d2 > 0)) return 6;
      any = any || d2 < most * most;
    }
  if (!any) return 0;  // the usual case of a wall in dynamics
  m.g.assign(3 * in.edges, 0);
  m.own.assign(in.atoms, 0);
  m.pairs.resize(9 * in.atoms);
#pragma omp parallel for num_threads(in.threads) schedule(static) if (in.threads > 1)
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double d = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), most = limit(m, in.numbers[n], in.numbers[in.j[e]]), y, slope;
      if (!(d < most)) continue;
      pair(m, in.numbers[n], in.numbers[in.j[e]], d, y, slope);
      double x = d / most, x5 = x * x * x * x * x;  // f_c = 1 − 28 x⁶ + 48 x⁷ − 21 x⁸, polynomial_cutoff of radial.py
      double f = 1 - x * x5 * (28 - x * (48 - 21 * x)), down = -168 * x5 * (1 - x) * (1 - x) / most;
      if (m.step) {
        f = 1, down = 0;
        y -= m.form == SWITCHED_ZBL || !m.kinds ? 0 : own(m, in.numbers[n], in.numbers[in.j[e]])[4];
      } else if (m.form == NEP_ZBL) {
        double from = own(m, in.numbers[n], in.numbers[in.j[e]])[0], per = 3.14159265358979323846 / (most - from);
        f = d < from ? 1 : 0.5 + 0.5 * std::cos(per * (d - from));
        down = d < from ? 0 : -0.5 * per * std::sin(per * (d - from));
      }
      m.own[n] += 0.5 * y * f;
      for (int k = 0; k < 3; k++) m.g[3 * e + k] = 0.5 * (slope * f + y * down) * r[k] / d;
    }
  for (I copy = 0; copy < in.copies; copy++) collect(in, copy, m.own.data(), m.g.data(), m.pairs.data());
  return 0;
}
