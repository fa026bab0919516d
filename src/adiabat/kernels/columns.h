// What a fit wants of a structure: for each sparse point a column of sums of its covariances and of their slopes, added to.
struct Columns {
  I columns;
  S *energy, *forces, *strain;  // [columns]; [atoms, 3, columns]; [6, columns]: xx, xy, xz, yy, yz, zz
};

// Adds slopes J along edge e of atom i, of W columns from `column` on: one atom is pushed, the other one pulled.
static inline void push(const Call &in, const Columns &out, I i, I e, I column, const V *J) {
  const double *r = in.r + 3 * e;
  I row = out.columns;
  S *one = out.forces + 3 * i * row + column, *other = out.forces + 3 * in.j[e] * row + column, *strain = out.strain + column;
  for (int x = 0; x < 3; x++) {
    put(one + x * row, at(one + x * row) + J[x]);
    put(other + x * row, at(other + x * row) - J[x]);
    // Energies do not turn: of all edges of an atom r ⊗ J is symmetric.
    for (int y = x; y < 3; y++, strain += row) put(strain, at(strain) + (S)r[x] * J[y]);
  }
}
