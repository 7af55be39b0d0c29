"""Queues in memory for a real worker: the simulator's, with waiting, with failures on request, and a clock that can be pushed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from batuta.worker.queues import Failure, Outgoing, Received
from batuta.worker.timing import Timing
from batuta.worker.worker import Worker
from batuta_core.engine import ports
from batuta_core.model import ids
from batuta_core.model.error import ResourceMissing
from batuta_core.model.event import TaskUpdated
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer
from batuta_core.simulator.queue import SimulatedQueues

STAGE = "test"
SIGNER = Signer([b"a key for nothing but tests"])
WORKFLOW_ID = ids.to_uuid(bytes(range(16)))
PATIENCE_S = 10.0  # how long a test waits for what must come; reached only when it fails

FAST = Timing(
    poll_retry_first_s=0.01,
    poll_retry_max_s=0.05,
    missing_retry_s=0.02,
    stranger_pause_s=0.02,
    renew_after_s=0.02,
    renew_tick_s=0.01,
    started_after_s=0.05,
    words_every_s=0.02,
    timeout_grace_s=0.02,
    linger_s=0.001,
    delete_linger_s=0.001,
    send_retry_first_s=0.005,
    send_retry_max_s=0.02,
    flush_s=0.5,
    settle_s=0.5,
)


class MemoryQueues:
    """``before`` is called with every call's name, queue and arguments, and may raise."""

    def __init__(self, wait_unit_s: float = 0.01) -> None:
        self._wait_unit_s = wait_unit_s  # what a second of long polling takes here
        self._ahead_ms = 0
        self._changed = threading.Condition()
        self._numbers = 0
        self.calls: list[tuple[str, str, int]] = []
        self.before: Callable[[str, str, Any], None] = lambda call, queue, items: None
        self.simulated = SimulatedQueues(STAGE, self.now_ms)
        self.reply_s = 0.0  # how long the answer to a send takes, which has had its effect by then
        self.polling = 0
        self.most_polling = 0

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self._ahead_ms

    def push_clock(self, ms: int) -> None:
        with self._changed:
            self._ahead_ms += ms
            self._changed.notify_all()

    # --- what the worker calls

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Received]:
        self._note("receive", queue, limit)
        end_s = time.monotonic() + wait_s * self._wait_unit_s
        with self._changed:
            self.polling += 1
            self.most_polling = max(self.polling, self.most_polling)
            try:
                while True:
                    found = self._receive(queue, limit)
                    left_s = end_s - time.monotonic()
                    if found or left_s <= 0:
                        return found
                    self._changed.wait(left_s)
            finally:
                self.polling -= 1

    def _receive(self, queue: str, limit: int) -> Sequence[Received]:
        try:
            found = self.simulated.receive(queue, limit, 0)
        except ports.QueueMissing as error:
            raise ResourceMissing(error.message) from error
        return [Received(item.message_id, item.text, item.receipt, self._sent_ms(queue, item.message_id), item.receives) for item in found]

    def _sent_ms(self, queue: str, message_id: str) -> int:
        return self.simulated._queues[queue].messages[message_id].sent_ms

    def send(self, queue: str, batch: Sequence[Outgoing]) -> Sequence[Failure]:
        assert 0 < len(batch) <= 10
        assert sum(len(item.text.encode()) for item in batch) <= 256 * 1024
        self._note("send", queue, batch)
        with self._changed:
            self.simulated.send(queue, [ports.Outgoing(item.text, group=item.group, dedup=item.dedup) for item in batch])
            self._changed.notify_all()
        time.sleep(self.reply_s)
        return []

    def delete(self, queue: str, receipts: Sequence[str]) -> Sequence[Failure]:
        assert 0 < len(receipts) <= 10
        self._note("delete", queue, receipts)
        with self._changed:
            failures = self._stale(queue, receipts)
            self.simulated.delete(queue, receipts)
            self._changed.notify_all()
        return failures

    def change_visibility(self, queue: str, receipts: Sequence[str], visibility_s: int) -> Sequence[Failure]:
        assert 0 < len(receipts) <= 10
        self._note("release" if visibility_s == 0 else "renew", queue, receipts)
        with self._changed:
            failures = self._stale(queue, receipts)
            self.simulated.extend(queue, receipts, visibility_s)
            self._changed.notify_all()
        return failures

    def _stale(self, queue: str, receipts: Sequence[str]) -> Sequence[Failure]:
        valid = {message.receipt for message in self.simulated._held(queue, receipts) if message.visible_ms > self.now_ms()}
        return [Failure(index, "ReceiptHandleIsInvalid", is_final=True) for index, receipt in enumerate(receipts) if receipt not in valid]

    def _note(self, call: str, queue: str, items: Any) -> None:
        with self._changed:
            self.calls.append((call, queue, items if isinstance(items, int) else len(items)))
        self.before(call, queue, items)

    # --- what a test calls

    def put(
        self, task_type: str, task_input: Any = None, *, namespace: str = "default", queue: str | None = None, **fields: Any
    ) -> TaskMessage:
        """A task on the queue of its type, or on the shared one named ``queue``."""
        self._numbers += 1
        message = make_message(self._numbers, task_type, {} if task_input is None else task_input, namespace, **fields)
        self.put_text(task_queue_name(STAGE, namespace, queue or task_type), message.to_text())
        return message

    def put_text(self, queue: str, text: str) -> None:
        with self._changed:
            self.simulated.ensure_task_queue(queue)
            self.simulated.send(queue, [ports.Outgoing(text)])
            self._changed.notify_all()

    def ensure(self, task_type: str, namespace: str = "default") -> str:
        queue = task_queue_name(STAGE, namespace, task_type)
        self.simulated.ensure_task_queue(queue)
        return queue

    def sent(self) -> list[InboxMessage]:
        """What lies on the decider's queue, proven as the server would prove it."""
        with self._changed:
            return [InboxMessage.parse(text, SIGNER) for queue, text in self.simulated.texts() if queue == self.simulated.inbox]

    def events(self, kind: type[Any] = object) -> list[Any]:
        return [message.event for message in self.sent() if isinstance(message.event, kind)]

    def results(self) -> list[TaskUpdated]:
        return self.events(TaskUpdated)

    def left(self) -> int:
        """Messages on task queues, held or not."""
        with self._changed:
            return sum(queue != self.simulated.inbox for queue, _text in self.simulated.texts())

    def visible(self, task_type: str) -> int:
        with self._changed:
            return self.simulated.size(task_queue_name(STAGE, "default", task_type)).waiting

    def polled(self) -> set[str]:
        return {queue for name, queue, _number in self.calls if name == "receive"}

    def count(self, call: str) -> int:
        return sum(name == call for name, _queue, _number in self.calls)


