// One layer of scalars and vectors that pass messages (PaiNN): forth, back, and the way back itself taken back. Names and equations are
// those of polarizable_layer_op.py; rows y, z, x of vectors. What ends in b is a cotangent, what ends in t the tangent that the second
// derivative carries; `of_` are cotangents of what the way forth kept, got by `backward`, told by `double backward`. A null pointer:
// nobody gave it, or nobody asked.
#include "gates.h"
#include "products.h"

struct Layer {
  I atoms, C, paths, parts, intervals, kinds, threads;
  double cutoff, epsilon;
  const I *first, *j, *kind;
  const S *s, *v, *r, *table, *b1, *b2, *c1, *c2;
  S *z1, *phi, *w, *uv, *both, *dot, *z2, *a, *vn, *h1, *v1, *h2, *sn, *edges;
  const S *gs, *gv;
  S *ab, *h2b, *z2b, *bothb, *uvb, *s1b, *v1b, *phib, *wb, *h1b, *z1b, *vb, *rb, *tableb;
  const S *st, *vt, *rt;
  S *z1t, *h1t, *phit, *wt, *botht, *v1t, *uvt, *dott, *z2t, *h2t, *at, *snt, *vnt, *vtb, *edgest;
  S *of_z1, *of_phi, *of_w, *of_uv, *of_both, *of_dot, *of_z2, *of_a, *of_vn;
  const S *Phi1, *Phi2, *UV, *A1, *A2;  // matrices, and whether each lies column after column
  I Phi1_turned, Phi2_turned, UV_turned, A1_turned, A2_turned;
  S *Phi1b, *Phi2b, *UVb, *A1b, *A2b, *b1b, *b2b, *c1b, *c2b, *sb, *pack;
};

struct Weights {
  Weight Phi1, Phi2, UV, A1, A2;
  Weights(const Layer &a)
      : Phi1{a.Phi1, a.C, a.C, a.Phi1_turned != 0}, Phi2{a.Phi2, a.C, a.paths * a.C, a.Phi2_turned != 0},
        UV{a.UV, a.C, 2 * a.C, a.UV_turned != 0}, A1{a.A1, 2 * a.C, a.C, a.A1_turned != 0},
        A2{a.A2, a.C, a.parts * a.C, a.A2_turned != 0} {}
};

// What compiled code cannot survive, in the order of the messages in polarizable_layer_op.py; 0 if all is well.
static int check(const Layer &a, const I *i, I edges) {
  if (a.first[0] != 0 || a.first[a.atoms] != edges) return 1;
  for (I n = 0; n < a.atoms; n++) {
    if (a.first[n] > a.first[n + 1]) return 1;
    for (I e = a.first[n]; e < a.first[n + 1]; e++)
      if (i[e] != n) return 2;
  }
  for (I e = 0; e < edges; e++) {
    if (a.j[e] < 0 || a.j[e] >= a.atoms) return 3;
    if (a.kind[e] < 0 || a.kind[e] >= a.kinds) return 4;
    S square = a.r[3 * e] * a.r[3 * e] + a.r[3 * e + 1] * a.r[3 * e + 1] + a.r[3 * e + 2] * a.r[3 * e + 2];
    if (!(square - square == 0)) return 5;
  }
  return 0;
}

// `todo(atom, where its rows of C begin)` for all atoms and vectors of channels, atoms shared out.
template <class F> static inline void each(const Layer &a, F todo) {
#pragma omp parallel for num_threads(a.threads) schedule(static)
  for (I n = 0; n < a.atoms; n++)
    for (I c = 0; c < a.C; c += W) todo(n, c);
}

// ------------------------------------------------------------------------------------------------------------------ edges
enum { ALONE = -1, DONE = -2 };
template <class T> struct Edge {  // one below the cutoff: its splines, their slopes, its direction (rows y, z, x) and 1/d
  typename T::s w[4], slope[4], u[3], over;
  I row;      // of the table; −1 beyond the cutoff
  I partner;  // the edge back, which shares its splines and is done with it; DONE for that one; ALONE if there is none
};

