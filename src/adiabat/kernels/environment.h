// ANI's environment vector of one atom, and what its gradient needs kept: what descriptor.h is for symmetry functions.
// RADIAL, SHIFTS and SECTIONS are defined above; the functions' parameters are those of aev.h.
#include "angles.h"
enum { VECTORS = (RADIAL + W - 1) / W, WIDE = VECTORS * W, KEEP = 2048, EDGE = 9, PAIR = 3 + SHIFTS + 2 * SECTIONS, BACK = 6 };

struct Functions {
  I kinds, columns;
  double cutoff;
  const S *eta, *center, *width;  // center: WIDE numbers
};

// Numbers of one atom: edges below the longer cutoff sorted by species, of each the near ones first; pairs of the near ones.
struct Atom {
  S *numbers;
  I n, size, room;
  bool kept;  // all pairs stand in their places
  std::vector<I> edge, start;
  S *at(I row) const { return numbers + row * size; }
  S *r(int x) const { return at(x); }
  S *over() const { return at(3); }
  S *d() const { return at(4); }
  S *f() const { return at(5); }
  S *slope() const { return at(6); }
  S *F() const { return at(7); }  // f_c(d) of the shorter cutoff, and its derivative
  S *dF() const { return at(8); }
  S *dG() const { return numbers + EDGE * size; }  // [n, WIDE]: derivatives of the radial functions
  S *pair(I row) const { return dG() + size * WIDE + row * room; }  // cos θ, ½ (d_j + d_k), F_j F_k; shells; sections, their slopes
  Span all(I s) const { return {start[2 * s], start[2 * s + 2]}; }
  Span near(I s) const { return {start[2 * s], start[2 * s + 1]}; }
  static I numbers_for(I n) { return (EDGE + WIDE) * (n + 2 * W) + PAIR * room_for(n); }
  static I room_for(I n) {
    I all = n * (n - 1) / 2;
    return (all < KEEP ? all : KEEP) + n + 2 * W;
  }
};

// Where gradients gather on their way back: per edge r̄ without what points along it, Σ cos̄ cos, d̄, F̄; per pair cos̄, d̄, F̄.
struct Back {
  S *numbers;
  I size, room;
  S *V_(int x) const { return numbers + x * size; }
  S *T() const { return V_(3); }
  S *L() const { return V_(4); }
  S *F() const { return V_(5); }
  S *pair(I row) const { return numbers + BACK * size + row * room; }
  static I numbers_for(I n) { return BACK * (n + 2 * W) + 3 * Atom::room_for(n); }
};

static inline V at(const S *p, I i) { return *(const VU *)(p + i); }
static inline void put(S *p, I i, V x) { *(VU *)(p + i) = x; }

struct Descriptor {
  const Functions &a;
  S per, per_near, eta, angular_eta, zeta;  // per: 1 / r_c²
  Descriptor(const Functions &a) : a(a) {
    per = (S)(1 / (a.cutoff * a.cutoff)), per_near = 1 / (a.eta[3] * a.eta[3]);
    eta = a.eta[0], angular_eta = a.eta[1], zeta = a.eta[2];
  }
  I channel(I s, I t) const { return a.kinds * RADIAL + (t * (t + 1) / 2 + s) * (SHIFTS * SECTIONS); }

  // The edges below the cutoff; false if one is nowhere (`fault` 5) or has no length (6).
  bool gather(Atom &c, const Call &in, const I *kind, I center, int &fault) const {
    I from = in.first[center], to = in.first[center + 1], n = 0, places = 2 * a.kinds, near = 0;
    c.start.assign(places + 2, 0);
    S limit = (S)(a.cutoff * a.cutoff), shorter = a.eta[3] * a.eta[3];
    auto square = [&](I e) {
      const double *x = in.r + 3 * e;
      return x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
    };
    auto place = [&](I e, S d2) { return 2 * kind[in.numbers[in.j[e]]] + (d2 >= shorter); };
    for (I e = from; e < to; e++) {
      double d2 = square(e);
      if (!(d2 - d2 == 0)) return fault = 5, false;
      if (!(d2 > 0)) return fault = 6, false;
      if ((S)d2 < limit) c.start[place(e, (S)d2) + 2]++, n++, near += (S)d2 < shorter;
    }
    for (I p = 0; p < places; p++) c.start[p + 2] += c.start[p + 1];
    for (I e = from; e < to; e++)
      if (S d2 = (S)square(e); d2 < limit) c.edge[c.start[place(e, d2) + 1]++] = e;
    c.n = n, c.size = n + 2 * W, c.room = Atom::room_for(n), c.kept = near * (near - 1) / 2 <= KEEP;
    for (int x = 0; x < 3; x++) {
      S *r = c.r(x);
      for (I k = 0; k < n; k++) r[k] = (S)in.r[3 * c.edge[k] + x];
      for (I k = n; k < c.size; k++) r[k] = 1;
    }
    return true;
  }

