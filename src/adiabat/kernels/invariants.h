// NEP's descriptors of one atom: its neighbors' sums mixed by learned coefficients, and what turns with nothing made of them. What
// descriptor.h is for symmetry functions. MIXED, TURNING (numbers of both kinds of mixed functions) and PRODUCTS are defined above.
//
// Functions and harmonics are worked out with neighbors as lanes, whatever their elements; sums over the neighbors of one element with
// harmonics as lanes, so that few neighbors of many elements leave none empty.
#include "chebyshev.h"
enum { HIGH = (ROWS + W - 1) / W, TALL = HIGH * W, VECTORS = (TURNING + W - 1) / W, WIDE = VECTORS * W, WIDE_MIXED = (MIXED + W - 1) / W * W };
enum { EDGE = 6 + 2 * RADIAL + 2 * ANGULAR };

template <class X> static inline void invariants(const X *a, X *q);               // generated: l = 1…, then products
template <class X> static inline void cotangents(const X *a, const X *g, X *ab);  // generated

struct Functions {
  I kinds, columns;
  double cutoff;
  const S *eta, *center, *width;  // ranges [2, kinds, kinds]; mixing [kinds, kinds, RADIAL, WIDE_MIXED], [kinds, kinds, ANGULAR, WIDE]
};

static inline V at(const S *p, I i) { return *(const VU *)(p + i); }
static inline void put(S *p, I i, V x) { *(VU *)(p + i) = x; }

