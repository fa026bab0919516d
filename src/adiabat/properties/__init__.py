"""Physical properties of crystals, asked of whoever answers with energy, forces and stress: a potential, ASE, a campaign's labels.

| module | holds |
|---|---|
| `answers` | who is asked: `by_potential`, `by_calculator` |
| `eos` | energy against volume: lattice constant, bulk modulus and its slope |
| `elastic` | the 6×6 elastic constants, by as few strains as symmetry allows, atoms relaxed |
| `stress` | the stress against the energies' slope |
| `strain`, `symmetry` | strained cells and atoms at rest in them; the crystal's rotations |
"""

from adiabat.properties.answers import Answer, Ask, by_calculator, by_potential
from adiabat.properties.elastic import Elastic, elastic_constants
from adiabat.properties.eos import EquationOfState, equation_of_state
from adiabat.properties.stress import StressCheck, stress_check

# What `adiabat properties --what` can be asked of a crystal.
PROPERTIES = {"eos": equation_of_state, "elastic": elastic_constants, "stress": stress_check}

__all__ = [
    "PROPERTIES", "Answer", "Ask", "Elastic", "EquationOfState", "StressCheck", "by_calculator", "by_potential",
    "elastic_constants", "equation_of_state", "stress_check",
]  # fmt: skip
