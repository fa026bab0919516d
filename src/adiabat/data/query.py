"""A small language for choosing configurations: clauses joined by `and`, each `name operator value`. Parsed, never evaluated."""

from __future__ import annotations

import re

_CLAUSE = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"'<>=]+)\s*""",
)
_AND = re.compile(r"and\s+", re.IGNORECASE)


def clauses(expression: str) -> list[tuple[str, str, str | int | float]]:
    """The clauses in order; values that read as numbers are numbers unless quoted.

    >>> clauses("config_type=rattled and natoms<100 and energy_per_atom >= -1.5")
    [('config_type', '=', 'rattled'), ('natoms', '<', 100), ('energy_per_atom', '>=', -1.5)]
    >>> clauses("natoms <")
    Traceback (most recent call last):
    ValueError: select: 'natoms <' at character 0 is no clause; wanted name=value (or != < <= > >=), joined by 'and'
    """
    found: list[tuple[str, str, str | int | float]] = []
    place = 0
    while True:
        match = _CLAUSE.match(expression, place)
        if match is None:
            raise ValueError(
                f"select: {expression[place:]!r} at character {place} is no clause; "
                "wanted name=value (or != < <= > >=), joined by 'and'"
            )
        operator = {"==": "="}.get(match["operator"], match["operator"])
        found.append((match["name"], operator, _value(match["value"])))
        place = match.end()
        if place == len(expression):
            return found
        joint = _AND.match(expression, place)
        if joint is None:
            raise ValueError(f"select: {expression[place:]!r} at character {place} came, wanted 'and' or the end")
        place = joint.end()


def _value(text: str) -> str | int | float:
    if text[0] in "\"'":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
