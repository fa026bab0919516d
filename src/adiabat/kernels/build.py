"""From C++ text to a loaded library: compile, try, publish, remember.

A library is compiled for a *named* instruction level (never for 'this machine'), tried once in a process of its own, and put
into a private cache under a name made from everything that made it. Nothing here knows what the code does.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

# No -ffast-math: it switches denormals off in the whole process and hides NaN.
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared", "-w")
# ADIABAT_SANITIZE=1, with libasan preloaded: tests under AddressSanitizer and UndefinedBehaviorSanitizer. Left out are checks of
# pointers before each access, which the first of the two makes at the access: they double the time of compiling. And it calls its checks:
# written out at each access of straight-line code they take three times as long to compile.
SANITIZE = (
    "-fsanitize=address,undefined", "-fno-sanitize=null,pointer-overflow,object-size", "-fno-sanitize-recover=all", "-g1", "-O1",
    "--param", "asan-instrumentation-with-call-threshold=0",
)  # fmt: skip
SEAL = b"adiabat1"  # a published library ends in this and the sha256 of what stands before it
# checks in every line make a compiler several times slower
COMPILE_SECONDS = 1500 if os.environ.get("ADIABAT_SANITIZE") else 300
TRIAL_SECONDS = 60


class Level(NamedTuple):
    """A named set of instructions: compiler flags, bytes of a vector, what /proc/cpuinfo must list."""

    flags: tuple[str, ...]
    bytes: int
    needs: frozenset[str] = frozenset()


_V3 = frozenset("avx avx2 bmi1 bmi2 f16c fma abm movbe xsave".split())
LEVELS = {
    "x86-64-v4": Level(
        ("-march=x86-64-v4", "-mprefer-vector-width=512"),
        64,
        _V3 | frozenset("avx512f avx512bw avx512cd avx512dq avx512vl".split()),
    ),
    "x86-64-v3": Level(("-march=x86-64-v3",), 32, _V3),
    "portable": Level((), 16),
}


class NoKernels(RuntimeError):
    """Compiled kernels cannot be had here; the message says why and what to do."""


def library(source: str, scalar: str) -> ctypes.CDLL:
    """The compiled and tried library of a source, from the cache or made now. `scalar` is 'float' or 'double'.

    Raises NoKernels where there is no compiler, a failing one, a folder that cannot be written or trusted, or where the trial
    fails. Two processes that ask at once make it once; a file that is not what was published is made again.
    """
    name, folder = level(), cache_folder()
    command = [*compiler(), *FLAGS, *LEVELS[name].flags, f"-DADIABAT_SCALAR={scalar}", f"-DADIABAT_BYTES={LEVELS[name].bytes}"]
    if openmp():
        command.append("-fopenmp")
    if os.environ.get("ADIABAT_SANITIZE"):
        command += SANITIZE
    key = hashlib.sha256("\0".join([source, *command, _identity(command[0]), platform.machine()]).encode()).hexdigest()[:32]
    path = folder / f"{key}.so"
    if not _sound(path):
        with _lock(folder / f"{key}.lock"):
            if not _sound(path):
                _make(source, command, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoKernels(f"{path} cannot be loaded ({error}); delete it to have it made again") from error


def level() -> str:
    """The best level this processor has; ADIABAT_LEVEL asks for a lower one.

    >>> level() in LEVELS
    True
    """
    asked = os.environ.get("ADIABAT_LEVEL")
    if asked:
        if asked not in LEVELS:
            raise NoKernels(f"ADIABAT_LEVEL={asked} is unknown; known: {', '.join(LEVELS)}")
        return asked
    return next(name for name, it in LEVELS.items() if it.needs <= _processor())


@cache
def _processor() -> frozenset[str]:
    if platform.machine() not in ("x86_64", "AMD64"):
        return frozenset()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def compiler() -> list[str]:
    """The compiler and its first arguments: $CXX, else g++, clang++ or c++."""
    asked = shlex.split(os.environ.get("CXX", ""))
    for candidate in [asked] if asked else [["g++"], ["clang++"], ["c++"]]:
        found = shutil.which(candidate[0])
        if found:
            return [found, *candidate[1:]]
    wanted = f"CXX={' '.join(asked)} is not there" if asked else "no C++ compiler"
    raise NoKernels(f"{wanted}; install one (Debian: apt-get install g++; conda: conda install gxx)")


def _identity(compiler: str) -> str:
    """The compiler as a file: another version is another file."""
    real = Path(compiler).resolve()
    about = real.stat()
    return f"{real} {about.st_size} {about.st_mtime_ns}"


@cache
def openmp() -> str | None:
    """The OpenMP runtime torch has loaded, if it is GNU's under its plain name: the one our libraries then share."""
    import torch  # noqa: F401 - loads it

    try:
        maps = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    return next((line.split()[-1] for line in maps if line.endswith("/libgomp.so.1")), None)


