// Matrix products: rows that lie anywhere by a packed matrix.
enum { PANEL = ADIABAT_BYTES == 64 ? 4 : 2, TILE = 6, DEEP = 128 };

// One matrix [K, N] packed as [N / columns][K][columns]; its columns are nv vectors wide. Without numbers it is the identity.
struct Matrix {
  const S *w;
  I K, N;
};

template <int M, int NV> static inline void tile(const S *const *x, S *const *y, I column, const S *w, I k0, I k1, bool add) {
  V acc[M][NV];
  for (int r = 0; r < M; r++)
    for (int v = 0; v < NV; v++) acc[r][v] = add ? *(const VU *)(y[r] + column + v * W) : V{};
  for (I k = k0; k < k1; k++) {
    V b[NV];
    for (int v = 0; v < NV; v++) b[v] = *(const VU *)(w + (k * NV + v) * W);
    for (int r = 0; r < M; r++)
      for (int v = 0; v < NV; v++) acc[r][v] += x[r][k] * b[v];
  }
  for (int r = 0; r < M; r++)
    for (int v = 0; v < NV; v++) *(VU *)(y[r] + column + v * W) = acc[r][v];
}

template <int NV> static void multiply(const Matrix &m, const S *const *x, S *const *y, I rows, bool add) {
  for (I column = 0; column < m.N; column += NV * W) {
    const S *w = m.w + column * m.K;
    for (I k0 = 0; k0 < m.K; k0 += DEEP) {
      I k1 = std::min(k0 + DEEP, m.K), r = 0;
      bool more = add || k0;
      for (; r + TILE <= rows; r += TILE) tile<TILE, NV>(x + r, y + r, column, w, k0, k1, more);
      switch (rows - r) {
        case 5: tile<5, NV>(x + r, y + r, column, w, k0, k1, more); break;
        case 4: tile<4, NV>(x + r, y + r, column, w, k0, k1, more); break;
        case 3: tile<3, NV>(x + r, y + r, column, w, k0, k1, more); break;
        case 2: tile<2, NV>(x + r, y + r, column, w, k0, k1, more); break;
        case 1: tile<1, NV>(x + r, y + r, column, w, k0, k1, more); break;
      }
    }
  }
}
