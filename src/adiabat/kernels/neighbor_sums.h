// The sums of chebyshev.h as an operation on all centers. The species of an edge is a pair: center × species + neighbor; `eta` and
// `center` are the ranges of pairs.
#include "vectors.h"
#include "chebyshev.h"

template <class T> struct Kernel {
  typedef typename T::v X;
  const Symmetry &a;
  Center<T> &c;
  I species, columns;

  Kernel(const Symmetry &a, Center<T> &c) : a(a), c(c) {
    for (species = 1; species * species < a.kinds;) species++;
    columns = species * (RADIAL + TURNED);
  }
  // The place of a pair of this center's element, and the edges gathered.
  I gather(I n) {
    I from = a.first[n], to = a.first[n + 1], pair = from < to ? a.species[from] / species * species : 0;
    c.gather(from, to, species, a.eta + pair, a.center + pair, [&](I e, int x) { return a.r[3 * e + x]; },
             [&](I e) { return a.species[e] - pair; });
    for (int x = 0; x < 3; x++)
      for (I k = 0; k < c.size; k++) {
        I e = k < c.n ? 3 * c.edge[k] + x : 0;
        set(c.r(x), k, k < c.n ? a.r[e] : (S)1, k < c.n && Center<T>::DUAL > 1 ? a.rt[e] : (S)0, X{});
      }
    return pair;
  }
  void forward(I n) {
    I pair = gather(n);
    S *out = a.out + n * columns, *rest = out + species * RADIAL;
    for (I s = 0; s < species; s++) {
      X alone[RADIAL] = {}, turned[TURNED + 1] = {};
      c.sums(s, a.eta[pair + s], a.center[pair + s], alone, turned);
      for (int q = 0; q < RADIAL; q++) out[s * RADIAL + q] = T::sum(alone[q]);
      for (int m = 0; m < ROWS; m++)
        for (int q = 0; q < ANGULAR; q++) rest[(m * species + s) * ANGULAR + q] = T::sum(turned[q * ROWS + m]);
    }
  }
  void backward(I n) {
    I pair = gather(n);
    const S *g = a.g + n * columns, *rest = g + species * RADIAL;
    for (I s = 0; s < species; s++) {
      S turned[TURNED + 1];
      for (int m = 0; m < ROWS; m++)
        for (int q = 0; q < ANGULAR; q++) turned[q * ROWS + m] = rest[(m * species + s) * ANGULAR + q];
      c.pull(s, a.eta[pair + s], a.center[pair + s], g + s * RADIAL, turned, [&](I k, I lanes, const X *rb) {
        for (int x = 0; x < 3; x++) {
          V found = T::out(rb[x]);
          for (I l = 0; l < lanes; l++) a.rb[3 * c.edge[k + l] + x] = found[l];
        }
      });
    }
  }
};

#include "centers.h"
