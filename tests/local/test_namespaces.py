"""Two namespaces know nothing of each other."""

from __future__ import annotations

from tests.local.conftest import Answer, Http


def test_namespaces_are_apart_by_header_and_by_path(http: Http, name: str) -> None:
    def shop(method: str, path: str, body: object = None) -> Answer:
        return http(method, path, body, headers={"X-Batuta-Namespace": "shop"})

    def by_path(method: str, path: str, body: object = None) -> Answer:
        return http(method, f"/ns/shop{path}", body)

    definition = {"name": name, "tasks": [{"name": f"{name}_a", "taskReferenceName": "a", "type": "SIMPLE"}]}
    assert shop("POST", "/api/metadata/workflow", definition).status == 200
    assert http("GET", f"/api/metadata/workflow/{name}").status == 404
    assert by_path("GET", f"/api/metadata/workflow/{name}").status == 200
    assert http("POST", "/api/workflow", {"name": name}).status == 404

    workflow_id = by_path("POST", "/api/workflow", {"name": name}).text
    assert shop("GET", f"/api/workflow/{workflow_id}").body["status"] == "RUNNING"
    assert http("GET", f"/api/workflow/{workflow_id}").status == 404
    assert http("DELETE", f"/api/workflow/{workflow_id}").status == 404
    assert http("GET", f"/api/tasks/poll/{name}_a").status == 204
    task = shop("GET", f"/api/tasks/poll/{name}_a").body
    report = {"workflowInstanceId": workflow_id, "taskId": task["taskId"], "status": "COMPLETED"}
    assert http("POST", "/api/tasks", report).status == 404
    assert http("GET", f"/api/tasks/{task['taskId']}").status == 404
    assert by_path("POST", "/api/tasks", report).status == 200
    assert shop("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED"

    both = http("GET", f"/ns/shop/api/workflow/{workflow_id}", headers={"X-Batuta-Namespace": "other"})
    assert both.status == 200  # the path is the nearer one


def test_an_empty_namespace_in_the_path_is_refused(http: Http) -> None:
    assert http("GET", "/ns//api/metadata/workflow").status == 400
    assert http("GET", "/ns/SHOP/api/metadata/workflow").body["code"] == "invalid_input"
