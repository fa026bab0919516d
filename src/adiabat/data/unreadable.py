"""A frame that cannot be taken as it stands: an error for who reads strictly, an entry of a list for who wants to hear of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What an unreadable frame is called among the findings of the data gate, and what is said of the frames that share it.
NAMES = {
    "not finite": "NaN or infinite positions, cell or labels",
    "shape": "labels of the wrong shape",
    "unknown element": "an element that there is not",
    "truncated": "a file that ends inside it",
    "unreadable": "rows that cannot be understood",
}


class Unreadable(ValueError):
    """`name` is one of NAMES; `frame` its number, where the file cannot be read beyond it. The message says where, what came, what was
    wanted, what to do."""

    def __init__(self, message: str, name: str = "unreadable", frame: int = 0):
        assert name in NAMES, name
        super().__init__(message)
        self.name, self.frame = name, frame


class Truncated(Unreadable):
    """The file ends inside a frame; `readable` frames before it are whole."""

    def __init__(self, message: str, readable: int):
        super().__init__(message, "truncated", frame=readable)
        self.readable = readable


def or_refused(make: Callable[..., Any], *arguments: Any, number: int, refused: dict[int, Unreadable] | None) -> Any:
    """What is made of a frame, or nothing and its error by the frame's number; without `refused` the error itself."""
    try:
        return make(*arguments)
    except Unreadable as error:
        if refused is None:
            raise
        refused[number] = error
        return None
