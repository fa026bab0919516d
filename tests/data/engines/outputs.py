"""Output files of engines, written as the engines write them: numbers go in in house units, and must come back.

Only the lines a reader looks at are here, each in the form (columns, spelling, units) of the program and version named.
"""

# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from adiabat.units import GPa, bohr, hartree, kbar, rydberg

FULL = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]  # Voigt → 3×3


def frames(atoms: Atoms, n: int, seed: int = 0) -> list[tuple[Atoms, float, np.ndarray, np.ndarray]]:
    """Rattled copies with an energy, forces that sum to zero, and a stress."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        copy = atoms.copy()
        copy.positions += rng.normal(scale=0.02, size=copy.positions.shape)
        forces = rng.normal(scale=0.3, size=copy.positions.shape)
        if not copy.pbc.any() and len(copy) > 1:  # no torque either, as a molecule has none
            arms = copy.positions - copy.positions.mean(axis=0)
            forces = np.sum(
                [
                    0.2
                    * (arms[i] - arms[j])
                    * (1 if (i + j + k) % 2 else -1)
                    * ((np.arange(len(copy)) == i)[:, None] * 1.0 - (np.arange(len(copy)) == j)[:, None])
                    for i in range(len(copy))
                    for j in range(i)
                ],
                axis=0,
            )
        made.append((copy, -4.0 * len(copy) + 0.01 * k, forces - forces.mean(axis=0), rng.normal(scale=0.01, size=6)))
    return made


def vasprun(path: Path, data, *, selective=None, steps=8, nelm=60, ismear=1, entropy=-0.02, cut=None, learned=0) -> Path:
    """VASP 6.3."""
    first = data[0][0]
    kinds = list(dict.fromkeys(first.get_chemical_symbols()))
    rc = "".join(f"    <rc><c>{s:2}</c><c>{kinds.index(s) + 1:4}</c></rc>\n" for s in first.get_chemical_symbols())
    types = "".join(
        f"    <rc><c>{first.get_chemical_symbols().count(s):4}</c><c>{s:2}</c><c> 1.0</c><c> 1.0</c><c>  PAW_PBE {s} 01Jan2001  </c></rc>\n"
        for s in kinds
    )
    text = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">6.3.0  </i>
 </generator>
 <incar>
  <i name="IVDW" type="int">    12</i>
 </incar>
 <kpoints>
  <generation param="Gamma">
   <v type="int" name="divisions">       3        3        1 </v>
  </generation>
  <varray name="kpointlist" >
   <v>       0.00000000       0.00000000       0.00000000 </v>
  </varray>
 </kpoints>
 <parameters>
  <separator name="electronic" >
   <i name="ENMAX">    400.00000000</i>
   <i name="EDIFF">      0.00001000</i>
   <i type="int" name="NELM">    {nelm}</i>
   <i type="int" name="ISMEAR">     {ismear}</i>
   <i name="SIGMA">      0.10000000</i>
   <i type="int" name="ISPIN">     1</i>
   <i type="string" name="GGA">PE</i>
   <i type="logical" name="LDIPOL"> T  </i>
  </separator>
 </parameters>
 <atominfo>
  <array name="atoms" >
   <set>
{rc}   </set>
  </array>
  <array name="atomtypes" >
   <set>
{types}   </set>
  </array>
 </atominfo>
 <structure name="initialpos" >
  {_varray("selective", [["T" if m else "F"] * 3 for m in selective], "") if selective is not None else ""}
 </structure>
"""
    for atoms, energy, forces, stress in data:
        pressure = -np.array(stress)[FULL] / kbar
        structure = f"""  <structure>
   <crystal>
{_varray("basis", atoms.cell.array)}   </crystal>
{_varray("positions", atoms.get_scaled_positions(wrap=False))}  </structure>
{_varray("forces", forces)}{_varray("stress", pressure)}  <energy>
   <i name="e_fr_energy"> {energy:.8f} </i>
   <i name="e_wo_entrp"> {energy - entropy:.8f} </i>
   <i name="e_0_energy"> 0.00000000 </i>
  </energy>
"""
        for _ in range(learned):
            text += " <calculation>\n" + structure + " </calculation>\n"
        text += " <calculation>\n"
        for k in range(steps):
            e = energy + 0.5 * (steps - 1 - k)
            text += f'  <scstep>\n   <energy>\n    <i name="e_fr_energy"> {e:.8f} </i>\n    <i name="e_0_energy"> {e - entropy / 2:.8f} </i>\n   </energy>\n  </scstep>\n'
        text += structure + " </calculation>\n"
    text += "</modeling>\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    return path


