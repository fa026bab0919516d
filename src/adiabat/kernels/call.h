// What evaluators of local terms take and give: a topology and its edge vectors in; energies, forces and strain gradients *added* to.
// Several terms are called one after the other on the same outputs. `copies` sets of outputs stand one behind the other: a committee's.
struct Call {
  I atoms, edges, structures, threads, copies;
  const I *numbers, *first, *j, *reverse, *structure;
  const double *r;
  double *energies, *energy, *forces, *strain;  // [copies, atoms], [copies, structures], [… atoms, 3], [… structures, 3, 3]
};

// What compiled code cannot survive, in the order of the messages in local.py; 0 if all is well.
static int check(const Call &in, const I *kind, I elements) {
  if (in.first[0] != 0 || in.first[in.atoms] != in.edges) return 1;
  for (I n = 0; n < in.atoms; n++) {
    if (in.first[n] > in.first[n + 1]) return 1;
    if (in.numbers[n] < 0 || in.numbers[n] >= elements || kind[in.numbers[n]] < 0) return 2;
    if (in.structure[n] < 0 || in.structure[n] >= in.structures) return 3;
  }
  for (I n = 0; n < in.atoms; n++)
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      I j = in.j[e], back = in.reverse[e];
      if (j < 0 || j >= in.atoms || back < in.first[j] || back >= in.first[j + 1] || in.j[back] != n || in.reverse[back] != e) return 4;
    }
  return 0;
}

// A term's energies e [atoms] are added up, and from its g = ∂E/∂r of every edge: F_i = Σ (g_e − g_reverse(e)) over the edges of i, and ∂E/∂ε = Σ r⊗g. Each atom gathers what is its
// own, and structures are summed in the order of their atoms: the same bits for any number of threads.
static void collect(const Call &in, I copy, const double *e, const S *g, double *pairs) {
  double *forces = in.forces + copy * 3 * in.atoms, *strain = in.strain + copy * 9 * in.structures;
#pragma omp parallel for num_threads(in.threads) schedule(static) if (in.threads > 1)
  for (I n = 0; n < in.atoms; n++) {
    double f[3] = {}, w[9] = {};
    for (I e = in.first[n]; e < in.first[n + 1]; e++) {
      const S *out = g + 3 * e, *back = g + 3 * in.reverse[e];
      const double *r = in.r + 3 * e;
      for (int x = 0; x < 3; x++) f[x] += (double)out[x] - (double)back[x];
      for (int x = 0; x < 3; x++)
        for (int y = 0; y < 3; y++) w[3 * x + y] += r[x] * out[y];
    }
    for (int x = 0; x < 3; x++) forces[3 * n + x] += f[x];
    for (int x = 0; x < 9; x++) pairs[9 * n + x] = w[x];
  }
  for (I n = 0; n < in.atoms; n++) {
    in.energies[copy * in.atoms + n] += e[n];
    in.energy[copy * in.structures + in.structure[n]] += e[n];
    double *to = strain + 9 * in.structure[n];
    for (int x = 0; x < 3; x++)
      for (int y = 0; y < 3; y++) to[3 * x + y] += 0.5 * (pairs[9 * n + 3 * x + y] + pairs[9 * n + 3 * y + x]);
  }
}
