"""Two workers that take turns, call by call, on one core: ours and a peer's, each in an environment of its own.

A machine's clock, its neighbors and its temperature drift by tens of percent within a minute; two runs one after the other do not
compare. Here both processes live at once, pinned to the same core, and only the one whose turn it is runs.

A *worker* is a Python file run by a given interpreter. It prepares its calls and hands them to `serve`, by their names:

    import duel                                      # standard library only: any environment can import it

    def prepare(case, **options):                    # called once a row, before its first turn
        ...
        return step, values                          # step(): the work to time; values(): what is compared, numbers and lists

    duel.serve(prepare)

The other side starts two of them and lets them take turns; `agree(row, ours, peer)` sees both `values()` before any call is timed,
raises `AssertionError` where they are not the same function, and returns the differences, which are kept with the times:

    with Worker(sys.executable, HERE / "painn_ours.py") as ours, Worker(PEER, HERE / "painn_peer.py") as peer:
        for result in duel({"Si 512": {"case": "si512"}}, ours=ours, peer=peer, agree=agree):
            print(result.line(per=512, unit="µs/atom", factor=1e6))

Times are CPU time of the worker's process (all its threads), for which waiting for the turn costs nothing. Both start a turn with caches
the other has used; `calls` > 1 gives each several calls a turn. Page faults a call are kept, too: `ALLOCATORS` names the two settings
of glibc's allocator a peer is run with.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

# This folder comes last on a worker's path: `mace` is the peer's package there, not benchmarks/mace.py.
START = "import runpy, sys; sys.path[:1] = []; sys.path.append(sys.argv[1]); del sys.argv[:2]; "
START += "runpy.run_path(sys.argv[0], run_name='__main__')"
# Freed memory is kept instead of being handed back to the kernel and faulted in again: 1.6 times for MACE's peer.
KEPT = str(4 << 30)
ALLOCATORS: dict[str, dict[str, str]] = {
    "default": {},
    "tuned": {"MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": KEPT, "MALLOC_TOP_PAD_": str(512 << 20)},
}


class WorkerError(RuntimeError):
    """A worker died, or answered that something went wrong there."""


class Worker:
    """A Python file in an environment of its own, run by `python` (an interpreter's path), pinned to `core`.

    `environment` is added to this process's; threads are limited to one. What the file prints goes to standard error.
    """

    def __init__(
        self,
        python: str | Path,
        file: str | Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        core: int | None = None,
    ) -> None:
        here = str(Path(__file__).resolve().parent)
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")}
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        core = max(os.sched_getaffinity(0)) if core is None else core
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # a child, and each thread it starts, inherits the core
        try:
            self.process = subprocess.Popen(
                [str(python), "-c", START, here, str(file), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**kept, **one, **(environment or {})},
            )
        finally:
            os.sched_setaffinity(0, mine)
        self.name = f"{Path(file).name} under {python}"

    def ask(self, what: str, **options: Any) -> Any:
        """One line to the worker, one line back."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(json.dumps([what, options]) + "\n")
            pipe_in.flush()
            answer = pipe_out.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise WorkerError(f"{self.name} ended (exit status {self.process.wait()}); what it said is above")
        found = json.loads(answer)
        if "error" in found:
            raise WorkerError(f"{self.name}: {found['error']}")
        return found["value"]

    def prepare(self, **options: Any) -> None:
        """Let the worker set up a row."""
        self.ask("prepare", **options)

    def values(self) -> Any:
        """What the prepared call computes, for comparison."""
        return self.ask("values")

    def turn(self, calls: int = 1) -> list[Call]:
        """Let it make `calls` calls, each timed there."""
        return [Call(*call) for call in self.ask("step", calls=calls)]

    def versions(self, *packages: str) -> dict[str, str | None]:
        """Versions of packages in the worker's environment, Python's included."""
        return self.ask("versions", packages=packages)

    def close(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Call:
    """One call: seconds of CPU, seconds on the clock, pages faulted in."""

    cpu: float
    wall: float
    faults: int


@dataclass(frozen=True)
class Times:
    """Least and median CPU seconds of a worker's calls, median on the clock, median of the page faults."""

    min: float
    median: float
    wall: float
    faults: float

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Times:
        cpu = [call.cpu for call in calls]
        return cls(min(cpu), median(cpu), median(call.wall for call in calls), median(call.faults for call in calls))


@dataclass(frozen=True)
class Result:
    """A row: what both took, how many calls each made, and by how much their values differ."""

    row: str
    ours: Times
    peer: Times
    calls: int
    differences: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times faster we are: least CPU time against least CPU time."""
        return self.peer.min / self.ours.min

    @property
    def ratio_of_medians(self) -> float:
        return self.peer.median / self.ours.median

    def line(self, per: float = 1, unit: str = "ms", factor: float = 1e3) -> str:
        """The row in words; seconds are divided by `per` and multiplied by `factor`."""
        shown = " · ".join(
            f"{who} {t.min * factor / per:,.1f} (median {t.median * factor / per:,.1f}, {t.faults:,.0f} faults)"
            for who, t in (("ours", self.ours), ("peer", self.peer))
        )
        return f"{self.row}: {shown} {unit} · {self.ratio:.2f}× (medians {self.ratio_of_medians:.2f}×), {self.calls} calls each"

    def record(self) -> dict[str, Any]:
        """For rows.append."""
        return {
            "name": self.row,
            **asdict(self),
            "ratio": self.ratio,
            "ratio_of_medians": self.ratio_of_medians,
            "unit": "s CPU",
        }


def agreement(limits: Mapping[str, float]) -> Callable[[str, Any, Any], dict[str, float]]:
    """An `agree` for values by name: largest differences, refused beyond `limits`; of a "gradient" relative to its largest component."""

    def agree(row: str, ours: Any, peer: Any) -> dict[str, float]:
        found = {}
        for what, mine in ours.items():
            largest = max(map(abs, peer[what])) if what == "gradient" else 1.0
            found[what] = max(abs(a - b) for a, b in zip(mine, peer[what], strict=True)) / largest
            assert found[what] <= limits[what], f"{row}: {what} differs by {found[what]:.2g}; at most {limits[what]:.0e}"
        return found

    return agree


def duel(
    rows: Mapping[str, Mapping[str, Any]],
    *,
    ours: Worker,
    peer: Worker,
    agree: Callable[[str, Any, Any], Mapping[str, float]] | None = None,
    seconds: float = 30.0,
    least: int = 5,
    most: int = 200,
    calls: int = 1,
    warm: int = 2,
) -> Iterator[Result]:
    """Every row, name → options of `prepare`: agreement first, then turns until `seconds` of the clock or `most` are spent.

    At least `least` turns of `calls` calls each are taken; `warm` calls before them are not counted.
    """
    for row, options in rows.items():
        ours.prepare(**options)
        peer.prepare(**options)
        differences = dict(agree(row, ours.values(), peer.values())) if agree else {}
        ours.turn(warm)
        peer.turn(warm)
        of_ours: list[Call] = []
        of_peer: list[Call] = []
        begun, turns = time.perf_counter(), 0
        while turns < least or (turns < most and time.perf_counter() - begun < seconds):
            of_ours += ours.turn(calls)
            of_peer += peer.turn(calls)
            turns += 1
        yield Result(row, Times.of(of_ours), Times.of(of_peer), len(of_ours), differences)


# ------------------------------------------------------------------------------------------------------- in the worker's process
def serve(prepare: Callable[..., tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    """Answer the lines of a `Worker` until it closes the pipe; `prepare(**options)` returns (step, values)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    step: Callable[[], Any] | None = None
    values: Callable[[], Any] | None = None
    for line in sys.stdin:
        what, options = json.loads(line)
        try:
            value: Any = None
            if what == "prepare":
                step, values = prepare(**options)
            elif what == "versions":
                value = _versions(options["packages"])
            elif step is None or values is None:
                raise RuntimeError(f"{what!r} came before prepare")
            elif what == "values":
                value = values()
            elif what == "step":
                value = [_timed(step) for _ in range(options["calls"])]
            else:
                raise RuntimeError(f"{what!r} is not known here; prepare, values, step, versions are")
            answer = {"value": value}
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _timed(step: Callable[[], Any]) -> tuple[float, float, int]:
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


def _versions(packages: Sequence[str]) -> dict[str, str | None]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
