"""The table of operations (docs/reference/operations.md), walked: every operation at every status, over the real routes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.api.caller import Answer, Api, report, simple, workflow
from tests.unit.functions.api.tables import rows

STATUSES = ("RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ANOTHERS_TASK = "AQAAAAAAAEAAgAAAAAAAAAABAMQ"
SUCCESSES = (200, 204)


OPERATIONS = {row[0]: dict(zip(STATUSES, row[1:], strict=True)) for row in rows("operation")}
OF_TASKS = {row[0]: (row[1], dict(zip(STATUSES, row[2:], strict=True))) for row in rows("operation on a task")}
MESSAGES = {row[0]: row[1].strip("`") for row in rows("refusal")}


@pytest.fixture
def api() -> Api:
    found = Api()
    tasks = [{"name": "a", "retryCount": 0, "responseTimeoutSeconds": 60, "ownerEmail": "x@example.com"}, {"name": "b", "retryCount": 0}]
    assert found("POST", "/api/metadata/taskdefs", tasks).status == 200
    found.register(workflow("w", simple("a"), simple("b")), workflow("once", simple("a"), simple("b"), restartable=False))
    wait = {"name": "w", "taskReferenceName": "w", "type": "WAIT"}
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[simple("a")], [wait]]}
    found.register(workflow("beside", fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "w"]}, simple("b")))
    return found


def into(api: Api, name: str, status: str) -> str:
    """An execution of that status, which has got to its task ``a`` at least."""
    workflow_id = api.start(name)
    if status == "COMPLETED":
        api.complete("a")
        if name == "beside":
            assert api("POST", f"/api/tasks/{workflow_id}/w/COMPLETED", {}).status == 200
        api.complete("b")
    elif status == "FAILED":
        assert api("POST", "/api/tasks", report(api("GET", "/api/tasks/poll/a").body, "FAILED")).status == 200
    elif status == "TIMED_OUT":
        assert api("GET", "/api/tasks/poll/a").status == 200
        api.world.run(limit_ms=200_000)
    elif status == "PAUSED":
        assert api("PUT", f"/api/workflow/{workflow_id}/pause").status == 200
    elif status == "TERMINATED":
        assert api("DELETE", f"/api/workflow/{workflow_id}").status == 200
    assert api("GET", f"/api/workflow/{workflow_id}").body["status"] == status
    return workflow_id


def call(api: Api, operation: str, workflow_id: str) -> Answer:
    verb, _, rest = operation.partition(" ")
    route, _, note = rest.partition(" (")
    path = f"/api/workflow/{workflow_id}" + ("" if route.startswith("(") else route)
    body: Any = None
    if route == "/decide":
        path = f"/api/workflow/decide/{workflow_id}"
    elif route == "/variables":
        body = {"k": 1}
    elif route == "/rerun":
        known = api("GET", f"/api/workflow/{workflow_id}").body.get("tasks")
        own = known[0]["taskId"] if known and note == "from a task)" else None
        body = {"reRunFromTaskId": ANOTHERS_TASK if "another" in note else own}
    return api(verb, path, body)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_at_every_status(api: Api, operation: str, status: str) -> None:
    name = "once" if "restartable: false" in operation else "w"
    workflow_id = into(api, name, status)
    answer = call(api, operation, workflow_id)
    code, _, wanted = OPERATIONS[operation][status].partition(" ")
    assert answer.status == int(code), answer.text
    after = api("GET", f"/api/workflow/{workflow_id}")
    if wanted == "gone":
        assert after.status == 404
    elif answer.status in SUCCESSES:
        assert after.body["status"] == wanted
    else:
        ref = operation.split("/")[-1].split(" ")[0]
        facts = {"id": workflow_id, "name": name, "status": status, "ref": ref, "task": ANOTHERS_TASK}
        assert answer.body["message"] == MESSAGES[wanted].format(**facts)
        assert after.body["status"] == status, "a refused operation changes nothing"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("is_removed", [False, True], ids=["unknown", "removed"])
def test_no_operation_finds_what_is_not_there(api: Api, operation: str, is_removed: bool) -> None:
    workflow_id = UNKNOWN
    if is_removed:
        workflow_id = into(api, "w", "COMPLETED")
        assert api("DELETE", f"/api/workflow/{workflow_id}/remove").status == 200
    answer = call(api, operation, workflow_id)
    assert (answer.status, answer.body["message"]) == (404, f"No such workflow found by id: {workflow_id}")


# --- on its tasks


def call_on_task(api: Api, operation: str, workflow_id: str, task_id: str) -> Answer:
    verb, _, rest = operation.partition(" ")
    path, _, note = rest.partition(" ")
    status = note.strip("()") if note in ("COMPLETED", "FAILED", "IN_PROGRESS") else "COMPLETED"
    body: Any = {"n": 1}
    if path in ("/tasks", "/tasks/update-v2"):
        body = {**report({"workflowInstanceId": workflow_id, "taskId": task_id}, status), "extendLease": "extendLease" in note}
        body["taskId"] = ANOTHERS_TASK if "another" in note else task_id
    return api(verb, "/api" + path.format(id=workflow_id), body)


def is_answer(said: str, answer: Answer, workflow_id: str, task_id: str, *, was_open: bool) -> bool:
    """Whether the answer is what the table says."""
    match said:
        case "the task's id":
            return answer.text == task_id
        case "the task's id, or nothing":
            return answer.text == (task_id if was_open else "")
        case "the execution":
            return bool(answer.body["workflowId"] == workflow_id)
        case "see below":
            return bool(answer.body["targetWorkflowId"] == workflow_id)
        case _:
            return answer.text == ("" if said == "nothing" else said.strip("`").format(id=workflow_id))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", OF_TASKS)
def test_every_operation_on_a_task_at_every_status(api: Api, operation: str, status: str) -> None:
    workflow_id = into(api, "beside", status)
    said, cells = OF_TASKS[operation]
    code, _, wanted = cells[status].partition(" ")
    ref = "w" if "signal" in operation or "/w/" in operation else "a"
    before = {task["referenceTaskName"]: task for task in api("GET", f"/api/workflow/{workflow_id}").body["tasks"]}
    answer = call_on_task(api, operation, workflow_id, before[ref]["taskId"])
    assert answer.status == int(code), answer.text
    after = {task["referenceTaskName"]: task["status"] for task in api("GET", f"/api/workflow/{workflow_id}").body["tasks"]}
    if answer.status in SUCCESSES:
        was_open = before[ref]["status"] in ("SCHEDULED", "IN_PROGRESS") and "zzz" not in operation
        assert is_answer(said, answer, workflow_id, before[ref]["taskId"], was_open=was_open)
        assert after[ref] == wanted
    else:
        facts = {"id": workflow_id, "ref": operation.split("/")[3] if "/zzz/" in operation else ref, "task": ANOTHERS_TASK}
        assert answer.body["message"] == MESSAGES[wanted].format(**facts)
        assert after == {name: task["status"] for name, task in before.items()}, "a refused operation changes nothing"


@pytest.mark.parametrize("operation", OF_TASKS)
@pytest.mark.parametrize("is_removed", [False, True], ids=["unknown", "removed"])
def test_no_operation_on_a_task_finds_what_is_not_there(api: Api, operation: str, is_removed: bool) -> None:
    workflow_id = UNKNOWN
    if is_removed:
        workflow_id = into(api, "beside", "COMPLETED")
        assert api("DELETE", f"/api/workflow/{workflow_id}/remove").status == 200
    answer = call_on_task(api, operation, workflow_id, ANOTHERS_TASK)
    if "requeue" in operation:
        assert (answer.status, answer.text) == (200, f"false.{workflow_id}")
    else:
        assert (answer.status, answer.body["message"]) == (404, f"No such workflow found by id: {workflow_id}")


# --- what they do


def tasks(api: Api, workflow_id: str) -> list[tuple[str, int, str]]:
    found = api("GET", f"/api/workflow/{workflow_id}").body["tasks"]
    return [(task["referenceTaskName"], task["retryCount"], task["status"]) for task in found]


def test_a_restart_goes_on_under_the_latest_definition(api: Api) -> None:
    workflow_id = into(api, "w", "COMPLETED")
    api.register(workflow("w", simple("c"), version=2))
    assert api("POST", f"/api/workflow/{workflow_id}/restart?useLatestDefinitions=true").status == 204
    shown = api("GET", f"/api/workflow/{workflow_id}").body
    assert (shown["workflowVersion"], shown["output"], shown["status"]) == (2, {}, "RUNNING")
    assert tasks(api, workflow_id) == [("c", 0, "SCHEDULED")]
    api.complete("c")
    assert api("GET", f"/api/workflow/{workflow_id}?includeTasks=false").body["status"] == "COMPLETED"


def test_a_restart_finds_no_definition_that_was_deleted(api: Api) -> None:
    workflow_id = into(api, "w", "COMPLETED")
    assert api("DELETE", "/api/metadata/workflow/w/1").status == 200
    answer = api("POST", f"/api/workflow/{workflow_id}/restart?useLatestDefinitions=true")
    assert (answer.status, answer.body["message"]) == (404, f"Unable to find latest definition for {workflow_id}")


def test_a_rerun_from_a_task_keeps_its_id_and_forgets_what_came_behind(api: Api) -> None:
    workflow_id = into(api, "w", "COMPLETED")
    before = api("GET", f"/api/workflow/{workflow_id}").body["tasks"]
    body = {"reRunFromTaskId": before[0]["taskId"], "taskInput": {"over": 1}}
    answer = api("POST", f"/api/workflow/{workflow_id}/rerun", body)
    assert (answer.status, answer.text) == (200, workflow_id)
    (task,) = api("GET", f"/api/workflow/{workflow_id}").body["tasks"]
    assert (task["taskId"], task["inputData"], task["outputData"], task["endTime"]) == (before[0]["taskId"], {"over": 1}, {}, 0)
    assert api("GET", f"/api/tasks/{before[0]['taskId']}").body["status"] == "SCHEDULED"
    polled = api("GET", "/api/tasks/poll/a").body
    assert (polled["taskId"], polled["inputData"], polled["pollCount"]) == (before[0]["taskId"], {"over": 1}, 1)
    gone = api("POST", f"/api/workflow/{workflow_id}/rerun", {"reRunFromTaskId": before[1]["taskId"]})
    assert gone.status == 409  # it runs
    assert api("POST", "/api/tasks", report(polled)).status == 200
    api.complete("b")
    gone = api("POST", f"/api/workflow/{workflow_id}/rerun", {"reRunFromTaskId": before[1]["taskId"]})
    assert (gone.status, gone.body["message"]) == (400, f"Task {before[1]['taskId']} not found")


def test_a_rerun_with_another_input_shows_it_in_tasks_to_come(api: Api) -> None:
    api.register(workflow("reads", simple("a", inputParameters={"x": "${workflow.input.x}"}), simple("b")))
    workflow_id = api.start("reads", input={"x": 1}, correlationId="c1")
    api.complete("a")
    api.complete("b")
    body = {"workflowInput": {"x": 2}, "correlationId": "c2"}
    assert api("POST", f"/api/workflow/{workflow_id}/rerun", body).status == 200
    task = api("GET", "/api/tasks/poll/a").body
    assert (task["inputData"], task["correlationId"]) == ({"x": 2}, "c2")
    for shown in (api("GET", f"/api/workflow/{workflow_id}?includeTasks={flag}").body for flag in ("true", "false")):
        assert (shown["input"], shown["correlationId"]) == ({"x": 2}, "c2")


def test_a_retry_names_the_attempt_before_it(api: Api) -> None:
    workflow_id = into(api, "w", "FAILED")
    assert api("POST", f"/api/workflow/{workflow_id}/retry").status == 204
    first, second = api("GET", f"/api/workflow/{workflow_id}").body["tasks"]
    assert (first["retried"], second["retriedTaskId"], second["retryCount"]) == (True, first["taskId"], 1)
    assert api("GET", f"/api/tasks/{first['taskId']}").body["retried"] is True
    for flag in ("true", "false"):
        shown = api("GET", f"/api/workflow/{workflow_id}?includeTasks={flag}").body
        assert (shown["failedReferenceTaskNames"], shown["failedTaskNames"], shown["status"]) == (["a"], ["a"], "RUNNING")
        assert "reasonForIncompletion" not in shown


def test_a_skipped_task_is_stepped_over(api: Api) -> None:
    workflow_id = into(api, "w", "RUNNING")
    assert api("PUT", f"/api/workflow/{workflow_id}/skiptask/b", {"taskOutput": {"ignored": 1}}).status == 200
    assert api("PUT", f"/api/workflow/{workflow_id}/skiptask/b").status == 409
    api.complete("a", n=1)
    shown = api("GET", f"/api/workflow/{workflow_id}").body
    assert (shown["status"], shown["output"]) == ("COMPLETED", {"n": 1})
    assert sorted(tasks(api, workflow_id)) == [("a", 0, "COMPLETED"), ("b", 0, "SKIPPED")]


def test_reset_callbacks_call_a_task_at_once(api: Api) -> None:
    workflow_id = into(api, "w", "RUNNING")
    later = {**report(api("GET", "/api/tasks/poll/a").body, "IN_PROGRESS"), "callbackAfterSeconds": 600}
    assert api("POST", "/api/tasks", later).status == 200
    assert api("GET", "/api/tasks/poll/a").status == 204
    assert api("POST", f"/api/workflow/{workflow_id}/resetcallbacks").status == 204
    task = api("GET", "/api/tasks/poll/a").body
    assert (task["callbackAfterSeconds"], task["pollCount"]) == (0, 2)


def test_variables_are_set_beside_the_others_and_refused_when_too_large(api: Api) -> None:
    api.register(workflow("has", simple("a"), variables={"old": 1}))
    workflow_id = api.start("has")
    assert api("POST", f"/api/workflow/{workflow_id}/variables", {"new": [2]}).status == 200
    assert api("POST", f"/api/workflow/{workflow_id}/variables", {"big": "x" * 300_000}).status == 413
    assert api("POST", f"/api/workflow/{workflow_id}/variables", [1]).status == 400
    assert api("GET", f"/api/workflow/{workflow_id}").body["variables"] == {"old": 1, "new": [2]}


# --- in bulk

BULK = (
    ("PUT", "pause", "RUNNING", "PAUSED"),
    ("PUT", "resume", "PAUSED", "RUNNING"),
    ("POST", "restart", "COMPLETED", "RUNNING"),
    ("POST", "restart?useLatestDefinitions=true", "COMPLETED", "RUNNING"),
    ("POST", "retry", "FAILED", "RUNNING"),
    ("POST", "terminate?reason=r", "RUNNING", "TERMINATED"),
)


@pytest.mark.parametrize(("verb", "path", "before", "after"), BULK, ids=[item[1] for item in BULK])
def test_in_bulk_one_that_is_refused_stops_no_other(api: Api, verb: str, path: str, before: str, after: str) -> None:
    workflow_ids = [into(api, "w", before), into(api, "w", before)]
    answer = api(verb, f"/api/workflow/bulk/{path}", [workflow_ids[0], UNKNOWN, workflow_ids[1]])
    assert answer.status == 200
    assert answer.body == {
        "bulkSuccessfulResults": workflow_ids,
        "bulkErrorResults": {UNKNOWN: f"No such workflow found by id: {UNKNOWN}"},
    }
    assert [api("GET", f"/api/workflow/{workflow_id}").body["status"] for workflow_id in workflow_ids] == [after] * 2


def test_in_bulk_executions_are_shown_and_removed(api: Api) -> None:
    workflow_id = into(api, "w", "COMPLETED")
    shown = api("POST", "/api/workflow/bulk/search?includeTasks=false", [workflow_id, UNKNOWN]).body
    assert [item["workflowId"] for item in shown["bulkSuccessfulResults"]] == [workflow_id]
    assert list(shown["bulkErrorResults"]) == [UNKNOWN]
    assert api("DELETE", "/api/workflow/bulk/remove", [workflow_id]).body["bulkSuccessfulResults"] == [workflow_id]
    assert api("GET", f"/api/workflow/{workflow_id}").status == 404
    running = into(api, "w", "RUNNING")
    assert list(api("DELETE", "/api/workflow/bulk/remove", [running]).body["bulkErrorResults"]) == [running]
    both = api("DELETE", "/api/workflow/bulk/terminate-remove", [running]).body
    assert both == {"bulkSuccessfulResults": [running, running], "bulkErrorResults": {}}


@pytest.mark.parametrize("body", [[], ["x"] * 1001, {"a": 1}, "x", [1], [None]])
def test_in_bulk_a_body_that_is_no_list_of_ids_is_refused(api: Api, body: Any) -> None:
    assert api("PUT", "/api/workflow/bulk/pause", body).status == 400


def test_in_bulk_what_there_is_no_time_for_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow_id = into(api, "w", "RUNNING")
    monkeypatch.setattr("batuta_server.api.bulk.TIME_MAX_MS", -1)
    answer = api("PUT", "/api/workflow/bulk/pause", [workflow_id])
    assert (answer.status, answer.body["bulkSuccessfulResults"]) == (200, [])
    assert "send this one again" in answer.body["bulkErrorResults"][workflow_id]
