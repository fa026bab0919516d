"""The peers' model files as potentials of ours: the same function, in our files and on our kernels.

| importer | peer | file | model |
|---|---|---|---|
| `mace` | mace-torch ≥ 0.3.10 | `.model`, a pickle: needs mace-torch installed and trust | `MACE` |
| `schnetpack` | schnetpack 2 | a pickled model, such as `best_model`: needs schnetpack installed and trust | `PaiNN` |
| `ani` | torchani 2 | a pickled `ANI` model: needs torchani installed and trust | `ANI`; an ensemble is a committee |
| `mtp` | MLIP-2 | `.mtp`, trained or a template; its elements are for you to say | `MTP` |
| `snap` | LAMMPS | `.snapcoeff` and `.snapparam` side by side | `SNAP` |
| `eam` | LAMMPS | `.eam` (funcfl), `.eam.alloy` (setfl), `.eam.fs` | `EAM` |
| `lammps` | LAMMPS | an input: lj/cut, morse, buck, zbl, snap, EAM, hybrid/overlay of them | `LennardJones`, `Morse`, `Buckingham`, `ZBL`, … |
| `runner` | n2p2, RuNNer | a folder with `input.nn`, `scaling.data`, `weights.ZZZ.data`; its units are for you to say | `BPNN` |
| `neurochem` | NeuroChem | `.info` of an ANI model, the files it names beside it | `ANI`; an ensemble is a committee |
| `amp` | Amp | `.amp` of Gaussian descriptors and neural networks | `BPNN` |
| `yace` | pacemaker | `.yace` of an atomic cluster expansion, as LAMMPS reads it | `PACE` |
| `nep` | GPUMD | `nep.txt` of NEP3, NEP4, NEP5, with or without ZBL | `NEP`, `NEPZBL` |
| `deepmd` | DeePMD-kit 3 | `.yaml`, `.dp`, as `dp convert-backend` writes them | `DeepPot` |
| `gap` | QUIP | the `.xml` of gap_fit, its `.sparseX` files beside it | `GAP` |
| (its peer's) | any of them, extracted | `.npz`: numbers only | by its header |

An importer of pickles has two parts: `extract` asks the peer's loaded object for plain arrays and for its answers on a few
clusters; `convert` makes a potential of them, which is then compared with those answers. Files that are data (texts, tables) are
read in one step. `table` says what a new importer is made of.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from adiabat.deploy.importers.answers import clusters, disagreement
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError, agreed
from adiabat.deploy.importers.table import ConverterInUnits, Reader, ReaderInUnits, converter_of, importer_of
from adiabat.elements import symbol
from adiabat.potential import Potential, describe
from adiabat.training.tables import refined, table_error

POTENTIALS = re.compile(r"input\.nn|scaling\.data|weights\.\d+\.data")  # of those that are folders

__all__ = ["Extracted", "ForeignModelError", "extract", "import_model"]


def extract(path: str | Path, trust: bool = False, elements: Sequence[str] | None = None) -> Extracted:
    """Plain arrays of a peer's model file. A pickle is opened only with `trust`, and where the peer is installed."""
    path = Path(path)
    if path.suffix == ".npz":
        found = Extracted.read(path)
        if elements is not None and "numbers" in found.arrays:
            agreed(path, [symbol(int(z)) for z in found.arrays["numbers"]], elements)
        return found
    with _understood(path):
        importer = importer_of(path)
    if isinstance(importer, Reader):
        raise ForeignModelError(f"{path}: {importer.PEER}'s files are read as they are; import it, there is nothing to extract")
    with _understood(path):
        return importer.extract(path, trust, elements)


