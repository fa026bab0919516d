"""Layers that models are composed of, on top of the kernels.

| file | what |
|---|---|
| `derived` | tensors made from parameters: anew while training, once while evaluating |
| `mlp` | dense layers that keep the variance and map zero to zero |
| `resnet` | dense layers with short cuts |
| `radial` | radial functions of a convolution: a network evaluated at the knots of a spline |
| `environment_matrix` | s(r) of Deep Potentials, its statistics, embedding networks as splines of the distance |
| `transform` | distances of a pair of elements on a common scale |
| `linear` | equivariant dense maps: by irrep, and by species |
| `surroundings` | edges, species, and a lone atom of each kind |
| `product` | symmetric contractions with weights per species |
| `bispectrum` | the bispectrum of an atom's neighbors |
| `moments` | moment tensors of an atom's neighbors and their contractions |
| `listed_products` | invariant products of a density's components, as lists |
| `listed_functions` | radial functions and embeddings of such expansions, by name |
| `listed_start` | where training of such expansions begins, and the coordinates it steps in |
| `remembered` | sums over neighbors that are worked out once for fixed positions |
| `sketched` | coordinates in which the data see all coefficients alike, from random sums of labels |
| `linear_basis` | what linear families are: descriptors, their derivatives, the columns of a fit |
| `sparse_kernel` | kernels of Gaussian processes on distances, and what every sparse kernel is |
| `soap_kernel` | the kernel of the neighbor density |
| `sparse_points` | which environments stand for all |
| `symmetry_list` | symmetry functions of every kind, a list an element |
"""

from adiabat.nn.derived import Derived
from adiabat.nn.linear import Linear, SpeciesLinear
from adiabat.nn.mlp import MLP
from adiabat.nn.product import Product
from adiabat.nn.radial import RadialTable
from adiabat.nn.resnet import ResNet
from adiabat.nn.surroundings import WithLoneAtoms, neighbor_species

__all__ = ["MLP", "Derived", "Linear", "Product", "RadialTable", "ResNet", "SpeciesLinear", "WithLoneAtoms", "neighbor_species"]
