"""Progress of long work, as log lines: how many, how fast, when all is done."""

import logging
import re
from types import SimpleNamespace

import pytest

from pipeline_lib.core import progress as module
from pipeline_lib.core.progress import Progress, track


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """A clock that each look at it puts on by 5 s, and the lines that are logged."""
    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr(
        module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)))
    )  # other threads have theirs
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False, raising=False)
    caplog.set_level(logging.INFO, "face_verifier")
    return caplog


def test_lines_say_what_is_done_the_speed_and_the_time_left(logged: pytest.LogCaptureFixture) -> None:
    with Progress("align, photographs", total=100) as progress:  # at 0 s
        for _ in range(4):
            progress.add(20)  # at 5, 10, 15, 20 s
    assert logged.messages == [
        "align, photographs: 40/100, 4.0/s, 15 s left",
        "align, photographs: 80/100, 4.0/s, 5 s left",
        "align, photographs: 80 in 25.0 s",
    ]


def test_what_an_earlier_run_did_says_nothing_of_the_speed(logged: pytest.LogCaptureFixture) -> None:
    with Progress("patches", total=100, done=50) as progress:
        progress.add(10)
        progress.add(10)
    assert logged.messages[0] == "patches: 70/100, 2.0/s, 15 s left"


def test_a_repeated_unit_never_leaves_less_than_no_time(logged: pytest.LogCaptureFixture) -> None:
    with Progress("patches", total=10) as progress:
        progress.add(10)
        progress.add(10)
    assert logged.messages[0].endswith(", 0 s left")


def test_a_total_that_nobody_knows(logged: pytest.LogCaptureFixture) -> None:
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert [re.sub(r"[\d.]+", "N", line) for line in logged.messages] == ["letters: N, N/s", "letters: N in N s"]


def test_a_failure_says_nothing_of_being_done(logged: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError), Progress("patches"):
        raise ValueError
    assert logged.messages == []
