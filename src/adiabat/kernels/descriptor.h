// The symmetry functions of one atom, and what its gradient needs kept: for evaluators, which know the cotangents a moment later.
// RADIAL, WIDTHS and ZETAS are defined above; exponential, cutoff and lanes_below come from vectors.h.
enum { VECTORS = (RADIAL + W - 1) / W, WIDE = VECTORS * W, KEEP = 2048, EDGE = 7 + 2 * WIDTHS, PAIR = 3 + 2 * WIDTHS, BACK = 5 + WIDTHS };

struct Functions {
  I kinds, columns;
  double cutoff;
  const S *eta, *center, *width;  // eta and center: WIDE numbers
};

// Numbers of one atom: edges below the cutoff sorted by species, what each brings, what each pair brings (while these are few).
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
  S *F(int w) const { return at(7 + w); }  // f_c(d) exp(−η_w d²), and its derivative
  S *dF(int w) const { return at(7 + WIDTHS + w); }
  S *dG() const { return numbers + EDGE * size; }  // [n, WIDE]: derivatives of the radial functions
  S *pair(I row) const { return dG() + size * WIDE + row * room; }  // cos θ; f_c(d_jk), slope; e_w, F_w F_w
  static I numbers_for(I n) { return (EDGE + WIDE) * (n + 2 * W) + PAIR * room_for(n); }
  static I room_for(I n) {
    I all = n * (n - 1) / 2;
    return (all < KEEP ? all : KEEP) + n + 2 * W;
  }
};

// Where gradients gather on their way back: per edge r̄ without what points along it, Σ cos̄ cos, Σ 2 s̄, F̄_w; per pair cos̄, 2 s̄, P̄_w.
struct Back {
  S *numbers;
  I size, room;
  S *V_(int x) const { return numbers + x * size; }
  S *T() const { return V_(3); }
  S *Q() const { return V_(4); }
  S *F(int w) const { return V_(5 + w); }
  S *pair(I row) const { return numbers + BACK * size + row * room; }
  static I numbers_for(I n) { return BACK * (n + 2 * W) + (2 + WIDTHS) * Atom::room_for(n); }
};

static inline V at(const S *p, I i) { return *(const VU *)(p + i); }
static inline void put(S *p, I i, V x) { *(VU *)(p + i) = x; }

struct Descriptor {
  const Functions &a;
  S per;  // 1 / r_c²
  Descriptor(const Functions &a) : a(a) { per = (S)(1 / (a.cutoff * a.cutoff)); }
  I channel(I s, I t) const { return a.kinds * RADIAL + (t * (t + 1) / 2 + s) * (WIDTHS * ZETAS * 2); }

