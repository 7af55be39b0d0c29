"""The worker's queues: what it needs of SQS, and the one module of the SDK that says boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from batuta.settings import LOCAL_ACCOUNT, Connection
from batuta_core.model.aws_codes import is_retriable
from batuta_core.model.error import ResourceMissing, Unavailable

if TYPE_CHECKING:
    from botocore.session import Session

T = TypeVar("T")

BATCH_MAX = 10  # SQS quota "messages per batch"

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 8  # a renewal that takes longer must be tried again before the lease ends
_POLL_READ_TIMEOUT_S = 30  # longer than the longest poll, 20 s
_CONNECTIONS = 64  # more than there are threads that use them
_MISSING_CODES = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


@dataclass(frozen=True, slots=True)
class Received:
    """A message in hand: invisible to others until its lease ends. ``sent_ms`` is when it was put on the queue."""

    message_id: str
    text: str
    receipt: str
    sent_ms: int = 0
    receives: int = 1  # how often SQS gave it out, this time included


@dataclass(frozen=True, slots=True)
class Outgoing:
    text: str
    group: str
    dedup: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry of a batch that was refused; ``is_final``: it would be again."""

    index: int
    reason: str
    is_final: bool


class Queues(Protocol):
    """Every call blocks and may come from any thread. Batches hold at most ten.

    Raises ResourceMissing when there is no such queue, and Unavailable for all that may pass: no network, throttled, not
    allowed yet.
    """

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Received]:
        """Up to ``limit`` messages, waiting up to ``wait_s`` seconds for the first."""

    def send(self, queue: str, batch: Sequence[Outgoing]) -> Sequence[Failure]:
        """To a FIFO queue; what is not in the answer has been sent."""

    def delete(self, queue: str, receipts: Sequence[str]) -> Sequence[Failure]: ...

    def change_visibility(self, queue: str, receipts: Sequence[str], visibility_s: int) -> Sequence[Failure]:
        """From now on invisible for ``visibility_s`` seconds, 0: visible at once. A final failure: no longer ours."""


class SqsQueues:
    """SQS by boto3, with credentials of every kind that boto3 knows. Its clients may be shared by threads."""

    def __init__(self, connection: Connection) -> None:
        import boto3
        from botocore.config import Config

        session = boto3.Session(botocore_session=_session(connection), region_name=connection.region)

        def client(read_timeout_s: int) -> Any:
            config = Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=read_timeout_s,
                max_pool_connections=_CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": 2},  # the worker has a longer breath of its own
            )
            return session.client("sqs", endpoint_url=connection.endpoint, config=config)

        self._client = client(_READ_TIMEOUT_S)
        self._poll_client = client(_POLL_READ_TIMEOUT_S)
        self._urls: dict[str, str] = {}

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Received]:
        answer = self._call(
            queue,
            self._poll_client.receive_message,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return [_received(message) for message in answer.get("Messages", ())]

    def send(self, queue: str, batch: Sequence[Outgoing]) -> Sequence[Failure]:
        entries = [
            {"Id": str(index), "MessageBody": item.text, "MessageGroupId": item.group, "MessageDeduplicationId": item.dedup}
            for index, item in enumerate(batch)
        ]
        return self._batch(queue, self._client.send_message_batch, entries)

    def delete(self, queue: str, receipts: Sequence[str]) -> Sequence[Failure]:
        return self._batch(queue, self._client.delete_message_batch, _entries(receipts))

    def change_visibility(self, queue: str, receipts: Sequence[str], visibility_s: int) -> Sequence[Failure]:
        entries = [{**entry, "VisibilityTimeout": visibility_s} for entry in _entries(receipts)]
        return self._batch(queue, self._client.change_message_visibility_batch, entries)

    def _batch(self, queue: str, call: Callable[..., Any], entries: Sequence[dict[str, Any]]) -> Sequence[Failure]:
        answer = self._call(queue, call, Entries=entries)
        return [_failure(item) for item in answer.get("Failed", ())]

    def _call(self, queue: str, call: Callable[..., Any], **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(QueueUrl=self._url(queue), **arguments)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING_CODES:
                self._urls.pop(queue, None)
                raise ResourceMissing(f"queue {queue} does not exist", queue=queue) from error
            raise Unavailable(f"{queue}: {error}", queue=queue) from error
        except BotoCoreError as error:
            raise Unavailable(f"{queue}: {error}", queue=queue) from error

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
        return self._urls[queue]


def _session(connection: Connection) -> Session:
    """On an emulator without credentials, dummy ones; real ones are left alone, since an emulator may check them."""
    from botocore.session import Session

    session = Session()
    if connection.is_local:
        session.get_component("credential_provider").remove("iam-role")  # asks the network, for seconds, outside EC2
    if connection.local_account is not None or (connection.is_local and session.get_credentials() is None):
        session.set_credentials(access_key=connection.local_account or LOCAL_ACCOUNT, secret_key="local")  # noqa: S106 - nobody checks it
    return session


def _received(message: Any) -> Received:
    sent_ms = int(message.get("Attributes", {}).get("SentTimestamp", 0))
    receives = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return Received(message["MessageId"], message["Body"], message["ReceiptHandle"], sent_ms, receives)


def _failure(item: Any) -> Failure:
    """Throttling is final for no entry, though SQS may call it the sender's fault."""
    code = str(item.get("Code"))
    is_final = bool(item.get("SenderFault")) and not is_retriable(code)
    return Failure(int(item["Id"]), f"{code}: {item.get('Message', '')}", is_final)


def _entries(receipts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)]
