"""A record, its events and its commands, as bytes and back."""

from __future__ import annotations

import base64
import json
import random
import zlib
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.model.values import COMMANDS, EVENTS, ODD, PARENT, PLACE

from batuta_core.model.command import Command, StopChild, command_from_dict
from batuta_core.model.error import NewerSchema
from batuta_core.model.event import Event, event_from_dict
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import (
    About,
    Begin,
    Ended,
    Head,
    HeldFailure,
    Mark,
    OpenTask,
    Record,
    TaskChange,
    Tolerated,
    guarded,
    needs_first,
    pack,
    unpack,
)

T = 1_764_000_000_000
BARE = Head(status=WorkflowStatus.RUNNING, definition="hash", created_ms=T)
FULL_TASK = OpenTask(
    ref=ODD,
    number=9,
    place=PLACE,
    status=TaskStatus.IN_PROGRESS,
    attempt=3,
    scheduled_ms=T,
    first_ms=T - 5,
    started_ms=T + 1,
    updated_ms=T + 2,
    due_ms=T + 3,
    sent_ms=T + 4,
    delay_s=5,
    callback_s=6,
    deadline_ms=T + 7,
    output_record=8,
    polls=9,
    calls=10,
    worker_id=ODD,
    is_leased=True,
    lost=4,
    sends=11,
    handed_back=("a", "b"),
    iteration=3,
    rounds=4,
    since=5,
    is_over=True,
    task_name=ODD,
    gate=ODD,
    fork=PLACE,
    reads=("a", ODD),
    domain=ODD,
    child="hash",
    life=12,
)
FULL = Head(
    status=WorkflowStatus.FAILED,
    definition="hash",
    created_ms=T,
    last_retried_ms=T + 1,
    ended_ms=T + 2,
    task_count=9,
    open={ODD: FULL_TASK},
    ended={"a": Ended(1, 1, 0, 2, 2), "b": Ended(2, 1, 1, 7, 7, 5)},
    last_task=Ended(1, 1, 0, 2, 2),
    variables_record=3,
    output_record=4,
    mark=Mark(5, T + 6),
    about=About(
        correlation_id=ODD,
        request_id="r",
        trigger="FAILURE",
        priority=5,
        task_to_domain={"*": "d"},
        failed_workflow_id="f",
        retention_s=60,
        parent=PARENT,
        depth=2,
    ),
    stops=(StopChild(place=PLACE, definition="hash"), StopChild(place=PLACE, definition="hash", life=3)),
    stops_ms=T + 8,
    reason=ODD,
    failed_refs=("a", ODD),
    tolerated=(Tolerated("a", "id", "FAILED", None), Tolerated("b", "id", "TIMED_OUT", ODD, 5)),
    last=tuple(COMMANDS),
    guards=(1, 7),
    burst=(29_400_000, 3),
    has_forked=True,
    input_record=6,
    life=5,
    seen=(9, 2),
    skipped={ODD: Ended(2, 1, 1, 2, 2)},
    passed=("a", ODD),
    todo=(Begin("b", frozenset(("a", ODD))), Begin("c", fork=TaskPlace(1, 2))),
    has_news=True,
    held=(HeldFailure(FULL_TASK, TaskStatus.FAILED, None, Ended(9, 3, 1, 4, 4, 9)),),
)


def record(head: Head = BARE, **fields: Any) -> Record:
    return Record(**{"seq": 1, "at_ms": T, "events": (), "changes": (), "commands": (), "head": head, **fields})


def there_and_back(one: Record) -> Record:
    return Record.from_json(unpack(pack(one, one.to_json())))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_went(event: Event) -> None:
    assert event_from_dict(json.loads(json.dumps(event.to_dict()))) == event


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_comes_back_as_it_went(command: Command) -> None:
    assert command_from_dict(json.loads(json.dumps(command.to_dict()))) == command


def test_no_kind_of_event_or_command_is_left_out_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert {type(command) for command in COMMANDS} == set(get_args(Command))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_field_of_a_later_version_is_passed_over(event: Event) -> None:
    assert event_from_dict({**event.to_dict(), "later": {"x": 1}}) == event


