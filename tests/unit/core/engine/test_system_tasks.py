"""Tasks that a function of ours runs, through the engine: which queue they go to, and what becomes of what it gave up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.engine.server import Server, simple

from batuta_core.engine import poll
from batuta_core.engine.dead_letters import drain_tasks
from batuta_core.engine.ports import Incoming, Outgoing
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TASK_INPUT_MAX_BYTES, InboxMessage, TaskMessage
from batuta_core.model.payload import PayloadRef


def http(ref: str) -> dict[str, object]:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "HTTP",
        "inputParameters": {"uri": "http://h/${workflow.input.x}", "method": "GET"},
    }


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(http("h"), simple("z"), task_definitions=[{"name": "h", "retryCount": 0}])
    return found


def messages(server: Server) -> list[TaskMessage]:
    return [TaskMessage.parse(received.text) for received in server.world.queues.receive(server.world.queues.http, 10, 0)]


def test_it_goes_to_the_stages_own_queue_with_its_token_and_no_worker_gets_it(server: Server) -> None:
    execution = server.start(input={"x": 1})
    assert [queue for queue in server.world.queues.task_queues() if server.waiting(queue) or "HTTP" in queue] == []
    assert poll.poll(server.ports, "shop", "HTTP", worker_id="w", timeout_ms=0) == []
    (message,) = messages(server)
    assert (message.execution, message.task_type, message.ref) == (execution, "HTTP", "h")
    assert message.input == {"uri": "http://h/1", "method": "GET", "asyncComplete": False}
    server.report(message, output={"response": {}})
    assert server.take("z") is not None


def test_an_input_that_no_message_holds_comes_by_reference() -> None:
    server = Server()
    server.register(http("h"))
    server.start(input={"x": "x" * TASK_INPUT_MAX_BYTES})
    (message,) = messages(server)
    assert isinstance(message.input, PayloadRef)


@pytest.mark.parametrize(
    "told", [lambda event: event, lambda event: {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": event}]
)
def test_what_lambda_gave_up_in_one_event_fails_each_of_its_tasks_with_the_reason(server: Server, told: Any) -> None:
    executions = [server.start(), server.start()]
    bodies = [received.text for received in server.world.queues.receive(server.world.queues.http, 10, 0)]
    event = json.dumps(told({"Records": [{"body": body} for body in [bodies[0], "junk", bodies[1]]]}))
    server.world.queues.send(server.world.queues.task_dead_letters, [Outgoing(event)])
    server.settle()
    for execution in executions:
        assert server.status(execution) == "FAILED"
        assert "the http function died while it ran this attempt" in (server.newest(execution).head.reason or "")
    assert server.log.events.count("message_not_ours") == 1


def test_an_event_with_a_message_of_a_newer_version_is_kept_whole(server: Server) -> None:
    server.start()
    (received,) = server.world.queues.receive(server.world.queues.http, 10, 0)
    event = json.dumps({"Records": [{"body": received.text}, {"body": '{"v":4}'}]})
    assert drain_tasks(server.ports, [Incoming("m", event, "r", 1)]) == ["m"]


def test_a_result_is_believed_with_its_token_only(server: Server) -> None:
    execution = server.start()
    (message,) = messages(server)
    event = TaskUpdated(place=message.place, status=TaskStatus.COMPLETED, output={})
    server.send(InboxMessage(execution=execution, event=event, token="guessed", attempt=1))
    server.settle()
    assert list(server.newest(execution).head.open) == ["h"]
