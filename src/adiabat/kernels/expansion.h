// Atomic cluster expansion of listed products: sums A of a center's neighbors, products of them taken pair by pair, densities ρ_p = Σ c_p Re(x y)
// of the last pairs, an energy of embedding in each. All is walked backward once an atom. Complex numbers are two vectors, one behind the other.
#include "vectors.h"

enum { MOST_RADIAL = 32, MOST_L = 12, MOST_DENSITIES = 8 };
enum Basis { CHEB_EXP_COS, CHEB_POW, CHEB_LINEAR, BESSEL };

struct Bond { double cutoff, wide, decay, height, steep, inner, inner_width; I basis; };
struct Leaf { I from, at, count, real; };  // Σ_k mix[at + k] sums[from + k], and of the imaginary parts `radial` further; count of them
struct Product { I a, b; };                // x_a x_b, or of b's conjugate; 2 place + 1 asks for it
struct Row { I x, from, plain, to; };      // Re(x_x Σ c_y x_y): entries from … plain, then those of conjugates
struct Of { I leaf, leaves, product, products, single, singles, row, rows; };  // what belongs to an element: the first and how many

struct Facts : Common {
  I radial, l_max, densities, inner, numbers;  // inner: nearer than a distance repulsion takes the functions' place; numbers: the most of an element's x
  double scale;                                // eV of an energy
  const Bond *bond;                            // [kinds, kinds]
  const I *used;                               // [kinds, kinds, l]: how many radial functions a product asks for
  const Of *of;                                // [kinds]
  const Leaf *leaf;
  const S *mix;
  const Product *product;
  const I *single;                             // places among the sums
  const S *single_c;                           // [singles, densities]
  const Row *row;
  const I *y;
  const S *c;                                  // [entries, densities]
  const double *embedding;                     // [kinds, densities, 2]: w, m
  const I *shifted;                            // [kinds]
  const double *core;                          // [kinds, 2]: where the expansion is gone, over which width it goes
};

struct Family {
  enum { TOGETHER = 2 };
  const Facts &m;
  const I HARMONICS, SUMS;
  V *sums, *x, *back, *kept;  // kept: Σ c y of each row and density
  V wall, core_slope, rho[MOST_DENSITIES];
  I kind = 0;

  static I harmonics(const Facts &m) { return (m.l_max + 1) * (m.l_max + 2) / 2; }
  static size_t numbers(const Facts &m) {
    I rows = 0;
    for (I k = 0; k < m.kinds; k++) rows = std::max(rows, m.of[k].rows);
    return W * (2 * m.kinds * harmonics(m) * m.radial + 4 * m.numbers + 2 * rows * m.densities);
  }
  Family(const Facts &m, S *room)
      : m(m), HARMONICS(harmonics(m)), SUMS(2 * m.kinds * HARMONICS * m.radial), sums((V *)room), x(sums + SUMS), back(x + 2 * m.numbers),
        kept(back + 2 * m.numbers) {}

  void begin(I k) {
    kind = k;
    wall = V{};
    for (I t = 0; t < SUMS; t++) sums[t] = V{};
  }

  struct Edge {
    V one, u[3], g[MOST_RADIAL], slope[MOST_RADIAL], wall, wall_slope;
    V c[MOST_L + 1], s[MOST_L + 1], q[MOST_L + 2][MOST_L + 1];  // (x + iy)^m, d^m P_l/dz^m
  };

  static bool any(VI mask) { return total(where(mask, V{} + 1)) != 0; }
  // ½ (1 + cos πx) of x = (d − from)/width within 0 … 1, 1 below and 0 above; its slope with d.
  static void fade(V d, S from, S width, V &f, V &slope) {
    V t = (d - from) / width;
    t = t > (S)0 ? t : V{};
    cutoff(t * t, f, slope);
    slope *= (S)2 / width * t;
  }

  // Chebyshev polynomials k = 0 … n and their slopes, dx being that of x.
  template <bool SLOPES> static void chebyshev(V x, V dx, I n, V *T, V *D) {
    const V twice = x + x, steep = dx + dx;
    T[0] = V{} + (S)1, D[0] = V{}, T[1] = x, D[1] = dx;
    for (I k = 2; k <= n; k++) {
      T[k] = twice * T[k - 1] - T[k - 2];
      if (SLOPES) D[k] = steep * T[k - 1] + (twice * D[k - 1] - D[k - 2]);
    }
  }

