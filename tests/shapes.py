"""What checks shapes while the tests run: beartype, on the functions whose signature speaks of tensors.

The others answer wrong input in their own words, and tests hold those words. An int is welcome where a float is asked for,
as PEP 484 says.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
SHAPED = re.compile(r"\b(Float|Float32|Float64|Int|Int32|Int64|Bool|Num|Shaped|Inexact|Complex)\[")


def check(function: Callable) -> Callable:
    """Check every call of a function that names a shape; leave the others as they are."""
    names_a_shape = any(SHAPED.search(str(hint)) for hint in getattr(function, "__annotations__", {}).values())
    return checked(function) if names_a_shape else function
