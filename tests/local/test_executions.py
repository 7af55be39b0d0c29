"""What an execution goes through, over HTTP and on the real adapters, besides what the recordings hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from batuta_core.decider import outcome
from batuta_core.model.names import resource_name
from batuta_server import bootstrap
from batuta_server.aws.payloads import s3_client
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.local.emulator import ACCOUNT
from batuta_server.local.server import STAGE, LocalServer
from tests.local.conftest import Http, until

Line = Callable[..., str]


@pytest.fixture
def transport(server: LocalServer) -> Iterator[Transport]:
    with closing(bootstrap.connect(server.settings, Credentials(ACCOUNT, "local"))) as found:
        yield found


def take(http: Http, task_type: str) -> Any:
    return until(lambda: http("GET", f"/api/tasks/poll/{task_type}?timeout=500").body)


def report(http: Http, task: Any, status: str = "COMPLETED", output: Any = None, **more: Any) -> int:
    body = {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "status": status,
        "outputData": output or {},
        **more,
    }
    return http("POST", "/api/tasks", body).status


def stored(server: LocalServer, transport: Transport, workflow_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    """All that tables and bucket hold of an execution."""
    keys = (f"default#{workflow_id}", f"default#{workflow_id}#log")
    items: list[dict[str, Any]] = []
    for key in keys:
        request = {"TableName": resource_name(STAGE, "executions"), "KeyConditionExpression": "pk = :pk"}
        items += transport.call("dynamodb", "Query", {**request, "ExpressionAttributeValues": {":pk": {"S": key}}})["Items"]
    objects = s3_client(transport).list_objects_v2(Bucket=server.settings.bucket).get("Contents", [])
    return items, [found["Key"] for found in objects if workflow_id in found["Key"]]


def test_deleting_leaves_a_tombstone_and_nothing_else(
    http: Http, line: Line, name: str, server: LocalServer, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "PURGE_AFTER_MS", 500)
    workflow_id = line("a")
    task = take(http, f"{name}_a")
    assert http("POST", f"/api/tasks/{task['taskId']}/log", "a line").status == 200
    assert report(http, task, output={"text": "x" * 200_000}) == 200
    items, objects = stored(server, transport, workflow_id)
    assert len(items) >= 4
    assert objects
    assert http("DELETE", f"/api/workflow/{workflow_id}/remove?archiveWorkflow=false").status == 200
    assert http("GET", f"/api/workflow/{workflow_id}").status == 404

    def left() -> bool:
        items, objects = stored(server, transport, workflow_id)
        return len(items) == 1 and not objects

    until(left)
    (tombstone,) = stored(server, transport, workflow_id)[0]
    assert int(tombstone["ttl"]["N"]) > 0
    assert http("GET", f"/api/workflow/{workflow_id}").status == 404
    assert report(http, task) == 404


def test_an_ended_execution_goes_after_its_retention(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "PURGE_AFTER_MS", 100)
    server = LocalServer(0, retention_s=1)
    server.start()
    try:
        http = Http(server.port)
        http("POST", "/api/metadata/workflow", {"name": name, "tasks": [{"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE"}]})
        workflow_id = http("POST", "/api/workflow", {"name": name}).text
        assert http("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED"
        until(lambda: http("GET", f"/api/workflow/{workflow_id}").status == 404)
    finally:
        server.stop()


def test_start_and_wait(http: Http, line: Line, name: str) -> None:
    line("a")
    report(http, take(http, f"{name}_a"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http, "POST", f"/api/workflow/execute/{name}/1?waitForSeconds=10&requestId=r1", {"input": {"x": 5}})
        report(http, take(http, f"{name}_a"), output={"n": 7})
        answer = waiting.result().body
    assert answer["status"] == "COMPLETED"
    assert answer["output"] == {"n": 7}
    assert answer["requestId"] == "r1"


def test_start_and_wait_says_when_the_time_was_over(http: Http, line: Line, name: str) -> None:
    line("a")
    answer = http("POST", f"/api/workflow/execute/{name}/0?waitForSeconds=1", {})
    assert answer.status == 200
    assert answer.body["status"] == "RUNNING"


def test_the_same_idempotency_key_at_once_starts_one(http: Http, line: Line, name: str) -> None:
    line("a")
    body = {"name": name, "input": {"x": 2}, "idempotencyKey": "order-1", "idempotencyStrategy": "RETURN_EXISTING"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http("POST", "/api/workflow", body), range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    inputs = sorted(take(http, f"{name}_a")["inputData"]["x"] for _ in range(2))
    assert inputs == [1, 2]
    assert http("GET", f"/api/tasks/poll/{name}_a").status == 204
    failed = http("POST", "/api/workflow", {**body, "idempotencyStrategy": "FAIL"})
    assert (failed.status, failed.body["code"]) == (409, "execution_exists")


def test_search_pages_and_narrows(http: Http, line: Line, name: str) -> None:
    started = [line("a")] + [http("POST", "/api/workflow", {"name": name, "correlationId": f"c{n}"}).text for n in range(4)]
    http("DELETE", f"/api/workflow/{started[1]}?reason=enough")

    def found(query: str, more: str = "") -> Any:
        return http("GET", f"/api/workflow/search?query={query}{more}").body

    by_name = f"workflowType%3D%22{name}%22"
    until(lambda: found(by_name)["totalHits"] == 5)
    pages = [found(by_name, f"&start={start}&size=2")["results"] for start in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {item["workflowId"] for page in pages for item in page} == set(started)
    until(lambda: found(f"{by_name}%20AND%20status%3D%22TERMINATED%22")["totalHits"] == 1)
    (terminated,) = found(f"{by_name}%20AND%20status%3DTERMINATED")["results"]
    assert terminated["workflowId"] == started[1]
    assert terminated["reasonForIncompletion"] == "enough"
    assert [item["workflowId"] for item in http("GET", f"/api/workflow/{name}/correlated/c2").body] == [started[3]]


def test_a_failed_attempt_keeps_its_output_and_reason(http: Http, name: str) -> None:
    task_type = f"{name}_a"
    policy = {"name": task_type, "retryCount": 2, "retryLogic": "FIXED", "retryDelaySeconds": 1, "ownerEmail": "a@example.com"}
    assert http("POST", "/api/metadata/taskdefs", [policy]).status == 200
    http("POST", "/api/metadata/workflow", {"name": name, "tasks": [{"name": task_type, "taskReferenceName": "a", "type": "SIMPLE"}]})
    workflow_id = http("POST", "/api/workflow", {"name": name}).text
    report(http, take(http, task_type), "FAILED", {"n": 1}, reasonForIncompletion="no luck")
    report(http, take(http, task_type), "FAILED_WITH_TERMINAL_ERROR", {"n": 2}, reasonForIncompletion="hopeless")
    found = http("GET", f"/api/workflow/{workflow_id}").body
    assert found["status"] == "FAILED"
    assert [(task["retryCount"], task["status"], task["outputData"], task["reasonForIncompletion"]) for task in found["tasks"]] == [
        (0, "FAILED", {"n": 1}, "no luck"),
        (1, "FAILED_WITH_TERMINAL_ERROR", {"n": 2}, "hopeless"),
    ]


def test_a_batch_of_tasks_is_taken_once(http: Http, line: Line, name: str) -> None:
    line("a")
    for _ in range(24):
        http("POST", "/api/workflow", {"name": name, "input": {"x": 1}})
    with ThreadPoolExecutor(4) as pool:
        taken = [
            task
            for answer in pool.map(lambda _: http("GET", f"/api/tasks/poll/batch/{name}_a?count=10&timeout=1000"), range(4))
            for task in answer.body
        ]
    taken += http("GET", f"/api/tasks/poll/batch/{name}_a?count=30&timeout=1000").body
    assert len(taken) == 25
    assert len({task["taskId"] for task in taken}) == 25
    assert {task["status"] for task in taken} == {"IN_PROGRESS"}


def test_two_results_at_once_leave_one(http: Http, line: Line, name: str) -> None:
    workflow_id = line("a", "b")
    task = take(http, f"{name}_a")
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda n: report(http, task, output={"n": n}), range(6)))
    assert statuses == [200] * 6
    found = http("GET", f"/api/workflow/{workflow_id}").body
    assert [task["referenceTaskName"] for task in found["tasks"]] == ["a", "b"]
    take(http, f"{name}_b")
    assert http("GET", f"/api/tasks/poll/{name}_b").status == 204
