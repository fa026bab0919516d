"""From a trained potential to where it is used.

| file | what |
|---|---|
| `load` | model files back to potentials |
| `export`, `lammps` | potentials for other programs |
| `importers` | the peers' model files to potentials |
"""

from adiabat.deploy.importers import import_model
from adiabat.deploy.load import load

__all__ = ["import_model", "load"]
