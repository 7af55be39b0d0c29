"""HTTP tasks on the local server: nothing on this machine is called unless it is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batuta_server.local.server import LocalServer
from tests.local.conftest import Http, until
from tests.unit.functions.http.target import Target, answer


def run(http: Http, name: str, url: str, **fields: Any) -> Any:
    """The execution, once its HTTP task has left SCHEDULED."""
    request = {"uri": url, "method": "GET"}
    task = {"name": f"{name}_h", "taskReferenceName": "h", "type": "HTTP", "inputParameters": {"http_request": request}, **fields}
    assert http("POST", "/api/metadata/workflow", {"name": name, "version": 1, "tasks": [task]}).status == 200
    workflow_id = http("POST", "/api/workflow", {"name": name}).text
    look = f"/api/workflow/{workflow_id}"
    until(lambda: http("GET", look).body["tasks"][0]["status"] != "SCHEDULED")
    return http("GET", look).body


@pytest.fixture(scope="module")
def allowing() -> Iterator[Http]:
    server = LocalServer(0, http_allowed=("127.0.0.1/32",))
    server.start()
    yield Http(server.port)
    server.stop()


def test_this_machine_is_not_called(http: Http, name: str) -> None:
    with Target(answer(b"secret")) as target:
        found = run(http, name, target.url)
        assert (found["status"], target.asked) == ("FAILED", [])
    assert "may not call on this stage" in found["reasonForIncompletion"]
    assert found["tasks"][0]["status"] == "FAILED_WITH_TERMINAL_ERROR"


def test_where_it_is_allowed_it_is_called_once(allowing: Http, name: str) -> None:
    with Target(answer(b'{"a": 1}')) as target:
        found = run(allowing, name, f"{target.url}/x")
        assert len(target.asked) == 1
    assert found["status"] == "COMPLETED"
    assert found["output"]["response"]["body"] == {"a": 1}


def test_what_is_allowed_is_that_and_no_more(allowing: Http, name: str) -> None:
    with Target(answer(b"secret"), "127.0.0.2") as target:
        assert run(allowing, name, target.url)["status"] == "FAILED"
        assert not target.asked


def test_an_asynchronous_one_is_completed_through_the_api(allowing: Http, name: str) -> None:
    with Target(answer(b"1", "202 Accepted")) as target:
        found = run(allowing, name, target.url, asyncComplete=True)
    assert (found["status"], found["tasks"][0]["status"]) == ("RUNNING", "IN_PROGRESS")
    workflow_id = found["workflowId"]
    assert allowing("POST", f"/api/tasks/{workflow_id}/h/COMPLETED", {"done": True}).status == 200
    ended = allowing("GET", f"/api/workflow/{workflow_id}").body
    assert ended["status"] == "COMPLETED"
    assert ended["output"]["done"] is True
    assert ended["output"]["response"]["statusCode"] == 202
