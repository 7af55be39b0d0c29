"""SQS in memory, as far as functions and workers use it: delays, visibility, groups, deduplication; on a clock that is set by hand."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_DEDUPLICATED_MS = 5 * 60_000  # the interval of FIFO queues
_BATCH_MAX = 10


class QueueIsMissing(Exception):
    body: Mapping[str, Any] = {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}


@dataclass(slots=True)
class _Message:
    message_id: str
    body: str
    group: str
    sent_ms: int
    visible_ms: int
    receives: int = 0
    receipt: str = ""


@dataclass(slots=True)
class _Queue:
    name: str
    visibility_s: int
    messages: dict[str, _Message] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)  # deduplication id -> until when

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")


class PretendSqs:
    """Any number of threads. A long poll waits in real time, for as long as its ``wait_s`` says or until something is sent."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._queues: dict[str, _Queue] = {}
        self._numbers = itertools.count(1)
        self._closed: set[str] = set()
        self._is_ending = False
        self.changed = threading.Condition(threading.RLock())

    def make(self, name: str, visibility_s: int) -> None:
        self._queues.setdefault(name, _Queue(name, visibility_s))

    def close(self, name: str) -> None:
        """Long polls on it find nothing until ``open``: whoever fills it gets the time to."""
        with self.changed:
            self._closed.add(name)

    def open(self, name: str) -> None:
        with self.changed:
            self._closed.discard(name)
            self.changed.notify_all()

    def end_polls(self) -> None:
        """From now on none waits."""
        with self.changed:
            self._is_ending = True
            self.changed.notify_all()

    def count(self, name: str) -> int:
        """Messages on it, delayed and invisible ones included."""
        return len(self._queues[name].messages)

    def next_due_ms(self, name: str) -> int | None:
        """When its first message can be received."""
        return min((message.visible_ms for message in self._queues[name].messages.values()), default=None)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self.changed:
            answer: dict[str, Any] = getattr(self, f"_{operation}")(request)
            self.changed.notify_all()
            return answer

    # --- operations

    def _GetQueueUrl(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"QueueUrl": f"http://127.0.0.1:9/000000000000/{self._named(request['QueueName']).name}"}

    def _CreateQueue(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.make(request["QueueName"], int(request.get("Attributes", {}).get("VisibilityTimeout", 30)))
        return self._GetQueueUrl(request)

    def _GetQueueAttributes(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": f"arn:aws:sqs:us-east-1:000000000000:{self._of(request).name}"}}

    def _SendMessageBatch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        queue, now_ms = self._of(request), self._now_ms()
        for entry in request["Entries"]:
            dedup = entry.get("MessageDeduplicationId", "")
            if dedup and queue.seen.get(dedup, 0) > now_ms:
                continue
            if dedup:
                queue.seen[dedup] = now_ms + _DEDUPLICATED_MS
            message_id = f"{next(self._numbers):08x}-0000-4000-8000-000000000000"
            due_ms = now_ms + 1000 * entry.get("DelaySeconds", 0)
            queue.messages[message_id] = _Message(message_id, entry["MessageBody"], entry.get("MessageGroupId", ""), now_ms, due_ms)
        successful = [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for entry in request["Entries"]]
        return {"Successful": successful, "Failed": []}

    def _ReceiveMessage(self, request: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._of(request)
        limit, wait_s = request.get("MaxNumberOfMessages", 1), request.get("WaitTimeSeconds", 0)
        if wait_s:
            self.changed.wait_for(lambda: self._is_ending or (queue.name not in self._closed and bool(self._visible(queue, 1))), wait_s)
            if queue.name in self._closed:
                return {}
        found = self._visible(queue, min(limit, _BATCH_MAX))
        for message in found:
            message.receives += 1
            message.receipt = f"{message.message_id}#{message.receives}"
            message.visible_ms = self._now_ms() + 1000 * queue.visibility_s
        return {"Messages": [_shown(message) for message in found]} if found else {}

    def _DeleteMessageBatch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._of(request)
        for entry in request["Entries"]:
            queue.messages.pop(entry["ReceiptHandle"].partition("#")[0], None)
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}

    def _ChangeMessageVisibilityBatch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._of(request)
        for entry in request["Entries"]:
            message = queue.messages.get(entry["ReceiptHandle"].partition("#")[0])
            if message is not None:
                message.visible_ms = self._now_ms() + 1000 * entry["VisibilityTimeout"]
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}

    # --- inside

    def _visible(self, queue: _Queue, limit: int) -> list[_Message]:
        """Of a FIFO queue the first ones, without the groups of which some are in somebody's hand."""
        now_ms = self._now_ms()
        busy = {m.group for m in queue.messages.values() if m.receives and m.visible_ms > now_ms} if queue.is_fifo else set()
        ready = (m for m in queue.messages.values() if m.visible_ms <= now_ms and m.group not in (busy - {""}))
        return list(itertools.islice(ready, limit))

    def _of(self, request: Mapping[str, Any]) -> _Queue:
        return self._named(str(request["QueueUrl"]).rpartition("/")[2])

    def _named(self, name: str) -> _Queue:
        if name not in self._queues:
            raise QueueIsMissing(name)
        return self._queues[name]


def _shown(message: _Message) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": str(message.sent_ms)}
    if message.group:
        attributes["MessageGroupId"] = message.group
    return {"MessageId": message.message_id, "ReceiptHandle": message.receipt, "Body": message.body, "Attributes": attributes}