static inline S inverse(S x) { return x == 0 ? 0 : 1 / x; }  // an edge of no length has no direction
static inline Dual<S> inverse(Dual<S> x) { S i = inverse(x.v); return {i, -i * i * x.t}; }
static inline S length(S square) { return std::sqrt(square); }
static inline Dual<S> length(Dual<S> x) { S d = std::sqrt(x.v); return {d, (S)0.5 * x.t * inverse(d)}; }
static inline S told(S x) { return x; }
static inline S told(Dual<S> x) { return x.t; }
static inline V told(V x) { return x; }
static inline V told(Dual<V> x) { return x.t; }
static inline V of(const S *p, I k) { return p ? *(const VU *)(p + k) : V{}; }
static inline void sums_of(const V *x, S *to) { totals(x, to, 4); }
static inline void sums_of(const Dual<V> *x, Dual<S> *to) {
  V v[4] = {x[0].v, x[1].v, x[2].v, x[3].v}, t[4] = {x[0].t, x[1].t, x[2].t, x[3].t};
  S all[8];
  totals(v, all, 4), totals(t, all + 4, 4);
  for (int k = 0; k < 4; k++) to[k] = {all[k], all[4 + k]};
}

template <class T> static inline Edge<T> *edges_of(const Layer &a);
template <> inline Edge<Values> *edges_of<Values>(const Layer &a) { return (Edge<Values> *)a.edges; }
template <> inline Edge<Tangents> *edges_of<Tangents>(const Layer &a) { return (Edge<Tangents> *)a.edgest; }

template <class T> static void locate(const Layer &a) {
  const S per = (S)(a.intervals / a.cutoff), sixth = (S)1 / 6, half = (S)1 / 2;
#pragma omp parallel for num_threads(a.threads) schedule(static)
  for (I e = 0; e < a.first[a.atoms]; e++) {
    Edge<T> &edge = edges_of<T>(a)[e];
    typename T::s r[3];
    for (int x = 0; x < 3; x++) r[x] = T::get({a.r, a.rt}, 3 * e + (x + 1) % 3);
    typename T::s d = length(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
    edge.row = -1, edge.partner = ALONE;
    if (!(T::value(d) < (S)a.cutoff)) continue;
    I k = std::min((I)(T::value(d) * per), a.intervals - 1);
    edge.row = a.kind[e] * (a.intervals + 3) + k, edge.over = inverse(d);
    for (int x = 0; x < 3; x++) edge.u[x] = r[x] * edge.over;
    typename T::s t = (S)(-k) + per * d, u = (S)1 - t, tt = t * t, uu = u * u;
    edge.w[0] = sixth * (uu * u), edge.w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
    edge.w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu), edge.w[3] = sixth * (tt * t);
    edge.slope[0] = (-half * per) * uu, edge.slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
    edge.slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u), edge.slope[3] = (half * per) * tt;
  }
}

static inline bool opposite(const S *r, I e, I back) {
  return r[3 * e] == -r[3 * back] && r[3 * e + 1] == -r[3 * back + 1] && r[3 * e + 2] == -r[3 * back + 2];
}

// Edges there and back are found by their vectors, which must be the same to the last bit: whose are not go alone.
static void forward_edges(const Layer &a) {
  locate<Values>(a);
  Edge<Values> *edges = edges_of<Values>(a);
#pragma omp parallel for num_threads(a.threads) schedule(static)
  for (I n = 0; n < a.atoms; n++)
    for (I e = a.first[n]; e < a.first[n + 1]; e++) {
      const I j = a.j[e];
      if (j <= n || edges[e].row < 0) continue;
      for (I back = a.first[j]; back < a.first[j + 1]; back++)
        if (a.j[back] == n && edges[back].row == edges[e].row && edges[back].partner == ALONE && opposite(a.r, e, back)) {
          edges[e].partner = back, edges[back].partner = DONE;
          break;
        }
    }
}

static void double_edges(const Layer &a) {
  locate<Tangents>(a);
  const Edge<Values> *edges = edges_of<Values>(a);
  Edge<Tangents> *moving = edges_of<Tangents>(a);
#pragma omp parallel for num_threads(a.threads) schedule(static)
  for (I e = 0; e < a.first[a.atoms]; e++) {
    const I back = edges[e].partner;
    if (back >= 0 && opposite(a.rt, e, back)) moving[e].partner = back, moving[back].partner = DONE;
  }
}