def _varray(name: str, rows, number="{:16.8f}") -> str:
    body = "".join(
        "    <v> " + " ".join(x if isinstance(x, str) else number.format(x) for x in row) + " </v>\n" for row in rows
    )
    return f'   <varray name="{name}" >\n{body}   </varray>\n'


def espresso(path: Path, data, *, converged=True, smearing=True, fixed=None, cut=None) -> Path:
    """pw.x 7.0, one calculation; with `fixed` an input file beside it."""
    atoms, energy, forces, stress = data[0]
    alat = np.linalg.norm(atoms.cell[0])
    kinds = list(dict.fromkeys(atoms.get_chemical_symbols()))
    axes = "".join(
        f"               a({k + 1}) = ( {v[0]:12.9f} {v[1]:12.9f} {v[2]:12.9f} )  \n"
        for k, v in enumerate(atoms.cell.array / alat)
    )
    sites = "".join(
        f"      {k + 1:4}           {s:2}  tau({k + 1:4}) = ( {p[0]:13.10f} {p[1]:13.10f} {p[2]:13.10f}  )\n"
        for k, (s, p) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions / alat))
    )
    force = "".join(
        f"     atom {k + 1:4} type  {kinds.index(s) + 1}   force = {f[0]:14.10f}{f[1]:14.10f}{f[2]:14.10f}\n"
        for k, (s, f) in enumerate(zip(atoms.get_chemical_symbols(), forces * bohr / rydberg))
    )
    full = -np.array(stress)[FULL]
    tensor = "".join(
        "".join(f"{x * bohr**3 / rydberg:14.10f}" for x in row) + "".join(f"{x / kbar:12.2f}" for x in row) + "\n"
        for row in full
    )
    width = "  Gaussian smearing, width (Ry)=  0.0100" if smearing else ""
    head = f"""
     Program PWSCF v.7.0 starts on  1Jan2024 at 10: 0: 0

     lattice parameter (alat)  = {alat / bohr:16.10f}  a.u.
     number of atoms/cell      = {len(atoms):12}
     kinetic-energy cutoff     =      40.0000  Ry
     scf convergence threshold =      1.0E-08
     Exchange-correlation= PBE

     crystal axes: (cart. coord. in units of alat)
{axes}
     site n.     atom                  positions (alat units)
{sites}
     number of k points=     4{width}
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.1250000   0.1250000   0.1250000), wk =   0.5000000

     End of self-consistent calculation
"""
    if converged:
        text = (
            head
            + f"""
!    total energy              = {energy / rydberg:18.10f} Ry
{"     smearing contrib. (-TS)   =      -0.00200000 Ry" if smearing else ""}

     convergence has been achieved in  9 iterations

     Forces acting on atoms (cartesian axes, Ry/au):

{force}
     Total force =     0.1

          total   stress  (Ry/bohr**3)                   (kbar)     P=        0.00
{tensor}
=------------------------------------------------------------------------------=
   JOB DONE.
=------------------------------------------------------------------------------=
"""
        )
    else:
        text = head + "\n     convergence NOT achieved after 100 iterations: stopping\n\n=---=\n   JOB DONE.\n=---=\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    if fixed is not None:
        rows = "".join(
            f"{s} {p[0]:.8f} {p[1]:.8f} {p[2]:.8f}{'' if free else ' 0 0 0'}\n"
            for s, p, free in zip(atoms.get_chemical_symbols(), atoms.positions, ~np.array(fixed))
        )
        path.with_suffix(".in").write_text(f"&system\n/\nATOMIC_POSITIONS angstrom\n{rows}K_POINTS automatic\n2 2 2 1 1 1\n")
    return path


