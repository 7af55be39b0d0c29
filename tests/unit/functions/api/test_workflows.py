"""Routes of executions: what they read from a request and what they answer."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, simple, workflow

from batuta_core.simulator.world import BEGIN_MS

WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


def test_start_takes_every_field_of_its_body(api: Api) -> None:
    api.register(workflow("order"), workflow("order", version=2))
    body = {
        "name": "order",
        "version": 1,
        "correlationId": 17,
        "input": {"a": [1, None, "ü"]},
        "taskToDomain": {"pack": "north"},
        "priority": 5,
        "createdBy": "me",
        "requestId": True,
        "idempotencyKey": "key",
        "idempotencyStrategy": "RETURN_EXISTING",
        "unknown": {},
    }
    workflow_id = api("POST", "/api/workflow", body).text
    assert api("POST", "/api/workflow", body).text == workflow_id
    found = api("GET", f"/api/workflow/{workflow_id}").body
    assert {field: found[field] for field in ("workflowName", "workflowVersion", "correlationId", "input", "taskToDomain")} == {
        "workflowName": "order",
        "workflowVersion": 1,
        "correlationId": "17",
        "input": {"a": [1, None, "ü"]},
        "taskToDomain": {"pack": "north"},
    }
    assert (found["priority"], found["createdBy"], found["requestId"], found["idempotencyKey"]) == (5, "me", "true", "key")


def test_start_with_nulls_is_start_without(api: Api) -> None:
    api.register(workflow("order"), workflow("order", version=2))
    fields = ("version", "correlationId", "taskToDomain", "priority", "createdBy", "requestId", "idempotencyKey", "idempotencyStrategy")
    workflow_id = api("POST", "/api/workflow", {"name": "order", **dict.fromkeys(fields), "workflowDef": None}).text
    found = api("GET", f"/api/workflow/{workflow_id}").body
    assert (found["workflowVersion"], found["priority"], found["taskToDomain"]) == (2, 0, {})


def test_start_of_an_inline_definition_takes_its_name_and_stores_nothing(api: Api) -> None:
    workflow_id = api("POST", "/api/workflow", {"workflowDef": workflow("inline")}).text
    assert api("GET", f"/api/workflow/{workflow_id}").body["workflowName"] == "inline"
    assert api("GET", "/api/metadata/workflow/inline").status == 404


def test_start_by_name_takes_the_rest_from_the_query(api: Api) -> None:
    api.register(workflow("order"), workflow("order", version=2))
    workflow_id = api("POST", "/api/workflow/order?version=1&correlationId=c%20d&priority=7", {"a": 1}).text
    found = api("GET", f"/api/workflow/{workflow_id}").body
    assert (found["workflowVersion"], found["correlationId"], found["priority"], found["input"]) == (1, "c d", 7, {"a": 1})
    latest = api("POST", "/api/workflow/order?version=&correlationId=&priority=", {}).text
    assert api("GET", f"/api/workflow/{latest}").body["workflowVersion"] == 2


def test_what_was_asked_for_is_shown(api: Api) -> None:
    api.register(workflow("order", outputParameters={"n": "${pack.output.n}"}))
    workflow_id = api.start(correlationId="c")
    api.complete("pack", n=1)
    assert len(api("GET", f"/api/workflow/{workflow_id}").body["tasks"]) == 1
    assert api("GET", f"/api/workflow/{workflow_id}?includeTasks=false").body["tasks"] == []
    plain = {"workflowId": workflow_id, "status": "COMPLETED", "correlationId": "c"}
    assert api("GET", f"/api/workflow/{workflow_id}/status").body == plain
    assert api("GET", f"/api/workflow/{workflow_id}/status?includeOutput=true&includeVariables=true").body == {
        **plain,
        "output": {"n": 1},
        "variables": {},
    }


@pytest.mark.parametrize(
    ("query", "seqs", "total"),
    [
        ("", [1, 2, 3], 3),
        ("?start=1", [2, 3], 3),
        ("?start=1&count=1", [2], 3),
        ("?count=0", [], 3),
        ("?start=3", [], 3),
        ("?start=&count=", [1, 2, 3], 3),
        ("?status=COMPLETED", [1, 2], 2),
        ("?status=completed&status=SCHEDULED&count=2", [1, 2], 3),
        ("?status=FAILED", [], 0),
    ],
)
def test_tasks_come_in_pages(api: Api, query: str, seqs: list[int], total: int) -> None:
    api.register(workflow("order", *(simple(name) for name in "abc")))
    workflow_id = api.start()
    for name in "ab":
        api.complete(name)
    page = api("GET", f"/api/workflow/{workflow_id}/tasks{query}").body
    assert ([task["seq"] for task in page["results"]], page["totalHits"]) == (seqs, total)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [2, 1, 0]),
        ("?size=2", [2, 1]),
        ("?start=2&size=2", [0]),
        ("?start=5", []),
        ("?size=0", []),
        ("?freeText=*&size=1", [2]),
        ("?sort=startTime:ASC", [0, 1, 2]),
        ("?query=correlationId%3Dc1", [1]),
        ("?query=workflowType+IN+(order,other)+AND+status%3DRUNNING", [2, 1]),
        (f"?query=startTime>{BEGIN_MS}&sort=startTime:DESC", [2, 1]),
        ("?query=status=NONSENSE", []),
    ],
)
def test_search_narrows_sorts_and_pages(api: Api, query: str, found: list[int]) -> None:
    api.register(workflow("order"))
    ids = []
    for place in range(3):
        ids.append(api.start(correlationId=f"c{place}"))
        api.world.now_ms += 1000
    assert api("DELETE", f"/api/workflow/{ids[0]}?reason=enough").status == 200
    answer = api("GET", f"/api/workflow/search{query}").body
    assert [ids.index(summary["workflowId"]) for summary in answer["results"]] == found
    assert answer["totalHits"] >= len(found)


def test_running_ones_are_listed_by_name(api: Api) -> None:
    api.register(workflow("order"), workflow("other"))
    ids = [api.start() for _ in range(3)]
    api.start("other")
    api("DELETE", f"/api/workflow/{ids[1]}")
    assert sorted(api("GET", "/api/workflow/running/order").body) == sorted([ids[0], ids[2]])


@pytest.mark.parametrize(
    ("query", "count", "tasks"), [("", 1, 0), ("?includeClosed=true", 2, 0), ("?includeClosed=TRUE&includeTasks=true", 2, 1)]
)
def test_correlated_ones_are_listed_closed_ones_on_request(api: Api, query: str, count: int, tasks: int) -> None:
    api.register(workflow("order"), workflow("other"))
    first, second = api.start(correlationId="c/d"), api.start(correlationId="c/d")
    api.start("other", correlationId="c/d")
    api("DELETE", f"/api/workflow/{first}")
    found = api("GET", f"/api/workflow/order/correlated/c%252Fd{query}").body
    assert {each["workflowId"] for each in found} == ({second} if count == 1 else {first, second})
    assert [len(each["tasks"]) for each in found] == [tasks] * count


def test_terminated_with_its_reason_and_removed(api: Api) -> None:
    api.register(workflow("order"))
    workflow_id = api.start()
    assert api("DELETE", f"/api/workflow/{workflow_id}?reason=no%20more").text == ""
    found = api("GET", f"/api/workflow/{workflow_id}").body
    assert (found["status"], found["reasonForIncompletion"]) == ("TERMINATED", "no more")
    assert api("DELETE", f"/api/workflow/{workflow_id}").status == 200, "a second time is no error"
    assert api("DELETE", f"/api/workflow/{workflow_id}/remove").status == 200
    assert api("GET", f"/api/workflow/{workflow_id}").status == 404


@pytest.mark.parametrize("path", ["/remove?archiveWorkflow=false", "/terminate-remove", "/terminate-remove?reason=r"])
def test_a_running_one_is_removed_when_that_is_said(api: Api, path: str) -> None:
    api.register(workflow("order"))
    workflow_id = api.start()
    assert api("DELETE", f"/api/workflow/{workflow_id}{path}").status == 200
    assert api("GET", f"/api/workflow/{workflow_id}").status == 404


def test_decide_needs_an_execution_and_does_nothing(api: Api) -> None:
    api.register(workflow("order"))
    workflow_id = api.start()
    before = list(api.world.queues.texts())
    assert api("PUT", f"/api/workflow/decide/{workflow_id}").text == ""
    assert list(api.world.queues.texts()) == before


@pytest.mark.parametrize(
    ("query", "waited_s"),
    [("", 10), ("?waitForSeconds=3", 3), ("?waitForSeconds=0", 10), ("?waitForSeconds=999", 20), ("?waitForSeconds=-1", 0)],
)
def test_execute_waits_so_long_and_says_that_it_was_not_enough(api: Api, query: str, waited_s: int) -> None:
    api.register(workflow("order"))
    found = api("POST", f"/api/workflow/execute/order/1{query}", {"input": {"a": 1}}).body
    assert (found["status"], found["input"]) == ("RUNNING", {"a": 1})
    assert api.world.now_ms - BEGIN_MS == waited_s * 1000


@pytest.mark.parametrize("version", ["0", "2"])
def test_execute_returns_at_once_where_the_execution_waits_for_a_signal(api: Api, version: str) -> None:
    api.register(workflow("order"), workflow("order", WAIT, version=2))
    found = api("POST", f"/api/workflow/execute/order/{version}?requestId=r", {"name": "other"}).body
    assert (found["workflowId"] != "", found["requestId"]) == (True, "r")
    assert api("GET", f"/api/workflow/{found['workflowId']}").body["workflowVersion"] == 2
    assert api.world.now_ms == BEGIN_MS


def test_execute_returns_when_a_task_that_it_was_told_has_ended(api: Api) -> None:
    tasks: list[dict[str, Any]] = [
        {"name": "set", "taskReferenceName": "set", "type": "SET_VARIABLE", "inputParameters": {"x": 1}},
        simple("pack"),
    ]
    api.register(workflow("order", *tasks))
    api("POST", "/api/workflow/execute/order/1?waitUntilTaskRef=pack,%20set%20,", {})
    assert api.world.now_ms == BEGIN_MS
    api("POST", "/api/workflow/execute/order/1?waitUntilTaskRef=pack", {})
    assert api.world.now_ms == BEGIN_MS + 10_000