def import_model(
    path: str | Path,
    trust: bool = False,
    intervals: int = 8192,
    elements: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Potential:
    """The potential of a peer's model file (or folder, where its models are folders), in float64; `save` it, or use it as it is.

    `trust` is needed for pickles: opening one runs the code in it. `intervals` are those of the radial splines, which stand for
    the peer's networks: 8192 agree with them to about 1e-9 of the forces, 512 to 1e-5, which is all that single precision uses.
    `elements` are wanted for files that do not name theirs, `units` ({"energy": "hartree", "length": "bohr"}) for those whose numbers
    may be in any (n2p2's folders and schnetpack's models). How far the potential is from the peer's own answers, in double and
    in single precision, stands in `metadata["imported"]`; files of texts and tables hold no answers. What the splines themselves
    cost stands in `metadata["radial_tables"]`; tables too coarse are refined.
    """
    path = Path(path)
    with _understood(path):
        reader = None if path.suffix == ".npz" else importer_of(path)
    if intervals < 3:
        raise ForeignModelError(f"{path}: intervals {intervals} came; a spline needs at least 3")
    if isinstance(reader, Reader):
        if units is not None and not isinstance(reader, ReaderInUnits):
            raise ForeignModelError(f"{path}: {reader.PEER}'s files have units of their own, which are known; leave units out")
        with _understood(path):
            potential = reader.load(path, elements, units) if isinstance(reader, ReaderInUnits) else reader.load(path, elements)
            _finite(path, potential)
        potential.metadata["imported"] = {"from": reader.PEER, "file": path.name, "sha256": _digest(path)}
        return potential
    extracted = extract(path, trust, elements)
    converter = converter_of(extracted)
    if isinstance(converter, ConverterInUnits):
        extracted = converter.in_units(extracted, units)
    elif units is not None:
        raise ForeignModelError(f"{path}: {converter.PEER}'s models have units of their own, which are known; leave units out")
    with _understood(path):
        potential = converter.convert(extracted, intervals)
        found = disagreement(potential, extracted)
    if not found["force_eV_per_A"] <= converter.TOLERANCE * found["force_rms_eV_per_A"]:  # a NaN is no agreement
        raise ForeignModelError(
            f"{path}: the converted model's forces differ from {extracted.source}'s by {found['force_eV_per_A']:.2g} eV/Å on test "
            f"clusters, where they are {found['force_rms_eV_per_A']:.2g}; this version of the peer does something the importer does "
            "not know, or more intervals are needed"
        )
    # Forces do not see a constant: an energy of an element that was not understood. Its allowance is theirs, over 1 Å.
    if not found["energy_eV_per_atom"] <= converter.TOLERANCE * found["force_rms_eV_per_A"]:
        raise ForeignModelError(
            f"{path}: the converted model's forces agree with {extracted.source}'s and its energies do not, by "
            f"{found['energy_eV_per_atom']:.2g} eV an atom on test clusters; the energies of its elements or a shift are not what the "
            "importer takes them for in this version of the peer"
        )
    # What stands for the peer's networks must not be seen in the forces; single precision reads fewer knots of a fine table.
    places = clusters(potential, extracted)
    potential, tables = refined(potential, places)
    if tables is not None:
        told = table_error(copy.deepcopy(potential).float(), places)
        potential.metadata["radial_tables"] = {**tables, "in_single_precision": told}
    single = disagreement(copy.deepcopy(potential).float(), extracted)
    found |= {f"{k}_in_single_precision": single[k] for k in ("energy_eV_per_atom", "force_eV_per_A")}
    potential.metadata["imported"] = {"from": extracted.source, "file": path.name, "sha256": _digest(path), **found}
    return potential


@contextlib.contextmanager
def _understood(path: Path) -> Iterator[None]:
    """What an importer stumbles over is said of the file: a damaged one can break a reader in more ways than it looks for."""
    try:
        yield
    except (ForeignModelError, OSError):
        raise
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RuntimeError,
        MemoryError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ForeignModelError(f"{path}: damaged, or of a kind that is not known here ({why[:200]})") from error


def _finite(path: Path, potential: Potential) -> None:
    wrong = [name for name, value in potential.state_dict().items() if not bool(torch.isfinite(value).all())]
    try:
        json.dumps([describe(term) for term in potential.terms], allow_nan=False)
    except ValueError:
        wrong.append("a setting")
    if wrong:
        raise ForeignModelError(f"{path}: damaged: {wrong[0]} comes out as no number")


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a potential's files in a folder: training data may lie beside them."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and POTENTIALS.match(p.name))
    total = hashlib.sha256()
    for file in files:
        if path.is_dir():
            total.update(file.name.encode())
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                total.update(block)
    return total.hexdigest()
