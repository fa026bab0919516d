"""With what it was done: versions of what is installed, and the machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from adiabat.campaign.run_folder import program_version

PACKAGES = ("torch", "numpy", "scipy", "ase", "vesin", "pyscf", "gpaw", "tblite")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of ourselves, Python and those packages that are installed.

    >>> list(versions())[:2]
    ['adiabat', 'python']
    """
    found = {"adiabat": program_version(), "python": platform.python_version()}
    for package in packages:
        if (version := installed(package)) is not None:
            found[package] = version
    return found


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed; nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, str]:
    """Processor, cores this process may use, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"processor": platform.machine(), "cores": str(cores), "system": f"{platform.system()} {platform.release()}"}
