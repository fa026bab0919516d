"""Cures in the words of whoever reads them: a room speaks of Python's keywords, a command line has options for them."""

from __future__ import annotations

import ast
import re

# Commands whose files are described on the command line; the others have a configuration, which takes units={…} and keys={…} as they stand.
WITH_OPTIONS = ("check", "convert", "test")


def on_the_command_line(text: str, command: str) -> str:
    """The text with Python's keywords as this command's options.

    >>> on_the_command_line("name one, as in keys={'energy': 'REF_energy'}", "check")
    'name one, as in --keys energy=REF_energy'
    >>> on_the_command_line("read the file again with units={'energy': 'hartree', ...}", "convert")
    'read the file again with --units energy=hartree,...'
    >>> on_the_command_line("read them alone with partial=True", "train")
    'read them alone with `adiabat convert FILE --to whole.xyz --partial`'
    """
    partial = "--partial" if command in ("convert", "test") else "`adiabat convert FILE --to whole.xyz --partial`"
    text = text.replace("partial=True", partial).replace("overwrite=True", "--overwrite")
    if command not in WITH_OPTIONS:
        return text
    text = re.sub(r"\bkeys=(?!\{)", "--keys", text)
    return re.sub(r"\b(units|keys)=(\{[^{}]*\})", lambda m: _option(m[1], m[2]), text)


def _option(name: str, literal: str) -> str:
    more = re.search(r"(,\s*)?\.\.\.\s*\}$", literal) is not None
    closed = re.sub(r"(,\s*|:\s*)?\.\.\.\s*\}$", "}", literal)
    try:
        given = ast.literal_eval(closed)
    except (ValueError, SyntaxError):
        given = {}
    if not isinstance(given, dict):
        return f"--{name} energy=NAME"
    words = [f"{k}={v}" for k, v in given.items()]
    return f"--{name} {','.join([*words, '...'] if more and words else words) or 'energy=NAME'}"
