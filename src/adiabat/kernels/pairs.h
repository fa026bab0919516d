// Pair potentials: E_i = ½ Σ φ(d_ij) f_c(d_ij), φ by Lennard-Jones, Morse or Buckingham, or the screened nuclear repulsion of ZBL, whose
// terms and range may be each pair's own (NEP files).
enum { LENNARD_JONES = 0, MORSE = 1, ZBL = 2, NEP_ZBL = 3, BUCKINGHAM = 4, ROW = 10 };

struct Facts {
  I form, elements;
  double cutoff, p[3];                 // σ ε, or depth, width, minimum, or A ρ C; ZBL: e²/4πε₀ and 0.8854 a₀; NEP_ZBL: e²/4πε₀, 1/length, how many elements
  const I *kind;                       // by atomic number, `elements` of them; −1 where unknown; NEP_ZBL: which element
  const double *reach, *power;         // ZBL, by atomic number: its share of the pair's cutoff, Z^0.23; NEP_ZBL: reach [Z, Z, ROW]: from, to, c b c b c b c b
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<double> g, own, pairs;
};

static inline const double *own(const Facts &m, I zi, I zj) { return m.reach + ROW * (m.kind[zi] * (I)m.p[2] + m.kind[zj]); }

// φ and dφ/dd
static inline void pair(const Facts &m, I zi, I zj, double d, double &y, double &slope) {
  if (m.form == LENNARD_JONES) {
    double s = m.p[0] / d, s2 = s * s, s6 = s2 * s2 * s2;
    y = 4 * m.p[1] * (s6 * s6 - s6);
    slope = 4 * m.p[1] * (6 * s6 - 12 * s6 * s6) / d;
  } else if (m.form == MORSE) {
    double x = std::exp(-m.p[1] * (d - m.p[2]));
    y = m.p[0] * (x * x - 2 * x);
    slope = 2 * m.p[0] * m.p[1] * (x - x * x);
  } else if (m.form == BUCKINGHAM) {
    double wall = m.p[0] * std::exp(-d / m.p[1]), d2 = d * d, pull = m.p[2] / (d2 * d2 * d2);
    y = wall - pull;
    slope = 6 * pull / d - wall / m.p[1];
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
    double a = m.p[1] / (m.power[zi] + m.power[zj]), x = d / a, sum = 0, down = 0;
    for (int k = 0; k < 4; k++) {
      double e = c[k] * std::exp(-b[k] * x);
      sum += e;
      down += b[k] * e;
    }
    y = m.p[0] * zi * zj / d * sum;
    slope = -m.p[0] * zi * zj / d * (sum / d + down / a);
  }
}

static int run(Model &m, const Call &in) {
  bool any = false;
  auto limit = [&](I zi, I zj) { return m.form == ZBL ? m.reach[zi] + m.reach[zj] : m.form == NEP_ZBL ? own(m, zi, zj)[1] : m.cutoff; };
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], most = limit(in.numbers[n], in.numbers[in.j[e]]);
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
      double d = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), most = limit(in.numbers[n], in.numbers[in.j[e]]), y, slope;
      if (!(d < most)) continue;
      pair(m, in.numbers[n], in.numbers[in.j[e]], d, y, slope);
      double x = d / most, x5 = x * x * x * x * x;  // f_c = 1 − 28 x⁶ + 48 x⁷ − 21 x⁸, polynomial_cutoff of radial.py
      double f = 1 - x * x5 * (28 - x * (48 - 21 * x)), down = -168 * x5 * (1 - x) * (1 - x) / most;
      if (m.form == NEP_ZBL) {
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
