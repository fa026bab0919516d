// Atoms abreast: W atoms of one element side by side, one a lane; at a time one neighbor of each, so that no lane needs another one.
// What is summed over neighbors, made of the sums and pushed back to the edges, a family states; `abreast.h` walks the atoms.
struct Common {
  I elements, kinds;
  const I *kind;        // by atomic number, `elements` of them; −1 where unknown
  const double *reach;  // [kinds, kinds], Å: the cutoff of a center's element and a neighbor's
};

struct Near {  // a neighbor of each atom
  V r[3], d;
  V on;             // 1, or 0 where an atom has no such neighbor: what stands there is some vector within reach
  const I *kind;    // [W]
};

// What Python fills in is the family's `Facts`, which begins with `Common`. A family has
//   static size_t numbers(const Facts &)   how many numbers it works in, a multiple of W
//   Family(const Facts &, S *)             which are here
//   void begin(I kind)                     sums without neighbors, around atoms of this element
//   void gather(const Near &)              one neighbor of each
//   void node(double *e)                   energies [W], and ∂E/∂sums
//   void push(const Near &, V *g)          ∂E/∂r of this neighbor
// With an enum TOGETHER, gather(n) and push(n, g) take that many neighbors of each atom at once, [TOGETHER], and all are of one element.
