"""Stages side by side, and their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batuta import Client
from batuta_core.model.names import task_queue_name
from tests.e2e.cloud import Cloud, Deployment
from tests.e2e.conftest import Keys
from tests.e2e.stand import Workers, asset_of, call, completed, line_of, queue_url, synthesize, until

NEIGHBOUR = "e2e-2"  # its names begin like those of the stage of the other tests


def things_of(cloud: Cloud, stage: str) -> dict[str, list[str]]:
    """All that bears the stage's name, by service."""
    marks = (f"batuta-{stage}--", f"batuta-{stage}-Batuta", f"batuta-{stage}-payloads-", f"/batuta/{stage}/")
    iam, events = cloud.client("iam"), cloud.client("events")
    everything = {
        "tables": cloud.client("dynamodb").list_tables()["TableNames"],
        "queues": [url.rpartition("/")[2] for url in _pages(cloud, "sqs", "list_queues", "QueueUrls")],
        "parameters": [item["Name"] for item in _pages(cloud, "ssm", "describe_parameters", "Parameters")],
        "functions": [item["FunctionName"] for item in _pages(cloud, "lambda", "list_functions", "Functions")],
        "roles": [item["RoleName"] for item in iam.list_roles(MaxItems=1000)["Roles"]],
        "policies": [item["PolicyName"] for item in iam.list_policies(Scope="Local", MaxItems=1000)["Policies"]],
        "buckets": [item["Name"] for item in cloud.client("s3").list_buckets()["Buckets"]],
        "logs": [item["logGroupName"] for item in _pages(cloud, "logs", "describe_log_groups", "logGroups")],
        "APIs": [item["Name"] for item in cloud.client("apigatewayv2").get_apis()["Items"]],
        "rules": [item["Name"] for item in events.list_rules()["Rules"]],
        "alarms": [item["AlarmName"] for item in _pages(cloud, "cloudwatch", "describe_alarms", "MetricAlarms")],
        "sources": [item["FunctionArn"] for item in _pages(cloud, "lambda", "list_event_source_mappings", "EventSourceMappings")],
    }
    found = {kind: [name for name in names if any(mark in name for mark in marks)] for kind, names in everything.items()}
    return {kind: names for kind, names in found.items() if names}


def _pages(cloud: Cloud, service: str, operation: str, items: str) -> list[Any]:
    return [item for page in cloud.client(service).get_paginator(operation).paginate() for item in page.get(items, ())]


@pytest.fixture(scope="module")
def both(stage: Deployment, assembly: Path) -> tuple[Deployment, Deployment, Path]:
    neighbour = Deployment(stage.cloud, NEIGHBOUR)
    own = synthesize(neighbour, asset_of(assembly))
    neighbour.deploy(own)
    return stage, neighbour, own


def test_stages_side_by_side_do_not_see_each_other(
    both: tuple[Deployment, Deployment, Path], keys: Keys, client: Client, workers: Workers
) -> None:
    stage, neighbour, _ = both
    key = neighbour.operator_key()
    definition = line_of("beside", "a")
    client.register_workflow(definition)
    assert call(neighbour, key, "GET", "/api/metadata/workflow/beside").status == 404
    assert call(neighbour, key, "POST", "/api/metadata/workflow", definition).status == 200
    own = client.start("beside", {"x": 1})
    assert call(neighbour, key, "GET", f"/api/workflow/{own}").status == 404
    theirs = call(neighbour, key, "POST", "/api/workflow", {"name": "beside", "input": {"x": 2}}).text
    workers.of(stage, keys.worker, "beside_a")
    completed(client, own)
    assert call(neighbour, key, "GET", f"/api/workflow/{theirs}").body["status"] == "RUNNING"
    assert {row[0] for row in workers.calls()} == {own}


def test_the_rights_of_one_stage_reach_into_no_other(both: tuple[Deployment, Deployment, Path], keys: Keys) -> None:
    _, neighbour, _ = both
    assert call(neighbour, neighbour.operator_key(), "POST", "/api/metadata/taskdefs", [{"name": "theirs"}]).status == 200
    for key in (keys.worker, keys.client, keys.operator):
        assert call(neighbour, key, "GET", "/api/batuta").status == 403
        with pytest.raises(ClientError, match="AccessDenied"):
            neighbour.cloud.client("ssm", key).get_parameter(Name=f"/batuta/{NEIGHBOUR}/url")
    for queue in (task_queue_name(NEIGHBOUR, "default", "theirs"), f"batuta-{NEIGHBOUR}--decider.fifo"):
        with pytest.raises(ClientError, match="AccessDenied"):
            neighbour.cloud.client("sqs", keys.worker).receive_message(QueueUrl=queue_url(neighbour, queue), WaitTimeSeconds=0)


def test_a_stage_goes_without_a_trace_and_comes_again(both: tuple[Deployment, Deployment, Path], workers: Workers) -> None:
    """With an execution that runs, queues made at run time, and a payload in the bucket."""
    stage, neighbour, own = both
    key = neighbour.operator_key()
    assert call(neighbour, key, "POST", "/api/metadata/workflow", line_of("gone", "a")).status == 200
    large = {"name": "gone", "input": {"x": "x" * 300_000}}
    assert call(neighbour, key, "POST", "/api/workflow", large).status == 200
    before = things_of(stage.cloud, NEIGHBOUR)
    assert set(before) >= {"tables", "queues", "parameters", "functions", "roles", "policies", "buckets", "logs", "APIs", "rules", "alarms"}
    assert task_queue_name(NEIGHBOUR, "default", "gone_a") in before["queues"]
    others = things_of(stage.cloud, stage.stage)
    neighbour.destroy(own)
    assert things_of(stage.cloud, NEIGHBOUR) == {}
    assert things_of(stage.cloud, stage.stage) == others

    neighbour.deploy(own)
    key = neighbour.operator_key()
    assert call(neighbour, key, "GET", "/api/metadata/workflow/gone").status == 404
    assert call(neighbour, key, "POST", "/api/metadata/workflow", line_of("again", "a")).status == 200
    workflow_id = call(neighbour, key, "POST", "/api/workflow", {"name": "again", "input": {"x": 1}}).text
    workers.of(neighbour, neighbour.worker_key(), "again_a")
    until(lambda: call(neighbour, key, "GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED")
