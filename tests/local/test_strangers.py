"""Messages on the queues that nobody of ours has written, forged results, and a stage with a part missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from batuta_core.engine.ports import NullLog, Outgoing, Ports
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import resource_name, task_queue_name
from batuta_server import bootstrap
from batuta_server.aws.provision import provision
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.local.emulator import ACCOUNT
from batuta_server.local.server import STAGE, LocalServer
from tests.local.conftest import Http, until

Line = Callable[..., str]

STRANGE = (
    "",
    "hello",
    "[]",
    "{}",
    '{"v": 1}',
    '{"v": "one"}',
    json.dumps({"v": 1, "ns": "default", "wf": "x", "ev": {"e": "task", "rec": 1}}),
    json.dumps({"Type": "Notification", "Message": "from another service"}),
    "[" * 50_000,
)


@pytest.fixture(scope="module")
def ports(server: LocalServer) -> Iterator[Ports]:
    with closing(bootstrap.connect(server.settings, Credentials(ACCOUNT, "local"))) as transport:
        yield bootstrap.make_ports(server.settings, transport, NullLog())


def queues_of(name: str) -> list[str]:
    stage_queues = [
        resource_name(STAGE, what) for what in ("decider.fifo", "timers", "dead-letters", "dead-letters.fifo", "task-dead-letters")
    ]
    return [*stage_queues, task_queue_name(STAGE, "default", f"{name}_a")]


def complete(http: Http, workflow_id: str, task_type: str) -> None:
    task = until(lambda: http("GET", f"/api/tasks/poll/{task_type}?timeout=500").body)
    assert http("POST", "/api/tasks", {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED"}).status == 200


def test_strange_messages_on_each_queue_are_dropped_and_work_goes_on(ports: Ports, http: Http, line: Line, name: str) -> None:
    workflow_id = line("a", "b")
    for queue in queues_of(name):
        is_fifo = queue.endswith(".fifo")
        for place, text in enumerate(STRANGE[1:]):  # SQS takes no empty text
            ports.queues.send(queue, [Outgoing(text, group=f"g{place}" if is_fifo else "", dedup=f"{name}{place}" if is_fifo else "")])
    complete(http, workflow_id, f"{name}_a")
    complete(http, workflow_id, f"{name}_b")
    assert until(lambda: http("GET", f"/api/workflow/{workflow_id}").body["status"]) == "COMPLETED"
    for queue in queues_of(name)[:-1]:  # on a task's queue they go when somebody polls
        until(lambda queue=queue: ports.queues.size(queue).waiting == 0)


def test_strange_messages_in_a_task_queue_hide_no_task_from_pollers(ports: Ports, http: Http, line: Line, name: str) -> None:
    first = line("a")
    complete(http, first, f"{name}_a")
    ports.queues.send(queues_of(name)[-1], [Outgoing(text) for text in STRANGE[1:9]])
    second = http("POST", "/api/workflow", {"name": name}).text
    complete(http, second, f"{name}_a")


@pytest.mark.parametrize("forge", ["another token", "no token", "another attempt", "another task's", "another execution's"])
def test_a_result_with_a_forged_token_changes_nothing(ports: Ports, http: Http, line: Line, name: str, forge: str) -> None:
    workflow_id = line("a", "b")
    queue = queues_of(name)[-1]
    received = until(lambda: ports.queues.receive(queue, 1, 1))[0]
    message = TaskMessage.parse(received.text)
    event = TaskUpdated(place=message.place, status=TaskStatus.COMPLETED, output={"forged": True}, started_ms=message.scheduled_ms)
    forged = InboxMessage(execution=message.execution, event=event, token=message.token, attempt=message.attempt)
    if forge == "another token":
        forged = replace(forged, token="A" * len(message.token))
    elif forge == "no token":
        forged = replace(forged, token="")
    elif forge == "another attempt":
        forged = replace(forged, attempt=message.attempt + 1)
    elif forge == "another task's":
        forged = replace(forged, event=replace(event, place=message.place._replace(nth=message.place.nth + 1)))
    else:
        other = http("POST", "/api/workflow", {"name": name}).text
        forged = replace(forged, execution=replace(message.execution, workflow_id=other))
    inbox = resource_name(STAGE, "decider.fifo")
    ports.queues.send(inbox, [Outgoing(forged.to_text(), group=str(forged.execution), dedup=f"{name}-forged")])
    genuine = InboxMessage(
        execution=message.execution, event=replace(event, output={"forged": False}), token=message.token, attempt=message.attempt
    )
    ports.queues.send(inbox, [Outgoing(genuine.to_text(), group=str(message.execution), dedup=f"{name}-genuine")])
    until(lambda: len(http("GET", f"/api/workflow/{workflow_id}").body["tasks"]) == 2)
    assert http("GET", f"/api/workflow/{workflow_id}").body["tasks"][0]["outputData"] == {"forged": False}


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    """One whose parts may be broken."""
    found = LocalServer(0)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def transport(own_server: LocalServer) -> Iterator[Transport]:
    with closing(bootstrap.connect(own_server.settings, Credentials(ACCOUNT, "local"))) as found:
        yield found


def test_a_missing_queue_is_made_and_a_missing_table_is_named_and_recovered_from(own_server: LocalServer, transport: Transport) -> None:
    http = Http(own_server.port)
    definition = {"name": "w", "tasks": [{"name": "lonely", "taskReferenceName": "a", "type": "SIMPLE"}]}
    assert http("POST", "/api/metadata/workflow", definition).status == 200
    queue = task_queue_name(STAGE, "default", "lonely")
    url = transport.call("sqs", "GetQueueUrl", {"QueueName": queue})["QueueUrl"]

    transport.call("sqs", "DeleteQueue", {"QueueUrl": url})
    workflow_id = http("POST", "/api/workflow", {"name": "w"}).text
    complete(http, workflow_id, "lonely")
    until(lambda: http("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED")

    table = resource_name(STAGE, "executions")
    transport.call("dynamodb", "DeleteTable", {"TableName": table})
    answer = http("POST", "/api/workflow", {"name": "w"})
    assert answer.status in (500, 503), answer.text
    assert table in answer.body["message"]
    assert answer.body["remedy"]
    assert http("GET", "/api/metadata/workflow/w").status == 200

    provision(own_server.settings, transport)
    again = http("POST", "/api/workflow", {"name": "w"})
    assert again.status == 200, again.text
    complete(http, again.text, "lonely")
    until(lambda: http("GET", f"/api/workflow/{again.text}").body["status"] == "COMPLETED")
