"""The primitives every model is written with.

Each has a plain PyTorch reference, which is the meaning; fast paths stand behind it, and callers never choose.

| file | what |
|---|---|
| `segment` | sums of rows that share an index |
| `geometry`, `edge_geometry` | distances, spherical harmonics; both at once, fast |
| `radial`, `spline` | cutoffs and radial bases; functions of a distance as B-spline tables |
| `edge_conv` | sums over neighbors of (radial × harmonic × feature) along a path list |
| `node_poly` | symmetric polynomials of one atom's features |
| `triplet`, `symmetry`, `aev` | sums over pairs of neighbors with angles; all symmetry functions, or ANI's, at once, fast |
| `chebyshev` | sums over neighbors of Chebyshev functions, alone and times harmonics, fast |
| `line_graph` | edges of edges, for messages between bonds |
| `linear` | dense maps of one irrep |
| `polarizable_layer` | messages and updates of scalars and vectors (PaiNN) at once, fast |
| `local`, `networks`, `listed`, `invariants`, `pairs` | whole terms of a frozen potential in one compiled call each, on common sums |
| `moving`, `moving_local` | one structure's atoms moved again and again on one topology: walks alone; local terms, beside a walk or alone |
| `rigid` | drift and rotation taken out of velocities, fast |
| `ir` | path lists, coefficient tables, Horner polynomials: what fast paths are generated from |
"""

from adiabat.kernels.aev import AEV, environments
from adiabat.kernels.edge_conv import edge_conv
from adiabat.kernels.edge_geometry import edge_geometry
from adiabat.kernels.geometry import distance, spherical_harmonics
from adiabat.kernels.ir import Contraction, Convolution
from adiabat.kernels.line_graph import LineGraph, bond_cosine, line_graph
from adiabat.kernels.linear import linear
from adiabat.kernels.node_poly import merge, node_poly, polynomial
from adiabat.kernels.polarizable_layer import polarizable_layers
from adiabat.kernels.radial import bessel, cosine_cutoff, gaussians, polynomial_cutoff, smooth_cutoff, tanh3_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.spline import knots, spline, spline_table
from adiabat.kernels.symmetry import symmetry_functions
from adiabat.kernels.triplet import angular_symmetry, pair_channel, radial_symmetry, triplets

__all__ = [
    "AEV",
    "Contraction",
    "Convolution",
    "LineGraph",
    "angular_symmetry",
    "bessel",
    "bond_cosine",
    "cosine_cutoff",
    "distance",
    "edge_conv",
    "edge_geometry",
    "environments",
    "gaussians",
    "knots",
    "line_graph",
    "linear",
    "merge",
    "node_poly",
    "pair_channel",
    "polarizable_layers",
    "polynomial",
    "polynomial_cutoff",
    "radial_symmetry",
    "segment_sum",
    "smooth_cutoff",
    "spherical_harmonics",
    "spline",
    "spline_table",
    "symmetry_functions",
    "tanh3_cutoff",
    "triplets",
]
