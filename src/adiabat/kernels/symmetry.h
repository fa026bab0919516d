// Symmetry functions that do not depend on their numbers: a center's edges sorted by species, its pairs of edges in whole vectors.
// RADIAL, WIDTHS, ZETAS and FUNCTIONS are defined above.
enum { BATCH = 1024 };  // pairs worked on together: what is kept of them stays in the first-level cache

struct Symmetry {
  I centers, kinds, threads;
  double cutoff;
  const I *first, *species;
  const S *r, *rt, *g, *eta, *center, *width;
  S *out, *rb;
};

// What compiled code cannot survive, in the order of the messages in symmetry_op.py; 0 if all is well.
static int check(const Symmetry &a, I edges) {
  if (a.first[0] != 0 || a.first[a.centers] != edges) return 1;
  for (I n = 0; n < a.centers; n++)
    if (a.first[n] > a.first[n + 1]) return 1;
  for (I e = 0; e < edges; e++) {
    if (a.species[e] < 0 || a.species[e] >= a.kinds) return 2;
    S d2 = 0;
    for (int x = 0; x < 3; x++) d2 += a.r[3 * e + x] * a.r[3 * e + x];
    if (!(d2 - d2 == 0)) return 3;
    if (!(d2 > 0)) return 4;
  }
  return 0;
}

template <class X> struct Bits { typedef int32_t type; };
template <> struct Bits<double> { typedef int64_t type; };
typedef Bits<S>::type B;
typedef B VI __attribute__((vector_size(ADIABAT_BYTES)));
enum { SINGLE = sizeof(S) == 4, EXP_TERMS = SINGLE ? 7 : 13, COS_TERMS = SINGLE ? 7 : 11 };

static inline V reciprocal_root(V x) {
  for (int k = 0; k < W; k++) x[k] = 1 / std::sqrt(x[k]);
  return x;
}
static inline Dual<V> reciprocal_root(Dual<V> x) {
  V y = reciprocal_root(x.v);
  return {y, (S)-0.5 * x.t * (y * y * y)};
}

// eˣ = 2ⁿ eᶠ for x ≤ 0, |f| ≤ ½ ln 2 and eᶠ by its series; below the smallest normal number it stays there.
static inline V exponential(V x) {
  const S round = SINGLE ? 12582912.0 : 6755399441055744.0;  // 1.5 × 2^23 or 2^52: adding it rounds to an integer
  const S high = SINGLE ? 0.693145751953125 : 0.693147180369123816490, low = SINGLE ? 1.428606765330187e-6 : 1.90821492927058770002e-10;
  const S least = SINGLE ? -87 : -708;
  x = x < least ? V{} + least : x;
  V shifted = x * (S)1.4426950408889634 + round, n = shifted - round, f = (x - n * high) - n * low;
  V p = V{} + 1;
  S over[EXP_TERMS + 1];
  over[0] = 1;
  for (int k = 1; k <= EXP_TERMS; k++) over[k] = (S)(1.0 / k);
#pragma GCC unroll 16
  for (int k = EXP_TERMS; k; k--) p = (S)1 + (f * over[k]) * p;
  VI power = (VI)shifted - (VI)(V{} + round) + (B)(SINGLE ? 127 : 1023);
  return p * (V)(power << (B)(SINGLE ? 23 : 52));
}
static inline Dual<V> exponential(Dual<V> x) {
  V e = exponential(x.v);
  return {e, e * x.t};
}

static inline V where(VI m, V x) { return (V)((VI)x & m); }
static inline Dual<V> where(VI m, Dual<V> x) { return {where(m, x.v), where(m, x.t)}; }
static inline V value(V x) { return x; }
static inline V value(Dual<V> x) { return x.v; }
static inline V plain(V, S x) { return V{} + x; }
static inline Dual<V> plain(Dual<V>, S x) { return {V{} + x, V{}}; }

