// A Deep Potential (smooth edition) in one call: Zhang et al., NeurIPS 2018 (arXiv:1805.09003). No atom reads what another one made, so
// that a chunk of centers goes forth and back before it leaves the cache: each part of the descriptor (deeppot_two.h, deeppot_three.h), then
// the fitting network of the center's element, whose first layer reads the parts side by side. Rows of channels are padded: what stands
// there meets zeros.
struct Step {  // y = copies of x + Δt ∘ tanh(x w + b)
  Matrix w, wt;         // [from, columns of y], [to, columns of x]
  I from, copies;
  const S *bias, *dt;   // padded with zeros
};

struct Layer {  // the same of an embedding network; weight [from, to]
  I from, to, copies;
  const S *weight, *bias, *dt;
};

struct Part {  // of the descriptor: sums over neighbors, or (layers > 0) over pairs of them
  I at, M, C, axis, paths, intervals, layers, wide;  // at: where its rows begin; C: M padded; wide: the widest row of an embedding
  double cutoff, smooth_from;
  const S *table;        // [species², intervals + 3, paths, C], divided by the expected number of neighbors
  const S *background;   // [species, C], likewise
  const double *over;    // [species]: what s(r) is multiplied with
  const double *share;   // [species, species]: what a pair of such neighbors counts
  const Layer *network;  // [pairs of species, layers]
};

struct Facts {
  I species, parts, layers, wide;  // wide: the widest row of any layer
  const Part *part;
  const Step *steps;    // [species, layers]
  const S *last;        // [species, wide]
};

static inline V load(const S *p) { return *(const VU *)p; }
static inline void store(S *p, V x) { *(VU *)p = x; }
static inline V tangent(V x) {  // the hyperbolic one
  V e = exponential((x < 0 ? x : -x) * (S)2), y = ((S)1 - e) / ((S)1 + e);
  return x < 0 ? -y : y;
}

#include "deeppot_two.h"
#include "deeppot_three.h"

struct Place {  // what a part of the descriptor works in
  std::vector<Near> near;
  std::vector<I> first;
  std::vector<S> A, Ab;
  Angles room;
};

struct Local {
  std::vector<Place> places;
  std::vector<S> x, t, back;
  Rows rows;
};

struct Model : Facts {
  Model(const Facts &facts, const double *lone) : Facts(facts), lone(lone) {}
  const double *lone;  // [species] what is subtracted: the energy of a lone atom
  std::vector<S> rb;
  std::vector<Local> locals;
};

static void reserve(Model &m, const Input &in) {
  m.rb.resize(3 * in.edges + 1);
  if ((I)m.locals.size() < in.threads) m.locals.resize(in.threads);
  for (Local &l : m.locals) {
    if (l.x.size()) continue;
    // Whole vectors may be read and written beyond the last row.
    l.places.resize(m.parts);
    for (I k = 0; k < m.parts; k++) {
      const Part &part = m.part[k];
      if (part.layers) continue;
      l.places[k].A.assign(4 * PIECE * part.C + W, 0), l.places[k].Ab.assign(4 * PIECE * part.C + W, 0);
      l.places[k].first.assign(PIECE + 1, 0);
    }
    l.t.assign(m.layers * PIECE * m.wide + W, 0), l.back.assign(3 * PIECE * m.wide + W, 0);
    l.x.assign((m.layers + 1) * PIECE * m.wide + W, 0);
  }
}

struct Chunk {
  Model &m;
  const Input &in;
  Local &l;
  I n0, n;
  Chunk(Model &m, const Input &in, I k) : m(m), in(in), l(m.locals[in.threads > 1 ? thread() : 0]), n0(k * PIECE) {
    n = std::min((I)PIECE, in.atoms - n0);
  }
  S *x(I t, I k) { return l.x.data() + (t * PIECE + k) * m.wide; }  // what layer t reads
  S *t(I t, I k) { return l.t.data() + (t * PIECE + k) * m.wide; }
  S *back(I which, I k) { return l.back.data() + (which * PIECE + k) * m.wide; }

