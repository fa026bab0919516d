"""A small language for choosing configurations: comparisons joined by `and`, `or`, `not` and parentheses. Parsed, never evaluated.

    expression = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" expression ")" | name operator value | name ["not"] "in" "(" value { "," value } ")"
    operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
    value      = number | word | "text in quotes" | none

`and`, `or`, `not`, `in` and `none` may be written in capitals. `none` is the absence of a value; what is absent differs from every
value and is neither smaller nor larger than any.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:(?P<operator><=|>=|!=|==|=|<|>)|(?P<mark>[(),])|(?P<text>"[^"]*"|'[^']*')|(?P<word>[^\s"'<>=!(),;]+))\s*"""
)
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")
_DEPTH = 50  # of parentheses and nots; more is a mistake, and would exhaust the parser's stack

Value = str | int | float | None


class Comparison(NamedTuple):
    """`name operator value`; of several values, one is enough. `place` is where it stands, for messages."""

    name: str
    operator: str
    values: tuple[Value, ...]
    place: int


class Not(NamedTuple):
    part: Node


class Joint(NamedTuple):
    word: str  # "and", "or"
    parts: tuple[Node, ...]


Node = Comparison | Not | Joint


def parse(expression: str) -> Node:
    """The tree of an expression; values that read as numbers are numbers unless quoted.

    >>> parse("config_type=rattled")
    Comparison(name='config_type', operator='=', values=('rattled',), place=0)
    >>> [part.values for part in parse("natoms<100 and energy_per_atom >= -1.5").parts]
    [(100,), (-1.5,)]
    >>> parse("natoms <")
    Traceback (most recent call last):
    ValueError: select: 'natoms <' ends where a value is wanted, as in natoms<100
    """
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str):
        self.expression = expression
        self.tokens: list[tuple[str, str, int]] = []
        self.k = self.depth = 0
        place = 0
        while place < len(expression.rstrip()):
            match = _TOKEN.match(expression, place)
            if match is None:
                raise self.error(place, "came, wanted name=value (or != < <= > >=), joined by and, or, not")
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind], match.start(kind)))
            place = match.end()

    def whole(self) -> Node:
        if not self.tokens:
            raise ValueError("select: the expression is empty; wanted one as in config_type=surface and natoms<100")
        node = self.joint("or")
        if self.k < len(self.tokens):
            raise self.error(self.tokens[self.k][2], "came, wanted 'and', 'or' or the end")
        return node

    def joint(self, word: str) -> Node:
        below = self.factor if word == "and" else lambda: self.joint("and")
        parts = [below()]
        while self.keyword(word):
            parts.append(below())
        return parts[0] if len(parts) == 1 else Joint(word, tuple(parts))

    def factor(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError(f"select: more than {_DEPTH} parentheses inside one another; wanted a simpler expression")
        try:
            if self.keyword("not"):
                return Not(self.factor())
            if self.mark("("):
                node = self.joint("or")
                if not self.mark(")"):
                    raise self.here("came, wanted ')'", "')'")
                return node
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Node:
        kind, name, place = self.next("a name", "as in natoms<100")
        if kind != "word" or not _NAME.match(name):
            raise self.error(place, "came, wanted a name, as in natoms<100")
        start = self.k
        negated = self.keyword("not")
        if self.keyword("in"):
            if not self.mark("("):
                raise self.here("came, wanted '(' after in", "'(' after in")
            values = [self.value(name)]
            while self.mark(","):
                values.append(self.value(name))
            if not self.mark(")"):
                raise self.here("came, wanted ',' or ')'", "')'")
            inside = Comparison(name, "=", tuple(values), place)
            return Not(inside) if negated else inside
        self.k = start
        kind, operator, at = self.next("an operator", f"as in {name}=…")
        if kind != "operator":
            raise self.error(at, "came, wanted one of = != < <= > >= or in")
        operator = "=" if operator == "==" else operator
        value = self.value(name)
        if value is None and operator not in ("=", "!="):
            raise self.error(at, f"came, wanted {name}=none or {name}!=none: what is absent has no size")
        return Comparison(name, operator, (value,), place)

    def value(self, name: str) -> Value:
        kind, text, place = self.next("a value", f"as in {name}<100")
        if kind == "text":
            return text[1:-1]
        if kind != "word":
            raise self.error(place, "came, wanted a value; quote it if it has signs in it")
        if text.lower() == "none":
            return None
        with suppress(ValueError):
            if abs(int(text)) < 2**63:
                return int(text)
        with suppress(ValueError):
            if math.isfinite(float(text)):  # nan and inf are words: no configuration has such a number
                return float(text)
        return text

    def next(self, wanted: str, example: str) -> tuple[str, str, int]:
        if self.k == len(self.tokens):
            raise ValueError(f"select: {self.expression!r} ends where {wanted} is wanted, {example}")
        self.k += 1
        return self.tokens[self.k - 1]

    def keyword(self, word: str) -> bool:
        return self._take("word", word)

    def mark(self, sign: str) -> bool:
        return self._take("mark", sign)

    def _take(self, kind: str, text: str) -> bool:
        found = self.k < len(self.tokens) and self.tokens[self.k][0] == kind and self.tokens[self.k][1].lower() == text
        self.k += found
        return found

    def here(self, words: str, wanted: str) -> ValueError:
        if self.k == len(self.tokens):
            return ValueError(f"select: {self.expression!r} ends where {wanted} is wanted")
        return self.error(self.tokens[self.k][2], words)

    def error(self, place: int, words: str) -> ValueError:
        return ValueError(f"select: {self.expression[place:]!r} at character {place} {words}")


def sql(
    node: Node, numbers: Iterable[str], texts: Iterable[str], blobs: Iterable[str], keys: Callable[[], set[str]]
) -> tuple[str, list]:
    """A condition with placeholders, and their values. Names are columns of numbers, of texts, of blobs, or keys of `info`.

    No text of the expression gets into the condition but names that were found among those.
    """
    numbers, texts, blobs = set(numbers), set(texts), set(blobs)
    values: list = []

    def condition(node: Node) -> str:
        if isinstance(node, Not):
            return f"(NOT {condition(node.part)})"
        if isinstance(node, Joint):
            return "(" + f" {node.word.upper()} ".join(condition(part) for part in node.parts) + ")"
        return "(" + " OR ".join(compared(node, value) for value in node.values) + ")"

    def compared(node: Comparison, value: Value) -> str:
        # IS and IS TRUE know two answers, where SQL's = knows a third for what is absent
        name, operator = node.name, {"=": "IS", "!=": "IS NOT"}.get(node.operator, node.operator)
        if name == "contains":
            if node.operator not in ("=", "!=") or not re.fullmatch("[A-Z][a-z]?", str(value)):
                raise ValueError("select: contains wants the symbol of an element, as in contains=Si or contains!=O")
            values.extend([f"*{value}[^a-z]*", f"*{value}"])
            return f"((formula GLOB ? OR formula GLOB ?) {operator} TRUE)"
        if name in blobs and value is not None:
            raise ValueError(f"select: {name} are arrays and have no one value; wanted {name}=none or {name}!=none")
        if name in numbers and isinstance(value, str):
            raise ValueError(f"select: {name} is a number, {value!r} came; wanted as in {name}{node.operator}100")
        if name in numbers | texts | blobs:
            values.append(str(value) if name in texts and value is not None else value)
            return f"(({name} {operator} ?) IS TRUE)"
        path = _path(name, keys(), numbers | texts | blobs)
        if value is None:
            values.append(path)
            return f"(json_extract(info, ?) {operator} NULL)"
        if node.operator in ("=", "!="):
            # a file may have kept 5 as a number or as a text, and true as either
            same = {"true": [1, "true", "True"], "false": [0, "false", "False"]}.get(str(value).lower(), [value, str(value)])
            values.extend([path, *same])
            marks = ", ".join("?" * len(same))
            return f"((json_extract(info, ?) IN ({marks})) {operator} TRUE)"
        kinds = "('text')" if isinstance(value, str) else "('integer', 'real')"
        values.extend([path, path, value])
        return f"((typeof(json_extract(info, ?)) IN {kinds} AND json_extract(info, ?) {operator} ?) IS TRUE)"

    return condition(node), values


def _path(name: str, keys: set[str], columns: set[str]) -> str:
    """Where in `info` a name stands: a key, or a key and the name of an entry, joined by a dot."""
    if name in keys:
        return f'$."{name}"'
    key, _, entry = name.partition(".")
    if entry and key in keys:
        return f'$."{key}"."{entry}"'
    known = sorted({*columns, "contains", *keys})
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"select: no configuration knows {name!r}{hint}; wanted one of {', '.join(sorted({*columns, 'contains'}))}, "
        f"or of info: {', '.join(sorted(keys)) or 'none'}"
    )