// f_c = ½ (1 + cos πx) = cos²(πx/2) as a function of s = x²: an entire one, so that no root is drawn; and df_c/ds.
template <class X> static inline void cutoff(X s, X &f, X &slope) {
  S c[COS_TERMS + 1];  // of cos(π√s/2)
  double term = 1;
  for (int k = 0; k <= COS_TERMS; k++) {
    c[k] = (S)term;
    term *= -2.4674011002723396547 / ((2 * k + 1) * (2 * k + 2));
  }
  X y = plain(s, c[COS_TERMS]), z = plain(s, COS_TERMS * c[COS_TERMS]);
#pragma GCC unroll 16
  for (int k = COS_TERMS - 1; k >= 0; k--) y = c[k] + s * y;
#pragma GCC unroll 16
  for (int k = COS_TERMS - 1; k >= 1; k--) z = (S)k * c[k] + s * z;
  VI inside = value(s) < (S)1;
  f = where(inside, y * y);
  slope = where(inside, (S)2 * (y * z));
}

template <int N> struct Power {
  template <class X> static inline X of(X x) {
    X half = Power<N / 2>::of(x);
    return N % 2 ? half * half * x : half * half;
  }
};
template <> struct Power<1> { template <class X> static inline X of(X x) { return x; } };
template <> struct Power<0> { template <class X> static inline X of(X x) { return plain(x, 1); } };

template <class X> static inline void powers(X h, X *p, X *low);  // h^ζ and ζ h^(ζ−1) for every ζ; generated

// Numbers kept between two passes: one array for values, a second one for tangents.
struct Room { S *v, *t; };
static inline V load(Room m, I i, V) { return *(const VU *)(m.v + i); }
static inline Dual<V> load(Room m, I i, Dual<V>) { return {*(const VU *)(m.v + i), *(const VU *)(m.t + i)}; }
static inline void keep(Room m, I i, V x) { *(VU *)(m.v + i) = x; }
static inline void keep(Room m, I i, Dual<V> x) { *(VU *)(m.v + i) = x.v; *(VU *)(m.t + i) = x.t; }
static inline V spread(Room m, I i, V) { return V{} + m.v[i]; }
static inline Dual<V> spread(Room m, I i, Dual<V>) { return {V{} + m.v[i], V{} + m.t[i]}; }
static inline void set(Room m, I i, S v, S t, V) { m.v[i] = v; }
static inline void set(Room m, I i, S v, S t, Dual<V>) { m.v[i] = v; m.t[i] = t; }
static inline void gather(Room m, I i, V x) { m.v[i] += total(x); }
static inline void gather(Room m, I i, Dual<V> x) { m.v[i] += total(x.v); m.t[i] += total(x.t); }

// What a thread keeps of one center. Every array ends in W spare numbers, finite ones.
template <class T> struct Center {
  typedef typename T::v X;
  enum { DUAL = sizeof(X) / sizeof(V), EDGE = 10 + 3 * WIDTHS, PAIR = 2 + WIDTHS };
  std::vector<S> numbers;
  std::vector<I> edge, start;
  I n, size, pairs_size;
  Room at(I row, I length) { S *p = numbers.data() + row * DUAL; return {p, p + length}; }
  // r[3], u[3], 1/d; F_w = f_c(d) exp(−η_w d²) and ∂F_w/∂d; r̄[3], F̄_w
  Room r(int x) { return at(x * size, size); }
  Room u(int x) { return at((3 + x) * size, size); }
  Room over() { return at(6 * size, size); }
  Room rb(int x) { return at((7 + x) * size, size); }
  Room F(int w) { return at((10 + w) * size, size); }
  Room slope(int w) { return at((10 + WIDTHS + w) * size, size); }
  Room Fb(int w) { return at((10 + 2 * WIDTHS + w) * size, size); }
  // of each pair: cos θ, d_jk², F_w(a) F_w(b); on the way back their cotangents
  Room pair(int q) { return at(EDGE * size + q * pairs_size, pairs_size); }

  // The edges below the cutoff, sorted by species; start[s]…start[s + 1] are those of species s.
  void gather_edges(const Symmetry &a, I center) {
    I from = a.first[center], to = a.first[center + 1];
    start.assign(a.kinds + 2, 0);
    S limit = (S)(a.cutoff * a.cutoff);
    auto near = [&](I e) { const S *x = a.r + 3 * e; return x[0] * x[0] + x[1] * x[1] + x[2] * x[2] < limit; };
    n = 0;
    for (I e = from; e < to; e++)
      if (near(e)) start[a.species[e] + 2]++, n++;
    for (I s = 0; s < a.kinds; s++) start[s + 2] += start[s + 1];
    edge.resize(n);
    for (I e = from; e < to; e++)
      if (near(e)) edge[start[a.species[e] + 1]++] = e;
    size = n + 2 * W;
    pairs_size = BATCH + size;
    size_t wanted = (size_t)DUAL * (EDGE * size + PAIR * pairs_size);
    if (numbers.size() < wanted) numbers.resize(wanted);
    for (I k = 0; k < size; k++)
      for (int x = 0; x < 3; x++) {
        I e = k < n ? 3 * edge[k] + x : 0;
        set(r(x), k, k < n ? a.r[e] : (S)1, k < n && DUAL > 1 ? a.rt[e] : (S)0, X{});
      }
  }
};

