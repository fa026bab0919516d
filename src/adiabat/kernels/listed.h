// Symmetry functions as free lists, every element its own: what descriptor.h is for even sets. Their numbers are read at run time, and
// work goes step by step over rows of edges or of pairs of edges, so that of what kind a function is is asked once a row.
// The kinds of fades (HARD … POWER) are defined above.
#include "logarithm.h"
enum { PAIRS = 256, SUMS = 14, PLACES = 3 };  // pairs worked on together; rows of edges, of pairs, beside those of the functions
enum { KEEP = (1 << 19) / sizeof(S) };          // numbers of pairs that an atom keeps from the way forth for the way back

struct Fade { I kind, bump, asymmetric; double from, per, gamma; };    // f(x), x = (d − from) per: from there on, or its amount
struct Part { I fade; double eta, shift; };                            // f(x) exp(−η (d − shift)²)
struct Table { I fades, parts; const Fade *fade; const Part *part; };  // parts by their fade
struct Term { I column, row; double weight; };                         // of an edge: a part; of a pair: an angular part
struct Angle { I power; double zeta, lambd; Fade fade; };              // 2 (½ + ½ λ cos θ)^ζ, or a bump of 2θ
struct Product { I one, other, far, terms; const Term *term; };        // R(d_ij) R(d_ik) (R(d_jk), or −1), and what it is multiplied with
struct Neighbors { Table table; I terms; const Term *term; };
struct Channel { double cutoff; I bumps, angles, products; Table far; const Angle *angle; const Product *product; };
struct Around { const Neighbors *neighbors; const Channel *channel; };  // by species; by pair of species
struct Functions {
  I kinds, columns;
  double cutoff;
  const Around *around;
  const void *none[2];
};

static inline V at(const S *p, I i) { return *(const VU *)(p + i); }
static inline void put(S *p, I i, V x) { *(VU *)(p + i) = x; }
static inline V root(V x) {
  for (int k = 0; k < W; k++) x[k] = std::sqrt(x[k]);
  return x;
}
// x^n for x ≥ 0; several at once, for each waits for itself.
enum { ABREAST = 4 };
template <int N> struct Count { enum { value = N }; };
template <int N> static inline void raise(V *x, V *y, S n) {
  if (n != std::floor(n) || n > 256) {
    for (int k = 0; k < N; k++) y[k] = exponential(n * logarithm(at_least(x[k], (S)1e-30)));
    return;
  }
  for (int k = 0; k < N; k++) y[k] = V{} + 1;
  for (I left = (I)n; left; left >>= 1) {
    if (left & 1)
      for (int k = 0; k < N; k++) y[k] *= x[k];
    for (int k = 0; k < N; k++) x[k] *= x[k];
  }
}
static inline V raised(V x, S n) {
  V y;
  raise<1>(&x, &y, n);
  return y;
}
// all(first of ABREAST vectors), then one(the vector) for those that are left
template <class All, class One> static inline void tiles(I count, All all, One one) {
  I p = 0;
  for (; p + ABREAST * W <= count; p += ABREAST * W) all(p);
  for (; p < count; p += W) one(p);
}
// arctan t for 0 ≤ t ≤ 1; beyond tan π/8 it is π/4 − arctan (1 − t)/(1 + t).
static inline V arctangent(V t) {
  VI far = t > (S)0.41421356237309503;
  V y = far ? (t - (S)1) / (t + (S)1) : t, s = -y * y;
  const int terms = SINGLE ? 9 : 20;
  V sum = V{} + (S)(1.0 / (2 * terms + 1));
#pragma GCC unroll 20
  for (int k = terms - 1; k >= 0; k--) sum = (S)(1.0 / (2 * k + 1)) + s * sum;
  return y * sum + where(far, V{} + (S)0.78539816339744831);
}