  template <bool SLOPES> void radial(const Bond &b, V d, V *g, V *slope) const {
    const I n = m.radial;
    const S reach = (S)b.cutoff;
    V T[MOST_RADIAL + 2], D[MOST_RADIAL + 2];
    if (b.basis == BESSEL) {
      bessel(b, d, g, slope);
    } else if (b.basis == CHEB_EXP_COS) {
      const S decay = (S)(std::fabs(b.decay) / b.cutoff), span = (S)(-2 / std::expm1(-b.decay));
      V e = exponential(-decay * d);
      if (b.decay < 0) e = (S)1 / e;
      V x = (S)1 - span * (e - (S)std::exp(-b.decay)), f, fall;
      chebyshev<SLOPES>(x, span * (S)(b.decay / b.cutoff) * e, std::max(n - 1, (I)1), T, D);
      fade(d, 0, reach, f, fall);
      if (any(d > reach - (S)b.wide)) {
        V late, down;
        fade(d, reach - (S)b.wide, (S)b.wide, late, down);
        fall = fall * late + f * down, f *= late;
      }
      g[0] = f, slope[0] = fall;
      f *= (S)0.5, fall *= (S)0.5;
      for (I k = 1; k < n; k++) {
        g[k] = f - T[k] * f;
        if (SLOPES) slope[k] = fall - T[k] * fall - D[k] * f;
      }
    } else {
      V x = (S)1 - d / reach, dx = V{} - 1 / reach;
      if (b.basis == CHEB_POW)
        for (int t = 0; t < W; t++) {
          double q = std::max(0.0, 1 - d[t] / b.cutoff), less = std::pow(q, b.decay - 1);
          x[t] = (S)(1 - 2 * q * less), dx[t] = (S)(2 * b.decay / b.cutoff * less);
        }
      chebyshev<SLOPES>(x, dx, n, T, D);
      for (I k = 0; k < n; k++) {
        g[k] = (S)0.5 - (S)0.5 * T[k + 1];
        if (SLOPES) slope[k] = (S)-0.5 * D[k + 1];
      }
    }
  }

  // Sums of two neighboring sin(kθ)/d, θ = πd/r_c, each made orthogonal to the one before.
  void bessel(const Bond &b, V d, V *g, V *slope) const {
    V sine, cosine, zero[2], one[2];  // sin kθ/kθ and its slope, of k and k + 1
    for (int t = 0; t < W; t++) sine[t] = std::sin((S)(M_PI / b.cutoff) * d[t]), cosine[t] = std::cos((S)(M_PI / b.cutoff) * d[t]);
    V s = sine, c = cosine, per = (S)1 / d, angle = (S)(b.cutoff / M_PI) * per;
    zero[0] = s * angle, zero[1] = (c - zero[0]) * per;
    double before = 1;
    for (I k = 0; k < m.radial; k++) {
      V next = s * cosine + c * sine;
      c = c * cosine - s * sine, s = next;
      one[0] = s * angle / (S)(k + 2), one[1] = (c - one[0]) * per;
      double a = k + 1, z = k + 2, size = (k % 2 ? -1 : 1) * std::sqrt(2.0) * M_PI * a * z / std::sqrt(a * a + z * z) / std::pow(b.cutoff, 1.5);
      double e = k * k * z * z / (4 * a * a * a * a + 1), now = 1 - e / before, along = std::sqrt(e / before), over = 1 / std::sqrt(now);
      g[k] = (S)(size * over) * (zero[0] + one[0]), slope[k] = (S)(size * over) * (zero[1] + one[1]);
      if (k) g[k] += (S)(along * over) * g[k - 1], slope[k] += (S)(along * over) * slope[k - 1];
      zero[0] = one[0], zero[1] = one[1], before = now;
    }
  }

  // 1 below end − width, 0 above end, and its slope.
  static void falling(double x, double end, double width, double &f, double &slope) {
    f = x < end, slope = 0;
    if (!(x > end - width && x < end)) return;
    double y = 1 - 2 * (1 + (x - end) / width), z = y * y;
    f = 0.5 + 3.75 * y * (0.25 - z / 6 + z * z / 20);
    slope = -7.5 / width * (0.25 - z / 2 + z * z / 4);
  }

