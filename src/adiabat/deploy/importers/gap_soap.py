"""What QUIP's descriptor soap says, as options of `nn.soap_kernel.Soap`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from adiabat.deploy.importers.extracted import ForeignModelError
from adiabat.deploy.importers.gap_said import Said
from adiabat.kernels.mixing import Mixing

READ = """atom_gaussian_width atom_sigma central_reference_all_species central_weight coupling cutoff cutoff_transition_width k l_max
mix_shift n_max n_species n_z nu_r nu_s r_mix species_z sym_mix z z_mix""".split()


def options(said: Said) -> tuple[dict[str, Any], int]:
    """Options without sparse points, and how many dimensions they make."""
    species = said.numbers("species_z", [0])
    one = len(species) == 1 and "central_reference_all_species" not in said
    n_max, l_max, r, s = (int(said.number(*it)) for it in (("n_max",), ("l_max",), ("nu_r", 2), ("nu_s", 2)))
    if not {r, s} <= {0, 1, 2}:
        raise ForeignModelError(f"{said.path}: soap with nu_R {r}, nu_S {s} is not supported; known are 0, 1 and 2")
    found: dict[str, Any] = {
        "cutoff": said.number("cutoff"), "transition_width": said.number("cutoff_transition_width", 0.5),
        "n_max": n_max, "l_max": l_max, "atom_sigma": said.number("atom_sigma" if "atom_sigma" in said else "atom_gaussian_width"),
        "central_weight": said.number("central_weight", 1.0), "center_in_all": one or said.true("central_reference_all_species"),
        "nu_r": r, "nu_s": s,
    }  # fmt: skip
    mixing = _mixing(said, (r, s))
    if mixing is None:
        first, second = (
            (n_max if r >= keep else 1) * (len(species) if s >= keep else 1) for keep in (1, 2)
        )  # channels of the two densities
        products = first * second if 1 in (r, s) else first * (first + 1) // 2
    else:
        found["mixing"], products = asdict(mixing), mixing.products(len(species), n_max)
    return found, products * (l_max + 1) + 1  # QUIP keeps covariance_sigma0 as the last


def _mixing(said: Said, nu: tuple[int, int]) -> Mixing | None:
    radial, species, symmetric = (said.true(key) for key in ("r_mix", "z_mix", "sym_mix"))
    coupled = said.true("coupling", "T")
    if not (radial or species):
        if symmetric or not coupled:
            raise ForeignModelError(
                f"{said.path}: soap with sym_mix=T or coupling=F, but neither R_mix nor Z_mix, is not supported"
            )
        return None
    if nu != (2, 2):
        raise ForeignModelError(
            f"{said.path}: soap with R_mix or Z_mix and nu_R or nu_S is not supported; QUIP has none either"
        )
    channels, shift = int(said.number("k")), int(said.number("mix_shift", 0))
    if channels < 1:
        raise ForeignModelError(f"{said.path}: soap with K={channels} is not supported; wanted one channel at least")
    return Mixing(channels, species, radial, symmetric, coupled, shift)
