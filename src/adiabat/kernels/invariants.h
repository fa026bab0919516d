// NEP's descriptors of one atom: its neighbors' sums mixed by learned coefficients, and what turns with nothing made of them. What
// descriptor.h is for symmetry functions. MIXED, TURNING (numbers of both kinds of mixed functions) and PRODUCTS are defined above.
#include "chebyshev.h"
enum { VECTORS = (TURNING + W - 1) / W, WIDE = VECTORS * W, WIDE_MIXED = (MIXED + W - 1) / W * W };

template <class X> static inline void invariants(const X *a, X *q);                    // generated: l = 1…, then products
template <class X> static inline void cotangents(const X *a, const X *g, X *ab);       // generated

struct Functions {
  I kinds, columns;
  double cutoff;
  const S *eta, *center, *width;  // ranges [2, kinds, kinds]; mixing [kinds, kinds, RADIAL, WIDE_MIXED], [kinds, kinds, ANGULAR, WIDE]
};

struct Atom : Center<Values> {
  S *numbers;
  I room = 0, kind = 0;
  S A[ROWS * WIDE + 1];
  static I numbers_for(I) { return 0; }
};
struct Back {
  S *numbers;
  I size, room;
  static I numbers_for(I) { return 0; }
};

static inline V at(const S *p, I i) { return *(const VU *)(p + i); }
static inline void put(S *p, I i, V x) { *(VU *)(p + i) = x; }

struct Descriptor {
  const Functions &a;
  Descriptor(const Functions &a) : a(a) {}
  const S *range(I kind) const { return a.eta + kind * a.kinds; }
  const S *shorter(I kind) const { return a.eta + (a.kinds + kind) * a.kinds; }
  const S *mixed(I kind, I s) const { return a.center + (kind * a.kinds + s) * (RADIAL * WIDE_MIXED); }
  const S *turning(I kind, I s) const { return a.width + (kind * a.kinds + s) * (ANGULAR * WIDE); }

  // The edges below the cutoff; false if one is nowhere (`fault` 5) or has no length (6).
  bool gather(Atom &c, const Call &in, const I *kind, I center, int &fault) const {
    for (I e = in.first[center]; e < in.first[center + 1]; e++) {
      const double *x = in.r + 3 * e;
      double d2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
      if (!(d2 - d2 == 0)) return fault = 5, false;
      if (!(d2 > 0)) return fault = 6, false;
    }
    c.kind = kind[in.numbers[center]];
    c.gather(in.first[center], in.first[center + 1], a.kinds, range(c.kind), shorter(c.kind),
             [&](I e, int x) { return (S)in.r[3 * e + x]; }, [&](I e) { return kind[in.numbers[in.j[e]]]; });
    for (int x = 0; x < 3; x++) {
      S *r = c.r(x).v;
      for (I k = 0; k < c.n; k++) r[k] = (S)in.r[3 * c.edge[k] + x];
      for (I k = c.n; k < c.size; k++) r[k] = 1;
    }
    return true;
  }

  // All descriptors of an atom into `out`, which has room for W numbers more.
  void forward(Atom &c, S *out) const {
    V q[WIDE_MIXED / W] = {};
    for (I k = 0; k < ROWS * WIDE; k += W) put(c.A, k, V{});
    for (I s = 0; s < a.kinds; s++) {
      if (c.all(s).from == c.all(s).to) continue;
      V alone[RADIAL] = {}, turned[TURNED + 1] = {};
      S numbers[RADIAL + TURNED + 1], *rest = numbers + RADIAL;
      c.sums(s, range(c.kind)[s], shorter(c.kind)[s], alone, turned);
      totals(alone, numbers, RADIAL);
      const S *mix = mixed(c.kind, s), *turn = turning(c.kind, s);
      for (int k = 0; k < RADIAL; k++)
        for (int v = 0; v < WIDE_MIXED / W; v++) q[v] += numbers[k] * at(mix, k * WIDE_MIXED + v * W);
      if (c.near(s).from == c.near(s).to) continue;
      totals(turned, rest, TURNED);
      for (int v = 0; v < VECTORS; v++)
        for (int m = 0; m < ROWS; m++) {
          V sum = at(c.A, m * WIDE + v * W);
          for (int k = 0; k < ANGULAR; k++) sum += rest[k * ROWS + m] * at(turn, k * WIDE + v * W);
          put(c.A, m * WIDE + v * W, sum);
        }
    }
    for (int v = 0; v < WIDE_MIXED / W; v++) put(out, v * W, q[v]);
    for (int v = 0; v < VECTORS; v++) {
      V A[ROWS + 1], found[PRODUCTS + 1];
      for (int m = 0; m < ROWS; m++) A[m] = at(c.A, m * WIDE + v * W);
      invariants(A, found);
      for (int p = 0; p < PRODUCTS; p++)
        for (int n = v * W; n < TURNING && n < v * W + W; n++) out[MIXED + p * TURNING + n] = found[p][n - v * W];
    }
  }

  // ∂⟨g, q⟩/∂r of the atom's edges into rb [edges, 3]; those beyond the cutoff keep what they have.
  void backward(Atom &c, const Back &, const S *g, S *rb) const {
    S Ab[TURNING * ROWS + 1];
    for (int v = 0; v < VECTORS; v++) {
      V A[ROWS + 1], gs[PRODUCTS + 1] = {}, found[ROWS + 1] = {};
      for (int m = 0; m < ROWS; m++) A[m] = at(c.A, m * WIDE + v * W);
      for (int p = 0; p < PRODUCTS; p++)
        for (int n = v * W; n < TURNING && n < v * W + W; n++) gs[p][n - v * W] = g[MIXED + p * TURNING + n];
      cotangents(A, gs, found);
      for (int n = v * W; n < TURNING && n < v * W + W; n++)
        for (int m = 0; m < ROWS; m++) Ab[n * ROWS + m] = found[m][n - v * W];
    }
    for (I s = 0; s < a.kinds; s++) {
      if (c.all(s).from == c.all(s).to) continue;
      const S *mix = mixed(c.kind, s), *turn = turning(c.kind, s);
      S alone[RADIAL], turned[TURNED + 1];
      for (int k = 0; k < RADIAL; k++) {
        alone[k] = 0;
        for (int n = 0; n < MIXED; n++) alone[k] += mix[k * WIDE_MIXED + n] * g[n];
      }
      for (int k = 0; k < ANGULAR; k++) {
        S sum[ROWS + 1] = {};
        for (int n = 0; n < TURNING; n++)
          for (int m = 0; m < ROWS; m++) sum[m] += turn[k * WIDE + n] * Ab[n * ROWS + m];
        for (int m = 0; m < ROWS; m++) turned[k * ROWS + m] = sum[m];
      }
      c.pull(s, range(c.kind)[s], shorter(c.kind)[s], alone, turned, [&](I k, I lanes, const V *found) {
        for (I l = 0; l < lanes; l++)
          for (int x = 0; x < 3; x++) rb[3 * c.edge[k + l] + x] = found[x][l];
      });
    }
  }
};
