"""The worker's parts at work, on an event loop in a thread of their own.

Nothing of the user's runs on this loop, so no function, however it behaves, keeps leases from being renewed. Calls that block
go to small pools of threads, one for each purpose: polls that wait must not hold up results, results not renewals, and a
server that does not answer none of them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from batuta.client import Client
from batuta.http import Call
from batuta.serializer import size_bytes
from batuta.threads import DaemonPool
from batuta.transport import Transport
from batuta.worker.batcher import Batcher
from batuta.worker.hand_back import HandBack
from batuta.worker.handler import Parts, TaskHandler
from batuta.worker.health import Health
from batuta.worker.inputs import Inputs
from batuta.worker.intake import Intake
from batuta.worker.lease import LeaseKeeper
from batuta.worker.permits import Places
from batuta.worker.poller import EAGER_POLLS_MAX, QUIET_POLLS_MAX, Poller
from batuta.worker.queues import Failure, Outgoing, Queues
from batuta.worker.registration import Ask, register
from batuta.worker.report import Reporter
from batuta.worker.runner import Runner
from batuta.worker.signs import SignsOfLife
from batuta.worker.sources import Offer, sources_of
from batuta.worker.timing import Timing
from batuta_core.model.names import resource_name

logger = logging.getLogger("batuta.worker")

P = ParamSpec("P")
T = TypeVar("T")

_IO_THREADS = 12  # a call to SQS takes some 10 ms, so these carry a thousand batches a second
_RENEWAL_THREADS = 4
_HTTP_THREADS = 4
_DELETE_TRIES_MAX = 6  # with the waits between them longer than a lease lasts
_TICK_S = 1.0
_DEAF_AFTER_S = 10.0  # a loop that has not turned for so long is stuck


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a service needs to know. ``application`` is the loop on which users' coroutines run; None: one of their own."""

    offers: Sequence[Offer]
    stage: str
    place: str  # of the queues, for people
    queues: Queues
    transport: Transport | None  # to the server; None where no URL is known
    timing: Timing
    worker_id: str
    max_in_progress: int
    processes: int
    graceful_shutdown_s: float
    application: asyncio.AbstractEventLoop | None


