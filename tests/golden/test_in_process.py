"""The recordings of the real Conductor, played in process: what ``make golden`` plays against a server, in seconds.

All but those of ``expected_differences.txt`` (meant otherwise) and ``not_yet.txt``.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from batuta_server.sandbox.runner import Sandbox
from tests.golden.in_process import Player, playing
from tests.golden.wanted import GOLDEN, NotThere, wanted
from tests.shared import not_tested

_MAX_S = 120  # the longest takes four, for a script that is interrupted then

try:
    SCENARIOS = wanted()
except NotThere:
    SCENARIOS = []


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    sandbox = Sandbox()
    with playing(sandbox) as found:
        yield found
    sandbox.close()


@contextmanager
def interrupted_after(seconds: int) -> Iterator[None]:
    """A clock that stands still would keep the driver waiting for ever."""

    def interrupt(_signal: int, _frame: Any) -> None:
        raise TimeoutError(f"not played within {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_recordings_are_there() -> None:
    if not SCENARIOS:
        not_tested("the recordings in process", f"there are none at {GOLDEN}; set BATUTA_SHARED")


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_answered_as_recorded(player: Player, name: str) -> None:
    with interrupted_after(_MAX_S):
        played = player.play(name)
    assert not played.differences, "\n".join([f"{name}:", *played.differences, *played.failures])
