"""The timers function: what came due goes to the decider, and the minute's tick moves what is far off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, workflow
from tests.unit.functions.lambda_events import failures, sqs_event
from tests.unit.functions.strange import NEWER, STRANGE

from batuta_core.engine.ports import Incoming, QueueMissing
from batuta_core.model.event import TimerFired
from batuta_core.model.message import GuardFired, InboxMessage, TimerMessage
from batuta_core.model.names import ExecutionId, resource_name
from batuta_server.timers.handler import make_handler

EXECUTION = ExecutionId("shop", "11111111-0000-4000-8000-000000000000")
TIMERS, INBOX = resource_name("sim", "timers"), resource_name("sim", "decider.fifo")
TICK = {"version": "0", "source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}


def due(message_id: str, record: int, due_ms: int) -> Incoming:
    return Incoming(message_id, TimerMessage(execution=EXECUTION, record=record, due_ms=due_ms).to_text(), "r", 1)


def inbox(api: Api) -> list[InboxMessage]:
    found = api.ports.queues.receive(INBOX, 10, 0)
    assert all(message.group == str(EXECUTION) for message in found)
    return [InboxMessage.parse(message.text, api.ports.signer) for message in found]


def facts(api: Api) -> dict[str, Any]:
    (found,) = [facts for name, facts in api.log.lines if name == "timers"]
    assert found.pop("ms") >= 0
    return found


def test_deadlines_and_guards_become_signed_messages_for_their_execution(api: Api) -> None:
    handle = make_handler(api.ports)
    assert failures(handle(sqs_event(TIMERS, [due("m1", 3, 5_000), due("m2", 4, 0)]), None)) == []
    assert [message.event for message in inbox(api)] == [TimerFired(timer=3, due_ms=5_000), GuardFired(4)]
    assert facts(api) == {"messages": 2, "namespace": "shop", "workflow_id": EXECUTION.workflow_id}


def test_the_line_of_a_batch_names_all_its_executions(api: Api) -> None:
    other = ExecutionId("shop", "22222222-0000-4000-8000-000000000000")
    batch = [due("m1", 3, 5_000), Incoming("m2", TimerMessage(execution=other, record=1, due_ms=9).to_text(), "r", 1)]
    make_handler(api.ports)(sqs_event(TIMERS, batch), None)
    assert facts(api) == {"messages": 2, "executions": [str(EXECUTION), str(other)]}


def test_a_timer_that_is_armed_twice_fires_twice_but_its_message_once(api: Api) -> None:
    handle = make_handler(api.ports)
    for message_id in ("m1", "m1", "m2"):
        handle(sqs_event(TIMERS, [due(message_id, 3, 5_000)]), None)
    assert len(inbox(api)) == 2


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text)[:30])
def test_a_strange_message_is_dropped_and_noted_and_hinders_none(api: Api, text: str) -> None:
    batch = [Incoming("strange", text, "r", 1), due("m", 3, 5_000)]
    assert failures(make_handler(api.ports)(sqs_event(TIMERS, batch), None)) == []
    assert len(inbox(api)) == 1
    assert [facts["message_id"] for name, facts in api.log.lines if name == "message_not_ours"] == ["strange"]


def test_a_message_of_a_newer_version_waits_for_the_upgrade(api: Api) -> None:
    batch = [Incoming("newer", NEWER, "r", 1), due("m", 3, 5_000)]
    assert failures(make_handler(api.ports)(sqs_event(TIMERS, batch), None)) == ["newer"]
    assert len(inbox(api)) == 1
    assert facts(api) == {"messages": 2, "failed": 1, "namespace": "shop", "workflow_id": EXECUTION.workflow_id}


def test_a_batch_that_cannot_be_sent_on_fails_whole(api: Api) -> None:
    """Lambda gives the whole batch again when a function raises; what was sent by then is dropped by its name."""
    with pytest.raises(QueueMissing):
        make_handler(replace(api.ports, stage="gone"))(sqs_event(TIMERS, [due("m", 3, 5_000)]), None)
    assert inbox(api) == []


@pytest.mark.parametrize("tick", [TICK, {}], ids=["schedule", "empty"])
def test_the_tick_moves_what_is_due_within_a_quarter_of_an_hour(api: Api, tick: dict[str, Any]) -> None:
    wait = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT", "inputParameters": {"duration": "1 hours"}}
    api.register(workflow("waits", wait))
    api.start("waits")
    handle = make_handler(api.ports)
    before = api.ports.queues.size(TIMERS).delayed
    assert failures(handle(tick, None)) == []
    assert facts(api) == {"moved": 0}
    api.log.lines.clear()
    api.world.now_ms += 50 * 60_000
    assert failures(handle(tick, None)) == []
    assert facts(api) == {"moved": 1}
    assert len(api.world.far_timers.all()) == 0
    size = api.ports.queues.size(TIMERS)
    assert size.total - before == 1


def test_a_tick_without_any_timer_does_nothing(api: Api) -> None:
    assert failures(make_handler(api.ports)(TICK, None)) == []
    assert facts(api) == {"moved": 0}
