"""What provisions a local stage: all of the layout, once, and the same numbers everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta_core.engine.ports import MAX_RECEIVES, QUEUE_RETENTION_S, Outgoing
from batuta_core.simulator.queue import SimulatedQueues
from batuta_server import layout
from batuta_server.aws.provision import provision, provision_queues, provision_tables
from tests.contract.stand import AwsStand


def attributes(stand: AwsStand, queue: layout.Queue) -> dict[str, Any]:
    url = stand.transport.call("sqs", "GetQueueUrl", {"QueueName": queue.name(stand.stage)})["QueueUrl"]
    found: dict[str, Any] = stand.transport.call("sqs", "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]})["Attributes"]
    return found


def test_the_simulator_has_the_layouts_queues() -> None:
    assert {queue.name("s") for queue in (*layout.QUEUES, *layout.SYSTEM_QUEUES)} == set(SimulatedQueues("s", lambda: 0).names())


@pytest.mark.not_on("simulator", because="it needs no provision")
def test_tables_have_their_keys_indexes_and_expiry(stand: AwsStand) -> None:
    provision_tables(stand.transport, stand.stage)
    for table in layout.TABLES:
        name = table.name(stand.stage)
        found = stand.transport.call("dynamodb", "DescribeTable", {"TableName": name})["Table"]
        assert [key["AttributeName"] for key in found["KeySchema"]] == [table.partition.name, table.sort.name]
        indexes = found.get("GlobalSecondaryIndexes", [])
        assert {index["IndexName"] for index in indexes} == {index.name for index in table.indexes}
        assert all(index["Projection"]["ProjectionType"] == "KEYS_ONLY" for index in indexes)
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        expiry = stand.transport.call("dynamodb", "DescribeTimeToLive", {"TableName": name})["TimeToLiveDescription"]
        assert expiry.get("AttributeName", "") == table.ttl


@pytest.mark.not_on("simulator", because="it needs no provision")
def test_queues_have_their_attributes(stand: AwsStand) -> None:
    provision_queues(stand.transport, stand.stage)
    for queue in layout.QUEUES:
        found = attributes(stand, queue)
        assert found["VisibilityTimeout"] == str(queue.visibility_s)
        assert found.get("MessageRetentionPeriod", str(QUEUE_RETENTION_S)) == str(QUEUE_RETENTION_S)  # ElasticMQ tells none
        assert (found.get("FifoQueue") == "true") is queue.is_fifo
        redrive = json.loads(found.get("RedrivePolicy", "{}"))
        assert redrive.get("deadLetterTargetArn", "").rpartition(":")[2] == (
            f"batuta-{stand.stage}--{queue.dead_letters}" if queue.dead_letters else ""
        )
        assert int(redrive.get("maxReceiveCount", 0)) == (MAX_RECEIVES if queue.dead_letters else 0)


@pytest.mark.not_on("simulator", because="it needs no provision")
@pytest.mark.not_on("jvm", because="there is no S3 among those servers")
def test_provisioning_again_keeps_what_is_there_and_mends_attributes(stand: AwsStand) -> None:
    provision(stand.settings, stand.transport)
    queue = layout.TIMERS_QUEUE.name(stand.stage)
    stand.shorten_visibility(queue, 7)
    stand.ports.queues.send(queue, [Outgoing("kept")])
    stand.ports.definitions.put_tasks("shop", [{"name": "kept"}])
    provision(stand.settings, stand.transport)
    assert attributes(stand, layout.TIMERS_QUEUE)["VisibilityTimeout"] == "180"
    assert stand.ports.queues.size(queue).waiting == 1
    assert list(stand.ports.definitions.tasks("shop")) == ["kept"]


def test_bucket_names_fit_in_every_region() -> None:
    assert len(layout.bucket_name("s" * 16, "1" * 12, "ap-southeast-2")) <= 63
