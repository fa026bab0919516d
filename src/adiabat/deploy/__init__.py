"""From a trained potential to where it is used.

| file | what |
|---|---|
| `load` | model files back to potentials |
"""

from adiabat.deploy.load import load

__all__ = ["load"]
