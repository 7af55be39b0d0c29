"""The events function: what lies on its queue, what Lambda invokes it with, what others' queues hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.functions.api.caller import Lines
from tests.unit.functions.lambda_events import failures, sqs_event
from tests.unit.functions.strange import NEWER, STRANGE

from batuta_core.engine import catalog, handlers
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.event_ports import SinkRefused
from batuta_core.engine.ports import Incoming
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.simulator.world import World
from batuta_server.events.handler import NotPublished, make_handler

NS = "shop"
SQS, INVOKED = "aws:sqs", "batuta:invoke"


class Sinks:
    def __init__(self) -> None:
        self.published: list[tuple[str, str, Any]] = []
        self.error: Exception | None = None

    def publish(self, sink: str, message_id: str, payload: str) -> None:
        if self.error:
            raise self.error
        self.published.append((sink, message_id, json.loads(payload)))


class Stand:
    def __init__(self) -> None:
        self.log = Lines()
        self.world = World(log=self.log)
        self.sinks = Sinks()
        self.handle = make_handler(self.world.plain, self.sinks, {"orders": NS})
        target = {"name": "target", "tasks": [{"name": "n", "taskReferenceName": "n", "type": "NOOP"}]}
        catalog.register_workflows(self.world.plain, NS, [target], no_javascript)

    def listen(self, event: str, **action: Any) -> None:
        start_it = {"action": "start_workflow", "start_workflow": {"name": "target", "input": {"x": "${x}"}, **action}}
        handlers.register(self.world.plain, NS, {"name": "h", "event": event, "active": True, "actions": [start_it]})

    def task(self, sink: Any = "conductor", given: Any = None, **fields: Any) -> TaskMessage:
        """The message of an EVENT task."""
        inputs = {"x": "${workflow.input.x}"}
        body = {"name": "e", "taskReferenceName": "e", "type": "EVENT", "sink": sink, "inputParameters": inputs, **fields}
        catalog.register_workflows(self.world.plain, NS, [{"name": "w", "version": 3, "tasks": [body]}], no_javascript)
        request = StartRequest(namespace=NS, name="w", input=given or {"x": 1}, task_to_domain={"*": "d"}, correlation_id="c")
        start(request, self.world.plain, no_javascript)
        (received,) = self.world.queues.receive(self.world.queues.events, 10, 0)
        self.world.queues.delete(self.world.queues.events, [received.receipt])
        return TaskMessage.parse(received.text)

    def run(self, *texts: str | TaskMessage, source: str = SQS, queue: str = "batuta-sim--events") -> list[str]:
        batch = [Incoming(f"m{n}", text if isinstance(text, str) else text.to_text(), "r", 1) for n, text in enumerate(texts)]
        event = sqs_event(queue, batch)
        for record in event["Records"]:
            record["eventSource"] = source
        return failures(self.handle(event, None))

    def sent(self) -> list[InboxMessage]:
        found = self.world.queues.receive(self.world.queues.inbox, 10, 0)
        return [InboxMessage.parse(received.text, self.world.plain.signer) for received in found]

    def report(self) -> TaskUpdated:
        (event,) = (message.event for message in self.sent() if isinstance(message.event, TaskUpdated))
        return event


def test_the_report_holds_what_conductor_shows() -> None:
    stand = Stand()
    message = stand.task("conductor:x")
    assert stand.run(message) == []
    report = stand.report()
    assert (report.status, report.place, report.reason) == (TaskStatus.COMPLETED, message.place, None)
    assert report.output == {
        "x": 1,
        "sink": "conductor:x",
        "asyncComplete": False,
        "workflowInstanceId": message.execution.workflow_id,
        "workflowType": "w",
        "workflowVersion": 3,
        "correlationId": "c",
        "taskToDomain": {"*": "d"},
        "event_produced": "conductor:w:x",
    }


@pytest.mark.parametrize(
    ("sink", "produced", "reason"),
    [
        ("conductor", "conductor:w:e", None),
        ("conductor:", "conductor:w:", None),
        ("conductor:a:b", "conductor:w:a:b", None),
        ("conductors", None, "Invalid / Unsupported sink specified: conductors"),
        ("", None, "Invalid / Unsupported sink specified: "),
        ("sqs:q", "sqs:q", None),
        ("kafka:t", "kafka:t", "Error loading queue:kafka:t, for task:{task}, error: Unknown queue type kafka"),
        ("sqs", "sqs", "Error loading queue:sqs, for task:{task}, error: Illegal event sqs"),
        ("${workflow.input.nobody}", None, "Invalid / Unsupported sink specified: "),
        ("${workflow.input.x}", "1", "Error loading queue:1, for task:{task}, error: Illegal event 1"),
    ],
)
def test_sinks(sink: str, produced: str | None, reason: str | None) -> None:
    stand = Stand()
    message = stand.task(sink)
    assert stand.run(message) == []
    report = stand.report()
    assert report.status is (TaskStatus.FAILED if reason is not None else TaskStatus.COMPLETED)
    assert report.reason == (reason.format(task=message.task_id) if reason is not None else None)
    assert report.output.get("event_produced") == produced


def test_async_complete_leaves_it_in_progress() -> None:
    stand = Stand()
    stand.run(stand.task(asyncComplete=True))
    assert stand.report().status is TaskStatus.IN_PROGRESS


def test_a_sink_outside_gets_the_output() -> None:
    stand = Stand()
    message = stand.task("sqs:q")
    stand.run(message)
    ((sink, message_id, payload),) = stand.sinks.published
    assert (sink, message_id, payload) == ("sqs:q", message.task_id, dict(stand.report().output))


def test_a_sink_that_refuses_fails_the_task_and_one_that_is_away_is_asked_again() -> None:
    stand = Stand()
    message = stand.task("sqs:q")
    stand.sinks.error = Unavailable("throttled")
    assert stand.run(message) == ["m0"]
    assert stand.sent() == []
    with pytest.raises(NotPublished, match="1 of 1 events: m0"):  # nobody reads what it answers
        stand.run(message, source=INVOKED)
    stand.sinks.error = SinkRefused("not on this stage")
    assert stand.run(message) == []
    assert (stand.report().status, stand.sinks.published) == (TaskStatus.FAILED, [])


def test_one_that_must_come_again_holds_up_no_other() -> None:
    stand = Stand()
    good, bad = stand.task("conductor"), stand.task("sqs:q")
    stand.sinks.error = Unavailable("throttled")
    assert stand.run(bad, good) == ["m0"]
    assert stand.report().place == good.place


def test_handlers_hear_of_it_before_it_is_reported() -> None:
    stand = Stand()
    stand.listen("conductor:w:e")
    stand.run(stand.task())
    started, reported = (message.event for message in stand.sent())
    assert (getattr(started, "event", ""), type(reported)) == ("conductor:w:e", TaskUpdated)


def test_a_large_input_is_read_and_its_report_goes_by_reference() -> None:
    stand = Stand()
    message = stand.task("conductor", {"x": "y" * 300_000})
    assert isinstance(message.input, PayloadRef)
    assert stand.run(message) == []
    assert isinstance(stand.report().output, PayloadRef)


def test_a_message_without_the_tasks_token_is_dropped() -> None:
    stand = Stand()
    stand.listen("conductor:w:e")
    assert stand.run(replace(stand.task(), token="forged")) == []
    assert stand.sent() == []
    assert ("message_refused", "no valid token") in [(event, facts.get("error")) for event, facts in stand.log.lines]


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_not_ours_is_dropped(text: str) -> None:
    stand = Stand()
    assert stand.run(text) == []
    assert stand.sent() == []


def test_what_is_newer_waits() -> None:
    assert Stand().run(NEWER) == ["m0"]


# --- others' queues


@pytest.mark.parametrize(("text", "x"), [('{"x": {"y": 1}}', {"y": 1}), ("no json", None), ("[1]", None), ('{"x": NaN}', None)])
def test_a_message_of_a_source_is_an_event_of_its_queue(text: str, x: Any) -> None:
    stand = Stand()
    stand.listen("sqs:orders")
    assert stand.run(text, queue="orders") == []
    (message,) = stand.sent()
    assert message.event.input["x"] == x  # type: ignore[union-attr]
    assert message.event.input["conductor.event.messageId"] == "m0"  # type: ignore[union-attr]


def test_a_message_that_comes_again_starts_the_same_once() -> None:
    stand = Stand()
    stand.listen("sqs:orders")
    for _ in range(2):
        stand.run("{}", queue="orders")
    assert len({message.execution for message in stand.sent()}) == 1


def test_a_message_of_another_queue_is_no_event() -> None:
    stand = Stand()
    stand.listen("sqs:strange")
    assert stand.run("{}", queue="strange") == []
    assert stand.sent() == []


def test_of_a_source_only_what_failed_comes_again() -> None:
    stand = Stand()
    stand.listen("sqs:orders")
    sends = stand.world.plain.queues.send
    broken = replace(stand.world.plain, queues=cast(Any, _Failing(sends)))
    stand.handle = make_handler(broken, stand.sinks, {"orders": NS})
    assert stand.run('{"x": "bad"}', '{"x": 1}', queue="orders") == ["m0"]
    (message,) = stand.sent()
    assert isinstance(message.execution, ExecutionId)


class _Failing:
    def __init__(self, send: Any) -> None:
        self._send = send

    def send(self, queue: str, messages: Any) -> None:
        if any('"bad"' in message.text for message in messages):
            raise Unavailable("throttled")
        self._send(queue, messages)