// Edges: near ones of every species, then far ones. Rows of numbers of edges; harmonics of near ones, [edge, TALL].
struct Atom : Center<Values> {
  S *numbers;
  I room = 0, kind = 0, kinds = 0;
  std::vector<S> kept, tall;
  S A[TURNING * TALL + 1], lanes[ROWS * WIDE + 1];  // [n, rows] and [row, n]
  S *row(I k) { return kept.data() + k * size; }
  S *u(int x) { return row(x); }
  S *over() { return row(3); }
  S *per() { return row(4); }        // 1/range
  S *shorter() { return row(5); }    // 1/shorter; then, on the way back, what pulls along the edge
  S *f(int k) { return row(6 + k); }                                // radial functions, slopes
  S *slope(int k) { return row(6 + RADIAL + k); }
  S *g(int k) { return row(6 + 2 * RADIAL + k); }                   // angular functions, slopes
  S *turn(int k) { return row(6 + 2 * RADIAL + ANGULAR + k); }
  Span close(I s) const { return {start[s], start[s + 1]}; }
  Span far(I s) const { return {start[kinds + s], start[kinds + s + 1]}; }
  I near_end() const { return start[kinds]; }
  bool has(I s) const { return close(s).from < close(s).to || far(s).from < far(s).to; }
  static I numbers_for(I) { return 0; }
};
struct Back {
  S *numbers;
  I size, room;
  static I numbers_for(I) { return 0; }
};

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
    c.kind = kind[in.numbers[center]], c.kinds = a.kinds;
    c.gather(in.first[center], in.first[center + 1], a.kinds, range(c.kind), shorter(c.kind),
             [&](I e, int x) { return (S)in.r[3 * e + x]; }, [&](I e) { return kind[in.numbers[in.j[e]]]; }, true);
    if ((I)c.kept.size() < EDGE * c.size) c.kept.resize(EDGE * c.size), c.tall.resize(2 * c.size * TALL + W);
    for (int x = 0; x < 3; x++) {
      S *r = c.r(x).v;
      for (I k = 0; k < c.n; k++) r[k] = (S)in.r[3 * c.edge[k] + x];
      for (I k = c.n; k < c.size; k++) r[k] = 1;
    }
    for (I s = 0; s < a.kinds; s++)
      for (Span run : {c.close(s), c.far(s)})
        for (I k = run.from; k < run.to; k++) c.per()[k] = 1 / range(c.kind)[s], c.shorter()[k] = 1 / shorter(c.kind)[s];
    for (I k = c.n; k < c.size; k++) c.per()[k] = c.shorter()[k] = 0;
    return true;
  }

  // All descriptors of an atom into `out`, which has room for W numbers more.
  void forward(Atom &c, S *out) const {
    for (I k = 0; k < c.n; k += W) {
      V d, over, u[3], f[RADIAL], slope[RADIAL];
      c.direction(k, d, over, u);
      functions<RADIAL>(d, at(c.per(), k), f, slope);
      for (int q = 0; q < RADIAL; q++) put(c.f(q), k, f[q]), put(c.slope(q), k, slope[q]);
      for (int x = 0; x < 3; x++) put(c.u(x), k, u[x]);
      put(c.over(), k, over);
      if (k >= c.near_end() || !ROWS) continue;
      V g[ANGULAR], turn[ANGULAR], y[HARMONICS];
      functions<ANGULAR>(d, at(c.shorter(), k), g, turn);
      for (int q = 0; q < ANGULAR; q++) put(c.g(q), k, g[q]), put(c.turn(q), k, turn[q]);
      harmonics(u, y);
      for (int l = 0; l < W; l++) {
        S *to = c.tall.data() + (k + l) * TALL;
        for (int m = 0; m < ROWS; m++) to[m] = y[m + 1][l];
        for (int m = ROWS; m < TALL; m++) to[m] = 0;
      }
    }
    V q[WIDE_MIXED / W] = {};
    for (I k = 0; k < TURNING * TALL; k += W) put(c.A, k, V{});
    for (I s = 0; s < a.kinds; s++) {
      if (!c.has(s)) continue;
      const S *mix = mixed(c.kind, s), *turn = turning(c.kind, s);
      V alone[RADIAL] = {};
      for (Span run : {c.close(s), c.far(s)})
        for (I k = run.from; k < run.to; k += W)
          for (int p = 0; p < RADIAL; p++) alone[p] += where(lanes_below(run.to - k), at(c.f(p), k));
      S sums[RADIAL];
      totals(alone, sums, RADIAL);
      for (int k = 0; k < RADIAL; k++)
        for (int v = 0; v < WIDE_MIXED / W; v++) q[v] += sums[k] * at(mix, k * WIDE_MIXED + v * W);
      Span run = c.close(s);
      if (run.from == run.to) continue;
      for (int v = 0; v < HIGH; v++) {
        V sum[ANGULAR] = {};
        for (I e = run.from; e < run.to; e++) {
          V y = at(c.tall.data(), e * TALL + v * W);
          for (int k = 0; k < ANGULAR; k++) sum[k] += c.g(k)[e] * y;
        }
        for (int n = 0; n < TURNING; n++) {
          V A = at(c.A, n * TALL + v * W);
          for (int k = 0; k < ANGULAR; k++) A += turn[k * WIDE + n] * sum[k];
          put(c.A, n * TALL + v * W, A);
        }
      }
    }
    for (int v = 0; v < WIDE_MIXED / W; v++) put(out, v * W, q[v]);
    for (int m = 0; m < ROWS; m++) {
      for (int n = 0; n < TURNING; n++) c.lanes[m * WIDE + n] = c.A[n * TALL + m];
      for (int n = TURNING; n < WIDE; n++) c.lanes[m * WIDE + n] = 0;
    }
    for (int v = 0; v < VECTORS; v++) {
      V A[ROWS + 1], found[PRODUCTS + 1];
      for (int m = 0; m < ROWS; m++) A[m] = at(c.lanes, m * WIDE + v * W);
      invariants(A, found);
      for (int p = 0; p < PRODUCTS; p++)
        for (int n = v * W; n < TURNING && n < v * W + W; n++) out[MIXED + p * TURNING + n] = found[p][n - v * W];
    }
  }

  // ∂⟨g, q⟩/∂r of the atom's edges into rb [edges, 3]; those beyond the cutoff keep what they have.
  void backward(Atom &c, const Back &, const S *g, S *rb) const {
    S Ab[TURNING * TALL + 1];
    for (int v = 0; v < VECTORS; v++) {
      V A[ROWS + 1], gs[PRODUCTS + 1] = {}, found[ROWS + 1] = {};
      for (int m = 0; m < ROWS; m++) A[m] = at(c.lanes, m * WIDE + v * W);
      for (int p = 0; p < PRODUCTS; p++)
        for (int n = v * W; n < TURNING && n < v * W + W; n++) gs[p][n - v * W] = g[MIXED + p * TURNING + n];
      cotangents(A, gs, found);
      for (int n = v * W; n < TURNING && n < v * W + W; n++) {
        for (int m = 0; m < ROWS; m++) Ab[n * TALL + m] = found[m][n - v * W];
        for (int m = ROWS; m < TALL; m++) Ab[n * TALL + m] = 0;
      }
    }
    S *along = c.shorter(), *back = c.tall.data() + c.size * TALL;
    auto radially = [&](I s, Span run) {
      const S *mix = mixed(c.kind, s);
      S alone[RADIAL];
      for (int k = 0; k < RADIAL; k++) {
        alone[k] = 0;
        for (int n = 0; n < MIXED; n++) alone[k] += mix[k * WIDE_MIXED + n] * g[n];
      }
      for (I k = run.from; k < run.to; k += W) {
        V sum = {};
        for (int q = 0; q < RADIAL; q++) sum += alone[q] * at(c.slope(q), k);
        put(along, k, sum);  // what is too much is overwritten by the next run
      }
    };
    for (I s = 0; s < a.kinds; s++)
      if (c.close(s).from < c.close(s).to) radially(s, c.close(s));
    for (I s = 0; s < a.kinds; s++)
      if (c.far(s).from < c.far(s).to) radially(s, c.far(s));
    for (I s = 0; s < a.kinds; s++) {
      Span run = c.close(s);
      if (run.from == run.to || !ROWS) continue;
      const S *turn = turning(c.kind, s);
      S G[ANGULAR * TALL + 1];
      for (int k = 0; k < ANGULAR; k++)
        for (int v = 0; v < HIGH; v++) {
          V sum = {};
          for (int n = 0; n < TURNING; n++) sum += turn[k * WIDE + n] * at(Ab, n * TALL + v * W);
          put(G, k * TALL + v * W, sum);
        }
      V dots[4];
      S summed[4];
      for (I e = run.from; e < run.to; e++) {
        V dot = {};
        for (int v = 0; v < HIGH; v++) {
          V yb = {}, w = {};
          for (int k = 0; k < ANGULAR; k++) {
            V x = at(G, k * TALL + v * W);
            yb += c.g(k)[e] * x, w += c.turn(k)[e] * x;
          }
          put(back, e * TALL + v * W, yb);
          dot += w * at(c.tall.data(), e * TALL + v * W);
        }
        I place = (e - run.from) % 4;
        dots[place] = dot;
        if (place < 3 && e + 1 < run.to) continue;
        totals(dots, summed, place + 1);
        for (I k = 0; k <= place; k++) along[e - place + k] += summed[k];
      }
    }
    for (I k = 0; k < c.n; k += W) {
      V u[3], ub[3] = {}, over = at(c.over(), k), pull = at(along, k), rb3[3];
      for (int x = 0; x < 3; x++) u[x] = at(c.u(x), k);
      if (k < c.near_end() && ROWS) {
        V y[HARMONICS], yb[HARMONICS] = {};
        harmonics(u, y);
        I lanes = c.near_end() - k < W ? c.near_end() - k : (I)W;
        for (I l = 0; l < lanes; l++)
          for (int m = 0; m < ROWS; m++) yb[m + 1][l] = back[(k + l) * TALL + m];
        slopes(y, yb, ub);
      }
      pull -= (u[0] * ub[0] + u[1] * ub[1] + u[2] * ub[2]) * over;
      for (int x = 0; x < 3; x++) rb3[x] = ub[x] * over + u[x] * pull;
      for (I l = 0; l < W && k + l < c.n; l++)
        for (int x = 0; x < 3; x++) rb[3 * c.edge[k + l] + x] = rb3[x][l];
    }
  }
};
