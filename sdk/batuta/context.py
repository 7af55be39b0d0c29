"""What a running function can know and say about its task."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from batuta_core.model.ids import short_hash

if TYPE_CHECKING:
    from batuta_core.model.message import TaskMessage

# The server shows the last ten lines of a task's log; a traceback and a few lines more must fit beside the output.
LOG_LINES_MAX = 100
LOG_LINE_MAX_CHARS = 8 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a task's log, and when it was written."""

    text: str
    at_ms: int


class TaskLink(Protocol):
    """Where a context's words go while its function runs."""

    def heartbeat(self) -> None: ...

    def show(self, line: LogLine) -> None:
        """Brings a line into the task's log: at once where there is a way, else with the result."""


class NoLink:
    """For a context outside a worker, as in a test of the function."""

    def heartbeat(self) -> None:
        pass

    def show(self, line: LogLine) -> None:
        pass


class TaskContext:
    """The task that a function works on: annotate a parameter with this class, or call ``current_task()``.

    Every method may be called from any thread. To test a function, make one by hand: all fields have defaults.
    """

    def __init__(
        self,
        *,
        workflow_id: str = "",
        task_id: str = "",
        ref: str = "",
        task_type: str = "",
        namespace: str = "default",
        attempt: int = 1,
        call: int = 0,
        iteration: int = 0,
        workflow_name: str = "",
        workflow_version: int = 0,
        correlation_id: str | None = None,
        worker_id: str = "",
        deadline_ms: int = 0,
        link: TaskLink | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.task_id = task_id
        self.ref = ref
        self.task_type = task_type
        self.namespace = namespace
        self.attempt = attempt
        """From 1: a retry is another attempt, with another task id."""
        self.call = call
        """0 for the first call of the attempt; one more each time the function asked to be called again."""
        self.iteration = iteration
        """Of the loop around the task; 0 outside."""
        self.workflow_name = workflow_name
        self.workflow_version = workflow_version
        self.correlation_id = correlation_id
        self.worker_id = worker_id
        self.deadline_ms = deadline_ms
        """Epoch ms after which the attempt has timed out; 0: never."""
        self._link: TaskLink = link or NoLink()
        self._lock = threading.Lock()
        self._lines: list[LogLine] = []
        self._cancelled_because = ""
        self._is_noticed = False
        self._is_over = False

    @classmethod
    def from_message(cls, message: TaskMessage, *, worker_id: str, deadline_ms: int, link: TaskLink | None = None) -> TaskContext:
        """Of the task that the message asks for."""
        return cls(
            workflow_id=message.workflow_id,
            task_id=message.task_id,
            ref=message.ref,
            task_type=message.task_type,
            namespace=message.execution.namespace,
            attempt=message.attempt,
            call=message.call,
            iteration=message.iteration,
            workflow_name=message.workflow_name,
            workflow_version=message.workflow_version,
            correlation_id=message.correlation_id,
            worker_id=worker_id,
            deadline_ms=deadline_ms,
            link=link,
        )

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and repeat of this task, and for no other: what an outside service should see once."""
        return short_hash("idempotency", self.namespace, self.workflow_id, self.ref, str(self.iteration))

    @property
    def deadline(self) -> datetime | None:
        """When the attempt times out: after its ``timeout_s``, or with the total time of all attempts."""
        return datetime.fromtimestamp(self.deadline_ms / 1000, UTC) if self.deadline_ms else None

    def remaining_s(self) -> float | None:
        """Seconds until the deadline, never negative; None when there is none."""
        return max(self.deadline_ms / 1000 - time.time(), 0.0) if self.deadline_ms else None

    @property
    def is_cancelled(self) -> bool:
        """Whether the work is no longer wanted here: the attempt timed out, the lease is lost, or the worker stops.

        Once this has answered True, nothing that the function still returns is reported. A coroutine is cancelled as well.
        """
        self._is_noticed = self._is_noticed or bool(self._cancelled_because)
        return bool(self._cancelled_because)

    @property
    def cancelled_because(self) -> str:
        """Why ``is_cancelled``, in words; empty when it is not."""
        return self._cancelled_because if self.is_cancelled else ""

    def log(self, text: str) -> None:
        """Adds a line to the task's log, which travels with the result."""
        with self._lock:
            self._lines.append(LogLine(str(text)[:LOG_LINE_MAX_CHARS], now_ms()))
            if len(self._lines) > 2 * LOG_LINES_MAX:
                del self._lines[:LOG_LINES_MAX]

    def heartbeat(self) -> None:
        """The response time-out begins anew. The worker does so by itself while the function runs, at 80 % of it: this is for
        more. At most once a second is passed on."""
        self._link.heartbeat()

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """A heartbeat, and a line such as ``3/10: pages read`` in the task's log, there at once where the worker knows the
        server's URL and with the result where not. At most once a second is passed on; the last always reaches the log."""
        shown = f"{done:g}" if total is None else f"{done:g}/{total:g}"
        self._link.heartbeat()
        self._link.show(LogLine(f"{shown}{f': {text}' if text else ''}"[:LOG_LINE_MAX_CHARS], now_ms()))

    # --- for the worker

    def cancel(self, because: str, *, is_over: bool) -> None:
        """``is_over``: whatever the function still does counts for nothing."""
        self._cancelled_because = self._cancelled_because or because
        self._is_over = self._is_over or is_over

    @property
    def is_over(self) -> bool:
        return self._is_over

    @property
    def is_noticed(self) -> bool:
        """Whether the function was told that it is cancelled, so that its result may be cut short."""
        return self._is_noticed

    def notice(self) -> None:
        self._is_noticed = True

    def take_lines(self) -> tuple[LogLine, ...]:
        """What was logged, the last lines where it was too much."""
        with self._lock:
            lines, self._lines = self._lines, []
        return tuple(lines[-LOG_LINES_MAX:])


_CURRENT: ContextVar[TaskContext] = ContextVar("batuta_current_task")


def current_task() -> TaskContext:
    """The task that the calling code works on, in its thread or coroutine. Raises LookupError outside a task."""
    try:
        return _CURRENT.get()
    except LookupError:
        raise LookupError("current_task() was called outside a task's function") from None


@contextmanager
def working_on(context: TaskContext) -> Iterator[None]:
    """While it lasts, ``current_task()`` is ``context``."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
