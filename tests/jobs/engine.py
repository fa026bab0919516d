"""EMT that tells when it begins, and misbehaves for structures made to be poison; what the campaign of `test_chaos` labels with."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT

START, STEP = 2.2, 2e-4  # Å: the distance of structure n says which it is
DEADLY = 6.0  # Å: whoever computes such a pair dies
HANGING = 2.6  # Å: at such a pair the program of `Outside` never answers


def pair(n: int) -> Atoms:
    """Structure n."""
    return Atoms("Cu2", [[0, 0, 0], [START + STEP * n, 0, 0]])


def number(positions) -> int:
    """Which structure it is."""
    a, b = np.asarray(positions, float)
    return round((float(np.linalg.norm(b - a)) - START) / STEP)


def poison() -> list[Atoms]:
    """Two atoms at one place; a structure at which the worker dies, whoever it is."""
    return [Atoms("Cu2", [[0, 0, 0], [0.01, 0, 0]]), Atoms("Cu2", [[0, 0, 0], [DEADLY, 0, 0]])]


class LoggedEMT(EMT):
    """EMT that leaves a line when it begins and takes its time."""

    def __init__(self, log: str, sleep_s: float) -> None:
        super().__init__()
        self.log, self.sleep_s = Path(log), sleep_s

    def calculate(self, atoms, properties, system_changes):
        if abs(atoms.get_distance(0, 1) - DEADLY) < 1e-6:
            os.kill(os.getpid(), signal.SIGKILL)
        if system_changes:
            log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(log, f"{number(atoms.positions)} {time.time()!r} {uuid.uuid4().hex}\n".encode())
            os.close(log)
            time.sleep(self.sleep_s)
        super().calculate(atoms, properties, system_changes)


class Outside(EMT):
    """An engine that is a program of its own, started through a shell as engines are; it writes who it is to `folder`.

    `groups`: the shell gives it a process group of its own, as interactive shells and mpirun do.
    """

    def __init__(self, folder: str, groups: bool = False) -> None:
        super().__init__()
        self.folder, self.groups = folder, groups

    def calculate(self, atoms, properties, system_changes):
        if abs(atoms.get_distance(0, 1) - HANGING) < 1e-6:
            group = "set -m" if self.groups else "set +m"
            name = f"{self.folder}/$!"
            program = f"{group}; sleep 600 & echo >{name}.part; mv {name}.part {name}.pid; wait"
            subprocess.run(["bash", "-c", program], check=True)
        super().calculate(atoms, properties, system_changes)
