"""What all tests share: shapes checked in every call, one thread, one seed, the data folder, what this machine has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # read when numpy and torch are first imported

from jaxtyping import install_import_hook

# Before the first import of a room: from here on `Float[Tensor, "N 3"]` in a signature is checked at every call.
# ADIABAT_SHAPES=0 leaves it out, to see what it costs.
if os.environ.get("ADIABAT_SHAPES", "1") != "0":
    install_import_hook("adiabat", "shapes.check")

import numpy as np
import pytest
import torch

from adiabat.kernels import build

torch.set_num_threads(1)

pytest_plugins = ("parity",)
REPOSITORY = Path(__file__).resolve().parent.parent
collect_ignore_glob = ["golden/make_*.py"]  # programs that run in the environments of other codes


@pytest.fixture(autouse=True)
def same_numbers_twice():
    """Start every test from the same seed, float32 and no gradients left switched off."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - for libraries that still draw from the global stream
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


@pytest.fixture(autouse=True)
def compiled(request, monkeypatch):
    """Of what is marked so: kernels run compiled or not at all, and without a compiler there is nothing to test."""
    if request.node.get_closest_marker("compiled"):
        try:
            build.compiler()
        except build.NoKernels as why:
            pytest.skip(str(why))
        monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public data sets some tests read: `ADIABAT_DATA`, by default `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("ADIABAT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets in {folder}: download them as docs/data.md says and set ADIABAT_DATA to their folder")
    return folder


def browser() -> str | None:
    """Where a Chromium is, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


MISSING = {
    "gpu": lambda: None if torch.cuda.is_available() else "no CUDA device here",
    "browser": lambda: None if browser() else "no browser here; on Debian: apt-get install chromium",
}


def pytest_collection_modifyitems(items):
    for mark, reason in ((mark, why()) for mark, why in MISSING.items()):
        if reason:
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=reason))