  // The edges below the cutoff; false if one is nowhere (`fault` 5) or has no length (6).
  bool gather(Atom &c, const Call &in, const I *kind, I center, int &fault) const {
    I from = in.first[center], to = in.first[center + 1], n = 0;
    c.start.assign(a.kinds + 2, 0);
    S limit = (S)(a.cutoff * a.cutoff);
    for (I e = from; e < to; e++) {
      const double *x = in.r + 3 * e;
      double d2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
      if (!(d2 - d2 == 0)) return fault = 5, false;
      if (!(d2 > 0)) return fault = 6, false;
      if ((S)d2 < limit) c.start[kind[in.numbers[in.j[e]]] + 2]++, n++;
    }
    for (I s = 0; s < a.kinds; s++) c.start[s + 2] += c.start[s + 1];
    for (I e = from; e < to; e++) {
      const double *x = in.r + 3 * e;
      if ((S)(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]) < limit) c.edge[c.start[kind[in.numbers[in.j[e]]] + 1]++] = e;
    }
    c.n = n, c.size = n + 2 * W, c.room = Atom::room_for(n), c.kept = n * (n - 1) / 2 <= KEEP;
    for (int x = 0; x < 3; x++) {
      S *r = c.r(x);
      for (I k = 0; k < n; k++) r[k] = (S)in.r[3 * c.edge[k] + x];
      for (I k = n; k < c.size; k++) r[k] = 1;
    }
    return true;
  }

  // Runs of pairs: one edge k with consecutive edges of one species, whole runs in batches of at most KEEP pairs (or one run).
  template <class Batch> void batches(const Atom &c, I s, I t, Batch batch) const {
    I end = c.start[s + 1];
    for (I a0 = c.start[s]; a0 < end;) {
      I a1 = a0, pairs = 0;
      while (a1 < end) {
        I more = c.start[t + 1] - (s == t ? a1 + 1 : c.start[t]);
        if (pairs && pairs + more > KEEP) break;
        pairs += more;
        a1++;
      }
      if (pairs) batch(a0, a1, pairs);
      a0 = a1;
    }
  }

  // cos θ, d_jk² and F_w F_w of a batch's pairs, one behind the other from `to`.
  void pairs(const Atom &c, I s, I t, I a0, I a1, I to) const {
    const S *x = c.r(0), *y = c.r(1), *z = c.r(2), *over = c.over();
    for (I k = a0; k < a1; k++) {
      I from = s == t ? k + 1 : c.start[t], end = c.start[t + 1];
      V xk = V{} + x[k], yk = V{} + y[k], zk = V{} + z[k], ok = V{} + over[k], F[WIDTHS + 1];
      for (int w = 0; w < WIDTHS; w++) F[w] = V{} + c.F(w)[k];
      I p = to;
      for (I b = from; b < end; b += W, p += W) {
        V xb = at(x, b), yb = at(y, b), zb = at(z, b), dx = xb - xk, dy = yb - yk, dz = zb - zk;
        put(c.pair(0), p, (xk * ok * xb + yk * ok * yb + zk * ok * zb) * at(over, b));
        put(c.pair(1), p, dx * dx + dy * dy + dz * dz);
        for (int w = 0; w < WIDTHS; w++) put(c.pair(3 + WIDTHS + w), p, F[w] * at(c.F(w), b));
      }
      to += end - from;
    }
    for (int q = 0; q < PAIR; q++) put(c.pair(q), to, V{});  // what follows the last pair adds nothing
  }

  // f_c(d_jk) with its slope and e_w = 2 exp(−η_w d_jk²); sums of the functions where `sums` is given.
  template <bool SUM> void factors(const Atom &c, I p0, I count, V (*sums)[2][ZETAS + 1]) const {
    for (I p = p0; p < p0 + count; p += W) {
      V cosine = at(c.pair(0), p), square = at(c.pair(1), p), f, slope, h[2][ZETAS + 1], low[ZETAS + 1];
      ::cutoff(per * square, f, slope);
      put(c.pair(1), p, f);
      put(c.pair(2), p, per * slope);
      if (SUM) {
        powers((S)0.5 - (S)0.5 * cosine, h[0], low);
        powers((S)0.5 + (S)0.5 * cosine, h[1], low);
      }
      for (int w = 0; w < WIDTHS; w++) {
        V e = (S)2 * exponential((-a.width[w]) * square);
        put(c.pair(3 + w), p, e);
        if (!SUM) continue;
        V x = (f * e) * at(c.pair(3 + WIDTHS + w), p);
        for (int sign = 0; sign < 2; sign++)
          for (int z = 0; z < ZETAS; z++) sums[w][sign][z] += x * h[sign][z];
      }
    }
  }

  // All functions of an atom into `out`, which has room for W numbers more.
  void forward(Atom &c, S *out) const {
    for (I k = 0; k < c.n; k += W) {
      V x = at(c.r(0), k), y = at(c.r(1), k), z = at(c.r(2), k), square = x * x + y * y + z * z, over = reciprocal_root(square);
      V d = square * over, f, slope;
      ::cutoff(per * square, f, slope);
      slope = ((S)2 * per) * (slope * d);  // of d
      put(c.over(), k, over), put(c.d(), k, d), put(c.f(), k, f), put(c.slope(), k, slope);
      for (int w = 0; w < WIDTHS; w++) {
        V e = exponential((-a.width[w]) * square);
        put(c.F(w), k, f * e);
        put(c.dF(w), k, e * (slope - ((S)2 * a.width[w]) * (f * d)));
      }
    }
    put(c.over(), c.n, V{} + 1);  // what lies behind the last edge is read, never used
    for (int w = 0; w < WIDTHS; w++) put(c.F(w), c.n, V{});
    for (I s = 0; s < a.kinds; s++) {
      V sums[VECTORS + 1] = {};
      for (I k = c.start[s]; k < c.start[s + 1]; k++) {
        V d = V{} + c.d()[k], f = V{} + c.f()[k], slope = V{} + c.slope()[k];
        S *to = c.dG() + k * WIDE;
        for (int q = 0; q < VECTORS; q++) {
          V eta = at(a.eta, q * W), x = d - at(a.center, q * W), e = exponential(-eta * (x * x));
          sums[q] += f * e;
          V g = e * (slope - ((S)2 * eta) * (f * x));
          if ((q + 1) * W > RADIAL) g = where(lanes_below(RADIAL - q * W), g);
          put(to, q * W, g);
        }
      }
      for (int q = 0; q < VECTORS; q++) put(out + s * RADIAL, q * W, sums[q]);  // what is too much is overwritten by the next
    }
    if (WIDTHS * ZETAS == 0) return;
    I place = 0;
    for (I t = 0; t < a.kinds; t++)
      for (I s = 0; s <= t; s++) {
        V sums[WIDTHS + 1][2][ZETAS + 1] = {};
        bool any = false;
        batches(c, s, t, [&](I a0, I a1, I count) {
          I p = c.kept ? place : 0;
          pairs(c, s, t, a0, a1, p);
          factors<true>(c, p, count, sums);
          place += count, any = true;
        });
        S *to = out + channel(s, t);
        for (int w = 0; w < WIDTHS; w++)
          for (int z = 0; z < ZETAS; z++)
            for (int sign = 0; sign < 2; sign++) *to++ = any ? total(sums[w][sign][z]) : 0;
      }
  }

  // ∂⟨g, G⟩/∂r of the atom's edges into rb [edges, 3]; those beyond the cutoff keep what they have.
  void backward(const Atom &c, const Back &b, const S *g, S *rb) const {
    for (int q = 0; q < BACK; q++)
      for (I k = 0; k < c.n + W; k += W) put(b.V_(q), k, V{});
    if (WIDTHS * ZETAS > 0) {
      I place = 0;
      for (I t = 0; t < a.kinds; t++)
        for (I s = 0; s <= t; s++)
          batches(c, s, t, [&](I a0, I a1, I count) {
            I p = c.kept ? place : 0;
            if (!c.kept) pairs(c, s, t, a0, a1, p), factors<false>(c, p, count, nullptr);
            angular(c, b, s, t, a0, a1, p, count, g + channel(s, t));
            place += count;
          });
    }
    S *along = b.pair(0);  // ∂/∂d of each edge by the radial functions; pairs are done
    for (I s = 0; s < a.kinds; s++)
      for (I k = c.start[s]; k < c.start[s + 1]; k++) {
        V sum = {};
        for (int q = 0; q < VECTORS; q++) sum += at(g + s * RADIAL, q * W) * at(c.dG() + k * WIDE, q * W);
        along[k] = total(sum);
      }
    S *x = b.V_(0), *y = b.V_(1), *z = b.V_(2);
    for (I k = 0; k < c.n; k += W) {
      V over = at(c.over(), k), s = at(along, k) + at(b.Q(), k) * at(c.d(), k) - at(b.T(), k) * over;
      for (int w = 0; w < WIDTHS; w++) s += at(b.F(w), k) * at(c.dF(w), k);
      s *= over;
      put(x, k, at(x, k) + s * at(c.r(0), k)), put(y, k, at(y, k) + s * at(c.r(1), k)), put(z, k, at(z, k) + s * at(c.r(2), k));
    }
    for (I k = 0; k < c.n; k++) {
      S *to = rb + 3 * c.edge[k];
      to[0] = x[k], to[1] = y[k], to[2] = z[k];
    }
  }

  // With κ = cos̄/(d_j d_k) − 2 s̄: r̄_j = κ r_k + (2 s̄ d_j − cos̄ cos/d_j) r_j/d_j, and likewise r̄_k.
  void angular(const Atom &c, const Back &b, I s, I t, I a0, I a1, I p0, I count, const S *g) const {
    for (I p = 0; p < count; p += W) {
      V cosine = at(c.pair(0), p0 + p), f = at(c.pair(1), p0 + p), slope = at(c.pair(2), p0 + p), cb = {}, qb = {};
      V h[2][ZETAS + 1], low[2][ZETAS + 1];
      powers((S)0.5 - (S)0.5 * cosine, h[0], low[0]);
      powers((S)0.5 + (S)0.5 * cosine, h[1], low[1]);
      for (int w = 0; w < WIDTHS; w++) {
        V sum = {}, turn = {};
        for (int z = 0; z < ZETAS; z++) {
          S minus = g[(w * ZETAS + z) * 2], plus = g[(w * ZETAS + z) * 2 + 1];
          sum += minus * h[0][z] + plus * h[1][z];
          turn += plus * low[1][z] - minus * low[0][z];
        }
        V e = at(c.pair(3 + w), p0 + p), F = e * at(c.pair(3 + WIDTHS + w), p0 + p);
        cb += F * turn;
        qb += (F * sum) * (slope - a.width[w] * f);
        put(b.pair(2 + w), p, (e * f) * sum);
      }
      put(b.pair(0), p, (S)0.5 * f * cb);
      put(b.pair(1), p, (S)2 * qb);
    }
    const S *x = c.r(0), *y = c.r(1), *z = c.r(2), *over = c.over();
    I p1 = 0;
    for (I k = a0; k < a1; k++) {
      I from = s == t ? k + 1 : c.start[t], end = c.start[t + 1], p = p1;
      V xk = V{} + x[k], yk = V{} + y[k], zk = V{} + z[k], ok = V{} + over[k], F[WIDTHS + 1], sums[BACK] = {};
      for (int w = 0; w < WIDTHS; w++) F[w] = V{} + c.F(w)[k];
      for (I e = from; e < end; e += W, p += W) {
        VI mine = lanes_below(end - e);
        V cb = where(mine, at(b.pair(0), p)), qb = where(mine, at(b.pair(1), p)), kappa = cb * (ok * at(over, e)) - qb;
        V turn = cb * at(c.pair(0), p0 + p);
        sums[0] += kappa * at(x, e), sums[1] += kappa * at(y, e), sums[2] += kappa * at(z, e), sums[3] += turn, sums[4] += qb;
        put(b.V_(0), e, at(b.V_(0), e) + kappa * xk);
        put(b.V_(1), e, at(b.V_(1), e) + kappa * yk);
        put(b.V_(2), e, at(b.V_(2), e) + kappa * zk);
        put(b.T(), e, at(b.T(), e) + turn);
        put(b.Q(), e, at(b.Q(), e) + qb);
        for (int w = 0; w < WIDTHS; w++) {
          V P = where(mine, at(b.pair(2 + w), p));
          sums[5 + w] += P * at(c.F(w), e);
          put(b.F(w), e, at(b.F(w), e) + P * F[w]);
        }
      }
      for (int q = 0; q < BACK; q++) b.V_(q)[k] += total(sums[q]);
      p1 += end - from;
    }
  }
};
