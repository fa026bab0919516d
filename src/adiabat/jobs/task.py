"""A task is a function's name, its arguments and its identity, all of it JSON: nothing that travels can run by itself.

The key is sha256 over kind and identity. Two tasks with one key are the same work, in this run or in any other, so the
identity holds whatever changes the answer (structure, settings, engine version) and nothing else (no paths, no core counts).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adiabat.jobs.failure import Failure


def plain(value: Any, where: str = "value") -> Any:
    """A deep copy in JSON's own types; numpy scalars and arrays become numbers and lists, all else is refused by place.

    >>> plain({"R": (1, 2.5)})
    {'R': [1, 2.5]}
    >>> plain({"labels": {"energy": float("nan")}})
    Traceback (most recent call last):
    ValueError: value.labels.energy is nan; JSON has finite numbers only: leave the entry out or use None
    """
    try:
        return _plain(value)
    except _Refused as refused:
        raise refused.type(f"{where}{''.join(reversed(refused.path))} {refused.why}") from None


def canonical(value: Any, where: str = "value") -> str:
    """The one spelling of a JSON value: keys sorted, no spaces, floats by repr (shortest that reads back exactly), ASCII.

    >>> canonical({"b": 0.1, "a": [1, None]})
    '{"a":[1,null],"b":0.1}'
    """
    return spell(plain(value, where))


def spell(value: Any) -> str:
    """`canonical` for a value that is JSON already, because it was read as such."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Task:
    """Call `function(arguments)`; whoever has the same kind and identity has the same answer.

    `limit_s` is the wall-clock time an attempt may take (None: as long as it likes); it changes no answer and no key.

    >>> Task("square", "mathematics:square", {"x": 3}, {"x": 3}).key[:8]
    'c78a6bce'
    """

    kind: str
    function: str
    arguments: Any
    identity: Any
    limit_s: float | None = None

    def __post_init__(self) -> None:
        module, _, name = self.function.partition(":")
        if not module or not name or module == "__main__":
            raise ValueError(
                f"task function {self.function!r}: wanted 'package.module:name' that a fresh process can import"
                + ("; move the function from the script into a module" if module == "__main__" else "")
            )
        if self.limit_s is not None and not self.limit_s > 0:
            raise ValueError(
                f"task of kind {self.kind!r}: limit_s = {self.limit_s} came; wanted a positive time, or None for none"
            )
        # Copies: the caller may go on changing the lists it built the task from, the key may not.
        object.__setattr__(self, "arguments", plain(self.arguments, "arguments"))
        object.__setattr__(self, "identity", plain(self.identity, "identity"))

    @cached_property
    def key(self) -> str:
        return sha256(canonical({"kind": self.kind, "identity": self.identity}))


@dataclass(frozen=True)
class Outcome:
    """What became of a task: `done` with a result, or `failed` or `quarantined` with a failure.

    `failed`: the task was sound, the computation came to nothing. `quarantined`: set aside, it harms whoever touches it.
    `attempts` counts every start, those cut off by a kill too; `wall_s` is that of the last attempt.
    """

    key: str
    status: str
    result: Any
    failure: Failure | None
    attempts: int
    wall_s: float | None


class _Refused(Exception):
    """Gathers the place on its way out, so that the many values that are fine cost nothing."""

    def __init__(self, type: type[Exception], why: str):
        self.type, self.why, self.path = type, why, list[str]()


def _plain(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Refused(ValueError, f"is {value}; JSON has finite numbers only: leave the entry out or use None")
        return float(value)
    if isinstance(value, list | tuple):
        items: list[Any] = []
        try:
            for item in value:
                items.append(_plain(item))
        except _Refused as refused:
            refused.path.append(f"[{len(items)}]")
            raise
        return items
    if isinstance(value, Mapping):
        entries: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _Refused(TypeError, f"has the key {key!r} of type {type(key).__name__}; JSON keys are text")
            try:
                entries[str.__str__(key)] = _plain(item)
            except _Refused as refused:
                refused.path.append(f".{key}")
                raise
        return entries
    wanted = "wanted numbers, text, lists, mappings, True, False or None"
    raise _Refused(TypeError, f"is of type {type(value).__name__}; {wanted}")