static const S ROOT3 = (S)1.7320508075688772;  // harmonics of l = 1 are √3 r̂

// Features have a tangent, or none (MOVING false): in the first layer nothing but the edges moves.
template <class T, bool MOVING> struct Read { static inline auto at(In x, I k) { return T::load(x, k); } };
template <class T> struct Read<T, false> { static inline V at(In x, I k) { return load(x.v + k); } };

// Sums over an atom's neighbors, and what it gives those of them whose edges back share its splines: NV vectors of channels from c
// on, added to the first half of rows 2C and to v1.
template <int P, int NV> static inline void sum(const Layer &a, I n, I c) {
  V s[NV], v[3][NV];
  for (int b = 0; b < NV; b++) {
    s[b] = load(a.both + 2 * n * a.C + c + b * W);
    for (int x = 0; x < 3; x++) v[x][b] = load(a.v1 + (3 * n + x) * a.C + c + b * W);
  }
  for (I e = a.first[n]; e < a.first[n + 1]; e++) {
    const Edge<Values> &edge = edges_of<Values>(a)[e];
    if (edge.row < 0 || edge.partner == DONE) continue;
    const I j = a.j[e];
    const S *R = a.table + edge.row * P * a.C + c, *phi = a.phi + j * P * a.C + c, *w = a.w + 3 * j * a.C + c;
    const S *own = a.phi + n * P * a.C + c, *ours = a.w + 3 * n * a.C + c;
#pragma GCC unroll 2
    for (int b = 0; b < NV; b++, R += W, phi += W, w += W, own += W, ours += W) {
      V f[P];
#pragma GCC unroll 3
      for (int p = 0; p < P; p++) {
        const S *at = R + p * a.C;
        f[p] = edge.w[0] * load(at) + edge.w[1] * load(at + P * a.C) + edge.w[2] * load(at + 2 * P * a.C) + edge.w[3] * load(at + 3 * P * a.C);
      }
      s[b] += f[0] * load(phi);
      V along = ROOT3 * f[1], q = along * load(phi + a.C);
#pragma GCC unroll 3
      for (int x = 0; x < 3; x++) {
        v[x][b] += edge.u[x] * q;
        if (P == 3) v[x][b] += f[P - 1] * load(w + x * a.C);
      }
      if (edge.partner < 0) continue;
      *(VU *)(a.both + 2 * j * a.C + c + b * W) += f[0] * load(own);
      q = along * load(own + a.C);
#pragma GCC unroll 3
      for (int x = 0; x < 3; x++) {
        V back = -edge.u[x] * q;
        if (P == 3) back += f[P - 1] * load(ours + x * a.C);
        *(VU *)(a.v1 + (3 * j + x) * a.C + c + b * W) += back;
      }
    }
  }
  for (int b = 0; b < NV; b++) {
    store(a.both + 2 * n * a.C + c + b * W, s[b]);
    for (int x = 0; x < 3; x++) store(a.v1 + (3 * n + x) * a.C + c + b * W, v[x][b]);
  }
}

// Atoms add to one another's rows, so that threads share channels, not atoms.
template <int P> static __attribute__((noinline)) void sums(const Layer &a) {
#pragma omp parallel num_threads(a.threads)
  {
    I b0, b1;
    share(a.C / W, b0, b1);
    for (I n = 0; n < a.atoms; n++) {
      I b = b0;
      for (; b + 2 <= b1; b += 2) sum<P, 2>(a, n, b * W);
      for (; b < b1; b++) sum<P, 1>(a, n, b * W);
    }
  }
}

