"""Is it right? Potentials held against what they were not trained on.

| file | what |
|---|---|
| `errors` | errors against labeled frames, over all and by kind of configuration; the pairs for parity plots |
"""

from adiabat.validation.errors import Errors, errors

__all__ = ["Errors", "errors"]
