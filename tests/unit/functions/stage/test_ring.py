from __future__ import annotations

import base64

import pytest

from batuta_server.aws.key_ring import VERIFIES_FOR_MS, parsed, usable
from batuta_server.stage.ring import KEY_BYTES, Key, Ring, turn

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_764_000_000_000


def test_the_first_key_is_made_when_there_is_none() -> None:
    ring = turn(Ring(), 1, NOW_MS)
    assert [key.from_ms for key in ring.keys] == [NOW_MS]
    assert len(base64.urlsafe_b64decode(ring.keys[0].key)) == KEY_BYTES


def test_a_repeated_request_makes_no_second_key() -> None:
    ring = turn(Ring(), 1, NOW_MS)
    assert turn(ring, 1, NOW_MS + 1) is ring


def test_a_deployment_that_is_rolled_back_keeps_the_newer_key() -> None:
    ring = turn(turn(Ring(), 1, NOW_MS), 2, NOW_MS + 1)
    assert turn(ring, 1, NOW_MS + 2) is ring


def test_a_new_generation_puts_a_fresh_key_in_front() -> None:
    old = turn(Ring(), 1, NOW_MS)
    ring = turn(old, 2, NOW_MS + DAY_MS)
    assert ring.keys[1:] == old.keys
    assert ring.keys[0].key != old.keys[0].key
    assert ring.generation == 2


def test_a_key_that_signed_for_years_until_now_still_verifies() -> None:
    old = Ring((Key("old", NOW_MS - 1000 * DAY_MS),), 1)
    assert [key.key for key in turn(old, 2, NOW_MS).keys][1:] == ["old"]


@pytest.mark.parametrize(("superseded_ms_ago", "kept"), [(VERIFIES_FOR_MS - 1, ["b", "a"]), (VERIFIES_FOR_MS, ["b"])])
def test_a_key_goes_thirty_days_after_its_successor_came(superseded_ms_ago: int, kept: list[str]) -> None:
    ring = Ring((Key("b", NOW_MS - superseded_ms_ago), Key("a", NOW_MS - 1000 * DAY_MS)), 2)
    assert [key.key for key in turn(ring, 3, NOW_MS).keys][1:] == kept


def test_the_functions_read_what_is_written() -> None:
    ring = turn(turn(Ring(), 1, NOW_MS - DAY_MS), 2, NOW_MS - DAY_MS // 2)
    assert Ring.from_text(ring.to_text()) == ring
    assert usable(parsed(ring.to_text()), NOW_MS) == tuple(base64.urlsafe_b64decode(key.key) for key in ring.keys)
