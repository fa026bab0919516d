"""Reference energies of very many frames: what the compositions leave open is found in the memory of the compositions."""

from __future__ import annotations

import tracemalloc

import numpy as np

from adiabat.data.composition import fitted


def test_memory_grows_with_the_frames_not_with_their_square():
    n = 50_000  # a square of these is 20 GB
    counts = np.tile([1.0, 2.0, 3.0], (n, 1))
    counts[::7, 2] = 4.0
    energies = counts @ np.array([-400.0, -13.0, -300.0])
    tracemalloc.start()
    found = fitted([8, 1, 14], counts, energies, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * counts.nbytes
    assert found.undetermined == (8, 1)  # always one to two of them; silicon's energy stands
    assert abs(found.energies[14] + 300.0) < 1e-6 and found.residual_rms < 1e-9


def test_few_frames_leave_open_what_they_do_not_tell_apart():
    """Fewer frames than elements."""
    found = fitted([1, 6, 8], np.array([[2.0, 0.0, 1.0]]), np.array([-2081.0]), {})
    assert found.undetermined == (1, 8) or found.undetermined == (1, 6, 8)
    assert abs(2 * found.energies[1] + found.energies[8] + 2081.0) < 1e-6
