// Whole vectors in and out of memory, and silu(z) = z σ(z) with its two derivatives.
#ifndef ADIABAT_GATES
#define ADIABAT_GATES
#include "vectors.h"
static inline V load(const S *p) { return *(const VU *)p; }
static inline void store(S *p, V x) { *(VU *)p = x; }

static inline V sigmoid(V z) {
  V e = exponential(z < 0 ? z : -z), s = (S)1 / ((S)1 + e);
  return z < 0 ? e * s : s;
}
static inline V silu_slope(V z) {
  V s = sigmoid(z);
  return s * ((S)1 + z * ((S)1 - s));
}
// The first derivative, and the second: σ′ (2 + z (1 − 2σ)) with σ′ = σ (1 − σ).
static inline V silu_slopes(V z, V &second) {
  V s = sigmoid(z), rest = (S)1 - s;
  second = s * rest * ((S)2 + z * (rest - s));
  return s * ((S)1 + z * rest);
}

static inline V root(V x) {
  for (int k = 0; k < W; k++) x[k] = std::sqrt(x[k]);
  return x;
}
#endif