  // Whole runs in batches of at most KEEP pairs (or one run): batch(a0, a1, place of the first pair, how many)
  template <class Batch> void batches(const Atom &c, I s, I t, I &place, Batch batch) const {
    Span one = c.near(s), other = c.near(t);
    for (I a0 = one.from; a0 < one.to;) {
      I a1 = a0, pairs = 0;
      while (a1 < one.to) {
        I more = other.to - (s == t ? a1 + 1 : other.from);
        if (pairs && pairs + more > KEEP) break;
        pairs += more;
        a1++;
      }
      if (pairs) batch(a0, a1, c.kept ? place : 0, pairs);
      place += pairs;
      a0 = a1;
    }
  }

  // What a batch's pairs bring, one behind the other from `to`; sums of the functions where `sums` is given.
  template <bool SUM> void pairs(const Atom &c, I s, I t, I a0, I a1, I to, I count, V (*sums)[SECTIONS + 1]) const {
    const S *x = c.r(0), *y = c.r(1), *z = c.r(2), *over = c.over();
    I end = to + runs(s == t, c.near(t), a0, a1, [&](I k, I from, I until, I p) {
      V xk = V{} + x[k], yk = V{} + y[k], zk = V{} + z[k], ok = V{} + over[k], dk = V{} + c.d()[k], Fk = V{} + c.F()[k];
      p += to;
      for (I b = from; b < until; b += W, p += W) {
        put(c.pair(0), p, (xk * ok * at(x, b) + yk * ok * at(y, b) + zk * ok * at(z, b)) * at(over, b));
        put(c.pair(1), p, (S)0.5 * (dk + at(c.d(), b)));
        put(c.pair(2), p, Fk * at(c.F(), b));
      }
    });
    for (int q = 0; q < 3; q++) put(c.pair(q), end, V{});  // what follows the last pair adds nothing
    for (I p = to; p < end; p += W) {
      V part[SECTIONS + 1], turn[SECTIONS + 1], F = (S)2 * at(c.pair(2), p), d = at(c.pair(1), p);
      sections(a.width + SHIFTS, zeta, at(c.pair(0), p), part, turn);
      for (int z = 0; z < SECTIONS; z++) put(c.pair(3 + SHIFTS + z), p, part[z]), put(c.pair(3 + SHIFTS + SECTIONS + z), p, turn[z]);
      for (int q = 0; q < SHIFTS; q++) {
        V u = d - a.width[q], e = exponential((-angular_eta) * (u * u));
        put(c.pair(3 + q), p, e);
        if (!SUM) continue;
        V y = F * e;
        for (int z = 0; z < SECTIONS; z++) sums[q][z] += y * part[z];
      }
    }
  }

  // All functions of an atom into `out`, which has room for W numbers more.
  void forward(Atom &c, S *out) const {
    for (I k = 0; k < c.n; k += W) {
      V x = at(c.r(0), k), y = at(c.r(1), k), z = at(c.r(2), k), square = x * x + y * y + z * z, over = reciprocal_root(square);
      V d = square * over, f, slope;
      fade(per_near * square, f, slope);
      put(c.F(), k, f), put(c.dF(), k, ((S)2 * per_near) * (slope * d));
      fade(per * square, f, slope);
      put(c.over(), k, over), put(c.d(), k, d), put(c.f(), k, (S)0.25 * f), put(c.slope(), k, ((S)0.5 * per) * (slope * d));
    }
    put(c.over(), c.n, V{} + 1), put(c.d(), c.n, V{}), put(c.F(), c.n, V{});  // what lies behind the last edge is read, never used
    for (I s = 0; s < a.kinds; s++) {
      V sums[VECTORS + 1] = {};
      Span all = c.all(s);
      for (I k = all.from; k < all.to; k++) {
        V d = V{} + c.d()[k], f = V{} + c.f()[k], slope = V{} + c.slope()[k];
        S *to = c.dG() + k * WIDE;
        for (int q = 0; q < VECTORS; q++) {
          V x = d - at(a.center, q * W), e = exponential((-eta) * (x * x));
          sums[q] += f * e;
          V g = e * (slope - ((S)2 * eta) * (f * x));
          if ((q + 1) * W > RADIAL) g = where(lanes_below(RADIAL - q * W), g);
          put(to, q * W, g);
        }
      }
      for (int q = 0; q < VECTORS; q++) put(out + s * RADIAL, q * W, sums[q]);  // what is too much is overwritten by the next
    }
    if (SHIFTS * SECTIONS == 0) return;
    I place = 0;
    for (I t = 0; t < a.kinds; t++)
      for (I s = 0; s <= t; s++) {
        V sums[SHIFTS + 1][SECTIONS + 1] = {};
        I before = place;
        batches(c, s, t, place, [&](I a0, I a1, I p, I count) { pairs<true>(c, s, t, a0, a1, p, count, sums); });
        S *to = out + channel(s, t);
        for (int q = 0; q < SHIFTS; q++)
          for (int z = 0; z < SECTIONS; z++) *to++ = place > before ? total(sums[q][z]) : 0;
      }
  }

