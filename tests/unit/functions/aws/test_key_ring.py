"""The ring of token keys: who signs with which key, and when it is read again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.unit.functions.aws.scripted import Deed, ScriptedServer, refusal

from batuta_core.model.error import BatutaError
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer
from batuta_server.aws import key_ring
from batuta_server.aws.key_ring import READ_EVERY_S, SIGN_AFTER_MS, TRY_AGAIN_AFTER_S, VERIFIES_FOR_MS, KeyRing, parsed, usable

NOW_MS = 1_764_000_000_000
OLD, MIDDLE, NEW = (bytes([number]) * 32 for number in (1, 2, 3))
EXECUTION, PLACE = ExecutionId("shop", "w"), TaskPlace(1, 0)


def ring(*entries: tuple[bytes, int]) -> str:
    """Keys and how many ms ago they were made."""
    return json.dumps({"keys": [{"key": base64.urlsafe_b64encode(key).decode(), "from_ms": NOW_MS - age_ms} for key, age_ms in entries]})


def test_the_newest_key_that_everybody_may_know_signs_and_all_verify() -> None:
    assert in_order(ring((NEW, SIGN_AFTER_MS), (MIDDLE, 10**8), (OLD, 10**9)), NOW_MS) == (NEW, MIDDLE, OLD)
    assert in_order(ring((NEW, SIGN_AFTER_MS - 1), (MIDDLE, 10**8), (OLD, 10**9)), NOW_MS) == (MIDDLE, NEW, OLD)


def test_the_first_key_of_all_signs_at_once() -> None:
    assert in_order(ring((OLD, 0)), NOW_MS) == (OLD,)


def test_a_superseded_key_verifies_for_thirty_days_and_no_longer() -> None:
    """How old it is itself does not matter: it may have signed for years until its successor came."""
    assert in_order(ring((NEW, VERIFIES_FOR_MS - 1), (OLD, 10**12)), NOW_MS) == (NEW, OLD)
    assert in_order(ring((NEW, VERIFIES_FOR_MS), (OLD, 10**12)), NOW_MS) == (NEW,)
    assert in_order(ring((NEW, 10**8), (MIDDLE, VERIFIES_FOR_MS), (OLD, 10**12)), NOW_MS) == (NEW, MIDDLE)


@pytest.mark.parametrize("value", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"key": "!", "from_ms": 1}]}', '{"keys": [{"from_ms": 1}]}'])
def test_a_broken_ring_is_an_error_that_does_not_quote_it(value: str) -> None:
    with pytest.raises(BatutaError, match="deploy the stack again") as caught:
        in_order(value, NOW_MS)
    assert "from_ms" not in str(caught.value)


def test_a_signer_asks_for_newer_keys_before_it_refuses() -> None:
    asked = []

    def renew() -> tuple[bytes, ...]:
        asked.append(1)
        return (OLD, NEW)

    signer = Signer([OLD], renew)
    assert signer.is_task_token(Signer([OLD]).task_token(EXECUTION, PLACE, 1), EXECUTION, PLACE, 1)
    assert not asked
    assert signer.is_task_token(Signer([NEW]).task_token(EXECUTION, PLACE, 1), EXECUTION, PLACE, 1)
    assert not signer.is_task_token(Signer([MIDDLE]).task_token(EXECUTION, PLACE, 1), EXECUTION, PLACE, 1)


def test_a_message_is_not_refused_while_the_keys_cannot_be_read() -> None:
    def renew() -> tuple[bytes, ...]:
        raise BatutaError("no answer")

    with pytest.raises(BatutaError, match="no answer"):
        Signer([OLD], renew).is_task_token("unknown", EXECUTION, PLACE, 1)


def stored(value: str) -> tuple[int, Any]:
    return 200, {"Parameter": {"Value": value}}


@contextmanager
def reading(*script: Deed) -> Iterator[tuple[ScriptedServer, KeyRing]]:
    with ScriptedServer(list(script)) as server:
        transport = server.transport(deadline_s=0.1)
        try:
            yield server, KeyRing(transport, "keys")
        finally:
            transport.close()


def in_order(value: str, now_ms: int) -> tuple[bytes, ...]:
    return usable(parsed(value), now_ms)


class Clocks:
    """Both of the ring's clocks, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._s = 0.0
        monkeypatch.setattr(key_ring, "time", self)  # the transport keeps its own

    def monotonic(self) -> float:
        return self._s

    def time_ns(self) -> int:
        return NOW_MS * 1_000_000 + int(self._s * 10**9)

    def pass_s(self, seconds: float) -> None:
        self._s += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def test_a_warm_environment_forgets_a_key_in_time_though_it_is_never_shown_an_unknown_one(clocks: Clocks) -> None:
    token = Signer([OLD]).task_token(EXECUTION, PLACE, 1)
    with reading(stored(ring((NEW, VERIFIES_FOR_MS - 10_000), (OLD, 10**12)))) as (_server, keys):
        signer = signer_of(keys)
        assert signer.is_task_token(token, EXECUTION, PLACE, 1)
        clocks.pass_s(11)
        assert not signer.is_task_token(token, EXECUTION, PLACE, 1)


def test_a_warm_environment_signs_with_the_new_key_within_the_hour(clocks: Clocks) -> None:
    with reading(stored(ring((OLD, 10**9))), refusal("InternalServerError", 500)) as (server, keys):
        signer = signer_of(keys)
        assert signer.signature("x") == Signer([OLD]).signature("x")
        clocks.pass_s(READ_EVERY_S - 1)
        signer.signature("x")
        assert len(server.requests) == 1
        clocks.pass_s(1)
        assert signer.signature("x") == Signer([OLD]).signature("x")  # the store does not answer: what is known still holds
        tried = len(server.requests)
        assert tried > 1
        assert signer.signature("x") == Signer([OLD]).signature("x")
        assert len(server.requests) == tried  # not with every message
        server.answer_with(lambda _request: stored(ring((NEW, SIGN_AFTER_MS), (OLD, 10**9))))
        clocks.pass_s(TRY_AGAIN_AFTER_S)
        assert signer.signature("x") == Signer([NEW]).signature("x")
        assert signer.is_signature(Signer([OLD]).signature("x"), "x")


def test_an_unknown_tag_has_the_ring_read_although_the_last_try_failed(clocks: Clocks) -> None:
    with reading(stored(ring((OLD, 10**9))), refusal("AccessDeniedException"), stored(ring((NEW, 0), (OLD, 10**9)))) as (server, keys):
        signer = signer_of(keys)
        clocks.pass_s(READ_EVERY_S)
        signer.signature("x")
        assert len(server.requests) == 2
        assert signer.is_signature(Signer([NEW]).signature("x"), "x")


def test_a_ring_that_was_never_read_must_be() -> None:
    with reading(refusal("AccessDeniedException")) as (_server, keys), pytest.raises(BatutaError, match="GetParameter"):
        signer_of(keys)


def signer_of(keys: KeyRing) -> Signer:
    """As bootstrap makes it."""
    return Signer(keys.known, renew=keys.newest)
