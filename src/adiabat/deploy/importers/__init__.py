"""The peers' model files as potentials of ours: the same function, in our files and on our kernels.

| peer | file | model |
|---|---|---|
| mace-torch ≥ 0.3.10 | `.model`, a pickle: needs mace-torch installed and trust | `MACE` |
| any of them, extracted | `.npz`: numbers only | by its header |

An importer has two parts. `extract` asks the peer's loaded object for plain arrays and for its answers on a few clusters;
`convert` makes a potential of them, which is then compared with those answers.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

from adiabat.deploy.importers.extracted import Extracted, ForeignModelError
from adiabat.potential import Potential

__all__ = ["Extracted", "ForeignModelError", "extract", "import_model"]

# of the root mean square force: a table of 256 intervals stays far below, a misunderstood setting does not
TOLERANCE = 1e-3


def extract(path: str | Path, trust: bool = False) -> Extracted:
    """Plain arrays of a peer's model file. A pickle is opened only with `trust`, and where the peer is installed."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix == ".npz":
        return Extracted.read(path)
    from adiabat.deploy.importers import mace_extract, trusted

    model, version = trusted.unpickled(path, trust, "mace-torch", "mace.modules")
    if isinstance(model, dict):
        raise ForeignModelError(f"{path}: a checkpoint of weights without its model; import the .model file written beside it")
    return mace_extract.extract(model, version)


def import_model(path: str | Path, trust: bool = False, intervals: int = 8192) -> Potential:
    """The potential of a peer's model file, in float64; `save` it, or use it as it is.

    `trust` is needed for pickles: opening one runs the code in it. `intervals` are those of the radial splines, which stand for
    the peer's networks: 8192 agree with them to about 1e-9 of the forces, 512 to 1e-5, which is all that single precision uses.
    How far the potential is from the peer's own answers, in double and in single precision, stands in `metadata["imported"]`.
    """
    from adiabat.deploy.importers import mace

    extracted = extract(path, trust)
    potential = mace.convert(extracted, intervals)
    found = mace.disagreement(potential, extracted)
    if found["force_eV_per_A"] > TOLERANCE * found["force_rms_eV_per_A"]:
        raise ForeignModelError(
            f"{path}: the converted model's forces differ from {extracted.source}'s by {found['force_eV_per_A']:.2g} eV/Å on test "
            f"clusters, where they are {found['force_rms_eV_per_A']:.2g}; this version of the peer does something the importer does "
            "not know, or more intervals are needed"
        )
    single = mace.disagreement(copy.deepcopy(potential).float(), extracted)
    found |= {f"{k}_in_single_precision": single[k] for k in ("energy_eV_per_atom", "force_eV_per_A")}
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    potential.metadata["imported"] = {"from": extracted.source, "file": Path(path).name, "sha256": digest, **found}
    return potential
