// Bispectrum of the neighbors' density on the 3-sphere, by adjoints: E is a cubic form of the sums u_j, whose slope Y = ∂E/∂u is worked
// out once an atom; each neighbor then takes Re(conj(Y) ∂u/∂r), by the recursion of its matrices walked backward. All j are doubled.
// Of a matrix [j + 1, j + 1] rows m ≤ j/2 are kept, since u[j − m, j − k] = (−1)^{m+k} conj(u[m, k]); below an odd j the next row, too.
struct Pair {  // of matrices p ≥ q, with all t that they couple to, the largest first
  I p, q, largest, count, first;  // first: its place among the coupled triples
  const S *c;                     // [p + 1, q + 1, count]
};

struct Facts : Common {
  I J, triples, components, pairs, quadratic;
  double angle;             // of 2π d/R: rfac0 / 2
  const double *weight;     // [kinds]
  const S *roots;           // for each number of half a matrix: √((j−k)/(j−m)), √(k/(j−m))
  const Pair *pair;
  const I *component;       // [triples], of B
  const S *times;           // [triples], how much of B's coefficient is Y's
  const S *linear;          // [kinds, components]
  const S *square;          // [kinds, components, components], symmetric
  const S *lone;            // [components]
};

enum { TERMS = sizeof(S) == 4 ? 7 : 11, MOST_PARTS = 17 };

// cos φ and sin φ / φ by s = φ², φ ≤ π/2
static inline void cosine(V s, V &cos, V &sin) {
  S c[TERMS + 1], o[TERMS + 1];
  double a = 1, b = 1;
  for (int k = 0; k <= TERMS; k++) {
    c[k] = (S)a, o[k] = (S)b;
    a *= -1.0 / ((2 * k + 1) * (2 * k + 2)), b *= -1.0 / ((2 * k + 2) * (2 * k + 3));
  }
  cos = V{} + c[TERMS], sin = V{} + o[TERMS];
#pragma GCC unroll 16
  for (int k = TERMS - 1; k >= 0; k--) cos = c[k] + s * cos, sin = o[k] + s * sin;
}

struct Family {
  const Facts &m;
  V *sum, *Y, *u, *back, *full, *coefficient, *B;  // complex numbers are two vectors
  I kind = 0;

  static I rows(I J, I j) { return j / 2 + 1 + (j % 2 && j < J); }
  static I half(I J) {
    I n = 0;
    for (I j = 0; j <= J; j++) n += rows(J, j) * (j + 1);
    return n;
  }
  static I whole(I J) {
    I n = 0;
    for (I j = 0; j <= J; j++) n += (j + 1) * (j + 1);
    return n;
  }
  static size_t numbers(const Facts &m) { return W * (8 * half(m.J) + 2 * whole(m.J) + m.triples + 2 * m.components); }

  Family(const Facts &m, S *room) : m(m) {
    I n = 2 * half(m.J);
    sum = (V *)room, Y = sum + n, u = Y + n, back = u + n, full = back + n;
    coefficient = full + 2 * whole(m.J), B = coefficient + m.triples;
  }

  void begin(I k) {
    kind = k;
    V *to = sum;
    for (I j = 0; j <= m.J; j++)
      for (I row = 0; row < rows(m.J, j); row++)
        for (I k = 0; k <= j; k++, to += 2) to[0] = V{} + (S)(row == k), to[1] = V{};
  }

  // Cayley–Klein parameters of the rotation by 2θ₀ about r, and the weight of a neighbor, with their slopes in d.
  struct Edge {
    V a, za, b, cos, sin, theta, f, down;  // a = (a, −za z), b = za (y, −x); theta = dθ₀/dd
  };
  Edge edge(const Near &n) const {
    V R, w;
    for (int t = 0; t < W; t++) R[t] = (S)m.reach[kind * m.kinds + n.kind[t]], w[t] = (S)m.weight[n.kind[t]];
    V x = n.d / R, phi = (S)(M_PI * m.angle) * x, c, s, pc, ps;
    cosine(phi * phi, c, s);
    s = s * phi;
    V p = (S)(M_PI / 2) * x;
    cosine(p * p, pc, ps);
    Edge e;
    e.cos = (S)1 - (S)2 * s * s, e.sin = (S)2 * s * c;
    e.theta = (S)(2 * M_PI * m.angle) / R;
    e.a = e.cos, e.za = e.sin / n.d;
    w = w * n.on;
    e.f = w * pc * pc;
    e.down = w * (S)(-M_PI) / R * (p * ps * pc);
    return e;
  }

