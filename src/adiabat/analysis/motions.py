"""What an analysis of motions asks of its array before it counts on it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def motions(x: np.ndarray, what: str, *, least: int = 1) -> Float[np.ndarray, "T N X"]:
    """The array as float64; refused where it is no [frames, atoms, axes], shorter than `least` frames, or holds what is no number.

    >>> motions(np.zeros((5, 3)), "positions")
    Traceback (most recent call last):
    ValueError: positions of shape (5, 3) came; wanted [frames, atoms, axes]; of a single atom give x[:, None]
    """
    x = np.asarray(x, float)
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"{what} of shape {x.shape} came; wanted [frames, atoms, axes]; of a single atom give x[:, None]")
    if len(x) < least:
        raise ValueError(f"{len(x)} frames of {what} came; wanted at least {least}")
    if not np.isfinite(x).all():
        frame, atom = np.argwhere(~np.isfinite(x))[0, :2]
        raise ValueError(f"{what} of atom {atom} in frame {frame} are not finite; leave out what comes after a run exploded")
    return x
