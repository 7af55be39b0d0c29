"""EVENT tasks and event handlers on the deployed stage: the events function with its own role, sinks and sources outside."""

from __future__ import annotations

import json
from typing import Any

from batuta import Client
from tests.e2e.cloud import Deployment
from tests.e2e.conftest import SINK, SOURCE, Keys
from tests.e2e.stand import call, completed, role_of, until, without


def _register(client: Client, name: str, sink: str) -> None:
    inputs = {"x": "${workflow.input.x}", "target": "${workflow.input.target}"}
    task = {"name": "e", "taskReferenceName": "e", "type": "EVENT", "sink": sink, "inputParameters": inputs}
    client.register_workflow({"name": name, "version": 1, "tasks": [task]})


def _waiting(client: Client, name: str) -> str:
    client.register_workflow({"name": name, "version": 1, "tasks": [{"name": "h", "taskReferenceName": "h", "type": "HUMAN"}]})
    return client.start(name, {})


def _listen(stage: Deployment, keys: Keys, name: str, event: str, *actions: Any, **fields: Any) -> None:
    body = {"name": name, "event": event, "active": True, "actions": list(actions), **fields}
    assert call(stage, keys.client, "POST", "/api/event", body).status == 200


def _completing(ref: str = "h") -> dict[str, Any]:
    return {"action": "complete_task", "complete_task": {"workflowId": "${target}", "taskRefName": ref, "output": {"got": "${x}"}}}


def test_a_handler_completes_a_task_when_its_condition_holds(stage: Deployment, client: Client, keys: Keys) -> None:
    target = _waiting(client, "events_waiter")
    _register(client, "events_source", "conductor:told")
    _listen(stage, keys, "h", "conductor:events_source:told", _completing(), condition="$.x > 1")
    completed(client, client.start("events_source", {"x": 1, "target": target}))
    assert client.get(target).status == "RUNNING"
    source: Any = completed(client, client.start("events_source", {"x": 7, "target": target}))
    assert source.output["event_produced"] == "conductor:events_source:told"
    assert completed(client, target).output["got"] == 7


def test_a_sink_that_the_stage_names_gets_it_and_no_other(stage: Deployment, client: Client) -> None:
    _register(client, "events_sink", f"sqs:{SINK}")
    source: Any = completed(client, client.start("events_sink", {"x": 7}))
    sqs = stage.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=SINK)["QueueUrl"]
    (message,) = until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))
    assert json.loads(message["Body"]) == source.output
    _register(client, "events_refused", f"sqs:{SOURCE}")
    refused = client.start("events_refused", {})
    assert until(lambda: client.get(refused).status == "FAILED")
    assert "add it to the parameter event_sinks and deploy" in str(client.get(refused).reason)


def test_a_message_of_a_source_is_an_event(stage: Deployment, client: Client, keys: Keys) -> None:
    target = _waiting(client, "events_outside")
    _listen(stage, keys, "outside", f"sqs:{SOURCE}", _completing())
    sqs = stage.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=SOURCE)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"target": target, "x": [1]}))
    assert completed(client, target).output["got"] == [1]


def test_an_event_that_cannot_be_handled_now_is_handled_later(stage: Deployment, client: Client, keys: Keys) -> None:
    """Its function may not read the handlers. Lambda runs it again, and then the decider has it sent once more."""
    target = _waiting(client, "events_late")
    _register(client, "events_late_source", "conductor")
    _listen(stage, keys, "late", "conductor:events_late_source:e", _completing())
    with without(stage.cloud, role_of(stage, "events"), "dynamodb:Query", "--definitions"):
        source = client.start("events_late_source", {"x": 7, "target": target})
        assert until(lambda: _fails(stage), timeout_s=30)
    assert client.get(source).status == "RUNNING"
    completed(client, source, timeout_s=200)
    assert completed(client, target).output["got"] == 7


def _fails(stage: Deployment) -> bool:
    from tests.e2e.stand import log_lines

    return any("event_not_published" in line for line in log_lines(stage, "events", 0))
