"""Makes the tables, queues and the bucket of a stage where no CDK does: for `batuta dev` and tests, on this machine only."""

from __future__ import annotations

import time
from typing import Any

from batuta_core.model.names import resource_name
from batuta_server import layout
from batuta_server.aws.errors import AwsError
from batuta_server.aws.payloads import s3_client
from batuta_server.aws.queues import SqsQueues, queue_attributes
from batuta_server.aws.transport import Transport
from batuta_server.settings import Settings, SettingsError

_ACTIVE_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.05


def provision(settings: Settings, transport: Transport) -> None:
    """Makes what is not there yet, waits for it, and brings the queues' attributes up to date. Repeats do nothing more."""
    if not settings.is_local:
        raise SettingsError("resources are made by the deployment, except on a laptop (is_local)")
    settings.endpoints()
    provision_tables(transport, settings.stage)
    provision_queues(transport, settings.stage)
    provision_bucket(transport, settings.bucket)


def provision_tables(transport: Transport, stage: str) -> None:
    for table in layout.TABLES:
        try:
            transport.call("dynamodb", "CreateTable", _creation(table, stage))
        except AwsError as error:
            if error.code != "ResourceInUseException":  # it is there, or on its way
                raise
    for table in layout.TABLES:
        _wait_for(transport, table.name(stage))
        if table.ttl:
            _expire(transport, table.name(stage), table.ttl)


def provision_queues(transport: Transport, stage: str) -> None:
    queues = SqsQueues(transport, stage)
    for queue in (*layout.QUEUES, *layout.SYSTEM_QUEUES):
        arn = queues.arn(resource_name(stage, queue.dead_letters)) if queue.dead_letters else ""
        attributes = queue_attributes(queue, arn)
        name = queue.name(stage)
        try:
            transport.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})
        except AwsError as error:
            if error.code not in ("QueueNameExists", "QueueAlreadyExists"):
                raise
            url = transport.call("sqs", "GetQueueUrl", {"QueueName": name})["QueueUrl"]
            attributes.pop("FifoQueue", None)  # cannot be changed
            transport.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": attributes})


def provision_bucket(transport: Transport, bucket: str) -> None:
    client = s3_client(transport)
    try:
        if transport.region == "us-east-1":  # the one region that must not be named
            client.create_bucket(Bucket=bucket)
        else:
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": transport.region})
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass


def _creation(table: layout.Table, stage: str) -> dict[str, Any]:
    keys = {key.name: key.type for key in (table.partition, table.sort)}
    keys |= {key.name: key.type for index in table.indexes for key in (index.partition, index.sort)}
    request: dict[str, Any] = {
        "TableName": table.name(stage),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _key_schema(table.partition, table.sort),
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in keys.items()],
    }
    if table.indexes:
        request["GlobalSecondaryIndexes"] = [
            {"IndexName": index.name, "KeySchema": _key_schema(index.partition, index.sort), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for index in table.indexes
        ]
    return request


def _key_schema(partition: layout.Key, sort: layout.Key) -> list[dict[str, str]]:
    return [{"AttributeName": partition.name, "KeyType": "HASH"}, {"AttributeName": sort.name, "KeyType": "RANGE"}]


def _wait_for(transport: Transport, name: str) -> None:
    end = time.monotonic() + _ACTIVE_WITHIN_S
    while True:
        table = transport.call("dynamodb", "DescribeTable", {"TableName": name})["Table"]
        states = [table["TableStatus"], *(index.get("IndexStatus", "ACTIVE") for index in table.get("GlobalSecondaryIndexes", ()))]
        if all(state == "ACTIVE" for state in states):
            return
        if time.monotonic() > end:
            raise TimeoutError(f"table {name} is still {states} after {_ACTIVE_WITHIN_S} s")
        time.sleep(_LOOK_EVERY_S)


def _expire(transport: Transport, name: str, attribute: str) -> None:
    found = transport.call("dynamodb", "DescribeTimeToLive", {"TableName": name})["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        specification = {"AttributeName": attribute, "Enabled": True}
        transport.call("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": specification})
