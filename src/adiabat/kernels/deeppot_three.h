// "se_e3" for one center at a time: D_m = Σ share θ G_m(θ) over pairs of its neighbors, each pair once and each neighbor with itself, θ the
// product of their rows w = s(d) r̂ over the center's deviation. G, a small network of one number, is worked out with pairs in the lanes, on
// the way back once more, for its activations would fill the cache. Neighbors stand by their species; pairs of two species are laid out one
// behind the other, so that vectors are full.
struct Angles {
  std::vector<I> edge, from;            // of each neighbor; where each species begins
  std::vector<S> w[3], g[3];            // rows, and their gradients
  std::vector<S> theta, slope;          // of pairs; ∂E/∂θ
  std::vector<V> x, t, back, sums;      // of a network: what each layer reads, its tanh, gradients by two layers; D
};

struct ThreeBody {
  const Part &p;
  const Input &in;
  const I species;
  Angles &room;

  double fading(double d, double &slope) const {  // s(r): 1/d, continued by its Taylor polynomial where tables would not be finite, faded out
    const double near = 0.3, x = std::min(std::max((d - p.smooth_from) / (p.cutoff - p.smooth_from), 0.0), 1.0), t = d / near - 1;
    const double inverse = t < 0 ? (1 - t + t * t - t * t * t) / near : 1 / d, down = t < 0 ? (-1 + 2 * t - 3 * t * t) / (near * near) : -1 / (d * d);
    const double fade = 1 - x * x * x * (10 - x * (15 - 6 * x));
    slope = down * fade - inverse * 30 * x * x * (1 - x) * (1 - x) / (p.cutoff - p.smooth_from);
    return inverse * fade;
  }

  void neighbors(I center) {
    const I most = in.first[center + 1] - in.first[center];
    const double over = p.over[in.species[center]];
    if ((I)room.edge.size() < most) {
      room.edge.resize(most);
      for (int x = 0; x < 3; x++) room.w[x].resize(most + W), room.g[x].resize(most + W);
    }
    room.from.resize(species + 1);
    I n = 0;
    for (I s = 0; s < species; s++) {
      room.from[s] = n;
      for (I e = in.first[center]; e < in.first[center + 1]; e++) {
        if (in.species[in.j[e]] != s) continue;
        const double *r = in.r + 3 * e, square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
        if (square >= p.cutoff * p.cutoff) continue;
        double d = std::sqrt(square), slope, size = over * fading(d, slope) / d;
        for (int x = 0; x < 3; x++) room.w[x][n] = (S)(size * r[x]);
        room.edge[n++] = e;
      }
    }
    room.from[species] = n;
  }

  static V product(const std::vector<S> *a, I i, const std::vector<S> *b, I j) {
    return a[0][i] * load(&b[0][j]) + a[1][i] * load(&b[1][j]) + a[2][i] * load(&b[2][j]);
  }

  // The pairs of species s ≤ t in `theta`, filled up to whole vectors; how many there are.
  I pairs(I s, I t) {
    const I a0 = room.from[s], a1 = room.from[s + 1], size = a1 - a0, other = room.from[t + 1] - room.from[t];
    const I all = s == t ? size * (size - 1) / 2 : size * other;
    grow(all);
    return runs(s == t, {room.from[t], room.from[t + 1]}, a0, a1, [&](I a, I from, I to, I at) {
      for (I b = from; b < to; b += W) store(&room.theta[at + b - from], product(room.w, a, room.w, b));
    });
  }
  I selves(I s) {  // each neighbor of a species with itself
    const I a0 = room.from[s], n = room.from[s + 1] - a0;
    grow(n);
    for (I k = 0; k < n; k += W) {
      V sum = {};
      for (int x = 0; x < 3; x++) sum += load(&room.w[x][a0 + k]) * load(&room.w[x][a0 + k]);
      store(&room.theta[k], sum);
    }
    return n;
  }
  void grow(I n) {
    if ((I)room.theta.size() < n + 2 * W) room.theta.resize(n + 2 * W), room.slope.resize(n + 2 * W);
  }

  // y = copies of x + Δt ∘ tanh(x w + b), layer by layer; the last y
  V *network(const Layer *layers, V theta) {
    room.x[0] = theta;
    for (I l = 0; l < p.layers; l++) {
      const Layer &it = layers[l];
      const V *x = &room.x[l * p.wide];
      V *t = &room.t[l * p.wide], *y = &room.x[(l + 1) * p.wide];
      for (I b = 0; b < it.to; b++) {
        V sum = V{} + it.bias[b];
        for (I a = 0; a < it.from; a++) sum += it.weight[a * it.to + b] * x[a];
        t[b] = tangent(sum);
        y[b] = it.dt[b] * t[b];
      }
      for (I copy = 0; copy < it.copies; copy++)
        for (I a = 0; a < it.from; a++) y[copy * it.from + a] += x[a];
    }
    return &room.x[p.layers * p.wide];
  }

