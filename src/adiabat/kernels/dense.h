// Dense networks of several members on blocks of rows: y = x W + b with an activation between, forth and back.
// Widths are padded with zeros to whole vectors; a block is worked on TILE rows at a time, so that every row takes the same path.
enum { TILE = 4, TANH = 0, CELU, LOGISTIC, FALLING, SOFTPLUS, RELU, LINEAR };  // CELU(0.1), Barron 2017 (arXiv:1704.07483)

struct Layer { I K, N, activation; const S *w, *wt, *b; };  // [K, N], [N, K], [N]; the last layer: N = 1, w [K], linear

static inline V activate(I kind, V x) {
  if (kind == LINEAR) return x;
  if (kind == RELU) return x > 0 ? x : V{};
  if (kind == LOGISTIC || kind == FALLING) {
    V e = exponential(x < 0 ? x : -x), small = e / ((S)1 + e), large = (S)1 / ((S)1 + e);
    return (kind == LOGISTIC ? x < 0 : x > 0) ? small : large;
  }
  if (kind == SOFTPLUS) {  // log (1 + eˣ); log (1 + e) = 2 artanh e/(2 + e)
    V e = exponential(x < 0 ? x : -x), t = e / ((S)2 + e), s = t * t;
    const int terms = SINGLE ? 7 : 17;
    V y = V{} + (S)(1.0 / (2 * terms + 1));
#pragma GCC unroll 20
    for (int k = terms - 1; k >= 0; k--) y = (S)(1.0 / (2 * k + 1)) + s * y;
    return (x > 0 ? x : V{}) + (S)2 * (t * y);
  }
  if (kind == CELU) {
    V e = (S)0.1 * (exponential((x < 0 ? x : V{}) * (S)10) - (S)1);
    return x > 0 ? x : e;
  }
  V e = exponential((x < 0 ? x : -x) * (S)2), y = ((S)1 - e) / ((S)1 + e);
  return x < 0 ? -y : y;
}
// The slope, by what the activation gave.
static inline V slope(I kind, V y) {
  if (kind == LINEAR) return V{} + 1;
  if (kind == RELU) return y > 0 ? V{} + 1 : V{};
  if (kind == LOGISTIC) return y - y * y;
  if (kind == FALLING) return y * y - y;
  if (kind == SOFTPLUS) return (S)1 - exponential(-y);
  if (kind == CELU) return y > 0 ? V{} + 1 : (S)1 + y * (S)10;
  return (S)1 - y * y;
}

// y [rows, N] = x [rows, K] w [K, N] (+ b); rows is a multiple of TILE.
template <int NV> static inline void panel(const S *x, I K, const S *w, I N, const S *b, S *y, I n) {
  V sum[TILE][NV];
  for (int v = 0; v < NV; v++)
    for (int t = 0; t < TILE; t++) sum[t][v] = b ? *(const VU *)(b + n + v * W) : V{};
  for (I k = 0; k < K; k++) {
    V row[NV];
    for (int v = 0; v < NV; v++) row[v] = *(const VU *)(w + k * N + n + v * W);
#pragma GCC unroll 4
    for (int t = 0; t < TILE; t++) {
      V at = V{} + x[t * K + k];
      for (int v = 0; v < NV; v++) sum[t][v] += at * row[v];
    }
  }
  for (int t = 0; t < TILE; t++)
    for (int v = 0; v < NV; v++) *(VU *)(y + t * N + n + v * W) = sum[t][v];
}
static void times(const S *x, I rows, I K, const S *w, I N, const S *b, S *y) {
  I n = 0;
  for (; n + 2 * W <= N; n += 2 * W)
    for (I t = 0; t < rows; t += TILE) panel<2>(x + t * K, K, w, N, b, y + t * N, n);
  for (; n < N; n += W)
    for (I t = 0; t < rows; t += TILE) panel<1>(x + t * K, K, w, N, b, y + t * N, n);
}

// Energies e [rows] of x [rows, K], and their gradients xb [rows, K]; h is room for the widths of all layers × rows, twice the widest.
static void network(const Layer *layers, I depth, const S *x, I rows, double *e, S *xb, S *h, S *a, S *b) {
  const S *from = x;
  S *to = h;
  for (I t = 0; t + 1 < depth; t++) {
    const Layer &l = layers[t];
    times(from, rows, l.K, l.w, l.N, l.b, to);
    for (I k = 0; k < rows * l.N; k += W) *(VU *)(to + k) = activate(l.activation, *(VU *)(to + k));
    from = to;
    to += rows * l.N;
  }
  const Layer &last = layers[depth - 1];
  for (I t = 0; t < rows; t++) {
    V sum = {};
    for (I k = 0; k < last.K; k += W) sum += *(const VU *)(from + t * last.K + k) * *(const VU *)(last.w + k);
    e[t] = (double)total(sum) + (double)last.b[0];
  }
  S *now = depth > 1 ? a : xb, *other = b;
  for (I t = 0; t < rows; t++)
    for (I k = 0; k < last.K; k += W) *(VU *)(now + t * last.K + k) = *(const VU *)(last.w + k);
  for (I t = depth - 2; t >= 0; t--) {
    const Layer &l = layers[t];
    to -= rows * l.N;
    for (I k = 0; k < rows * l.N; k += W) *(VU *)(now + k) *= slope(l.activation, *(VU *)(to + k));
    S *next = t ? other : xb;
    times(now, rows, l.N, l.wt, l.K, nullptr, next);
    other = now, now = next;
  }
}
