"""Which queue is polled when, and for how many messages.

A poll reserves a place for every message that it may bring, so none is taken that cannot run at once. A poll that waits on
an idle queue therefore keeps places from the busy ones, hence these rules:

* Polls that wait ("quiet") hold at most half of the process's places, each an equal share of up to ten. At most 24 wait at
  once, in as many threads. With more queues than that they take turns and wait shorter, so that every queue
  has its turn within about one full poll wait.
* A poll that was filled to the brim makes its queue "eager": the next one asks for as many as are free, and does not wait
  if that is more than its share. Eight threads are kept for these.
* Turns go by the time of the last poll, alternating between queues that brought something last time and queues that
  did not: the busy cannot starve the idle, nor the idle the busy.

Beside each queue there may be a priority queue, most often there is none (``worker.beside``): it is looked for now and then. The two take
turns by rules of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from batuta import backoff
from batuta.worker.health import QueueHealth
from batuta.worker.held import ServedTypes
from batuta.worker.permits import Places, free_in, give_back, reserve
from batuta.worker.queues import BATCH_MAX, Received
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError, ResourceMissing

if TYPE_CHECKING:
    from batuta.worker.beside import Beside

logger = logging.getLogger("batuta.worker")

QUIET_POLLS_MAX = 24  # an idle thread costs some 50 KB
EAGER_POLLS_MAX = 8  # these last milliseconds


@dataclass(slots=True, eq=False)
class Source:
    """A queue and who serves it. ``places`` are all that any of its tasks may take: a poll reserves in all of them."""

    queue: str
    served: ServedTypes
    places: Collection[Places]
    is_polling: bool = False
    is_eager: bool = False
    is_busy: bool = False  # the last poll brought something
    polled_s: float = 0.0
    due_s: float = 0.0  # not to be polled before; monotonic, as all of these
    failures: int = 0
    failing_since_s: float | None = None
    succeeded_s: float | None = None
    is_missing: bool = False
    error: str | None = None
    beside: Beside | None = field(default=None, repr=False)

    @property
    def is_absent(self) -> bool:
        """A priority queue that nobody needed yet."""
        return self.beside is not None and self.beside.priority is self and self.beside.is_absent

    def health(self, now_s: float) -> QueueHealth:
        age_s = None if self.succeeded_s is None else round(now_s - self.succeeded_s, 1)
        return QueueHealth(last_poll_age_s=age_s, error=self.error)

    def pause(self, seconds: float) -> None:
        self.due_s = max(self.due_s, time.monotonic() + seconds)

    def note_success(self) -> None:
        if self.failures:
            logger.info("queue %s is polled again", self.queue)
        self.failures, self.failing_since_s, self.is_missing, self.error = 0, None, False, None
        self.succeeded_s = time.monotonic()

    def note_failure(self, error: str, *, is_missing: bool) -> None:
        self.failures += 1
        self.is_missing = is_missing
        self.failing_since_s = self.failing_since_s or time.monotonic()
        self.error = error


class Poller:
    """``take`` gets every message, with a place reserved for it in all of the source's ``places``."""

    def __init__(
        self,
        sources: Sequence[Source],
        process: Places,
        receive: Callable[[str, int, int], Awaitable[Sequence[Received]]],
        take: Callable[[Source, Received], None],
        timing: Timing,
    ) -> None:
        self._sources = sources
        self._process = process
        self._receive = receive
        self._take = take
        self._timing = timing
        self._share_out()
        self._polls: dict[asyncio.Task[None], bool] = {}  # whether it is a quiet one
        self._wake = asyncio.Event()
        self._was_busy_last = False
        self._is_stopping = False

    def _share_out(self) -> None:
        count = sum(not source.is_absent for source in self._sources)
        half = max(self._process.limit // 2, 1)
        self._quiet_max = min(QUIET_POLLS_MAX, half)
        waiting = min(count, self._quiet_max)
        self._share = BATCH_MAX if count == 1 else max(min(half // waiting, BATCH_MAX), 1)
        self._wait_s = self._timing.poll_wait_s if waiting == count else max(self._timing.poll_wait_s * waiting // count, 1)

    def serve(self, sources: Sequence[Source]) -> None:
        """From now on these. Polls in flight end as they began: what they bring belongs to the source that they were for."""
        self._sources = sources
        self._share_out()
        self._wake.set()

    def wake(self) -> None:
        """Places have come free."""
        self._wake.set()

    def look_again(self) -> None:
        """Queues that were missing may be there now."""
        for source in self._sources:
            source.due_s = 0.0 if source.is_missing else source.due_s
        self._wake.set()

    def stop(self) -> None:
        """No new polls; those in flight end by themselves."""
        self._is_stopping = True
        self._wake.set()

    async def ended(self) -> None:
        """Returns when no poll is in flight."""
        while self._polls:
            await asyncio.wait(self._polls)

    async def run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self._begin_polls(time.monotonic())
            try:
                async with asyncio.timeout(self._next_due_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _next_due_s(self) -> float | None:
        """Seconds until a queue that waits for its time may be polled; None: no queue does."""
        now_s = time.monotonic()
        return min((source.due_s - now_s for source in self._sources if source.due_s > now_s and not source.is_polling), default=None)

    def _begin_polls(self, now_s: float) -> None:
        ready = [source for source in self._sources if not source.is_polling and source.due_s <= now_s]
        ready.sort(key=lambda source: source.polled_s)
        busy = [source for source in ready if source.is_busy]
        idle = [source for source in ready if not source.is_busy]
        eager_share = BATCH_MAX
        if busy:
            eager_share = max(min(self._process.free // len(busy), BATCH_MAX), self._share)
        lines = (idle, busy) if self._was_busy_last else (busy, idle)
        for source in chain.from_iterable(zip_longest(*lines)):
            if source is None:
                continue
            for one in source.beside.in_turn(source, now_s) if source.beside else (source,):
                self._begin_poll(one, eager_share if one.is_eager else self._share, now_s)

    def _begin_poll(self, source: Source, wanted: int, now_s: float) -> None:
        quiet = sum(self._polls.values())
        if len(self._polls) >= QUIET_POLLS_MAX + EAGER_POLLS_MAX:
            return
        is_quiet = not source.is_eager or min(wanted, free_in(source.places)) <= self._share
        wait_s = self._wait_s if is_quiet else 0
        if source.beside is not None:
            wanted, wait_s = source.beside.bounded(source, wanted, wait_s)
            is_quiet = wait_s > 0
        if is_quiet and quiet >= self._quiet_max:
            return
        count = reserve(source.places, wanted)
        if not count:
            return
        source.is_polling, source.polled_s = True, now_s
        if source.beside is not None:
            source.beside.note_poll(source, now_s)
        self._was_busy_last = source.is_busy
        task = asyncio.get_running_loop().create_task(self._poll(source, count, wait_s))
        self._polls[task] = is_quiet
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        del self._polls[task]
        self._wake.set()

    async def _poll(self, source: Source, count: int, wait_s: int) -> None:
        received: Sequence[Received] = ()
        was_absent = source.is_absent
        try:
            received = await self._receive(source.queue, count, wait_s)
            source.note_success()
            if was_absent and source.beside is not None:
                source.beside.note_found()
        except Exception as error:
            if source.beside is None or source is not source.beside.priority or not (was_absent or isinstance(error, ResourceMissing)):
                self._note_failure(source, error)
            else:
                source.beside.note_absent(error)
        finally:
            source.is_polling = False
            give_back(source.places, count - len(received))
        if source.is_absent is not was_absent:
            self._share_out()
        source.is_busy, source.is_eager = bool(received), len(received) == count
        for message in received:
            try:
                self._take(source, message)
            except Exception:  # an error of ours: the message comes again when its lease ends, its place is free now
                logger.exception("message %s on %s could not be taken in", message.message_id, source.queue)
                give_back(source.places)

    def _note_failure(self, source: Source, error: Exception) -> None:
        if isinstance(error, ResourceMissing):
            if not source.failures:
                logger.info("queue %s does not exist yet: its task type is not registered on the server", source.queue)
            source.note_failure(error.message, is_missing=True)
            source.pause(self._timing.missing_retry_s)
            return
        source.note_failure(str(error), is_missing=False)
        pause_s = backoff.delay_s(source.failures, first_s=self._timing.poll_retry_first_s, max_s=self._timing.poll_retry_max_s)
        source.pause(pause_s)
        trace = None if isinstance(error, BatutaError) else error
        logger.warning("queue %s cannot be polled, next try in %.1f s: %s", source.queue, pause_s, error, exc_info=trace)
