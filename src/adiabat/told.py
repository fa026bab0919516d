"""Warnings that point to the line of whoever called us, however deep inside the thing was noticed."""

from __future__ import annotations

import sys
import warnings

# Callers in between that are nobody's: ours, and the wrappers that check shapes, hold contexts or switch gradients off.
BETWEEN = {"adiabat", "jaxtyping", "beartype", "contextlib", "functools", "torch"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn`, as if the first line outside this package had said it.

    >>> with warnings.catch_warnings(record=True) as said:
    ...     warn("steep")
    >>> str(said[0].message)
    'steep'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _between(frame.f_globals.get("__name__", ""), frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _between(module: str, file: str) -> bool:
    return module.partition(".")[0] in BETWEEN or file.startswith("<@beartype")
