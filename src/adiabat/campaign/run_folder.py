"""The folder of a run: who wrote it, with which configuration, what happened in it. Every campaign begins here.

| file | what |
|---|---|
| `run.json` | kind of run, configuration, its fingerprint, version: what tells one run's folder from another's |
| `config.yaml` | the configuration as run, for people; it can be run again |
| `events.jsonl` | what happened, a line each |
| `in-use.lock` | held while a program works in the folder |
| `.worked.json` | how long programs worked in it |
| `.refused` | there after a start that was refused (a fault in the data, an option) before it left any result |

A folder of another configuration, or one that holds files of somebody else, is refused before anything is written to it. One that a
refused start left begins anew: the configuration is to be mended, which is what the refusal asked for.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from adiabat.jobs.lock import Lock
from adiabat.jobs.task import canonical, plain, sha256
from adiabat.report.record import write_atomically

FORMAT = 1
MARK = "run.json"
WORKED = ".worked.json"
REFUSED = ".refused"
SIGNS = ("results", "training", "stages", "trajectories", "models")  # folders whose files tell when somebody was at work
TOLD = (
    "events.jsonl",
    "report.json",
    "report.html",
    WORKED,
)  # of a start that was refused all there is, beside its configuration
HEAD = "# As run by Adiabat"


class RunFolderError(ValueError):
    """A folder this run cannot work in; the message says why and what to do."""


class RunFolder:
    """`RunFolder(path, config)` makes the folder, or goes on in one of the same configuration.

    `free` names options that may differ when a run goes on, because they change no result (how many workers, say). Used as a
    context manager it also keeps a second program out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run"
    >>> RunFolder(path, {"model": {"bpnn": {"cutoff": 5.0}}, "seed": 1}).event("train", "begun", frames=24)
    >>> RunFolder(path, {"model": {"bpnn": {"cutoff": 6.0}}, "seed": 1})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    adiabat.campaign.run_folder.RunFolderError: .../run: the run there has model.bpnn.cutoff = 5.0, this one 6.0; ...
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any], *, kind: str = "run", free: Iterable[str] = ()) -> None:
        self.folder = Path(path)
        self.kind, self.config = kind, plain(config, "config")
        self.resumed = self._known(set(free))
        self._lock: Lock | None = None
        self._earlier_s, self._begun = 0.0, time.monotonic()
        if not self.resumed:
            self._found()
        self._mend_events()

    @property
    def fingerprint(self) -> str:
        """sha256 over the configuration, the same on every machine."""
        return sha256(canonical({"kind": self.kind, "config": self.config}))

    def path(self, name: str | Path) -> Path:
        """A path in the folder, whose parents are there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def event(self, stage: str, message: str, **data: Any) -> None:
        """One line for `events.jsonl`: what happened, with its numbers."""
        line = json.dumps({"time": time.time(), "stage": stage, "message": message, **_finite(data)}, ensure_ascii=False) + "\n"
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(line)

    def events(self) -> list[dict[str, Any]]:
        """What happened so far, in this start of the run and those before."""
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def write_json(self, name: str, data: Mapping[str, Any] | list[Any]) -> Path:
        """A JSON file, whole or not at all; numbers that are not finite become null."""
        path = self.path(name)
        write_atomically(path, json.dumps(_finite(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder; None where it is not written yet."""
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @property
    def worked_s(self) -> float:
        """Wall-clock seconds of this start and those before it; of one that was killed up to the last file it wrote."""
        return self._earlier_s + time.monotonic() - self._begun

    def _note_work(self, begun: float | None) -> None:
        with suppress(OSError):  # a full disk is told by whoever has something to keep
            self.write_json(WORKED, {"earlier_s": self._earlier_s, "begun": begun})

    def _worked_before(self) -> float:
        known = self.read_json(WORKED)
        if known is None:  # nobody was here, or a version that did not count
            return _between_events(self.events())
        if known["begun"] is None:
            return float(known["earlier_s"])
        files = (file for name in SIGNS for file in (self.folder / name).rglob("*"))
        last = max(
            [known["begun"], *(e["time"] for e in self.events()[-1:]), *(f.stat().st_mtime for f in files if f.is_file())]
        )
        return float(known["earlier_s"] + last - known["begun"])

    def __enter__(self) -> RunFolder:
        self._lock = Lock(self.folder / "in-use.lock")
        self._earlier_s, self._begun = self._worked_before(), time.monotonic()
        (self.folder / REFUSED).unlink(missing_ok=True)
        self._note_work(time.time())
        return self

    def __exit__(self, _: Any, error: BaseException | None, *__: Any) -> None:
        if self._lock is not None:
            if isinstance(error, ValueError) and not self._results():
                (self.folder / REFUSED).touch()
            self._earlier_s, self._begun = self.worked_s, time.monotonic()
            self._note_work(None)
            self._lock.release()
            self._lock = None

    def __repr__(self) -> str:
        return f"RunFolder({str(self.folder)!r}): {self.kind}, {self.fingerprint[:12]}"

    def _known(self, free: set[str]) -> bool:
        """Whether a run of this very configuration began here; another one, or other files, are refused."""
        if self.folder.exists() and not self.folder.is_dir():
            raise RunFolderError(f"{self.folder}: a file came, wanted a folder for the run; choose another name")
        if not (self.folder / MARK).exists():
            foreign = sorted(f.name for f in self.folder.iterdir() if not self._ours(f)) if self.folder.is_dir() else []
            if foreign:
                raise RunFolderError(
                    f"{self.folder}: holds {len(foreign)} files that no run wrote (the first: {foreign[0]}); "
                    "wanted an empty or a new folder; choose another one"
                )
            return False
        try:
            old = json.loads((self.folder / MARK).read_text(encoding="utf-8"))
            kind, config, version = old["kind"], old["config"], old["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.folder / MARK}: damaged ({error}); choose another folder, and look at this one"
            ) from None
        if version > FORMAT:
            raise RunFolderError(f"{self.folder}: a run of format {version}, this Adiabat reads {FORMAT}; update Adiabat")
        if kind != self.kind:
            raise RunFolderError(f"{self.folder}: holds a run of kind {kind!r}, wanted {self.kind!r}; choose another folder")
        for name in free:
            config.pop(name, None)
        mine = {k: v for k, v in self.config.items() if k not in free}
        for key, there, here in differences(config, mine):
            if (self.folder / REFUSED).exists():
                return self._cleared()
            raise RunFolderError(
                f"{self.folder}: the run there has {key} = {_told(there)}, this one {_told(here)}; "
                "to go on with that run use its config.yaml, for this one choose another folder"
            )
        return True

    def _cleared(self) -> bool:
        """What a refused start told is forgotten, unless another program works here by now; the run begins anew."""
        lock = Lock(self.folder / "in-use.lock")
        for name in (*TOLD, MARK, REFUSED):
            (self.folder / name).unlink(missing_ok=True)
        lock.release()
        return False

    def _results(self) -> bool:
        """Whether there is anything beside the configuration and what a start tells of itself."""
        books = {"config.yaml", MARK, "in-use.lock", *TOLD}
        return any(f.is_file() and f.name not in books for f in self.folder.rglob("*"))

    def _ours(self, file: Path) -> bool:
        """What a start that was killed before it set its mark may have left."""
        return file.name.startswith(".") or (file.name == "config.yaml" and file.read_bytes().startswith(HEAD.encode()))

    def _found(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        version = program_version()
        head = f"{HEAD} {version}, kind: {self.kind}.\n"
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        write_atomically(self.folder / "config.yaml", head + text)
        # last: from here on the folder is known as ours
        mark = {"format": FORMAT, "kind": self.kind, "fingerprint": self.fingerprint, "adiabat": version, "config": self.config}
        write_atomically(self.folder / MARK, json.dumps(mark, indent=1, ensure_ascii=False) + "\n")

    def _mend_events(self) -> None:
        """A kill may leave half a line at the end; it goes, so that the next event begins a line of its own."""
        path = self.folder / "events.jsonl"
        if path.exists() and (text := path.read_bytes()) and not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)


def _between_events(events: Iterable[Mapping[str, Any]]) -> float:
    """Seconds from each start's first event to its last.

    >>> _between_events({"stage": s, "time": t} for s, t in [("start", 0.0), ("train", 5.0), ("start", 60.0), ("done", 61.0)])
    6.0
    """
    total, first, last = 0.0, None, 0.0
    for event in events:
        if event["stage"] == "start":
            total += last - first if first is not None else 0.0
            first = event["time"]
        last = event["time"]
    return total + (last - first if first is not None else 0.0)


def program_version() -> str:
    """The version of this package, whose root is loaded whenever one of its rooms is."""
    return str(sys.modules["adiabat"].__version__)


def differences(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two configurations differ: the dotted key, and both values; None where one has no such key.

    >>> list(differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2.0, "d": 4}))
    [('a.b', 1, 3), ('d', None, 4)]
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif old != new:
        yield where, old, new


def _told(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _finite(value: Any) -> Any:
    """JSON's own types; what is not finite becomes null."""
    from adiabat.report.record import plain

    return plain(value)
