"""Splits: no structure and no neighbor in time on two sides; the same seed, the same split."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule

from adiabat.data.formats import read
from adiabat.data.split import BLOCK, equivalent, groups, split


@pytest.fixture
def molecules():
    made = [molecule("CH3CH2OH") for _ in range(40)]
    for k, atoms in enumerate(made):
        atoms.rattle(0.1, seed=k)
    return made


def turned(atoms, rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    other = atoms[rng.permutation(len(atoms))]
    other.positions = other.positions @ q + 3.0
    return other


def test_every_frame_once_and_near_the_fractions(molecules):
    sides = split(molecules, (0.7, 0.2, 0.1), seed=1)
    assert sorted(k for side in sides for k in side) == list(range(40))
    assert [len(side) for side in sides] == [28, 8, 4]


def test_seed_decides(molecules):
    assert split(molecules, seed=1) == split(molecules, seed=1) != split(molecules, seed=2)


def test_turned_and_reordered_molecules_stay_together(molecules, rng):
    frames = molecules + [turned(a, rng) for a in molecules] + molecules[:5]
    side = {k: s for s, part in enumerate(split(frames, seed=0)) for k in part}
    assert all(side[k] == side[40 + k] for k in range(40)) and all(side[k] == side[80 + k] for k in range(5))
    assert len(set(groups(frames))) == 40  # and nothing else was joined


def test_supercells_and_turned_cells_are_equivalent(rng):
    si = bulk("Si", cubic=True)
    si.rattle(0.1, seed=3)
    other = bulk("Si", cubic=True)
    other.rattle(0.1, seed=4)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    cell = si.copy()
    cell.set_cell(cell.cell.array @ q, scale_atoms=True)
    cell.wrap()
    frames = [si, other, cell[rng.permutation(8)], make_supercell(si, [[1, 0, 0], [0, 2, 0], [0, 1, 1]])]
    kinds = groups(frames)
    assert kinds[0] == kinds[2] == kinds[3] != kinds[1]


def test_neighbors_in_a_trajectory_stay_together(rng):
    frames = []
    for k in range(60):
        atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * k]], info={"trajectory": "a" if k < 40 else "b", "step": 5 * k})
        frames.append(atoms)
    order = rng.permutation(60)
    kinds = np.empty(60, dtype=int)
    kinds[order] = groups([frames[k] for k in order])
    cuts = np.flatnonzero(np.diff(kinds))
    assert cuts.tolist() == [BLOCK - 1, 2 * BLOCK - 1, 3 * BLOCK - 1, 39, 49]


@pytest.mark.parametrize("start", [molecule("CH3CH2OH"), bulk("Cu", cubic=True) * 2], ids=["molecule", "crystal"])
def test_nearly_equal_frames_stay_together(start, rng):
    """Each frame comes twice: no atom moved by more than 0.001 Å. A model that has seen the one knows the other."""
    frames = []
    for k in range(30):
        atoms = start.copy()
        atoms.rattle(0.1, seed=k)
        near = atoms.copy()
        step = rng.normal(size=near.positions.shape)
        near.positions += 0.001 * rng.random() * step / np.linalg.norm(step, axis=1, keepdims=True)
        frames += [atoms, near]
    kinds = groups(frames)
    assert kinds[::2] == kinds[1::2] and len(set(kinds)) == 30  # and nothing else was joined
    for side in split(frames, (0.5, 0.25, 0.25)):
        assert {k // 2 for k in side} & {k // 2 for k in set(range(60)) - set(side)} == set()


def test_a_chain_of_small_steps_is_cut(molecules):
    """A trajectory that does not say that it is one: neighbors stay together, and there is something left to test on."""
    frames = []
    for k in range(400):
        frames.append(molecule("CH3CH2OH"))
        frames[-1].set_distance(0, 1, 1.4 + 0.0005 * k, fix=0)
    kinds = np.array(groups(frames))
    sizes = np.bincount(kinds)
    assert sizes.max() <= 20 and np.mean(kinds[1:] == kinds[:-1]) > 0.8
    assert [len(side) for side in split(frames[:12])] == [10, 1, 1]  # one group of near duplicates: divided all the same


def test_a_group_stays_whole(molecules):
    for k, atoms in enumerate(molecules):
        atoms.info["group"] = k % 8
    for side in split(molecules, (0.5, 0.25, 0.25)):
        assert {k % 8 for k in side} & {k % 8 for k in set(range(40)) - set(side)} == set()


def test_a_side_is_a_sample_of_the_whole(molecules):
    """Frames in groups come to the validation side as often as those that stand alone."""
    for k, atoms in enumerate(molecules[:20]):
        atoms.info["group"] = k // 4
    together = groups(molecules)
    assert len(set(together)) == 25
    grouped = [sum(k < 20 for k in split(molecules, (0.8, 0.2, 0.0), seed=s).validation) for s in range(200)]
    # Half of 8 frames; a standard deviation below 3 in each of 200 draws puts the mean's at 0.2. The smallest first would give 0.
    assert np.mean(grouped) == pytest.approx(4, abs=1)


def test_isolated_atoms_are_not_held_out(molecules):
    lone = [Atoms(s, info={"config_type": "isolated_atom"}) for s in "CHO"]
    for seed in range(20):
        sides = split([*lone, *molecules], (0.4, 0.3, 0.3), seed=seed)
        assert {0, 1, 2} <= set(sides.train)
        assert [len(side) for side in sides] == [16 + 3, 12, 12]


def test_what_cannot_be_split_says_why(molecules):
    with pytest.raises(ValueError, match="5 frames form 1 groups.*wanted at least 3; add other structures"):
        split([molecules[0]] * 5)
    with pytest.raises(ValueError, match="wanted three numbers"):
        split(molecules, (0.9, 0.2, 0.1))


def test_leaks_of_a_public_split_are_found(data_folder):
    """Elastic frames of the official test file that repeat a training frame, each seen by equal energies as well."""
    train, test = (read(data_folder / "mlearn_Li" / f"{name}.xyz.xz") for name in ("train", "test"))
    leaks = {b - len(train) for a, b in equivalent(train + test) if a < len(train) <= b}
    assert leaks == {26, 27, 28}  # rows given in the set's README
