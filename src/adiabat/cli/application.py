"""The application that every command joins."""

import typer

IDEA = "From a structure to a validated machine-learned interatomic potential, and the physics computed with it."
app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=IDEA)
