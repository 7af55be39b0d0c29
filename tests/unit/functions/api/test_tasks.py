"""Routes of tasks: polls, reports, signals, logs, queues."""

from __future__ import annotations

import pytest
from tests.unit.functions.api.caller import Api, report, simple, workflow

from batuta_core.simulator.world import BEGIN_MS

WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


@pytest.fixture
def order(api: Api) -> str:
    api.register(workflow("order", simple("pack", "first"), simple("ship", "second")))
    return api.start()


def test_a_poll_takes_one_and_says_when_there_is_none(api: Api, order: str) -> None:
    task = api("GET", "/api/tasks/poll/pack?workerid=w1").body
    assert (task["workflowInstanceId"], task["referenceTaskName"], task["status"], task["workerId"]) == (
        order,
        "first",
        "IN_PROGRESS",
        "w1",
    )
    nothing = api("GET", "/api/tasks/poll/pack")
    assert (nothing.status, nothing.text) == (204, "")
    assert api("GET", "/api/tasks/poll/nobody-registered-this").status == 204


@pytest.mark.parametrize(("query", "taken"), [("", 1), ("?count=3", 3), ("?count=100", 12), ("?count=0", 0), ("?count=", 1)])
def test_a_batch_holds_at_most_so_many(api: Api, query: str, taken: int) -> None:
    api.register(workflow("order"))
    for _ in range(12):
        api.start()
    batch = api("GET", f"/api/tasks/poll/batch/pack{query}")
    assert batch.status == 200
    assert len({task["taskId"] for task in batch.body}) == taken
    assert api("GET", "/api/tasks/queue/size?taskType=pack").body == 12 - taken


@pytest.mark.parametrize("timeout", ["0", "5000", "-5", ""])
def test_an_empty_batch_is_an_empty_list(api: Api, timeout: str) -> None:
    assert api("GET", f"/api/tasks/poll/batch/nobody?timeout={timeout}").body == []


def test_a_report_is_answered_with_the_tasks_id(api: Api, order: str) -> None:
    task = api("GET", "/api/tasks/poll/pack").body
    answer = api("POST", "/api/tasks", {**report(task), "outputData": {"n": 1}, "reasonForIncompletion": 42, "logs": [{"log": "l"}, {}]})
    assert (answer.status, answer.text, answer.headers["Content-Type"]) == (200, task["taskId"], "text/plain;charset=UTF-8")
    shown = api("GET", f"/api/tasks/{task['taskId']}").body
    assert (shown["status"], shown["outputData"]) == ("COMPLETED", {"n": 1})
    assert [line["log"] for line in api("GET", f"/api/tasks/{task['taskId']}/log").body] == ["l", ""]


def test_an_extended_lease_needs_no_status_and_ends_nothing(api: Api, order: str) -> None:
    task = api("GET", "/api/tasks/poll/pack").body
    body = {"workflowInstanceId": order, "taskId": task["taskId"], "extendLease": True}
    assert api("POST", "/api/tasks", body).status == 200
    assert api("POST", "/api/tasks/update-v2", body).status == 204
    assert api("GET", f"/api/tasks/{task['taskId']}").body["status"] == "IN_PROGRESS"


def test_update_v2_gives_the_next_task_of_the_type(api: Api) -> None:
    api.register(workflow("order"))
    first, second = api.start(), api.start()
    task = api("GET", "/api/tasks/poll/pack?workerid=w").body
    following = api("POST", "/api/tasks/update-v2", {**report(task), "workerId": "w"}).body
    assert {task["workflowInstanceId"], following["workflowInstanceId"]} == {first, second}
    assert following["workerId"] == "w"
    assert api("POST", "/api/tasks/update-v2", {**report(following, "IN_PROGRESS"), "callbackAfterSeconds": 60}).status == 204
    assert api("POST", "/api/tasks/update-v2", report(following)).status == 204


def test_a_report_by_reference_joins_the_output_that_is_there(api: Api, order: str) -> None:
    task = api("GET", "/api/tasks/poll/pack").body
    assert api("POST", f"/api/tasks/{order}/first/IN_PROGRESS?workerid=w", {"a": 1, "b": 1}).text == task["taskId"]
    found = api("POST", f"/api/tasks/{order}/first/COMPLETED/sync?workerid=w", {"b": 2}).body
    assert (found["workflowId"], found["tasks"][0]["status"], found["tasks"][0]["outputData"]) == (order, "COMPLETED", {"a": 1, "b": 2})
    assert found["tasks"][0]["workerId"] == "w"
    late = api("POST", f"/api/tasks/{order}/first/COMPLETED", {})
    assert (late.status, late.text) == (200, "")


