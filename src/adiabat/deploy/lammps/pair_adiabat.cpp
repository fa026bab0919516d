// pair_style adiabat: a potential of `adiabat export MODEL --to lammps` in LAMMPS, on one MPI rank.
//
//   units metal
//   atom_modify map yes
//   plugin load DIR/adiabatplugin.so
//   pair_style adiabat
//   pair_coeff * * DIR O H          # an element for each atom type
//
// Compiled against the headers of the LAMMPS that loads it: c++ -std=c++17 -O2 -fPIC -shared -DLAMMPS_SMALLBIG -I<lammps> -I<mpi>.
#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include "lammpsplugin.h"
#include "runtime.h"

#include <memory>
#include <string>

namespace LAMMPS_NS {

static const char *SYMBOLS[] = {
    "", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr",
    "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag",
    "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
    "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np",
    "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"};

static int number_of(const std::string &symbol) {
  for (int z = 1; z < (int)(sizeof(SYMBOLS) / sizeof(*SYMBOLS)); z++)
    if (symbol == SYMBOLS[z]) return z;
  return 0;
}

class PairAdiabat : public Pair {
 public:
  explicit PairAdiabat(LAMMPS *lmp) : Pair(lmp) {
    single_enable = 0;
    restartinfo = 0;
    one_coeff = 1;
    manybody_flag = 1;
    // Forces act on both ends of an edge at once, so Σ r·F over atoms and ghosts is not the virial: −∂E/∂ε is.
    no_virial_fdotr_compute = 1;
  }

  ~PairAdiabat() override {
    if (allocated) {
      memory->destroy(setflag);
      memory->destroy(cutsq);
    }
  }

  void settings(int narg, char **arg) override {
    if (narg) error->all(FLERR, "pair_style adiabat takes no argument, '{}' came", arg[0]);
  }

  void coeff(int narg, char **arg) override {
    int types = atom->ntypes;
    if (narg != 3 + types)
      error->all(FLERR, "pair_coeff of adiabat: {} words came, wanted * * FOLDER and an element for each of {} atom types", narg, types);
    if (std::string(arg[0]) != "*" || std::string(arg[1]) != "*") error->all(FLERR, "pair_coeff of adiabat: wanted * * FOLDER ELEMENTS");
    try {
      potential.reset(new adiabat::Potential(arg[2]));
    } catch (const std::exception &problem) {
      error->all(FLERR, "pair_style adiabat: {}", problem.what());
    }
    if (!allocated) {
      memory->create(setflag, types + 1, types + 1, "pair:setflag");
      memory->create(cutsq, types + 1, types + 1, "pair:cutsq");
      allocated = 1;
    }
    numbers.assign(types + 1, 0);
    for (int type = 1; type <= types; type++) {
      numbers[type] = number_of(arg[2 + type]);
      if (!numbers[type]) error->all(FLERR, "pair_coeff of adiabat: '{}' for atom type {} is no element", arg[2 + type], type);
      if (!potential->knows(numbers[type])) {
        std::string known;
        for (auto z : potential->elements) known += std::string(" ") + SYMBOLS[z];
        error->all(FLERR, "pair_coeff of adiabat: the potential has not seen {}; it knows{}", arg[2 + type], known);
      }
      for (int other = 1; other <= types; other++) setflag[type][other] = 1;
    }
  }

  void init_style() override {
    if (std::string(update->unit_style) != "metal") error->all(FLERR, "pair_style adiabat needs 'units metal', not '{}'", update->unit_style);
    if (comm->nprocs > 1)
      error->all(FLERR, "pair_style adiabat runs on one MPI rank, {} came: start lmp without mpirun, and use threads (OMP_NUM_THREADS)", comm->nprocs);
    if (!atom->tag_enable || !atom->map_user) error->all(FLERR, "pair_style adiabat needs 'atom_modify map yes' before the box is made");
    if (atom->molecular != Atom::ATOMIC)
      for (int k = 1; k < 4; k++)
        if (force->special_lj[k] != 1.0) error->all(FLERR, "pair_style adiabat sees bonded neighbors, too: give 'special_bonds lj/coul 1 1 1'");
    // With `newton off` half a list has pairs with images twice: once from each end.
    once = potential->takes_each_pair_once && force->newton_pair;
    neighbor->add_request(this, once ? NeighConst::REQ_DEFAULT : NeighConst::REQ_FULL);
    owner.clear();
  }

