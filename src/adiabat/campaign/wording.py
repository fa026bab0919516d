"""Cures in the words of whoever reads them: a room speaks of Python's keywords, a command line has options for them."""

from __future__ import annotations

import ast
import re

# What a room says of its own functions, and how the command line does it.
FUNCTIONS = {
    "keep one level, with select()": "keep one level: `adiabat convert IN --to FILE` keeps the commonest, --level another",
    "split() keeps them": "`adiabat train` keeps them",
    "divide by groups, with split(), and": "let `adiabat train` divide one file by groups, and",
    "overwrite=True": "--overwrite",
}
# Commands whose files are described on the command line, and those that name them in a configuration.
WITH_OPTIONS = ("check", "convert", "test", "gate", "export")
WITH_CONFIGURATION = ("train", "label", "sample", "learn")
WHOLE = "`adiabat convert FILE --to whole.xyz --partial`"


def on_the_command_line(text: str, command: str) -> str:
    """The text with Python's keywords as this command's options, or as the lines of its configuration.

    >>> on_the_command_line("name one, as in keys={'energy': 'REF_energy'}", "check")
    'name one, as in --keys energy=REF_energy'
    >>> on_the_command_line("read the file again with units={'energy': 'hartree', ...}", "convert")
    'read the file again with --units energy=hartree,...'
    >>> on_the_command_line("read the file again with units={'energy': 'hartree', ...}", "train")
    'read the file again with units: {energy: hartree, ...}'
    >>> on_the_command_line("read them alone with partial=True", "train")
    'read them alone with {file: FILE, partial: true} for its name'
    >>> on_the_command_line("read them alone with partial=True", "check")
    'read them alone with `adiabat convert FILE --to whole.xyz --partial`'
    >>> on_the_command_line("pass them over by name: --waive forces --waive float32", "learn")
    'pass them over by name: waive: [forces, float32]'
    """
    configured = command in WITH_CONFIGURATION
    partial = (
        "--partial" if command in ("convert", "test") else "{file: FILE, partial: true} for its name" if configured else WHOLE
    )
    text = text.replace("partial=True", partial)
    for python, typed in FUNCTIONS.items():
        text = text.replace(python, typed)
    if command in WITH_OPTIONS:
        text = re.sub(r"\bkeys=(?!\{)", "--keys", text)
    elif not configured:
        return text
    if configured:
        text = re.sub(r"--waive \w+( --waive \w+)*", lambda m: f"waive: [{', '.join(m[0].split()[1::2])}]", text)
    return re.sub(r"\b(units|keys)=(\{[^{}]*\})", lambda m: (_line if configured else _option)(m[1], m[2]), text)


def _line(name: str, literal: str) -> str:
    return f"{name}: {literal.replace(chr(39), '')}"


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