  // Σ_m Db_m ∂(θ G_m)/∂θ
  V slope(const Layer *layers, V theta, const S *Db) {
    const V *y = network(layers, theta);
    V sum = {}, *yb = &room.back[0], *xb = &room.back[p.wide];
    for (I m = 0; m < p.M; m++) sum += Db[m] * y[m], yb[m] = V{} + Db[m];
    for (I l = p.layers - 1; l >= 0; l--, std::swap(xb, yb)) {
      const Layer &it = layers[l];
      V *t = &room.t[l * p.wide];
      for (I b = 0; b < it.to; b++) t[b] = yb[b] * it.dt[b] * ((S)1 - t[b] * t[b]);
      for (I a = 0; a < it.from; a++) {
        V x = {};
        for (I copy = 0; copy < it.copies; copy++) x += yb[copy * it.from + a];
        for (I b = 0; b < it.to; b++) x += it.weight[a * it.to + b] * t[b];
        xb[a] = x;
      }
    }
    return sum + theta * yb[0];
  }

  void add(const Layer *layers, I n, S share) {
    for (I k = 0; k < n; k += W) {
      const V theta = load(&room.theta[k]), factor = where(lanes_below(n - k), share * theta), *y = network(layers, theta);
      for (I m = 0; m < p.M; m++) room.sums[m] += factor * y[m];
    }
  }
  void slopes(const Layer *layers, I n, S share, const S *Db) {
    for (I k = 0; k < n; k += W) store(&room.slope[k], where(lanes_below(n - k), share * slope(layers, load(&room.theta[k]), Db)));
  }

  template <class Todo> void each(Todo todo) const {  // species s ≤ t, their network, what a pair counts: of one species both orders do
    for (I t = 0; t < species; t++)
      for (I s = 0; s <= t; s++) todo(s, t, p.network + (t * (t + 1) / 2 + s) * p.layers, (S)(p.share[s * species + t] * (s == t ? 2 : 1)));
  }

  void reserve() {
    if ((I)room.x.size() >= (p.layers + 1) * p.wide) return;
    room.x.resize((p.layers + 1) * p.wide), room.t.resize(p.layers * p.wide), room.back.resize(2 * p.wide), room.sums.resize(p.wide);
  }

  void describe(I center, S *D) {
    reserve();
    neighbors(center);
    std::fill_n(room.sums.begin(), p.M, V{});
    each([&](I s, I t, const Layer *layers, S share) {
      add(layers, pairs(s, t), share);
      if (s == t) add(layers, selves(s), (S)0.5 * share);
    });
    totals(room.sums.data(), D, p.M);
  }

  void push(I center, const S *Db, S *rb) {
    neighbors(center);
    const I n = room.from[species];
    for (int x = 0; x < 3; x++) std::fill_n(room.g[x].begin(), n, (S)0);
    each([&](I s, I t, const Layer *layers, S share) {
      slopes(layers, pairs(s, t), share, Db);
      runs(s == t, {room.from[t], room.from[t + 1]}, room.from[s], room.from[s + 1], [&](I a, I from, I to, I at) {
        V mine[3] = {};
        for (I b = from; b < to; b += W) {
          const V along = where(lanes_below(to - b), load(&room.slope[at + b - from]));
          for (int x = 0; x < 3; x++) {
            mine[x] += along * load(&room.w[x][b]);
            store(&room.g[x][b], load(&room.g[x][b]) + along * room.w[x][a]);
          }
        }
        S more[3];
        totals(mine, more, 3);
        for (int x = 0; x < 3; x++) room.g[x][a] += more[x];
      });
      if (s != t) return;
      const I from = room.from[s], all = selves(s);
      slopes(layers, all, share, Db);  // ½ share, and θ = w·w has two of them
      for (I k = 0; k < all; k++)
        for (int x = 0; x < 3; x++) room.g[x][from + k] += room.slope[k] * room.w[x][from + k];
    });
    const double over = p.over[in.species[center]];
    for (I k = 0; k < n; k++) {
      const I e = room.edge[k];
      const double *r = in.r + 3 * e, d = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
      double slope, size = fading(d, slope) / d, along = 0;
      for (int x = 0; x < 3; x++) along += room.g[x][k] * r[x] / d;
      for (int x = 0; x < 3; x++) rb[3 * e + x] += (S)(over * (size * room.g[x][k] + (slope - size) * along * r[x] / d));
    }
  }
};
