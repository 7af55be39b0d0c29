"""What lies on queues: read as it was written, and believed only with proof."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.model.values import EVENTS, EXECUTION, ODD, PLACE

from batuta_core.model.error import NewerSchema, TokenRefused
from batuta_core.model.event import Event, TaskHandedBack, TaskHeartbeat, TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.gate import GateDue
from batuta_core.model.message import (
    SCHEMA,
    GuardFired,
    Inbound,
    InboxMessage,
    NotOurs,
    TaskEnvelope,
    TaskMessage,
    TimerMessage,
    WantedQueue,
)
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer

SIGNER = Signer([b"k" * 16])
STRANGER = Signer([b"s" * 16])
FROM_WORKERS = (TaskStarted, TaskUpdated, TaskHeartbeat, TaskHandedBack)
RESULT = TaskUpdated(place=PLACE, status=TaskStatus.COMPLETED, output={"n": 1})

JUNK = ["", " ", "null", "5", "[]", "{}", '{"v":"1"}', '{"v":1}', '{"v":null}', "not json", "\ud800", "[" * 100_000, '{"v":0,"ns":5}']


def result(attempt: int = 1, signer: Signer = SIGNER) -> InboxMessage:
    return InboxMessage(execution=EXECUTION, event=RESULT, token=signer.task_token(EXECUTION, PLACE, attempt), attempt=attempt)


def changed(text: str, **fields: Any) -> str:
    return json.dumps({**json.loads(text), **fields})


# --- to the decider


@pytest.mark.parametrize("event", [*EVENTS, GuardFired(7)], ids=lambda event: type(event).__name__)
def test_our_own_message_is_read_as_it_was_written(event: Inbound) -> None:
    found = InboxMessage.parse(InboxMessage(execution=EXECUTION, event=event).to_text(SIGNER), SIGNER)
    assert (found.execution, found.event) == (EXECUTION, event)


def is_for_the_api(event: Event) -> bool:
    """What no worker on SQS says: where a payload lies."""
    return isinstance(getattr(event, "output", None), PayloadRef)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_token_is_proof_for_what_workers_may_say_and_for_nothing_else(event: Event) -> None:
    token = SIGNER.task_token(EXECUTION, getattr(event, "place", None) or PLACE, 1)
    text = InboxMessage(execution=EXECUTION, event=event, token=token, attempt=1).to_text()
    if isinstance(event, FROM_WORKERS) and is_for_the_api(event):
        with pytest.raises(NotOurs):
            InboxMessage.parse(text, SIGNER)
    elif isinstance(event, FROM_WORKERS):
        assert InboxMessage.parse(text, SIGNER).event == event
    else:
        with pytest.raises(TokenRefused):
            InboxMessage.parse(text, SIGNER)


@pytest.mark.parametrize(
    "fields",
    [
        {"s": "SKIPPED"},
        {"s": "SCHEDULED"},
        {"s": "COMPLETED_WITH_ERRORS"},
        {"s": ["COMPLETED"]},
        {"start": "x"},
        {"start": -1},
        {"start": 2**60},
        {"start": True},
        {"call": "1"},
        {"cb": -5},
        {"cb": 1.5},
        {"why": 7},
        {"w": {}},
        {"op": "x" * 10_001},
        {"logs": [1]},
        {"logs": {"log": "x"}},
        {"logs": [{"log": 1}]},
        {"logs": [{"log": "x", "createdTime": "now"}]},
        {"out": [1, 2]},
        {"out": "text"},
        {"out": json.loads("[" * 400 + "]" * 400)},
        {"out": {"deep": json.loads("[" * 400 + "]" * 400)}},
        {"out@": ["key", 5]},
        {"merge": 1},
        {"unknown": 1},
    ],
    ids=ascii,
)
def test_a_report_that_could_not_be_read_for_ever_is_none_of_ours(fields: dict[str, Any]) -> None:
    text = result().to_text()
    with pytest.raises(NotOurs):
        InboxMessage.parse(changed(text, ev={**json.loads(text)["ev"], **fields}), SIGNER)


@pytest.mark.parametrize(
    "fields",
    [
        {"att": 2},
        {"att": 0},
        {"tok": ""},
        {"tok": "A" * 22},
        {"ns": "other"},
        {"wf": "0188bd2e-e01a-4f0e-9a3c-0123456789ac"},
        {"ev": TaskUpdated(place=TaskPlace(300, 8), status=TaskStatus.COMPLETED).to_dict()},
        {"sig": "A" * 22},  # with a signature, the token is not looked at
    ],
)
def test_a_worker_proves_exactly_its_own_attempt(fields: dict[str, Any]) -> None:
    text = result().to_text()
    assert InboxMessage.parse(text, SIGNER) == result()
    with pytest.raises(TokenRefused):
        InboxMessage.parse(changed(text, **fields), SIGNER)


def test_what_a_stranger_signed_is_refused() -> None:
    with pytest.raises(TokenRefused):
        InboxMessage.parse(result(signer=STRANGER).to_text(), SIGNER)
    with pytest.raises(TokenRefused):
        InboxMessage.parse(InboxMessage(execution=EXECUTION, event=GuardFired(1)).to_text(STRANGER), SIGNER)


def test_a_signature_is_for_one_event_of_one_execution() -> None:
    text = InboxMessage(execution=EXECUTION, event=GuardFired(1)).to_text(SIGNER)
    for fields in ({"ns": "other"}, {"ev": GuardFired(2).to_dict()}, {"ev": {**GuardFired(1).to_dict(), "x": 1}}):
        with pytest.raises(TokenRefused):
            InboxMessage.parse(changed(text, **fields), SIGNER)


@pytest.mark.parametrize(
    "fields",
    [
        {"ev": {"e": "later"}},
        {"ev": {}},
        {"ev": None},
        {"ev": []},
        {"ev": "guard"},
        {"ev": {"e": "guard"}},
        {"ev": {"e": "guard", "record": "x"}},
        {"ev": {"e": "task_updated", "task": [1], "s": "COMPLETED"}},
        {"ev": {"e": "task_updated", "task": 5, "s": "COMPLETED"}},
        {"ev": {"e": "task_updated", "task": [1, 0], "s": "DONE"}},
        {"att": "one"},
        {"att": None},
    ],
)
def test_what_has_no_meaning_is_none_of_ours(fields: dict[str, Any]) -> None:
    with pytest.raises(NotOurs):
        InboxMessage.parse(changed(result().to_text(), **fields), SIGNER)


# --- to workers and timers

SMALLEST = TaskMessage(
    execution=EXECUTION,
    task_id="id",
    place=PLACE,
    token="tok",
    ref="a",
    task_type="a",
    attempt=1,
    input={},
    workflow_name="w",
    workflow_version=1,
    scheduled_ms=5,
)
LARGEST = TaskMessage(
    execution=EXECUTION,
    task_id="id",
    place=PLACE,
    token="tok",
    ref=ODD,
    task_type=ODD,
    attempt=3,
    input={"in@": ODD},
    workflow_name=ODD,
    workflow_version=2,
    scheduled_ms=5,
    correlation_id=ODD,
    priority=9,
    domain="d",
    iteration=4,
    call=2,
    timeout_s=3,
    response_timeout_s=4,
    total_deadline_ms=5,
    started_ms=6,
)
BY_REFERENCE = TaskMessage.parse(changed(SMALLEST.to_text(), **{"in@": ["key", 300_000]}))


@pytest.mark.parametrize("message", [SMALLEST, LARGEST, BY_REFERENCE], ids=["smallest", "largest", "by reference"])
def test_a_task_message_is_read_as_it_was_written(message: TaskMessage) -> None:
    assert TaskMessage.parse(message.to_text()) == message


def test_a_large_input_goes_by_reference() -> None:
    assert BY_REFERENCE.input == PayloadRef("key", 300_000)


_WANTED = WantedQueue("a", "d", TaskPlace(2, 1), 3)


@pytest.mark.parametrize(
    "message",
    [
        TimerMessage(execution=EXECUTION, record=3, due_ms=5),
        TimerMessage(execution=EXECUTION, record=3),
        TimerMessage(execution=EXECUTION, record=3, wanted=_WANTED),
        TimerMessage(execution=EXECUTION, record=3, wanted=_WANTED._replace(is_priority=True)),
    ],
)
def test_a_timer_message_is_read_as_it_was_written(message: TimerMessage) -> None:
    assert TimerMessage.parse(message.to_text()) == message


def test_one_kind_of_message_is_not_taken_for_another() -> None:
    for parse, text in (
        (TaskMessage.parse, TimerMessage(execution=EXECUTION, record=3).to_text()),
        (TimerMessage.parse, SMALLEST.to_text()),
        (TaskMessage.parse, result().to_text()),
        (TimerMessage.parse, result().to_text()),
    ):
        with pytest.raises(NotOurs):
            parse(text)


# --- all of them


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_junk_is_none_of_ours(text: str) -> None:
    with pytest.raises(NotOurs):
        InboxMessage.parse(text, SIGNER)
    with pytest.raises(NotOurs):
        TaskMessage.parse(text)
    with pytest.raises(NotOurs):
        TimerMessage.parse(text)


def test_a_message_of_a_newer_version_waits() -> None:
    with pytest.raises(NewerSchema):
        InboxMessage.parse('{"v":4}', SIGNER)
    with pytest.raises(NewerSchema):
        TaskMessage.parse(changed(SMALLEST.to_text(), v=2))
    with pytest.raises(NewerSchema):
        TimerMessage.parse('{"v":99}')


def test_whose_a_task_message_of_any_version_is_can_be_read() -> None:
    """Its input and all else may look otherwise by then: what a worker needs to hand it back must not."""
    known = json.loads(SMALLEST.to_text())
    newer = {key: known[key] for key in ("ns", "wf", "task", "at", "tok", "att", "sched")} | {"v": 7, "send": 3, "in": ["another form"]}
    envelope = TaskEnvelope.parse(json.dumps(newer))
    assert (envelope.schema, envelope.send, envelope.scheduled_ms) == (7, 3, SMALLEST.scheduled_ms)
    assert (envelope.execution, envelope.task_id, envelope.place) == (SMALLEST.execution, SMALLEST.task_id, SMALLEST.place)
    assert (envelope.token, envelope.attempt) == (SMALLEST.token, SMALLEST.attempt)
    assert TaskEnvelope.parse(SMALLEST.to_text()).schema == SCHEMA


@pytest.mark.parametrize("text", ["junk", "[]", '{"v":99}', '{"v":99,"ns":"shop","wf":"w","task":"t","at":[1],"tok":"x","att":1}'])
def test_an_envelope_that_says_too_little_is_not_guessed_at(text: str) -> None:
    with pytest.raises(NotOurs):
        TaskEnvelope.parse(text)


def test_a_reader_that_is_too_old_waits_as_long_again_as_the_task_has_waited() -> None:
    envelope = TaskEnvelope.parse(SMALLEST.to_text())
    waited_s = (-5, 0, 20, 31, 400, 901, 10**6)
    assert [envelope.wait_s(envelope.scheduled_ms + 1000 * seconds) for seconds in waited_s] == [30, 30, 30, 31, 400, 900, 900]


@pytest.mark.parametrize("text", ["ü", "\ud800", "\ufffe", "\uffff", "\x00", "\x1f", "😀"])
def test_no_message_holds_what_sqs_refuses(text: str) -> None:
    event = TaskUpdated(place=PLACE, status=TaskStatus.FAILED, reason=text, output={text: text})
    sent = InboxMessage(execution=EXECUTION, event=event).to_text(SIGNER)
    allowed = {"\t", "\n", "\r"}
    assert all(char in allowed or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000" for char in sent)
    assert InboxMessage.parse(sent, SIGNER).event == event


def test_what_is_said_to_gates_waits_for_functions_that_know_them() -> None:
    """Older ones take the schema of all other messages, 1, and let a newer one wait."""
    told = InboxMessage(execution=EXECUTION, event=GateDue(gate="crowd"))
    due = TimerMessage(execution=EXECUTION, record=0, due_ms=5, gate="crowd")
    assert [json.loads(text)["v"] for text in (told.to_text(SIGNER), due.to_text())] == [2, 2]
    assert InboxMessage.parse(told.to_text(SIGNER), SIGNER) == told
    assert TimerMessage.parse(due.to_text()) == due