// What cotangents of a center's sums and features of its neighbor make, W channels from c on; √3 u is the direction.
template <class T, bool MOVING, int P> struct Side {
  typedef decltype(Read<T, MOVING>::at(In(), 0)) X;
  const S *g;
  V s;
  X x0, x1, F0, F2;  // F are the cotangents of the splines
  typename T::v along, F1;
  I at, wat;

  inline __attribute__((always_inline)) Side(const Layer &a, I center, I neighbor, I c, const typename T::s *u)
      : g(a.v1b + 3 * center * a.C + c), s(load(a.s1b + center * a.C + c)), at(neighbor * P * a.C + c), wat(3 * neighbor * a.C + c) {
    x0 = Read<T, MOVING>::at({a.phi, a.phit}, at), x1 = Read<T, MOVING>::at({a.phi, a.phit}, at + a.C);
    along = u[0] * load(g) + u[1] * load(g + a.C) + u[2] * load(g + 2 * a.C);
    F0 = x0 * s, F1 = x1 * along;
    if (P == 3) F2 = w(a, 0) * load(g) + w(a, 1) * load(g + a.C) + w(a, 2) * load(g + 2 * a.C);
  }
  inline __attribute__((always_inline)) X w(const Layer &a, int x) const { return Read<T, MOVING>::at({a.w, a.wt}, wat + x * a.C); }

  // To `of` (d, and the three of √3 u), to the center's sums of tangents, to the neighbor's features.
  template <bool SUMS, bool EDGES, bool NODES>
  inline __attribute__((always_inline)) void tell(
      const Layer &a, I center, I c, const typename T::v *f, const typename T::v *slope, const typename T::s *u, typename T::v *of, S *phib, S *wb) {
    if (EDGES) {
      of[0] += slope[0] * F0, of[0] += slope[1] * F1;
      if (P == 3) of[0] += slope[P - 1] * F2;
    }
    if (EDGES || SUMS) {
      auto q = f[1] * x1;
      if (EDGES)
        for (int x = 0; x < 3; x++) of[1 + x] += q * load(g + x * a.C);
      if (SUMS) {
        *(VU *)(a.botht + 2 * center * a.C + c) += told(f[0] * x0);
        for (int x = 0; x < 3; x++) {
          V all = told(u[x] * q);
          if (P == 3) all += told(f[P - 1] * w(a, x));
          *(VU *)(a.v1t + (3 * center + x) * a.C + c) += all;
        }
      }
    }
    if (NODES) {
      *(VU *)(phib + at) += told(f[0] * s), *(VU *)(phib + at + a.C) += told(f[1] * along);
      if (P == 3)
        for (int x = 0; x < 3; x++) *(VU *)(wb + wat + x * a.C) += told(f[P - 1] * load(g + x * a.C));
    }
  }
};

// What an edge's vector gets of that; u = r/d: what is along u changes d alone.
template <class T> static inline void turned(const Edge<T> &edge, const typename T::v *of, S *rb) {
  typename T::s all[4];
  sums_of(of, all);
  auto along = ROOT3 * (all[1] * edge.u[0] + all[2] * edge.u[1] + all[3] * edge.u[2]);
  for (int x = 0; x < 3; x++) rb[(x + 1) % 3] += told(all[0] * edge.u[x] + (ROOT3 * all[1 + x] - edge.u[x] * along) * edge.over);
}

// From cotangents s1b [N, C] and v1b [N, 3, C] of the sums: added to edge vectors', to neighbors' features', to the table's. On the
// way, for SUMS, the sums' own tangents: what is read for the one serves the other.
template <class T, bool MOVING, int P, bool SUMS, bool EDGES, bool NODES, bool TABLE>
static __attribute__((noinline)) void gradients(const Layer &a, I n0, I n1, I c0, I c1, S *phib, S *wb) {
  typedef Side<T, MOVING, P> Side;
  for (I n = n0; n < n1; n++)
    for (I e = a.first[n]; e < a.first[n + 1]; e++) {
      const Edge<T> &edge = edges_of<T>(a)[e];
      if (edge.row < 0 || edge.partner == DONE) continue;
      const I j = a.j[e];
      const bool back = edge.partner >= 0;
      typename T::s u[3], from[3];
      for (int x = 0; x < 3; x++) u[x] = ROOT3 * edge.u[x], from[x] = -ROOT3 * edge.u[x];
      typename T::v of[4] = {}, ofback[4] = {};
      for (I c = c0; c < c1; c += W) {
        const S *R = a.table + edge.row * P * a.C + c;
        typename T::v f[P], slope[P];
#pragma GCC unroll 3
        for (int p = 0; p < P; p++, R += a.C) {
          V r0 = load(R), r1 = load(R + P * a.C), r2 = load(R + 2 * P * a.C), r3 = load(R + 3 * P * a.C);
          if (EDGES || SUMS || NODES) f[p] = edge.w[0] * r0 + edge.w[1] * r1 + edge.w[2] * r2 + edge.w[3] * r3;
          if (EDGES) slope[p] = edge.slope[0] * r0 + edge.slope[1] * r1 + edge.slope[2] * r2 + edge.slope[3] * r3;
        }
        Side here(a, n, j, c, u);
        here.template tell<SUMS, EDGES, NODES>(a, n, c, f, slope, u, of, phib, wb);
        if (back) {
          Side there(a, j, n, c, from);
          there.template tell<SUMS, EDGES, NODES>(a, j, c, f, slope, from, ofback, phib, wb);
          here.F0 += there.F0, here.F1 += there.F1;
          if (P == 3) here.F2 += there.F2;
        }
        if (TABLE) {
          S *to = a.tableb + edge.row * P * a.C + c;
#pragma GCC unroll 4
          for (int q = 0; q < 4; q++, to += P * a.C) {
            *(VU *)to += told(edge.w[q] * here.F0), *(VU *)(to + a.C) += told(edge.w[q] * here.F1);
            if (P == 3) *(VU *)(to + 2 * a.C) += told(edge.w[q] * here.F2);
          }
        }
      }
      if (EDGES) {
        turned(edge, of, a.rb + 3 * e);
        if (back) turned(edges_of<T>(a)[edge.partner], ofback, a.rb + 3 * edge.partner);
      }
    }
}

