"""`python -m adiabat`."""

from adiabat.cli import main

main()