  // ∂⟨g, G⟩/∂r of the atom's edges into rb [edges, 3]; those beyond the cutoff keep what they have.
  void backward(const Atom &c, const Back &b, const S *g, S *rb) const {
    for (int q = 0; q < BACK; q++)
      for (I k = 0; k < c.n + W; k += W) put(b.V_(q), k, V{});
    if (SHIFTS * SECTIONS > 0) {
      I place = 0;
      for (I t = 0; t < a.kinds; t++)
        for (I s = 0; s <= t; s++)
          batches(c, s, t, place, [&](I a0, I a1, I p, I count) {
            if (!c.kept) pairs<false>(c, s, t, a0, a1, p, count, nullptr);
            angular(c, b, s, t, a0, a1, p, count, g + channel(s, t));
          });
    }
    S *along = b.pair(0);  // ∂/∂d of each edge by the radial functions; pairs are done
    for (I s = 0; s < a.kinds; s++) {
      Span all = c.all(s);
      for (I k = all.from; k < all.to; k++) {
        V sum = {};
        for (int q = 0; q < VECTORS; q++) sum += at(g + s * RADIAL, q * W) * at(c.dG() + k * WIDE, q * W);
        along[k] = total(sum);
      }
    }
    S *x = b.V_(0), *y = b.V_(1), *z = b.V_(2);
    for (I k = 0; k < c.n; k += W) {
      V over = at(c.over(), k), s = at(along, k) + at(b.L(), k) + at(b.F(), k) * at(c.dF(), k) - at(b.T(), k) * over;
      s *= over;
      put(x, k, at(x, k) + s * at(c.r(0), k)), put(y, k, at(y, k) + s * at(c.r(1), k)), put(z, k, at(z, k) + s * at(c.r(2), k));
    }
    for (I k = 0; k < c.n; k++) {
      S *to = rb + 3 * c.edge[k];
      to[0] = x[k], to[1] = y[k], to[2] = z[k];
    }
  }

  // With κ = cos̄/(d_j d_k): r̄_j = κ r_k − cos̄ cos/d_j² r_j beside what goes along the edge, and likewise r̄_k.
  void angular(const Atom &c, const Back &b, I s, I t, I a0, I a1, I p0, I count, const S *g) const {
    for (I p = 0; p < count; p += W) {
      V F = (S)2 * at(c.pair(2), p0 + p), d = at(c.pair(1), p0 + p), sum = {}, by_length = {}, by_cosine = {};
      for (int q = 0; q < SHIFTS; q++) {
        V e = at(c.pair(3 + q), p0 + p), value = {}, turn = {};
        for (int z = 0; z < SECTIONS; z++) {
          value += g[q * SECTIONS + z] * at(c.pair(3 + SHIFTS + z), p0 + p);
          turn += g[q * SECTIONS + z] * at(c.pair(3 + SHIFTS + SECTIONS + z), p0 + p);
        }
        value *= e;
        sum += value;
        by_length += (d - a.width[q]) * value;
        by_cosine += e * turn;
      }
      put(b.pair(0), p, F * by_cosine);
      put(b.pair(1), p, (-angular_eta) * (F * by_length));  // half of it for each of the two lengths
      put(b.pair(2), p, (S)2 * sum);
    }
    const S *x = c.r(0), *y = c.r(1), *z = c.r(2), *over = c.over();
    runs(s == t, c.near(t), a0, a1, [&](I k, I from, I to, I p) {
      V xk = V{} + x[k], yk = V{} + y[k], zk = V{} + z[k], ok = V{} + over[k], Fk = V{} + c.F()[k], sums[BACK] = {};
      for (I e = from; e < to; e += W, p += W) {
        VI mine = lanes_below(to - e);
        V cb = where(mine, at(b.pair(0), p)), lb = where(mine, at(b.pair(1), p)), P = where(mine, at(b.pair(2), p));
        V kappa = cb * (ok * at(over, e)), turn = cb * at(c.pair(0), p0 + p);
        sums[0] += kappa * at(x, e), sums[1] += kappa * at(y, e), sums[2] += kappa * at(z, e);
        sums[3] += turn, sums[4] += lb, sums[5] += P * at(c.F(), e);
        put(b.V_(0), e, at(b.V_(0), e) + kappa * xk);
        put(b.V_(1), e, at(b.V_(1), e) + kappa * yk);
        put(b.V_(2), e, at(b.V_(2), e) + kappa * zk);
        put(b.T(), e, at(b.T(), e) + turn);
        put(b.L(), e, at(b.L(), e) + lb);
        put(b.F(), e, at(b.F(), e) + P * Fk);
      }
      for (int q = 0; q < BACK; q++) b.V_(q)[k] += total(sums[q]);
    });
  }
};