  template <bool SLOPES> void edge(const Near &n, Edge &e) const {
    const Bond &b = m.bond[kind * m.kinds + n.kind[0]];
    radial<SLOPES>(b, n.d, e.g, e.slope);
    e.wall = e.wall_slope = V{};
    if (b.height) {
      V square = n.d * n.d, f, fall;
      fade(n.d, 0, (S)b.cutoff, f, fall);
      V y = (S)b.height * exponential(-(S)b.steep * square) / n.d * n.on;
      y = where((S)b.steep * square < (S)50, y);
      e.wall = y * f, e.wall_slope = y * fall - e.wall * ((S)1 / n.d + (S)(2 * b.steep) * n.d);
    }
    V on = n.on;
    if (any(n.d < (S)b.inner)) {
      V f = V{}, slope = V{};  // of the core: 1 where atoms are near
      for (int t = 0; t < W; t++) {
        double inside, steep;
        falling(n.d[t], b.inner, b.inner_width, inside, steep);
        f[t] = (S)inside, slope[t] = (S)steep;
      }
      if (m.inner) {
        e.wall_slope = e.wall_slope * f + e.wall * slope, e.wall *= f;
        for (I k = 0; k < m.radial; k++) {
          if (SLOPES) e.slope[k] = e.slope[k] * ((S)1 - f) - e.g[k] * slope;
          e.g[k] *= (S)1 - f;
        }
      }
      on = where(n.d > (S)(b.inner - b.inner_width), on);
    } else if (m.inner) {
      e.wall = e.wall_slope = V{};
    }
    if (total(on) != W)
      for (I k = 0; k < m.radial; k++) {
        e.g[k] *= on;
        if (SLOPES) e.slope[k] *= on;
      }
    e.one = (S)1 / n.d;
    for (int t = 0; t < 3; t++) e.u[t] = n.r[t] * e.one;
    e.c[0] = V{} + (S)1, e.s[0] = V{};
    S odd = 1;
    for (I k = 0; k <= m.l_max; k++) {
      if (k) e.c[k] = e.u[0] * e.c[k - 1] - e.u[1] * e.s[k - 1], e.s[k] = e.u[0] * e.s[k - 1] + e.u[1] * e.c[k - 1];
      V *q = e.q[k];
      q[k] = V{} + odd;
      odd *= 2 * k + 1;
      for (I l = k + 1; l <= m.l_max; l++) {
        V down = l > k + 1 ? (S)(l + k - 1) * q[l - 2] : V{};
        q[l] = ((S)(2 * l - 1) * e.u[2] * q[l - 1] - down) * (S)(1.0 / (l - k));
      }
      e.q[k + 1][k] = V{};
    }
  }

  // visit(k = m, l, place among the sums, how many radial functions)
  template <class Visit> void each(I neighbor, Visit visit) const {
    const I *used = m.used + (kind * m.kinds + neighbor) * (m.l_max + 1);
    I at = neighbor * HARMONICS;
    for (I k = 0; k <= m.l_max; k++)
      for (I l = k; l <= m.l_max; l++, at++)
        if (used[l]) visit(k, l, 2 * at * m.radial, used[l]);
  }

  void gather(const Near *n) {
    static_assert(TOGETHER == 2, "sums are written for two");
    Edge e[TOGETHER];
    for (int q = 0; q < TOGETHER; q++) edge<false>(n[q], e[q]), wall += e[q].wall;
    each(n->kind[0], [&](I k, I l, I at, I count) {
      V re[TOGETHER], im[TOGETHER], *a = sums + at, *b = a + m.radial;
      for (int q = 0; q < TOGETHER; q++) re[q] = e[q].q[k][l] * e[q].c[k], im[q] = e[q].q[k][l] * e[q].s[k];
      if (k)
        for (I t = 0; t < count; t++) {
          a[t] += e[0].g[t] * re[0] + e[1].g[t] * re[1];
          b[t] += e[0].g[t] * im[0] + e[1].g[t] * im[1];
        }
      else
        for (I t = 0; t < count; t++) a[t] += e[0].g[t] * re[0] + e[1].g[t] * re[1];
    });
  }

  void node(double *energy) {
    const Of &o = m.of[kind];
    switch (m.densities) {
      case 1: forward<1>(o); break;
      case 2: forward<2>(o); break;
      default: forward<0>(o);
    }
    embed(energy);
    for (I t = 0; t < SUMS; t++) sums[t] = V{};
    for (I t = 0; t < 2 * (o.leaves + o.products); t++) back[t] = V{};
    switch (m.densities) {
      case 1: backward<1>(o); break;
      case 2: backward<2>(o); break;
      default: backward<0>(o);
    }
  }

  static S sign(I place) { return place & 1 ? -1 : 1; }

