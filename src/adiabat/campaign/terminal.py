"""What a run says on a terminal: progress, messages, and an error in one piece with the exit code that belongs to it.

| exit code | when |
|---|---|
| 0 | fine |
| 1 | a finding: the data gate's faults, an exploding trajectory, structures that cannot be labeled as they are |
| 2 | wrong usage: an option, a file, a configuration, a folder |
| 3 | an engine or the machine failed: not installed, not converged, crashed, disk full; also our own bugs |
| 130 | interrupted; the same command goes on |
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from adiabat.campaign.wording import on_the_command_line

console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True)

FINE, FINDING, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
# By name, so that none of their modules is imported to answer `--help`; a subclass goes with the nearest of its bases.
CODES = {
    "ConfigError": USAGE, "RunFolderError": USAGE, "ModelFileError": USAGE, "ForeignCheckpoint": USAGE,
    "ForeignModelError": USAGE, "LedgerInUse": USAGE,
    "FileNotFoundError": USAGE, "FileExistsError": USAGE, "IsADirectoryError": USAGE, "NotADirectoryError": USAGE, "PermissionError": USAGE,
    "GateFaults": FINDING, "GateRefusal": FINDING, "NoLAMMPS": FAILED, "NotCompiled": FAILED,
    "DynamicsError": FINDING, "MDStopped": FINDING, "LabelError": FAILED, "RunPaused": FAILED,
}  # fmt: skip
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PACKAGE = Path(__file__).parent.parent
QUIET_S = 5.0  # between lines of progress where no terminal listens


def run(app: Callable[..., Any]) -> int:
    """The exit code of a command line, whichever way it ends."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)  # a batch system's end of time is an interrupt in good order
    warn_in_a_line()
    try:
        code = app(standalone_mode=False)
    except SystemExit:
        raise
    except BaseException as error:
        show = getattr(error, "show", None)  # the command line's own complaint: an option unknown, an argument missing
        if show is not None:
            show()
            return USAGE
        return tell(KeyboardInterrupt() if type(error).__name__ == "Abort" else error)
    if code == INTERRUPTED:  # typer makes an interrupt a number
        tell(KeyboardInterrupt())
    return code or FINE


class Teller:
    """`say(stage, message, data)`: bars on a terminal, now and then a line elsewhere. All of it on stderr."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.fields[stage]:>8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.progress = Progress(*columns, console=errors) if errors.is_terminal else None
        self.bars: dict[str, Any] = {}
        self.last: dict[str, float] = {}  # by stage: on a terminal how far it was, elsewhere when its last line was
        self.begun: dict[
            str, tuple[float, float, float]
        ] = {}  # when a stage was first heard of, how far it was then, how far it is

    def __call__(self, stage: str, message: str, data: dict[str, Any]) -> None:
        done, of = data.get("done", data.get("epoch")), data.get("of", data.get("epochs"))
        if done is None or of is None:
            self.line(stage, message)
        elif self.progress is not None:
            if stage not in self.bars:
                self.bars[stage] = self.progress.add_task(message, stage=stage, total=of)
            elif done < self.last.get(stage, 0):  # another of the same name, from its beginning: at a pace of its own
                self.progress.reset(self.bars[stage])
            self.last[stage] = done
            self.progress.update(self.bars[stage], completed=done, total=of, description=message)
        elif done == of or time.monotonic() - self.last.get(stage, -QUIET_S) >= QUIET_S:
            self.last[stage] = time.monotonic()
            self.line(stage, f"{done} of {of}: {message}{self._left(stage, done, of)}")

    def _left(self, stage: str, done: float, of: float) -> str:
        """About how long it will be, by the pace since the stage was first heard of; nothing before there is a pace."""
        from adiabat.report.reading import duration

        since, then, latest = self.begun.get(stage, (time.monotonic(), done, done))
        if done < latest:  # another of the same name, from its beginning
            since, then = time.monotonic(), done
        self.begun[stage] = since, then, done
        spent = time.monotonic() - since
        return f"; about {duration((of - done) * spent / (done - then))} left" if then < done < of and spent > QUIET_S else ""

    def line(self, stage: str, message: str) -> None:
        errors.print(Text(f"{stage:>8}  {message}"), soft_wrap=True)

    def __enter__(self) -> Teller:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if self.progress is not None:
            self.progress.stop()
        if isinstance(error, KeyboardInterrupt) and str(error):
            self.line("stopped", str(error))


def warn_in_a_line() -> None:
    """Warnings as one line without the source that raised them."""

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        errors.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)

    warnings.showwarning = show


def code_of(error: BaseException) -> int | None:
    """The exit code of an error that we know how to tell; None for one that nobody foresaw.

    >>> code_of(FileNotFoundError("a.xyz: there is no such file")), code_of(KeyError("x")), code_of(KeyboardInterrupt())
    (2, None, 130)
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno in FULL:
        return FAILED
    for kind in type(error).__mro__:
        if kind.__name__ in CODES:
            return (
                FINDING if kind.__name__ == "LabelError" and getattr(error, "kind", "") == "bad_input" else CODES[kind.__name__]
            )
    if isinstance(error, OSError):
        return FAILED
    return USAGE if isinstance(error, ValueError) and _ours(error) else None