def gaussian(path: Path, data, *, converged=True, orientation="Input", cut=None) -> Path:
    """Gaussian 16, one job a frame."""
    text = ""
    for atoms, energy, forces, _ in data:
        place = "".join(
            f"{k + 1:7}{z:11}{0:12}    {p[0]:12.6f}{p[1]:12.6f}{p[2]:12.6f}\n"
            for k, (z, p) in enumerate(zip(atoms.numbers, atoms.positions))
        )
        force = "".join(
            f"{k + 1:7}{z:9}   {f[0]:15.9f}{f[1]:15.9f}{f[2]:15.9f}\n"
            for k, (z, f) in enumerate(zip(atoms.numbers, forces * bohr / hartree))
        )
        dashes = " " + "-" * 69 + "\n"
        text += f""" Entering Gaussian System, Link 0=g16
 Gaussian 16:  ES64L-G16RevC.01  3-Jul-2019
 Gaussian 16, Revision C.01,
 ---------------------------
 #P wb97xd/def2svp force
 ---------------------------
 Charge =  0 Multiplicity = 1
                          {orientation} orientation:
{dashes} Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
{dashes}{place}{dashes}"""
        if not converged:
            text += " >>>>>>>>>> Convergence criterion not met.\n"
        text += f" SCF Done:  E(RwB97XD) =  {energy / hartree:.10f}     A.U. after   12 cycles\n"
        if not converged:
            text += " Convergence failure -- run terminated.\n Error termination via Lnk1e in l502.exe\n"
            continue
        text += f"{dashes} Center     Atomic                   Forces (Hartrees/Bohr)\n Number     Number              X              Y              Z\n{dashes}{force}{dashes}"
        text += " Normal termination of Gaussian 16 at Mon Jan  1 00:00:00 2024.\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    return path


def orca(path: Path, data, *, converged=True, cut=None) -> Path:
    """ORCA 5.0."""
    atoms, energy, forces, _ = data[0]
    place = "".join(
        f"  {s:2} {p[0]:14.8f} {p[1]:14.8f} {p[2]:14.8f}\n" for s, p in zip(atoms.get_chemical_symbols(), atoms.positions)
    )
    gradient = "".join(
        f"{k + 1:4}   {s:2}  : {g[0]:14.9f} {g[1]:14.9f} {g[2]:14.9f}\n"
        for k, (s, g) in enumerate(zip(atoms.get_chemical_symbols(), -forces * bohr / hartree))
    )
    text = f"""
                                 *****************
                                 * O   R   C   A *
                                 *****************
                         Program Version 5.0.3 -  RELEASE  -
|  1> ! B3LYP D3BJ def2-TZVP EnGrad TightSCF
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
{place}
 Total Charge           Charge          ....    0
 Multiplicity           Mult            ....    1
"""
    if converged:
        text += f"               *           SCF CONVERGED AFTER  13 CYCLES          *\n-------------------------   --------------------\nFINAL SINGLE POINT ENERGY     {energy / hartree:.12f}\n-------------------------   --------------------\n"
        text += f"------------------\nCARTESIAN GRADIENT\n------------------\n\n{gradient}\n                             ****ORCA TERMINATED NORMALLY****\n"
    else:
        text += "               *          SCF NOT CONVERGED AFTER 125 CYCLES         *\nORCA finished by error termination in SCF\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    return path


def cp2k(path: Path, data, *, converged=True, cut=None) -> Path:
    """CP2K 7.1; all frames but the first have their positions in PROJECT-pos-1.xyz."""
    first = data[0][0]
    cell = "".join(
        f" CELL| Vector {n} [angstrom]:  {v[0]:12.6f} {v[1]:12.6f} {v[2]:12.6f}    |{n}| = 1.0\n"
        for n, v in zip("abc", first.cell.array)
    )
    place = "".join(
        f"{k + 1:8}     1 {s:2} {z:4} {p[0]:13.8f} {p[1]:13.8f} {p[2]:13.8f}      1.00       1.0079\n"
        for k, (s, z, p) in enumerate(zip(first.get_chemical_symbols(), first.numbers, first.positions))
    )
    text = f""" CP2K| version string:                                          CP2K version 7.1
 GLOBAL| Project name                                                    PROJECT
{cell} DFT| Charge                                                                   0
 FUNCTIONAL| PBE:
 QS| Density cutoff [a.u.]:                                                200.0
 MODULE QUICKSTEP:  ATOMIC COORDINATES IN angstrom

  Atom  Kind  Element       X           Y           Z          Z(eff)       Mass

{place}
"""
    xyz = ""
    for k, (atoms, energy, forces, stress) in enumerate(data):
        state = "SCF run converged in    12 steps" if converged else "WARNING : SCF run NOT converged"
        force = "".join(
            f"{n + 1:7}      1      {s:2} {f[0]:18.10f}{f[1]:18.10f}{f[2]:18.10f}\n"
            for n, (s, f) in enumerate(zip(atoms.get_chemical_symbols(), forces * bohr / hartree))
        )
        full = -np.array(stress)[FULL] / GPa
        tensor = "".join(f"  {axis} {row[0]:18.10f}{row[1]:18.10f}{row[2]:18.10f}\n" for axis, row in zip("XYZ", full))
        text += f"""  *** {state} ***

 ENERGY| Total FORCE_EVAL ( QS ) energy (a.u.):             {energy / hartree:22.15f}

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
{force} SUM OF ATOMIC FORCES           0.0 0.0 0.0 0.0

 STRESS TENSOR [GPa]

            X               Y               Z
{tensor}
"""
        xyz += f"{len(atoms)}\n i = {k:8}, time = {0.5 * k:12.3f}, E = {energy / hartree:20.10f}\n"
        xyz += "".join(
            f"{s:3} {p[0]:20.10f} {p[1]:20.10f} {p[2]:20.10f}\n" for s, p in zip(atoms.get_chemical_symbols(), atoms.positions)
        )
    text += "  **** **** ******  PROGRAM ENDED AT 2024-01-01 00:00:00\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    (path.parent / "PROJECT-pos-1.xyz").write_text(xyz)
    return path