def cache_folder() -> Path:
    """$ADIABAT_CACHE, else the user's cache, with kernels below it: a folder of this user's alone, no symbolic link."""
    root = os.environ.get("ADIABAT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "adiabat")
    folder = Path(root, "kernels")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise NoKernels(
            f"the cache folder {folder} cannot be made ({error.strerror}); set ADIABAT_CACHE to a folder of yours"
        ) from error
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise NoKernels(f"the cache folder {folder} must be a folder of yours with mode 0700 and no link; move it away")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NoKernels(f"the cache folder {folder} cannot be written; set ADIABAT_CACHE to a folder of yours")
    return folder


def _sound(path: Path) -> bool:
    """Whether this is a file of ours that was published whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        content = file.read()
    body, seal = content[:-40], content[-40:]
    return about.st_uid == os.getuid() and seal == SEAL + hashlib.sha256(body).digest()


@contextmanager
def _lock(path: Path):
    """One maker at a time. Where the file system has no locks, two make the same and the second one's rename wins."""
    with open(path, "w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(source: str, command: list[str], path: Path) -> None:
    if sys.stderr.isatty():
        print("adiabat: compiling kernels (once; some seconds) …", file=sys.stderr, flush=True)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="making-") as folder:
            text, made = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
            text.write_text(source)
            run = subprocess.run(
                [*command, "-o", made.name, text.name], cwd=folder, capture_output=True, text=True, timeout=COMPILE_SECONDS
            )
            if run.returncode:
                raise NoKernels(f"{command[0]} failed: {_last(run.stderr)}; the reference runs instead")
            _try(made)
            body = made.read_bytes()
            with open(made, "ab") as file:
                file.write(SEAL + hashlib.sha256(body).digest())
                file.flush()
                os.fsync(file.fileno())
            os.replace(made, path)
    except subprocess.TimeoutExpired as error:
        raise NoKernels(f"{error.cmd[0]} did not end within {error.timeout:.0f} s") from error
    except OSError as error:
        raise NoKernels(f"the cache folder {path.parent} cannot be written ({error.strerror})") from error


def _try(made: Path) -> None:
    """Run the library's own trial where an illegal instruction or a bad link hurts nobody."""
    program = (
        "import ctypes, sys\n"
        "if sys.argv[2]: ctypes.CDLL(sys.argv[2], ctypes.RTLD_GLOBAL)\n"
        "sys.exit(ctypes.CDLL(sys.argv[1]).trial())"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", program, str(made), openmp() or ""], capture_output=True, text=True, timeout=TRIAL_SECONDS
    )
    if run.returncode:
        why = f"signal {-run.returncode}" if run.returncode < 0 else _last(run.stderr) or f"result {run.returncode}"
        raise NoKernels(f"a freshly compiled kernel failed its trial ({why}); the reference runs instead")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line.lower()] or text.splitlines()
    return lines[0].strip()[:300] if lines else ""
