"""Payloads larger than any request: by signed URLs, unseen by the user's code. The real server, client and worker."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from batuta import Client, Worker, task
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from batuta_server.local.server import LocalServer
from tests.local.conftest import Http, until

TEXT = "Grüße " * (PAYLOAD_MAX_BYTES // 6)  # 5.8 MB in UTF-8


@task("shout_large")
def shout(doc: str, note: str) -> dict[str, Any]:
    return {"doc": doc.upper(), "note": note, "length": len(doc)}


@task("measure_large")
def measure(doc: str, all_of_it: dict[str, Any], nothing: Any = None) -> dict[str, Any]:
    return {"length": len(doc), "is_same": all_of_it["doc"] == doc, "nothing": nothing}


def simple(ref: str, task_type: str, **inputs: str) -> dict[str, Any]:
    return {"name": task_type, "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": inputs}


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    with Client(server.url) as found:
        yield found


def url_of(http: Http, operation: str, path: str = "", **more: str) -> Any:
    query = {"operation": operation, "payloadType": "workflow_input", "path": path, **more}
    return http("GET", "/api/workflow/externalstoragelocation?" + "&".join(f"{key}={value}" for key, value in query.items()))


def send(url: str, raw: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, raw, method="PUT"), timeout=60) as answer:
        assert answer.status == 200


def test_large_payloads_pass_from_the_start_through_tasks_and_children_to_the_end(server: LocalServer, client: Client) -> None:
    inner = simple("c", "shout_large", doc="${workflow.input.doc}", note="n")
    child = {"name": "large_child", "version": 1, "schemaVersion": 2, "tasks": [inner]}
    parent = {
        "name": "large_parent",
        "version": 1,
        "schemaVersion": 2,
        "tasks": [
            simple("a", "shout_large", doc="${workflow.input.doc}", note="${workflow.input.note}"),
            {
                "name": "sub",
                "taskReferenceName": "sub",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "large_child"},
                "inputParameters": {"doc": "${a.output.doc}"},
            },
            simple("b", "measure_large", doc="${sub.output.doc}", all_of_it="${sub.output}", nothing="${a.output.none.of.it}"),
        ],
        "outputParameters": {"measured": "${b.output}", "doc": "${a.output.doc}"},
    }
    client.register_workflows([child, parent])
    worker = Worker(shout, measure, url=server.url)
    worker.start()
    try:
        found = client.start_and_wait("large_parent", {"doc": TEXT, "note": "small"}, timeout_s=90)
    finally:
        worker.stop()
    assert found.status == "COMPLETED", found.reason
    assert found.output == {"measured": {"length": len(TEXT.upper()), "is_same": True, "nothing": None}, "doc": TEXT.upper()}
    assert found.input == {"doc": TEXT, "note": "small"}
    assert [item.output.get("length") for item in found.tasks if item.ref in ("a", "b")] == [len(TEXT), len(TEXT.upper())]
    assert [item.input["doc"] for item in found.tasks if item.ref == "b"] == [TEXT.upper()]
    client.delete(found.workflow_id)


def test_other_clients_find_the_payload_by_its_path(http: Http, client: Client, name: str) -> None:
    """As a Conductor client with external payload storage does it."""
    client.register_workflow({"name": name, "version": 1, "schemaVersion": 2, "tasks": [simple("t", name)]})
    place = url_of(http, "WRITE").body
    raw = json.dumps({"doc": TEXT}).encode()
    send(place["uri"], raw)
    started = http("POST", "/api/workflow", {"name": name, "input": {}, "externalInputPayloadStoragePath": place["path"]})
    assert started.status == 200, started.text
    polled = until(lambda: http("GET", f"/api/tasks/poll/{name}?timeout=500").body)
    send(place["uri"], b'{"doc": "changed by who has the URL still"}')
    output = http("GET", "/api/tasks/externalstoragelocation?operation=write&payloadType=TASK_OUTPUT&path=").body
    send(output["uri"], raw)
    result = {"workflowInstanceId": started.text, "taskId": polled["taskId"], "status": "COMPLETED"}
    assert http("POST", "/api/tasks", {**result, "externalOutputPayloadStoragePath": output["path"]}).status == 200
    shown = http("GET", f"/api/workflow/{started.text}").body
    assert (shown["status"], shown["input"], shown["output"], shown["tasks"][0]["outputData"]) == ("COMPLETED", {}, {}, {})
    for path in (
        shown["externalInputPayloadStoragePath"],
        shown["externalOutputPayloadStoragePath"],
        shown["tasks"][0]["externalOutputPayloadStoragePath"],
    ):
        with urllib.request.urlopen(url_of(http, "read", path).body["uri"], timeout=60) as answer:
            assert json.load(answer) == {"doc": TEXT}
    assert client.get(started.text).output == {"doc": TEXT}


def test_paths_of_other_namespaces_are_refused(http: Http, client: Client, name: str) -> None:
    client.register_workflow({"name": name, "version": 1, "schemaVersion": 2, "tasks": [simple("t", name)]})
    theirs = http("GET", "/ns/other/api/tasks/externalstoragelocation?operation=WRITE&payloadType=TASK_OUTPUT&path=").body
    send(theirs["uri"], b'{"secret": 1}')
    refused = http("POST", "/api/workflow", {"name": name, "externalInputPayloadStoragePath": theirs["path"]})
    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    for path in (theirs["path"], "other/8e2f7a52-0000-4000-8000-000000000001/abcdefgh", "default/../other/abcdefgh", "", "default//x"):
        assert url_of(http, "READ", path).status == 400, path
    assert url_of(http, "LIST").status == 400
    assert url_of(http, "READ", payloadType="SOMETHING").status == 400


def test_a_payload_that_must_be_looked_into_fails_the_task_with_the_remedy(server: LocalServer, client: Client, name: str) -> None:
    switch = {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "x",
        "inputParameters": {"x": "${workflow.input.doc}"},
        "decisionCases": {"a": [simple("t", name)]},
        "defaultCase": [],
    }
    client.register_workflow({"name": name, "version": 1, "schemaVersion": 2, "tasks": [switch]})
    found = client.start_and_wait(name, {"doc": TEXT})
    assert found.status == "FAILED"
    assert f"the limit for that is {PAYLOAD_MAX_BYTES}. A worker's task or a sub-workflow can be given it" in (found.reason or "")
