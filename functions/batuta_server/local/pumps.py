"""What AWS does for the functions: polls their queues, invokes them, deletes what they did not report as failed; and ticks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from batuta_core.engine.ports import Incoming, Log, Queues

Function = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]

_BATCH_MAX = 10
_WAIT_S = 10
_RETRY_S = 1.0


class Pumps:
    """Threads that feed the functions. Lambda runs as many of a function as there are groups; here a few are enough."""

    def __init__(self, queues: Queues, log: Log) -> None:
        self._queues = queues
        self._log = log
        self._stop = threading.Event()
        self._idle = threading.Condition()
        self._in_hand = 0

    def feed(self, queue: str, function: Function, *, threads: int = 1) -> None:
        """Invokes ``function`` with each batch from ``queue``."""
        for _ in range(threads):
            self._begin(f"pump {queue}", self._poll, queue, function)

    def tick(self, function: Function, *, every_s: float) -> None:
        """Invokes ``function`` now and then again and again."""
        self._begin("tick", self._tick, function, every_s)

    def stop(self, timeout_s: float) -> None:
        """No new batches; returns when those in hand are done. Long polls that are under way end with the emulator."""
        self._stop.set()
        with self._idle:
            self._idle.wait_for(lambda: self._in_hand == 0, timeout_s)

    def _begin(self, name: str, target: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=target, args=args, daemon=True, name=name).start()

    @contextmanager
    def _batch(self) -> Iterator[bool]:
        """Says whether it may be begun."""
        with self._idle:
            self._in_hand += 1
        try:
            yield not self._stop.is_set()
        finally:
            with self._idle:
                self._in_hand -= 1
                self._idle.notify_all()

    def _poll(self, queue: str, function: Function) -> None:
        while not self._stop.is_set():
            try:
                received = self._queues.receive(queue, _BATCH_MAX, _WAIT_S)
                with self._batch() as is_wanted:
                    if received and is_wanted:
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

    def _tick(self, function: Function, every_s: float) -> None:
        while not self._stop.is_set():
            try:
                with self._batch() as is_wanted:
                    if is_wanted:
                        function({}, None)
            except Exception as error:  # whatever it is, the next minute's tick must come
                if not self._stop.is_set():
                    self._log.failed("tick_failed", error)
            self._stop.wait(every_s)


def _event(queue: str, received: Sequence[Incoming]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message.message_id,
                "receiptHandle": message.receipt,
                "body": message.text,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    **({"MessageGroupId": message.group} if message.group else {}),
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
            }
            for message in received
        ]
    }