// f(x) within 0…1, and its slope.
template <int KIND> static inline void fading(V x, S gamma, V &f, V &slope) {
  const V one = V{} + 1, rest = one - x;
  if (KIND == HARD) f = one, slope = V{};
  if (KIND == COSINE) ::cutoff(x * x, f, slope), slope *= (S)2 * x;
  if (KIND == TANH_BARE || KIND == TANH_ONE) {
    V e = exponential((S)-2 * rest), t = (one - e) / (one + e);
    const S scale = KIND == TANH_ONE ? (S)2.2637537952253513 : (S)1;  // 1/tanh³ 1
    f = scale * (t * t * t), slope = ((S)-3 * scale) * (t * t) * (one - t * t);
  }
  if (KIND == EXP) {
    V over = reciprocal(at_least(one - x * x, SINGLE ? (S)0.0115 : (S)0.00142));  // beyond, f is below the smallest number
    f = exponential(one - over), slope = ((S)-2 * x) * (over * over) * f;
  }
  const V y = x * rest, two = rest * rest;  // as products, for sums of powers lose digits near 1
  if (KIND == POLY1) f = two * (one + (S)2 * x), slope = (S)-6 * y;
  if (KIND == POLY2) f = two * rest * (one + x * ((S)3 + (S)6 * x)), slope = (S)-30 * (y * y);
  if (KIND == POLY3) f = two * two * (one + x * ((S)4 + x * ((S)10 + (S)20 * x))), slope = (S)-140 * (y * y * y);
  if (KIND == POLY4) {
    f = two * two * rest * (one + x * ((S)5 + x * ((S)15 + x * ((S)35 + (S)70 * x)))), slope = (S)-630 * (y * y) * (y * y);
  }
  if (KIND == POWER) {
    V low = raised(x, gamma - 1);
    f = one + low * x * (gamma * x - (gamma + 1)), slope = (-gamma * (gamma + 1)) * (low * rest);
  }
}
template <int KIND> static void fade(const Fade &a, const S *d, I n, S *f, S *slope) {
  const S from = (S)a.from, per = (S)a.per, gamma = (S)a.gamma;
  for (I k = 0; k < n; k += W) {
    V x = (at(d, k) - from) * per, turn = V{} + per, y, dy;
    turn = x < 0 ? (a.bump ? -turn : V{}) : turn;
    x = x < 0 ? (a.bump ? -x : V{}) : x;
    VI inside = x < (S)1;
    x = inside ? x : V{} + 1;
    if (a.asymmetric) turn *= (S)2 - (S)2 * x, x *= (S)2 - x;
    fading<KIND>(x, gamma, y, dy);
    put(f, k, where(inside, y)), put(slope, k, where(inside, turn * dy));
  }
}
static void fade(const Fade &a, const S *d, I n, S *f, S *slope) {
  switch (a.kind) {
    case HARD: return fade<HARD>(a, d, n, f, slope);
    case COSINE: return fade<COSINE>(a, d, n, f, slope);
    case TANH_BARE: return fade<TANH_BARE>(a, d, n, f, slope);
    case TANH_ONE: return fade<TANH_ONE>(a, d, n, f, slope);
    case EXP: return fade<EXP>(a, d, n, f, slope);
    case POLY1: return fade<POLY1>(a, d, n, f, slope);
    case POLY2: return fade<POLY2>(a, d, n, f, slope);
    case POLY3: return fade<POLY3>(a, d, n, f, slope);
    case POLY4: return fade<POLY4>(a, d, n, f, slope);
    default: return fade<POWER>(a, d, n, f, slope);
  }
}

// All parts at n distances and their slopes: two rows each, `stride` apart, and two more behind them to work in.
static void tabulate(const Table &t, const S *d, I n, S *to, I stride) {
  S *f = to + 2 * t.parts * stride, *df = f + stride;
  I known = -1;
  for (I p = 0; p < t.parts; p++) {
    const Part &it = t.part[p];
    if (it.fade != known) fade(t.fade[it.fade], d, n, f, df), known = it.fade;
    const S eta = (S)it.eta, shift = (S)it.shift;
    S *value = to + 2 * p * stride, *slope = value + stride;
    for (I k = 0; k < n; k += W) {
      if (eta == 0) {
        put(value, k, at(f, k)), put(slope, k, at(df, k));
        continue;
      }
      V x = at(d, k) - shift, e = exponential(-eta * (x * x));
      put(value, k, e * at(f, k)), put(slope, k, e * (at(df, k) - ((S)2 * eta) * (x * at(f, k))));
    }
  }
}

