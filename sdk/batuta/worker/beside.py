"""A queue and the priority queue beside it: whose turn it is, and whether there is one at all.

Tasks of a priority above 0 lie on the priority queue of their task type (ADR 23). It is made when it is first needed, so most often there
is none, and finding out costs a request. Hence:

* One that is not there is looked for once a minute, every ten seconds while there is work, and at once when a task of a priority comes over
  the other queue, as the first ones do.
* The priority queue is polled first as long as it brings something; while it brings all that was asked for, the other one is not polled.
  But of eight polls one is the other's, so that nothing starves.
* Neither keeps many places from the other by waiting: where one has work, the other waits with two of them, or not at all where there are
  few; where both wait, each takes half of the places.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from batuta.worker.poller import Source
from batuta.worker.timing import Timing
from batuta_core.model.error import ResourceMissing
from batuta_core.model.names import OWN_FIRST_OF

logger = logging.getLogger("batuta.worker")

_FEW_PLACES = 8  # of so many or fewer none is kept by a queue that is idle while the other one has work; of more
_KEPT_PLACES = 2  # ... not one, or each lone message would look like a backlog and cost a second request


@dataclass(slots=True, eq=False)
class Beside:
    """``own`` and ``priority`` are queues of the same tasks, with the same places."""

    own: Source = field(repr=False)
    priority: Source = field(repr=False)
    timing: Timing
    is_absent: bool = True  # the priority queue
    overtaken: int = 0  # polls of the priority queue that went before the own queue's in a row
    hinted_until_s: float = 0.0
    is_said: bool = False

    def in_turn(self, source: Source, now_s: float) -> Iterator[Source]:
        """Which of the two are to be polled, in this order, now that it is the turn of ``source``. Ask for the next when the one before
        has been begun, or could not be."""
        if self.is_absent:
            yield source
            return
        own, priority = self.own, self.priority
        is_owed = self.overtaken >= OWN_FIRST_OF - 1
        if is_owed and _is_ready(own, now_s):
            yield own
        if _is_ready(priority, now_s) and (priority.is_busy or source is priority or priority.polled_s <= own.polled_s):
            yield priority
        has_backlog = priority.is_eager and priority.is_polling
        if _is_ready(own, now_s) and not has_backlog:
            yield own

    def bounded(self, source: Source, wanted: int, wait_s: int) -> tuple[int, int]:
        """How many messages a poll may ask for, and how long it may wait, when it would for these."""
        if self.is_absent:
            return (1, 0) if source is self.priority else (wanted, wait_s)
        if not wait_s or self.priority.is_eager:
            return wanted, 0  # where the priority queue has a backlog, the other one waits for its polls, and gets but one of eight
        limit = min(place.limit for place in source.places)
        other = self.own if source is self.priority else self.priority
        if other.is_busy:
            return (wanted, 0) if limit <= _FEW_PLACES else (wanted if source.is_eager else min(wanted, _KEPT_PLACES), wait_s)
        return min(wanted, max(limit // 2, 1)), wait_s if limit > 1 else max(wait_s // 2, 1)

    def note_poll(self, source: Source, now_s: float) -> None:
        """That a poll of ``source`` has begun."""
        if source is self.own:
            self.overtaken = 0
            if self.is_absent and source.is_busy:
                self.priority.due_s = min(self.priority.due_s, self.priority.polled_s + self.timing.look_busy_s)
        elif _is_ready(self.own, now_s) and source.is_busy:
            self.overtaken += 1

    def hint(self) -> None:
        """A task of a priority came over the own queue."""
        if self.is_absent:
            now_s = time.monotonic()
            self.hinted_until_s = now_s + self.timing.hint_s
            self.priority.due_s = min(self.priority.due_s, now_s + self.timing.missing_retry_s)

    def note_found(self) -> None:
        logger.info("queue %s exists: tasks of a priority come by it", self.priority.queue)
        self.is_absent = False

    def note_absent(self, error: Exception) -> None:
        """Quietly, whatever the reason: without the right to look for it a worker does all it did before."""
        if not isinstance(error, ResourceMissing) and not self.is_said:
            logger.warning("queue %s cannot be looked for, so tasks of a priority may not come here: %s", self.priority.queue, error)
            self.is_said = True
        self.is_absent, self.overtaken = True, 0
        now_s = time.monotonic()
        self.priority.due_s = now_s + (self.timing.missing_retry_s if now_s < self.hinted_until_s else self.timing.look_s)


def _is_ready(source: Source, now_s: float) -> bool:
    return not source.is_polling and source.due_s <= now_s
