"""Is it right? Potentials held against what they were not trained on.

| file | what |
|---|---|
| `errors` | errors against labeled frames, over all and by kind of configuration; the pairs for parity plots |
| `gate` | laws every potential must obey, tried on this one |
| `parity` | what was exported against what it was made from |
"""

from adiabat.validation.errors import Errors, errors
from adiabat.validation.gate import GATES, Check, Gate, GateRefusal, gate

__all__ = ["GATES", "Check", "Errors", "Gate", "GateRefusal", "errors", "gate"]
