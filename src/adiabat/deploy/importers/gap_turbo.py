"""What QUIP's descriptor soap_turbo says, as options of `nn.turbo_kernel.SoapTurbo`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adiabat.deploy.importers.extracted import ForeignModelError
from adiabat.deploy.importers.gap_said import Said
from adiabat.elements import symbol
from adiabat.kernels.turbo import MOST
from adiabat.kernels.turbo import compression as matrix_of

READ = """alpha_max amplitude_scaling atom_sigma atom_sigma_r atom_sigma_r_scaling atom_sigma_scaling atom_sigma_t atom_sigma_t_scaling basis
central_index central_weight compress_file compress_mode cutoff cutoff_transition_width l_max n_max n_species nf radial_enhancement
rcut_hard rcut_soft species_z""".split()


def options(said: Said) -> tuple[dict[str, Any], int]:
    """Options without sparse points, and how many dimensions they make."""
    path = said.path
    if re.search(r"central_weight\s*=\s*[^{\s]", said.text, re.IGNORECASE) and said.number("central_weight") != 1:
        raise ForeignModelError(
            f"{path}: soap_turbo with central_weight={said.word('central_weight')} is not supported: quippy 0.10.3 takes 1 for a number "
            "without braces; write {…} for the weight that is meant"
        )
    species = [int(z) for z in said.numbers("species_z")]
    central = int(said.number("central_index", 1.0))
    if not 1 <= central <= len(species) or any(z < 1 for z in species):
        raise ForeignModelError(f"{path}: soap_turbo with central_index {central} of species_Z {species} is not supported")
    basis = said.word("basis", "poly3").lower()
    if basis not in MOST:
        raise ForeignModelError(f"{path}: soap_turbo with basis={basis} is not supported; known are {', '.join(MOST)}")
    cutoff = said.number("rcut_hard" if "rcut_hard" in said else "cutoff")
    soft = said.number("rcut_soft") if "rcut_soft" in said else cutoff - said.number("cutoff_transition_width", 0.5)
    if not 0 < soft < cutoff:
        raise ForeignModelError(f"{path}: soap_turbo with a soft cutoff {soft} of {cutoff} Å is not supported")

    def each(*keys: str, default: float | None = None) -> list[float]:
        """Of the first of these that is said: a number for all, or one for each."""
        key = next((k for k in keys if k in said), None)
        if key is None:
            found = [said.number(keys[-1], default)]
        else:
            found = said.numbers(key)
        if len(found) not in (1, len(species)):
            raise ForeignModelError(f"{path}: soap_turbo with {len(found)} numbers of {key} for {len(species)} species")
        return found * len(species) if len(found) == 1 else found

    n_max, l_max = [int(n) for n in each("alpha_max", "n_max")], int(said.number("l_max"))
    sigma_r = each("atom_sigma_r", "atom_sigma")
    scaling = each("atom_sigma_r_scaling", "atom_sigma_scaling", default=0.0)
    found: dict[str, Any] = {
        "cutoff": cutoff, "transition_width": cutoff - soft, "n_max": n_max, "l_max": l_max, "basis": basis,
        "sigma_r": sigma_r, "sigma_t": each("atom_sigma_t", "atom_sigma"),
        "sigma_r_scaling": scaling, "sigma_t_scaling": each("atom_sigma_t_scaling", "atom_sigma_scaling", default=0.0),
        "amplitude_scaling": each("amplitude_scaling", default=1.0), "central_weight": each("central_weight", default=1.0),
        "radial_enhancement": int(said.number("radial_enhancement", 0.0)), "filter_width": said.number("nf", 4.0),
        "center": symbol(species[central - 1]), "species": [symbol(z) for z in species],
    }  # fmt: skip
    rows, more = _compression(said, n_max, l_max)
    return {**found, **more}, rows


def warn_of_mixed_bases(path: Path, each: Sequence[Mapping[str, Any]]) -> None:
    """QUIP up to 2025 makes radial functions anew only where their number changes: of two soap_turbo one after the other that differ in
    other ways it evaluates the second with those of the first."""
    for one, other in zip(each, [*each[1:], *each[:1]], strict=True):
        if sum(one["n_max"]) == sum(other["n_max"]) and _basis_of(one) != _basis_of(other):
            warnings.warn(
                f"{path}: two soap_turbo have {sum(one['n_max'])} radial functions each, but not the same ones: quippy up to 0.10.3 evaluates "
                "both with those of one; compare an energy before you trust this potential",
                stacklevel=4,
            )
            return


def _basis_of(options: Mapping[str, Any]) -> tuple:
    n_max, basis = tuple(options["n_max"]), options["basis"]
    return (n_max, basis, tuple(options["sigma_r"]), options["cutoff"]) if basis == "poly3gauss" else (n_max, basis)


def _compression(said: Said, n_max: list[int], l_max: int) -> tuple[int, dict[str, Any]]:
    """How many dimensions there are, and the option. A file counts for more than a mode."""
    C, path = sum(n_max), said.path
    name, mode = (said.word(key, "None") for key in ("compress_file", "compress_mode"))
    if name != "None":
        matrix = _matrix(path, path.with_name(Path(name).name))
        return max(matrix["rows"]) + 1, {"compression": matrix}
    if mode == "None":
        return C * (C + 1) // 2 * (l_max + 1), {}
    if not re.fullmatch(r"[tT]rivial|[012]_[012]", mode):
        raise ForeignModelError(f"{path}: soap_turbo with compress_mode={mode} is not supported")
    mode = mode.lower()
    if mode != "trivial" and len({*n_max}) > 1:
        raise ForeignModelError(f"{path}: soap_turbo with compress_mode={mode} and alpha_max {n_max} is not supported")
    return int(matrix_of(mode, n_max, l_max)[0].max()) + 1, {"compression": mode}


def _matrix(path: Path, where: Path) -> dict[str, list[Any]]:
    """The matrix of a compression file, counted from zero: rows, columns and values, or the columns that are kept."""
    if not where.is_file():
        raise ForeignModelError(
            f"{path}: {where.name} is not beside it; the compression of its soap_turbo is in a file of its own"
        )
    head, *lines = where.read_text().splitlines()
    try:
        if lines and lines[0].strip() == "P_transformation":
            end = next(k for k, line in enumerate(lines) if line.strip() == "end_transformation")
            words = [line.split() for line in lines[1:end]]
        else:
            kept = lines[: int(head.split()[-1])]
            words = [[str(row + 1), line.split()[0], "1.0"] for row, line in enumerate(kept)]
        rows, columns = ([int(line[k]) - 1 for line in words] for k in (0, 1))
        values = [float(line[2].lower().replace("d", "e")) for line in words]
    except (ValueError, IndexError, StopIteration):
        raise ForeignModelError(f"{where}: no compression of soap_turbo, or cut short") from None
    if not rows or min(*rows, *columns) < 0 or not bool(torch.tensor(values).isfinite().all()):
        raise ForeignModelError(f"{where}: no compression of soap_turbo; wanted rows and columns from 1 on, and values")
    return {"rows": rows, "columns": columns, "values": values}
