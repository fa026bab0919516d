// The atomic environment vector of ANI: radial functions by species, angular ones by pair of species of the neighbors within a
// second, shorter cutoff. RADIAL, SHIFTS, SECTIONS, ZETA (0: not a whole number), SMOOTH and FUNCTIONS are defined above.
// eta: η, angular η, ζ, R_ca; center: R_s; width: angular R_s, cos θ_s, sin θ_s.
#include "angles.h"

// What a thread keeps of one center. Every array ends in W spare numbers, finite ones.
template <class T> struct Center {
  typedef typename T::v X;
  enum { DUAL = sizeof(X) / sizeof(V), EDGE = 15, PAIR = 3 };
  std::vector<S> numbers;
  std::vector<I> edge, start;
  I n, size, pairs_size;
  Room at(I row, I length) { S *p = numbers.data() + row * DUAL; return {p, p + length}; }
  // r[3], u[3], 1/d, d; F = f_c(d) within the shorter cutoff and ∂F/∂d; r̄[3] across, F̄, d̄
  Room r(int x) { return at(x * size, size); }
  Room u(int x) { return at((3 + x) * size, size); }
  Room over() { return at(6 * size, size); }
  Room d() { return at(7 * size, size); }
  Room F() { return at(8 * size, size); }
  Room slope() { return at(9 * size, size); }
  Room rb(int x) { return at((10 + x) * size, size); }
  Room Fb() { return at(13 * size, size); }
  Room db() { return at(14 * size, size); }
  // of each pair: cos θ, ½ (d_j + d_k), F_j F_k; on the way back their cotangents
  Room pair(int q) { return at(EDGE * size + q * pairs_size, pairs_size); }
  Span all(I s) { return {start[2 * s], start[2 * s + 2]}; }
  Span near(I s) { return {start[2 * s], start[2 * s + 1]}; }

  // The edges below the longer cutoff, sorted by species, of each species the near ones first.
  void gather_edges(const Symmetry &a, I center) {
    I from = a.first[center], to = a.first[center + 1];
    start.assign(2 * a.kinds + 2, 0);
    S limit = (S)(a.cutoff * a.cutoff), shorter = a.eta[3] * a.eta[3];
    auto place = [&](I e) -> I {  // −1: beyond
      const S *x = a.r + 3 * e;
      S d2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
      return d2 < limit ? 2 * a.species[e] + (d2 >= shorter) : -1;
    };
    n = 0;
    for (I e = from; e < to; e++)
      if (I p = place(e); p >= 0) start[p + 2]++, n++;
    for (I p = 0; p < 2 * a.kinds; p++) start[p + 2] += start[p + 1];
    edge.resize(n);
    for (I e = from; e < to; e++)
      if (I p = place(e); p >= 0) edge[start[p + 1]++] = e;
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
  S per, per_near, eta, angular_eta, zeta;  // per: 1 / r_c²
  I columns;

  Kernel(const Symmetry &a, Center<T> &c) : a(a), c(c) {
    per = (S)(1 / (a.cutoff * a.cutoff)), per_near = 1 / (a.eta[3] * a.eta[3]);
    eta = a.eta[0], angular_eta = a.eta[1], zeta = a.eta[2];
    columns = a.kinds * RADIAL + a.kinds * (a.kinds + 1) / 2 * (SHIFTS * SECTIONS);
  }
  I channel(I s, I t) { return a.kinds * RADIAL + (t * (t + 1) / 2 + s) * (SHIFTS * SECTIONS); }

  // Lengths, directions, the edges' factors of the angular functions; and what radial functions are made of.
  inline void edges(I k, X &d, X &f, X &slope) {
    X r[3], square = X{};
    for (int x = 0; x < 3; x++) r[x] = load(c.r(x), k, X{});
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
    X over = reciprocal_root(square);
    d = square * over;
    fade(per_near * square, f, slope);
    keep(c.F(), k, f);
    keep(c.slope(), k, ((S)2 * per_near) * (slope * d));  // of d
    fade(per * square, f, slope);
    slope = ((S)2 * per) * (slope * d);
    for (int x = 0; x < 3; x++) keep(c.u(x), k, r[x] * over);
    keep(c.over(), k, over);
    keep(c.d(), k, d);
  }
  void spare() {  // what lies behind the last edge is read, never used
    for (int x = 0; x < 3; x++) keep(c.u(x), c.n, X{});
    keep(c.over(), c.n, X{});
    keep(c.d(), c.n, X{});
    keep(c.F(), c.n, X{});
  }

  I pairs(I s, I t, I a0, I a1) {
    I count = runs(s == t, c.near(t), a0, a1, [&](I k, I from, I to, I at) {
      X u[3], d = spread(c.d(), k, X{}), F = spread(c.F(), k, X{});
      for (int x = 0; x < 3; x++) u[x] = spread(c.u(x), k, X{});
      for (I b = from; b < to; b += W, at += W) {
        X cosine = X{};
        for (int x = 0; x < 3; x++) cosine += u[x] * load(c.u(x), b, X{});
        keep(c.pair(0), at, cosine);
        keep(c.pair(1), at, (S)0.5 * (d + load(c.d(), b, X{})));
        keep(c.pair(2), at, F * load(c.F(), b, X{}));
      }
    });
    for (int q = 0; q < 3; q++) keep(c.pair(q), count, X{});  // what follows the last pair adds nothing
    return count;
  }

  inline void sections(X cosine, X *p, X *turn) { ::sections(a.width + SHIFTS, zeta, cosine, p, turn); }
  inline void shells(X d, X *e, X *slope) {
    for (int q = 0; q < SHIFTS; q++) {
      X x = (-a.width[q]) + d;
      e[q] = exponential((-angular_eta) * (x * x));
      slope[q] = ((S)-2 * angular_eta) * (x * e[q]);
    }
  }

  void forward(I n) {
    c.gather_edges(a, n);
    S *out = a.out + n * columns;
    for (I s = 0; s < a.kinds; s++) {
      X sums[RADIAL + 1] = {};
      Span all = c.all(s);
      for (I k = all.from; k < all.to; k += W) {
        X d, f, slope;
        edges(k, d, f, slope);
        f = where(lanes_below(all.to - k), (S)0.25 * f);
        for (int q = 0; q < RADIAL; q++) {
          X x = (-a.center[q]) + d;
          sums[q] += f * exponential((-eta) * (x * x));
        }
      }
      for (int q = 0; q < RADIAL; q++) out[s * RADIAL + q] = T::sum(sums[q]);
    }
    spare();
    if (SHIFTS * SECTIONS == 0) return;
    for (I t = 0; t < a.kinds; t++)
      for (I s = 0; s <= t; s++) {
        X sums[SHIFTS + 1][SECTIONS + 1] = {};
        bool any = false;
        batches(s == t, c.near(s), c.near(t), [&](I a0, I a1) {
          I count = pairs(s, t, a0, a1);
          any = true;
          for (I p = 0; p < count; p += W) {
            X part[SECTIONS + 1], turn[SECTIONS + 1], e[SHIFTS + 1], slope[SHIFTS + 1], x = (S)2 * load(c.pair(2), p, X{});
            sections(load(c.pair(0), p, X{}), part, turn);
            shells(load(c.pair(1), p, X{}), e, slope);
            for (int q = 0; q < SHIFTS; q++) {
              X y = x * e[q];
              for (int z = 0; z < SECTIONS; z++) sums[q][z] += y * part[z];
            }
          }
        });
        S *to = out + channel(s, t);
        for (int q = 0; q < SHIFTS; q++)
          for (int z = 0; z < SECTIONS; z++) *to++ = any ? T::sum(sums[q][z]) : 0;
      }
  }

  void backward(I n) {
    c.gather_edges(a, n);
    for (I k = 0; k < c.size - W + 1; k += W) {
      for (int x = 0; x < 3; x++) keep(c.rb(x), k, X{});
      keep(c.Fb(), k, X{});
      keep(c.db(), k, X{});
    }
    for (I s = 0; s < a.kinds; s++) {
      const S *g = a.g + n * columns + s * RADIAL;
      Span all = c.all(s);
      for (I k = all.from; k < all.to; k += W) {
        X d, f, slope, along = X{};
        edges(k, d, f, slope);
        for (int q = 0; q < RADIAL; q++) {
          if (g[q] == 0) continue;
          X x = (-a.center[q]) + d;
          along += ((S)0.25 * g[q]) * (exponential((-eta) * (x * x)) * (slope - ((S)2 * eta) * (f * x)));
        }
        keep(c.db(), k, load(c.db(), k, X{}) + where(lanes_below(all.to - k), along));
      }
    }
    spare();
    if (SHIFTS * SECTIONS)
      for (I t = 0; t < a.kinds; t++)
        for (I s = 0; s <= t; s++) {
          const S *g = a.g + n * columns + channel(s, t);
          bool silent = true;
          for (int q = 0; q < SHIFTS * SECTIONS; q++) silent = silent && g[q] == 0;
          if (!silent) batches(s == t, c.near(s), c.near(t), [&](I a0, I a1) { angular(s, t, a0, a1, g); });
        }
    for (I k = 0; k < c.n; k += W) {
      X along = load(c.db(), k, X{}) + load(c.Fb(), k, X{}) * load(c.slope(), k, X{});
      for (int x = 0; x < 3; x++) keep(c.rb(x), k, load(c.rb(x), k, X{}) + along * load(c.u(x), k, X{}));
    }
    for (I k = 0; k < c.n; k++)
      for (int x = 0; x < 3; x++) a.rb[3 * c.edge[k] + x] = sizeof(X) > sizeof(V) ? c.rb(x).t[k] : c.rb(x).v[k];
  }

  void angular(I s, I t, I a0, I a1, const S *g) {
    I count = pairs(s, t, a0, a1);
    for (I p = 0; p < count; p += W) {
      X part[SECTIONS + 1], turn[SECTIONS + 1], e[SHIFTS + 1], slope[SHIFTS + 1];
      X sum = X{}, by_cosine = X{}, by_length = X{}, F = (S)2 * load(c.pair(2), p, X{});
      sections(load(c.pair(0), p, X{}), part, turn);
      shells(load(c.pair(1), p, X{}), e, slope);
      for (int q = 0; q < SHIFTS; q++) {
        X along = X{}, across = X{};
        for (int z = 0; z < SECTIONS; z++) {
          along += g[q * SECTIONS + z] * part[z];
          across += g[q * SECTIONS + z] * turn[z];
        }
        sum += e[q] * along;
        by_length += slope[q] * along;
        by_cosine += e[q] * across;
      }
      keep(c.pair(0), p, F * by_cosine);
      keep(c.pair(1), p, (S)0.5 * (F * by_length));
      keep(c.pair(2), p, (S)2 * sum);
    }
    runs(s == t, c.near(t), a0, a1, [&](I k, I from, I to, I at) {
      X u[3], rb[3] = {}, Fb = X{}, db = X{}, over = spread(c.over(), k, X{}), F = spread(c.F(), k, X{});
      for (int x = 0; x < 3; x++) u[x] = spread(c.u(x), k, X{});
      for (I b = from; b < to; b += W, at += W) {
        VI mine = lanes_below(to - b);
        X cb = where(mine, load(c.pair(0), at, X{})), lb = where(mine, load(c.pair(1), at, X{}));
        X P = where(mine, load(c.pair(2), at, X{})), ub[3], cosine = X{};
        for (int x = 0; x < 3; x++) ub[x] = load(c.u(x), b, X{}), cosine += u[x] * ub[x];
        X ca = cb * over, cbb = cb * load(c.over(), b, X{});
        for (int x = 0; x < 3; x++) {
          rb[x] += ca * (ub[x] - cosine * u[x]);
          keep(c.rb(x), b, load(c.rb(x), b, X{}) + cbb * (u[x] - cosine * ub[x]));
        }
        db += lb;
        Fb += P * load(c.F(), b, X{});
        keep(c.db(), b, load(c.db(), b, X{}) + lb);
        keep(c.Fb(), b, load(c.Fb(), b, X{}) + P * F);
      }
      for (int x = 0; x < 3; x++) gather(c.rb(x), k, rb[x]);
      gather(c.Fb(), k, Fb);
      gather(c.db(), k, db);
    });
  }
};

#include "centers.h"