  // Energies of the centers of one element, and the gradients of their descriptors in back(2, …)
  void fit(I species) {
    const Step *steps = m.steps + species * m.layers;
    const S *last = m.last + species * m.wide;
    auto each = [&](auto todo) {
      for (I k = 0; k < n; k++)
        if (in.species[n0 + k] == species) todo(k);
    };
    for (I s = 0; s < m.layers; s++) {
      const Step &step = steps[s];
      l.rows.clear();
      each([&](I k) { l.rows.add(x(s, k), t(s, k)); });
      l.rows.times(step.w);
      each([&](I k) {
        S *z = t(s, k), *y = x(s + 1, k);
        const S *from = x(s, k);
        for (I c = 0; c < step.w.N; c += W) {
          V e = tangent(load(z + c) + load(step.bias + c));
          store(z + c, e), store(y + c, e * load(step.dt + c));
        }
        for (I copy = 0; copy < step.copies; copy++)
          for (I c = 0; c < step.from; c++) y[copy * step.from + c] += from[c];
      });
    }
    const I width = steps[m.layers - 1].w.N;
    each([&](I k) {
      in.energies[n0 + k] = (double)dot(x(m.layers, k), last, width) - m.lone[species];
      std::copy_n(last, width, back(0, k));
    });
    for (I s = m.layers - 1; s >= 0; s--) {
      const Step &step = steps[s];
      // gradients by y come in one of two rows, those by x go into the other; by z they stand in the third
      I now = (m.layers - 1 - s) % 2;
      l.rows.clear();
      each([&](I k) {
        const S *yb = back(now, k);
        S *zb = t(s, k);
        for (I c = 0; c < step.w.N; c += W) {
          V e = load(zb + c);
          store(zb + c, load(yb + c) * load(step.dt + c) * ((S)1 - e * e));
        }
        l.rows.add(zb, back(s ? 1 - now : 2, k));
      });
      l.rows.times(step.wt);
      each([&](I k) {
        const S *yb = back(now, k);
        S *xb = back(s ? 1 - now : 2, k);
        for (I copy = 0; copy < step.copies; copy++)
          for (I c = 0; c < step.from; c++) xb[c] += yb[copy * step.from + c];
      });
    }
  }

  template <int P> TwoBody<P> two(I part) {
    Place &at = l.places[part];
    return {m.part[part], in, m.species, n0, n, at.near, at.first, at.A.data(), at.Ab.data()};
  }
  void all() {
    std::fill(m.rb.begin() + 3 * in.first[n0], m.rb.begin() + 3 * in.first[n0 + n], (S)0);
    // What a part writes too much, the next one overwrites; rows have room for the last one's.
    auto describe = [&](I part, auto it) {
      it.neighbors();
      for (I k = 0; k < n; k++) it.describe(k, x(0, k) + m.part[part].at);
    };
    for (I part = 0; part < m.parts; part++) {
      const Part &p = m.part[part];
      if (p.layers) {
        ThreeBody it{p, in, m.species, l.places[part].room};
        for (I k = 0; k < n; k++) it.describe(n0 + k, x(0, k) + p.at);
      } else if (p.paths == 2) describe(part, two<2>(part));
      else describe(part, two<1>(part));
    }
    for (I species = 0; species < m.species; species++) fit(species);
    auto push = [&](I part, auto it) {
      for (I k = 0; k < n; k++) it.push(k, back(2, k) + m.part[part].at, m.rb.data());
    };
    for (I part = 0; part < m.parts; part++) {
      const Part &p = m.part[part];
      if (p.layers) {
        ThreeBody it{p, in, m.species, l.places[part].room};
        for (I k = 0; k < n; k++) it.push(n0 + k, back(2, k) + p.at, m.rb.data());
      } else if (p.paths == 2) push(part, two<2>(part));
      else push(part, two<1>(part));
    }
  }
};

static int run(Model &m, const Input &in) {
  int fault = 0;
#pragma omp parallel for num_threads(in.threads) schedule(dynamic) if (in.threads > 1)
  for (I k = 0; k < pieces(in); k++) safely(fault, [&] { Chunk(m, in, k).all(); });
  if (!fault) collect(in, m.rb.data());
  return fault;
}