  double init_one(int, int) override { return potential->cutoff; }

  void compute(int eflag, int vflag) override {
    ev_init(eflag, vflag);
    if (vflag_atom) error->all(FLERR, "pair_style adiabat has no stress of single atoms; ask for the pressure of the whole");
    try {
      if (once) {
        own();
        potential->evaluate(adiabat::Images{atom->nlocal, (adiabat::I)owner.size(), comm->nthreads, NEIGHMASK, graph.numbers.data(), atom->nlocal ? atom->x[0] : nullptr,
                                            owner.data(), list->numneigh, list->firstneigh}, answer);
      } else {
        gather();
        if (potential->needs_reverse) adiabat::pair_up(graph);
        potential->evaluate(graph, comm->nthreads, answer);
      }
    } catch (const std::exception &problem) {
      error->all(FLERR, "pair_style adiabat: {}", problem.what());
    }
    for (int i = 0; i < atom->nlocal; i++) {
      for (int x = 0; x < 3; x++) atom->f[i][x] += answer.forces[3 * i + x];
      if (eflag_global) eng_vdwl += answer.energies[i];
      if (eflag_atom) eatom[i] += answer.energies[i];
    }
    if (vflag_global) {
      static const int row[] = {0, 1, 2, 0, 0, 1}, column[] = {0, 1, 2, 1, 2, 2};
      for (int k = 0; k < 6; k++) virial[k] -= (answer.strain[3 * row[k] + column[k]] + answer.strain[3 * column[k] + row[k]]) / 2;
    }
  }

  double memory_usage() override { return Pair::memory_usage() + 8.0 * (graph.edges() * 5 + graph.atoms() * 8); }

 private:
  std::unique_ptr<adiabat::Potential> potential;
  std::vector<int> numbers;  // by atom type
  adiabat::Graph graph;
  adiabat::Answer answer;
  bool once = false;       // each pair is taken once, from half a list
  std::vector<int> owner;  // of every atom and ghost: the atom whose image it is

  int owner_of(int j) {
    int n = atom->nlocal, owned = j < n ? j : atom->map(atom->tag[j]);
    if (owned < 0 || owned >= n) error->one(FLERR, "pair_style adiabat: atom {} has an image without an owner", atom->tag[j]);
    return owned;
  }

  // Whose image each ghost is changes when lists are made anew.
  void own() {
    int n = atom->nlocal, all = n + atom->nghost;
    graph.numbers.resize(n);
    for (int i = 0; i < n; i++) graph.numbers[i] = numbers[atom->type[i]];
    if (neighbor->ago && (int)owner.size() == all) return;
    owner.resize(all);
    for (int j = 0; j < all; j++) owner[j] = owner_of(j);
  }

  // Edges of owned atoms; a ghost is an image of an owned one, and its edge leads there.
  void gather() {
    int n = atom->nlocal;
    double **x = atom->x, near = potential->cutoff * potential->cutoff;
    graph.numbers.resize(n), graph.structure.assign(n, 0), graph.first.resize(n + 1);
    graph.j.clear(), graph.r.clear();
    graph.first[0] = 0;
    for (int i = 0; i < n; i++) {
      graph.numbers[i] = numbers[atom->type[i]];
      int *neighbors = list->firstneigh[i];
      for (int k = 0; k < list->numneigh[i]; k++) {
        int j = neighbors[k] & NEIGHMASK;
        double r[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
        if (!(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < near)) continue;
        graph.j.push_back(owner_of(j));
        graph.r.insert(graph.r.end(), r, r + 3);
      }
      graph.first[i + 1] = graph.j.size();
    }
  }
};

}  // namespace LAMMPS_NS

static void *make(void *lammps) { return new LAMMPS_NS::PairAdiabat((LAMMPS_NS::LAMMPS *)lammps); }

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *registers) {
  lammps_plugin plugin;
  plugin.version = ((LAMMPS_NS::LAMMPS *)lammps)->version;
  plugin.style = "pair";
  plugin.name = "adiabat";
  plugin.info = "potentials of Adiabat (eV, Å), one rank";
  plugin.author = "Adiabat developers";
  plugin.creator.v1 = make;
  plugin.handle = handle;
  ((lammps_plugin_register)registers)(&plugin, lammps);
}
