"""Does the energy stay? Constant-energy dynamics from a relaxed frame."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from adiabat.analysis.drift import energy_drift
from adiabat.dynamics import State, relax, velocity_verlet
from adiabat.units import ACCELERATION, meV
from adiabat.validation.gate.check import Check, Subject, below, not_run

TARGET = 1.0  # meV/atom/ns
PIECE = 400  # steps between two looks at the slope: twenty periods of the fastest vibration
REPLICAS, ATOMS = 4, 128  # fewer replicas of what is larger
CURE = "look for a jump at a cutoff, forces that are not the energy's slope, or train on hotter frames"
NO_FRAMES = "no frames to start from"
GIVE = "give labeled or unlabeled structures with --data"


def nve_drift(subject: Subject) -> Check:
    """|slope| + 2σ of the total energy, less its known wiggle, below 1 meV/atom/ns.

    Velocity Verlet keeps not H but H̃ = H + Δt² (v·∂²V·v / 12 − F·F/24m) + O(Δt⁴) (Toxvaerd, Phys. Rev. E 50, 2271 (1994)): its
    slope is that of H, and without the wiggle of order Δt² it is known from a tenth of the steps.
    """
    if not subject.frames:
        return not_run("nve_drift", "meV/atom/ns", NO_FRAMES, GIVE)
    times: list[float] = []
    energies: list[np.ndarray] = []
    try:
        run = _Run(subject)
        states = run.shadow(run.timestep_fs)
        while len(times) < max(subject.drift_steps, PIECE):
            for _ in range(PIECE):
                t, E = next(states)
                times.append(t)
                energies.append(E)
            drift = energy_drift(np.array(energies), np.array(times), run.atoms, target=TARGET, timestep_fs=run.timestep_fs)
            plain = abs(drift.value) - 2 * drift.error > 3 * TARGET
            if drift.verdict == "pass" or plain or (drift.verdict == "fail" and len(times) >= 6 * PIECE):
                break
    except ValueError as error:  # the dynamics exploded, or an atom is nowhere before it began
        return Check("nve_drift", None, "meV/atom/ns", TARGET, "fail", str(error), CURE)
    told = f"{drift.value:.2g} ± {drift.error:.1g} meV/atom/ns in {run.replicas} × {times[-1] / 1e3:.3g} ps at Δt = {run.timestep_fs:g} fs"
    if drift.verdict == "undetermined":
        told += f": cannot be told from the target of {TARGET:g}"
    longer = f"run longer: adiabat gate --drift-steps {4 * len(times)}"
    cure = {"fail": CURE, "undetermined": longer}.get(drift.verdict, "")
    return Check("nve_drift", drift.value, "meV/atom/ns", TARGET, drift.verdict, told, cure, drift.error)  # type: ignore[arg-type]


def nve_order(subject: Subject) -> Check:
    """The energy's wiggle falls with the square of the timestep, as a smooth potential's does."""
    if not subject.frames:
        return not_run("nve_order", "", NO_FRAMES, GIVE)
    wiggle = []
    try:
        run = _Run(subject)
        for dt in (run.timestep_fs, run.timestep_fs / 2):
            steps = round(80 * run.timestep_fs / dt)
            E = np.array([state.conserved.numpy() for state, _ in zip(run.states(dt), range(steps), strict=False)])
            wiggle.append(float((E - E.mean(0)).std()) / run.atoms / meV)
    except ValueError as error:
        return Check("nve_order", None, "", 2.0, "fail", str(error), CURE)
    order = math.log2(wiggle[0] / wiggle[1]) if min(wiggle) > 0 else float("nan")
    found = below("nve_order", abs(order - 2), "", 0.4, "", CURE)
    told = (
        f"the energy wiggles by {wiggle[0]:.2g} meV/atom, at half the timestep by {wiggle[1]:.2g}: the power {order:.2f} of Δt"
    )
    return Check("nve_order", order, "power of Δt", 2.0, found.verdict, told, found.cure)


class _Run:
    """Replicas of a typical frame, relaxed, with velocities."""

    def __init__(self, subject: Subject) -> None:
        self.potential = getattr(subject.potential, "without_spread", None) or _Quick(subject)
        assert subject.typical is not None
        frame = subject.typical
        light = frame.get_masses().min()
        self.timestep_fs = 0.5 if light < 2 else 1.0 if light < 40 else 2.0
        rest = relax(State.of(frame, self.potential), self.potential, fmax=0.05, max_steps=300).state.to_atoms()[0]
        self.atoms = len(rest)
        rng = torch.Generator().manual_seed(subject.seed)
        # Half of it goes into the springs.
        self.replicas = max(1, min(REPLICAS, ATOMS // self.atoms))
        self.start = State.of([rest] * self.replicas, self.potential, temperature_K=2 * subject.temperature_K, rng=rng)

    def states(self, timestep_fs: float) -> Iterator[State]:
        return velocity_verlet(self.start, self.potential, timestep_fs=timestep_fs)

    def shadow(self, dt: float) -> Iterator[tuple[float, np.ndarray]]:
        """Times, and H̃ of each replica; ∂²V·v by the difference of the forces a step before and after."""
        before, here = self.start, None
        for after in self.states(dt):
            if here is not None:
                v = here.velocities
                curved = -(v * (after.forces - before.forces)).sum(1) / (2 * dt)
                pushed = (here.forces**2).sum(1) / here.masses * ACCELERATION
                more = (dt**2 * (curved / 12 - pushed / 24)).reshape(self.replicas, -1).sum(1)
                yield here.time_fs, (here.conserved + more).numpy()
                before = here
            here = after


class _Quick:
    """A potential in its quickest form."""

    def __init__(self, subject: Subject) -> None:
        self.frozen, self.cutoff = subject.potential.frozen(), subject.potential.cutoff

    def __call__(self, graph):
        return self.frozen(graph)
