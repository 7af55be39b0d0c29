"""The way of a task through the worker: function called, result acknowledged, message deleted.

* **Lost leases**: somebody else may run the task, too. A completion is still reported, since the first result of an
  attempt wins and it may spare the second run, unless the function was told: then its result may be cut short.
  Nothing else is reported: a failure would cost the attempt that may be succeeding elsewhere.
* **Time-outs**: the server's timer knows the policy, so it gets a few seconds to be first; then the failure is reported.
  A plain function cannot be stopped and keeps its place until it ends.
* **Held too long for SQS**: the journal is told, the message deleted, and heartbeats hold the task from then on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from batuta.context import TaskContext, now_ms
from batuta.worker.batcher import Batcher, Refused
from batuta.worker.hand_back import HandBack
from batuta.worker.held import Held, Lease, Remembered, Served, TaskKey, key_of
from batuta.worker.inputs import Inputs, Needless, Ready
from batuta.worker.invoke import Outcome, failed
from batuta.worker.permits import give_back
from batuta.worker.queues import Received
from batuta.worker.report import Reporter
from batuta.worker.runner import Runner
from batuta.worker.signs import HeldLink, SignsOfLife
from batuta.worker.timing import Timing
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskEnvelope, TaskMessage

logger = logging.getLogger("batuta.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """``deleters`` gives the batcher that deletes a queue's messages."""

    reporter: Reporter
    runner: Runner
    signs: SignsOfLife
    inputs: Inputs
    back: HandBack
    deleters: Callable[[str], Batcher[str]]
    timing: Timing
    worker_id: str
    on_free: Callable[[], None]


