"""Random sums of SOAP's channels: what they keep of a spectrum, and what the weights are."""

from __future__ import annotations

import math

import pytest
import torch

from adiabat.kernels.mixing import Mixing, mixed
from adiabat.kernels.soap import power_spectrum
from adiabat.kernels.soap_process import Sums


def density(seed: int) -> torch.Tensor:
    return torch.randn(1, 2 * 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_products_of_mixed_spectra_are_on_average_those_of_whole_ones():
    """Of channels x_k = w_k·c, y_k = v_k·c with weights of variance 1: E Σ_k (x_k·y_k)(x'_k·y'_k)/K = Σ_ab p_ab p'_ab, for each l.
    K = 60,000 products of four normal numbers, whose variance is below 3⁴ times the square of that: √(81/60,000) = 0.04."""
    c, other = density(0), density(1)
    exact = (power_spectrum(c) * power_spectrum(other)).sum()
    way = Mixing(60_000, coupled=False)
    weights, pairs = way.weights([29, 79], 3), way.pairs(2, 3)
    one, two = (mixed(x, weights, pairs, coupled=False) for x in (c, other))
    assert float((one * two).sum()) / way.channels == pytest.approx(float(exact), rel=0.12)  # three deviations


def test_weights_are_normal_numbers_and_the_same_ones_again():
    way = Mixing(20_000)
    one, other = way.weights([6], 1)
    for w in (one, other):
        assert abs(float(w.mean())) < 4 / math.sqrt(w.numel()) and abs(float(w.var()) - 1) < 4 * math.sqrt(2 / w.numel())
    assert abs(float((one * other).mean())) < 4 / math.sqrt(one.numel())  # two densities, two sets
    assert torch.equal(one, Mixing(20_000).weights([6], 1)[0]) and not torch.equal(
        one, Mixing(20_000, shift=1).weights([6], 1)[0]
    )
    first, again = Mixing(3, symmetric=True).weights([6, 8], 2)
    assert torch.equal(first, again) and torch.equal(
        first[2:], Mixing(3).weights([8], 2)[0]
    )  # an element's own, whatever stands beside


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("species, radial", [(True, False), (False, True), (True, True)])
def test_a_symmetric_spectrum_has_the_length_of_the_whole_one_of_its_channels(species, radial, symmetric):
    """What stands for two pairs has √2: coupled spectra of the same channels are as long, symmetric or not."""
    way, c = Mixing(2, species, radial, symmetric), density(2)
    weights = Mixing(2, species, radial, True).weights([6, 8], 3)
    found = mixed(c, weights, way.pairs(2, 3), coupled=True)
    assert found.shape[1] == 2 * way.products(2, 3)
    whole = power_spectrum(torch.einsum("ncm,ck->nkm", c, weights[0]))
    assert float(found.square().sum()) == pytest.approx(float(whole.square().sum()), rel=1e-12)


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("species, radial", [(True, False), (False, True), (True, True)])
def test_as_it_is_compiled_each_product_stands_there_once(species, radial, symmetric, coupled):
    way = Mixing(4, species, radial, symmetric, coupled)
    made = Sums.mixed(way, way.weights([6, 8], 3), 2, 3)
    assert made.order(5).sort().values.tolist() == [*range(5 * way.products(2, 3))]
