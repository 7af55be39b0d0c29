"""A task in the worker's hand, from its message's arrival until the result is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from batuta.binding import Binding
from batuta.context import LogLine, TaskContext
from batuta.task import TaskFunction
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


@dataclass(slots=True)
class Lease:
    """The hold on one message. Times are of the monotonic clock."""

    receipt: str
    received_s: float
    renewed_s: float


@dataclass(slots=True, eq=False)
class Held:
    """``leases`` is by message id: a task may lie on its queue twice, and both messages go with its result."""

    message: TaskMessage
    served: Served
    queue: str
    context: TaskContext
    started_ms: int
    leases: dict[str, Lease]
    abandoned: asyncio.Future[None]  # the worker gave it up: nothing is reported any more
    run: Run | None = None
    is_begun_reported: bool = False
    is_lost: bool = False  # another worker may have it
    is_ending: bool = False  # its outcome is known and on the way
    is_reported: bool = False  # ... and acknowledged
    is_leased: bool = False  # in the journal: there is no message any more
    has_news: asyncio.Event = field(default_factory=asyncio.Event)  # set once it is leased in the journal
    last_words_s: float = 0.0  # when the function's own heartbeat was last passed on
    line: LogLine | None = None  # progress that nobody has seen yet
    line_sent_s: float = 0.0

    @property
    def key(self) -> TaskKey:
        return key_of(self.message)

    def take(self, received: Received, now_s: float) -> None:
        """Another delivery of the task: of the same message with a new receipt, or of a second message."""
        self.leases[received.message_id] = Lease(received.receipt, now_s, now_s)
        self.is_lost = self.is_lost and self.context.is_noticed

    def receipts(self) -> list[str]:
        return [lease.receipt for lease in self.leases.values()]


def key_of(message: TaskMessage) -> TaskKey:
    return message.execution.namespace, message.task_id, message.token
