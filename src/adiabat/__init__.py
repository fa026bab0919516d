"""Adiabat: from a structure to a validated machine-learned interatomic potential and the physics computed with it."""

__version__ = "0.1.0"
