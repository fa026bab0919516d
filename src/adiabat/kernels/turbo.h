// Radial functions of soap_turbo, R_n(d) = A(d) ∫ exp(−(r − d)²/2σ²) g_n(r) dr, as turbo.py has them: by recursion for every neighbor,
// since orthonormal functions are differences of large numbers, whose rounding a table's slopes would show.
struct Turbo {  // of a kind of neighbor; lengths in units of the cutoff
  I n, gaussian, enhancement;
  double begin, filter, sigma, growth, from, fading;  // soft cutoff, width of the filter, σ = sigma + growth d, filtered from, power of what fades
  const S *root;  // [n, NP]
};

typedef Dual<S> D;  // with the slope along d
static inline D chain(D x, S f, S slope) { return {f, slope * x.t}; }
static inline D reciprocal(D x) { return chain(x, 1 / x.v, -1 / (x.v * x.v)); }
static inline D bell(D x) { S e = std::exp(-x.v * x.v / 2); return chain(x, e, -x.v * e); }  // exp(−x²/2)
static inline D rise(D x) { return chain(x, std::erf(x.v), (S)1.1283791670955126 * std::exp(-x.v * x.v)); }
static inline D square_root(D x) { S y = std::sqrt(x.v); return chain(x, y, (S)0.5 / y); }

// Adds `weight` ∫ exp(−(r − x)²/2s²) √(2a + 5) (1 − r)^(a+2) dr over low … high, a = 1 … n. What stands at r = 1 is left out.
static void add_moments(I n, D x, D s, S low, S high, D weight, D *to) {
  D variance = s * s, per = reciprocal(s), a = (low - x) * per, b = (high - x) * per, first = bell(a), last = high < 1 ? bell(b) : D{0, 0};
  D before = {0, 0}, here = (S)1.2533141373155003 * (s * (rise((S)0.70710678118654752 * b) - rise((S)0.70710678118654752 * a)));
  S down = 1, up = 1;
  for (I k = 1; k <= n + 2; k++, down *= 1 - low, up *= 1 - high) {
    D next = variance * ((S)(k - 1) * before + (up * last - down * first)) + (1 - x) * here;
    before = here, here = next;
    if (k > 2) to[k - 3] += (S)std::sqrt(2.0 * k + 1) * (weight * here);
  }
}

// R and ∂R/∂d, [NP], of a neighbor at distance d.
static void turbo_radial(const Turbo &t, S d, S cutoff, S *R, S *dR) {
  D x = {d / cutoff, 1 / cutoff}, s = (S)t.sigma + (S)t.growth * x, phi[NMAX] = {};
  I polynomials = t.n - t.gaussian;
  add_moments(polynomials, x, s, 0, t.begin, {1, 0}, phi);
  if (d > t.from * cutoff) {
    S q = (S)(t.filter * t.filter);
    D both = q + s * s, over = reciprocal(both), root = square_root(over);
    add_moments(polynomials, ((S)t.begin * (s * s) + q * x) * over, (S)t.filter * (s * root), t.begin, 1, bell(((S)t.begin - x) * root), phi);
  }
  if (t.gaussian && x.v < 4 * (t.sigma + s.v)) {
    S own = (S)t.sigma;
    D root = square_root(reciprocal(own * own + s * s));
    D tail = (S)1 + rise((S)(0.70710678118654752 * own) * (x * reciprocal(s) * root));
    // √(π/2) √(2/own) own / π^¼
    phi[t.n - 1] = (S)(std::sqrt(own) * 1.3313353638003897) * (bell(x * root) * (s * root) * tail);
  }
  D more = reciprocal(s);
  if (t.enhancement == 1) more = more * (x + (S)0.79788456080286536 * s);
  if (t.enhancement == 2) more = more * (x * x + s * s + (S)1.5957691216057308 * (s * x));
  if (t.fading > 0) {
    S fade = 1 + x.v * x.v * (2 * x.v - 3);
    more = fade > 1e-10 ? more * chain(x, std::pow(fade, t.fading), t.fading * std::pow(fade, t.fading - 1) * 6 * x.v * (x.v - 1)) : D{0, 0};
  }
  V sum[NV] = {}, slope[NV] = {};
  for (I b = 0; b < t.n; b++) {
    D with = more * phi[b];
    for (int v = 0; v < NV; v++) sum[v] += with.v * at(t.root + b * NP + v * W), slope[v] += with.t * at(t.root + b * NP + v * W);
  }
  for (int v = 0; v < NV; v++) put(R + v * W, sum[v]), put(dR + v * W, slope[v]);
}