// Features and tables collect from many edges: one sweep on one thread; with several, edges are shared out first, and then channels,
// so that no two threads add to one number and every sum has one order for any number of threads.
template <class T, bool MOVING, int P, bool SUMS, bool EDGES, bool NODES, bool TABLE> static void collect(const Layer &a, S *phib, S *wb) {
  if (a.threads == 1) return gradients<T, MOVING, P, SUMS, EDGES, NODES, TABLE>(a, 0, a.atoms, 0, a.C, phib, wb);
#pragma omp parallel num_threads(a.threads)
  {
    if (EDGES) {
#pragma omp for schedule(static)
      for (I n = 0; n < a.atoms; n++) gradients<T, MOVING, P, false, true, false, false>(a, n, n + 1, 0, a.C, phib, wb);
    }
    I b0, b1;
    share(a.C / W, b0, b1);
    if ((SUMS || NODES || TABLE) && b0 < b1)
      gradients<T, MOVING, P, SUMS, false, NODES, TABLE>(a, 0, a.atoms, b0 * W, b1 * W, phib, wb);
  }
}

template <class T, bool MOVING, int P, bool SUMS> static void collect(const Layer &a, S *phib, S *wb) {
  switch ((a.rb ? 4 : 0) + (phib ? 2 : 0) + (a.tableb ? 1 : 0)) {
    case 0: return collect<T, MOVING, P, SUMS, false, false, false>(a, phib, wb);
    case 1: return collect<T, MOVING, P, SUMS, false, false, true>(a, phib, wb);
    case 2: return collect<T, MOVING, P, SUMS, false, true, false>(a, phib, wb);
    case 3: return collect<T, MOVING, P, SUMS, false, true, true>(a, phib, wb);
    case 4: return collect<T, MOVING, P, SUMS, true, false, false>(a, phib, wb);
    case 5: return collect<T, MOVING, P, SUMS, true, false, true>(a, phib, wb);
    case 6: return collect<T, MOVING, P, SUMS, true, true, false>(a, phib, wb);
    case 7: return collect<T, MOVING, P, SUMS, true, true, true>(a, phib, wb);
  }
}

// ------------------------------------------------------------------------------------------------------------------ forth
static void hidden(const Layer &a, S *z, const S *bias, S *h) {
  each(a, [&](I n, I c) {
    V x = load(z + n * a.C + c) + load(bias + c);
    store(z + n * a.C + c, x), store(h + n * a.C + c, x * sigmoid(x));
  });
}
static void forward_first(const Layer &a) { hidden(a, a.z1, a.b1, a.h1); }
static void forward_second(const Layer &a) { hidden(a, a.z2, a.c1, a.h2); }

