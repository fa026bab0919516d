"""The command line: one command a verb. Each command reads its arguments and calls a room; nothing is computed here.

Rooms are imported inside the commands, so that `adiabat --help` answers at once. A new group of commands is one file and one
line here; `--help` lists the commands in the order of these lines.
"""

from __future__ import annotations

import sys

from adiabat.campaign import terminal
from adiabat.cli import campaigns, data, export, gate, motion, potentials, properties  # noqa: F401 each joins its commands to the application
from adiabat.cli.application import app


def main() -> None:
    """The entry point: every way a command can end becomes an exit code, and no traceback reaches a user."""
    sys.exit(terminal.run(app))
