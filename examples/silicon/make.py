"""How si.xyz was made: diamond silicon, its conventional cell of eight atoms at the experimental lattice constant."""

from ase.build import bulk
from ase.io import write

write("si.xyz", bulk("Si", "diamond", a=5.431, cubic=True))
