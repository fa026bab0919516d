// "se_e2_a" and "se_e2_r" for a chunk of centers. A [4, M]: the embedded environment, of each neighbor a spline of its distance times 1 and its
// direction; D_am = Σ_k A_ka A_km for a < axis, m ≥ a (it is symmetric in its first columns, and the weights know). Distances alone: A itself.
struct Near {  // an edge below the cutoff: where its splines begin, their weights and slopes
  const S *rows;
  I edge;
  S w[4], slope[4], u[3], d;
};

template <int P> struct TwoBody {
  const Part &p;
  const Input &in;
  const I species, n0, n;
  std::vector<Near> &near;
  std::vector<I> &first;
  S *sums, *back;  // A and its gradients

  S *A(I k, int x) { return sums + (4 * k + x) * p.C; }
  S *Ab(I k, int x) { return back + (4 * k + x) * p.C; }

  void neighbors() {
    near.clear();
    S per = (S)(p.intervals / p.cutoff);
    const S sixth = (S)1 / 6, half = (S)1 / 2;
    for (I k = 0; k < n; k++) {
      I c = in.species[n0 + k];
      for (I e = in.first[n0 + k]; e < in.first[n0 + k + 1]; e++) {
        const double *r = in.r + 3 * e;
        double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
        if (square >= p.cutoff * p.cutoff) continue;
        double exact = std::sqrt(square), at = exact * (p.intervals / p.cutoff);
        I row = std::min((I)at, p.intervals - 1);
        Near it;
        it.edge = e, it.d = (S)exact;
        for (int x = 0; x < 3; x++) it.u[x] = (S)(r[x] / exact);
        it.rows = p.table + ((c * species + in.species[in.j[e]]) * (p.intervals + 3) + row) * P * p.C;
        S t = (S)(at - row), u = (S)1 - t, tt = t * t, uu = u * u;
        it.w[0] = sixth * (uu * u), it.w[1] = sixth * ((S)4 + (S)3 * (tt * t) - (S)6 * tt);
        it.w[2] = sixth * ((S)4 + (S)3 * (uu * u) - (S)6 * uu), it.w[3] = sixth * (tt * t);
        it.slope[0] = (-half * per) * uu, it.slope[1] = (half * per) * ((S)3 * tt - (S)4 * t);
        it.slope[2] = (-half * per) * ((S)3 * uu - (S)4 * u), it.slope[3] = (half * per) * tt;
        near.push_back(it);
      }
      first[k + 1] = near.size();
    }
  }

  // A of one center: its background and the sum over its neighbors
  void embed(I k) {
    const S *background = p.background + in.species[n0 + k] * p.C;
    for (I c = 0; c < p.C; c += W) {
      V a0 = load(background + c), a1 = {}, a2 = {}, a3 = {};
      for (I e = first[k]; e < first[k + 1]; e++) {
        const Near &it = near[e];
        const S *at = it.rows + c;
        const I row = P * p.C;
        a0 += it.w[0] * load(at) + it.w[1] * load(at + row) + it.w[2] * load(at + 2 * row) + it.w[3] * load(at + 3 * row);
        if (P == 1) continue;
        at += p.C;
        V f = it.w[0] * load(at) + it.w[1] * load(at + row) + it.w[2] * load(at + 2 * row) + it.w[3] * load(at + 3 * row);
        a1 += it.u[0] * f, a2 += it.u[1] * f, a3 += it.u[2] * f;
      }
      store(A(k, 0) + c, a0);
      if (P == 2) store(A(k, 1) + c, a1), store(A(k, 2) + c, a2), store(A(k, 3) + c, a3);
    }
  }

  // The gradients of one center's edges by Ab
  void edges(I k, S *rb) {
    const S *b0 = Ab(k, 0), *b1 = Ab(k, 1), *b2 = Ab(k, 2), *b3 = Ab(k, 3);
    const I row = P * p.C;
    for (I e = first[k]; e < first[k + 1]; e++) {
      const Near &it = near[e];
      const S *w = it.w, *s = it.slope, *u = it.u;
      V sum[4] = {};  // along the distance; the directions
      for (I c = 0; c < p.C; c += W) {
        const S *at = it.rows + c;
        V along = s[0] * load(at) + s[1] * load(at + row) + s[2] * load(at + 2 * row) + s[3] * load(at + 3 * row);
        sum[0] += along * load(b0 + c);
        if (P == 1) continue;
        at += p.C;
        V q0 = load(at), q1 = load(at + row), q2 = load(at + 2 * row), q3 = load(at + 3 * row);
        V f = w[0] * q0 + w[1] * q1 + w[2] * q2 + w[3] * q3, slope = s[0] * q0 + s[1] * q1 + s[2] * q2 + s[3] * q3;
        V x = load(b1 + c), y = load(b2 + c), z = load(b3 + c);
        sum[0] += slope * (u[0] * x + u[1] * y + u[2] * z);
        sum[1] += f * x, sum[2] += f * y, sum[3] += f * z;
      }
      S g[4];
      totals(sum, g, 4);
      S radial = g[1] * u[0] + g[2] * u[1] + g[3] * u[2];
      for (int x = 0; x < 3; x++) rb[3 * it.edge + x] += g[0] * u[x] + (g[1 + x] - radial * u[x]) / it.d;
    }
  }

  void describe(I k, S *D) {
    embed(k);
    if (P == 1) {
      for (I c = 0; c < p.M; c += W) store(D + c, load(A(k, 0) + c));
      return;
    }
    const S *a[4] = {A(k, 0), A(k, 1), A(k, 2), A(k, 3)};
    for (I axis = 0; axis < p.axis; D += p.M - axis, axis++)  // what is written too much, the next row overwrites
      for (I c = axis; c < p.M; c += W)
        store(D + c - axis, a[0][axis] * load(a[0] + c) + a[1][axis] * load(a[1] + c) + a[2][axis] * load(a[2] + c) + a[3][axis] * load(a[3] + c));
  }

  void push(I k, const S *Db, S *rb) {
    S *b[4] = {Ab(k, 0), Ab(k, 1), Ab(k, 2), Ab(k, 3)};
    if (P == 1) {
      for (I c = 0; c < p.C; c += W) store(b[0] + c, load(Db + c));
      return edges(k, rb);
    }
    const S *a[4] = {A(k, 0), A(k, 1), A(k, 2), A(k, 3)};
    std::fill_n(b[0], 4 * p.C, (S)0);
    for (I axis = 0; axis < p.axis; Db += p.M - axis, axis++) {
      V sum[4] = {};
      for (I c = axis; c < p.M; c += W) {
        V d = load(Db + c - axis);
        for (int x = 0; x < 4; x++) {
          sum[x] += d * load(a[x] + c);
          store(b[x] + c, load(b[x] + c) + d * a[x][axis]);
        }
      }
      S more[4];
      totals(sum, more, 4);
      for (int x = 0; x < 4; x++) b[x][axis] += more[x];
    }
    edges(k, rb);
  }
};
