// Logarithms of whole vectors, and what they are taken with.
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
