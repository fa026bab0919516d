// Products with matrices that stand as panels of PANEL W columns, and what sparse points tell of variances by them.
enum { TILE = 4, PANEL = 3 };

static inline V at(const S *p) { return *(const VU *)p; }
static inline void put(S *p, V x) { *(VU *)p = x; }

// y [rows, N] = x [rows, K] times a matrix of panels [N / (PANEL W), K, PANEL W]; rows is a multiple of TILE. Of a triangle a panel is
// not read below its last column.
template <bool TRIANGLE = false> static void times(const S *x, I rows, I K, I stride, const S *w, I N, S *y) {
  for (I n = 0; n < N; n += PANEL * W, w += K * PANEL * W)
    for (I t = 0; t < rows; t += TILE) {
      V sum[TILE][PANEL] = {};
      const S *from = x + t * stride;
      I end = TRIANGLE ? n + PANEL * W : K;
      for (I k = 0; k < end; k++) {
        V row[PANEL];
        for (int v = 0; v < PANEL; v++) row[v] = at(w + (k * PANEL + v) * W);
#pragma GCC unroll 4
        for (int q = 0; q < TILE; q++)
          for (int v = 0; v < PANEL; v++) sum[q][v] += from[q * stride + k] * row[v];
      }
      for (int q = 0; q < TILE; q++)
        for (int v = 0; v < PANEL; v++) put(y + (t + q) * N + n + v * W, sum[q][v]);
    }
}

// Variances of atoms, added to: of each environment prior − |R⁻ᵀ k|², R the factor of K_MM = Rᵀ R.
struct Variances {
  const S *root;  // R⁻¹, upper triangular, as panels [points / (PANEL W), points, PANEL W]; points are padded to whole panels by zeros
  double prior;
  double *variance;  // [atoms]
};

// |R⁻ᵀ k|² of rows of covariances k [rows, M]; y: room for as many. Rows are a multiple of TILE, M of PANEL W.
static void explained(const S *k, I rows, I M, const S *root, S *y, double *known) {
  times<true>(k, rows, M, M, root, M, y);
  for (I t = 0; t < rows; t++) {
    V sum = {};
    for (I s = 0; s < M; s += W) sum += at(y + t * M + s) * at(y + t * M + s);
    known[t] = total(sum);
  }
}

// Tuples of which each tells with a weight of its own, TUPLES at a time.
enum { TUPLES = 32 };
struct Tuples {
  explicit Tuples(I points) : points(points), k(TUPLES * points), y(TUPLES * points) {}
  I points, count = 0;
  std::vector<S> k, y;
  double weight[TUPLES];
  S *next() { return &k[count * points]; }
  // The row that `next` gave is filled in. Returns what is to be added.
  double tell(double with, const Variances &out) {
    weight[count++] = with;
    return count == TUPLES ? rest(out) : 0;
  }
  double rest(const Variances &out) {
    double known[TUPLES], sum = 0;
    explained(k.data(), (count + TILE - 1) / TILE * TILE, points, out.root, y.data(), known);
    for (I t = 0; t < count; t++) sum += weight[t] * (out.prior - known[t]);
    count = 0;
    return sum;
  }
};
