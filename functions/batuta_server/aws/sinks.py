"""Queues, topics and buses of the user that EVENT tasks publish to: those that the stage allows. boto3 does it, loaded with the first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from batuta_core.engine.event_ports import SinkRefused
from batuta_core.model.error import Unavailable
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

ANY = "*"
EVENT_MAX_BYTES = 240 * 1024  # EventBridge and SNS take 256 KiB, the event's other fields included
MESSAGE_ID = "batuta.message_id"  # the attribute by which a listener knows a repeat
_SOURCE, _DETAIL_TYPE = "batuta", "batuta.event"  # of what EventBridge gets
_TRIES = 3
_SERVICES: Mapping[str, str] = {"sqs": "sqs", "sns": "sns", "eventbridge": "events"}
# What another time may mend: the service's trouble, not the sink's.
_PASSING = frozenset(
    {"Throttling", "ThrottlingException", "RequestThrottled", "InternalFailure", "InternalException", "ServiceUnavailable"}
)


class AwsSinks:
    """``allowed``: the sinks as ``provider:name``, or ``*`` for any. They are in the stage's region and ``account``."""

    def __init__(self, allowed: Collection[str], region: str, account: str, credentials: Credentials, endpoint_url: str = "") -> None:
        self._allowed = frozenset(allowed)
        self._region = region
        self._account = account
        self._credentials = credentials
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._urls: dict[str, str] = {}  # of queues
        self._lock = threading.Lock()

    def publish(self, sink: str, message_id: str, payload: str) -> None:
        provider, _colon, name = sink.partition(":")
        if not self._allowed & {ANY, sink}:
            raise SinkRefused(f"This stage does not publish to {sink}: add it to the parameter event_sinks and deploy.")
        size = len(payload.encode("utf-8", "surrogatepass"))
        if size > EVENT_MAX_BYTES:
            raise SinkRefused(f"The event for {sink} has {size} bytes, the limit is {EVENT_MAX_BYTES}.")
        send = {"sqs": self._to_queue, "sns": self._to_topic, "eventbridge": self._to_bus}[provider]
        self._call(sink, lambda: send(name, message_id, payload))

    def _call(self, sink: str, send: Callable[[], None]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            send()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in _PASSING or status >= 500:
                raise Unavailable(f"publishing to {sink}: {error}") from error
            raise SinkRefused(f"Publishing to {sink} was refused: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"publishing to {sink}: {error}") from error

    def _to_queue(self, name: str, message_id: str, payload: str) -> None:
        client = self._client("sqs")
        if name not in self._urls:
            self._urls[name] = str(client.get_queue_url(QueueName=name)["QueueUrl"])
        fifo = {"MessageGroupId": message_id, "MessageDeduplicationId": message_id.replace(".", "-")} if name.endswith(".fifo") else {}
        attribute = {MESSAGE_ID: {"DataType": "String", "StringValue": message_id}}
        client.send_message(QueueUrl=self._urls[name], MessageBody=payload, MessageAttributes=attribute, **fifo)

    def _to_topic(self, name: str, message_id: str, payload: str) -> None:
        client = self._client("sns")
        arn = f"arn:{_partition(self._region)}:sns:{self._region}:{self._account}:{name}"
        fifo = {"MessageGroupId": message_id, "MessageDeduplicationId": message_id.replace(".", "-")} if name.endswith(".fifo") else {}
        attribute = {MESSAGE_ID: {"DataType": "String", "StringValue": message_id}}
        client.publish(TopicArn=arn, Message=payload, MessageAttributes=attribute, **fifo)

    def _to_bus(self, name: str, message_id: str, payload: str) -> None:
        entry = {"Source": _SOURCE, "DetailType": _DETAIL_TYPE, "Detail": payload, "EventBusName": name or "default", "Resources": []}
        answer = self._client("eventbridge").put_events(Entries=[entry])
        for found in answer.get("Entries", ()):
            if code := found.get("ErrorCode"):
                said = f"publishing to eventbridge:{name}: {code} {found.get('ErrorMessage', '')}"
                raise Unavailable(said) if code in _PASSING else SinkRefused(said)

    def _client(self, provider: str) -> Any:
        with self._lock:
            if provider not in self._clients:
                self._clients[provider] = self._connect(_SERVICES[provider])
            return self._clients[provider]

    def _connect(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(  # of its own: the default session is not for threads
            service,
            region_name=self._region,
            endpoint_url=self._endpoint_url or None,
            aws_access_key_id=self._credentials.access_key_id,
            aws_secret_access_key=self._credentials.secret_access_key,
            aws_session_token=self._credentials.session_token or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": _TRIES},
                proxies={},
            ),
        )


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
