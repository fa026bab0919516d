"""GAP: its slopes are those of its energies, its fit is the posterior mean of the process, its variance tells what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import adiabat as ad
from adiabat.config import ConfigError
from adiabat.graph import Graph
from adiabat.labelers import labeler
from adiabat.models import GAP
from adiabat.nn.linear_basis import LinearBasis
from adiabat.nn.sparse_points import METHODS, chosen
from adiabat.uncertainty import with_variance

SOAP = {"cutoff": 3.6, "n_max": 3, "l_max": 2, "n_sparse": 6, "zeta": 2.0, "intervals": 1000}
PAIR = {"cutoff": 4.0, "n_sparse": 5}


def frames(n: int = 12) -> list[Atoms]:
    engine, rng, found = labeler("ase", calculator="emt"), np.random.default_rng(0), []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[0] = "Au"
        atoms.rattle(0.12, rng=rng)
        found.append(engine(atoms))
    return found


@pytest.fixture(scope="module")
def model() -> GAP:
    made = GAP(soap=SOAP, two_body=PAIR, elements=["Cu", "Au"]).double()
    made.prepare([Graph.of(atoms, made.cutoff) for atoms in frames(4)])
    return made


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"two_body": [], "soap": {**SOAP, "zeta": 1.0, "center_in_all": True}},
        {
            "two_body": [],
            "soap": [{**SOAP, "center": "Au", "nu_r": r, "nu_s": s, "n_sparse": 2} for r in range(3) for s in range(3)],
        },
        {"soap": [], "three_body": {"n_sparse": 3}},
        {"soap": {**SOAP, "mixing": {"channels": 4, "symmetric": True, "coupled": False}}},
        {
            "soap": [],
            "soap_turbo": {"cutoff": 3.6, "n_max": 2, "l_max": 2, "n_sparse": 3, "basis": "poly3gauss", "sigma_r_scaling": 0.1},
        },
    ],
    ids=["both", "linear", "compressed", "angles", "mixed", "turbo"],
)
def test_columns_of_a_fit_are_those_of_the_kernels(more):
    made = GAP(**{"soap": SOAP, "two_body": PAIR, **more}, elements=["Cu", "Au"]).double()
    made.prepare([Graph.of(atoms, made.cutoff) for atoms in frames(4)])
    small = bulk("CuAu", "zincblende", 4.6)  # atoms that see their own images
    small.rattle(0.1, seed=1)
    for atoms in (frames(1)[0], small, Atoms("CuAuCu", [[0, 0, 0], [0, 0, 2.5], [2.2, 0.3, 0.1]]), Atoms("Au")):
        near = Graph.of(atoms, made.cutoff)
        for found, wanted in zip(made.columns(near), LinearBasis.columns(made, near), strict=True):  # by backward passes
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_points_that_change_change_the_columns_and_the_variance(model):
    made, near = GAP(**model.arguments).double(), Graph.of(frames(1)[0], model.cutoff)
    doubting = GAP(**{**model.arguments, "variance": True}).double()
    for part in (frames(1), frames(2)[1:]):
        made.prepare([Graph.of(atoms, made.cutoff) for atoms in part])
        doubting.load_state_dict(made.state_dict())
        told, wanted = doubting.beside(near)["variance"], doubting(near)["variance"].detach()
        torch.testing.assert_close(told, wanted, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(made.columns(near).forces, LinearBasis.columns(made, near).forces, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shear", [{}, {"shear": 0.08}])
def test_the_fit_is_the_mean_of_the_process(shear):
    """It minimizes ½ αᵀ (K_MM + K_NMᵀ Σ⁻¹ K_NM) α − αᵀ K_NMᵀ Σ⁻¹ y, whose matrices are made here column by column."""
    noise = {"energy": 0.01, "forces": 0.2, "stress": 0.05, **shear}
    off = np.sqrt(2) * shear["shear"] if shear else 0.05  # off-diagonal numbers stand there twice
    of_strain = torch.full((3, 3), off, dtype=torch.float64).fill_diagonal_(0.05).flatten()
    some = frames(4)
    potential = ad.fit(
        GAP(soap=SOAP, two_body=PAIR, noise=noise), some, [], wall=False, reference_energies={"Cu": 0.0, "Au": 0.0}
    )
    scaled = potential.terms[-1]
    model, alpha = scaled.model, scaled.eV * scaled.model.coefficients[0].detach()
    A, y = torch.zeros(model.size, model.size, dtype=torch.float64), torch.zeros(model.size, dtype=torch.float64)
    for atoms in some:
        graph = Graph.of(atoms, model.cutoff)
        rows, labels = [], []
        for k in range(model.size):
            with torch.no_grad():
                model.coefficients.zero_()[0, k] = 1.0
            one = ad.Potential(model)(graph)
            parts = [one.energy / np.sqrt(len(atoms)) / noise["energy"], one.forces.flatten() / noise["forces"]]
            strain = one.strain_gradient.flatten() / np.sqrt(len(atoms)) / of_strain
            rows.append(torch.cat([*parts, strain]).detach())
        known = graph.labels
        labels = torch.cat([
            known["energy"].value / np.sqrt(len(atoms)) / noise["energy"], known["forces"].value.flatten() / noise["forces"],
            (graph.volume * known["stress"].value[0]).flatten() / np.sqrt(len(atoms)) / of_strain,
        ])  # fmt: skip
        K = torch.stack(rows, 1)
        A, y = A + K.T @ K, y + K.T @ labels
    prior = model.prior()
    A = A + prior.T @ prior
    best = -0.5 * y @ torch.linalg.solve(A, y)  # of ½ αᵀ A α − yᵀ α
    mine = 0.5 * alpha @ A @ alpha - y @ alpha
    # Normal equations have the square of the condition number: what they find is not better, nor by much worse.
    assert abs(float(mine - best)) < 1e-8 * abs(float(best))
    away = alpha * (1 + 1e-3 * torch.randn(model.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    assert float(0.5 * away @ A @ away - y @ away) > float(mine) + 1e-6 * abs(float(best))


def test_it_learns_and_its_file_says_how():
    noise = {"energy": 0.001, "forces": 0.02, "stress": 0.01}
    potential = ad.fit(GAP(soap={**SOAP, "n_sparse": 40}, two_body=PAIR, noise=noise), frames(20), [])
    said = potential.metadata
    assert said["training"]["noise"] == noise and said["training"]["ridge_chosen_by"] == "the model's prior"
    assert said["metrics"]["train"]["force_rmse_meV_per_A"] < 60  # of forces of 1 eV/Å


def test_angles_say_what_distances_do_not():
    """The labels are energies of angles alone: of a potential of three bodies whose sparse points are elsewhere."""
    some, angles = frames(8), {"cutoff": 3.4, "n_sparse": 12}
    made = ad.Potential(
        GAP(soap=[], two_body=[], three_body={**angles, "n_sparse": 4, "theta": [1.5, 1.5, 1.5]}, elements=["Cu", "Au"])
    )
    for atoms in some:
        found = made(Graph.of(atoms, made.cutoff))
        atoms.calc = SinglePointCalculator(atoms, energy=float(found.energy[0]), forces=found.forces.detach().numpy())
    wrong = [
        ad.fit(GAP(soap=[], two_body=PAIR, three_body=more, noise={"energy": 1e-4, "forces": 1e-3, "stress": 1e-3}), some[:6], some[6:],
               wall=False, reference_energies={"Cu": 0.0, "Au": 0.0}).metadata["metrics"]["validation"]["force_rmse_meV_per_A"]
        for more in ([], angles)
    ]  # fmt: skip
    assert wrong[1] < 0.2 * wrong[0], wrong


def test_doubt_grows_with_the_distance_from_what_was_seen(model):
    potential = with_variance(ad.Potential(model))
    seen, far = frames(1)[0], frames(1)[0]
    far.positions[1] += [0.8, 0.5, -0.4]
    near, away = (potential(Graph.of(a, potential.cutoff)).outputs["variance"] for a in (seen, far))
    assert bool((near > 0).all()) and float(away.max()) > 3 * float(near.max())
    with pytest.raises(ValueError, match="no term of this potential is a Gaussian process"):
        with_variance(ad.Potential(ad.models.MODELS["morse"]()))


@pytest.mark.parametrize("method", METHODS)
def test_sparse_points_are_distinct_rows_and_the_same_ones_by_seed(method):
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, again = (chosen(x, 20, method, torch.Generator().manual_seed(1)).tolist() for _ in range(2))
    assert len(rows) == 20 == len(set(rows)) and rows == again == sorted(rows)
    assert chosen(x[:5], 20, method, torch.Generator()).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_cur_spans_all_rows_with_as_many_as_their_rank(rank):
    rng = torch.Generator().manual_seed(rank)
    x = torch.randn(80, rank, generator=rng, dtype=torch.float64) @ torch.randn(rank, 9, generator=rng, dtype=torch.float64)
    x[:40] = x[40:]  # twice the same
    found = x[chosen(x, rank, "cur", rng)]
    nearest = x @ torch.linalg.pinv(found) @ found
    torch.testing.assert_close(nearest, x, rtol=0, atol=1e-11)  # rows of length 10, condition numbers to 1e3


def test_cur_takes_what_no_linear_map_of_the_rows_changes():
    """Leverages are those of the rows' span: turning or stretching the descriptors leaves the choice as it is."""
    rng = torch.Generator().manual_seed(0)
    x, A = (torch.randn(n, 5, generator=rng, dtype=torch.float64) for n in (60, 5))
    assert chosen(x, 13, "cur", rng).tolist() == chosen(x @ A, 13, "cur", rng).tolist()


