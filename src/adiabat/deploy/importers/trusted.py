"""The one door for pickled files: a peer's model is a Python object, and opening it runs whatever code it holds.

Everywhere else in this package nothing is pickled or unpickled. Here it happens only when the user says that the file is to be
trusted, and a test holds that no other file does it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from adiabat.deploy.importers.extracted import ForeignModelError

RISK = (
    "it is a pickle, and opening a pickle runs the code in it, with your rights. If you trust where the file comes from, "
    "say so: --trust on the command line, trust=True in Python"
)


def is_pickle(path: Path) -> bool:
    """Whether torch.save wrote this file."""
    return bool(_pickles(path))


def names(path: Path, package: str) -> bool:
    """Whether a file that torch.save wrote holds objects of this package; it is searched for the name, not opened.

    TorchScript, which holds code in place of objects, does not count.
    """
    return any(f"c{package}.".encode() in text or f"c{package}\n".encode() in text for text in _pickles(path))


def mentions(path: Path, text: str) -> bool:
    """Whether a file that torch.save wrote has this text in it, such as the name of a tensor; it is not opened."""
    return any(text.encode() in pickled for pickled in _pickles(path))


def _pickles(path: Path) -> list[bytes]:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
        if any(name.endswith("constants.pkl") for name in inside):
            return []
        return [archive.read(name) for name in inside if name.endswith("data.pkl")]


def unpickled(path: Path, trust: bool, package: str, module: str) -> tuple[Any, str]:
    """The object in a file that `torch.save` wrote, and the version of the package whose classes it needs.

    Refused without `trust`, without the package, and for what is no such file.
    """
    if not trust:
        raise ForeignModelError(f"{path}: {RISK}")
    if not zipfile.is_zipfile(path):
        raise ForeignModelError(f"{path}: no file that torch.save wrote, or a truncated one")
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise ForeignModelError(
            f"{path}: reading it needs {package}, which is not installed here: pip install {package}; or extract the arrays where it "
            f"is installed, with the same command and --out FILE.npz, and import those"
        )
    with _environment_kept():
        importlib.import_module(module)
        try:
            return torch.load(path, map_location="cpu", weights_only=False), importlib.metadata.version(package)
        except Exception as error:  # whatever a pickle does
            raise ForeignModelError(f"{path}: {package} could not open it ({type(error).__name__}: {error})") from error


class _environment_kept:
    """mace-torch switches torch's safe loading off for the whole process when it is imported; that ends here."""

    def __enter__(self) -> None:
        self.before = dict(os.environ)

    def __exit__(self, *_: object) -> None:
        for name in set(os.environ) - set(self.before):
            del os.environ[name]
        os.environ.update(self.before)
