"""What each route refuses, by name. The table holds every route: one that is new must say what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest
from tests.unit.functions.api.caller import Api, report, workflow
from tests.unit.functions.api.test_request import MALFORMED

from batuta_server.api.handler import _make_app

UNKNOWN = "00000000-0000-4000-8000-000000000000"
RESULT = {"workflowInstanceId": UNKNOWN, "taskId": "t", "status": "COMPLETED"}


class Case(NamedTuple):
    """``{w}``: a running execution, ``{done}``: one that is completed, ``{t}``: the task of the former, ``{waits}``: one that waits for
    a signal."""

    method: str
    path: str
    body: Any
    status: int
    code: str
    says: str


REFUSED = (409, "operation_refused")
INVALID, NO_WORKFLOW, NO_TASK = (400, "invalid_input"), (404, "workflow_not_found"), (404, "task_not_found")
NO_DEFINITION, NO_TASK_DEFINITION = (404, "workflow_definition_not_found"), (404, "task_definition_not_found")
NO_WORKFLOW_SAYS = f"No such workflow found by id: {UNKNOWN}"

HANDLER = {"name": "heard", "event": "e", "actions": [{"action": "start_workflow", "start_workflow": {"name": "order"}}]}

CASES = [
    Case("POST", "/api/metadata/workflow", {"name": "x", "tasks": []}, *INVALID, "tasks"),
    Case("POST", "/api/metadata/workflow", [], *INVALID, ""),
    Case("POST", "/api/metadata/workflow", workflow("order"), 409, "definition_exists", "order.1 already exists"),
    Case("POST", "/api/metadata/workflow?overwrite=perhaps", workflow("order"), *INVALID, "overwrite"),
    Case("POST", "/api/metadata/workflow/validate", {"name": "x"}, *INVALID, "tasks"),
    Case("PUT", "/api/metadata/workflow", [], *INVALID, "WorkflowDefList is empty"),
    Case("PUT", "/api/metadata/workflow", workflow("x"), *INVALID, "must be a list"),
    Case("PUT", "/api/metadata/workflow", [workflow("x"), workflow("y", {"name": "a"})], *INVALID, "[1].tasks[0].taskReferenceName"),
    Case("GET", "/api/metadata/workflow/nobody", None, *NO_DEFINITION, "No such workflow found by name: nobody, version: null"),
    Case("GET", "/api/metadata/workflow/order?version=7", None, *NO_DEFINITION, "name: order, version: 7"),
    Case("GET", "/api/metadata/workflow/order?version=one", None, *INVALID, "version"),
    Case("DELETE", "/api/metadata/workflow/order/7", None, *NO_DEFINITION, "No such workflow definition: order version: 7"),
    Case("DELETE", "/api/metadata/workflow/order/one", None, *INVALID, "'one' is not a version"),
    Case("DELETE", "/api/metadata/workflow/order/%C2%B2", None, *INVALID, "is not a version"),
    Case("DELETE", "/api/metadata/workflow/order/--1", None, *INVALID, "is not a version"),
    Case("DELETE", "/api/metadata/workflow/order/" + "9" * 5000, None, *INVALID, "is not a version"),
    Case("POST", "/api/metadata/taskdefs", [], *INVALID, "TaskDefList is empty"),
    Case("POST", "/api/metadata/taskdefs", {"name": "x"}, *INVALID, "must be a list"),
    Case("POST", "/api/metadata/taskdefs", [{"name": "x", "retryCount": -1}], *INVALID, "[0].retryCount"),
    Case("PUT", "/api/metadata/taskdefs", {"name": "nobody"}, *NO_TASK_DEFINITION, "No such task by name nobody"),
    Case("PUT", "/api/metadata/taskdefs", [{"name": "x"}], *INVALID, ""),
    Case("GET", "/api/metadata/taskdefs/nobody", None, *NO_TASK_DEFINITION, "No such taskType found by name: nobody"),
    Case("DELETE", "/api/metadata/taskdefs/nobody", None, *NO_TASK_DEFINITION, "No such task definition"),
    Case("POST", "/api/workflow/test", {"name": "nobody"}, *NO_DEFINITION, "No such workflow defined. name=nobody"),
    Case(
        "POST",
        "/api/workflow/test",
        {"name": "order", "taskRefToMockOutput": {"a": [{"status": "SCHEDULED"}]}},
        *INVALID,
        "A mock's status",
    ),
    Case("POST", "/api/workflow/test", {"name": "order", "taskRefToMockOutput": {"a": {}}}, *INVALID, "taskRefToMockOutput.a"),
    Case("POST", "/api/workflow", {"name": "nobody"}, *NO_DEFINITION, "No such workflow defined. name=nobody, version=null"),
    Case("POST", "/api/workflow", {"name": "order", "version": 9}, *NO_DEFINITION, "version=9"),
    Case("POST", "/api/workflow", {}, *INVALID, "Workflow name cannot be null or empty"),
    Case("POST", "/api/workflow", [], *INVALID, ""),
    Case("POST", "/api/workflow", {"name": "order", "input": None}, *INVALID, "NULL input"),
    Case("POST", "/api/workflow", {"name": "order", "input": []}, *INVALID, "input"),
    Case("POST", "/api/workflow", {"name": "order", "version": "one"}, *INVALID, "version"),
    Case("POST", "/api/workflow", {"name": "order", "version": 2**31}, *INVALID, "version"),
    Case("POST", "/api/workflow", {"name": "order", "priority": 100}, *INVALID, "priority"),
    Case("POST", "/api/workflow", {"name": "order", "taskToDomain": {"a": 1}}, *INVALID, "taskToDomain.a"),
    Case("POST", "/api/workflow", {"name": "order", "idempotencyStrategy": "GUESS"}, *INVALID, "idempotencyStrategy"),
    Case("POST", "/api/workflow", {"name": "order", "idempotencyKey": "taken"}, 409, "execution_exists", "the idempotency key is taken"),
    Case("POST", "/api/workflow", {"name": "x", "workflowDef": {"name": "x", "tasks": 1}}, *INVALID, "tasks"),
    Case("POST", "/api/workflow/order/correlated", {"a": 1}, 400, "invalid_input", "list of correlation ids"),
    Case("POST", "/api/workflow/order/correlated", ["x"] * 101, 400, "invalid_input", "the limit is 100"),
    Case("POST", "/api/event", {"name": "h"}, *INVALID, "Missing event location"),
    Case("POST", "/api/event", HANDLER, 409, "event_handler_exists", "EventHandler with name heard already exists!"),
    Case("PUT", "/api/event", {**HANDLER, "name": "nobody"}, 404, "event_handler_not_found", "EventHandler with name nobody not found!"),
    Case("DELETE", "/api/event/nobody", None, 404, "event_handler_not_found", "EventHandler with name nobody not found!"),
    Case("GET", "/api/event/conductor?activeOnly=x", None, *INVALID, "activeOnly"),
    Case("POST", "/api/workflow", {"name": "order", "input": {"x": "y" * 5_500_000}}, 413, "payload_too_large", "the input has"),
    Case(
        "POST", "/api/workflow", {"name": "order", "externalInputPayloadStoragePath": "_uploads/elsewhere/12345678"}, *INVALID, "no path of"
    ),
    Case("POST", "/api/workflow/execute/nobody/1", {}, *NO_DEFINITION, "name=nobody"),
    Case("POST", "/api/workflow/execute/order/one", {}, *INVALID, "0 for the latest"),
    Case("POST", "/api/workflow/execute/order/%C2%B2", {}, *INVALID, "is not a version"),
    Case("POST", "/api/workflow/execute/order/1?waitForSeconds=long", {}, *INVALID, "waitForSeconds"),
    Case("POST", "/api/workflow/execute/order/1?returnStrategy=ALL", {}, *INVALID, "returnStrategy"),
    Case("POST", "/api/workflow/nobody", {}, *NO_DEFINITION, "name=nobody"),
    Case("POST", "/api/workflow/order", [], *INVALID, "it must be a JSON object"),
    Case("POST", "/api/workflow/order?priority=x", {}, *INVALID, "priority"),
    Case("POST", "/api/workflow/order?version=x", {}, *INVALID, "version"),
    *[
        Case("GET", f"/api/{of}/{name}?operation={operation}&payloadType={kind}&path={path}", None, *INVALID, says)
        for of, name in (
            ("workflow", "externalstoragelocation"),
            ("workflow", "external-storage-location"),
            ("tasks", "externalstoragelocation"),
            ("tasks", "external-storage-location"),
        )
        for operation, kind, path, says in (
            ("LIST", "TASK_INPUT", "", "Invalid input - Operation: LIST, PayloadType: TASK_INPUT"),
            ("READ", "TASK", "", "Invalid input - Operation: READ, PayloadType: TASK"),
            ("READ", "TASK_INPUT", "", "is no path of a payload in namespace"),
            ("READ", "TASK_INPUT", "elsewhere/8e2f7a52-0000-4000-8000-000000000001/abcdefgh", "is no path of a payload in namespace"),
            ("READ", "TASK_INPUT", "_uploads/elsewhere/8e2f7a52-0000-4000-8000-000000000001", "is no path of a payload in namespace"),
        )
    ],
    Case("GET", "/api/workflow/search?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/workflow/search?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/workflow/search?start=-1", None, *INVALID, "must not be negative"),
    Case("GET", "/api/workflow/search?size=-1", None, *INVALID, "must not be negative"),
    Case("GET", "/api/workflow/search?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/workflow/search?size=all", None, *INVALID, "size"),
    Case("GET", "/api/workflow/search-v2?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/workflow/search-v2?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/workflow/search-v2?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/workflow/search-by-tasks?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/workflow/search-by-tasks?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/workflow/search-by-tasks?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/workflow/search-by-tasks-v2?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/workflow/search-by-tasks-v2?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/workflow/search-by-tasks-v2?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/tasks/search?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/tasks/search?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/tasks/search?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/tasks/search-v2?freeText=parcel", None, *INVALID, "no free text search"),
    Case("GET", "/api/tasks/search-v2?query=nonsense", None, *INVALID, "Incorrectly formatted query string"),
    Case("GET", "/api/tasks/search-v2?size=5001", None, *INVALID, "more than 5000"),
    Case("GET", "/api/tasks/search?query=updateTime%3D5", None, *INVALID, "updateTime takes < or >"),
    Case("GET", "/api/workflow/order/correlated/c?includeClosed=x", None, 200, "", ""),  # read for what is found only
    Case("PUT", f"/api/workflow/decide/{UNKNOWN}", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", f"/api/workflow/{UNKNOWN}/tasks", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", "/api/workflow/{w}/tasks?start=-1", None, *INVALID, "start (-1) and count (15) must not be negative"),
    Case("GET", "/api/workflow/{w}/tasks?count=-1", None, *INVALID, "start (0) and count (-1) must not be negative"),
    Case("GET", "/api/workflow/{w}/tasks?count=few", None, *INVALID, "count"),
    Case("GET", f"/api/workflow/{UNKNOWN}/journal", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", "/api/workflow/{w}/journal?from=0", None, *INVALID, "from is 0"),
    Case("GET", "/api/workflow/{w}/journal?from=99", None, *INVALID, "from is 99"),
    Case("GET", f"/api/workflow/{UNKNOWN}/journal/payloads/k", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", "/api/workflow/{w}/journal/payloads/none", None, *NO_WORKFLOW, ""),
    Case("GET", f"/api/workflow/{UNKNOWN}/status", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", "/api/workflow/{w}/status?includeOutput=x", None, *INVALID, "includeOutput"),
    Case("GET", f"/api/workflow/{UNKNOWN}", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("GET", "/api/workflow/no-id-at-all", None, *NO_WORKFLOW, "no-id-at-all"),
    Case("GET", "/api/workflow/{w}?includeTasks=x", None, *INVALID, "includeTasks"),
    Case("DELETE", f"/api/workflow/{UNKNOWN}", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("DELETE", "/api/workflow/{done}", None, 409, "operation_refused", "Cannot terminate a COMPLETED workflow."),
    Case("DELETE", "/api/workflow/{w}?triggerFailureWorkflow=x", None, *INVALID, "triggerFailureWorkflow"),
    Case("DELETE", f"/api/workflow/{UNKNOWN}/remove", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("DELETE", "/api/workflow/{w}/remove", None, *INVALID, "Cannot archive workflow"),
    Case("DELETE", "/api/workflow/{w}/remove?archiveWorkflow=x", None, *INVALID, "archiveWorkflow"),
    Case("DELETE", f"/api/workflow/{UNKNOWN}/terminate-remove", None, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("DELETE", "/api/workflow/{done}/terminate-remove", None, 409, "operation_refused", "Cannot terminate"),
    # Operations at each status: test_operations.py.
    Case("PUT", "/api/workflow/{done}/pause", None, *REFUSED, "has ended, status cannot be updated"),
    Case("PUT", "/api/workflow/{w}/resume", None, *REFUSED, "is not PAUSED so cannot resume"),
    Case("POST", "/api/workflow/{w}/retry", None, 404, "not_ended_yet", "Workflow is still running.  status=RUNNING"),
    Case("POST", "/api/workflow/{w}/restart", None, *REFUSED, "is not in terminal state, unable to restart"),
    Case("POST", "/api/workflow/{done}/restart?useLatestDefinitions=perhaps", None, *INVALID, "useLatestDefinitions"),
    Case("POST", "/api/workflow/{w}/rerun", {}, *REFUSED, "is not in terminal state, unable to rerun"),
    Case("POST", "/api/workflow/{done}/rerun", {"reRunFromTaskId": "x"}, *INVALID, "Task x not found"),
    Case("POST", "/api/workflow/{done}/rerun", {"taskInput": 1}, *INVALID, "taskInput"),
    Case("PUT", "/api/workflow/{w}/skiptask/pack", None, *REFUSED, "has already been processed"),
    Case("POST", "/api/workflow/{done}/resetcallbacks", None, *REFUSED, "Workflow is in terminal state. Status = COMPLETED"),
    Case("POST", "/api/workflow/{done}/variables", {"a": 1}, *REFUSED, "Workflow is in terminal state. Status = COMPLETED"),
    Case("POST", "/api/workflow/{w}/variables", [], *INVALID, "must be a JSON object"),
    *(
        Case(method, f"/api/workflow/bulk/{name}", [], *INVALID, "WorkflowIds list cannot be null.")
        for method, name in (
            ("PUT", "pause"),
            ("PUT", "resume"),
            ("POST", "restart"),
            ("POST", "retry"),
            ("POST", "terminate"),
            ("POST", "search"),
            ("DELETE", "remove"),
            ("DELETE", "terminate-remove"),
        )
    ),
    Case("GET", "/api/tasks/poll/batch/pack?count=101", None, *INVALID, "between 0 and 100"),
    Case("GET", "/api/tasks/poll/batch/pack?count=-1", None, *INVALID, "between 0 and 100"),
    Case("GET", "/api/tasks/poll/batch/pack?timeout=5001", None, *INVALID, "cannot be more than 5 seconds"),
    Case("POST", "/api/tasks", RESULT, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("POST", "/api/tasks", {**RESULT, "workflowInstanceId": "{w}"}, *NO_TASK, "No such task found by id: t"),
    Case("POST", "/api/tasks", {**RESULT, "workflowInstanceId": "{done}", "taskId": "{t}"}, *NO_TASK, "No such task found by id"),
    Case("POST", "/api/tasks", {}, *INVALID, "Task ID cannot be null or empty"),
    Case("POST", "/api/tasks", {**RESULT, "status": "SCHEDULED"}, *INVALID, "must be one of"),
    Case("POST", "/api/tasks", {**RESULT, "status": "DONE"}, *INVALID, "status"),
    Case("POST", "/api/tasks", {**RESULT, "outputData": [1]}, *INVALID, "outputData"),
    Case("POST", "/api/tasks", {**RESULT, "callbackAfterSeconds": -1}, *INVALID, "callbackAfterSeconds"),
    Case("POST", "/api/tasks", {**RESULT, "logs": [{"log": {}}]}, *INVALID, "logs[0].log"),
    Case("POST", "/api/tasks", {**RESULT, "outputData": {"x": "y" * 5_500_000}}, 413, "payload_too_large", "the output has"),
    Case("POST", "/api/tasks/update-v2", RESULT, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("POST", "/api/tasks/update-v2", {**RESULT, "status": None}, *INVALID, "status"),
    Case("GET", "/api/tasks/queue/size", None, *INVALID, "The query parameter taskType is missing"),
    Case("GET", "/api/tasks/queue/sizes", None, *INVALID, "The query parameter taskType is missing"),
    Case("GET", "/api/tasks/queue/polldata?taskType=", None, *INVALID, "The query parameter taskType is missing"),
    Case("POST", f"/api/tasks/{UNKNOWN}/COMPLETED/signal", {}, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("POST", "/api/tasks/{w}/DONE/signal", {}, *INVALID, "'DONE' is not a status"),
    Case("POST", "/api/tasks/{w}/COMPLETED/signal", [], *INVALID, "it must be a JSON object"),
    Case("POST", "/api/tasks/{waits}/COMPLETED/signal/sync?timeoutMillis=long", {}, *INVALID, "timeoutMillis"),
    Case("POST", "/api/tasks/{w}/COMPLETED/signal/sync", {}, *NO_TASK, "Found no blocked task"),
    Case("POST", f"/api/tasks/{UNKNOWN}/COMPLETED/signal/sync", {}, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("POST", f"/api/tasks/{UNKNOWN}/pack/COMPLETED", {}, *NO_WORKFLOW, NO_WORKFLOW_SAYS),
    Case("POST", "/api/tasks/{w}/pack/completed", {}, *INVALID, "'completed' is not a status"),
    Case("POST", "/api/tasks/{w}/pack/COMPLETED", "text", *INVALID, "it must be a JSON object"),
    Case("POST", "/api/tasks/{w}/nothing/COMPLETED/sync", {}, *NO_TASK, "Found no running task nothing"),
    Case("POST", "/api/tasks/nothing/log", None, *NO_TASK, "Task not found for taskId: nothing"),
    Case("GET", "/api/tasks/nothing", None, *NO_TASK, "Task not found for taskId: nothing"),
]

# They list what there is, or say that there is nothing.
REFUSE_NOTHING = {
    ("GET", path)
    for path in (
        "/api/metadata/workflow",
        "/api/metadata/workflow/names",
        "/api/metadata/workflow/names-and-versions",
        "/api/metadata/workflow/latest-versions",
        "/api/metadata/workflow/x/versions",
        "/api/metadata/taskdefs",
        "/api/tasks/queue/all",
        "/api/tasks/queue/polldata/all",
        "/api/workflow/running/x",
        "/api/tasks/poll/x",
        "/api/tasks/x/log",
        "/api/health",
        "/health",
        "/api/version",
        "/api/batuta",
        "/api/event",
        "/api/event/execution/x",
    )
} | {("POST", "/api/tasks/queue/requeue/x"), ("POST", "/api/admin/sweep/requeue/x")}


@pytest.fixture(scope="module")
def stage() -> tuple[Api, dict[str, str]]:
    """A world in which something is there already. Refusals leave it as it is."""
    api = Api()
    wait = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}
    api.register(workflow("order"), workflow("waits", wait))
    assert api("POST", "/api/event", HANDLER).status == 200
    done = api.start(idempotencyKey="taken")
    api.complete("pack")
    running = api.start()
    (task,) = api("GET", "/api/tasks/poll/batch/pack").body
    return api, {"waits": api.start("waits"), "w": running, "done": done, "t": task["taskId"]}


def filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.path[:60]} {case.says[:30]}")
def test_refusal_names_its_reason(stage: tuple[Api, dict[str, str]], case: Case) -> None:
    api, names = stage
    raw = None if case.body is None else filled(json.dumps(case.body), names)
    before = list(api.world.queues.texts()), [api.world.journal.newest(execution) for execution in api.world.journal.executions()]
    answer = api(case.method, filled(case.path, names), raw=raw)
    assert answer.status == case.status, answer.text
    if case.status != 200:
        assert answer.body["code"] == case.code
        assert case.says in answer.text.replace('\\"', '"')
        assert answer.body["remedy"]
        assert ("validationErrors" in answer.body["remedy"]) == ("validationErrors" in answer.body)
    after = list(api.world.queues.texts()), [api.world.journal.newest(execution) for execution in api.world.journal.executions()]
    assert after == before, "refused whole"


def test_every_route_says_what_it_refuses() -> None:
    app = _make_app(Api().ports, {})
    asked = {(case.method, case.path.partition("?")[0].replace("{", "").replace("}", "")) for case in CASES} | REFUSE_NOTHING
    silent = [
        (route.method, route.rule)
        for route in app.routes
        if not any(method == route.method and re.fullmatch(re.sub("<\\w+>", "[^/]+", route.rule), path) for method, path in asked)
    ]
    assert silent == []


BODIES = [
    ("POST", "/api/event"),
    ("PUT", "/api/event"),
    ("POST", "/api/metadata/workflow"),
    ("POST", "/api/metadata/workflow/validate"),
    ("PUT", "/api/metadata/workflow"),
    ("POST", "/api/metadata/taskdefs"),
    ("PUT", "/api/metadata/taskdefs"),
    ("POST", "/api/workflow"),
    ("POST", "/api/workflow/execute/order/1"),
    ("POST", "/api/workflow/order"),
    ("POST", "/api/tasks"),
    ("POST", "/api/tasks/update-v2"),
    ("POST", "/api/tasks/{w}/COMPLETED/signal"),
    ("POST", "/api/tasks/{w}/COMPLETED/signal/sync"),
    ("POST", "/api/tasks/{w}/pack/COMPLETED"),
    ("POST", "/api/tasks/{w}/pack/COMPLETED/sync"),
]
BAD_BODIES = [*MALFORMED, "null", "1", '"text"', "[" * 221 + "1" + "]" * 221, "[" * 100_000]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_none_is_refused_by_every_route_that_takes_one(stage: tuple[Api, dict[str, str]], method: str, path: str) -> None:
    api, names = stage
    for raw in BAD_BODIES:
        answer = api(method, filled(path, names), raw=raw)
        assert (answer.status, answer.body["code"]) == (400, "invalid_input"), (raw[:40], answer.text)


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_too_large_is_refused_unread(stage: tuple[Api, dict[str, str]], method: str, path: str) -> None:
    api, names = stage
    answer = api(method, filled(path, names), raw="x" * (6 * 1024 * 1024 + 1))
    assert (answer.status, answer.body["code"], answer.body["metadata"]) == (413, "payload_too_large", {"size_bytes": "6291457"})


def test_all_problems_are_named_at_once_each_with_its_path(api: Api) -> None:
    result = {"status": "DONE", "callbackAfterSeconds": -1, "logs": [{}, {"createdTime": "x"}]}
    found = api("POST", "/api/tasks", result).body["validationErrors"]
    assert {problem["path"]: problem.get("invalidValue") for problem in found} == {
        "status": "DONE",
        "callbackAfterSeconds": "-1",
        "logs[1].createdTime": "x",
    }
    missing = api("POST", "/api/tasks", {}).body["validationErrors"]
    assert [problem["path"] for problem in missing] == ["workflowInstanceId", "taskId", "status"]


def test_a_long_wrong_value_is_shown_in_part(api: Api) -> None:
    answer = api("POST", "/api/tasks", {"status": "x" * 10_000})
    assert answer.status == 400
    assert len(answer.text) < 1000
    assert len(api("DELETE", f"/api/metadata/workflow/a/{'x' * 10_000}").text) < 1000
    assert len(api("GET", f"/api/workflow/search?size={'x' * 10_000}").text) < 1000


def test_a_result_is_refused_in_another_executions_name(stage: tuple[Api, dict[str, str]]) -> None:
    api, names = stage
    answer = api("POST", "/api/tasks", report({"workflowInstanceId": names["done"], "taskId": names["t"]}))
    assert answer.status == 404
    assert api("GET", f"/api/tasks/{names['t']}").body["status"] == "IN_PROGRESS"
