"""The ring of token keys: who signs with which key, and when it is read again."""

from __future__ import annotations

import base64
import json

import pytest

from batuta_core.model.error import BatutaError
from batuta_core.model.event import TaskPlace
from batuta_core.model.names import ExecutionId
from batuta_core.model.token import Signer
from batuta_server.aws.key_ring import SIGN_AFTER_MS, in_order

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
