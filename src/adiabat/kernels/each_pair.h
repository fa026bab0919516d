// Sums over pairs of atoms, each pair taken once: what it gives to one end, it gives to the other. An atom's pairs nearer than any cutoff are
// set side by side first, W of them to a vector. Atoms are shared out to slots, whose number follows from the number of atoms alone; each
// slot adds to sums of its own, and these are added in their order: the same bits for any number of threads. All of it in double precision.
// What Python fills in is the family's `Facts`, which begins with `Common`. A family has
//   enum { NODES, KEPT }                               whether an energy of an atom's sum follows; how many vectors of W pairs are kept for
//                                                      it, r the first three
//   Family(const Facts &)
//   void pair(I kind, const Pair &, V &half, V &along)  without NODES: half the energies, ∂E/∂d / d; zero in lanes that are not on
//   void gather(I kind, const Pair &, V *rho, V &half, V *kept)  with NODES: what the other end brings, and what it is brought; half the
//                                                      energies; what is kept after r; likewise
//   double node(I kind, double rho, double &slope)     the energy of a sum, and its slope
//   V push(double mine, V theirs, const V *kept)       ∂E/∂d / d by the slopes of both ends
enum { SLOTS = 8, SHARE = 128 };

struct Common {
  I elements, kinds;
  const I *kind;  // by atomic number, `elements` of them; −1 where unknown
  double most;    // Å: no pair is seen beyond
};

struct Pair {  // W pairs of one center
  V r[3], d2;
  VI on;            // lanes that hold one; the others hold some vector within reach
  const int *kind;  // [W] of the other end
};

// Atoms as LAMMPS has them: with images of them behind, x by numbers of either; near[i] names one end of each pair to the other, once.
struct Images {
  I atoms, images, threads, mask;
  const I *numbers;  // [atoms]
  const double *x;   // [images, 3]
  const int *owner, *count, *const *near;  // [images] whose image it is; [atoms]
  double *energies, *forces, *strain;      // added to: [atoms], [atoms, 3], [3, 3]
};
struct Image {
  double x[3];
  int owner, kind;
};

static inline V root(V x) {
  for (int k = 0; k < W; k++) x[k] = std::sqrt(x[k]);
  return x;
}