def test_a_signal_ends_the_wait(api: Api) -> None:
    api.register(workflow("waits", WAIT, {**WAIT, "taskReferenceName": "again"}, simple("pack")))
    workflow_id = api.start("waits")
    assert api("POST", f"/api/tasks/{workflow_id}/COMPLETED/signal", {"n": 1}).text == ""
    tasks = api("GET", f"/api/workflow/{workflow_id}").body["tasks"]
    assert [(task["referenceTaskName"], task["status"]) for task in tasks] == [("wait", "COMPLETED"), ("again", "IN_PROGRESS")]
    assert tasks[0]["outputData"] == {"n": 1}
    began_ms = api.world.now_ms
    shown = api("POST", f"/api/tasks/{workflow_id}/COMPLETED/signal/sync?timeoutMillis=700", {}).body
    assert (shown["workflowId"], shown["status"]) == (workflow_id, "RUNNING")
    assert api.world.now_ms - began_ms == 700, "the worker's task is waited for that long"
    assert api("POST", f"/api/tasks/{workflow_id}/COMPLETED/signal", {}).status == 200, "nothing waits, which is no error"


def test_a_signal_that_leads_to_the_next_wait_is_answered_at_once(api: Api) -> None:
    api.register(workflow("waits", WAIT, {**WAIT, "taskReferenceName": "again"}))
    workflow_id = api.start("waits")
    for _ in range(2):
        assert api("POST", f"/api/tasks/{workflow_id}/COMPLETED/signal/sync", {}).status == 200
    assert api.world.now_ms == BEGIN_MS
    assert api("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED"


def test_log_lines_are_taken_as_they_are(api: Api, order: str) -> None:
    task_id = api("GET", "/api/tasks/poll/pack").body["taskId"]
    assert api("GET", f"/api/tasks/{task_id}/log").status == 204
    for raw in ("plain text", '"quoted"', "ü😀\n", ""):
        assert api("POST", f"/api/tasks/{task_id}/log", raw=raw).status == 200
        api.world.now_ms += 1
    assert [line["log"] for line in api("GET", f"/api/tasks/{task_id}/log").body] == ["plain text", '"quoted"', "ü😀\n", ""]


def test_queues_are_counted(api: Api, order: str) -> None:
    assert api("GET", "/api/tasks/queue/size?taskType=pack").body == 1
    assert api("GET", "/api/tasks/queue/size?taskType=pack&domain=north").body == 0
    assert api("GET", "/api/tasks/queue/size?taskType=nobody").body == 0
    assert api("GET", "/api/tasks/queue/sizes?taskType=pack&taskType=&taskType=ship").body == {"pack": 1, "ship": 0}
    assert api("GET", "/api/tasks/queue/all").body == {"pack": 1, "ship": 0}
    assert api("POST", "/api/tasks/queue/requeue/pack").text == "1"


def test_an_execution_is_revived_by_conductors_path(api: Api, order: str) -> None:
    assert api("GET", "/api/tasks/queue/size?taskType=pack").body == 1
    answer = api("POST", f"/api/admin/sweep/requeue/{order}")
    assert (answer.status, answer.text) == (200, f"true.{order}")
    assert api("GET", "/api/tasks/queue/size?taskType=pack").body == 2
    assert api("POST", "/api/admin/sweep/requeue/nobody").text == "false.nobody"


def test_who_polled_last_is_known(api: Api, order: str) -> None:
    api("GET", "/api/tasks/poll/pack?workerid=w1")
    api.world.now_ms += 5
    api("GET", "/api/tasks/poll/ship?workerid=w2&domain=north")
    pack = {"queueName": "pack", "workerId": "w1", "lastPollTime": BEGIN_MS}
    ship = {"queueName": "ship", "workerId": "w2", "lastPollTime": BEGIN_MS + 5, "domain": "north"}
    assert api("GET", "/api/tasks/queue/polldata?taskType=pack").body == [pack]
    assert sorted(api("GET", "/api/tasks/queue/polldata/all").body, key=lambda item: str(item["queueName"])) == [pack, ship]
