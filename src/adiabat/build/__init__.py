"""Structures from structures, without forces."""

from adiabat.build.rattle import rattle, strain
from adiabat.build.supercell import supercell, vacancies

BUILDERS = {"rattle": rattle, "strain": strain, "vacancies": vacancies}

__all__ = ["BUILDERS", "rattle", "strain", "supercell", "vacancies"]