static void forward_message(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    S *phi = a.phi + n * a.paths * C + c;
    for (I p = 0; p < a.paths; p++) *(VU *)(phi + p * C) += load(a.b2 + p * C + c);
    store(a.both + 2 * n * C + c, load(a.s + n * C + c));  // the sums over edges are added to these
    for (int x = 0; x < 3; x++) {
      const I k = (3 * n + x) * C + c;
      V v = load(a.v + k);
      store(a.v1 + k, v);
      if (a.paths == 3) store(a.w + k, load(phi + 2 * C) * v);
    }
  });
  a.paths == 3 ? sums<3>(a) : sums<2>(a);
}

static void forward_products(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    const S *uv = a.uv + 6 * n * C + c;
    V dot = {}, norm = V{} + (S)a.epsilon;
    for (int x = 0; x < 3; x++, uv += 2 * C) {
      V Vv = load(uv + C);
      dot += load(uv) * Vv, norm += Vv * Vv;
    }
    store(a.dot + n * C + c, dot), store(a.both + (2 * n + 1) * C + c, root(norm));
  });
}

static void forward_update(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    S *at = a.a + n * a.parts * C + c;
    for (I p = 0; p < a.parts; p++) *(VU *)(at + p * C) += load(a.c2 + p * C + c);
    store(a.sn + n * C + c, load(a.both + 2 * n * C + c) + load(at) + load(at + C) * load(a.dot + n * C + c));
    for (int x = 0; x < 3; x++) {
      V v = load(a.v1 + (3 * n + x) * C + c);
      store(a.vn + (3 * n + x) * C + c, a.parts == 3 ? v + load(at + 2 * C) * load(a.uv + (6 * n + 2 * x) * C + c) : v);
    }
  });
}

// ------------------------------------------------------------------------------------------------------------------- back
static void backward_update(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    const I at = n * a.parts * C + c;
    V s = of(a.gs, n * C + c);
    store(a.ab + at, s + of(a.of_a, at)), store(a.ab + at + C, s * load(a.dot + n * C + c) + of(a.of_a, at + C));
    if (a.parts == 2) return;
    V last = of(a.of_a, at + 2 * C);
    for (int x = 0; x < 3; x++) last += of(a.gv, (3 * n + x) * C + c) * load(a.uv + (6 * n + 2 * x) * C + c);
    store(a.ab + at + 2 * C, last);
  });
}

static void sloped(const Layer &a, const S *z, const S *hb, const S *of_z, S *zb) {
  each(a, [&](I n, I c) {
    const I k = n * a.C + c;
    store(zb + k, load(hb + k) * silu_slope(load(z + k)) + of(of_z, k));
  });
}
static void backward_second(const Layer &a) { sloped(a, a.z2, a.h2b, a.of_z2, a.z2b); }
static void backward_first(const Layer &a) { sloped(a, a.z1, a.h1b, a.of_z1, a.z1b); }

// v1b begins with what comes past the update; its matrix product is added to that.
static void backward_products(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    const I k = n * C + c, half = (2 * n + 1) * C + c;
    const S *at = a.a + n * a.parts * C + c;
    V s = of(a.gs, k), dotb = s * load(at + C) + of(a.of_dot, k), per = (load(a.bothb + half) + of(a.of_both, half)) / load(a.both + half);
    store(a.s1b + k, s + load(a.bothb + 2 * n * C + c));
    for (int x = 0; x < 3; x++) {
      const I u = (6 * n + 2 * x) * C + c, v = (3 * n + x) * C + c;
      V Uv = load(a.uv + u), Vv = load(a.uv + u + C), g = of(a.gv, v), Ub = dotb * Vv + of(a.of_uv, u);
      if (a.parts == 3) Ub += g * load(at + 2 * C);
      store(a.uvb + u, Ub), store(a.uvb + u + C, dotb * Uv + per * Vv + of(a.of_uv, u + C)), store(a.v1b + v, g);
    }
  });
}

