"""SQS in memory: delays, visibility, receive counts, redrive, FIFO groups and deduplication, on a clock that jumps."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from batuta_core.engine.ports import (
    EVENT_RECEIVES,
    FUNCTION_VISIBILITY_S,
    MAX_RECEIVES,
    QUEUE_RETENTION_S,
    TASK_VISIBILITY_S,
    Incoming,
    Outgoing,
    QueueMissing,
    QueueSize,
)
from batuta_core.model.names import resource_name

DEDUP_MS = 5 * 60 * 1000  # SQS FIFO: "deduplication interval"


@dataclass(slots=True)
class _Message:
    message_id: str
    text: str
    sent_ms: int
    visible_ms: int
    group: str = ""
    receives: int = 0
    receipt: str = ""

    def is_in_flight(self, now_ms: int) -> bool:
        return bool(self.receipt) and self.visible_ms > now_ms


@dataclass(slots=True)
class _Queue:
    name: str
    visibility_s: int
    max_receives: int = 0  # 0: never given up
    dead_letters: str = ""
    messages: OrderedDict[str, _Message] = field(default_factory=OrderedDict)
    deduped: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")


class SimulatedQueues:
    """``random`` picks which of the visible messages of a standard queue come first; None keeps their order.

    ``is_fifo_kept`` False: a FIFO queue keeps neither order nor groups nor its deduplication, since nothing of ours
    may rest on them.
    """

    def __init__(self, stage: str, now_ms: Callable[[], int], random: Random | None = None, *, is_fifo_kept: bool = True) -> None:
        self._now_ms = now_ms
        self._random = random
        self._is_fifo_kept = is_fifo_kept
        self._count = 0
        self.on_send: Callable[[str, Outgoing], None] | None = None
        self.on_receive: Callable[[str, str], None] | None = None
        self.receives: Counter[str] = Counter()  # of each text, over all its copies
        self._queues: dict[str, _Queue] = {}
        self.task_dead_letters = resource_name(stage, "task-dead-letters")
        self.dead_letters = resource_name(stage, "dead-letters")
        self.fifo_dead_letters = resource_name(stage, "dead-letters.fifo")  # a FIFO queue's dead letter queue must be FIFO
        self.inbox = resource_name(stage, "decider.fifo")
        self.timers = resource_name(stage, "timers")
        self.http = resource_name(stage, "http")
        self.events = resource_name(stage, "events")
        for name, dead_letters in ((self.inbox, self.fifo_dead_letters), (self.timers, self.dead_letters)):
            self._queues[name] = _Queue(name, FUNCTION_VISIBILITY_S, MAX_RECEIVES, dead_letters)
        # Of a function that runs tasks: what it does not finish is given up, not given again (Lambda's asynchronous invocations).
        self._queues[self.http] = _Queue(self.http, FUNCTION_VISIBILITY_S, 1, self.task_dead_letters)
        self._queues[self.events] = _Queue(self.events, FUNCTION_VISIBILITY_S, EVENT_RECEIVES, self.task_dead_letters)
        for name in (self.task_dead_letters, self.dead_letters, self.fifo_dead_letters):
            self._queues[name] = _Queue(name, FUNCTION_VISIBILITY_S)

    # --- the port

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        found = self._find(queue)
        now_ms = self._now_ms()
        for outgoing in messages:
            if self.on_send is not None:
                self.on_send(queue, outgoing)
            if found.is_fifo:
                key = (outgoing.group, outgoing.dedup)
                if not outgoing.group or not outgoing.dedup or outgoing.delay_s:
                    raise ValueError("a FIFO queue wants group and dedup, and cannot delay single messages")
                if found.deduped.get(key, 0) > now_ms and self._is_fifo_kept:
                    continue
                found.deduped[key] = now_ms + DEDUP_MS
            if not 0 <= outgoing.delay_s <= 900:
                raise ValueError(f"delay of {outgoing.delay_s} s")
            self._add(found, outgoing.text, now_ms + outgoing.delay_s * 1000, outgoing.group)

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        """Never waits: the simulation's time moves only when nothing can be done."""
        found = self._find(queue)
        now_ms = self._now_ms()
        taken: list[Incoming] = []
        for message in self._visible(found, now_ms):
            if len(taken) == min(limit, 10):
                break
            if found.max_receives and message.receives >= found.max_receives:
                del found.messages[message.message_id]
                self._find(found.dead_letters).messages[message.message_id] = message
                message.receives, message.receipt, message.visible_ms = 0, "", now_ms
                continue
            message.receives += 1
            self.receives[message.text] += 1
            if self.on_receive is not None:
                self.on_receive(queue, message.text)
            self._count += 1
            message.receipt = f"{message.message_id}/{self._count}"
            message.visible_ms = now_ms + found.visibility_s * 1000
            taken.append(Incoming(message.message_id, message.text, message.receipt, message.receives, message.group))
        return taken

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        for message in self._held(queue, receipts):
            del self._queues[queue].messages[message.message_id]

    def release(self, queue: str, receipts: Sequence[str]) -> None:
        for message in self._held(queue, receipts):
            message.visible_ms = self._now_ms()

    def extend(self, queue: str, receipts: Sequence[str], visibility_s: int) -> None:
        """A lease renewed: a worker's SDK does that, no function of ours."""
        for message in self._held(queue, receipts):
            message.visible_ms = self._now_ms() + visibility_s * 1000

    def size(self, queue: str) -> QueueSize:
        messages = self._find(queue).messages.values()
        now_ms = self._now_ms()
        in_flight = sum(message.is_in_flight(now_ms) for message in messages)
        delayed = sum(not message.receipt and message.visible_ms > now_ms for message in messages)
        return QueueSize(len(messages) - in_flight - delayed, in_flight, delayed)

    def ensure_task_queue(self, queue: str) -> None:
        if queue not in self._queues:
            self._queues[queue] = _Queue(queue, TASK_VISIBILITY_S, MAX_RECEIVES, self.task_dead_letters)

    # --- the world's view

    def duplicate(self, queue: str, message_id: str) -> None:
        """Delivers a message once more although it is held: SQS says at least once."""
        message = self._queues[queue].messages.get(message_id)
        if message is not None:
            self._add(self._queues[queue], message.text, self._now_ms(), message.group)

    def texts(self) -> list[tuple[str, str]]:
        """Every message that lies somewhere: (queue, text)."""
        return [(queue.name, message.text) for queue in self._queues.values() for message in queue.messages.values()]

    def names(self) -> list[str]:
        return sorted(self._queues)

    def task_queues(self) -> list[str]:
        own = (self.inbox, self.timers, self.http, self.events, self.dead_letters, self.fifo_dead_letters, self.task_dead_letters)
        return [name for name in self._queues if name not in own]

    def is_ready(self, queue: str) -> bool:
        """Whether a receive would bring something (or move it to the dead letters)."""
        return next(iter(self._visible(self._queues[queue], self._now_ms())), None) is not None

    def next_visible_ms(self) -> int | None:
        """When the next message becomes visible."""
        now_ms = self._now_ms()
        moments = [
            message.visible_ms for queue in self._queues.values() for message in queue.messages.values() if message.visible_ms > now_ms
        ]
        return min(moments, default=None)

    # --- inside

    def _find(self, queue: str) -> _Queue:
        if queue not in self._queues:
            raise QueueMissing(f"queue {queue} does not exist", queue=queue)
        return self._queues[queue]

    def _add(self, queue: _Queue, text: str, visible_ms: int, group: str) -> None:
        self._count += 1
        message_id = f"m{self._count}"
        queue.messages[message_id] = _Message(message_id, text, self._now_ms(), visible_ms, group)

    def _visible(self, queue: _Queue, now_ms: int) -> list[_Message]:
        for message in [m for m in queue.messages.values() if m.sent_ms + QUEUE_RETENTION_S * 1000 <= now_ms]:
            del queue.messages[message.message_id]
        if not queue.is_fifo or not self._is_fifo_kept:
            visible = [message for message in queue.messages.values() if message.visible_ms <= now_ms]
            if self._random is not None and len(visible) > 1:
                self._random.shuffle(visible)
            return visible
        visible, blocked = [], set()
        for message in queue.messages.values():
            if message.group in blocked:
                continue
            if message.visible_ms <= now_ms:
                visible.append(message)
            else:
                blocked.add(message.group)
        return visible

    def _held(self, queue: str, receipts: Sequence[str]) -> list[_Message]:
        wanted = set(receipts)
        return [message for message in self._find(queue).messages.values() if message.receipt in wanted]
