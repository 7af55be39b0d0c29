"""SQS: messages in batches, with what AWS refuses in part sent again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from batuta_core.engine.ports import QUEUE_RETENTION_S, Incoming, Outgoing, QueueMissing, QueueSize
from batuta_core.model.aws_codes import is_retriable
from batuta_core.model.error import BatutaError, PayloadTooLarge, ResourceMissing, Unavailable
from batuta_core.model.message import MESSAGE_MAX_BYTES
from batuta_core.model.names import is_priority_queue
from batuta_server import layout
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport, pause_s

_BATCH_MAX = 10  # quota "messages per batch"
_WAIT_MAX_S = 20  # quota "long poll"
_ROUNDS_MAX = 5  # of one batch that is refused in part
_SENDABLE_AFTER_S = 1.2  # "you must wait at least one second after the queue is created" (SQS API, CreateQueue)
_WAIT_AGAIN_S = 30  # as long as a function lives
_KNOWN_S = 60  # for so long ensure_task_queue believes that a queue which was there still is


class SqsQueues:
    """Queue URLs are kept until a call says that the queue is gone; that a queue is missing is never kept."""

    def __init__(self, transport: Transport, stage: str) -> None:
        self._transport = transport
        self._stage = stage
        self._urls: dict[str, str] = {}
        self._ensured: dict[str, float] = {}  # when a task queue was last seen (monotonic)
        self._task_dead_letters = ""  # the ARN, once it is known
        self._is_tls_demanded = transport.endpoints["sqs"].startswith("https:")
        self._waited = -math.inf  # when a send last waited for a queue (monotonic)

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        for batch in batches(messages):
            entries = [_entry(place, message) for place, message in enumerate(batch)]
            try:
                self._send(queue, entries)
            except QueueMissing:
                # A message that finds no queue fails its task, so a queue that was made a moment ago gets its second. Many
                # queues that will never be must not take all of a function's life, though. Beside a priority queue there is another.
                if is_priority_queue(queue) or time.monotonic() - self._waited < _WAIT_AGAIN_S:
                    raise
                time.sleep(_SENDABLE_AFTER_S)
                self._waited = time.monotonic()
                self._send(queue, entries)

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        wait_s = min(max(wait_s, 0), _WAIT_MAX_S)
        answer = self._call(
            "ReceiveMessage",
            queue,
            wait_s,
            MaxNumberOfMessages=min(max(limit, 1), _BATCH_MAX),
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
        )
        return [_incoming(message) for message in answer.get("Messages") or ()]

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        self._settle("DeleteMessageBatch", queue, receipts, {})

    def release(self, queue: str, receipts: Sequence[str]) -> None:
        self._settle("ChangeMessageVisibilityBatch", queue, receipts, {"VisibilityTimeout": 0})

    def size(self, queue: str) -> QueueSize:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
        found = self._call("GetQueueAttributes", queue, AttributeNames=list(names))["Attributes"]
        return QueueSize(*(int(found[name]) for name in names))

    def ensure_task_queue(self, queue: str) -> None:
        if queue in self._urls and time.monotonic() - self._ensured.get(queue, -_KNOWN_S) < _KNOWN_S:
            return
        self._task_dead_letters = self._task_dead_letters or self._dead_letters_arn()
        attributes = queue_attributes(layout.TASK_QUEUE, self._task_dead_letters)
        if self._is_tls_demanded:
            attributes["Policy"] = _tls_only(self._task_dead_letters.rpartition(":")[0] + ":" + queue)
        try:
            answer = self._transport.call("sqs", "CreateQueue", {"QueueName": queue, "Attributes": attributes})
            self._urls[queue] = answer["QueueUrl"]
        except AwsError as error:
            if error.code not in ("QueueNameExists", "QueueAlreadyExists"):
                raise to_batuta(error, f"CreateQueue {queue}") from error
            self._url(queue)  # it is there with other attributes, which somebody chose
        self._ensured[queue] = time.monotonic()

    def arn(self, queue: str) -> str:
        found: str = self._call("GetQueueAttributes", queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return found

    # --- inside

    def _dead_letters_arn(self) -> str:
        try:
            return self.arn(layout.TASK_DEAD_LETTERS.name(self._stage))
        except QueueMissing as error:  # registering a definition, QueueMissing's remedy, does not make this one
            raise ResourceMissing(error.message) from error

    def _send(self, queue: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """Those that may go through later are tried again, and only then those that never will are reported."""
        left = list(entries)
        hopeless: BatutaError | None = None
        for round_ in range(1, _ROUNDS_MAX + 1):
            try:
                failed = self._batch("SendMessageBatch", queue, left)
            except BatutaError as error:
                if _is_long(left[0]) and not error.retryable and not isinstance(error, QueueMissing):
                    raise PayloadTooLarge(error.message, queue=queue) from error
                raise
            for entry in left:
                if _is_hopeless(failed.get(entry["Id"])):
                    hopeless = hopeless or _refused(queue, entry, failed[entry["Id"]])
            left = [entry for entry in left if entry["Id"] in failed and not _is_hopeless(failed[entry["Id"]])]
            if not left:
                break
            if round_ == _ROUNDS_MAX:
                raise Unavailable(f"SendMessageBatch on {queue}: {len(left)} messages were refused {_ROUNDS_MAX} times", queue=queue)
            time.sleep(pause_s(round_))
        if hopeless is not None:
            raise hopeless

    def _settle(self, operation: str, queue: str, receipts: Sequence[str], extra: Mapping[str, Any]) -> None:
        """A receipt that is refused as such is no longer valid: its message is deleted already, or somebody else has it."""
        for begin in range(0, len(receipts), _BATCH_MAX):
            batch = receipts[begin : begin + _BATCH_MAX]
            left: list[Mapping[str, Any]] = [{"Id": str(place), "ReceiptHandle": receipt, **extra} for place, receipt in enumerate(batch)]
            for round_ in range(1, _ROUNDS_MAX + 1):
                failed = self._batch(operation, queue, left)
                left = [entry for entry in left if entry["Id"] in failed and not _is_hopeless(failed[entry["Id"]])]
                if not left:
                    break
                if round_ == _ROUNDS_MAX:
                    raise Unavailable(f"{operation} on {queue}: {len(left)} messages were refused {_ROUNDS_MAX} times", queue=queue)
                time.sleep(pause_s(round_))

    def _batch(self, operation: str, queue: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The entries that failed, by their id."""
        return {failure["Id"]: failure for failure in self._call(operation, queue, Entries=list(entries)).get("Failed") or ()}

    def _call(self, operation: str, queue: str, wait_s: int = 0, /, **request: Any) -> dict[str, Any]:
        try:
            return self._transport.call("sqs", operation, {"QueueUrl": self._url(queue), **request}, wait_s=wait_s)
        except AwsError as error:
            if error.is_queue_missing:
                self._urls.pop(queue, None)
                raise QueueMissing(f"queue {queue} does not exist", queue=queue) from error
            raise to_batuta(error, f"{operation} on {queue}") from error

    def _url(self, queue: str) -> str:
        url = self._urls.get(queue)
        if url is None:
            try:
                url = self._transport.call("sqs", "GetQueueUrl", {"QueueName": queue})["QueueUrl"]
            except AwsError as error:
                if error.is_queue_missing:
                    raise QueueMissing(f"queue {queue} does not exist", queue=queue) from error
                raise to_batuta(error, f"GetQueueUrl {queue}") from error
            self._urls[queue] = url
        return url