// Lanes below `count` hold.
static inline VI lanes_below(I count) {
  VI k = {};
  for (int l = 0; l < W; l++) k[l] = l;
  return k < (B)(count < W ? count : W);
}

template <class T> struct Kernel {
  typedef typename T::v X;
  const Symmetry &a;
  Center<T> &c;
  S per;  // 1 / r_c²
  I columns;

  Kernel(const Symmetry &a, Center<T> &c) : a(a), c(c) {
    per = (S)(1 / (a.cutoff * a.cutoff));
    columns = a.kinds * RADIAL + a.kinds * (a.kinds + 1) / 2 * (WIDTHS * ZETAS * 2);
  }
  const S *radial_g(I n, I s) { return a.g + n * columns + s * RADIAL; }
  I channel(I s, I t) { return a.kinds * RADIAL + (t * (t + 1) / 2 + s) * (WIDTHS * ZETAS * 2); }

  // Lengths, directions, the edges' factors of the angular functions; and what radial functions are made of.
  inline void edges(I k, X &d, X &f, X &slope) {
    X r[3], square = X{};
    for (int x = 0; x < 3; x++) r[x] = load(c.r(x), k, X{});
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
    X over = reciprocal_root(square);
    d = square * over;
    cutoff(per * square, f, slope);
    slope = ((S)2 * per) * (slope * d);  // of d
    for (int x = 0; x < 3; x++) keep(c.u(x), k, r[x] * over);
    keep(c.over(), k, over);
    for (int w = 0; w < WIDTHS; w++) {
      X e = exponential((-a.width[w]) * square);
      keep(c.F(w), k, f * e);
      keep(c.slope(w), k, e * (slope - ((S)2 * a.width[w]) * (f * d)));
    }
  }

  // Runs of pairs: one edge a with consecutive edges b of one species. visit(a, from, to, place of the first pair)
  template <class Visit> I runs(I s, I t, I a0, I a1, Visit visit) {
    I at = 0;
    for (I k = a0; k < a1; k++) {
      I from = s == t ? k + 1 : c.start[t], to = c.start[t + 1];
      visit(k, from, to, at);
      at += to - from;
    }
    return at;
  }
  // Batches of whole runs
  template <class Batch> void batches(I s, I t, Batch batch) {
    I end = c.start[s + 1];
    for (I a0 = c.start[s]; a0 < end;) {
      I a1 = a0, pairs = 0;
      while (a1 < end) {
        I more = c.start[t + 1] - (s == t ? a1 + 1 : c.start[t]);
        if (pairs && pairs + more > BATCH) break;
        pairs += more;
        a1++;
      }
      if (pairs) batch(a0, a1);
      a0 = a1;
    }
  }

  I pairs(I s, I t, I a0, I a1) {
    I count = runs(s, t, a0, a1, [&](I k, I from, I to, I at) {
      X r[3], u[3], F[WIDTHS + 1];
      for (int x = 0; x < 3; x++) r[x] = spread(c.r(x), k, X{}), u[x] = spread(c.u(x), k, X{});
      for (int w = 0; w < WIDTHS; w++) F[w] = spread(c.F(w), k, X{});
      for (I b = from; b < to; b += W, at += W) {
        X cosine = X{}, square = X{};
        for (int x = 0; x < 3; x++) {
          X far = load(c.r(x), b, X{}) - r[x];
          square += far * far;
          cosine += u[x] * load(c.u(x), b, X{});
        }
        keep(c.pair(0), at, cosine);
        keep(c.pair(1), at, square);
        for (int w = 0; w < WIDTHS; w++) keep(c.pair(2 + w), at, F[w] * load(c.F(w), b, X{}));
      }
    });
    for (int q = 0; q < 2 + WIDTHS; q++) keep(c.pair(q), count, X{});  // what follows the last pair adds nothing
    return count;
  }

  void forward(I n) {
    c.gather_edges(a, n);
    S *out = a.out + n * columns;
    for (I s = 0; s < a.kinds; s++) {
      X sums[RADIAL + 1] = {};
      for (I k = c.start[s]; k < c.start[s + 1]; k += W) {
        X d, f, slope;
        edges(k, d, f, slope);
        f = where(lanes_below(c.start[s + 1] - k), f);
        for (int q = 0; q < RADIAL; q++) {
          X x = (-a.center[q]) + d;
          sums[q] += f * exponential((-a.eta[q]) * (x * x));
        }
      }
      for (int q = 0; q < RADIAL; q++) out[s * RADIAL + q] = T::sum(sums[q]);
    }
    spare();
    if (WIDTHS * ZETAS == 0) return;
    for (I t = 0; t < a.kinds; t++)
      for (I s = 0; s <= t; s++) {
        X sums[WIDTHS + 1][2][ZETAS + 1] = {};
        batches(s, t, [&](I a0, I a1) {
          I count = pairs(s, t, a0, a1);
          for (I p = 0; p < count; p += W) {
            X cosine = load(c.pair(0), p, X{}), square = load(c.pair(1), p, X{}), f, slope, h[2][ZETAS + 1], low[ZETAS + 1];
            cutoff(per * square, f, slope);
            powers((S)0.5 + (S)-0.5 * cosine, h[0], low);
            powers((S)0.5 + (S)0.5 * cosine, h[1], low);
            for (int w = 0; w < WIDTHS; w++) {
              X x = (S)2 * (f * load(c.pair(2 + w), p, X{})) * exponential((-a.width[w]) * square);
              for (int sign = 0; sign < 2; sign++)
                for (int z = 0; z < ZETAS; z++) sums[w][sign][z] += x * h[sign][z];
            }
          }
        });
        S *to = out + channel(s, t);
        for (int w = 0; w < WIDTHS; w++)
          for (int z = 0; z < ZETAS; z++)
            for (int sign = 0; sign < 2; sign++) *to++ = T::sum(sums[w][sign][z]);
      }
  }

  void spare() {  // what lies behind the last edge is read, never used
    for (int x = 0; x < 3; x++) keep(c.u(x), c.n, X{});
    for (int w = 0; w < WIDTHS; w++) keep(c.F(w), c.n, X{});
    keep(c.over(), c.n, X{});
  }

  void backward(I n) {
    c.gather_edges(a, n);
    for (I k = 0; k < c.size - W + 1; k += W) {
      for (int x = 0; x < 3; x++) keep(c.rb(x), k, X{});
      for (int w = 0; w < WIDTHS; w++) keep(c.Fb(w), k, X{});
    }
    for (I s = 0; s < a.kinds; s++) {
      const S *g = radial_g(n, s);
      for (I k = c.start[s]; k < c.start[s + 1]; k += W) {
        X d, f, slope, along = X{};
        edges(k, d, f, slope);
        for (int q = 0; q < RADIAL; q++) {
          if (g[q] == 0) continue;
          X x = (-a.center[q]) + d;
          along += g[q] * (exponential((-a.eta[q]) * (x * x)) * (slope - ((S)2 * a.eta[q]) * (f * x)));
        }
        along = where(lanes_below(c.start[s + 1] - k), along);
        for (int x = 0; x < 3; x++) keep(c.rb(x), k, load(c.rb(x), k, X{}) + along * load(c.u(x), k, X{}));
      }
    }
    spare();
    if (WIDTHS * ZETAS) {
      for (I t = 0; t < a.kinds; t++)
        for (I s = 0; s <= t; s++) {
          const S *g = a.g + n * columns + channel(s, t);
          bool silent = true;
          for (int q = 0; q < WIDTHS * ZETAS * 2; q++) silent = silent && g[q] == 0;
          if (!silent) batches(s, t, [&](I a0, I a1) { angular(s, t, a0, a1, g); });
        }
      for (I k = 0; k < c.n; k += W) {
        X along = X{};
        for (int w = 0; w < WIDTHS; w++) along += load(c.Fb(w), k, X{}) * load(c.slope(w), k, X{});
        for (int x = 0; x < 3; x++) keep(c.rb(x), k, load(c.rb(x), k, X{}) + along * load(c.u(x), k, X{}));
      }
    }
    for (I k = 0; k < c.n; k++)
      for (int x = 0; x < 3; x++) a.rb[3 * c.edge[k] + x] = sizeof(X) > sizeof(V) ? c.rb(x).t[k] : c.rb(x).v[k];
  }

  void angular(I s, I t, I a0, I a1, const S *g) {
    I count = pairs(s, t, a0, a1);
    for (I p = 0; p < count; p += W) {
      X cosine = load(c.pair(0), p, X{}), square = load(c.pair(1), p, X{}), f, slope, cb = X{}, qb = X{};
      X h[2][ZETAS + 1], low[2][ZETAS + 1];
      cutoff(per * square, f, slope);
      slope = per * slope;
      powers((S)0.5 + (S)-0.5 * cosine, h[0], low[0]);
      powers((S)0.5 + (S)0.5 * cosine, h[1], low[1]);
      for (int w = 0; w < WIDTHS; w++) {
        X sum = X{}, turn = X{};
        for (int z = 0; z < ZETAS; z++) {
          S minus = g[(w * ZETAS + z) * 2], plus = g[(w * ZETAS + z) * 2 + 1];
          sum += minus * h[0][z] + plus * h[1][z];
          turn += plus * low[1][z] - minus * low[0][z];
        }
        X e = (S)2 * exponential((-a.width[w]) * square), F = e * load(c.pair(2 + w), p, X{});
        cb += (F * f) * ((S)0.5 * turn);
        qb += (F * sum) * (slope - a.width[w] * f);
        keep(c.pair(2 + w), p, (e * f) * sum);
      }
      keep(c.pair(0), p, cb);
      keep(c.pair(1), p, (S)2 * qb);
    }
    runs(s, t, a0, a1, [&](I k, I from, I to, I at) {
      X r[3], u[3], rb[3] = {}, F[WIDTHS + 1], Fb[WIDTHS + 1] = {}, over = spread(c.over(), k, X{});
      for (int x = 0; x < 3; x++) r[x] = spread(c.r(x), k, X{}), u[x] = spread(c.u(x), k, X{});
      for (int w = 0; w < WIDTHS; w++) F[w] = spread(c.F(w), k, X{});
      for (I b = from; b < to; b += W, at += W) {
        VI mine = lanes_below(to - b);
        X cb = where(mine, load(c.pair(0), at, X{})), qb = where(mine, load(c.pair(1), at, X{})), ub[3], cosine = X{};
        for (int x = 0; x < 3; x++) ub[x] = load(c.u(x), b, X{}), cosine += u[x] * ub[x];
        X ca = cb * over, cbb = cb * load(c.over(), b, X{});
        for (int x = 0; x < 3; x++) {
          X pull = qb * (r[x] - load(c.r(x), b, X{}));
          rb[x] += ca * (ub[x] - cosine * u[x]) + pull;
          keep(c.rb(x), b, load(c.rb(x), b, X{}) + (cbb * (u[x] - cosine * ub[x]) - pull));
        }
        for (int w = 0; w < WIDTHS; w++) {
          X P = where(mine, load(c.pair(2 + w), at, X{}));
          Fb[w] += P * load(c.F(w), b, X{});
          keep(c.Fb(w), b, load(c.Fb(w), b, X{}) + P * F[w]);
        }
      }
      for (int x = 0; x < 3; x++) gather(c.rb(x), k, rb[x]);
      for (int w = 0; w < WIDTHS; w++) gather(c.Fb(w), k, Fb[w]);
    });
  }
};

template <class T> static void forward(const Symmetry &a) {
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) kernel.forward(n);
  }
}

// An edge's gradient belongs to its own center: nobody else writes it. Edges beyond the cutoff keep the zeros they came with.
template <class T> static void backward(const Symmetry &a) {
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) kernel.backward(n);
  }
}