def make_message(number: int, task_type: str, task_input: Any, namespace: str = "default", **fields: Any) -> TaskMessage:
    execution = ExecutionId(namespace, WORKFLOW_ID)
    place = TaskPlace(number, 0)
    attempt = fields.pop("attempt", 1)
    return TaskMessage(
        execution=execution,
        task_id=ids.task_id(WORKFLOW_ID, number, 0),
        place=place,
        token=SIGNER.task_token(execution, place, attempt),
        ref=fields.pop("ref", f"{task_type}_{number}"),
        task_type=task_type,
        attempt=attempt,
        input=task_input,
        workflow_name="order",
        workflow_version=1,
        scheduled_ms=int(time.time() * 1000),
        **fields,
    )


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Returns as soon as the condition holds; fails when it never does."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        found = condition()
        if found:
            return found
        time.sleep(0.001)
    raise AssertionError(f"never came true: {what or condition}")


@contextmanager
def working(*functions: Callable[..., Any], queues: MemoryQueues, **options: Any) -> Iterator[Worker]:
    """A worker that runs, and is stopped at the end."""
    options = {"stage": STAGE, "timing": FAST, "graceful_shutdown_s": 2.0, "worker_id": "w1", **options}
    worker = Worker(*functions, queues=queues, **options)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
