// A potential that `adiabat export` wrote, without Python: reads the file, loads the evaluators' libraries beside it, sums what they say.
// Format and structs are versioned; the layout is written by files.py, the structs are those of kernels/walk.h and kernels/call.h.
#pragma once
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace adiabat {

typedef int64_t I;
enum { VERSION = 1 };

// What an evaluator that walks a graph takes: kernels/walk.h.
struct Input {
  I atoms, edges, structures, threads;
  const I *first, *j, *species, *structure;
  const double *r;
  double *energies, *forces, *strain;
};

// What an evaluator of a local term takes, and adds to: kernels/call.h.
struct Call {
  I atoms, edges, structures, threads, copies;
  const I *numbers, *first, *j, *reverse, *structure;
  const double *r;
  double *energies, *energy, *forces, *strain;
};

// What a term that takes each pair of atoms once takes instead, where its library has `evaluate_images`: kernels/each_pair.h. Atoms, their
// images behind them, positions of either in Å; near[i] & mask name one end of each pair to the other, once.
struct Images {
  I atoms, images, threads, mask;
  const I *numbers;
  const double *x;
  const int *owner, *count, *const *near;
  double *energies, *forces, *strain;
};

// One structure: edges sorted by center, edge vectors r = R_j − R_i in Å, each edge's counter-edge where `needs_reverse`.
struct Graph {
  std::vector<I> numbers, first, j, reverse, structure;
  std::vector<double> r;
  I atoms() const { return numbers.size(); }
  I edges() const { return j.size(); }
};

// eV and Å; strain is ∂E/∂ε.
struct Answer {
  std::vector<double> energies, forces;
  double strain[9];
};

class Bytes {
 public:
  explicit Bytes(const std::string &path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error(path + ": cannot be read; give the folder that adiabat export wrote");
    size = file.tellg();
    // Aligned, since libraries read vectors from it.
    data.reset((char *)std::aligned_alloc(64, (size + 127) / 64 * 64), std::free);
    if (!data) throw std::runtime_error(path + ": no memory is left to read it");
    file.seekg(0);
    file.read(data.get(), size);
    if (!file) throw std::runtime_error(path + ": ended too early; export again");
  }
  I word() {
    I found;
    std::memcpy(&found, take(8), 8);
    return found;
  }
  double number() {
    double found;
    std::memcpy(&found, take(8), 8);
    return found;
  }
  std::string text() {
    I length = word();
    std::string found(take(length), length);
    take((8 - length % 8) % 8);
    return found;
  }
  char *block(I length) {
    take((64 - at % 64) % 64);
    return take(length);
  }
  uint64_t checksum(size_t from) const {  // FNV-1a on words
    uint64_t hash = 14695981039346656037ull;
    for (size_t k = from; k < size; k += 8) {
      uint64_t word = 0;
      std::memcpy(&word, data.get() + k, k + 8 <= size ? 8 : size - k);
      hash = (hash ^ word) * 1099511628211ull;
    }
    return hash;
  }
  size_t size = 0;
  std::shared_ptr<char> data;

 private:
  size_t at = 0;
  char *take(I length) {
    if (length < 0 || (size_t)length > size - at) throw std::runtime_error("the potential's file is damaged; export again");
    char *found = data.get() + at;
    at += length;
    return found;
  }
};

class Part {
 public:
  bool local;

  Part(Bytes &in, const std::string &folder) {
    local = in.word();
    I n = in.word();
    for (I k = 0; k < n; k++) {
      I number = in.word();
      if (number < 0 || number > 200) throw std::runtime_error("the potential's file is damaged; export again");
      if ((I)species.size() <= number) species.resize(number + 1, -1);
      species[number] = k;
    }
    std::string name = in.text(), signature = in.text();
    uint64_t bytes = in.word(), sum = in.word();
    std::vector<I> arguments(signature.size()), places(in.word());
    for (I &argument : arguments) argument = in.word();
    for (I &place : places) place = in.word();
    I length = in.word();
    char *base = in.block(length);
    for (I place : places) {
      if (place < 0 || place > length - 8) throw std::runtime_error("the potential's file is damaged; export again");
      I offset;
      std::memcpy(&offset, base + place, 8);
      char *address = base + offset;
      std::memcpy(base + place, &address, 8);
    }
    for (size_t k = 0; k < arguments.size(); k++)
      if (signature[k] == 'p') arguments[k] += (I)base;
    if (name.find('/') != std::string::npos) throw std::runtime_error("a library outside of the potential's folder is not loaded");
    std::string path = folder + "/" + name;
    Bytes file(path);
    if (file.size != bytes || file.checksum(0) != sum) throw std::runtime_error(path + ": is not the library that was exported; export again");
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(std::string(dlerror()) + "; export again on this machine");
    run = (int (*)(void *, const void *))symbol("evaluate");
    once = (int (*)(void *, const void *))dlsym(library, "evaluate_images");
    drop = (void (*)(void *))symbol("drop");
    model = made(symbol("make"), signature, arguments);
    if (!model) throw std::runtime_error("no memory is left for the potential");
  }
  Part(const Part &) = delete;
  ~Part() {
    if (model) drop(model);
    if (library) dlclose(library);
  }

  int evaluate(const Graph &g, I threads, Answer &out) {
    return local ? add(g, threads, out) : walk(g, threads, out);
  }
  bool takes_each_pair_once() const { return once; }
  int evaluate(const Images &in) { return once(model, &in); }

 private:
  void *library = nullptr, *model = nullptr;
  int (*run)(void *, const void *) = nullptr, (*once)(void *, const void *) = nullptr;
  void (*drop)(void *) = nullptr;
  std::vector<I> species, kinds;  // by atomic number; of each atom
  std::vector<double> energies, forces;

  void *symbol(const char *name) {
    void *found = dlsym(library, name);
    if (!found) throw std::runtime_error(std::string("a library without ") + name + "; export again");
    return found;
  }

  static void *made(void *make, const std::string &signature, const std::vector<I> &a) {
    auto number = [](I bits) {
      double found;
      std::memcpy(&found, &bits, 8);
      return found;
    };
    if (signature == "p") return ((void *(*)(I))make)(a[0]);
    if (signature == "pp") return ((void *(*)(I, I))make)(a[0], a[1]);
    if (signature == "piidp") return ((void *(*)(I, I, I, double, I))make)(a[0], a[1], a[2], number(a[3]), a[4]);
    throw std::runtime_error("a library of an unknown kind (" + signature + "); compile the plugin anew");
  }

  int walk(const Graph &g, I threads, Answer &out) {
    I n = g.atoms();
    kinds.resize(n), energies.resize(n), forces.resize(3 * n);
    for (I k = 0; k < n; k++) kinds[k] = g.numbers[k] < (I)species.size() ? species[g.numbers[k]] : -1;
    double strain[9];
    Input in = {n, g.edges(), 1, threads, g.first.data(), g.j.data(), kinds.data(), g.structure.data(), g.r.data(),
                energies.data(), forces.data(), strain};
    if (int fault = run(model, &in)) return fault;
    for (I k = 0; k < n; k++) out.energies[k] += energies[k];
    for (I k = 0; k < 3 * n; k++) out.forces[k] += forces[k];
    for (int k = 0; k < 9; k++) out.strain[k] += strain[k];
    return 0;
  }

  int add(const Graph &g, I threads, Answer &out) {
    double energy = 0;
    Call in = {g.atoms(), g.edges(), 1, threads, 1, g.numbers.data(), g.first.data(), g.j.data(), g.reverse.data(),
               g.structure.data(), g.r.data(), out.energies.data(), &energy, out.forces.data(), out.strain};
    return run(model, &in);
  }
};

class Potential {
 public:
  double cutoff;
  std::vector<I> elements;
  bool needs_reverse = false, takes_each_pair_once = true;

  explicit Potential(const std::string &folder) : bytes(folder + "/potential.bin") {
    if (bytes.word() != 0x3154414241494441) throw std::runtime_error(folder + "/potential.bin: not a potential of adiabat export");
    I version = bytes.word();
    if (version != VERSION)
      throw std::runtime_error(folder + "/potential.bin has format version " + std::to_string(version) + ", this plugin reads " +
                               std::to_string(VERSION) + "; load the plugin that was exported beside it");
    if ((uint64_t)bytes.word() != bytes.checksum(24)) throw std::runtime_error(folder + "/potential.bin is damaged; export again");
    cutoff = bytes.number();
    I n = bytes.word();
    for (I k = 0; k < n; k++) elements.push_back(bytes.word()), alone.push_back(bytes.number());
    I count = bytes.word();
    for (I k = 0; k < count; k++) {
      parts.emplace_back(new Part(bytes, folder));
      needs_reverse |= parts.back()->local;
      takes_each_pair_once &= parts.back()->takes_each_pair_once();
    }
  }

  void evaluate(const Graph &g, I threads, Answer &out) {
    clear(out, g.atoms());
    for (auto &part : parts) look(part->evaluate(g, threads, out));
    for (I k = 0; k < g.atoms(); k++) out.energies[k] += lone(g.numbers[k]);
  }

  // The same of each pair once, where all parts can; `in` gets its outputs here.
  void evaluate(Images in, Answer &out) {
    clear(out, in.atoms);
    in.energies = out.energies.data(), in.forces = out.forces.data(), in.strain = out.strain;
    for (auto &part : parts) look(part->evaluate(in));
    for (I k = 0; k < in.atoms; k++) out.energies[k] += lone(in.numbers[k]);
  }

  bool knows(I number) const {
    for (I z : elements)
      if (z == number) return true;
    return false;
  }

 private:
  Bytes bytes;
  std::vector<double> alone;
  std::vector<std::unique_ptr<Part>> parts;

  static void clear(Answer &out, I atoms) {
    out.energies.assign(atoms, 0.0), out.forces.assign(3 * atoms, 0.0);
    std::fill_n(out.strain, 9, 0.0);
  }

  static void look(int fault) {
    static const char *faults[] = {
        "the row pointers do not span the edges", "an element is unknown to the potential", "an atom belongs to no structure",
        "a neighbor is out of range", "an atom is nowhere: the dynamics exploded; shorten the timestep", "two atoms lie at one place",
        "no memory is left"};
    if (fault) throw std::runtime_error(fault <= 7 ? faults[fault - 1] : "an unknown fault");
  }

  double lone(I number) const {
    for (size_t k = 0; k < elements.size(); k++)
      if (elements[k] == number) return alone[k];
    return 0;
  }
};

// Each edge's counter-edge. A pair at the very cutoff may be listed from one side alone, by rounding: it is taken out.
inline void pair_up(Graph &g) {
  I n = g.atoms();
  bool whole;
  do {
    whole = true;
    g.reverse.assign(g.edges(), -1);
    for (I i = 0; i < n; i++)
      for (I e = g.first[i]; e < g.first[i + 1]; e++) {
        const double *r = &g.r[3 * e];
        for (I f = g.first[g.j[e]]; f < g.first[g.j[e] + 1] && g.reverse[e] < 0; f++) {
          if (g.j[f] != i) continue;
          double x = r[0] + g.r[3 * f], y = r[1] + g.r[3 * f + 1], z = r[2] + g.r[3 * f + 2];
          if (x * x + y * y + z * z < 1e-12) g.reverse[e] = f;
        }
        whole &= g.reverse[e] >= 0;
      }
    if (!whole) {
      I kept = 0, from = 0;
      for (I i = 0; i < n; i++) {
        I to = g.first[i + 1];
        for (I e = from; e < to; e++)
          if (g.reverse[e] >= 0) {
            g.j[kept] = g.j[e];
            for (int x = 0; x < 3; x++) g.r[3 * kept + x] = g.r[3 * e + x];
            kept++;
          }
        from = to;
        g.first[i + 1] = kept;
      }
      g.j.resize(kept), g.r.resize(3 * kept);
    }
  } while (!whole);
}

}  // namespace adiabat
