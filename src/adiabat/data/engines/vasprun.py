"""VASP's vasprun.xml: read element by element, so that a file of any length is held in no memory.

Energies are `e_fr_energy` (the free energy); `e_0_energy` of the last electronic step gives the one extrapolated to σ → 0, because the
one beside the forces is zero or lacks corrections in several versions.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from adiabat.data.engines import vasp
from adiabat.data.engines.calculation import OPENERS, Calculation, Step, number
from adiabat.elements import number as atomic_number
from adiabat.units import kbar

NAME = "VASP vasprun.xml"


def recognizes(head: str) -> bool:
    return "<modeling>" in head[:2000]


def read(path: Path) -> Calculation:
    told = Calculation("VASP", ending="</modeling>")
    tags: dict[str, str] = {}
    numbers: list[int] = []
    potentials: list[str] = []
    points = np.empty((0, 3))
    version, learned = "", 0
    grid: list[int] = []
    opener = OPENERS.get(path.suffix.lower(), open)
    with opener(path, "rb") as file:  # type: ignore[operator]
        try:
            for _, node in ET.iterparse(file, events=("end",)):
                if node.tag == "generator":
                    version = _text(node, "i[@name='version']").strip()
                elif node.tag == "parameters":
                    tags |= {i.get("name", ""): (i.text or "").strip() for i in [*node.iter("i"), *node.iter("v")]}
                elif node.tag == "incar":
                    incar = {i.get("name", ""): (i.text or "").strip() for i in [*node.iter("i"), *node.iter("v")]}
                    tags |= {k: v for k, v in incar.items() if k in ("IVDW", "METAGGA", "LUSE_VDW")}
                elif node.tag == "kpoints":
                    grid = [int(w) for w in _text(node, "generation/v[@name='divisions']").split()]
                    found = node.find("varray[@name='kpointlist']")
                    points = points if found is None else _table(found)
                elif node.tag == "atominfo":
                    atoms = node.find("array[@name='atoms']/set")
                    numbers = [] if atoms is None else [atomic_number((rc[0].text or "").strip()) for rc in atoms]
                    types = node.find("array[@name='atomtypes']/set")
                    potentials = [] if types is None else list(dict.fromkeys((rc[4].text or "").strip() for rc in types))
                elif node.tag == "varray" and node.get("name") == "selective":
                    free = [[w in ("T", ".TRUE.") for w in (v.text or "").split()] for v in node]
                    vasp.hold(told, np.array(free), path.name)
                elif node.tag == "calculation":
                    if node.find("scstep") is None:
                        learned += 1
                    else:
                        told.steps.append(_step(node, numbers, tags))
                    node.clear()
                elif node.tag == "modeling":
                    told.ended = True
        except ET.ParseError as error:
            told.ending += f" ({error})"
        except EOFError:
            told.ending += " (the compressed file is cut)"
    tags.setdefault("ENCUT", tags.get("ENMAX", ""))
    told.settings = vasp.settings(tags, version, (potentials and _exchange(potentials[0])) or "", potentials)
    if grid:
        told.settings.k_points = {"grid": grid, "centering": vasp.centering(points)}
    elif len(points):
        told.settings.k_points = {"number": len(points), "centering": vasp.centering(points)}
    if learned:
        told.notes.append(
            f"{learned} machine-learned predictions of an on-the-fly run were passed over; only DFT steps were taken"
        )
    return told


def _step(node: ET.Element, numbers: list[int], tags: dict[str, str]) -> Step:
    step = Step(numbers=numbers)
    inner = node.findall("scstep")
    basis = node.find("structure/crystal/varray[@name='basis']")
    places = node.find("structure/varray[@name='positions']")
    if basis is not None and places is not None:
        step.cell = _table(basis)
        step.positions = _table(places) @ step.cell
    free = _text(node, "energy/i[@name='e_fr_energy']")
    step.energy = number(free) if free else None
    energies = [[_text(s, f"energy/i[@name='{name}']") for name in ("e_fr_energy", "e_0_energy")] for s in inner]
    last = [[number(w) for w in pair] for pair in energies[-2:] if all(pair)]
    if last and step.energy is not None:
        step.energy_sigma0 = step.energy + last[-1][1] - last[-1][0]
    forces, stress = node.find("varray[@name='forces']"), node.find("varray[@name='stress']")
    if forces is not None:
        step.forces = _table(forces)
    if stress is not None:
        step.stress = -_table(stress) * kbar
    changes = [last[-1][0] - last[-2][0]] if len(last) == 2 else []
    vasp.judge(step, len(inner), int(float(tags.get("NELM", 60))), changes, float(tags.get("EDIFF", 1e-4)))
    return step


def _exchange(potential: str) -> str:
    """What a POTCAR's title tells of the functional it was made for."""
    return {"PAW_PBE": "PBE", "PAW_GGA": "PW91", "PAW": "LDA", "US": "LDA"}.get(potential.split()[0], "")


def _text(node: ET.Element, path: str) -> str:
    found = node.find(path)
    return "" if found is None or found.text is None else found.text


def _table(node: ET.Element) -> np.ndarray:
    return np.array([[number(w) for w in (v.text or "").split()] for v in node.findall("v")])