def tell(error: BaseException) -> int:
    """Say what happened, on stderr, in one piece; the exit code."""
    code = code_of(error)
    if code is None:
        path = _kept(error)
        errors.print(
            Text(f"sorry: something happened that Adiabat did not foresee ({type(error).__name__}: {_first_line(error)})\n"
                 f"What was published is kept; the same command goes on. Please report it with {path}", style="red"),
            soft_wrap=True,
        )  # fmt: skip
        return FAILED
    if code == INTERRUPTED:
        told = str(error) or "stopped; what is done is kept, run the same command again to go on"
        errors.print(Text(f"interrupted: {told}", style="yellow"), soft_wrap=True)
        return code
    told = str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or _written(error)
        why = (error.strerror or "no space left").lower()
        told = f"{where}: {why}; what was written before is kept: free some space, and run the same command again"
    elif isinstance(error, OSError) and error.errno is not None:
        told = f"{error.filename}: {error.strerror}; look at the path and its permissions"
    errors.print(Text(f"error: {on_the_command_line(told, command())}", style="red"), soft_wrap=True)
    return code


def command() -> str:
    """The command that runs, as it was typed."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def note(text: str) -> None:
    """A line for people about how their files were understood."""
    console.print(Text(f"note: {on_the_command_line(text, command())}"), soft_wrap=True)


def worded(told: Any) -> Any:
    """What a command tells, with every cure in it naming the options of that command.

    >>> worded({"findings": [{"cure": "correct it", "frames": [3]}]})
    {'findings': [{'cure': 'correct it', 'frames': [3]}]}
    """
    if isinstance(told, dict):
        return {k: on_the_command_line(v, command()) if k in ("message", "cure") else worded(v) for k, v in told.items()}
    return [worded(one) for one in told] if isinstance(told, list) else told


def counted(n: int, what: str) -> str:
    """'1 structure', '2 structures'."""
    return f"{n} {what}{'s' * (n != 1)}"


def put_json(data: Any, to: str | None) -> bool:
    """Write JSON where it is wanted; True if standard output is left for people."""
    if to is None:
        return True
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if to == "-":
        sys.stdout.write(text)
        return False
    Path(to).write_text(text, encoding="utf-8")
    return True


def ended(folder: Path) -> int:
    """The summary of a finished run, as a table."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = [[name, short(value)] for name, value in summary.items() if value is not None and not isinstance(value, dict | list)]
    table(str(folder), ["", ""], rows)
    return FINE


def pairs(text: str) -> dict[str, str] | None:
    """'energy=hartree,length=bohr' → a mapping; None for nothing."""
    if not text:
        return None
    parts = [part.partition("=") for part in text.split(",")]
    if not all(equals and value for _, equals, value in parts):
        from adiabat.config import ConfigError

        raise ConfigError(f"{text!r} came; wanted name=value,name=value")
    return {name.strip(): value.strip() for name, _, value in parts}


def short(value: Any) -> str:
    """A number as people read it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def table(title: str, head: list[str], rows: list[list[Any]]) -> None:
    """A table on standard output; words like fault and ok have their color."""
    drawn = Table(title=title or None, title_justify="left", show_header=any(head), box=None, pad_edge=False)
    for name in head:
        drawn.add_column(name, overflow="fold")
    colors = {
        "fault": "red",
        "broken": "red",
        "warning": "yellow",
        "missing": "yellow",
        "ok": "green",
        "fail": "red",
        "undetermined": "red",
        "pass": "green",
    }
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        drawn.add_row(*(Text(on_the_command_line(cell, command()), style=colors.get(cell, "")) for cell in cells))
    console.print(drawn)


def _written(error: BaseException) -> str:
    """Which file could not be written, where the error of a write does not say: the nearest path in the calls of this package."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
            paths = [value for value in frame.f_locals.values() if isinstance(value, Path)]
            if paths:
                return str(paths[0])
    return "the disk"


def _ours(error: BaseException) -> bool:
    """Whether the error was raised by a line of this package, which then says what to do."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE)


def _kept(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="adiabat-", suffix=".txt", delete=False) as file:
        file.write(f"{' '.join(sys.argv)}\nin {os.getcwd()}\n\n{text}")
    return file.name


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:200]