// phib and wb begin with what else is told of them.
static void backward_message(const Layer &a) {
  const I C = a.C;
  if (a.paths == 3) collect<Values, false, 3, false>(a, a.phib, a.wb);
  else collect<Values, false, 2, false>(a, a.phib, a.wb);
  if (a.paths == 2 || !a.phib) return;
  each(a, [&](I n, I c) {
    V last = load(a.phib + (3 * n + 2) * C + c), phi = load(a.phi + (3 * n + 2) * C + c);
    for (int x = 0; x < 3; x++) {
      const I k = (3 * n + x) * C + c;
      V w = load(a.wb + k);
      last += w * load(a.v + k);
      if (a.vb) store(a.vb + k, load(a.v1b + k) + phi * w);
    }
    store(a.phib + (3 * n + 2) * C + c, last);
  });
}

// --------------------------------------------------------------------------------------------------- the way back, taken back
static void twice_sloped(const Layer &a, const S *z, const S *hb, const S *zt, S *ht, S *of_z) {
  each(a, [&](I n, I c) {
    const I k = n * a.C + c;
    V second, slope = silu_slopes(load(z + k), second), t = load(zt + k);
    store(ht + k, t * slope), store(of_z + k, t * load(hb + k) * second);
  });
}
static void double_first(const Layer &a) { twice_sloped(a, a.z1, a.h1b, a.z1t, a.h1t, a.of_z1); }
static void double_second(const Layer &a) { twice_sloped(a, a.z2, a.h2b, a.z2t, a.h2t, a.of_z2); }

static void double_message(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    store(a.botht + 2 * n * C + c, of(a.st, n * C + c));  // the sums over edges are added to these
    V phi = {}, phit = {}, last = {};
    const bool moving = a.phit && a.paths == 3;
    if (moving) phi = load(a.phi + (3 * n + 2) * C + c), phit = load(a.phit + (3 * n + 2) * C + c);
    for (int x = 0; x < 3; x++) {
      const I k = (3 * n + x) * C + c;
      V vt = of(a.vt, k);
      store(a.v1t + k, vt);
      if (!moving) continue;
      V w = load(a.wb + k);
      store(a.wt + k, phit * load(a.v + k) + phi * vt);
      last += vt * w;
      if (a.vtb) store(a.vtb + k, phit * w);
    }
    for (I p = 0; p < a.paths; p++) store(a.of_phi + (a.paths * n + p) * C + c, p == 2 ? last : V{});
    if (a.paths == 3)
      for (int x = 0; x < 3; x++) store(a.of_w + (3 * n + x) * C + c, V{});
  });
  if (a.phit && a.paths == 3) collect<Tangents, true, 3, true>(a, a.of_phi, a.of_w);
  else if (a.phit) collect<Tangents, true, 2, true>(a, a.of_phi, a.of_w);
  else if (a.paths == 3) collect<Tangents, false, 3, true>(a, a.of_phi, a.of_w);
  else collect<Tangents, false, 2, true>(a, a.of_phi, a.of_w);
}

static void double_products(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    const I k = n * C + c, half = (2 * n + 1) * C + c, at = n * a.parts * C + c;
    V s = of(a.gs, k), dotb = s * load(a.a + at + C), norm = load(a.both + half), per = load(a.bothb + half) / norm;
    V dott = {}, along = {}, last = {};
    for (int x = 0; x < 3; x++) {
      const I u = (6 * n + 2 * x) * C + c;
      V Uv = load(a.uv + u), Vv = load(a.uv + u + C), Ut = load(a.uvt + u), Vt = load(a.uvt + u + C);
      dott += Ut * Vv + Uv * Vt, along += Vt * Vv, last += Ut * of(a.gv, (3 * n + x) * C + c);
      store(a.of_uv + u, Vt * dotb), store(a.of_uv + u + C, Ut * dotb + Vt * per);
    }
    store(a.dott + k, dott), store(a.botht + half, along / norm);
    store(a.of_both + half - C, V{}), store(a.of_both + half, -(along * per) / norm);
    store(a.of_a + at, V{}), store(a.of_a + at + C, dott * s);
    if (a.parts == 3) store(a.of_a + at + 2 * C, last);
  });
}

