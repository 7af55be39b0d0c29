"""What is said to gates, and where one stands: there and back, and in order."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.model.values import ODD

from batuta_core.model.error import TokenRefused
from batuta_core.model.gate import Entry, GateDue, GateId, GateMessage, GateState, Held, Limits, PermitReturned, TaskEntered, order_ms
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer

T = 1_764_000_000_000
EXECUTION = ExecutionId("shop", "00000000-0000-4000-8000-000000000001")
SIGNER = Signer([b"a key of sixteen bytes"])
PLACE = TaskPlace(2, 1, 7)
MESSAGES: list[GateMessage] = [
    TaskEntered(gate=ODD, place=PLACE, send=3, order_ms=T, limits=Limits(1, 2, 3), is_again=True),
    TaskEntered(gate="a", place=TaskPlace(1, 0), send=0, order_ms=T),
    PermitReturned(gate=ODD, place=PLACE, send=3, started_ms=5, is_over=False),
    PermitReturned(gate="a", place=TaskPlace(1, 0), send=0),
    GateDue(gate=ODD, due_ms=T),
    GateDue(gate="a"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_come_back_as_they_were(message: GateMessage) -> None:
    text = InboxMessage(execution=EXECUTION, event=message).to_text(SIGNER)
    assert InboxMessage.parse(text, SIGNER).event == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_no_worker_can_say_them(message: GateMessage) -> None:
    token = SIGNER.task_token(EXECUTION, PLACE, 1)
    with pytest.raises(TokenRefused):
        InboxMessage.parse(InboxMessage(execution=EXECUTION, event=message, token=token, attempt=1).to_text(), SIGNER)


def test_a_state_comes_back_as_it_was_small_or_large() -> None:
    for count in (0, 1, 500):
        state = GateState(
            version=7,
            held={f"permit{number}": Held(T + number, bool(number % 2)) for number in range(count)},
            starts=((T, 2), (T + 5, 1)),
            unsent=(Entry(T, EXECUTION, PLACE, 4),),
            has_waiting=True,
            wake_ms=T,
            is_wake_unsent=True,
            pinned=Limits(1, 2, 3),
        )
        assert GateState.from_bytes("shop", state.to_bytes()) == state
    assert GateState.from_bytes("shop", GateState().to_bytes()) == GateState()


def test_entries_stand_in_order_of_time_and_come_back_from_their_keys() -> None:
    entries = [
        Entry(at_ms, EXECUTION, TaskPlace(*place), send) for at_ms in (9, T, T + 1) for place in ((2, 0), (10, 0)) for send in (0, 3)
    ]
    assert sorted(entries, key=lambda entry: entry.sort_key) == entries
    assert [Entry.from_sort_key("shop", entry.sort_key) for entry in entries] == entries
    assert len({entry.permit for entry in entries}) == 4, "where it stands in line is no part of the permit's name"


def test_each_point_of_priority_is_worth_a_minute() -> None:
    assert order_ms(T, 0) == T
    assert order_ms(T + 99 * 60_000, 99) == T


@pytest.mark.parametrize("name", ["a", ODD, "x" * 5000, "", "#"])
def test_groups_of_gates_are_what_sqs_takes(name: str) -> None:
    group: Any = GateId("shop", name).group
    assert len(group) <= 128
    assert group.isascii()
    assert " " not in group
    assert group != GateId("shop", name + "b").group != GateId("other", name).group
