"""YAML as importers read it: plain values, and no key twice, of which YAML's own readers take the last in silence."""

from __future__ import annotations

from typing import Any

import yaml


class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Numbers, texts, lists and mappings, whose keys may be lists ("[0, 1]"), which become tuples.

    >>> yaml.load("{[0, 1]: 2}", PlainLoader)
    {(0, 1): 2}
    """

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for k, v in node.value:
            key = self.construct_object(k, deep=True)
            key = tuple(key) if isinstance(key, list) else key
            if key in found:
                raise ValueError(f"line {k.start_mark.line + 1}: {key} stands there twice")
            found[key] = self.construct_object(v, deep=True)
        return found
