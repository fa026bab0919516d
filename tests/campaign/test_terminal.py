"""What whoever watches is told where no terminal listens: lines, now and then, and how long it will be."""

from __future__ import annotations

import pytest

from adiabat.campaign import terminal


@pytest.fixture
def told(monkeypatch):
    """A teller's lines by a clock that goes ten seconds a call of the teller."""
    lines: list[str] = []
    clock = {"now": 0.0}
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock["now"])
    teller = terminal.Teller()
    teller.progress = None
    monkeypatch.setattr(teller, "line", lambda stage, message: lines.append(message))

    def say(done: int, of: int = 500) -> list[str]:
        clock["now"] += 10.0
        teller("train", "going", {"done": done, "of": of})
        return lines

    return say


def test_progress_says_how_long_it_will_be_by_its_own_pace(told):
    told(1), told(11)
    assert told(21) == [
        "1 of 500: going",
        "11 of 500: going; about 8 min 9 s left",  # 489 at one a second
        "21 of 500: going; about 7 min 59 s left",
    ]


def test_a_second_training_has_a_pace_of_its_own(told):
    told(1), told(500)
    assert told(1)[-1] == "1 of 500: going"
    assert told(2)[-1] == "2 of 500: going; about 1 h 23 min left"


def test_what_stands_still_or_is_done_promises_nothing(told):
    told(5), told(5)
    assert told(500) == ["5 of 500: going", "5 of 500: going", "500 of 500: going"]