def test_the_farthest_lie_in_different_places():
    """Of five heaps, wherever the first point lies, five points take one each: all others of its heap are nearer."""
    rng = torch.Generator().manual_seed(0)
    heaps = torch.randn(5, 1, 4, generator=rng, dtype=torch.float64) * 10
    x = (heaps + 0.01 * torch.randn(5, 12, 4, generator=rng, dtype=torch.float64)).flatten(0, 1)
    assert (chosen(x, 5, "farthest", rng) // 12).tolist() == [0, 1, 2, 3, 4]


def test_leverage_finds_what_is_alone_in_its_direction():
    x = torch.zeros(200, 3, dtype=torch.float64)
    x[:, 0] = 1.0
    x[77, 1], x[150, 2] = 1.0, 1.0
    found = chosen(x, 24, "leverage", torch.Generator().manual_seed(0)).tolist()
    assert 77 in found and 150 in found  # each a third of all leverage: missed once in 10⁷ seeds


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="gap.soap: unknown option 'nmax'; did you mean 'n_max'"):
        GAP(soap={"nmax": 3}, elements=["Cu"])
    with pytest.raises(ValueError, match="one kernel at least"):
        GAP(soap=[], two_body=[], elements=["Cu"])
    with pytest.raises(ValueError, match="gap.soap: cutoff 3.0, transition_width 4.0"):
        GAP(soap={"cutoff": 3.0, "transition_width": 4.0}, elements=["Cu"])
    with pytest.raises(ValueError, match="nothing stands at the center Cu"):
        GAP(soap={"central_weight": 0.0}, elements=["Cu"])
    with pytest.raises(ValueError, match="gap.noise: .* came; wanted energy, forces, stress and perhaps shear"):
        GAP(noise={"energy": 0.001, "force": 0.1, "stress": 0.01}, elements=["Cu"])
    with pytest.raises(ValueError, match=r"mixing: 3 channels, species False, radial False came"):
        GAP(soap={"mixing": {"channels": 3, "species": False, "radial": False}}, elements=["Cu"])
    with pytest.raises(ValueError, match="nu_r 1, nu_s 2 came with mixing"):
        GAP(soap={"mixing": {"channels": 3}, "nu_r": 1}, elements=["Cu"])
    with pytest.raises(ConfigError, match="gap.soap.mixing: unknown option 'K'"):
        GAP(soap={"mixing": {"K": 3}}, elements=["Cu"])
    with pytest.raises(ValueError, match="gap.sparse: 'kmeans' came"):
        GAP(sparse="kmeans", elements=["Cu"])