def gpaw(path: Path, data, *, converged=True, cut=None) -> Path:
    """GPAW 24's text log."""
    atoms, energy, forces, stress = data[0]
    place = "".join(
        f"{k:4} {s:2} {p[0]:15.8f} {p[1]:15.8f} {p[2]:15.8f}    ( 0.0000,  0.0000,  0.0000)\n"
        for k, (s, p) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions))
    )
    cell = "".join(
        f"  {k + 1}. axis:    {'yes' if p else 'no '}  {v[0]:12.6f} {v[1]:12.6f} {v[2]:12.6f}    24     0.2\n"
        for k, (v, p) in enumerate(zip(atoms.cell.array, atoms.pbc))
    )
    force = "".join(
        f"{k:4} {s:2} {f[0]:14.8f} {f[1]:14.8f} {f[2]:14.8f}\n"
        for k, (s, f) in enumerate(zip(atoms.get_chemical_symbols(), forces))
    )
    tensor = "".join(f"   {r[0]:14.8f} {r[1]:14.8f} {r[2]:14.8f}\n" for r in np.array(stress)[FULL])
    end = f"""Converged after 15 iterations.

Energy contributions relative to reference atoms: (reference = -31000.0)

--------------------------
Free energy:   {energy:12.6f}
Extrapolated:  {energy + 0.05:12.6f}

Forces in eV/Ang:
{force}
Stress tensor:
{tensor}
Timing:                              incl.     excl.
Total:                                         3.000 100.0%
Date: Mon Jan  1 00:00:00 2024
"""
    text = f"""
  ___ ___ ___ _ _ _
 |   |   |_  | | | |
 | | | | | . | | | |
 |__ |  _|___|_____|  24.6.0
 |___|_|

Input parameters:
  mode: {{ecut: 400.0, name: pw}}
  xc: PBE

Occupation numbers: Fermi-Dirac:
  width: 0.1  # eV

Positions:
{place}
Unit cell:
           periodic     x           y           z      points  spacing
{cell}
8 k-points: 2 x 2 x 2 Monkhorst-Pack grid
{end if converged else "Did not converge!" + chr(10)}"""
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    return path


def pyscf(path: Path, data, *, converged=True, cut=None) -> Path:
    """PySCF 2.14, verbose=4."""
    atoms, energy, forces, _ = data[0]
    place = "".join(
        f"[INPUT]{k + 1:3} {s:4} {p[0]:16.12f} {p[1]:16.12f} {p[2]:16.12f} AA    0.0  0.0  0.0 Bohr\n"
        for k, (s, p) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions))
    )
    gradient = "".join(
        f"{k} {s:2} {g[0]:16.10f} {g[1]:16.10f} {g[2]:16.10f}\n"
        for k, (s, g) in enumerate(zip(atoms.get_chemical_symbols(), -forces * bohr / hartree))
    )
    text = f"""System: Linux
PySCF version 2.14.0
[INPUT] num. atoms = {len(atoms)}
[INPUT] charge = 0
[INPUT] spin (= nelec alpha-beta = 2S) = 0
{place}
basis = def2-svp
SCF conv_tol = 1e-09
XC functionals = pbe
init E= -76.2284786024547
"""
    text += (
        f"converged SCF energy = {energy / hartree:.12f}\n"
        if converged
        else f"SCF not converged.\nSCF energy = {energy / hartree:.12f}\n"
    )
    if converged:
        text += f"--------------- RKS gradients ---------------\n         x                y                z\n{gradient}----------------------------------------------\n"
    path.write_text(text if cut is None else text[: int(cut * len(text))])
    return path


ENGINES = {
    "vasprun": vasprun,
    "espresso": espresso,
    "gaussian": gaussian,
    "orca": orca,
    "cp2k": cp2k,
    "gpaw": gpaw,
    "pyscf": pyscf,
}
