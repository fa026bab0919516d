"""LAMMPS: our potentials in its molecular dynamics, on one MPI rank.

| file | what |
|---|---|
| `files` | the folder that is exported: numbers and libraries |
| `image` | an evaluator as bytes |
| `pair_adiabat.cpp`, `runtime.h` | `pair_style adiabat`, and the reader of the folder |
| `program` | where LAMMPS is; compiling the plugin against its headers |
| `external` | `fix external` from Python: no compiler, every family |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adiabat.deploy.lammps import external, files, program
from adiabat.deploy.lammps.files import NotCompiled
from adiabat.deploy.lammps.program import NoLAMMPS
from adiabat.potential import Potential

__all__ = ["NoLAMMPS", "NotCompiled", "export", "external", "program"]

INPUT = """# include this after the box, the atoms and the masses were made; `units metal` and `atom_modify map yes` come before
plugin load "{folder}/adiabatplugin.so"
pair_style adiabat
pair_coeff * * "{folder}" {elements}  # an element for each atom type: this is for types in this order
"""


def export(potential: Potential, folder: Path, place: Path | None = None) -> dict[str, Any]:
    """Write what `pair_style adiabat` reads, and the plugin; returns what was written. `place` is where the folder will stand.

    NotCompiled where a term has no compiled evaluator, NoLAMMPS where there is no LAMMPS or no compiler.
    """
    libraries = files.write(potential, folder)
    plugin = program.compile_plugin(folder)
    elements = files.names(potential.elements or ())
    (folder / "in.adiabat").write_text(INPUT.format(folder=(place or folder).resolve(), elements=elements))
    return {
        "potential": files.NAME, "libraries": libraries, "plugin": plugin.name, "input": "in.adiabat", "elements": elements.split(),
        "cutoff_angstrom": potential.cutoff, "format_version": files.VERSION,
    }  # fmt: skip
