"""The custom resource against moto, single-threaded, with an address that takes the answers."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from batuta_core.model.names import task_queue_name
from batuta_server import layout
from batuta_server.stage import entry
from batuta_server.stage.ring import Ring

PARAMETER = "/batuta/prod/token-keys"
BUCKET = "payloads"


class CloudFormation:
    """Takes answers."""

    def __init__(self) -> None:
        answers: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.answers = answers
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def ask(self, request: str, **properties: str) -> dict[str, Any]:
        """Has the function called, and gives its answer."""
        entry.handle(
            {
                "RequestType": request,
                "ResponseURL": f"http://127.0.0.1:{self._server.server_port}/answer",
                "StackId": "stack",
                "RequestId": "request",
                "LogicalResourceId": "TokenKeys",
                "ResourceProperties": {"Stage": "prod", "Parameter": PARAMETER, "Generation": "1", "Retain": "true", **properties},
            },
            None,
        )
        return self.answers[-1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        found = CloudFormation()
        yield found
        found.close()


def kept() -> Ring:
    return Ring.from_text(boto3.client("ssm").get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]["Value"])


def test_the_ring_is_made_as_a_secure_string(cloudformation: CloudFormation) -> None:
    answer = cloudformation.ask("Create")
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "batuta-prod"
    assert len(kept().keys) == 1
    assert boto3.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Type"] == "SecureString"
    assert "key" not in json.dumps(answer).lower().replace("tokenkeys", "")  # nothing of the ring is told


def test_a_ring_that_was_retained_is_taken_up_again(cloudformation: CloudFormation) -> None:
    cloudformation.ask("Create")
    before = kept()
    cloudformation.ask("Delete")
    cloudformation.ask("Create")
    assert kept() == before


def test_an_update_without_a_new_generation_changes_nothing(cloudformation: CloudFormation) -> None:
    cloudformation.ask("Create")
    before = kept()
    cloudformation.ask("Update", Retain="false")
    assert kept() == before
    cloudformation.ask("Update", Generation="2")
    assert kept().keys[1:] == before.keys


def test_a_deleted_stage_leaves_no_queue_of_its_own_and_every_other(cloudformation: CloudFormation) -> None:
    sqs = boto3.client("sqs")

    def make(name: str) -> str:
        return str(sqs.create_queue(QueueName=name)["QueueUrl"])

    ours, theirs = (make(layout.TASK_DEAD_LETTERS.name(stage)) for stage in ("prod", "prod-eu"))
    for number in range(3):
        make(task_queue_name("prod", "eu", f"type {number}"))
    other = make(task_queue_name("prod-eu", "default", "type"))
    users = make("batuta-prod-notes")
    assert cloudformation.ask("Delete")["Status"] == "SUCCESS"
    assert set(sqs.list_queues()["QueueUrls"]) == {ours, theirs, other, users}


def test_a_stage_that_retains_nothing_leaves_neither_keys_nor_payloads(cloudformation: CloudFormation) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"default/wf/{number}", Body=b"1")
    cloudformation.ask("Create")
    for _ in range(2):  # CloudFormation may ask twice
        assert cloudformation.ask("Delete", Retain="false", Bucket=BUCKET)["Status"] == "SUCCESS"
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    assert not boto3.client("ssm").describe_parameters()["Parameters"]


def test_what_is_retained_stays(cloudformation: CloudFormation) -> None:
    cloudformation.ask("Create")
    cloudformation.ask("Delete")
    assert kept().keys


def test_a_failure_is_told_and_not_waited_for(cloudformation: CloudFormation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = cloudformation.ask("Create", Generation="one")
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("ValueError")


def test_a_bucket_that_is_gone_needs_no_emptying(cloudformation: CloudFormation) -> None:
    assert cloudformation.ask("Delete", Retain="false", Bucket="no-such-bucket")["Status"] == "SUCCESS"