@pytest.mark.parametrize("data", [{}, {"e": "later"}, {"e": "task_updated", "task": [1, 0], "s": "LATER"}, {"e": "terminated"}])
def test_what_is_no_event_of_this_version(data: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        event_from_dict(data)


@pytest.mark.parametrize("head", [BARE, FULL], ids=["bare", "full"])
def test_a_head_comes_back_as_it_went(head: Head) -> None:
    assert there_and_back(record(head)).head == head


def test_the_count_of_a_minutes_decisions_is_kept_from_the_first() -> None:
    assert there_and_back(record(replace(BARE, burst=(29_400_000, 1)))).head.burst == (29_400_000, 1)


@pytest.mark.parametrize("sent_ms", [0, T - 1, T, T + 1])
def test_when_a_task_was_sent_is_kept_apart_from_never(sent_ms: int) -> None:
    task = OpenTask(ref="a", number=1, place=TaskPlace(1, 0), scheduled_ms=T, sent_ms=sent_ms)
    assert OpenTask.from_list("a", json.loads(json.dumps(task.to_list()))) == task


def test_a_task_in_the_head_is_small() -> None:
    task = OpenTask(ref="a", number=1, place=TaskPlace(1, 0), scheduled_ms=T, sent_ms=T, deadline_ms=T + 1)
    assert len(json.dumps(task.to_list())) < 80


@pytest.mark.parametrize(
    "change",
    [
        TaskChange(1, {}),
        TaskChange(1, {"status": TaskStatus.CANCELED}),
        TaskChange(2, {"ref": ODD, "status": TaskStatus.SCHEDULED, "attempt": 2}, {"in@": ODD}),
        TaskChange(2, {"reason": None, "is_retried": True, "poll_count": 0}, None, {}, -1),
        TaskChange(2, {"status": TaskStatus.COMPLETED}, None, None, 0),
        TaskChange(2, {"ref": "a"}, PayloadRef("k", 1), PayloadRef("l", 2)),
    ],
)
def test_a_change_comes_back_as_it_went(change: TaskChange) -> None:
    assert there_and_back(record(changes=(change,))).changes == (change,)


PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(["out", "out@", "v"]), inner, max_size=3)
    ),
    max_leaves=15,
)


@given(PAYLOADS, PAYLOADS)
def test_any_payload_comes_back_as_it_went(variables: Any, output: Any) -> None:
    found = there_and_back(record(events=tuple(EVENTS), commands=tuple(COMMANDS), variables=variables, output=output))
    assert (repr(found.variables), repr(found.output)) == (repr(variables), repr(output))
    assert (found.events, found.commands) == (tuple(EVENTS), tuple(COMMANDS))


def test_a_payload_that_looks_like_a_reference_stays_a_payload() -> None:
    assert there_and_back(record(output={"out@": ["key", 5]})).output == {"out@": ["key", 5]}
    assert there_and_back(record(output=["key", 5])).output == ["key", 5]
    assert there_and_back(record(output=PayloadRef("key", 5))).output == PayloadRef("key", 5)


# --- bytes


@pytest.mark.parametrize("chars", [0, 500, 900, 944, 945, 2000, 50_000])
def test_packing_never_costs_a_write_unit(chars: int) -> None:
    made = record(output="x" * chars)
    plain = made.to_json()
    packed = pack(made, plain)
    assert -(-(len(packed) + 80) // 1024) <= -(-(len(plain) + 80) // 1024)
    assert (packed == plain) == (len(plain) + 80 <= 1024)
    assert Record.from_json(unpack(packed)).output == "x" * chars


def test_a_record_that_was_stored_uncompressed_is_read() -> None:
    plain = record(output="x" * 5000).to_json()
    assert unpack(plain) == unpack(zlib.compress(plain)) == plain


NOISE = base64.b64encode(random.Random(1).randbytes(1500)).decode()


def test_what_repeats_the_first_record_costs_a_write_unit_less() -> None:
    first = record(output=NOISE).to_json()
    made = replace(record(output=NOISE[:1500]), seq=2)
    packed = pack(made, made.to_json(), first)
    assert needs_first(packed)
    assert len(packed) < 500 < 1024 < len(pack(made, made.to_json()))
    assert unpack(packed, first) == made.to_json()
    with pytest.raises(zlib.error):
        unpack(packed, first + b" ")


@pytest.mark.parametrize("status", [WorkflowStatus.RUNNING, WorkflowStatus.REMOVED])
def test_first_records_and_tombstones_stand_alone(status: WorkflowStatus) -> None:
    first = record(output=NOISE).to_json()
    seq = 1 if status is WorkflowStatus.RUNNING else 2
    made = replace(record(replace(BARE, status=status), output=NOISE), seq=seq)
    assert not needs_first(pack(made, made.to_json(), first))


def test_a_first_record_that_is_too_long_is_no_dictionary() -> None:
    made = replace(record(output=NOISE), seq=2)
    assert not needs_first(pack(made, made.to_json(), record(output=NOISE * 30).to_json()))


def test_a_record_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(NewerSchema, match="schema 2"):
        Record.from_dict({**record().to_dict(), "v": 2, "ev": "something else"})


def test_a_guard_is_chained_to_the_one_before_it() -> None:
    first = guarded(record())
    later = guarded(replace(record(first.head), seq=4))
    assert (first.head.guards, later.head.guards) == ((0, 1), (1, 4))
