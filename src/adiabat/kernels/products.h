// Matrix products between matrices that come and go: weights are packed as they are met, gradients of weights are laid as these are.
#include "rows.h"

struct Weight {  // [K, N] row after row, or column after column
  const S *w;
  I K, N;
  bool turned;
};

static inline int wide(I N) { return PANEL == 4 && N / W % 4 == 0 ? PANEL : N / W % 2 == 0 ? 2 : 1; }

// y = x w, or y = x wᵀ for `back`, or that added to y; rows of x and y are as wide as they look. Threads share rows.
static void times(I threads, const S *x, const Weight &w, bool back, S *y, I rows, S *pack, bool add = false) {
  const I K = back ? w.N : w.K, N = back ? w.K : w.N, columns = wide(N) * W;
  for (I c = 0; c < N; c += columns)
    if (back == w.turned)
      for (I k = 0; k < K; k++) std::copy_n(w.w + k * N + c, columns, pack + c * K + k * columns);
    else
      for (I k0 = 0; k0 < K; k0 += 16)
        for (I n = 0; n < columns; n++)
          for (I k = k0; k < k0 + 16; k++) pack[c * K + k * columns + n] = w.w[(c + n) * K + k];
  const Matrix packed = {pack, K, N};
  enum { ONCE = 80 * TILE };
#pragma omp parallel num_threads(threads)
  {
    I b0, b1;
    share((rows + TILE - 1) / TILE, b0, b1);
    for (I r = b0 * TILE, end = std::min(rows, b1 * TILE); r < end; r += ONCE) {
      const S *from[ONCE];
      S *to[ONCE];
      const I n = std::min((I)ONCE, end - r);
      for (I k = 0; k < n; k++) from[k] = x + (r + k) * K, to[k] = y + (r + k) * N;
      if (columns == 4 * W) multiply<PANEL>(packed, from, to, n, add);
      else if (columns == 2 * W) multiply<2>(packed, from, to, n, add);
      else multiply<1>(packed, from, to, n, add);
    }
  }
}

template <int M, int NV> static inline void tall(const S *x, I K, const S *y, I N, S *out, I rows, bool add) {
  V acc[M][NV];
  for (int r = 0; r < M; r++)
    for (int v = 0; v < NV; v++) acc[r][v] = add ? *(const VU *)(out + r * N + v * W) : V{};
  for (I k = 0; k < rows; k++, x += K, y += N) {
    V b[NV];
    for (int v = 0; v < NV; v++) b[v] = *(const VU *)(y + v * W);
    for (int r = 0; r < M; r++)
      for (int v = 0; v < NV; v++) acc[r][v] += x[r] * b[v];
  }
  for (int r = 0; r < M; r++)
    for (int v = 0; v < NV; v++) *(VU *)(out + r * N + v * W) = acc[r][v];
}

template <int NV> static void tall(const S *x, I K, I r0, I r1, const S *y, I N, S *out, I rows) {
  for (I m = 0; m < rows; m += DEEP)
    for (I c = 0; c < N; c += NV * W) {
      const I deep = std::min((I)DEEP, rows - m);
      for (I r = r0; r < r1; r += TILE) {
        const S *a = x + m * K + r, *b = y + m * N + c;
        S *to = out + r * N + c;
        switch (std::min((I)TILE, r1 - r)) {
          case 6: tall<6, NV>(a, K, b, N, to, deep, m); break;
          case 5: tall<5, NV>(a, K, b, N, to, deep, m); break;
          case 4: tall<4, NV>(a, K, b, N, to, deep, m); break;
          case 3: tall<3, NV>(a, K, b, N, to, deep, m); break;
          case 2: tall<2, NV>(a, K, b, N, to, deep, m); break;
          case 1: tall<1, NV>(a, K, b, N, to, deep, m); break;
        }
      }
    }
}

// out = xᵀ y, laid as the weight is whose gradient it is; nobody may have asked. Threads share rows of what comes out.
static void outer(I threads, const S *x, const S *y, const Weight &like, I rows, S *out) {
  if (!out) return;
  I K = like.K, N = like.N;
  if (like.turned) std::swap(x, y), std::swap(K, N);
#pragma omp parallel num_threads(threads)
  {
    I b0, b1;
    share((K + TILE - 1) / TILE, b0, b1);
    const I r0 = b0 * TILE, r1 = std::min(K, b1 * TILE), nv = wide(N);
    if (nv == 4) tall<PANEL>(x, K, r0, r1, y, N, out, rows);
    else if (nv == 2) tall<2>(x, K, r0, r1, y, N, out, rows);
    else tall<1>(x, K, r0, r1, y, N, out, rows);
  }
}

// The sum of all rows; nobody may have asked.
static void added(const S *x, I rows, I N, S *out) {
  if (!out) return;
  std::fill_n(out, N, (S)0);
  for (I r = 0; r < rows; r++)
    for (I c = 0; c < N; c += W) *(VU *)(out + c) += *(const VU *)(x + r * N + c);
}
