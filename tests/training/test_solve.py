"""Least squares: the rows are the model's own derivatives, and the solution is the minimum of the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.data.structure import labeled
from adiabat.deploy.load import load
from adiabat.graph import Graph, weight_of
from adiabat.models import ACE, MTP, SNAP, ZBL
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.training import Uncalibrated, choose, fit
from adiabat.training.loss import Loss
from adiabat.training.problem import graph_of, pose
from adiabat.training.rows import rows_of
from adiabat.training.triangles import RIDGES, Triangle, Triangles, ridge_regression
from adiabat.training.weighing import USUAL, committee
from laws.potentials import close, cluster, crystal

LINEAR = {
    "ace": lambda: ACE(cutoff=3.0, channels=3, l_max=2, correlation=3, radial=4, elements=["H", "O"]),
    "mtp": lambda: MTP(cutoff=3.0, level=8, radial=4, elements=["H", "O"]),
    "snap": lambda: SNAP(cutoff=3.0, twojmax=3, elements=["H", "O"], weights={"O": 0.7}),
}


@pytest.fixture(params=LINEAR)
def model(request):
    return LINEAR[request.param]().double()


def with_answers(atoms: Atoms, potential: Potential) -> Atoms:
    found = potential(Graph.of(atoms, potential.cutoff))
    stress = found.stress[0].numpy() if atoms.pbc.all() else None
    return labeled(atoms, energy=float(found.energy[0]), forces=found.forces.numpy(), stress=stress)


def frames(potential: Potential, n: int = 12) -> list[Atoms]:
    """Clusters and crystals with the labels of a potential."""
    made = []
    for k in range(n):
        atoms = (crystal() if k % 2 else cluster()).copy()
        atoms.rattle(0.08, seed=k)
        made.append(with_answers(atoms, potential))
    return made


def drawn(model) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    blocks = 1 if model.shared else len(model.elements)
    return torch.randn(blocks, model.size, dtype=torch.float64, generator=rng) / model.size**0.5


@pytest.mark.parametrize("atoms", [cluster(), crystal()], ids=["cluster", "crystal"])
def test_rows_times_coefficients_are_what_the_model_predicts(model, atoms):
    c = drawn(model)
    model.put(c)
    graph = Graph.of(with_answers(atoms, Potential(model)), model.cutoff)
    for rows, _ in rows_of(model, graph, model.cutoff, 2.0, shifts=False).values():
        close(rows[:, :-1] @ c.flatten() / 2.0, rows[:, -1])


def test_a_triangle_keeps_what_least_squares_needs():
    rng = torch.Generator().manual_seed(0)
    A = torch.randn(200, 9, dtype=torch.float64, generator=rng)
    t = Triangle(9)
    for part in A.split(7):
        t.add(part, 4.0, components=float(len(part)))
    assert t.R.shape == (9, 9)
    close(t.R.T @ t.R, 4.0 * A.T @ A)
    c = torch.ones(8, dtype=torch.float64)
    close(t.loss(c), (A[:, :-1] @ c - A[:, -1]).square().mean())


@pytest.mark.parametrize("name", LINEAR)
def test_a_potential_of_the_family_is_found_again(name):
    """Labels of a known member: what least squares finds is it, on structures it has not seen."""
    model = LINEAR[name]().double()
    model.put(drawn(model))
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), model)
    untrained = type(model)(**model.arguments)
    if name == "mtp":  # its radial functions are drawn; fit draws them again, from its seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model.radial_coefficients.data[:] = type(model)(**model.arguments).radial_coefficients.data
    potential = fit(untrained, frames(truth, 24), [], wall=False)
    unseen = cluster(seed=9)
    graph = Graph.of(unseen, truth.cutoff)
    found, wanted = potential(graph), truth(graph)
    # The descriptors are nearly dependent: a ridge of 1e-20 of the largest leaves 1e-6 of the forces undetermined.
    close(found.energy, wanted.energy, 1e-5)
    close(found.forces, wanted.forces, 1e-5)
    assert potential.metadata["training"]["optimizer"] == "least squares"


def problem(noise: float, n: int = 60) -> Triangles:
    """Twelve columns that say less and less; the coefficients behind the labels are the same for every n."""
    rng = torch.Generator().manual_seed(n)
    turn = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))).Q
    A = torch.randn(n, 12, dtype=torch.float64, generator=rng) * torch.logspace(0, -5, 12, dtype=torch.float64) @ turn
    c = torch.ones(12, dtype=torch.float64)
    y = A @ c + noise * torch.randn(n, dtype=torch.float64, generator=rng)
    made = Triangles(13)
    made.add({"forces": (torch.cat([A, y[:, None]], 1), float(n))}, 1.0)
    return made


def test_more_noise_asks_for_a_wider_ridge():
    loss = Loss()
    clean, noisy = (ridge_regression(problem(noise), None, loss) for noise in (1e-9, 1e-2))
    assert clean.ridge < 1e-10 < noisy.ridge
    assert clean.chosen_by == "evidence"


def test_held_out_frames_choose_the_ridge_of_least_loss():
    loss, train, held = Loss(), problem(1e-2), problem(1e-2, n=61)
    chosen = ridge_regression(train, held, loss)
    R = train.of["forces"].R / train.of["forces"].weight ** 0.5
    A, y = R[:, :-1], R[:, -1]
    scale = A.square().sum(0).sqrt()
    largest = torch.linalg.svdvals(A / scale)[0] ** 2

    def worth(ridge: float) -> float:
        grown = torch.cat([A / scale, (ridge * largest).sqrt() * torch.eye(12, dtype=torch.float64)])
        c = torch.linalg.lstsq(grown, torch.cat([y, y.new_zeros(12)]), driver="gelsd").solution / scale
        return held.loss(c, loss)

    assert chosen.ridge > RIDGES[0]
    assert worth(chosen.ridge) <= min(map(worth, RIDGES)) * (1 + 1e-6)  # ties at tiny ridges are rounding


def test_weights_of_kinds_count():
    """All weight on energies: they are met better, forces worse, than with all weight on forces."""
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), LINEAR["snap"]().double())
    data = frames(truth, 12)
    rng = np.random.default_rng(0)
    data = [labeled(a, energy=a.get_potential_energy(), forces=a.get_forces() + rng.normal(size=(len(a), 3))) for a in data]
    made = {
        w: fit(LINEAR["snap"](), data, [], wall=False, loss={"energy": w, "forces": 1.0, "stress": 0.0}) for w in (1e-4, 1e6)
    }
    errors = {w: p.metadata["metrics"]["train"] for w, p in made.items()}
    assert errors[1e6]["energy_rmse_meV_per_atom"] < errors[1e-4]["energy_rmse_meV_per_atom"]
    assert errors[1e6]["force_rmse_meV_per_A"] > errors[1e-4]["force_rmse_meV_per_A"]


def test_a_committee_leaves_out_its_own_frames():
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), LINEAR["ace"]().double())
    data = frames(truth, 20)
    rng = np.random.default_rng(0)
    data = [
        labeled(a, energy=a.get_potential_energy(), forces=a.get_forces() + 0.05 * rng.normal(size=(len(a), 3))) for a in data
    ]
    potential = fit(LINEAR["snap"](), data, members=3, leave_out=0.3, wall=False)
    graph = Graph.of(cluster(seed=4), potential.cutoff)
    assert (potential(graph).outputs["forces_spread"] > 0).all()
    assert "forces" in potential.metadata["calibration"]["scale"]
    with pytest.warns(Uncalibrated, match="no frame was held out"):
        fit(LINEAR["snap"](), data[:4], [], members=2, wall=False)


def test_frames_with_no_neighbors_teach_nothing():
    nothing = Triangles(4)
    nothing.add({"forces": (torch.zeros(6, 4, dtype=torch.float64), 6.0)}, 1.0)
    with pytest.raises(ValueError, match="no atom has a neighbor"):
        ridge_regression(nothing, None, Loss())


def test_weights_left_open_are_those_of_least_squares():
    """A configuration that prints its nulls means the same as one that says nothing."""
    teacher = Potential(ReferenceEnergies({"H": -1.0, "O": -2.0}), LINEAR["snap"]().double())
    found = [
        fit(LINEAR["snap"](), frames(teacher), [], wall=False, loss=loss).metadata["training"]["loss"]
        for loss in (None, {"energy": None, "forces": 1.0, "stress": None})
    ]
    assert found[0] == found[1]
    assert found[0] != fit(LINEAR["snap"](), frames(teacher), [], wall=False, loss={"energy": 1.0}).metadata["training"]["loss"]


def imperfect(n: int) -> list[Atoms]:
    """Frames whose labels no model here can follow to the end."""
    rng = np.random.default_rng(1)
    teacher = Potential(ReferenceEnergies({"H": -1.0, "O": -2.0}), LINEAR["ace"]().double())
    return [
        labeled(a, energy=a.get_potential_energy(), forces=a.get_forces() + 0.1 * rng.normal(size=(len(a), 3)))
        for a in frames(teacher, n)
    ]


def test_errors_of_frames_left_out_are_those_of_the_potential():
    """Where frames are held out anyway they are the judges, and no other frames teach the coefficients that are returned."""
    data = imperfect(24)
    told = fit(LINEAR["snap"](), data[:12], data[12:], wall=False).metadata
    for name, error in told["training"]["left_out"].items():
        # one by a Cholesky decomposition in float64, the other by the potential with its tables
        assert error == pytest.approx(told["metrics"]["validation"][name], rel=1e-5)


@pytest.mark.parametrize("way", ["held", "unseen", "given"])
def test_members_that_share_triangles_are_those_solved_for_alone(way):
    """Beside each member the least squares of one unfolded table of the frames it has seen, under the same prior."""
    model = SNAP(cutoff=3.0, twojmax=3, elements=["H", "O"]).double()
    tables = [
        rows_of(model, graph_of(a, 3.0, Loss(), Potential(ZBL(elements=["H", "O"]))), 3.0, 1.0, False) for a in imperfect(24)
    ]
    unseen_by = [k % 4 for k in range(24)]  # by the fourth, all have been seen
    parts = [Triangles(2 * model.size + 1) for _ in range(4)]
    for rows, part in zip(tables, unseen_by, strict=True):
        parts[part].add(rows, 1.0)
    held = Triangles(2 * model.size + 1)
    held.add(tables[3], 1.0)
    members = [sorted({0, 1, 2, 3} - {m}) for m in range(3)]
    loss = Loss(energy=30.0, forces=1.0, stress=0.1) if way == "given" else Loss()
    ticks = []
    found, chosen = committee(
        parts, members, held if way == "held" else None, loss, frames_judge=way == "unseen", tick=lambda *n: ticks.append(n)
    )
    assert bool(found[0].left_out) == (way != "given")
    done = [k for k, _ in ticks]
    assert len(ticks) > 2 + len(members)
    assert done == sorted(set(done))
    assert all(k < of for k, of in ticks[:-1])
    assert ticks[-1][0] == ticks[-1][1]
    judged = torch.cat([rows["forces"][0] for rows in tables])[:, :-1]
    alone = []
    for learned, solution in zip(members, found, strict=True):
        kinds = {}
        for rows, part in zip(tables, unseen_by, strict=True):
            for kind, (x, n) in rows.items() if part in learned else ():
                kinds.setdefault(kind, []).append((x, n))
        weighed = [
            torch.cat([x for x, _ in of]) * (chosen.weights[k] / sum(n for _, n in of)) ** 0.5 for k, of in kinds.items()
        ]
        prior = torch.cat([torch.diag(solution.alpha**0.5 * solution.scale), torch.zeros(2 * model.size, 1)], 1)
        table = torch.cat([*weighed, prior])
        size = table.square().sum(0).sqrt()[:-1]  # lstsq cuts off small singular values otherwise
        alone.append(torch.linalg.lstsq(table[:, :-1] / size, table[:, -1:], driver="gelsd", rcond=1e-16).solution[:, 0] / size)
    wanted, got = (torch.stack([judged @ c for c in of]) for of in (alone, [solution.c for solution in found]))
    # Rounding of two ways to solve with a condition number near 1e8; members differ by 1e-2 and more.
    assert float((wanted[0] - wanted[1]).abs().max()) > 1e-3
    close(got, wanted, 1e-7)


def test_a_member_that_has_not_seen_what_others_have_keeps_to_its_prior():
    """The second column is there in one part's rows alone: nothing is made up for it by the member that lacks them."""
    rng = torch.Generator().manual_seed(0)
    parts = [Triangles(3), Triangles(3)]
    for k, part in enumerate(parts):
        A = torch.randn(30, 2, dtype=torch.float64, generator=rng)
        A[:, 1] = 1e-3 * A[:, 0] + (1e-2 * A[:, 1] if k else 0.0)
        part.add({"forces": (torch.cat([A, A.sum(1, keepdim=True)], 1), 30.0)}, 1.0)
    found, _ = committee(parts, [[0], [1]], None, Loss(energy=1.0, stress=1.0), frames_judge=False)
    close(found[1].c, torch.ones(2, dtype=torch.float64), 1e-6)
    close(found[0].c[:1] + 1e-3 * found[0].c[1:], torch.full((1,), 1.001, dtype=torch.float64), 1e-6)
    # Of all that meet its frames, the least Σ (D c)²: Lagrange's condition gives the ratio.
    D0, D1 = found[0].scale.tolist()
    assert float(found[0].c[1] / found[0].c[0]) == pytest.approx(1e-3 * (D0 / D1) ** 2, rel=1e-3)


