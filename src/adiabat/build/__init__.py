"""Structures from structures, without forces."""

from adiabat.build.rattle import rattle, strain

BUILDERS = {"rattle": rattle, "strain": strain}

__all__ = ["BUILDERS", "rattle", "strain"]
