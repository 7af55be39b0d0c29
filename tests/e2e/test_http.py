"""HTTP tasks on the deployed stage: invoked without a queue, reported without rights, and never to where they may not go."""

from __future__ import annotations

from typing import Any

from batuta import Client
from tests.e2e.cloud import Deployment
from tests.e2e.stand import completed, role_of, until, without
from tests.unit.functions.http.target import Target, answer


def _register(client: Client, name: str, url: str) -> None:
    request = {"uri": url, "method": "POST", "body": {"x": "${workflow.input.x}"}}
    task = {"name": "h", "taskReferenceName": "h", "type": "HTTP", "inputParameters": {"http_request": request}}
    client.register_workflow({"name": name, "version": 1, "tasks": [task]})


def test_a_request_is_made_and_its_answer_is_the_output(stage: Deployment, client: Client) -> None:
    with Target(answer(b'{"a": 1}', "201 Created")) as target:
        _register(client, "http_good", f"{target.url}/x")
        found: Any = completed(client, client.start("http_good", {"x": 7}))
        assert found.output["response"]["body"] == {"a": 1}
        assert [(asked.line, asked.body) for asked in target.asked] == [("POST /x HTTP/1.1", b'{"x":7}')]


def test_where_it_may_not_go_it_fails_with_the_reason(stage: Deployment, client: Client) -> None:
    with Target(answer(b"secret"), "127.0.0.2") as target:
        _register(client, "http_refused", target.url)
        workflow_id = client.start("http_refused", {})
        assert until(lambda: client.get(workflow_id).status == "FAILED")
        assert "may not call on this stage" in str(client.get(workflow_id).reason)
        assert not target.asked


def test_a_result_that_cannot_be_reported_fails_the_attempt_with_a_reason(stage: Deployment, client: Client) -> None:
    """Lambda does not run it again, and hands the event to the dead letters, at which the decider looks once a minute."""
    with Target(answer(b"1")) as target:
        _register(client, "http_unreported", target.url)
        with without(stage.cloud, role_of(stage, "http"), "sqs:SendMessage", "--decider.fifo"):
            workflow_id = client.start("http_unreported", {})
            assert until(lambda: client.get(workflow_id).status == "FAILED", timeout_s=150)
        assert "the http function died" in str(client.get(workflow_id).reason)
        assert len(target.asked) == 1