static void double_update(const Layer &a) {
  const I C = a.C;
  each(a, [&](I n, I c) {
    const I k = n * C + c;
    const S *at = a.a + n * a.parts * C + c, *t = a.at + n * a.parts * C + c;
    store(a.snt + k, load(a.botht + 2 * n * C + c) + load(t) + load(t + C) * load(a.dot + k) + load(at + C) * load(a.dott + k));
    store(a.of_dot + k, load(t + C) * of(a.gs, k));
    for (int x = 0; x < 3; x++) {
      const I v = (3 * n + x) * C + c, u = (6 * n + 2 * x) * C + c;
      V vt = load(a.v1t + v);
      if (a.parts == 3) {
        vt += load(t + 2 * C) * load(a.uv + u) + load(at + 2 * C) * load(a.uvt + u);
        *(VU *)(a.of_uv + u) += load(t + 2 * C) * of(a.gv, v);
      }
      store(a.vnt + v, vt);
    }
  });
}

// ------------------------------------------------------------------------------------------------------------ whole ways
static void forward_layer(const Layer &a) {
  const Weights w(a);
  const I N = a.atoms;
  times(a.threads, a.s, w.Phi1, false, a.z1, N, a.pack);
  forward_first(a);
  times(a.threads, a.h1, w.Phi2, false, a.phi, N, a.pack);
  forward_message(a);
  times(a.threads, a.v1, w.UV, false, a.uv, 3 * N, a.pack);
  forward_products(a);
  times(a.threads, a.both, w.A1, false, a.z2, N, a.pack);
  forward_second(a);
  times(a.threads, a.h2, w.A2, false, a.a, N, a.pack);
  forward_update(a);
}

// Without phib nobody asks beyond the sums over edges, without h1b nobody beyond φ.
static void backward_layer(const Layer &a) {
  const Weights w(a);
  const I N = a.atoms, C = a.C, sums = (a.paths + (a.paths == 3 ? 3 : 0)) * N * C;  // φ and w follow each other
  if (a.phib && a.of_phi) std::copy_n(a.of_phi, sums, a.phib);
  else if (a.phib) std::fill_n(a.phib, sums, (S)0);
  backward_update(a);
  times(a.threads, a.ab, w.A2, true, a.h2b, N, a.pack);
  backward_second(a);
  times(a.threads, a.z2b, w.A1, true, a.bothb, N, a.pack);
  backward_products(a);
  times(a.threads, a.uvb, w.UV, true, a.v1b, 3 * N, a.pack, true);
  backward_message(a);
  if (a.h1b) {
    times(a.threads, a.phib, w.Phi2, true, a.h1b, N, a.pack);
    backward_first(a);
  }
  if (a.sb) {
    std::copy_n(a.s1b, N * C, a.sb);
    times(a.threads, a.z1b, w.Phi1, true, a.sb, N, a.pack, true);
  }
  outer(a.threads, a.s, a.z1b, w.Phi1, N, a.Phi1b), added(a.z1b, N, C, a.b1b);
  outer(a.threads, a.h1, a.phib, w.Phi2, N, a.Phi2b), added(a.phib, N, a.paths * C, a.b2b);
  outer(a.threads, a.v1, a.uvb, w.UV, 3 * N, a.UVb);
  outer(a.threads, a.both, a.z2b, w.A1, N, a.A1b), added(a.z2b, N, C, a.c1b);
  outer(a.threads, a.h2, a.ab, w.A2, N, a.A2b), added(a.ab, N, a.parts * C, a.c2b);
}

static void double_layer(const Layer &a) {
  const Weights w(a);
  const I N = a.atoms;
  if (a.st) {
    times(a.threads, a.st, w.Phi1, false, a.z1t, N, a.pack);
    double_first(a);
    times(a.threads, a.h1t, w.Phi2, false, a.phit, N, a.pack);
  }
  double_message(a);
  times(a.threads, a.v1t, w.UV, false, a.uvt, 3 * N, a.pack);
  double_products(a);
  times(a.threads, a.botht, w.A1, false, a.z2t, N, a.pack);
  double_second(a);
  times(a.threads, a.h2t, w.A2, false, a.at, N, a.pack);
  double_update(a);
  outer(a.threads, a.st, a.z1b, w.Phi1, N, a.Phi1b), outer(a.threads, a.h1t, a.phib, w.Phi2, N, a.Phi2b);
  outer(a.threads, a.v1t, a.uvb, w.UV, 3 * N, a.UVb), outer(a.threads, a.botht, a.z2b, w.A1, N, a.A1b);
  outer(a.threads, a.h2t, a.ab, w.A2, N, a.A2b);
}