def queue_attributes(queue: layout.Queue, dead_letters_arn: str) -> dict[str, str]:
    """What CreateQueue wants. ``dead_letters_arn`` is of ``queue.dead_letters``, empty without."""
    attributes = {"VisibilityTimeout": str(queue.visibility_s), "MessageRetentionPeriod": str(QUEUE_RETENTION_S)}
    if queue.is_fifo:  # high throughput: by message group, not by queue
        attributes |= {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    if dead_letters_arn:
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": str(queue.max_receives)})
    return attributes


def _tls_only(arn: str) -> str:
    """The policy that CDK gives the stage's own queues (``enforce_ssl``)."""
    refusal = {
        "Sid": "ApiCallsOnlyByTls",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "sqs:*",
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [refusal]}, separators=(",", ":"))


def batches(messages: Sequence[Outgoing]) -> list[list[Outgoing]]:
    """At most ten, and together at most what one message may hold. A longer message goes alone, for SQS to judge."""
    found: list[list[Outgoing]] = []
    room = 0
    for message in messages:
        size = _size_bytes(message.text)
        if not found or len(found[-1]) == _BATCH_MAX or size > room:
            found.append([])
            room = MESSAGE_MAX_BYTES
        found[-1].append(message)
        room -= size
    return found


def _entry(place: int, message: Outgoing) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(place), "MessageBody": message.text}
    if message.delay_s:
        entry["DelaySeconds"] = message.delay_s
    if message.group:
        entry["MessageGroupId"] = message.group
    if message.dedup:
        entry["MessageDeduplicationId"] = message.dedup
    return entry


def _incoming(message: Mapping[str, Any]) -> Incoming:
    attributes = message.get("Attributes", {})
    return Incoming(
        message_id=message["MessageId"],
        text=message["Body"],
        receipt=message["ReceiptHandle"],
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
        group=attributes.get("MessageGroupId", ""),
    )


def _is_hopeless(failure: Mapping[str, Any] | None) -> bool:
    return failure is not None and bool(failure.get("SenderFault")) and not is_retriable(failure["Code"])


def _is_long(entry: Mapping[str, Any]) -> bool:
    """Whether its length may be why it is refused; then it is alone in its batch."""
    return _size_bytes(entry["MessageBody"]) > MESSAGE_MAX_BYTES


def _size_bytes(message: str) -> int:
    return len(message.encode("utf-8", "surrogatepass"))


def _refused(queue: str, entry: Mapping[str, Any], failure: Mapping[str, Any]) -> BatutaError:
    """A message that SQS will never take."""
    message = f"{queue} refuses a message: {failure['Code']}: {failure.get('Message', '')}"
    return PayloadTooLarge(message, queue=queue) if _is_long(entry) else BatutaError(message, queue=queue)