// Numbers of one atom: edges below the cutoff by species, and by distance among those.
struct Atom {
  S *numbers;
  I n, size, room, kind;
  bool kept;  // all batches of pairs stand in their places
  std::vector<I> edge, start;
  std::vector<S> rows, pairs;
  S *row(I k) { return rows.data() + k * size; }
  S *r(int x) { return row(x); }
  S *u(int x) { return row(3 + x); }
  S *over() { return row(6); }
  S *d() { return row(7); }
  S *rb(int x) { return row(8 + x); }  // r̄ without what points along the edge
  S *T() { return row(11); }           // Σ cos̄ cos
  S *Q() { return row(12); }           // Σ d̄_jk/d_jk
  S *along() { return row(13); }       // d̄
  S *R(I part) { return row(SUMS + 2 * part); }
  S *dR(I part) { return row(SUMS + 2 * part + 1); }
  Span near(I s, double cutoff) {
    I to = start[s + 1];
    while (to > start[s] && d()[to - 1] >= (S)cutoff) to--;
    return {start[s], to};
  }
  static I numbers_for(I) { return 0; }
};
struct Back {
  S *numbers;
  I size, room;
  static I numbers_for(I) { return 0; }
};

struct Descriptor {
  const Functions &a;
  mutable std::vector<S> scratch, unkept;
  mutable S *base = nullptr;  // of a batch
  mutable I room = 0;         // its rows' length
  Descriptor(const Functions &a) : a(a) {}
  const Neighbors &neighbors(const Atom &c, I s) const { return a.around[c.kind].neighbors[s]; }
  const Channel &channel(const Atom &c, I s, I t) const { return a.around[c.kind].channel[t * (t + 1) / 2 + s]; }

  // Rows of pairs: ½ (1 ∓ cos θ), d_jk; angular parts, parts of d_jk, with their slopes
  S *pair(I row) const { return base + row * room; }
  S *A(I k) const { return pair(PLACES + 2 * k); }
  S *dA(I k) const { return pair(PLACES + 2 * k + 1); }
  S *F(const Channel &it, I k) const { return pair(PLACES + 2 * (it.angles + k)); }
  S *dF(const Channel &it, I k) const { return pair(PLACES + 2 * (it.angles + k) + 1); }
  static I rows(const Channel &it) { return PLACES + 2 * (it.angles + it.far.parts) + (it.far.parts ? 2 : 0); }
  // Rows to work in: cos̄, d̄_jk; 2θ and its slope by cos θ; R R R; Σ g A and its slope
  S *work(I row) const { return scratch.data() + row * room; }
  S *toward() const { return work(0); }
  S *apart() const { return work(1); }

  // The edges below the cutoff; false if one is nowhere (`fault` 5) or has no length (6).
  bool gather(Atom &c, const Call &in, const I *kind, I center, int &fault) const {
    I from = in.first[center], to = in.first[center + 1], n = 0;
    auto square = [&](I e) {
      const double *x = in.r + 3 * e;
      return x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
    };
    auto species = [&](I e) { return kind[in.numbers[in.j[e]]]; };
    const double limit = a.cutoff * a.cutoff;
    c.start.assign(a.kinds + 2, 0);
    for (I e = from; e < to; e++) {
      double d2 = square(e);
      if (!(d2 - d2 == 0)) return fault = 5, false;
      if (!(d2 > 0)) return fault = 6, false;
      if (d2 < limit) c.start[species(e) + 2]++, n++;
    }
    for (I s = 0; s < a.kinds; s++) c.start[s + 2] += c.start[s + 1];
    for (I e = from; e < to; e++)
      if (square(e) < limit) c.edge[c.start[species(e) + 1]++] = e;
    c.kind = kind[in.numbers[center]];
    bool nearer = false;  // whether some pairs are of near neighbors only
    for (I p = 0; p < a.kinds * (a.kinds + 1) / 2; p++) {
      const Channel &it = a.around[c.kind].channel[p];
      nearer = nearer || (it.products && it.cutoff < a.cutoff);
    }
    for (I s = 0; s < a.kinds && nearer; s++)
      std::sort(c.edge.begin() + c.start[s], c.edge.begin() + c.start[s + 1], [&](I e, I f) { return square(e) < square(f); });
    I most = 0;
    for (I s = 0; s < a.kinds; s++) most = std::max(most, neighbors(c, s).table.parts);
    c.n = n, c.size = n + 2 * W;
    size_t wanted = (SUMS + 2 * most + 2) * c.size;
    if (c.rows.size() < wanted) c.rows.resize(wanted);
    for (int x = 0; x < 3; x++) {
      S *r = c.r(x);
      for (I k = 0; k < n; k++) r[k] = (S)in.r[3 * c.edge[k] + x];
      for (I k = n; k < c.size; k++) r[k] = 1;
    }
    return true;
  }

