"""What is installed, what works, what to do: each line a thing, its state, and a cure where one is needed."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from adiabat.campaign.provenance import installed, machine, versions

NEEDED = (
    "torch", "numpy", "scipy", "ase", "vesin", "safetensors", "pydantic", "PyYAML", "jaxtyping", "Jinja2", "typer", "rich", "plotly",
    "matplotlib",
)  # fmt: skip
ENGINES = {"pyscf": "pip install pyscf", "tblite": "pip install tblite"}
MODULES = {"PyYAML": "yaml", "Jinja2": "jinja2"}


class Line(NamedTuple):
    """`state`: ok, missing, broken or note. Only what is missing or broken of the needed counts against the installation."""

    what: str
    state: str
    told: str
    cure: str = ""


def examine() -> list[Line]:
    """Everything, one line each; nothing is written but a file that is removed again."""
    return [line for look in LOOKS for line in look()]


def sound(lines: list[Line]) -> bool:
    return all(line.state != "broken" for line in lines)


def _ourselves() -> Iterator[Line]:
    found, where = versions(()), machine()
    yield Line("adiabat", "ok", found["adiabat"])
    ok = sys.version_info >= (3, 11)
    yield Line("Python", "ok" if ok else "broken", found["python"], "" if ok else "install Python 3.11 or newer")
    yield Line("machine", "note", ", ".join(f"{k} {v}" for k, v in where.items()))


def _packages() -> Iterator[Line]:
    for package in NEEDED:
        version = installed(package)
        if version is None:
            yield Line(package, "broken", "not installed", "pip install adiabat")
            continue
        try:
            importlib.import_module(MODULES.get(package, package))
        except Exception as error:
            yield Line(
                package, "broken", f"{version}, but it cannot be imported: {error}", f"pip install --force-reinstall {package}"
            )
        else:
            yield Line(package, "ok", version)


def _engines() -> Iterator[Line]:
    for package, cure in ENGINES.items():
        version = installed(package)
        yield Line(f"engine {package}", "ok" if version else "missing", version or "not installed", "" if version else cure)
    from adiabat.labelers.gpaw import INSTALL

    version = installed("gpaw") and installed("gpaw-data")
    cure = (
        ""
        if version
        else INSTALL
        if shutil.which("g++")
        else f"Debian, Ubuntu: apt-get install g++ python3-dev; then {INSTALL}"
    )
    yield Line(
        "engine gpaw", "ok" if version else "missing", str(installed("gpaw") or "not installed (it labels solids)"), cure
    )
    from adiabat.labelers.ase_calculator import NAMES

    yield Line("engine ase", "ok", f"any ASE calculator; by name: {', '.join(sorted(NAMES))}")


def _lammps() -> Iterator[Line]:
    from adiabat.deploy.lammps.program import NoLAMMPS, headers

    try:
        headers()
        yield Line("LAMMPS", "ok", f"{installed('lammps')}, MPI of mpich {installed('mpich')}")
    except NoLAMMPS as error:
        found, _, cure = str(error).partition(": ")
        yield Line("LAMMPS", "missing", found, cure)


def _devices() -> Iterator[Line]:
    if installed("torch") is None:
        return
    import torch

    yield Line("threads", "note", f"{torch.get_num_threads()} for torch; OMP_NUM_THREADS sets it")
    if torch.cuda.is_available():
        yield Line("GPU", "ok", torch.cuda.get_device_name(0))
    else:
        yield Line("GPU", "note", "none; everything runs on the CPU")


def _kernels() -> Iterator[Line]:
    from adiabat.kernels.dispatch import status

    install = (
        ""
        if any(map(shutil.which, ("g++", "clang++")))
        else "Debian, Ubuntu: apt-get install g++ (without it: slower, same numbers)"
    )
    for name, told in status().items():
        bad = told.startswith(("none", "reference"))
        yield Line(
            "kernels" if name == "kernels" else f"kernels: {name}", "missing" if bad else "ok", told, install if bad else ""
        )


def _disk() -> Iterator[Line]:
    free_GB = shutil.disk_usage(".").free / 1e9
    room = free_GB > 1
    yield Line(
        "disk here", "ok" if room else "missing", f"{free_GB:.0f} GB free", "" if room else "free some space, or run elsewhere"
    )
    try:
        with tempfile.NamedTemporaryFile(dir=".", prefix=".adiabat-"):
            pass
    except OSError as error:
        yield Line("this folder", "missing", f"cannot be written: {error.strerror}", "run where you may write, or give --out")


LOOKS: tuple[Callable[[], Iterator[Line]], ...] = (_ourselves, _packages, _engines, _lammps, _devices, _kernels, _disk)
