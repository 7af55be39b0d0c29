"""A grant taken from a function: its refusal is named where people look, often enough for its alarm, and nothing is lost.

The emulator has no metrics of AWS's own, so they are counted here as AWS does: answers of 5xx, invocations that fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from batuta import Client
from batuta_core.model.names import resource_name, task_queue_name
from infra.parameters import TaskType
from tests.e2e.cloud import CloudFailed, Deployment
from tests.e2e.conftest import ONE_TYPE, Keys
from tests.e2e.stand import (
    Workers,
    asset_of,
    call,
    completed,
    line_of,
    log_lines,
    metrics_in,
    now_ms,
    role_of,
    synthesize,
    until,
    visibility,
    without,
)

_AGAIN_S = 4  # five receives make a dead letter: a test has 20 s to give the grant back


def _refusals(stage: Deployment, what: str, action: str, since_ms: int) -> list[str]:
    return [line for line in log_lines(stage, what, since_ms) if "AccessDenied" in line and action in line]


def _raises(stage: Deployment, what: str, metric: str) -> int:
    """How many of ``metric`` in a period raise that alarm."""
    (found,) = stage.cloud.client("cloudwatch").describe_alarms(AlarmNames=[resource_name(stage.stage, what)])["MetricAlarms"]
    assert f"{found['Namespace']}/{found['MetricName']}" == metric
    return int(found["Threshold"])


def test_the_api_says_what_it_may_not_do(stage: Deployment, keys: Keys, client: Client) -> None:
    client.register_workflow(line_of("grant_api", "a"))
    began = now_ms()
    with without(stage.cloud, role_of(stage, "api"), "sqs:SendMessage", "--timers"):
        for _ in range(_raises(stage, "ApiErrors", "AWS/ApiGateway/5xx")):  # a client repeats its call so often, and more
            refused = call(stage, keys.client, "POST", "/api/workflow", {"name": "grant_api", "input": {}})
            assert refused.status == 503
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
            metric = "Batuta/DecisionFailed"
            enough = _raises(stage, "DecisionFailed", metric)
            assert until(lambda: metrics_in(log_lines(stage, "decider", began))[metric] >= enough)
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
            enough = _raises(stage, "TimersErrors", "AWS/Lambda/Errors")
            assert until(lambda: sum("Traceback" in line for line in log_lines(stage, "timers", began)) >= enough)
            assert client.get(workflow_id).status == "RUNNING"
        completed(client, workflow_id)


def test_the_timers_make_the_queue_of_a_task_type_that_a_running_execution_names_first(
    stage: Deployment, keys: Keys, client: Client, workers: Workers
) -> None:
    """And say so when they may not; nobody else makes it for them."""
    late = "grant_dynamic_late"
    which = {"dynamicTaskNameParam": "which", "inputParameters": {"which": "${workflow.input.which}"}}
    dynamic = {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC", **which}
    client.register_workflow({"name": "grant_dynamic", "version": 1, "tasks": [dynamic]})
    began = now_ms()
    queue = task_queue_name(stage.stage, "default", late)
    sqs = stage.cloud.client("sqs")
    with visibility(stage, "timers", _AGAIN_S):
        with without(stage.cloud, role_of(stage, "timers"), "sqs:CreateQueue", f"batuta-{stage.stage}--default--"):
            workflow_id = client.start("grant_dynamic", {"which": late})
            assert until(lambda: _refusals(stage, "timers", "sqs:CreateQueue", began))
            assert client.get(workflow_id).status == "RUNNING"
            assert not sqs.list_queues(QueueNamePrefix=queue).get("QueueUrls")
        assert until(lambda: sqs.list_queues(QueueNamePrefix=queue).get("QueueUrls"))
    workers.of(stage, keys.worker, late)
    assert [task.ref for task in completed(client, workflow_id).tasks] == ["d"]


def test_the_stage_function_tells_the_deployer_what_it_may_not_do(stage: Deployment, assembly: Path) -> None:
    """No alarm: the deployment fails, and says why."""
    turned = synthesize(stage, asset_of(assembly), token_key_generation=9, task_types=(TaskType("default", ONE_TYPE),))
    refused = pytest.raises(CloudFailed, match=r"AccessDenied.*ssm:PutParameter")
    with without(stage.cloud, role_of(stage, "stage"), "ssm:PutParameter", "token-keys"), refused:
        stage.deploy(turned)
    stage.deploy(assembly)  # it is as it was
