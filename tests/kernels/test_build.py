"""A compiled library is private, whole, tried, and made once; where it cannot be had, the reference runs and says so."""

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from adiabat.kernels import build, dispatch
from adiabat.kernels.edge_conv import edge_conv, reference_edge_conv
from adiabat.kernels.ir import Convolution
from kernels.topology import random_arguments, random_edges

CONV = Convolution.of("0e|0.0.0e")
TINY = 'extern "C" int trial() { return 0; }\nextern "C" int answer() { return 42; }\n'

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """An empty cache and a process that has not given up."""
    monkeypatch.setenv("ADIABAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ADIABAT_KERNELS", raising=False)
    monkeypatch.setattr(dispatch, "_reason", None)
    dispatch.library.cache_clear()
    yield tmp_path / "cache" / "kernels"
    dispatch.library.cache_clear()


def made(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))


def convolve():
    arguments = random_arguments(CONV, random_edges(4, 9), C=2)
    torch.testing.assert_close(edge_conv(*arguments), reference_edge_conv(*arguments), rtol=1e-12, atol=1e-12)


def test_a_library_is_made_once_and_found_again(fresh):
    assert build.library(TINY, "float").answer() == 42
    (file,) = made(fresh)
    before = file.stat().st_mtime_ns
    assert build.library(TINY, "float").answer() == 42 and file.stat().st_mtime_ns == before
    assert fresh.stat().st_mode & 0o777 == 0o700
    build.library(TINY, "double")
    assert len(made(fresh)) == 2  # another scalar is another library
    assert not list(fresh.glob("making-*"))


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:-1], lambda b: b"", lambda b: b.replace(b"ELF", b"FLE", 1)])
def test_a_damaged_file_is_made_again(fresh, damage):
    build.library(TINY, "float")
    (file,) = made(fresh)
    content = file.read_bytes()
    file.unlink()  # the loaded one stays mapped
    file.write_bytes(damage(content))
    assert build.library(TINY, "float").answer() == 42 and made(fresh)[0].read_bytes()[:4] == b"\x7fELF"


def test_a_library_that_fails_its_trial_is_never_published(fresh):
    for body in ("return 3;", "__builtin_trap();", "*(volatile int *)0 = 1; return 0;"):
        with pytest.raises(build.NoKernels, match="failed its trial"):
            build.library(f'extern "C" int trial() {{ {body} }}', "float")
    assert not made(fresh)


@pytest.mark.parametrize(
    "compiler, reason",
    [("/no/such/compiler", "is not there"), ("false", "failed"), ("true", "failed its trial|cannot be written")],
)
def test_without_a_working_compiler_the_reference_runs_with_one_warning(compiler, reason, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    with pytest.warns(UserWarning, match=reason):
        convolve()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convolve()  # said once
    assert dispatch.status()["kernels"].startswith("reference (")


def test_a_cache_that_cannot_be_trusted_or_written_is_not_used(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    open_to_all, link = tmp_path / "open" / "kernels", tmp_path / "link"
    open_to_all.mkdir(parents=True)
    open_to_all.chmod(0o755)
    link.mkdir()
    (tmp_path / "target").mkdir(mode=0o700)
    (link / "kernels").symlink_to(tmp_path / "target")
    for root, reason in ((file, "cannot be made"), (open_to_all.parent, "mode 0700"), (link, "no link")):
        monkeypatch.setenv("ADIABAT_CACHE", str(root))
        monkeypatch.setattr(dispatch, "_reason", None)
        dispatch.library.cache_clear()
        with pytest.warns(UserWarning, match=reason):
            convolve()


def test_asked_for_compiled_code_its_absence_is_an_error(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(build.NoKernels, match="apt-get install"):
        convolve()
    monkeypatch.setenv("ADIABAT_KERNELS", "gpu")
    with pytest.raises(ValueError, match="wanted reference, cpp or nothing"):
        convolve()


def test_asked_for_the_reference_nothing_is_compiled(fresh, monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    convolve()
    assert not fresh.exists() and dispatch.status()["kernels"] == "reference (ADIABAT_KERNELS=reference)"


def test_two_processes_at_first_use_make_it_once(fresh):
    program = f"from adiabat.kernels import build; assert build.library({TINY!r}, 'float').answer() == 42"
    root = Path(build.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    both = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len(made(fresh)) == 1


def test_one_openmp_runtime_is_in_the_process():
    """In a process of its own: other tests' engines (PySCF) bring runtimes of theirs."""
    program = "from kernels.test_build import convolve; convolve(); print(open('/proc/self/maps').read())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    maps = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout
    names = ("libgomp", "libiomp", "libomp.")
    runtimes = {line.split()[-1] for line in maps.splitlines() if any(name in line for name in names)}
    assert len(runtimes) == 1, runtimes


def test_denormals_and_not_a_number_survive():
    """Loading a library built with -ffast-math would flush them in the whole process."""
    convolve()
    assert torch.tensor(1e-310, dtype=torch.float64) / 2 > 0
    assert ctypes.c_double(5e-324).value > 0