  // The matrices of one neighbor.
  void matrices(const Near &n, const Edge &e) {
    const V ar = e.a, ai = -e.za * n.r[2], br = e.za * n.r[1], bi = -e.za * n.r[0];
    V *to = u;
    const S *root = m.roots + 2;
    to[0] = V{} + (S)1, to[1] = V{};
    const V *before = u;
    to += 2;
    for (I j = 1; j <= m.J; j++) {
      V *begun = to;
      for (I row = 0; row <= j / 2; row++, before += 2 * j) {
        V lr = V{}, li = V{};
        for (I k = 0; k < j; k++, to += 2, root += 2) {
          V pr = before[2 * k], pi = before[2 * k + 1];
          // conj(a) p[k] − conj(b) p[k − 1]
          V nr = root[0] * (ar * pr + ai * pi), ni = root[0] * (ar * pi - ai * pr);
          to[0] = nr - root[1] * lr, to[1] = ni - root[1] * li;
          lr = br * pr + bi * pi, li = br * pi - bi * pr;
        }
        to[0] = -root[1] * lr, to[1] = -root[1] * li;
        to += 2, root += 2;
      }
      if (j % 2 && j < m.J) {
        const V *from = begun + 2 * (j / 2) * (j + 1);
        for (I k = 0; k <= j; k++, to += 2, root += 2) {
          S sign = (j / 2 + j - k) % 2 ? -1 : 1;
          to[0] = sign * from[2 * (j - k)], to[1] = -sign * from[2 * (j - k) + 1];
        }
      }
      before = begun;
    }
  }

  void gather(const Near &n) {
    Edge e = edge(n);
    matrices(n, e);
    for (I k = 0, all = 2 * half(m.J); k < all; k++) sum[k] += e.f * u[k];
  }

  void expand() {
    const V *from = sum;
    V *to = full;
    for (I j = 0; j <= m.J; j++) {
      for (I row = 0; row <= j; row++)
        for (I k = 0; k <= j; k++, to += 2) {
          bool other = 2 * row > j;
          const V *it = from + 2 * ((other ? j - row : row) * (j + 1) + (other ? j - k : k));
          S sign = other && (row + k) % 2 ? -1 : 1;
          to[0] = sign * it[0], to[1] = other ? -sign * it[1] : it[1];
        }
      from += 2 * rows(m.J, j) * (j + 1);
    }
  }

  I begin_full(I j) const { return whole(j - 1); }
  I begin_half(I j) const {
    I n = 0;
    for (I i = 0; i < j; i++) n += rows(m.J, i) * (i + 1);
    return n;
  }

  // Row m of (u_p ⊗ u_q)_t for the N largest t, from rows m1 and m2: added to Y, each with its coefficient, or to B.
  template <int N, bool TO_B> void couple(const Pair &x, I m1, I m2, const I *at_full, const I *at_half) {
    const I p = x.p, q = x.q;
    const V *a = full + 2 * (at_full[p] + m1 * (p + 1)), *b = full + 2 * (at_full[q] + m2 * (q + 1));
    const S *own = x.c + (m1 * (q + 1) + m2) * x.count;
    V share[N];
    V *to[N];
    const V *of[N];
    I shift[N];
    for (int t = 0; t < N; t++) {
      I T = x.largest - 2 * t, row = m1 + m2 - (p + q - T) / 2;
      shift[t] = (p + q - T) / 2;
      share[t] = own[t] * (TO_B ? V{} + (S)(2 * row < T ? 2 : 1) : coefficient[x.first + t]);
      to[t] = Y + 2 * (at_half[T] + row * (T + 1) - shift[t]);
      of[t] = full + 2 * (at_full[T] + row * (T + 1) - shift[t]);
    }
    V found[N];
    if (TO_B)
      for (int t = 0; t < N; t++) found[t] = V{};
    for (I s = 0; s <= p + q; s++) {
      V re[N], im[N];
      for (int t = 0; t < N; t++) re[t] = im[t] = V{};
      for (I k = std::max((I)0, s - q); k <= std::min(p, s); k++) {
        V ar = a[2 * k], ai = a[2 * k + 1], br = b[2 * (s - k)], bi = b[2 * (s - k) + 1];
        V pr = ar * br - ai * bi, pi = ar * bi + ai * br;
        const S *c = x.c + (k * (q + 1) + s - k) * x.count;
        for (int t = 0; t < N; t++) re[t] += c[t] * pr, im[t] += c[t] * pi;
      }
      for (int t = 0; t < N; t++)
        if (s >= shift[t] && s - shift[t] <= x.largest - 2 * t) {
          if (TO_B) found[t] += of[t][2 * s] * re[t] + of[t][2 * s + 1] * im[t];
          else to[t][2 * s] += share[t] * re[t], to[t][2 * s + 1] += share[t] * im[t];
        }
    }
    if (TO_B)
      for (int t = 0; t < N; t++)
        if (x.largest - 2 * t >= p) B[m.component[x.first + t]] += share[t] * found[t];
  }

  template <bool TO_B> void all(const I *at_full, const I *at_half) {
    for (I k = 0; k < m.pairs; k++) {
      const Pair &x = m.pair[k];
      for (I m1 = 0; m1 <= x.p; m1++)
        for (I m2 = 0; m2 <= x.q && 2 * (m1 + m2) <= x.p + x.q; m2++) {
          // row = m1 + m2 − (p + q − t)/2 ≥ 0: from some t on
          I n = std::min(x.count, (x.largest - (x.p + x.q - 2 * (m1 + m2))) / 2 + 1);
          switch (n) {  // more than nine do not occur up to J = 16
#define CASE(N) case N: couple<N, TO_B>(x, m1, m2, at_full, at_half); break;
            CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#undef CASE
          }
        }
    }
  }

