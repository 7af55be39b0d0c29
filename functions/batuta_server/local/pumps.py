"""What AWS does for the functions: polls their queues, invokes them, deletes what they did not report as failed; and ticks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.engine.ports import Incoming, Log, Queues
from batuta_core.model.error import BatutaError

Function = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]

_BATCH_MAX = 10
_WAIT_S = 10
_RETRY_S = 1.0
_TICK_S = 60.0


class Pumps:
    """Threads that feed the functions. Lambda runs as many of a function as there are groups; here a few are enough."""

    def __init__(self, queues: Queues, log: Log) -> None:
        self._queues = queues
        self._log = log
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def feed(self, queue: str, function: Function, *, threads: int = 1) -> None:
        """Invokes ``function`` with each batch from ``queue``."""
        for _ in range(threads):
            self._begin(f"pump {queue}", self._poll, queue, function)

    def tick(self, function: Function) -> None:
        """Invokes ``function`` now and once a minute."""
        self._begin("tick", self._tick, function)

    def stop(self) -> None:
        """No new batches; those in hand are finished as far as the emulator lives."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    def _begin(self, name: str, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name=name)
        self._threads.append(thread)
        thread.start()

    def _poll(self, queue: str, function: Function) -> None:
        while not self._stop.is_set():
            try:
                received = self._queues.receive(queue, _BATCH_MAX, _WAIT_S)
                if received:
                    self._invoke(queue, function, received)
            except Exception as error:
                if not self._stop.is_set():
                    self._log.failed("pump_failed", error, queue=queue)
                    self._stop.wait(_RETRY_S)

    def _invoke(self, queue: str, function: Function, received: Sequence[Incoming]) -> None:
        answer = function(_event(queue, received), None)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        done = [message.receipt for message in received if message.message_id not in failed]
        if done:
            self._queues.delete(queue, done)

    def _tick(self, function: Function) -> None:
        while not self._stop.is_set():
            try:
                function({}, None)
            except BatutaError as error:
                if not self._stop.is_set():
                    self._log.failed("tick_failed", error)
            self._stop.wait(_TICK_S)


def _event(queue: str, received: Sequence[Incoming]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message.message_id,
                "receiptHandle": message.receipt,
                "body": message.text,
                "attributes": {"ApproximateReceiveCount": str(message.receives), **({"MessageGroupId": message.group} if message.group else {})},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
            }
            for message in received
        ]
    }