def test_members_of_a_fit_are_fits_of_the_frames_they_see():
    """Up to the ridge, which all members share and a lone fit chooses for itself: it moves forces by less than 1e-3 here."""
    data, E0 = imperfect(24), {"H": -1.0, "O": -2.0}
    options = {"loss": {"energy": 30.0, "forces": 1.0, "stress": 0.1}, "reference_energies": E0, "wall": False}
    model, graph = SNAP(cutoff=3.0, twojmax=1, elements=["H", "O"]), Graph.of(cluster(seed=4), 3.0)
    problem = pose(
        model, data, [], members=3, leave_out=0.25, seed=0, reference=E0, wall=False, loss=Loss(), dtype=torch.float64, device="cpu",
        remember_MB=0.0, options={},
    )  # fmt: skip
    together = fit(model, data, data[:10], members=3, leave_out=0.25, **options)
    made = []
    for m in range(3):
        seen = [a for a, g in zip(data, problem.train, strict=True) if float(weight_of(g)[0, m])]
        assert len(seen) < len(data)
        made.append(fit(model, seen, data[:10], **options)(graph).forces)
    found = torch.stack([together.member(m)(graph).forces for m in range(3)])
    close(found, torch.stack(made), 2e-3)
    assert float((found - found.mean(0)).abs().max()) > 1e-2


