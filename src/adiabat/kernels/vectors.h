// What sums over pairs of neighbors are written with: their arguments, exponentials and cutoffs of whole vectors, numbers kept
// between two passes, runs of pairs.
#ifndef ADIABAT_VECTORS
#define ADIABAT_VECTORS
enum { BATCH = 1024 };  // pairs worked on together: what is kept of them stays in the first-level cache

// `eta`, `center` and `width` are the functions' parameters, whatever these are.
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

// Lanes below `count` hold.
static inline VI lanes_below(I count) {
  VI k = {};
  for (int l = 0; l < W; l++) k[l] = l;
  return k < (B)(count < W ? count : W);
}

// Runs of pairs: one edge a0 ≤ k < a1 of one span with consecutive edges of another, or with those behind it in its own.
// visit(k, from, to, place of the first pair); how many pairs there are
struct Span { I from, to; };
template <class Visit> static inline I runs(bool same, Span t, I a0, I a1, Visit visit) {
  I at = 0;
  for (I k = a0; k < a1; k++) {
    I from = same ? k + 1 : t.from;
    visit(k, from, t.to, at);
    at += t.to - from;
  }
  return at;
}
// Batches of whole runs
template <class Batch> static inline void batches(bool same, Span s, Span t, Batch batch) {
  for (I a0 = s.from; a0 < s.to;) {
    I a1 = a0, pairs = 0;
    while (a1 < s.to) {
      I more = t.to - (same ? a1 + 1 : t.from);
      if (pairs && pairs + more > BATCH) break;
      pairs += more;
      a1++;
    }
    if (pairs) batch(a0, a1);
    a0 = a1;
  }
}
#endif
