"""Gives tasks back that this worker will not finish: the server is told first, then the message made visible at once.

SQS counts every receive, and five of them mean that workers died. The word to the server takes this one off that count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from batuta.context import now_ms
from batuta.worker.batcher import Refused
from batuta.worker.held import Held, Lease
from batuta.worker.report import Reporter
from batuta.worker.signs import op
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError
from batuta_core.model.event import TaskHandedBack, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskEnvelope, TaskMessage

logger = logging.getLogger("batuta.worker")


class HandBack:
    """``hide`` has the messages of a queue, by their receipts, invisible for so many seconds from now on; 0: visible at once."""

    def __init__(
        self, reporter: Reporter, hide: Callable[[str, Sequence[str], int], Awaitable[Any]], timing: Timing, worker_id: str
    ) -> None:
        self._reporter = reporter
        self._hide = hide
        self._timing = timing
        self._worker_id = worker_id

    async def give_up(self, held: Held) -> None:
        """A task that was begun. One that the journal holds has no message: only a report that it is to be called again makes one."""
        logger.info("task %s (%s) is handed back", held.message.task_id, held.message.ref)
        message = held.message
        if not held.is_leased:
            await self.hand_back(message, held.let_go())
            return
        event = TaskUpdated(
            place=message.place,
            status=TaskStatus.IN_PROGRESS,
            worker_id=self._worker_id,
            callback_after_s=0,
            call=message.call,
        )
        try:
            await self._reporter.send(message, event)
        except Refused as error:
            logger.warning("task %s could not be handed back, it comes again after an hour: %s", message.task_id, error)

    async def let_wait(self, envelope: TaskEnvelope, queue: str, receipt: str) -> None:
        """A message that this worker is too old for: a newer worker's, or ours again after a while."""
        await self._tell(envelope)
        await self._release(envelope, queue, [receipt], envelope.wait_s(now_ms()))

    async def hand_back(self, message: TaskMessage, leases: Sequence[Lease]) -> None:
        await self._tell(message)
        await self.release(message, leases)

    async def tell_gone(self, message: TaskMessage) -> bool:
        """That its message will be deleted unread. Whether the server has heard it: else it must not be."""
        logger.info("task %s (%s) was given out before: it stands in line again", message.task_id, message.ref)
        return await self._tell(message, is_gone=True)

    async def _tell(self, message: TaskMessage | TaskEnvelope, *, is_gone: bool = False) -> bool:
        event = TaskHandedBack(place=message.place, op=op(), worker_id=self._worker_id, send=message.send, is_gone=is_gone)
        try:
            async with asyncio.timeout(self._timing.flush_s):
                await self._reporter.send(message, event)
        except (Refused, TimeoutError) as error:
            logger.warning("task %s is handed back without a word to the server: %r", message.task_id, error)
            return False
        return True

    async def release(self, message: TaskMessage, leases: Sequence[Lease]) -> None:
        """A renewal that is under way comes first: landing later it would hide the message for another lease."""
        if renewals := {lease.renewal for lease in leases if lease.renewal is not None}:
            await asyncio.wait(renewals, timeout=self._timing.flush_s)
        for queue in dict.fromkeys(lease.queue for lease in leases):
            await self._release(message, queue, [lease.receipt for lease in leases if lease.queue == queue], 0)

    async def _release(self, message: TaskMessage | TaskEnvelope, queue: str, receipts: Sequence[str], hidden_s: int) -> None:
        try:
            await self._hide(queue, receipts, hidden_s)
        except BatutaError as error:
            logger.warning("task %s could not be released, it comes again when its lease ends: %s", message.task_id, error.message)