def test_the_model_of_least_error_is_chosen():
    data = imperfect(24)
    models = [SNAP(cutoff=3.0, twojmax=j, elements=["H", "O"]) for j in (0, 3)]
    found = choose(models, data[:12], data[12:], wall=False)
    alone = [fit(model, data[:12], data[12:], wall=False).metadata["metrics"]["validation"] for model in models]
    product = [e["energy_rmse_meV_per_atom"] * e["force_rmse_meV_per_A"] for e in alone]
    best = int(np.argmin(product))
    assert found.metadata["metrics"]["validation"] == alone[best]
    assert len(found.metadata["training"]["chosen_among"]) == 2


def test_models_without_errors_to_be_chosen_by_are_refused():
    with pytest.raises(ValueError, match=r"^choose: model 1 \(SNAP\) has no errors on frames left out"):
        choose([LINEAR["snap"](), LINEAR["snap"]()], imperfect(4), [], wall=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("epochs", 20),
        ("patience", 3),
        ("schedule", "constant"),
        ("average", "exponential"),
        ("batch_edges", 100),
        ("keep", "best"),
    ],
)
def test_what_means_nothing_to_least_squares_is_refused_with_its_cure(option, value):
    with pytest.raises(ValueError, match=rf"^fit.{option}: .*least squares.*fit.optimizer: adamw"):
        fit(LINEAR["snap"](), frames(Potential(LINEAR["snap"]().double()), 4), [], **{option: value})


