"""Local terms that take each pair of atoms once: a family's header between `call.h` and `each_pair.h`, which calls it."""

from __future__ import annotations

from dataclasses import dataclass

from adiabat.kernels.cpp_exports import exports

FAMILIES = ("embedding", "pairs")


@dataclass(frozen=True)
class EachPair:
    """A family that takes each pair of atoms once.

    >>> str(EachPair.of("each_pair;pairs"))
    'each_pair;pairs'
    """

    family: str

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.family!r} does not take each pair once; {', '.join(FAMILIES)} do")

    @classmethod
    def of(cls, text: str) -> EachPair:
        return cls(text.removeprefix("each_pair;"))

    def __str__(self) -> str:
        return f"each_pair;{self.family}"


def source(spec: EachPair, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "int evaluate_images" in source(EachPair("embedding"), lambda name: "")
    True
    """
    # Nothing inside has a name outside of this library: the loader would share it with another potential's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "#include <new>", "namespace {"]
    headers = ("call.h", "vectors.h", "each_pair.h", f"{spec.family}.h", "each_walk.h")
    return "\n".join([*parts, *(header(name) for name in headers), "}", exports(_TRIAL, reserves=False), _IMAGES, ""])


_TRIAL = """  V x = root(V{} + 4);
  return total(x) == 2 * W ? 0 : 1;"""
_IMAGES = """extern "C" int evaluate_images(void *model, const Images *in) {
  try {
    return run(*(Model *)model, *in);
  } catch (const std::bad_alloc &) { return 7; }
}"""