  template <int KNOWN> void forward(const Of &o) {
    const I D = KNOWN ? KNOWN : m.densities;
    for (I k = 0; k < o.leaves; k++) {
      const Leaf &leaf = m.leaf[o.leaf + k];
      const S *mix = m.mix + leaf.at;
      V *a = sums + leaf.from, re = V{}, im = V{};
      for (I t = 0; t < leaf.count; t++) re += mix[t] * a[t];
      if (!leaf.real)
        for (I t = 0; t < leaf.count; t++) im += mix[t] * a[m.radial + t];
      x[2 * k] = re, x[2 * k + 1] = im;
    }
    V *to = x + 2 * o.leaves;
    for (I k = 0; k < o.products; k++, to += 2) {
      const Product &p = m.product[o.product + k];
      V *a = x + 2 * p.a, *b = x + (p.b & ~(I)1), im = sign(p.b) * b[1];
      to[0] = a[0] * b[0] - a[1] * im, to[1] = a[0] * im + a[1] * b[0];
    }
    V sum[MOST_DENSITIES] = {};
    for (I k = o.single; k < o.single + o.singles; k++)
      for (I p = 0; p < D; p++) sum[p] += m.single_c[k * D + p] * sums[m.single[k]];
    V *keep = kept;
    for (I k = o.row; k < o.row + o.rows; k++, keep += 2 * D) {
      const Row &row = m.row[k];
      V re[MOST_DENSITIES] = {}, im[MOST_DENSITIES] = {};
      I t = row.from;
      for (; t < row.plain; t++) {
        const V *y = x + 2 * m.y[t];
        for (I p = 0; p < D; p++) re[p] += m.c[t * D + p] * y[0], im[p] += m.c[t * D + p] * y[1];
      }
      for (; t < row.to; t++) {
        const V *y = x + 2 * m.y[t];
        for (I p = 0; p < D; p++) re[p] += m.c[t * D + p] * y[0], im[p] -= m.c[t * D + p] * y[1];
      }
      for (I p = 0; p < D; p++) {
        keep[2 * p] = re[p], keep[2 * p + 1] = im[p];
        sum[p] += x[2 * row.x] * re[p] - x[2 * row.x + 1] * im[p];
      }
    }
    for (I p = 0; p < D; p++) rho[p] = sum[p];
  }

  // F = ± |ρ|^m, linear within some 10⁻⁶; or, shifted, ± ((|ρ| + x e^−|ρ|)^m − y e^−|ρ|), ρ for m = 1.
  static void embedding(bool shifted, double rho, double m, double &F, double &slope) {
    double sign = rho < 0 ? -1 : 1, a = rho * sign;
    if (shifted) {
      F = rho, slope = 1;
      if (std::fabs(m - 1) < 1e-10) return;
      double n = 1 / m, e = std::exp(-a), x = std::pow(n, n / (1 - n)) * e, y = std::pow(n, 1 / (1 - n)) * e;
      F = sign * (std::pow(x + a, m) - y), slope = m * std::pow(x + a, m - 1) * (1 - x) + y;
      return;
    }
    double line = std::pow(1e-6, m - 1);
    F = line * rho, slope = line;
    if (!(a > 1e-10)) return;
    double cube = a * a * a * 1e18, g = cube > 30 ? 0 : std::exp(-cube), fall = -3e18 * a * a * g, less = std::pow(a, m - 1);
    F = sign * ((1 - g) * less * a + line * g * a);
    slope = (1 - g) * m * less - fall * less * a + line * (g + fall * a);
  }

  void embed(double *energy) {
    V slopes[MOST_DENSITIES];
    for (int t = 0; t < W; t++) {
      double E = 0, f, fall, each[MOST_DENSITIES];
      for (I p = 0; p < m.densities; p++) {
        const double *of = m.embedding + 2 * (kind * m.densities + p);
        double F;
        embedding(m.shifted[kind], (double)rho[p][t], of[1], F, each[p]);
        E += of[0] * F, each[p] *= of[0];
      }
      falling(wall[t], m.core[2 * kind], m.core[2 * kind + 1], f, fall);
      energy[t] = m.scale * (E * f + wall[t]);
      core_slope[t] = (S)(m.scale * (E * fall + 1));
      for (I p = 0; p < m.densities; p++) slopes[p][t] = (S)(m.scale * f * each[p]);
    }
    for (I p = 0; p < m.densities; p++) rho[p] = slopes[p];  // from here on ∂E/∂ρ
  }

