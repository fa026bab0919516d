// What ANI's functions are made of, on whole vectors: powers that are no whole numbers, the smooth cutoff, sections of the angle.
// ZETA (0: not a whole number), SECTIONS and SMOOTH are defined above.
#include "vectors.h"

static inline V reciprocal(V x) { return (S)1 / x; }
static inline Dual<V> reciprocal(Dual<V> x) {
  V y = (S)1 / x.v;
  return {y, (S)-1 * x.t * (y * y)};
}
static inline V at_least(V x, S low) { return x < low ? V{} + low : x; }
static inline Dual<V> at_least(Dual<V> x, S low) { return {at_least(x.v, low), where(x.v >= low, x.t)}; }

// log x for 0 < x: x = 2ⁿ m with √½ ≤ m < √2, log m = 2 artanh((m − 1)/(m + 1)).
enum { LOG_TERMS = SINGLE ? 5 : 11 };
static inline V logarithm(V x) {
  const B bits = SINGLE ? 23 : 52, bias = SINGLE ? 127 : 1023;
  VI all = (VI)x, n = (all >> bits) - bias;
  V m = (V)((all & (((B)1 << bits) - 1)) | (bias << bits));  // 1 ≤ m < 2
  VI large = m > (S)1.4142135623730951;
  m = large ? (S)0.5 * m : m;
  n -= large;  // a true lane is −1
  V power = __builtin_convertvector(n, V), t = (m - (S)1) / (m + (S)1), s = t * t, y = V{} + (S)(1.0 / (2 * LOG_TERMS + 1));
#pragma GCC unroll 16
  for (int k = LOG_TERMS - 1; k >= 0; k--) y = (S)(1.0 / (2 * k + 1)) + s * y;
  return power * (S)0.69314718055994531 + (S)2 * (t * y);
}
static inline Dual<V> logarithm(Dual<V> x) { return {logarithm(x.v), x.t * reciprocal(x.v)}; }

// x^ζ and ζ x^(ζ−1)
template <class X> static inline void power(X x, S zeta, X &p, X &low) {
  if (ZETA) {
    X y = Power<(ZETA > 0 ? ZETA - 1 : 0)>::of(x);
    low = zeta * y;
    p = y * x;
  } else {
    x = at_least(x, (S)1e-30);
    p = exponential(zeta * logarithm(x));
    low = zeta * (p * reciprocal(x));
  }
}

// f_c = exp(1 − 1/(1 − s)) as a function of s = x², and df_c/ds; where 1 − s is smaller, f_c is below the smallest number.
template <class X> static inline void smooth(X s, X &f, X &slope) {
  X over = reciprocal(at_least((S)1 - s, SINGLE ? (S)0.0115 : (S)0.00142));
  f = where(value(s) < (S)1, exponential((S)1 - over));
  slope = (S)-1 * (f * (over * over));
}
template <class X> static inline void fade(X s, X &f, X &slope) {
  if (SMOOTH) smooth(s, f, slope);
  else cutoff(s, f, slope);
}

// (½ + ½ cos(θ − θ_s))^ζ with cos θ = 0.95 × the cosine, and its derivative by the cosine, from cos θ_s and sin θ_s of all sections.
template <class X> static inline void sections(const S *angles, S zeta, X cosine, X *p, X *turn) {
  X x = (S)0.95 * cosine, rest = (S)1 - x * x, over = reciprocal_root(rest), root = rest * over, tangent = x * over;
  for (int z = 0; z < SECTIONS; z++) {
    S along = angles[z], across = angles[SECTIONS + z];
    X low;
    power((S)0.5 + ((S)0.5 * along) * x + ((S)0.5 * across) * root, zeta, p[z], low);
    turn[z] = (S)0.475 * (low * (along * plain(x, 1) - across * tangent));
  }
}
