"""Keeps the messages of running tasks invisible to others, and says when one no longer is.

A message is renewed about every ten seconds, ten messages to a request. It is lost when SQS says so of it, or when no renewal
came through until its lease ended. SQS holds a message for twelve hours at most: a task that takes longer is moved to a
lease in the journal, and heartbeats hold it from then on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from batuta.worker.held import Held, Lease
from batuta.worker.queues import BATCH_MAX, Failure
from batuta.worker.timing import Timing
from batuta_core.model.error import BatutaError

logger = logging.getLogger("batuta.worker")

ChangeVisibility = Callable[[str, Sequence[str], int], Awaitable[Sequence[Failure]]]


class _Due(NamedTuple):
    held: Held
    message_id: str
    lease: Lease


class LeaseKeeper:
    def __init__(
        self,
        held: Collection[Held],
        change_visibility: ChangeVisibility,
        move_to_journal: Callable[[Held], None],
        lose: Callable[[Held], None],
        timing: Timing,
    ) -> None:
        self._held = held
        self._change_visibility = change_visibility
        self._move_to_journal = move_to_journal
        self._lose = lose
        self._timing = timing

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._timing.renew_tick_s)
            try:
                self._round(time.monotonic())
            except Exception:  # whatever it is, the other leases must be kept
                logger.exception("leases could not be renewed")

    def _round(self, now_s: float) -> None:
        """Begins what is due. A request that hangs holds up no other."""
        due: dict[str, list[_Due]] = defaultdict(list)
        for held in list(self._held):
            for message_id, lease in held.leases.items():
                if now_s - lease.renewed_s >= self._timing.renew_after_s and lease.renewal is None:
                    due[lease.queue].append(_Due(held, message_id, lease))
            if any(now_s - lease.received_s >= self._timing.hold_max_s for lease in held.leases.values()):
                self._move_to_journal(held)
        for queue, items in due.items():
            for at in range(0, len(items), BATCH_MAX):
                batch = items[at : at + BATCH_MAX]
                task = asyncio.get_running_loop().create_task(self._renew_batch(queue, batch))
                for item in batch:
                    item.lease.renewal = task

    async def _renew_batch(self, queue: str, batch: Sequence[_Due]) -> None:
        try:
            await self._try_batch(queue, batch)
        finally:
            for item in batch:
                item.lease.renewal = None

    async def _try_batch(self, queue: str, batch: Sequence[_Due]) -> None:
        began_s = time.monotonic()
        try:
            failures = await self._change_visibility(queue, [item.lease.receipt for item in batch], self._timing.visibility_s)
        except BatutaError as error:
            logger.warning("%d leases on %s could not be renewed: %s", len(batch), queue, error.message)
            failures = [Failure(index, error.message, is_final=False) for index in range(len(batch))]
        refused = {failure.index: failure for failure in failures}
        for index, item in enumerate(batch):
            failure = refused.get(index)
            if failure is None:
                item.lease.renewed_s = began_s
            elif failure.is_final or time.monotonic() - item.lease.renewed_s >= self._timing.visibility_s:
                self._drop(item, failure.reason)

    def _drop(self, item: _Due, reason: str) -> None:
        held = item.held
        if held.leases.get(item.message_id) is not item.lease or held.is_reported:
            return  # it was delivered anew in between, or deleted
        del held.leases[item.message_id]
        if not held.leases and not held.is_leased:
            logger.warning("the lease of task %s (%s) is lost: %s", held.message.task_id, held.message.ref, reason)
            self._lose(held)
