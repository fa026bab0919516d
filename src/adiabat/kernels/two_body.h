// Sparse Gaussian processes on distances: E_i = Σ_j f_c(d_ij) Σ_s a_s exp(−(d_ij − d_s)²/2θ²), one process a pair of elements.
struct Process {
  I points;  // padded to whole vectors; for variances, to whole panels
  double cutoff, width, per;  // per: 1/2θ²
  const S *at, *a;
};

struct Facts {
  I elements, kinds;
  const I *kind;         // by atomic number; −1 where unknown
  const Process *of;     // [kinds, kinds]
};

struct Model : Facts {
  explicit Model(const Facts &facts) : Facts(facts) {}
  std::vector<S> g;
  std::vector<double> own, pairs;
};

static void reserve(Model &m, const Call &in) {
  m.g.assign(3 * in.edges + 1, 0);
  m.own.assign(in.atoms, 0);
  m.pairs.resize(9 * in.atoms);
}

// The cutoff function and its slope.
static inline double shoulder(const Process &it, double d, double &df) {
  double begin = it.cutoff - it.width, x = 3.14159265358979323846 * (d - begin) / it.width;
  df = d > begin ? -0.5 * 3.14159265358979323846 / it.width * std::sin(x) : 0;
  return d > begin ? 0.5 * (1 + std::cos(x)) : 1;
}

static int run(Model &m, const Call &in) {
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(static) if (in.threads > 1)
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      if (!(square - square == 0) || !(square > 0)) {
#pragma omp atomic write
        fault = square - square == 0 ? 6 : 5;
        continue;
      }
      const Process &it = m.of[m.kind[in.numbers[n]] * m.kinds + m.kind[in.numbers[in.j[e]]]];
      if (!it.points || !(square < it.cutoff * it.cutoff)) continue;
      double d = std::sqrt(square), df, f = shoulder(it, d, df);
      V value = {}, slope = {}, per = V{} + (S)it.per, here = V{} + (S)d;
      for (I s = 0; s < it.points; s += W) {
        V x = here - *(const VU *)(it.at + s), k = *(const VU *)(it.a + s) * exponential(-(per * (x * x)));
        value += k;
        slope += x * k;
      }
      double y = total(value), down = -2 * it.per * total(slope);
      m.own[n] += f * y;
      for (int x = 0; x < 3; x++) m.g[3 * e + x] = (S)((f * down + df * y) * r[x] / d);
    }
  if (fault) return fault;
  for (I copy = 0; copy < in.copies; copy++) collect(in, copy, m.own.data(), m.g.data(), m.pairs.data());
  return 0;
}

// Of one process alone; its slopes are along the edges.
static int columns(Model &m, const Call &in, const Columns &out) {
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const double *r = in.r + 3 * e;
      double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      if (!(square - square == 0)) return 5;
      if (!(square > 0)) return 6;
      const Process &it = m.of[m.kind[in.numbers[n]] * m.kinds + m.kind[in.numbers[in.j[e]]]];
      if (!it.points || !(square < it.cutoff * it.cutoff)) continue;
      double d = std::sqrt(square), df;
      S f = (S)shoulder(it, d, df);
      V per = V{} + (S)it.per, here = V{} + (S)d;
      for (I s = 0; s < it.points; s += W) {
        V x = here - at(it.at + s), k = at(it.a + s) * exponential(-(per * (x * x))), slope = k * ((S)df - 2 * f * per * x), J[3];
        for (int y = 0; y < 3; y++) J[y] = (S)(r[y] / d) * slope;
        put(out.energy + s, at(out.energy + s) + f * k);
        push(in, out, n, e, s, J);
      }
    }
  return 0;
}

// Of one process alone; a is δ² f_c(d_s).
static int variances(Model &m, const Call &in, const Variances &out) {
  const Process *one = m.of;
  while (!one->points) one++;
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(static) if (in.threads > 1)
  for (I n = 0; n < in.atoms; n++)
    told(fault, [&] {
      Tuples tuples(one->points);
      for (I e = in.first[n]; e < in.first[n + 1]; e++) {
        const double *r = in.r + 3 * e;
        double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
        if (!(square - square == 0)) return 5;
        if (!(square > 0)) return 6;
        const Process &it = m.of[m.kind[in.numbers[n]] * m.kinds + m.kind[in.numbers[in.j[e]]]];
        if (!it.points || !(square < it.cutoff * it.cutoff)) continue;
        double d = std::sqrt(square), df, f = shoulder(it, d, df);
        V per = V{} + (S)it.per, here = V{} + (S)d;
        S *k = tuples.next();
        for (I s = 0; s < it.points; s += W) {
          V x = here - at(it.at + s);
          put(k + s, at(it.a + s) * exponential(-(per * (x * x))));
        }
        out.variance[n] += tuples.tell(f * f, out);
      }
      out.variance[n] += tuples.rest(out);
      return 0;
    });
  return fault;
}