  template <int KNOWN> void backward(const Of &o) {
    const I D = KNOWN ? KNOWN : m.densities;
    V slope[MOST_DENSITIES];
    for (I p = 0; p < D; p++) slope[p] = rho[p];
    const V *keep = kept;
    for (I k = o.row; k < o.row + o.rows; k++, keep += 2 * D) {
      const Row &row = m.row[k];
      V *to = back + 2 * row.x, re[MOST_DENSITIES], im[MOST_DENSITIES];
      for (I p = 0; p < D; p++) {
        to[0] += slope[p] * keep[2 * p], to[1] -= slope[p] * keep[2 * p + 1];
        re[p] = slope[p] * x[2 * row.x], im[p] = slope[p] * x[2 * row.x + 1];
      }
      I t = row.from;
      for (; t < row.plain; t++) {
        V *y = back + 2 * m.y[t], a = y[0], b = y[1];
        for (I p = 0; p < D; p++) a += m.c[t * D + p] * re[p], b -= m.c[t * D + p] * im[p];
        y[0] = a, y[1] = b;
      }
      for (; t < row.to; t++) {
        V *y = back + 2 * m.y[t], a = y[0], b = y[1];
        for (I p = 0; p < D; p++) a += m.c[t * D + p] * re[p], b += m.c[t * D + p] * im[p];
        y[0] = a, y[1] = b;
      }
    }
    for (I k = o.products - 1; k >= 0; k--) {
      const Product &p = m.product[o.product + k];
      const S s = sign(p.b);
      const I a = 2 * p.a, b = p.b & ~(I)1, z = 2 * (o.leaves + k);
      V gr = back[z], gi = back[z + 1], im = s * x[b + 1], xr = x[a], xi = x[a + 1];
      back[a] += gr * x[b] + gi * im, back[a + 1] += gi * x[b] - gr * im;
      back[b] += gr * xr + gi * xi, back[b + 1] += s * (gi * xr - gr * xi);
    }
    for (I k = o.single; k < o.single + o.singles; k++)
      for (I p = 0; p < D; p++) sums[m.single[k]] += m.single_c[k * D + p] * slope[p];
    for (I k = 0; k < o.leaves; k++) {
      const Leaf &leaf = m.leaf[o.leaf + k];
      const S *mix = m.mix + leaf.at;
      V *a = sums + leaf.from, re = back[2 * k], im = back[2 * k + 1];
      for (I t = 0; t < leaf.count; t++) a[t] += mix[t] * re;
      if (!leaf.real)
        for (I t = 0; t < leaf.count; t++) a[m.radial + t] += mix[t] * im;
    }
  }

  void push(const Near *n, V (*g)[3]) {
    Edge e[TOGETHER];
    V along[TOGETHER], u[TOGETHER][3] = {};  // ∂E/∂d at a fixed direction, ∂E/∂(the direction)
    for (int q = 0; q < TOGETHER; q++) edge<true>(n[q], e[q]), along[q] = core_slope * e[q].wall_slope;
    each(n->kind[0], [&](I k, I l, I at, I count) {
      const V *a = sums + at, *b = a + m.radial;
      V re[TOGETHER] = {}, im[TOGETHER] = {}, re_slope[TOGETHER] = {}, im_slope[TOGETHER] = {};
      if (k)
        for (I t = 0; t < count; t++) {
          V x = a[t], y = b[t];
          for (int q = 0; q < TOGETHER; q++) {
            V f = e[q].g[t], slope = e[q].slope[t];
            re[q] += x * f, re_slope[q] += x * slope, im[q] += y * f, im_slope[q] += y * slope;
          }
        }
      else
        for (I t = 0; t < count; t++)
          for (int q = 0; q < TOGETHER; q++) re[q] += a[t] * e[q].g[t], re_slope[q] += a[t] * e[q].slope[t];
      for (int q = 0; q < TOGETHER; q++) {
        const V *c = e[q].c, *s = e[q].s, Q = e[q].q[k][l], dQ = e[q].q[k + 1][l];
        if (k) {
          V less = (S)k * Q;
          u[q][0] += less * (re[q] * c[k - 1] + im[q] * s[k - 1]), u[q][1] += less * (im[q] * c[k - 1] - re[q] * s[k - 1]);
        }
        along[q] += Q * (re_slope[q] * c[k] + im_slope[q] * s[k]);
        u[q][2] += dQ * (re[q] * c[k] + im[q] * s[k]);
      }
    });
    for (int q = 0; q < TOGETHER; q++) {
      V radial = e[q].u[0] * u[q][0] + e[q].u[1] * u[q][1] + e[q].u[2] * u[q][2];
      for (int t = 0; t < 3; t++) g[q][t] = along[q] * e[q].u[t] + e[q].one * (u[q][t] - radial * e[q].u[t]);
    }
  }
};