def assert_compiled_says_the_same(made: GAP, graph: Graph) -> None:
    made.prepare([graph])
    with torch.no_grad():
        made.coefficients.normal_(generator=torch.Generator().manual_seed(0))
    potential = ad.Potential(made)
    frozen = potential.frozen()
    found, wanted = frozen(graph), potential(graph)
    assert frozen.evaluators, "nothing was compiled"
    for name in ("atomic_energies", "forces", "strain_gradient"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-12)
    doubting = with_variance(potential)
    told, by_tensors = (it(graph).outputs["variance"] for it in (doubting.frozen(), doubting))
    assert all(kernel.doubts(made.elements) for kernel in made.kernels), "something was not compiled"
    # What is left of δ² ≤ 4 eV² of each environment; 10⁻⁶ eV² on K_MM's diagonal: condition numbers of up to 10⁷.
    torch.testing.assert_close(told, by_tensors.detach(), rtol=1e-10, atol=1e-13)


def test_compiled_it_says_the_same(model):
    """Sums in another order: coefficients are of order 1 here."""
    torch.manual_seed(3)
    with torch.no_grad():
        model.coefficients.normal_()
    potential = ad.Potential(model)
    lone, graph = Atoms("Au"), Graph.of([*frames(2), Atoms("CuAuCu", [[0, 0, 0], [0, 0, 2.5], [2.2, 0.3, 0.1]])], model.cutoff)
    frozen = potential.frozen()
    found, wanted = frozen(graph), potential(graph)
    assert frozen.evaluators, "nothing was compiled"
    for name in ("atomic_energies", "forces", "strain_gradient"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-12)
    assert float(frozen(Graph.of(lone, model.cutoff)).energy[0]) == pytest.approx(0.0, abs=1e-14)
    assert torch.equal(frozen(graph).forces, found.forces)


