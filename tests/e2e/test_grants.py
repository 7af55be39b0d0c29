"""A grant taken from a function: its refusal is named where people look, an alarm would see it, and nothing is lost."""

from __future__ import annotations

from batuta import Client
from tests.e2e.cloud import Deployment
from tests.e2e.conftest import Keys
from tests.e2e.stand import (
    Workers,
    call,
    completed,
    line_of,
    log_lines,
    metrics_in,
    now_ms,
    role_of,
    until,
    visibility,
    without,
)

_AGAIN_S = 4  # five receives make a dead letter: a test has 20 s to give the grant back


def _refusals(stage: Deployment, what: str, action: str, since_ms: int) -> list[str]:
    return [line for line in log_lines(stage, what, since_ms) if "AccessDenied" in line and action in line]


def test_the_api_says_what_it_may_not_do(stage: Deployment, keys: Keys, client: Client) -> None:
    client.register_workflow(line_of("grant_api", "a"))
    began = now_ms()
    with without(stage.cloud, role_of(stage, "api"), "sqs:SendMessage", "--timers"):
        refused = call(stage, keys.client, "POST", "/api/workflow", {"name": "grant_api", "input": {}})
        assert refused.status == 503  # the alarm on the API's 5xx counts it
        assert "sqs:SendMessage" in refused.text
        assert until(lambda: _refusals(stage, "api", "sqs:SendMessage", began))
    assert client.get(client.start("grant_api", {})).status == "RUNNING"


def test_the_decider_says_what_it_may_not_do(stage: Deployment, keys: Keys, client: Client, workers: Workers) -> None:
    client.register_workflow(line_of("grant_decider", "a", "b"))
    began = now_ms()
    with visibility(stage, "decider.fifo", _AGAIN_S):
        with without(stage.cloud, role_of(stage, "decider"), "sqs:SendMessage", f"batuta-{stage.stage}--default--"):
            workflow_id = client.start("grant_decider", {"x": 1})
            workers.of(stage, keys.worker, "grant_decider_a", "grant_decider_b")
            assert until(lambda: _refusals(stage, "decider", "sqs:SendMessage", began))
            counted = metrics_in(log_lines(stage, "decider", began))
            assert counted["Batuta/DecisionFailed"] >= 1
            assert client.get(workflow_id).status == "RUNNING"
        assert [task.ref for task in completed(client, workflow_id).tasks] == ["a", "b"]
    assert not workers.repeats()


def test_the_timers_say_what_they_may_not_do(stage: Deployment, client: Client) -> None:
    wait = {"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": "1 seconds"}}
    client.register_workflow({"name": "grant_timers", "version": 1, "tasks": [wait]})
    began = now_ms()
    with visibility(stage, "timers", _AGAIN_S):
        with without(stage.cloud, role_of(stage, "timers"), "sqs:SendMessage", "--decider.fifo"):
            workflow_id = client.start("grant_timers", {})
            assert until(lambda: _refusals(stage, "timers", "sqs:SendMessage", began))
            # The invocation itself failed, which is what Lambda's metric Errors and with it the alarm counts.
            assert any("Traceback" in line for line in log_lines(stage, "timers", began))
            assert client.get(workflow_id).status == "RUNNING"
        completed(client, workflow_id)