def test_tables_that_were_replaced_are_read_anew():
    """A model that has worked becomes another one by that one's numbers."""
    one, other = LINEAR["mtp"]().double(), LINEAR["mtp"]().double()
    other.times = other.times.clone()
    other.times[:, 2] *= 2
    graph = Graph.of(cluster(), 3.0)
    before = one(graph)["energies"]
    one.load_state_dict(other.state_dict())
    assert not torch.equal(one(graph)["energies"], before)
    assert torch.equal(one(graph)["energies"], other(graph)["energies"])
    assert torch.equal(Potential(one).frozen()(graph).forces, Potential(other).frozen()(graph).forces)


@pytest.mark.parametrize("weights", [None, {"energy": 30.0, "forces": 1.0, "stress": 0.1}], ids=["chosen", "given"])
def test_the_variance_is_that_of_the_posterior(weights):
    """Beside it the covariance of coefficients written out: σ² (AᵀA + αD²)⁻¹, from one unfolded table of rows."""
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), SNAP(cutoff=3.0, twojmax=2, elements=["H", "O"]).double())
    rng = np.random.default_rng(1)
    noisy = [
        labeled(a, energy=a.get_potential_energy(), forces=a.get_forces() + 0.1 * rng.normal(size=(len(a), 3)))
        for a in frames(truth, 20)
    ]
    model = SNAP(cutoff=3.0, twojmax=2, elements=["H", "O"], variance=True)
    potential = fit(model, noisy, [], wall=False, loss=weights, reference_energies={"H": -3.0, "O": -7.0})
    said = potential.metadata["training"]
    learned = potential.terms[1]
    model, eV = learned.model, learned.eV
    base = Potential(potential.terms[0])
    tables: dict[str, list] = {"energy": [], "forces": []}
    for a in noisy:
        graph = graph_of(a, model.cutoff, Loss(), base)
        for kind, (rows, _) in rows_of(model, graph, model.cutoff, eV, shifts=False).items():
            tables[kind].append(rows)
    joined = {kind: torch.cat(parts) for kind, parts in tables.items()}
    A, usual = (
        torch.cat([rows * (w[kind] / len(rows)) ** 0.5 for kind, rows in joined.items()])
        for w in (said["loss"], weights or USUAL)
    )
    D = usual[:, :-1].square().sum(0).sqrt()
    A, y, c = A[:, :-1], A[:, -1], model.coefficients.detach().flatten()
    alpha = said["ridge"] * torch.linalg.svdvals(A / D)[0] ** 2
    H = A.T @ A + alpha * torch.diag(D.square())
    sigma2 = ((A @ c - y).square().sum() + alpha * (D * c).square().sum()) / len(A)
    graph = Graph.of([crystal(seed=4), cluster(seed=5)], model.cutoff)
    (at,) = model.centers(graph)
    B = torch.zeros(graph.n_atoms, len(model.elements), model.size, dtype=torch.float64)
    B[torch.arange(graph.n_atoms), at.species] = eV * model.basis(at).detach()
    B = B.flatten(1)
    wanted = sigma2 * (B * torch.linalg.solve(H, B.T).T).sum(1)
    found = potential(graph).outputs["variance"]
    # The largest singular value is found by iteration, to some percent of which alpha, and little else, depends.
    assert torch.allclose(found, wanted, rtol=0.02)
    assert bool((found > 0).all())


def test_a_variance_is_kept_calibrated_and_grows_away_from_the_data(tmp_path):
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), LINEAR["ace"]().double())
    model = ACE(cutoff=3.0, channels=2, l_max=1, correlation=2, radial=4, elements=["H", "O"], variance=True)
    potential = fit(model, frames(truth, 20), frames(truth, 34)[20:], wall=False)
    assert potential.metadata["calibration"]["variance"]["n"] == 14
    potential.save(tmp_path / "model.adiabat")
    near, far = cluster().copy(), cluster().copy()
    near.rattle(0.05, seed=99)
    far.positions *= 0.6
    found = [load(tmp_path / "model.adiabat")(Graph.of(a, 3.0)).outputs["variance"] for a in (near, far)]
    assert torch.equal(found[0], potential(Graph.of(near, 3.0)).outputs["variance"])
    assert float(found[1].mean()) > 2 * float(found[0].mean())
