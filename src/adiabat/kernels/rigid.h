// Velocities without drift and rotation, structure by structure.
struct Rigid {
  I structures;
  const I *first;  // atoms of structure s: first[s]…first[s + 1]
  const double *mass;
  const uint8_t *momentum, *rotation;  // what is taken out
};

static inline void cross(const double *a, const double *b, double *c) {
  for (int x = 0; x < 3; x++) {
    int y = (x + 1) % 3, z = (x + 2) % 3;
    c[x] = a[y] * b[z] - a[z] * b[y];
  }
}

// ω with T ω = L by elimination, largest diagonal first; no turn about an axis without inertia: a line's own, or any of a point.
static void solve(double T[3][3], double *L, double *omega) {
  double least = 1e-10 * (T[0][0] + T[1][1] + T[2][2]);
  int order[3] = {0, 1, 2}, rank = 0;
  for (; rank < 3; rank++) {
    int best = rank;
    for (int k = rank + 1; k < 3; k++)
      if (T[order[k]][order[k]] > T[order[best]][order[best]]) best = k;
    std::swap(order[rank], order[best]);
    int p = order[rank];
    if (!(T[p][p] > least)) break;
    for (int k = rank + 1; k < 3; k++) {
      int q = order[k];
      double f = T[q][p] / T[p][p];
      for (int x = 0; x < 3; x++) T[q][x] -= f * T[p][x];
      L[q] -= f * L[p];
    }
  }
  for (int k = rank - 1; k >= 0; k--) {
    int p = order[k];
    double sum = L[p];
    for (int later = k + 1; later < rank; later++) sum -= T[p][order[later]] * omega[order[later]];
    omega[p] = sum / T[p][p];
  }
}

static void one(const Rigid &a, I s, const double *r, const double *v, double *out) {
  double M = 0, R[3] = {}, P[3] = {};
  for (I n = a.first[s]; n < a.first[s + 1]; n++) {
    M += a.mass[n];
    for (int x = 0; x < 3; x++) R[x] += a.mass[n] * r[3 * n + x], P[x] += a.mass[n] * v[3 * n + x];
  }
  if (!a.momentum[s]) {
    for (I k = 3 * a.first[s]; k < 3 * a.first[s + 1]; k++) out[k] = v[k];
    return;
  }
  for (int x = 0; x < 3; x++) R[x] /= M, P[x] /= M;
  double omega[3] = {};
  if (a.rotation[s]) {
    double L[3] = {}, T[3][3] = {};
    for (I n = a.first[s]; n < a.first[s + 1]; n++) {
      double q[3], u[3], l[3], q2 = 0;
      for (int x = 0; x < 3; x++) q[x] = r[3 * n + x] - R[x], u[x] = v[3 * n + x] - P[x], q2 += q[x] * q[x];
      cross(q, u, l);
      for (int x = 0; x < 3; x++) {
        L[x] += a.mass[n] * l[x];
        for (int y = 0; y < 3; y++) T[x][y] += a.mass[n] * ((x == y ? q2 : 0) - q[x] * q[y]);
      }
    }
    solve(T, L, omega);
  }
  for (I n = a.first[s]; n < a.first[s + 1]; n++) {
    double q[3], turn[3];
    for (int x = 0; x < 3; x++) q[x] = r[3 * n + x] - R[x];
    cross(omega, q, turn);
    for (int x = 0; x < 3; x++) out[3 * n + x] = v[3 * n + x] - P[x] - turn[x];
  }
}