  // All functions of an atom into `out`.
  void forward(Atom &c, S *out) const {
    for (I k = 0; k < a.columns; k++) out[k] = 0;
    for (I k = 0; k < c.n + W; k += W) {
      V x = at(c.r(0), k), y = at(c.r(1), k), z = at(c.r(2), k), square = x * x + y * y + z * z, over = reciprocal_root(square);
      put(c.over(), k, over), put(c.d(), k, square * over);
      put(c.u(0), k, x * over), put(c.u(1), k, y * over), put(c.u(2), k, z * over);
    }
    for (I s = 0; s < a.kinds; s++) {
      const Neighbors &it = neighbors(c, s);
      I from = c.start[s], to = c.start[s + 1];
      if (from == to) continue;
      tabulate(it.table, c.d() + from, to - from, c.R(0) + from, c.size);  // what is too much is overwritten by the next species
      for (I q = 0; q < it.terms; q++) {
        V sum = {};
        for (I k = from; k < to; k += W) sum += where(lanes_below(to - k), at(c.R(it.term[q].row), k));
        out[it.term[q].column] += (S)it.term[q].weight * total(sum);
      }
    }
    I numbers = 0;
    channels(c, false, [](const Channel &, bool, Span, I, I, I) {}, &numbers);
    c.kept = numbers <= KEEP;
    if (c.kept && (I)c.pairs.size() < numbers) c.pairs.resize(numbers);
    channels(c, true, [&](const Channel &it, bool same, Span t, I a0, I a1, I count) {
      for (I q = 0; q < it.products; q++) {
        const Product &p = it.product[q];
        S *x = work(4);
        runs(same, t, a0, a1, [&](I k, I from, I to, I place) {
          const V R = V{} + c.R(p.one)[k];
          for (I b = from; b < to; b += W, place += W) {
            V y = R * at(c.R(p.other), b);
            put(x, place, p.far < 0 ? y : y * at(F(it, p.far), place));
          }
        });
        put(x, count, V{});  // what follows the last pair adds nothing
        for (I k = 0; k < p.terms; k++) {
          const S *angular = A(p.term[k].row);
          V sum[ABREAST] = {};
          tiles(
              count,
              [&](I place) {
                for (int v = 0; v < ABREAST; v++) sum[v] += at(x, place + v * W) * at(angular, place + v * W);
              },
              [&](I place) { sum[0] += at(x, place) * at(angular, place); });
          out[p.term[k].column] += (S)p.term[k].weight * total((sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
      }
    });
  }

  // ∂⟨g, G⟩/∂r of the atom's edges into rb [edges, 3]; those beyond the cutoff keep what they have.
  void backward(Atom &c, const Back &, const S *g, S *rb) const {
    for (int q = 8; q < SUMS; q++)
      for (I k = 0; k < c.n + W; k += W) put(c.row(q), k, V{});
    for (I s = 0; s < a.kinds; s++) {
      const Neighbors &it = neighbors(c, s);
      I from = c.start[s], to = c.start[s + 1];
      for (I q = 0; q < it.terms; q++) {
        const S share = (S)it.term[q].weight * g[it.term[q].column], *slope = c.dR(it.term[q].row);
        for (I k = from; k < to; k += W) put(c.along(), k, at(c.along(), k) + share * where(lanes_below(to - k), at(slope, k)));
      }
    }
    channels(c, !c.kept, [&](const Channel &it, bool same, Span t, I a0, I a1, I count) { angular(c, it, same, t, a0, a1, count, g); });
    S *x = c.rb(0), *y = c.rb(1), *z = c.rb(2);
    for (I k = 0; k < c.n; k += W) {
      V over = at(c.over(), k), s = (at(c.along(), k) + at(c.Q(), k) * at(c.d(), k) - at(c.T(), k) * over) * over;
      put(x, k, at(x, k) + s * at(c.r(0), k)), put(y, k, at(y, k) + s * at(c.r(1), k)), put(z, k, at(z, k) + s * at(c.r(2), k));
    }
    for (I k = 0; k < c.n; k++) {
      S *to = rb + 3 * c.edge[k];
      to[0] = x[k], to[1] = y[k], to[2] = z[k];
    }
  }

  // visit(channel, whether of one species, the other edges, first and last of the one, number of pairs), whole runs at a time; what
  // pairs bring is worked out anew, or stands where it was put. `numbers`: only how many there are to keep.
  template <class Visit> void channels(Atom &c, bool anew, Visit visit, I *numbers = nullptr) const {
    I place = 0;
    for (I t = 0; t < a.kinds; t++)
      for (I s = 0; s <= t; s++) {
        const Channel &it = channel(c, s, t);
        if (!it.products) continue;
        Span one = c.near(s, it.cutoff), other = c.near(t, it.cutoff);
        for (I a0 = one.from; a0 < one.to;) {
          I a1 = a0, count = 0;
          while (a1 < one.to) {
            I more = other.to - (s == t ? a1 + 1 : other.from);
            if (count && count + more > PAIRS) break;
            count += more, a1++;
          }
          if (count > 0) {
            room = count + 2 * W;
            I wanted = rows(it) * room;
            if (numbers) {
              *numbers += wanted;
            } else {
              if (!c.kept && (I)unkept.size() < wanted) unkept.resize(wanted);
              if ((I)scratch.size() < 7 * room) scratch.resize(7 * room);
              base = c.kept ? c.pairs.data() + place : unkept.data();
              place += wanted;
              if (anew) pairs(c, it, s == t, other, a0, a1, count);
              visit(it, s == t, other, a0, a1, count);
            }
          }
          a0 = a1;
        }
      }
  }

  // What a batch's pairs bring, one behind the other.
  void pairs(Atom &c, const Channel &it, bool same, Span t, I a0, I a1, I count) const {
    S *minus = pair(0), *plus = pair(1), *far = pair(2);
    runs(same, t, a0, a1, [&](I k, I from, I to, I place) {
      V u[3], r[3];
      for (int x = 0; x < 3; x++) u[x] = V{} + c.u(x)[k], r[x] = V{} + c.r(x)[k];
      for (I b = from; b < to; b += W, place += W) {
        V less = {}, more = {}, square = {};
        for (int x = 0; x < 3; x++) {
          V v = at(c.u(x), b), low = v - u[x], high = v + u[x], apart = at(c.r(x), b) - r[x];
          less += low * low, more += high * high, square += apart * apart;
        }
        put(minus, place, (S)0.25 * less), put(plus, place, (S)0.25 * more);
        if (it.far.parts) put(far, place, root(at_least(square, (S)1e-30)));
      }
    });
    put(minus, count, V{} + (S)0.5), put(plus, count, V{} + (S)0.5), put(far, count, V{} + 1);
    if (it.bumps) angles(count);
    for (I k = 0; k < it.angles; k++) {
      const Angle &one = it.angle[k];
      if (one.power) {
        const S zeta = (S)one.zeta, up = (S)(0.5 * (1 + one.lambd)), down = (S)(0.5 * (1 - one.lambd)), turn = (S)(one.zeta * one.lambd);
        auto some = [&](I p, auto n) {
          V half[n.value], x[n.value], low[n.value];
          for (int v = 0; v < n.value; v++) x[v] = half[v] = up * at(plus, p + v * W) + down * at(minus, p + v * W);
          raise<n.value>(x, low, zeta - 1);
          for (int v = 0; v < n.value; v++) put(A(k), p + v * W, (S)2 * (low[v] * half[v])), put(dA(k), p + v * W, turn * low[v]);
        };
        tiles(count, [&](I p) { some(p, Count<ABREAST>()); }, [&](I p) { some(p, Count<1>()); });
      } else {
        fade(one.fade, work(2), count, A(k), dA(k));
        for (I p = 0; p < count; p += W) put(dA(k), p, at(dA(k), p) * at(work(3), p));
      }
    }
    if (it.far.parts) tabulate(it.far, far, count, F(it, 0), room);
  }

  // 2θ, of half the lengths of the sum and the difference of unit vectors, for cos θ alone would not tell small angles apart.
  void angles(I count) const {
    const S least = SINGLE ? (S)1e-15 : (S)1e-32;
    for (I p = 0; p < count; p += W) {
      V minus = at(pair(0), p), plus = at(pair(1), p), both = minus * plus;
      VI wide = minus > plus;
      V half = arctangent(root((wide ? plus : minus) / (wide ? minus : plus)));
      put(work(2), p, (S)4 * (wide ? (S)1.5707963267948966 - half : half));
      put(work(3), p, where(both > least, -reciprocal_root(at_least(both, least))));
    }
  }

  // With κ = cos̄/(d_j d_k) − d̄_jk/d_jk: r̄_j = κ r_k + (d̄_jk/d_jk − cos̄ cos/d_j²) r_j, and likewise r̄_k.
  void angular(Atom &c, const Channel &it, bool same, Span t, I a0, I a1, I count, const S *g) const {
    S *cosine = toward(), *far = apart(), *value = work(5), *turn = work(6);
    for (I p = 0; p < count; p += W) put(cosine, p, V{}), put(far, p, V{});
    for (I q = 0; q < it.products; q++) {
      const Product &mine = it.product[q];
      auto some = [&](I p, auto n) {
        V sum[n.value] = {}, slope[n.value] = {};
        for (I k = 0; k < mine.terms; k++) {
          const Term &it = mine.term[k];
          const S share = (S)it.weight * g[it.column], *one = A(it.row) + p, *other = dA(it.row) + p;
          for (int v = 0; v < n.value; v++) sum[v] += share * at(one, v * W), slope[v] += share * at(other, v * W);
        }
        for (int v = 0; v < n.value; v++) put(value, p + v * W, sum[v]), put(turn, p + v * W, slope[v]);
      };
      tiles(count, [&](I p) { some(p, Count<ABREAST>()); }, [&](I p) { some(p, Count<1>()); });
      runs(same, t, a0, a1, [&](I k, I from, I to, I p) {
        const V R = V{} + c.R(mine.one)[k], dR = V{} + c.dR(mine.one)[k];
        V along = {};
        for (I b = from; b < to; b += W, p += W) {
          VI here = lanes_below(to - b);
          V other = at(c.R(mine.other), b), both = R * other, all = where(here, at(value, p));
          if (mine.far >= 0) {
            V f = at(F(it, mine.far), p);
            put(far, p, at(far, p) + both * at(dF(it, mine.far), p) * all);
            all *= f, both *= f;
          }
          put(cosine, p, at(cosine, p) + where(here, both * at(turn, p)));
          along += all * (dR * other);
          put(c.along(), b, at(c.along(), b) + all * (R * at(c.dR(mine.other), b)));
        }
        c.along()[k] += total(along);
      });
    }
    runs(same, t, a0, a1, [&](I k, I from, I to, I p) {
      V r[3], sums[5] = {}, over = V{} + c.over()[k];
      for (int x = 0; x < 3; x++) r[x] = V{} + c.r(x)[k];
      for (I b = from; b < to; b += W, p += W) {
        VI here = lanes_below(to - b);
        V cb = where(here, at(cosine, p)), qb = it.far.parts ? where(here, at(far, p) / at(pair(2), p)) : V{};
        V kappa = cb * (over * at(c.over(), b)) - qb, turned = cb * (at(pair(1), p) - at(pair(0), p));
        for (int x = 0; x < 3; x++) {
          sums[x] += kappa * at(c.r(x), b);
          put(c.rb(x), b, at(c.rb(x), b) + kappa * r[x]);
        }
        sums[3] += turned, sums[4] += qb;
        put(c.T(), b, at(c.T(), b) + turned);
        put(c.Q(), b, at(c.Q(), b) + qb);
      }
      for (int q = 0; q < 5; q++) c.row(8 + q)[k] += total(sums[q]);
    });
  }
};
