"""Signs of life of a task that takes a while: that it has begun, heartbeats, progress."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable

from batuta import calls
from batuta.context import LogLine
from batuta.http import Call
from batuta.worker.batcher import Refused
from batuta.worker.held import Held
from batuta.worker.report import Reporter
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError
from batuta_core.model.event import TaskHeartbeat, TaskStarted

logger = logging.getLogger("batuta.worker")

_OP_BYTES = 6  # tells one heartbeat from the next: the queue drops equal texts


class SignsOfLife:
    """``ask`` carries out one call to the server, without repeats; None where no URL is known."""

    def __init__(
        self, reporter: Reporter, timing: Timing, worker_id: str, ask: Callable[[str, Call[None]], Awaitable[None]] | None
    ) -> None:
        self._reporter = reporter
        self._timing = timing
        self._worker_id = worker_id
        self._ask = ask
        self._tasks: set[asyncio.Task[None]] = set()

    async def keep(self, held: Held) -> None:
        """Until it is cancelled: reports the beginning once the task is no short one, then a heartbeat whenever one is due."""
        await asyncio.sleep(self._timing.started_after_s)
        await self.begin(held)
        while True:
            if await self._next(held):
                await self._send(held, TaskHeartbeat(place=held.message.place, op=op()))

    async def _next(self, held: Held) -> bool:
        """Waits until a heartbeat is due; False: the interval has changed."""
        response_s = held.message.response_timeout_s * self._timing.heartbeat_share or math.inf
        if held.is_leased:
            await asyncio.sleep(min(response_s, self._timing.leased_heartbeat_s))
            return True
        try:
            async with asyncio.timeout(None if response_s == math.inf else response_s):
                await held.has_moved.wait()
        except TimeoutError:
            return True
        return False

    async def begin(self, held: Held) -> None:
        if not held.is_begun_reported:
            held.is_begun_reported = True
            await self._send(held, self._started(held, is_leased=False))

    async def lease_in_journal(self, held: Held) -> None:
        """From here on the journal knows that the task is held, and heartbeats hold it."""
        await self._reporter.send(held.message, self._started(held, is_leased=True))
        held.is_begun_reported = held.is_leased = True
        held.has_moved.set()

    def _started(self, held: Held, *, is_leased: bool) -> TaskStarted:
        return TaskStarted(
            place=held.message.place,
            op=op(),
            worker_id=self._worker_id,
            started_ms=held.started_ms,
            is_leased=is_leased,
            call=held.message.call,
        )

    # --- the function's own words; on the worker's loop

    def heartbeat(self, held: Held) -> None:
        now_s = time.monotonic()
        if now_s - held.last_words_s < self._timing.words_every_s or held.is_ending:
            return
        held.last_words_s = now_s
        self._begin(self._beat(held))

    async def _beat(self, held: Held) -> None:
        await self.begin(held)
        await self._send(held, TaskHeartbeat(place=held.message.place, op=op()))

    def show(self, held: Held, line: LogLine) -> None:
        held.line = line
        now_s = time.monotonic()
        if self._ask is None or now_s - held.line_sent_s < self._timing.words_every_s or held.is_ending:
            return  # it goes with the result, unless the next replaces it
        held.line_sent_s = now_s
        self._begin(self._show(held, line))

    async def _show(self, held: Held, line: LogLine) -> None:
        assert self._ask is not None
        try:
            await self._ask(held.message.execution.namespace, calls.add_task_log(held.message.task_id, line.text))
        except BatutaError as error:
            logger.info("progress of task %s could not be shown: %s", held.message.task_id, error.message)
            return
        if held.line is line:
            held.line = None

    def _begin(self, words: Awaitable[None]) -> None:
        task = asyncio.ensure_future(words)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, held: Held, event: TaskStarted | TaskHeartbeat) -> None:
        try:
            await self._reporter.send(held.message, event)
        except Refused as error:
            logger.warning("a sign of life of task %s was refused: %s", held.message.task_id, error)


def op() -> str:
    """A name for one event."""
    return secrets.token_hex(_OP_BYTES)


class HeldLink:
    """What a function says through its context, from its thread onto the worker's loop."""

    def __init__(self, signs: SignsOfLife, loop: asyncio.AbstractEventLoop) -> None:
        self._signs = signs
        self._loop = loop
        self.held: Held | None = None  # set once it is there

    def heartbeat(self) -> None:
        if self.held is not None:
            self._call(self._signs.heartbeat, self.held)

    def show(self, line: LogLine) -> None:
        if self.held is not None:
            self._call(self._signs.show, self.held, line)

    def _call(self, words: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(words, *args)
        except RuntimeError:
            logger.debug("a function spoke after the end of its worker")
