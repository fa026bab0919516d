"""The primitives every model is written with.

Each has a plain PyTorch reference, which is the meaning; fast paths stand behind it.

| file | what |
|---|---|
| `segment` | sums of rows that share an index |
| `geometry` | distances, spherical harmonics |
| `radial` | cutoffs and radial bases |
| `triplet` | sums over pairs of neighbors with angles |
"""

from adiabat.kernels.geometry import distance, spherical_harmonics
from adiabat.kernels.radial import bessel, cosine_cutoff, gaussians, polynomial_cutoff, tanh3_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.triplet import angular_symmetry, pair_channel, radial_symmetry, triplets

__all__ = [
    "angular_symmetry",
    "bessel",
    "cosine_cutoff",
    "distance",
    "gaussians",
    "pair_channel",
    "polynomial_cutoff",
    "radial_symmetry",
    "segment_sum",
    "spherical_harmonics",
    "tanh3_cutoff",
    "triplets",
]
