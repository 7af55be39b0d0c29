"""Two namespaces know nothing of each other, by whichever way they are named."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, report, workflow

from batuta_core.model.error import InvalidInput, NamespaceNotServed
from batuta_server.api.request import current, enter


@pytest.mark.parametrize("is_by_path", [True, False], ids=["path", "header"])
def test_what_is_in_one_namespace_is_in_no_other(api: Api, is_by_path: bool) -> None:
    def shop(method: str, path: str, body: object = None) -> Any:
        answer = api(method, f"/ns/shop{path}", body) if is_by_path else api(method, path, body, headers={"X-Batuta-Namespace": "shop"})
        assert answer.status == 200, answer.text
        return answer.body if answer.text[:1] in ("{", "[") else answer.text

    shop("POST", "/api/metadata/workflow", workflow("order"))
    shop("POST", "/api/metadata/taskdefs", [{"name": "pack"}])
    workflow_id = shop("POST", "/api/workflow", {"name": "order", "correlationId": "c"})
    task = shop("GET", "/api/tasks/poll/pack?workerid=w")
    shop("POST", f"/api/tasks/{task['taskId']}/log")

    assert [
        (path, api(method, path, body).status)
        for method, path, body in (
            ("GET", "/api/metadata/workflow/order", None),
            ("GET", "/api/metadata/taskdefs/pack", None),
            ("DELETE", "/api/metadata/workflow/order/1", None),
            ("DELETE", "/api/metadata/taskdefs/pack", None),
            ("POST", "/api/workflow", {"name": "order"}),
            ("GET", f"/api/workflow/{workflow_id}", None),
            ("GET", f"/api/workflow/{workflow_id}/status", None),
            ("GET", f"/api/workflow/{workflow_id}/tasks", None),
            ("DELETE", f"/api/workflow/{workflow_id}", None),
            ("DELETE", f"/api/workflow/{workflow_id}/remove?archiveWorkflow=false", None),
            ("POST", "/api/tasks", report(task)),
            ("POST", f"/api/tasks/{task['taskId']}/log", None),
            ("GET", f"/api/tasks/{task['taskId']}", None),
        )
        if api(method, path, body).status != 404
    ] == []
    assert api("GET", "/api/metadata/workflow").body == []
    assert api("GET", "/api/metadata/taskdefs").body == []
    assert api("GET", "/api/workflow/search").body["results"] == []
    assert api("GET", "/api/workflow/running/order").body == []
    assert api("GET", "/api/workflow/order/correlated/c").body == []
    assert api("GET", "/api/tasks/queue/all").body == {}
    assert api("GET", "/api/tasks/queue/polldata/all").body == []
    assert api("GET", f"/api/tasks/{task['taskId']}/log").status == 204
    assert api("GET", "/api/tasks/poll/pack").status == 204

    assert shop("GET", f"/api/workflow/{workflow_id}")["status"] == "RUNNING"
    assert shop("POST", "/api/tasks", report(task)) == task["taskId"]
    assert shop("GET", f"/api/workflow/{workflow_id}")["status"] == "COMPLETED"


def test_the_same_names_in_two_namespaces_are_two_things(api: Api) -> None:
    for namespace, description in (("a", "first"), ("b", "second")):
        assert api("POST", f"/ns/{namespace}/api/metadata/workflow", workflow("order", description=description)).status == 200
    assert api("GET", "/ns/a/api/metadata/workflow/order").body["description"] == "first"
    first = api("POST", "/ns/a/api/workflow", {"name": "order", "idempotencyKey": "k"}).text
    assert api("GET", "/ns/b/api/tasks/poll/pack").status == 204
    assert api("POST", "/ns/b/api/workflow", {"name": "order", "idempotencyKey": "k"}).text != first


def test_where_iam_decides_only_the_path_names_a_namespace() -> None:
    event = {"rawPath": "/api/version", "headers": {"X-Batuta-Namespace": "shop"}}
    with pytest.raises(InvalidInput, match="/ns/shop/api"):
        enter(event, takes_header=False)
    enter({**event, "headers": {"X-Batuta-Namespace": "default"}}, takes_header=False)
    enter({"rawPath": "/ns/shop/api/version"}, takes_header=False)
    assert current().namespace == "shop"


def test_a_namespace_that_the_stage_does_not_serve_is_refused_by_name() -> None:
    with pytest.raises(NamespaceNotServed, match="'bank'"):
        enter({"rawPath": "/ns/bank/api/version"}, ["default", "shop"])
    enter({"rawPath": "/ns/shop/api/version"}, ["default", "shop"])
    assert current().namespace == "shop"
