"""A task in the worker's hand, from its message's arrival until the result is acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from batuta.binding import Binding
from batuta.context import LogLine, TaskContext, TaskLink
from batuta.task_function import TaskFunction
from batuta.worker.permits import Places
from batuta.worker.queues import Received
from batuta.worker.runner import Run
from batuta_core.model.message import TaskMessage

TaskKey = tuple[str, str, str]  # namespace, task id, token: a task that is run anew under its old id has another token


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A function of this worker, the namespace that it serves, and the places that each of its calls takes."""

    function: TaskFunction
    namespace: str
    binding: Binding
    places: Collection[Places]


ServedTypes = Mapping[tuple[str, str], Served]  # by namespace and task type


@dataclass(slots=True)
class Lease:
    """The hold on one message of ``queue``. Times are of the monotonic clock."""

    queue: str
    receipt: str
    received_s: float
    renewed_s: float
    renewal: asyncio.Task[None] | None = None  # under way


@dataclass(slots=True, eq=False, kw_only=True)
class Held:
    """``leases`` is by message id: a task may lie on its queue twice, or on two queues, and both messages go with its result."""

    message: TaskMessage
    served: Served
    context: TaskContext
    link: TaskLink
    started_ms: int
    abandoned: asyncio.Future[None]  # the worker gave it up: nothing is reported any more
    leases: dict[str, Lease] = field(default_factory=dict)
    course: asyncio.Task[None] | None = None
    run: Run | None = None
    is_begun_reported: bool = False
    is_lost: bool = False  # another worker may have it
    is_ending: bool = False  # its outcome is known and on the way, or it was given up
    is_reported: bool = False  # the outcome is acknowledged
    is_moving: bool = False  # to a lease in the journal
    is_leased: bool = False  # ... where it is now: there is no message any more
    has_moved: asyncio.Event = field(default_factory=asyncio.Event)
    last_words_s: float = -1e9  # when the function's own heartbeat was last passed on, monotonic
    line: LogLine | None = None  # progress that nobody has seen yet
    line_sent_s: float = -1e9

    @property
    def key(self) -> TaskKey:
        return key_of(self.message)

    def take(self, message: TaskMessage, queue: str, received: Received) -> None:
        """A delivery of the task: its first, the same message with a new receipt, or a second message, which holds it from now
        on even if the journal did before. What is reported counts for the latest of them, else the server would take it for late
        while the messages are deleted."""
        now_s = time.monotonic()
        if message.call > self.message.call:
            self.message = message
        self.leases[received.message_id] = Lease(queue, received.receipt, now_s, now_s)
        self.is_lost = self.is_leased = self.is_moving = False
        self.has_moved.clear()

    def is_followed_by(self, message: TaskMessage) -> bool:
        """Whether the message asks for a call after the one whose outcome is on its way."""
        return self.is_ending and not self.abandoned.done() and message.call > self.message.call

    def let_go(self) -> list[Lease]:
        """The leases of its messages, which are not renewed any more."""
        leases, self.leases = self.leases, {}
        return list(leases.values())


def key_of(message: TaskMessage) -> TaskKey:
    return message.execution.namespace, message.task_id, message.token


class Remembered:
    """Tasks whose result was acknowledged of late, should their message come again because its deletion failed.

    Known for ``kept_s`` seconds only: should the result be lost after all, a later message is run. A message of a later call
    than the one that was done is new: its task was in progress and is called again.
    """

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._done: dict[TaskKey, tuple[int, float]] = {}  # the call, and when: the oldest first

    def add(self, message: TaskMessage) -> None:
        key = key_of(message)
        self._done.pop(key, None)
        self._done[key] = message.call, time.monotonic()

    def __contains__(self, message: TaskMessage) -> bool:
        oldest_s = time.monotonic() - self._kept_s
        while self._done and (first := next(iter(self._done))) and self._done[first][1] < oldest_s:
            del self._done[first]
        known = self._done.get(key_of(message))
        return known is not None and message.call <= known[0]
