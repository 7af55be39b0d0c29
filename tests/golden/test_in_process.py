"""The recordings of the real Conductor, played in process: what ``make golden`` plays against a server, in seconds.

All but those of ``expected_differences.txt`` (meant otherwise) and ``not_yet.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batuta_server.sandbox.runner import Sandbox
from tests.golden.in_process import Player, playing
from tests.golden.wanted import GOLDEN, NotThere, wanted
from tests.shared import not_tested

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


def test_the_recordings_are_there() -> None:
    if not SCENARIOS:
        not_tested("the recordings in process", f"there are none at {GOLDEN}; set BATUTA_SHARED")


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_answered_as_recorded(player: Player, name: str) -> None:
    played = player.play(name)
    assert not played.differences, "\n".join([f"{name}:", *played.differences, *played.failures])
