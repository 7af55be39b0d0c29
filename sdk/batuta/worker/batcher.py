"""Collects what goes to a queue for a few milliseconds, and sends it again until it is acknowledged.

A batch that fails as a whole is halved before the next try, so that one entry which no request survives ends up alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from batuta import backoff
from batuta.worker.queues import BATCH_MAX, Failure
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError
from batuta_core.model.message import MESSAGE_MAX_BYTES

T = TypeVar("T")

logger = logging.getLogger("batuta.worker")


class Refused(Exception):
    """The queue will never take this entry, or ``tries_max`` tries were not enough."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    item: T
    size_bytes: int
    done: asyncio.Future[None]


class Batcher(Generic[T]):
    """``linger_s``: how long an entry waits for others to share its request. ``tries_max`` 0: for as long as the process lives. A batch
    holds at most ten entries and 256 KB. While ``expects_more`` says no, nothing is worth waiting for and an entry goes at once."""

    def __init__(
        self,
        what: str,
        send: Callable[[Sequence[T]], Awaitable[Sequence[Failure]]],
        timing: Timing,
        *,
        linger_s: float,
        size_of: Callable[[T], int] = lambda _item: 0,
        tries_max: int = 0,
        expects_more: Callable[[], bool] = lambda: True,
    ) -> None:
        self._what = what
        self._send = send
        self._timing = timing
        self._linger_s = linger_s
        self._size_of = size_of
        self._tries_max = tries_max
        self._expects_more = expects_more
        self._waiting: list[_Entry[T]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def put(self, item: T) -> None:
        """Returns when the item is acknowledged. Raises Refused."""
        loop = asyncio.get_running_loop()
        entry = _Entry(item, self._size_of(item), loop.create_future())
        self._waiting.append(entry)
        is_full = len(self._waiting) >= BATCH_MAX or sum(waiting.size_bytes for waiting in self._waiting) >= MESSAGE_MAX_BYTES
        if is_full or not self._expects_more():
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._linger_s, self._flush)
        await entry.done

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._begin(self._take(), 0)

    def _take(self) -> list[_Entry[T]]:
        batch: list[_Entry[T]] = []
        left_bytes = MESSAGE_MAX_BYTES
        while self._waiting and len(batch) < BATCH_MAX and (not batch or self._waiting[0].size_bytes <= left_bytes):
            batch.append(self._waiting.pop(0))
            left_bytes -= batch[-1].size_bytes
        return batch

    def _begin(self, batch: Sequence[_Entry[T]], failures: int) -> None:
        task = asyncio.get_running_loop().create_task(self._send_until_done(batch, failures))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_until_done(self, batch: Sequence[_Entry[T]], failures: int) -> None:
        left = await self._send_once(batch, failures)
        if not left:
            return
        failures += 1
        if self._tries_max and failures >= self._tries_max:
            for entry in left:
                _refuse(entry, f"{failures} tries failed")
            return
        await asyncio.sleep(backoff.delay_s(failures, first_s=self._timing.send_retry_first_s, max_s=self._timing.send_retry_max_s))
        half = (len(left) + 1) // 2 if len(left) == len(batch) else len(left)
        for part in (left[:half], left[half:]):
            if part:
                self._begin(part, failures)

    async def _send_once(self, batch: Sequence[_Entry[T]], failures: int) -> Sequence[_Entry[T]]:
        """What has to be sent again."""
        try:
            refused = {failure.index: failure for failure in await self._send([entry.item for entry in batch])}
        except BatutaError as error:
            logger.warning("%s: %d could not be sent (try %d): %s", self._what, len(batch), failures + 1, error.message)
            return batch
        except Exception:
            logger.exception("%s: %d could not be sent (try %d)", self._what, len(batch), failures + 1)
            return batch
        left: list[_Entry[T]] = []
        for index, entry in enumerate(batch):
            failure = refused.get(index)
            if failure is None:
                if not entry.done.done():
                    entry.done.set_result(None)
            elif failure.is_final:
                _refuse(entry, failure.reason)
            else:
                logger.warning("%s: one was not taken (try %d): %s", self._what, failures + 1, failure.reason)
                left.append(entry)
        return left


def _refuse(entry: _Entry[T], reason: str) -> None:
    if not entry.done.done():
        entry.done.set_exception(Refused(reason))
