// What every generated kernel stands on: channels as SIMD lanes (GCC/Clang vector extensions), and dual numbers.
// ADIABAT_SCALAR (float, double) and ADIABAT_BYTES (16, 32, 64) come from the command line.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef ADIABAT_SCALAR S;
typedef int64_t I;
enum { W = ADIABAT_BYTES / sizeof(S) };
typedef S V __attribute__((vector_size(ADIABAT_BYTES)));
typedef S VU __attribute__((vector_size(ADIABAT_BYTES), aligned(sizeof(S)), may_alias));

// a + εb with ε² = 0: run on duals, a kernel gives the derivative of its outputs along the tangents of its inputs.
template <class X> struct Dual { X v, t; };
template <class X> static inline Dual<X> operator+(Dual<X> a, Dual<X> b) { return {a.v + b.v, a.t + b.t}; }
template <class X> static inline Dual<X> operator-(Dual<X> a, Dual<X> b) { return {a.v - b.v, a.t - b.t}; }
template <class X> static inline Dual<X> operator*(Dual<X> a, Dual<X> b) { return {a.v * b.v, a.v * b.t + a.t * b.v}; }
template <class X> static inline Dual<X> operator*(S a, Dual<X> b) { return {a * b.v, a * b.t}; }
template <class X> static inline Dual<X> operator+(S a, Dual<X> b) { return {a + b.v, b.t}; }
template <class X> static inline Dual<X> operator-(S a, Dual<X> b) { return {a - b.v, -b.t}; }
template <class X> static inline void operator+=(Dual<X> &a, Dual<X> b) { a.v += b.v; a.t += b.t; }
static inline Dual<V> operator*(Dual<S> a, Dual<V> b) { return {a.v * b.v, a.v * b.t + a.t * b.v}; }
static inline Dual<V> operator*(Dual<S> a, V b) { return {a.v * b, a.t * b}; }
static inline Dual<V> operator*(Dual<V> a, V b) { return {a.v * b, a.t * b}; }
static inline Dual<V> operator*(V a, Dual<V> b) { return {a * b.v, a * b.t}; }

// Sums of all lanes, in one fixed order: halves are added down to four lanes, then four vectors are summed by transposing them.
template <int N> struct Lanes { typedef S type __attribute__((vector_size(N * sizeof(S)))); };
typedef Lanes<4>::type Four;
template <int N> struct Fold {
  static inline Four four(typename Lanes<N>::type x) {
    typename Lanes<N / 2>::type half[2];
    __builtin_memcpy(half, &x, sizeof(x));
    return Fold<N / 2>::four(half[0] + half[1]);
  }
};
template <> struct Fold<4> { static inline Four four(Four x) { return x; } };
template <> struct Fold<2> { static inline Four four(Lanes<2>::type x) { return Four{x[0], x[1], 0, 0}; } };
static inline S total(V x) {
  Four q = Fold<W>::four(x);
  return (q[0] + q[2]) + (q[1] + q[3]);
}
static inline void totals(const V *x, S *to, int n) {
  int k = 0;
  for (; k + 4 <= n; k += 4) {
    Four a = Fold<W>::four(x[k]), b = Fold<W>::four(x[k + 1]), c = Fold<W>::four(x[k + 2]), d = Fold<W>::four(x[k + 3]);
    Four ab = Four{a[0], b[0], a[1], b[1]} + Four{a[2], b[2], a[3], b[3]}, cd = Four{c[0], d[0], c[1], d[1]} + Four{c[2], d[2], c[3], d[3]};
    Four all = Four{ab[0], ab[1], cd[0], cd[1]} + Four{ab[2], ab[3], cd[2], cd[3]};
    __builtin_memcpy(to + k, &all, sizeof(all));
  }
  for (; k < n; k++) to[k] = total(x[k]);
}

struct In { const S *v, *t; };  // an argument and its tangent

struct Values {  // plain evaluation
  typedef S s;
  typedef V v;
  static inline S value(s x) { return x; }
  static inline s get(In a, I i) { return a.v[i]; }
  static inline v load(In a, I i) { return *(const VU *)(a.v + i); }
  static inline s lane(const v &x, int k) { return x[k]; }
  static inline void set(v &x, int k, s y) { x[k] = y; }
  static inline void put(S *o, I i, v x) { *(VU *)(o + i) = x; }
  static inline void add(S *o, I i, v x) { *(VU *)(o + i) += x; }
  static inline S sum(v x) { return total(x); }
  static inline void sums(const v *x, S *to, int n) { totals(x, to, n); }
  static inline V out(v x) { return x; }
  static inline v one() { return V{} + 1; }
};

struct Tangents {  // evaluation on duals; what is stored is the tangent
  typedef Dual<S> s;
  typedef Dual<V> v;
  static inline S value(s x) { return x.v; }
  static inline s get(In a, I i) { return {a.v[i], a.t[i]}; }
  static inline v load(In a, I i) { return {*(const VU *)(a.v + i), *(const VU *)(a.t + i)}; }
  static inline s lane(const v &x, int k) { return {x.v[k], x.t[k]}; }
  static inline void set(v &x, int k, s y) { x.v[k] = y.v; x.t[k] = y.t; }
  static inline void put(S *o, I i, v x) { *(VU *)(o + i) = x.t; }
  static inline void add(S *o, I i, v x) { *(VU *)(o + i) += x.t; }
  static inline S sum(v x) { return total(x.t); }
  static inline void sums(const v *x, S *to, int n) {
    for (int k = 0; k < n; k++) to[k] = total(x[k].t);
  }
  static inline V out(v x) { return x.t; }
  static inline v one() { return {V{} + 1, V{}}; }
};

static inline V fixed(const S *p, I i) { return *(const VU *)(p + i); }  // an argument that has no tangent

// The share of `blocks` that this thread of a team owns.
static inline void share(I blocks, I &from, I &to) {
#ifdef _OPENMP
  I n = omp_get_num_threads(), k = omp_get_thread_num();
#else
  I n = 1, k = 0;
#endif
  from = blocks * k / n;
  to = blocks * (k + 1) / n;
}

// Within a parallel region: an exception that left it would end the process. Memory that is not there is 7, as the
// lists of messages count.
template <class F> static void safely(int &fault, F todo) {
  try {
    todo();
  } catch (const std::bad_alloc &) {
#pragma omp atomic write
    fault = 7;
  }
}

// The same, of what says by a number that something was wrong.
template <class F> static void told(int &fault, F todo) {
  safely(fault, [&] {
    if (int found = todo()) {
#pragma omp atomic write
      fault = found;
    }
  });
}
