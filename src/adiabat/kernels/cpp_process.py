"""Sparse Gaussian processes in C++: on power spectra (`soap.h`), on distances (`two_body.h`) and on three of them (`three_body.h`), each one
function of a `Call`."""

from __future__ import annotations

from dataclasses import dataclass

from adiabat.kernels.cpp_exports import exports

MAX_N, MAX_L = 32, 12


@dataclass(frozen=True)
class Process:
    """A sparse Gaussian process on power spectra of so many radial functions and harmonics, or (0 radial functions) on distances among
    so many atoms.

    >>> str(Process.of("process;8;6")), str(TRIPLES)
    ('process;8;6', 'process;0;0;3')
    """

    n_max: int
    l_max: int
    bodies: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.n_max <= MAX_N and 0 <= self.l_max <= MAX_L):
            raise ValueError(f"a power spectrum of n_max {self.n_max}, l_max {self.l_max}; wanted at most {MAX_N}, {MAX_L}")
        if self.bodies not in ((0,) if self.n_max else (2, 3)):
            raise ValueError(f"distances among {self.bodies} atoms; wanted 2 or 3")

    @classmethod
    def of(cls, text: str) -> Process:
        kind, *sizes = text.split(";")
        if kind != "process" or len(sizes) not in (2, 3):
            raise ValueError(f"{text!r} is no process; wanted process;n_max;l_max or process;0;0;atoms")
        return cls(*map(int, sizes))

    def __str__(self) -> str:
        return f"process;{self.n_max};{self.l_max}" + (f";{self.bodies}" if self.bodies else "")


PAIRS, TRIPLES = Process(0, 0, 2), Process(0, 0, 3)


def source(spec: Process, header) -> str:
    """The whole translation unit; `header` gives the text of a header by its name.

    >>> "int evaluate" in source(Process(8, 6), lambda name: "")
    True
    """
    # Nothing inside has a name outside of this library: the loader would share it with another potential's.
    parts = [f"// {spec}", header("lanes.h"), "#include <algorithm>", "#include <new>", "namespace {", header("vectors.h")]
    if spec.n_max:
        parts += [f"enum {{ NMAX = {spec.n_max}, LMAX = {spec.l_max} }};"]
    parts += [
        header("call.h"),
        header("panels.h"),
        header("columns.h"),
        header({0: "soap.h", 2: "two_body.h", 3: "three_body.h"}[spec.bodies]),
        "}",
    ]
    more = ["int panel() { return PANEL * W; }", _entry("columns", "Columns"), _entry("variances", "Variances")]
    return "\n".join([*parts, exports(_SOAP if spec.n_max else "  return 0;", more=more), ""])


_SOAP = """  std::vector<S> x(TILE * W, (S)1), w(W * PANEL * W, (S)1), y(TILE * PANEL * W), n(LM, (S)1), Y(4 * LM * W);
  times(x.data(), TILE, W, W, w.data(), PANEL * W, y.data());
  harmonics<true>(n.data(), V{}, V{}, V{} + 1, Y.data());
  return y[0] == W && Y[0] == 1 ? 0 : 1;"""


def _entry(name: str, out: str) -> str:
    """A function of its own, called like `evaluate`."""
    return f"""int add_{name}(void *model, const Call *in, const {out} *out) {{
  Model &m = *(Model *)model;
  if (int fault = check(*in, m.kind, m.elements)) return fault;
  try {{ return {name}(m, *in, *out); }} catch (const std::bad_alloc &) {{ return 7; }}
}}"""
