// Moment tensors of the neighbors and the contractions made of them, product by product; the products are walked backward once an atom.
struct Product { I a, b, to; };        // m_to += factor m_a m_b
struct Direction { I x, y, z, from, to; };  // x^a y^b z^c of the unit vector, and which basic moments have it

struct Facts : Common {
  I basics, moments, products, scalars, directions, mus, radial, power;  // power: the highest of a component
  double nearest, cutoff, scaling;
  const I *column, *place;             // [basics], by direction: μ and the place among the moments
  const Direction *direction;
  const Product *product;
  const S *factor;                     // [products]
  const I *scalar;                     // [scalars]
  const S *coefficients;               // [scalars]
  const S *f;                          // [kinds, kinds, mus, radial]
};

enum { MOST_POWER = 16, MOST_RADIAL = 32 };

struct Family {
  const Facts &m;
  V *M, *back, *f, *slope;
  I kind = 0;

  static size_t numbers(const Facts &m) { return W * (2 * m.moments + 2 * m.mus); }
  Family(const Facts &m, S *room) : m(m), M((V *)room), back(M + m.moments), f(back + m.moments), slope(f + m.mus) {}

  void begin(I k) {
    kind = k;
    for (I t = 0; t < 2 * m.moments; t++) M[t] = V{};
  }

  struct Edge {
    V one;                               // 1/d
    V power[3][MOST_POWER + 1];          // of x, y, z
  };

  // Radial functions with their slopes, powers of the direction.
  void edge(const Near &n, Edge &e) {
    const S width = (S)(m.cutoff - m.nearest), per = 2 / width;
    V x = ((S)2 * n.d - (S)(m.nearest + m.cutoff)) / width, away = n.d - (S)m.cutoff;
    V smooth = (S)m.scaling * n.on * away * away, fall = (S)(2 * m.scaling) * n.on * away;
    V T[MOST_RADIAL], D[MOST_RADIAL];
    T[0] = V{} + (S)1, D[0] = V{}, T[1] = x, D[1] = V{} + per;
    for (I k = 2; k < m.radial; k++) T[k] = (S)2 * x * T[k - 1] - T[k - 2], D[k] = (S)2 * (per * T[k - 1] + x * D[k - 1]) - D[k - 2];
    for (I k = 0; k < m.radial; k++) D[k] = D[k] * smooth + T[k] * fall, T[k] *= smooth;
    const I size = m.mus * m.radial;
    const S *own = m.f + kind * m.kinds * size;
    for (I mu = 0; mu < m.mus; mu++) {
      V y = V{}, s = V{};
      for (I k = 0; k < m.radial; k++) {
        V c;
        if (m.kinds == 1) c = V{} + own[mu * m.radial + k];
        else
          for (int t = 0; t < W; t++) c[t] = own[n.kind[t] * size + mu * m.radial + k];
        y += c * T[k], s += c * D[k];
      }
      f[mu] = y, slope[mu] = s;
    }
    e.one = (S)1 / n.d;
    for (int x = 0; x < 3; x++) {
      V u = n.r[x] * e.one;
      e.power[x][0] = V{} + (S)1;
      for (I k = 1; k <= m.power; k++) e.power[x][k] = e.power[x][k - 1] * u;
    }
  }

  void gather(const Near &n) {
    Edge e;
    edge(n, e);
    for (I k = 0; k < m.directions; k++) {
      const Direction &d = m.direction[k];
      V shape = e.power[0][d.x] * e.power[1][d.y] * e.power[2][d.z];
      for (I b = d.from; b < d.to; b++) M[m.place[b]] += f[m.column[b]] * shape;
    }
  }

  void node(double *e) {
    for (I p = 0; p < m.products; p++) {
      const Product &x = m.product[p];
      M[x.to] += m.factor[p] * (M[x.a] * M[x.b]);
    }
    V energy = V{};
    for (I s = 0; s < m.scalars; s++) {
      energy += m.coefficients[s] * M[m.scalar[s]];
      back[m.scalar[s]] += m.coefficients[s];
    }
    for (I p = m.products - 1; p >= 0; p--) {
      const Product &x = m.product[p];
      V share = m.factor[p] * back[x.to];
      back[x.a] += share * M[x.b];
      back[x.b] += share * M[x.a];
    }
    for (int t = 0; t < W; t++) e[t] = energy[t];
  }

  void push(const Near &n, V *g) {
    Edge e;
    edge(n, e);
    V along = V{}, u[3] = {};  // ∂E/∂d at a fixed direction, ∂E/∂(the direction)
    for (I k = 0; k < m.directions; k++) {
      const Direction &d = m.direction[k];
      V xy = e.power[0][d.x] * e.power[1][d.y], shape = xy * e.power[2][d.z], sum = V{}, steep = V{};
      for (I b = d.from; b < d.to; b++) {
        V cot = back[m.place[b]];
        sum += cot * f[m.column[b]], steep += cot * slope[m.column[b]];
      }
      along += steep * shape;
      if (d.x) u[0] += ((S)d.x * sum) * (e.power[0][d.x - 1] * e.power[1][d.y] * e.power[2][d.z]);
      if (d.y) u[1] += ((S)d.y * sum) * (e.power[0][d.x] * e.power[1][d.y - 1] * e.power[2][d.z]);
      if (d.z) u[2] += ((S)d.z * sum) * (xy * e.power[2][d.z - 1]);
    }
    V r[3], radial = V{};
    for (int x = 0; x < 3; x++) r[x] = n.r[x] * e.one, radial += r[x] * u[x];
    for (int x = 0; x < 3; x++) g[x] = along * r[x] + e.one * (u[x] - radial * r[x]);
  }
};
