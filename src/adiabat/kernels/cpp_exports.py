"""The C functions that libraries offer: a local term's is made from facts, called, let go of, tried; a walk follows atoms, too."""

from __future__ import annotations

from collections.abc import Iterable

MOVED = """extern "C" int moved(void *model, const Moved *m, I threads) {
  return follow(*m, threads, [&](const Input &in) { return evaluate(model, &in); });
}"""


def exports(trial: str = "  return 0;", *, reserves: bool = True, more: Iterable[str] = ()) -> str:
    """`trial` is the body of `trial()`; `reserves`: its header has room to make before each call; `more`: functions of its own.

    >>> "reserve(m, *in)" in exports(), "reserve(m, *in)" in exports(reserves=False)
    (True, False)
    """
    return "\n".join(
        [
            'extern "C" {',
            "int lanes() { return W; }",
            *more,
            "void *make(const Facts *facts) { return new (std::nothrow) Model(*facts); }",
            "void drop(void *model) { delete (Model *)model; }",
            "int evaluate(void *model, const Call *in) {",
            "  Model &m = *(Model *)model;",
            "  if (int fault = check(*in, m.kind, m.elements)) return fault;",
            "  try {",
            *(["    reserve(m, *in);"] if reserves else []),
            "    return run(m, *in);",
            "  } catch (const std::bad_alloc &) { return 7; }",
            "}",
            # What the processor cannot do shows here, in a process of its own.
            "int trial() {",
            trial,
            "}",
            "}",
        ]
    )
