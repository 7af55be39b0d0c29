"""The port ``Sinks`` against servers of others' make: what is published arrives, and what cannot be is refused with the reason."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from batuta_core.engine.event_ports import SinkRefused
from batuta_core.model.error import Unavailable
from batuta_server.aws.signature import Credentials
from batuta_server.aws.sinks import ANY, EVENT_MAX_BYTES, MESSAGE_ID, AwsSinks
from tests.contract.servers import Server

REGION = "us-east-1"


class Cloud:
    def __init__(self, server: Server) -> None:
        self.url = server.urls["sqs"]
        # ministack keeps a world per account; moto has one.
        self.account = f"{secrets.randbelow(10**12):012d}" if server.name == "ministack" else "123456789012"
        self.credentials = Credentials(self.account, "test")
        self.name = f"sink-{secrets.token_hex(4)}"

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id=self.account, aws_secret_access_key="test"
        )

    def sinks(self, *allowed: str, url: str = "") -> AwsSinks:
        return AwsSinks(allowed, REGION, self.account, self.credentials, url or self.url)

    def queue(self, name: str = "", **attributes: str) -> str:
        return str(self.client("sqs").create_queue(QueueName=name or self.name, Attributes=attributes)["QueueUrl"])

    def received(self, url: str) -> list[dict[str, Any]]:
        found = self.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=3, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return list(found.get("Messages", []))


@pytest.fixture(params=["ministack", "moto"])
def cloud(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> Cloud:
    return Cloud(server(request.param))


def test_a_queue_gets_the_payload_under_its_id(cloud: Cloud) -> None:
    url = cloud.queue()
    cloud.sinks(f"sqs:{cloud.name}").publish(f"sqs:{cloud.name}", "m1", '{"a":"ü"}')
    (message,) = cloud.received(url)
    assert json.loads(message["Body"]) == {"a": "ü"}
    assert message["MessageAttributes"][MESSAGE_ID]["StringValue"] == "m1"


def test_a_fifo_queue_drops_the_repeat(cloud: Cloud) -> None:
    name = f"{cloud.name}.fifo"
    url = cloud.queue(name, FifoQueue="true")
    sinks = cloud.sinks(ANY)
    for _ in range(2):
        sinks.publish(f"sqs:{name}", "m1.2", "{}")
    assert len(cloud.received(url)) == 1


def test_a_topic_gets_it(cloud: Cloud) -> None:
    url = cloud.queue()
    sns = cloud.client("sns")
    topic = sns.create_topic(Name=cloud.name)["TopicArn"]
    arn = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    cloud.sinks(f"sns:{cloud.name}").publish(f"sns:{cloud.name}", "m1", '{"a":1}')
    (message,) = cloud.received(url)
    assert json.loads(message["Body"]) == {"a": 1}


def test_a_bus_gets_it(cloud: Cloud) -> None:
    url = cloud.queue()
    events, sqs = cloud.client("events"), cloud.client("sqs")
    events.create_event_bus(Name=cloud.name)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName=cloud.name, EventPattern='{"source":["batuta"]}')
    events.put_targets(Rule="all", EventBusName=cloud.name, Targets=[{"Id": "1", "Arn": arn}])
    cloud.sinks(f"eventbridge:{cloud.name}").publish(f"eventbridge:{cloud.name}", "m1", '{"a":1}')
    (message,) = cloud.received(url)
    assert json.loads(message["Body"])["detail"] == {"a": 1}


@pytest.mark.parametrize("allowed", [(), ("sqs:other",), ("sns:x",)])
def test_what_the_stage_does_not_name_is_refused_with_the_remedy(cloud: Cloud, allowed: tuple[str, ...]) -> None:
    cloud.queue("x")
    with pytest.raises(SinkRefused, match="does not publish to sqs:x: add it to the parameter event_sinks and deploy"):
        cloud.sinks(*allowed).publish("sqs:x", "m1", "{}")


def test_what_is_not_there_is_refused(cloud: Cloud) -> None:
    for sink in ("sqs:nobody", "sns:nobody"):
        with pytest.raises(SinkRefused, match=sink):
            cloud.sinks(ANY).publish(sink, "m1", "{}")


def test_what_is_too_large_is_refused(cloud: Cloud) -> None:
    cloud.queue("x")
    cloud.sinks(ANY).publish("sqs:x", "m1", "x" * EVENT_MAX_BYTES)
    with pytest.raises(SinkRefused, match="the limit is"):
        cloud.sinks(ANY).publish("sqs:x", "m1", "ü" * (EVENT_MAX_BYTES // 2 + 1))


def test_who_does_not_answer_is_asked_another_time(cloud: Cloud) -> None:
    with pytest.raises(Unavailable):
        cloud.sinks(ANY, url="http://127.0.0.1:9").publish("sqs:x", "m1", "{}")
