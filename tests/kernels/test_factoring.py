"""Sums of long products taken pair by pair are the sums they were, in fewer multiplications."""

from __future__ import annotations

import numpy as np
import pytest

from adiabat.kernels.factoring import factored


def listed(n: int, factors: int, terms: int, rng) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 2 * n, (terms, factors)), rng.normal(size=(terms, 2))


@pytest.mark.parametrize("lengths", [(2,), (3,), (4,), (5,), (6,), (7,), (2, 3, 4, 5, 6)])
def test_the_sum_is_kept(lengths, rng):
    n = 7
    real = np.arange(n) < 3
    x = rng.normal(size=n) + 1j * np.where(real, 0, rng.normal(size=n))
    terms, wanted = {}, np.zeros(2)
    for factors in lengths:
        codes, c = listed(n, factors, 50, rng)
        codes = np.where(real[codes // 2], codes & ~1, codes)
        terms[factors] = codes, c
        wanted += np.where(codes % 2, x[codes // 2].conj(), x[codes // 2]).prod(1).real @ c
    found = factored(real, terms, 2)
    for a, b in found.products:
        assert a % 2 == 0 and max(a, b) < 2 * len(x)  # made of what is there
        x = np.append(x, x[a // 2] * (x[b // 2].conj() if b % 2 else x[b // 2]))
    a, b = found.last.T
    total = (x[a // 2] * np.where(b % 2, x[b // 2].conj(), x[b // 2])).real @ found.coefficients
    # Rounding of 1e-16 in 50 products of up to seven numbers of order one.
    np.testing.assert_allclose(total, wanted, rtol=1e-12)


def test_what_several_share_is_multiplied_once():
    """x₀x₁x₂, x₀x₁x₃ … need the one product x₀x₁."""
    codes = np.array([[0, 2, 2 * k] for k in range(2, 9)])
    found = factored(np.zeros(9, bool), {3: (codes, np.ones((len(codes), 1)))})
    assert found.products.tolist() == [[0, 2]] and len(found.last) == 7


def test_what_adds_up_to_nothing_is_left_out():
    codes = np.array([[0, 2, 4], [1, 3, 5]])
    found = factored(np.zeros(3, bool), {3: (codes, np.array([[1.0], [-1.0]]))})
    assert len(found.products) == len(found.last) == 0
