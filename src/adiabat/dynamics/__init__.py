"""State → state: molecular dynamics and relaxation of whole batches.

```python
state = State.of(atoms, potential, temperature_K=300, rng=rng)
for state in langevin(state, potential, rng=rng, timestep_fs=0.5, temperature_K=300):
    ...
```
"""

from adiabat.dynamics.barostat import npt
from adiabat.dynamics.guards import DynamicsError, Exploded, Hotter, Stretched, Swollen, Uncertain
from adiabat.dynamics.langevin import langevin
from adiabat.dynamics.relax import Relaxed, relax
from adiabat.dynamics.splitting import BAOAB, VELOCITY_VERLET, Splitting
from adiabat.dynamics.state import Piston, State
from adiabat.dynamics.verlet import velocity_verlet

# What a run can ask for by name.
INTEGRATORS = {"nve": velocity_verlet, "nvt": langevin, "npt": npt}

__all__ = [
    "BAOAB", "INTEGRATORS", "VELOCITY_VERLET", "DynamicsError", "Exploded", "Hotter", "Piston", "Relaxed", "Splitting", "State",
    "Stretched", "Swollen", "Uncertain", "langevin", "npt", "relax", "velocity_verlet",
]  # fmt: skip
