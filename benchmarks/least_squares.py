"""The ways to solve a linear family beside each other: QR with one ridge, a prior for each coefficient, LSQR; errors on the test frames.

    python benchmarks/least_squares.py [Si] [--channels 8 16] [--only ridge ard lsqr …]
    python benchmarks/least_squares.py MoNbTaW --channels 144 --frames 40 [--ridge 1e-8] [--machine WORDS] [--record]

A linear ACE on the official training frames of an mlearn set, with given weights (30 : 1 : 0.001), so that nothing but the solver differs; mean
absolute errors on all official test frames. LSQR has blocks of a third of the columns, of a tenth, and of one column each, which is
scaling alone (minutes). CPU time is that of the whole fit, rows included.

With the alloy, LSQR beside the exact minimum of the same rows and the same ridge: by QR, or, where the rows are fewer than the coefficients, by
c = Aᵀ (AAᵀ + α)⁻¹ y. 144 channels of four elements are 20,736 coefficients, which `fit` would leave to LSQR. Errors are root mean squares of
the frames learned from; `apart` is how far both minima's predictions of these are from each other, as a share of the predictions.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import rows
import torch
from accuracy import DATA, frames
from ase import Atoms

import adiabat as ad
from adiabat.data.composition import reference_energies
from adiabat.elements import symbol
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.training.loss import Loss
from adiabat.training.penalty import Penalty
from adiabat.training.problem import graph_of
from adiabat.training.rows import rows_of
from adiabat.training.solvers import LSQR
from adiabat.training.streamed import Rows, cut, streamed
from adiabat.validation import errors

WEIGHTS = {"energy": 30.0, "forces": 1.0, "stress": 1e-3}
ORDERS = 36  # coefficients a channel


def ways(channels: int) -> dict[str, Any]:
    def lsqr(share: int) -> dict[str, Any]:
        return {"lsqr": {"block": max(1, ORDERS * channels // share), "tolerance": 1e-6, "iterations": 3000}}

    return {
        "ridge": "least_squares",
        "ard": {"least_squares": {"prior": "ard"}},
        "lsqr": lsqr(3),
        "lsqr-tenth": lsqr(10),
        "lsqr-scaled": {"lsqr": {"block": 1, "tolerance": 1e-6, "iterations": 10_000}},
    }


def alloy(n: int) -> list[Atoms]:
    found = ad.read(DATA / "hea_MoNbTaW" / "train_sub60.xyz.xz")
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))[:n]]


def converged(channels: int, n: int, how: LSQR, machine: str | None) -> dict[str, Any]:
    """LSQR of the alloy beside the exact minimum."""
    begun, train, loss = time.process_time(), alloy(n), Loss(**WEIGHTS)
    offsets = reference_energies(train).energies
    baseline = Potential(ReferenceEnergies({symbol(z): e for z, e in offsets.items()}))
    model = ad.models.ACE(cutoff=5.0, channels=channels, elements=["Nb", "Mo", "Ta", "W"]).double()
    columns, cuts = model.blocks * model.size + 1, cut(model.blocks, model.size, 0, how.block)
    make = partial(rows_of, model, cutoff=5.0, eV=1.0, shifts=False)
    described = Rows([graph_of(atoms, 5.0, loss, baseline) for atoms in train], make, columns, loss, keep="memory")
    (found,) = streamed(described, None, how, loss, cuts)
    cpu_s, peak_GB = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table = torch.cat([part for _, part in described]) * described.roots(loss)[:, None]
    exact = minimum(table, found.scale, found.alpha)
    wanted, ours, theirs = table[:, :-1] @ exact, described.errors(found.c), described.errors(exact)
    return {
        "what": "lsqr", "name": "MoNbTaW", "frames": n, "rows": described.n, "coefficients": columns - 1, "blocks": len(cuts),
        "ridge": how.ridge, "tolerance": how.tolerance, "iterations": found.told["iterations"],
        "converged": found.told["converged"], "apart": float((table[:, :-1] @ found.c - wanted).norm() / wanted.norm()),
        "energy_rmse_meV_per_atom": {"lsqr": 1e3 * ours["energy"], "exact": 1e3 * theirs["energy"]},
        "force_rmse_meV_per_A": {"lsqr": 1e3 * ours["forces"], "exact": 1e3 * theirs["forces"]},
        "cpu_s": cpu_s, "peak_GB": peak_GB, "rows_GB": 8e-9 * described.n * columns, "triangle_GB": 8e-9 * columns**2,
        **rows.circumstances(machine),
    }  # fmt: skip


def minimum(table: torch.Tensor, scale: torch.Tensor, alpha: float) -> torch.Tensor:
    A, y = table[:, :-1] / scale, table[:, -1]
    if len(A) >= A.shape[1]:
        ones = torch.ones_like(scale)
        return Penalty(ones, 0, 1.0).solve(torch.cat([A, y[:, None]], 1), alpha) / scale
    K = A @ A.T
    K.diagonal().add_(alpha)
    return A.T @ torch.cholesky_solve(y[:, None], torch.linalg.cholesky(K))[:, 0] / scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("element", nargs="?", default="Si")
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--only", nargs="+", default=["ridge", "ard", "lsqr"], choices=list(ways(1)))
    parser.add_argument("--frames", type=int, default=40, help="of the alloy, to learn from")
    parser.add_argument("--ridge", type=float, default=1e-8, help="of the alloy")
    parser.add_argument("--tolerance", type=float, default=1e-8, help="of the alloy")
    parser.add_argument("--block", type=int, default=4000, help="of the alloy")
    parser.add_argument("--machine", help="what it ran on, in words")
    parser.add_argument("--record", action="store_true", help="add the alloy's lines to results/least_squares.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # how LSQR ended stands in the table
    if options.element == "MoNbTaW":
        how = LSQR(options.ridge, options.tolerance, iterations=10_000, block=options.block)
        for channels in options.channels:
            line = converged(channels, options.frames, how, options.machine)
            print({key: value for key, value in line.items() if key != "versions"}, flush=True)
            if options.record:
                rows.append("least_squares.jsonl", [line])
        return
    train, test = (frames(options.element, part) for part in ("train", "test"))
    print("| channels | solver | coefficients | E meV/atom | F eV/Å | iterations | fit, CPU s |\n|---|---|---|---|---|---|---|")
    for channels in options.channels:
        for name in options.only:
            begun = time.process_time()
            model = ad.models.ACE(cutoff=5.0, channels=channels)
            potential = ad.fit(model, train, [], wall=False, loss=WEIGHTS, optimizer=ways(channels)[name])
            cpu_s = time.process_time() - begun
            told, found = potential.metadata["training"], errors(potential, test)
            energy = 1e3 * np.abs(found.energy_model - found.energy_reference).mean()
            force = np.abs(found.force_model - found.force_reference).mean()
            steps = f"{told['iterations']}{'' if told['converged'] else ', not converged'}" if "iterations" in told else ""
            count = f"{told['relevant']} of {told['of']}" if "relevant" in told else ORDERS * channels + 1
            print(f"| {channels} | {name} | {count} | {energy:.3f} | {force:.4f} | {steps} | {cpu_s:.0f} |", flush=True)


if __name__ == "__main__":
    main()