class TaskHandler:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._timing = parts.timing
        self.held: dict[TaskKey, Held] = {}
        self._remembered = Remembered(parts.timing.remembered_s)
        self._courses: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()  # deletions and hand-backs
        self._is_handing_back = False

    @property
    def has_running(self) -> bool:
        """Whether a task is in hand whose outcome is not on its way yet."""
        return any(not held.is_ending for held in self.held.values())

    # --- what the intake asks for

    def is_new(self, message: TaskMessage) -> bool:
        """Whether the function is to be called for it. The next call of a task may arrive while the report that asked for it is
        still being acknowledged."""
        held = self.held.get(key_of(message))
        return message not in self._remembered if held is None else held.is_followed_by(message)

    def begin(self, message: TaskMessage, served: Served, queue: str, received: Received) -> None:
        """The place of each of ``served.places`` is the task's from here on."""
        before = self.held.get(key_of(message))
        if before is not None and before.course is not None:
            before.course.add_done_callback(lambda _course: self._begin_next(message, served, queue, received))
            return
        if self._is_handing_back:
            give_back(served.places)
            self.hand_back(message, queue, received)
            return
        held = self._hold(message, served)
        held.take(message, queue, received)
        held.course = self._start(self._courses, self._course(held, received))

    def _begin_next(self, message: TaskMessage, served: Served, queue: str, received: Received) -> None:
        if self.is_new(message):
            self.begin(message, served, queue, received)
        else:  # SQS delivered it twice, and the other one came first
            give_back(served.places)
            self._parts.on_free()
            self.take_again(message, queue, received)

    def take_again(self, message: TaskMessage, queue: str, received: Received) -> None:
        held = self.held.get(key_of(message))
        if held is None or held.is_reported:
            logger.info("task %s is done already: a second message of it is deleted", message.task_id)
            self._start(self._errands, self._delete(queue, received.receipt))
        elif held.abandoned.done():  # a last poll met what had just been handed back
            self.hand_back(message, queue, received)
        else:
            logger.info("task %s was delivered again while it runs here", message.task_id)
            held.take(message, queue, received)

    def hand_back(self, message: TaskMessage, queue: str, received: Received) -> None:
        self._start(self._errands, self._parts.back.hand_back(message, [Lease(queue, received.receipt, 0.0, 0.0)]))

    def send_back(self, message: TaskMessage, queue: str, received: Received) -> None:
        """Into line: this worker does not begin it."""
        self._start(self._errands, self._send_back(message, queue, received))

    async def _send_back(self, message: TaskMessage, queue: str, received: Received) -> None:
        if await self._parts.back.tell_gone(message):
            await self._delete(queue, received.receipt)

    def let_wait(self, envelope: TaskEnvelope, queue: str, received: Received) -> None:
        self._start(self._errands, self._parts.back.let_wait(envelope, queue, received.receipt))

    def _hold(self, message: TaskMessage, served: Served) -> Held:
        started_ms = message.started_ms or now_ms()
        link = HeldLink(self._parts.signs, asyncio.get_running_loop())
        deadline_ms = _deadline_ms(message, started_ms)
        context = TaskContext.from_message(message, worker_id=self._parts.worker_id, deadline_ms=deadline_ms, link=link)
        held = Held(
            message=message,
            served=served,
            context=context,
            link=link,
            started_ms=started_ms,
            abandoned=asyncio.get_running_loop().create_future(),
        )
        link.held = held
        self.held[held.key] = held
        return held

    # --- one task

    async def _course(self, held: Held, received: Received) -> None:
        try:
            await self._until_reported(held, received)
            if held.run is not None:
                await held.run.done  # one that timed out keeps its place until it ends
        except Refused as error:
            logger.error("task %s: not even its failure could be reported, it will be delivered again: %s", held.message.task_id, error)
        finally:
            self.held.pop(held.key, None)
            give_back(held.served.places)
            self._parts.on_free()

    async def _until_reported(self, held: Held, received: Received) -> None:
        signs = asyncio.get_running_loop().create_task(self._parts.signs.keep(held))
        try:
            outcome = await self._outcome(held, received)
            if outcome is not None:
                held.is_ending = True
                if held.line is not None:
                    outcome = replace(outcome, log=(*outcome.log, held.line))
                await self._parts.reporter.finish(held.message, outcome, held.started_ms)
                self._finish(held)
            elif held.leases and not held.is_ending:  # it was delivered to us anew after its lease had been lost
                await self._parts.back.release(held.message, held.let_go())
        finally:
            signs.cancel()

    async def _outcome(self, held: Held, received: Received) -> Outcome | None:
        """What to report; None: nothing."""
        if held.abandoned.done():
            return None
        ready = self._parts.inputs.at_hand(held.message, received)
        if ready is not None:  # nearly always; then the function begins before the next poll takes the CPU
            return await self._result(held, ready.input)
        work = asyncio.ensure_future(self._parts.inputs.of(held.message, received))
        await _either(work, held.abandoned)
        if not work.done():
            work.cancel()
            return None
        found = work.result()
        if isinstance(found, Needless):
            logger.info("task %s has ended without being run", held.message.task_id)
            self._finish(held)
            return None
        return await self._result(held, found.input) if isinstance(found, Ready) else found

    async def _result(self, held: Held, task_input: Any) -> Outcome | None:
        served = held.served
        if held.context.remaining_s() == 0:
            return await self._too_late(held, "the time of the task was over before a worker could begin it")
        held.run = self._parts.runner.begin(served.function, served.binding, task_input, held.context, held.link)
        await _either(held.run.done, held.abandoned, timeout_s=held.context.remaining_s())
        if held.abandoned.done():
            return None
        if not held.run.done.done():
            held.run.cancel("the attempt has timed out", is_over=True)
            is_total = held.context.deadline_ms == held.message.total_deadline_ms
            limit = "the total time of all its attempts" if is_total else f"its timeout of {held.message.timeout_s} s"
            return await self._too_late(held, f"the function ran longer than {limit}")
        outcome = held.run.done.result()
        if held.context.is_noticed or (held.is_lost and outcome.status is not TaskStatus.COMPLETED):
            logger.warning("task %s: %s after its lease was lost is not reported", held.message.task_id, outcome.status)
            return None
        return outcome

    async def _too_late(self, held: Held, reason: str) -> Outcome | None:
        await asyncio.wait({held.abandoned}, timeout=self._timing.timeout_grace_s)
        if held.abandoned.done():
            return None
        is_over = held.run is not None and held.run.done.done()
        lines = held.run.done.result().log if held.run is not None and is_over else held.context.take_lines()
        return replace(failed(reason), log=lines)

    def _finish(self, held: Held) -> None:
        """The server knows: the messages may go."""
        held.is_ending = held.is_reported = True
        self._remembered.add(held.message)
        for lease in held.let_go():
            self._start(self._errands, self._delete(lease.queue, lease.receipt))

    # --- what befalls leases

    def lose(self, held: Held) -> None:
        if not held.is_ending:
            held.is_lost = True
            if held.run is not None:
                held.run.cancel("its lease is lost", is_over=False)

    def move_to_journal(self, held: Held) -> None:
        if not held.is_ending and not held.is_moving:
            held.is_moving = True
            self._start(self._errands, self._move(held))

    async def _move(self, held: Held) -> None:
        try:
            await self._parts.signs.lease_in_journal(held)
        except Refused as error:
            logger.error("task %s cannot be held beyond the limit of its queue: %s", held.message.task_id, error)
            return
        for lease in held.let_go():
            await self._delete(lease.queue, lease.receipt)

    # --- the end

    async def hand_back_all(self) -> None:
        """Gives up what is not ending: tells the functions, the server and the queue."""
        self._is_handing_back = True
        given_up = [held for held in self.held.values() if not held.is_ending]
        for held in given_up:
            held.is_ending = True
            held.abandoned.set_result(None)
            if held.run is not None:
                held.run.cancel("the worker stops", is_over=True)
            self._start(self._errands, self._parts.back.give_up(held))

    async def settle(self, *, with_functions: bool) -> None:
        """Returns when nothing is on its way any more, and with ``with_functions`` nothing is held either."""
        while pending := self._errands | (self._courses if with_functions else self._reporting()):
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

    def _reporting(self) -> set[asyncio.Task[None]]:
        reporting = [held for held in self.held.values() if held.is_ending and not held.is_reported and not held.abandoned.done()]
        return {held.course for held in reporting if held.course is not None}

    async def _delete(self, queue: str, receipt: str) -> None:
        try:
            await self._parts.deleters(queue).put(receipt)
        except Refused as error:
            logger.info("a message on %s could not be deleted (%s): should it come again, its task is known to be done", queue, error)

    def _start(self, among: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(lambda ended: _note_end(among, ended))
        return task


async def _either(one: asyncio.Future[Any], other: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Returns when one of them is done, or after ``timeout_s``."""
    await asyncio.wait({one, other}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _note_end(among: set[asyncio.Task[None]], ended: asyncio.Task[None]) -> None:
    among.discard(ended)
    if not ended.cancelled() and ended.exception() is not None:
        logger.error("a task's course ended in an error of ours", exc_info=ended.exception())


def _deadline_ms(message: TaskMessage, started_ms: int) -> int:
    """The earlier of the attempt's and of all attempts' together; 0: none."""
    ends = [started_ms + message.timeout_s * 1000] if message.timeout_s else []
    ends += [message.total_deadline_ms] if message.total_deadline_ms else []
    return min(ends, default=0)
