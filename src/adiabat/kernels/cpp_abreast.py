"""Local terms with atoms abreast, one a lane: a family's header between `near.h`, on which it stands, and `abreast.h`, which calls it."""

from __future__ import annotations

from dataclasses import dataclass

from adiabat.kernels.cpp_exports import exports

FAMILIES = ("rotations", "moments", "expansion")


@dataclass(frozen=True)
class Abreast:
    """A family that runs with atoms abreast.

    >>> str(Abreast.of("abreast;moments"))
    'abreast;moments'
    """

    family: str

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.family!r} does not run with atoms abreast; {', '.join(FAMILIES)} do")

    @classmethod
    def of(cls, text: str) -> Abreast:
        return cls(text.removeprefix("abreast;"))

    def __str__(self) -> str:
        return f"abreast;{self.family}"


def source(spec: Abreast, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "int evaluate" in source(Abreast("rotations"), lambda name: "")
    True
    """
    # Nothing inside has a name outside of this library: the loader would share it with another potential's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "#include <new>", "namespace {"]
    headers = ("call.h", "near.h", f"{spec.family}.h", "abreast.h")
    return "\n".join([*parts, *(header(name) for name in headers), "}", exports(_TRIAL), ""])


_TRIAL = """  std::vector<S> x(2 * W, (S)1);
  V y = *(VU *)(x.data() + 1) * *(VU *)x.data();
  return total(y) == W ? 0 : 1;"""
