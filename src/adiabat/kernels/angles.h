// What ANI's functions are made of, on whole vectors: powers that are no whole numbers, the smooth cutoff, sections of the angle.
// ZETA (0: not a whole number), SECTIONS and SMOOTH are defined above.
#include "logarithm.h"

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
