"""Examples of docstrings as code: without a fence, Markdown takes `>>>` for a quotation within quotations."""

from __future__ import annotations

from typing import Any

import griffe


class Fenced(griffe.Extension):
    """Puts a fence around each example of a docstring when it is collected."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    r"""The text with every example, up to the empty line that ends it, in a fence.

    >>> fenced("Adds.\n\n>>> 1 + 1\n2")
    'Adds.\n\n```pycon\n>>> 1 + 1\n2\n```'
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"```pycon\n{p.strip()}\n```" if p.lstrip().startswith(">>>") else p for p in paragraphs)