def test_compiled_angles_say_the_same():
    """Of like and unlike neighbors, two kernels of one pair, atoms that see their own images, angles of 180°; coefficients of order 1."""
    near, far = (
        {"cutoff": 3.2, "theta": [1.0, 0.7, 1.3], "n_sparse": 5},
        {"cutoff": 4.0, "n_sparse": 9, "theta": [2.0, 1.5, 1.0]},
    )
    each = [{"center": c, "pair": pair} for c in ("Cu", "Au") for pair in (["Cu", "Cu"], ["Au", "Cu"], ["Au", "Au"])]
    made = GAP(
        soap=[], two_body=[], three_body=[*({**near, **one} for one in each), {**far, **each[0]}], elements=["Cu", "Au"]
    ).double()
    small = bulk("CuAu", "zincblende", 4.6)
    small.rattle(0.1, seed=1)
    line = Atoms("CuAuCu", [[0, 0, -2.5], [0, 0, 0], [0, 0, 2.6]])
    graph = Graph.of([*frames(2), small, line, Atoms("Au")], made.cutoff)
    assert_compiled_says_the_same(made, graph)


@pytest.mark.parametrize("zeta", [1.0, 2.5])
def test_compiled_powers_that_are_broken_say_the_same(zeta):
    made = GAP(soap={**SOAP, "zeta": zeta}, two_body=[], elements=["Cu", "Au"]).double()
    assert_compiled_says_the_same(made, Graph.of(frames(4), made.cutoff))
    near = Graph.of(frames(1)[0], made.cutoff)
    for found, wanted in zip(made.columns(near), LinearBasis.columns(made, near), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("nu_s", [0, 1, 2])
@pytest.mark.parametrize("nu_r", [0, 1, 2])
def test_compiled_spectra_compressed_say_the_same(nu_r, nu_s):
    made = GAP(soap={**SOAP, "nu_r": nu_r, "nu_s": nu_s}, two_body=[], elements=["Cu", "Au"]).double()
    graph = Graph.of(frames(4), made.cutoff)
    assert_compiled_says_the_same(made, graph)


MIXINGS = [
    {"channels": channels, "species": species, "radial": radial, "symmetric": symmetric, "coupled": coupled}
    for channels, (species, radial) in ((3, (True, False)), (5, (False, True)), (9, (True, True)))
    for symmetric in (False, True)
    for coupled in (False, True)
]


@pytest.mark.parametrize("mixing", MIXINGS, ids=lambda way: "-".join(name for name, on in way.items() if on is True) or "plain")
def test_compiled_spectra_of_mixed_channels_say_the_same(mixing):
    """As many sums as fill no vector, one vector, more than one."""
    made = GAP(soap={**SOAP, "mixing": mixing, "n_sparse": 3}, two_body=[], elements=["Cu", "Au"]).double()
    assert_compiled_says_the_same(made, Graph.of(frames(2), made.cutoff))
    near = Graph.of(frames(1)[0], made.cutoff)
    for found, wanted in zip(made.columns(near), LinearBasis.columns(made, near), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


TURBO = {"cutoff": 3.6, "l_max": 3, "n_sparse": 4, "zeta": 2.0}
WAYS_OF_TURBO = {
    "polynomials": {"n_max": 3},
    "of its own": {
        "n_max": [2, 3], "basis": "poly3gauss", "sigma_r_scaling": 0.1, "sigma_t_scaling": 0.05, "radial_enhancement": 1,
        "amplitude_scaling": [2.0, 0.5],
    },
    "summed": {"n_max": 3, "compression": "1_2", "radial_enhancement": 2, "basis": "poly3gauss", "amplitude_scaling": 0.0},
    "picked": {"n_max": 3, "compression": "trivial", "transition_width": 1.2},
    "a matrix": {"n_max": 2, "compression": {"rows": [0, 1, 1, 3], "columns": [0, 7, 30, 28], "values": [1.0, -0.5, 2.0, 1.0]}},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OF_TURBO)
def test_compiled_spectra_of_turbo_say_the_same(way):
    made = GAP(soap=[], two_body=[], soap_turbo={**TURBO, **WAYS_OF_TURBO[way]}, elements=["Cu", "Au"]).double()
    pair = [Atoms("CuAu", [[0, 0, 0], [0, 0, d]]) for d in (1.3, 1.7, 3.5)]  # before and behind where filters begin
    assert_compiled_says_the_same(made, Graph.of([*frames(2), *pair], made.cutoff))
    near = Graph.of(frames(1)[0], made.cutoff)
    for found, wanted in zip(made.columns(near), LinearBasis.columns(made, near), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("basis, bound", [("poly3", 1e-9), ("poly3gauss", 1e-6)])
def test_compiled_turbo_with_many_radial_functions_says_the_same(basis, bound):
    """Orthonormal functions of eight are differences of numbers 10⁴ to 10⁸ as large, in either way of summing."""
    made = GAP(soap=[], two_body=[], soap_turbo={**TURBO, "n_max": 8, "basis": basis}, elements=["Cu", "Au"]).double()
    graph = Graph.of(frames(2), made.cutoff)
    made.prepare([graph])
    with torch.no_grad():
        made.coefficients.normal_(generator=torch.Generator().manual_seed(0))
    potential = ad.Potential(made)
    found, wanted = potential.frozen()(graph), potential(graph)
    scale = float(wanted.forces.detach().abs().max())
    torch.testing.assert_close(found.forces / scale, wanted.forces / scale, rtol=0, atol=bound)


@pytest.mark.parametrize("three_body", [[], {"n_sparse": 3}])
def test_more_atoms_than_a_block_and_more_threads_give_the_same_bits(three_body):
    mixing = {"channels": 5, "symmetric": True, "radial": False} if three_body else None
    turbo = {**TURBO, "n_max": 3} if three_body else []
    made = GAP(
        soap={**SOAP, "mixing": mixing}, two_body=PAIR, three_body=three_body, soap_turbo=turbo, elements=["Cu", "Au"]
    ).double()
    made.prepare([Graph.of(frames(4), made.cutoff)])
    graph = Graph.of(frames(1)[0].repeat((3, 3, 1)), made.cutoff)
    potential, threads = with_variance(ad.Potential(made)), torch.get_num_threads()
    frozen = potential.frozen()
    torch.testing.assert_close(frozen(graph).forces, potential(graph).forces, rtol=0, atol=1e-11)
    try:
        torch.set_num_threads(1)
        one, doubt = frozen(graph), frozen(graph).outputs["variance"]
        torch.set_num_threads(2)
        two, again = frozen(graph), frozen(graph).outputs["variance"]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.forces, two.forces) and torch.equal(one.atomic_energies, two.atomic_energies)
    assert torch.equal(doubt, again)
    torch.testing.assert_close(doubt, potential(graph).outputs["variance"].detach(), rtol=1e-10, atol=1e-13)


def test_numbers_stay_double_whatever_is_asked_for(model):
    """Rounded coefficients of 10⁵ eV would be wrong by 10⁻² eV: they stay as they are."""
    graph = Graph.of(frames(1)[0], model.cutoff)
    potential = ad.Potential(GAP(**model.arguments)).to(torch.float32)
    assert all(x.dtype == torch.float64 for x in potential.state_dict().values()) and potential.dtype == torch.float64
    assert potential(graph).forces.dtype == torch.float64