  void node(double *e) {
    expand();
    I at_full[MOST_PARTS], at_half[MOST_PARTS], all_half = 2 * half(m.J);
    for (I j = 0; j <= m.J; j++) at_full[j] = begin_full(j), at_half[j] = begin_half(j);
    const S *linear = m.linear + kind * m.components;
    V energy = V{};
    if (m.quadratic) {
      V *slope = B + m.components;
      for (I k = 0; k < m.components; k++) B[k] = V{};
      all<true>(at_full, at_half);
      for (I k = 0; k < m.components; k++) B[k] -= m.lone[k];
      for (I k = 0; k < m.components; k++) {
        const S *row = m.square + (kind * m.components + k) * m.components;
        V other = V{};
        for (I l = 0; l < m.components; l++) other += row[l] * B[l];
        energy += B[k] * (linear[k] + (S)0.5 * other);
        slope[k] = linear[k] + other;
      }
      for (I k = 0; k < m.triples; k++) coefficient[k] = m.times[k] * slope[m.component[k]];
    } else {
      for (I k = 0; k < m.triples; k++) coefficient[k] = V{} + m.times[k] * linear[m.component[k]];
    }
    for (I k = 0; k < all_half; k++) Y[k] = V{};
    all<false>(at_full, at_half);
    V *to = Y;
    const V *from = sum;
    V cubic = V{};
    for (I j = 0; j <= m.J; j++)
      for (I row = 0; row < rows(m.J, j); row++)
        for (I k = 0; k <= j; k++, to += 2, from += 2) {
          if (2 * row < j) to[0] = (S)2 * to[0], to[1] = (S)2 * to[1];
          cubic += to[0] * from[0] + to[1] * from[1];
        }
    if (!m.quadratic) {  // Euler: a cubic form is a third of its slope times u
      S lone = 0;
      for (I k = 0; k < m.components; k++) lone += linear[k] * m.lone[k];
      energy = cubic / (S)3 - lone;
    }
    for (int t = 0; t < W; t++) e[t] = energy[t];
  }

  void push(const Near &n, V *g) {
    Edge e = edge(n);
    matrices(n, e);
    const I all = 2 * half(m.J);
    V value = V{}, ar = V{}, ai = V{}, br = V{}, bi = V{};  // Σ Re(conj(Y) u), and cotangents of a and b
    for (I k = 0; k < all; k++) value += Y[k] * u[k], back[k] = Y[k];
    const V a_r = e.a, a_i = -e.za * n.r[2], b_r = e.za * n.r[1], b_i = -e.za * n.r[0];
    const S *root = m.roots + all;
    const V *before = u + all;
    V *cot = back + all, *down = cot;
    for (I j = m.J; j >= 1; j--) {
      I size = rows(m.J, j) * (j + 1);
      cot -= 2 * size, before -= 2 * size, root -= 2 * size;
      if (j % 2 && j < m.J) {
        const V *from = cot + 2 * (j / 2 + 1) * (j + 1);
        V *to = cot + 2 * (j / 2) * (j + 1);
        for (I k = 0; k <= j; k++) {
          S sign = (j / 2 + j - k) % 2 ? -1 : 1;
          to[2 * (j - k)] += sign * from[2 * k], to[2 * (j - k) + 1] -= sign * from[2 * k + 1];
        }
      }
      I under = 2 * rows(m.J, j - 1) * j;
      const V *p = before - under, *v = cot;
      const S *c = root;
      down = cot - under;
      for (I row = 0; row <= j / 2; row++, p += 2 * j, down += 2 * j, v += 2 * (j + 1), c += 2 * (j + 1))
        for (I k = 0; k < j; k++) {
          V pr = p[2 * k], pi = p[2 * k + 1];
          V vr = c[2 * k] * v[2 * k], vi = c[2 * k] * v[2 * k + 1];              // of conj(a) p[k]
          V wr = -c[2 * k + 3] * v[2 * k + 2], wi = -c[2 * k + 3] * v[2 * k + 3];  // of conj(b) p[k]
          ar += vr * pr + vi * pi, ai += vr * pi - vi * pr;
          br += wr * pr + wi * pi, bi += wr * pi - wi * pr;
          down[2 * k] += a_r * vr - a_i * vi + b_r * wr - b_i * wi;
          down[2 * k + 1] += a_r * vi + a_i * vr + b_r * wi + b_i * wr;
        }
    }
    // a = cos θ − i s z, b = s (y − i x), s = sin θ / d
    V s = e.za, one = (S)1 / n.d, slope = (e.cos * e.theta - s) * one;  // ds/dd
    V along = e.f * (-ar * e.sin * e.theta + slope * (n.r[1] * br - n.r[2] * ai - n.r[0] * bi)) + e.down * value;
    V fs = e.f * s;
    g[0] = along * n.r[0] * one - fs * bi;
    g[1] = along * n.r[1] * one + fs * br;
    g[2] = along * n.r[2] * one - fs * ai;
  }
};