class Service:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process = Places(plan.max_in_progress)
        self._children = Places(plan.processes)
        self._sources = sources_of(plan.offers, plan.stage, self._process, self._children, plan.timing)
        self._polls = DaemonPool("batuta-poll", QUIET_POLLS_MAX + EAGER_POLLS_MAX)
        self._io = DaemonPool("batuta-io", _IO_THREADS)
        self._renewals = DaemonPool("batuta-lease", _RENEWAL_THREADS)
        self._http = DaemonPool("batuta-http", _HTTP_THREADS)
        self._clients: dict[str, Client] = {}
        self._deleters: dict[str, Batcher[str]] = {}
        self._thread = threading.Thread(target=self._main, name="batuta-worker", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stop_wanted = threading.Event()
        self._stop: asyncio.Event | None = None
        self._ticked_s = time.monotonic()
        self._is_draining = False
        self._handler: TaskHandler | None = None
        self.has_ended = threading.Event()
        self.error: BaseException | None = None

    # --- from any thread

    def start(self) -> None:
        self._thread.start()

    def request_stop(self) -> None:
        """Does not block, so that a signal handler may call it."""
        self._is_stop_wanted.set()
        if self._loop is not None and self._stop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                logger.debug("asked to stop when it had ended")

    def health(self) -> Health:
        now_s = time.monotonic()
        since_s = [source.failing_since_s for source in self._sources if not source.is_missing]
        failing_s = [now_s - at_s for at_s in since_s if at_s is not None]
        is_turning = now_s - self._ticked_s < _DEAF_AFTER_S and not self.has_ended.is_set()
        return Health(
            is_healthy=is_turning and max(failing_s, default=0.0) < self._plan.timing.unhealthy_after_s,
            state="stopped" if self.has_ended.is_set() else "stopping" if self._is_draining else "running",
            in_progress=len(self._handler.held) if self._handler is not None else 0,
            queues={source.queue: source.health(now_s) for source in self._sources if not source.is_absent},
        )

    # --- the thread

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.error = error
            logger.exception("the worker ended in an error of its own")
        finally:
            for pool in (self._polls, self._io, self._renewals, self._http):
                pool.shutdown()
            if self._plan.transport is not None:
                self._plan.transport.close()
            self.has_ended.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._is_stop_wanted.is_set():
            return
        plan, timing = self._plan, self._plan.timing
        ask = self._ask if plan.transport is not None else None
        runner = Runner(DaemonPool("batuta-task", plan.max_in_progress), plan.application)
        results = Batcher(
            "results", self._send, timing, linger_s=timing.linger_s, size_of=_size_of, expects_more=lambda: handler.has_running
        )
        reporter = Reporter(results, timing, plan.worker_id, ask)
        handler = TaskHandler(
            Parts(
                reporter=reporter,
                runner=runner,
                signs=SignsOfLife(reporter, timing, plan.worker_id, ask),
                inputs=Inputs(reporter.ask if ask is not None else None, ask, timing),
                deleters=self._deleter,
                back=HandBack(reporter, self._hide, timing, plan.worker_id),
                timing=timing,
                worker_id=plan.worker_id,
                on_free=lambda: poller.wake(),
            )
        )
        self._handler = handler
        intake = Intake(handler, timing, on_free=lambda: poller.wake())
        poller = Poller(self._sources, self._process, self._receive, intake.take, timing)
        leases = LeaseKeeper(handler.held.values(), self._change_visibility, handler.move_to_journal, handler.lose, timing)
        vital = [asyncio.ensure_future(part) for part in (poller.run(), leases.run(), self._tick(), self._stop.wait())]
        registration = asyncio.ensure_future(self._register(poller, ask))
        logger.info("worker %s serves %s; %s", plan.worker_id, _shown(plan.offers), plan.place)
        done, _rest = await asyncio.wait(vital, return_when=asyncio.FIRST_COMPLETED)
        registration.cancel()
        await self._drain(poller, intake, handler)
        runner.close()
        for part in done:
            part.result()  # one that ended by itself did so in an error

    async def _drain(self, poller: Poller, intake: Intake, handler: TaskHandler) -> None:
        """No new polls; what runs may finish; what has not is handed back; what is on its way may still arrive."""
        self._is_draining = intake.is_stopping = True
        if handler.held:
            logger.info(
                "worker %s stops: %d tasks in progress get %g s", self._plan.worker_id, len(handler.held), self._plan.graceful_shutdown_s
            )
        else:
            logger.info("worker %s stops", self._plan.worker_id)
        poller.stop()
        last_polls = asyncio.ensure_future(poller.ended())
        try:
            async with asyncio.timeout(self._plan.graceful_shutdown_s):
                await last_polls
                await handler.settle(with_functions=True)
        except TimeoutError:
            pass
        await handler.hand_back_all()
        await asyncio.wait({asyncio.ensure_future(poller.ended())}, timeout=self._plan.timing.poll_wait_s + self._plan.timing.flush_s)
        try:
            async with asyncio.timeout(self._plan.timing.flush_s):
                await handler.settle(with_functions=False)
        except TimeoutError:
            logger.warning("the worker ends with results or hand-backs that nobody acknowledged: their tasks come again")

    async def _register(self, poller: Poller, ask: Ask | None) -> None:
        offers = await register(self._plan.offers, ask)
        self._sources = sources_of(offers, self._plan.stage, self._process, self._children, self._plan.timing, self._sources)
        poller.serve(self._sources)
        poller.look_again()

    async def _tick(self) -> None:
        while True:
            self._ticked_s = time.monotonic()
            await asyncio.sleep(_TICK_S)

    # --- calls that block, in threads

    async def _in(self, pool: DaemonPool, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(pool.submit(call, *args, **kwargs))

    def _receive(self, queue: str, limit: int, wait_s: int) -> Awaitable[Any]:
        return self._in(self._polls, self._plan.queues.receive, queue, limit, wait_s)

    def _change_visibility(self, queue: str, receipts: Sequence[str], visibility_s: int) -> Awaitable[Sequence[Failure]]:
        return self._in(self._renewals, self._plan.queues.change_visibility, queue, receipts, visibility_s)

    def _hide(self, queue: str, receipts: Sequence[str], hidden_s: int) -> Awaitable[Sequence[Failure]]:
        return self._in(self._io, self._plan.queues.change_visibility, queue, receipts, hidden_s)

    def _send(self, batch: Sequence[Outgoing]) -> Awaitable[Sequence[Failure]]:
        return self._in(self._io, self._plan.queues.send, resource_name(self._plan.stage, "decider.fifo"), batch)

    def _ask(self, namespace: str, call: Call[T]) -> Awaitable[T]:
        if namespace not in self._clients:
            self._clients[namespace] = Client(namespace=namespace, transport=self._plan.transport)
        return self._in(self._http, self._clients[namespace].call, call)

    def _deleter(self, queue: str) -> Batcher[str]:
        if queue not in self._deleters:

            def delete(receipts: Sequence[str]) -> Awaitable[Sequence[Failure]]:
                return self._in(self._io, self._plan.queues.delete, queue, receipts)

            timing = self._plan.timing
            self._deleters[queue] = Batcher("deletions", delete, timing, linger_s=timing.delete_linger_s, tries_max=_DELETE_TRIES_MAX)
        return self._deleters[queue]


def _shown(offers: Sequence[Offer]) -> str:
    """``charge_card, ship_order in namespace shop; scan in namespace default``"""
    types: dict[str, dict[str, None]] = {}
    for offer in offers:
        types.setdefault(offer.namespace, {})[offer.function.task_type] = None
    return "; ".join(f"{', '.join(found)} in namespace {namespace}" for namespace, found in types.items())


def _size_of(outgoing: Outgoing) -> int:
    return size_bytes(outgoing.text)
