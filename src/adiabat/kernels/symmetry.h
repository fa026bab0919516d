// Symmetry functions that do not depend on their numbers: a center's edges sorted by species, its pairs of edges in whole vectors.
// RADIAL, WIDTHS, ZETAS and FUNCTIONS are defined above.
#include "vectors.h"

template <class X> static inline void powers(X h, X *p, X *low);  // h^ζ and ζ h^(ζ−1) for every ζ; generated

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

  Span span(I s) { return {c.start[s], c.start[s + 1]}; }

  I pairs(I s, I t, I a0, I a1) {
    I count = runs(s == t, span(t), a0, a1, [&](I k, I from, I to, I at) {
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
        batches(s == t, span(s), span(t), [&](I a0, I a1) {
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
          if (!silent) batches(s == t, span(s), span(t), [&](I a0, I a1) { angular(s, t, a0, a1, g); });
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
    runs(s == t, span(t), a0, a1, [&](I k, I from, I to, I at) {
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

#include "centers.h"
