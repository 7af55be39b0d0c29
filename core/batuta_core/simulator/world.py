"""A whole Batuta in one process on a clock that jumps: the production engine on ports in memory, under faults on request.

One actor runs at a time. An actor is one run of a function (a batch from the decider queue, an API call, a worker's turn);
at each of its I/O calls a fault may befall it, and it may be made to wait there while others run, so that every
interleaving of calls can come up. A schedule is a seed: the same seed gives the same run.

An actor keeps its stack on a thread of its own while it waits; the baton between the threads is passed explicitly, so
nothing here depends on how the operating system schedules them.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from random import Random
from typing import Any, cast

from batuta_core.engine import advance, dead_letters, publish, timers
from batuta_core.engine.catalog import Catalog
from batuta_core.engine.event_ports import Sinks
from batuta_core.engine.fetch import Cache
from batuta_core.engine.ports import Incoming, Log, NoScripts, NullLog, Outgoing, Ports, Refused, Scripts
from batuta_core.model import ids
from batuta_core.model.error import Unavailable
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_core.model.token import Signer
from batuta_core.simulator.faults import Crash, Fault, Faults, Hits, NoFaults
from batuta_core.simulator.queue import SimulatedQueues
from batuta_core.simulator.store import (
    SimulatedActions,
    SimulatedDefinitions,
    SimulatedFarTimers,
    SimulatedGates,
    SimulatedJournal,
    SimulatedLogs,
    SimulatedPayloads,
    SimulatedSinks,
    SimulatedSummaries,
)

BEGIN_MS = 1_764_000_000_000  # 2025-11-24T16:00Z: any moment will do, but not 0, which means "never" in many fields
FUNCTION_LIFE_MS = 30_000  # a function that takes longer is killed (Lambda's timeout, as the stage sets it)
_BATCH_MAX = 10


@dataclass(slots=True)
class Actor:
    """One run of a function."""

    name: str
    began_ms: int
    skew_ms: int  # how far its clock is off
    life_ms: int = FUNCTION_LIFE_MS
    has_paused: bool = False


@dataclass(slots=True)
class _Parked:
    actor: Actor
    until_ms: int
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done now."""

    name: str
    run: Callable[[], None]
    life_ms: int = FUNCTION_LIFE_MS


class World:
    """The ports, the clock, and the loop that picks what happens next.

    ``skew_ms`` bounds how far the clocks of the functions are off; ``is_fifo_kept`` False takes order and deduplication
    from the FIFO queue. ``scripts`` runs users' scripts; by default nothing does. Set ``on_append`` to look at each record as
    it is committed, ``sources`` to add what workers and users do.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: Faults | None = None,
        hits: Hits | None = None,
        is_fifo_kept: bool = True,
        skew_ms: int = 0,
        retention_s: int = 0,
        log: Log | None = None,
        scripts: Scripts | None = None,
        on_append: Callable[[ExecutionId, Record], None] | None = None,
    ) -> None:
        self.random = Random(seed)
        self.now_ms = BEGIN_MS
        self.calls = 0
        self.faults = faults or NoFaults()
        self.hits = hits or Hits()
        self.skew_ms = skew_ms
        self.sources: list[Callable[[], list[Action]]] = []
        self.on_step: Callable[[], None] | None = None
        self.on_done: Callable[[str, list[Incoming]], None] | None = None  # a function has dealt with messages of a queue
        self.trace: list[str] | None = None
        self.agenda: list[tuple[int, Action]] = []  # what users do at given moments
        self.resume_after_ms = 0  # an actor that waits is not resumed sooner than that while others can run
        self.actor: Actor | None = None
        self._parked: list[_Parked] = []
        self._next_move_ms = BEGIN_MS
        self._end_ms = BEGIN_MS
        self._error: BaseException | None = None
        self._is_over = threading.Semaphore(0)
        self._is_closing = False
        self.wakers: list[Callable[[], list[int]]] = []  # moments at which a source will have something to do
        stage = "sim"
        self.queues = SimulatedQueues(stage, lambda: self.now_ms, self.random, is_fifo_kept=is_fifo_kept)
        self.journal = SimulatedJournal(on_append)
        self.far_timers = SimulatedFarTimers()
        self.gates = SimulatedGates()
        self.summaries = SimulatedSummaries()
        self.payloads = SimulatedPayloads()
        self.definitions = SimulatedDefinitions()
        self.logs = SimulatedLogs()
        self.actions = SimulatedActions()
        self.sinks = SimulatedSinks()
        self.scripts = scripts or NoScripts()
        self.plain = Ports(
            stage=stage,
            journal=self.journal,
            queues=self.queues,
            far_timers=self.far_timers,
            gates=self.gates,
            payloads=self.payloads,
            summaries=self.summaries,
            definitions=self.definitions,
            logs=self.logs,
            clock=_Clock(self),
            ids=_Ids(self),
            signer=Signer([b"the simulator's only key"]),
            catalog=Catalog(),
            cache=Cache(),
            actions=self.actions,
            scripts=self.scripts,
            retention_s=retention_s,
            log=log or NullLog(),
        )
        faulty = {name: cast(Any, _Port(self, name, getattr(self, name))) for name in _FAULTY}
        self.faulty_sinks: Sinks = faulty.pop("sinks")
        self.ports = replace(self.plain, **faulty)

    # --- I/O, and what befalls it

    def io(self, site: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One I/O call of the running actor."""
        if self.actor is None:
            return call(*args, **kwargs)
        self.calls += 1
        fault = self.faults.choose(site, self.calls, has_paused=self.actor.has_paused)
        if fault is not None:
            self.hits.add(fault.value, site)
        if self.trace is not None:
            self.trace.append(f"{self.now_ms - BEGIN_MS:>9} {self.actor.name}: {site}{f'  <{fault}>' if fault else ''}")
        if fault is Fault.PAUSE:
            self._park()
        if fault is Fault.CRASH_BEFORE:
            raise Crash(site)
        if fault is Fault.THROTTLE:
            raise Unavailable(f"{site} was throttled")
        if fault is Fault.STALE_READ:
            return getattr(call.__self__, f"{call.__name__}_stale")(*args)  # type: ignore[attr-defined]
        if fault is Fault.DELAY:
            args = (args[0], [_later(message, self.random.randint(1, 5)) for message in args[1]])
        try:
            found = call(*args, **kwargs)
        except Refused:
            self.hits.add("refused", site)
            raise
        if fault is Fault.CRASH_AFTER:
            raise Crash(site)
        if fault is Fault.LOST_REPLY:
            raise Unavailable(f"the reply of {site} was lost")
        if fault is Fault.ECHO:
            return call(*args, **kwargs)
        if fault is Fault.DUPLICATE:
            for message in found:
                self.queues.duplicate(args[0], message.message_id)
        return found

    def _park(self) -> None:
        """The running actor waits; another loop goes on."""
        actor = self.actor
        assert actor is not None
        parked = _Parked(actor, self.now_ms + self.resume_after_ms)
        actor.has_paused = True
        self._parked.append(parked)
        _POOL.run(self._loop)
        parked.baton.acquire()
        self.actor = actor
        if self._is_closing or self.now_ms - actor.began_ms > actor.life_ms:
            raise Crash("killed: it took longer than a function lives")

    # --- the loop

    @property
    def is_busy(self) -> bool:
        """Whether an actor is in the middle of its run."""
        return bool(self._parked)

    def run(self, limit_ms: int = 400 * 24 * 3600 * 1000) -> None:
        """Goes on until nothing is left to do, or the clock has moved by ``limit_ms``."""
        self._end_ms = self.now_ms + limit_ms
        self._error = None
        _POOL.run(self._loop)
        self._is_over.acquire()
        self._is_closing = True
        for parked in self._parked:  # after an error: their threads are wanted back
            parked.baton.release()
        self._parked.clear()
        self._is_closing = self._error is not None
        if self._error is not None:
            raise self._error

    def run_to(self, moment_ms: int) -> None:
        """Does all that can be done until ``moment_ms``, and leaves the clock there: in the caller's thread, one action after the other in
        order, so no fault may make an actor wait. Raises what an action or ``on_step`` raises, but for crashes and throttles."""
        self._end_ms = moment_ms
        while True:
            if ready := self._ready():
                self._act(ready[0])
            elif not self._jump():
                break
        self.now_ms = max(self.now_ms, moment_ms)

    def next_ms(self) -> int | None:
        """The next moment at which something is due by itself; None when there is none."""
        return min(self._moments(), default=None)

    def _loop(self) -> None:
        try:
            while not self._is_closing:
                resumable = [parked for parked in self._parked if parked.until_ms <= self.now_ms]
                choices: list[Action | _Parked] = [*self._ready(), *resumable]
                if not choices:
                    if not self._jump():
                        break
                    continue
                if not self.resume_after_ms and self._parked and self.random.random() < 0.2:
                    self.now_ms += self.random.randint(100, 15_000)  # a function that waits does not stop the clock
                chosen = choices[self.random.randrange(len(choices))]
                if isinstance(chosen, _Parked):
                    self._parked.remove(chosen)
                    chosen.baton.release()
                    return
                self._act(chosen)
        except BaseException as error:
            self._error = self._error or error
        if not self._is_closing:
            self._is_over.release()

    def _act(self, action: Action) -> None:
        skew_ms = self.random.randint(-self.skew_ms, self.skew_ms) if self.skew_ms else 0
        self.actor = Actor(action.name, self.now_ms, skew_ms, action.life_ms)
        try:
            action.run()
        except (Crash, Unavailable) as error:
            if isinstance(error, Crash):
                self._forget()  # the next run is a cold start
            if self.trace is not None:
                self.trace.append(f"{self.now_ms - BEGIN_MS:>9} {action.name}: {error!r}")
        finally:
            self.actor = None
        if self.on_step is not None:
            self.on_step()

    def _forget(self) -> None:
        cache = self.plain.cache
        cache.graphs.clear()
        cache.records.clear()
        cache.payloads.clear()
        cache.stored.clear()
        cache.returned.clear()
        cache.limited.clear()
        cache.priority_queues.clear()
        cache.is_cursor_begun = False

    def _jump(self) -> bool:
        """To the next moment at which something happens. False when there is none within the limit."""
        far = self.far_timers.all()
        moment = self.next_ms()
        if moment is None or moment > self._end_ms:
            return False
        if far and moment - self.now_ms > 3600_000:  # the mover's idle runs in between, all at once
            self.far_timers.set_cursor(min(moment // 60_000, far[0].minute))
        self.now_ms = moment
        return True

    def _moments(self) -> list[int]:
        moments = [moment for moment in (self.queues.next_visible_ms(), *(due_ms for due_ms, _action in self.agenda)) if moment is not None]
        moments = [moment for moment in moments if moment > self.now_ms]
        if far := self.far_timers.all():
            moments.append(max(self._next_move_ms, self.now_ms + 1, far[0].due_ms - timers.HORIZON_MINUTES * 60_000))
        moments.extend(parked.until_ms for parked in self._parked if parked.until_ms > self.now_ms)
        for source in self.wakers:
            moments.extend(moment for moment in source() if moment > self.now_ms)
        return moments

    def _ready(self) -> list[Action]:
        found = [action for source in self.sources for action in source()]
        for due_ms, action in self.agenda:
            if due_ms <= self.now_ms:
                found.append(Action(action.name, functools.partial(self._once, due_ms, action), action.life_ms))
        for queue, name, handler in (
            (self.queues.inbox, "decider", lambda batch: advance.advance_batch(self.ports, batch)),
            (self.queues.timers, "timers", lambda batch: timers.fire(self.ports, batch)),
            (self.queues.events, "events", lambda batch: publish.publish_batch(self.ports, self.faulty_sinks, batch)),
        ):
            if self.queues.is_ready(queue):
                found.append(Action(name, functools.partial(self._feed, queue, handler)))
        given_up = (self.queues.dead_letters, self.queues.fifo_dead_letters, self.queues.task_dead_letters)
        if any(self.queues.is_ready(queue) for queue in given_up):
            found.append(Action("sweeper", self._sweep))
        if self.now_ms >= self._next_move_ms and self.far_timers.all():
            found.append(Action("mover", self._move))
        return found

    def _once(self, due_ms: int, action: Action) -> None:
        self.agenda.remove((due_ms, action))
        action.run()

    def _feed(self, queue: str, handler: Callable[[list[Incoming]], list[str]]) -> None:
        """What AWS does for a function: receive, invoke, and delete what the function did not report as failed."""
        batch = list(self.io("queues.receive", self.queues.receive, queue, _BATCH_MAX, 0))
        if batch:
            failed = set(handler(batch))
            done = [message.receipt for message in batch if message.message_id not in failed]
            self.io("queues.delete", self.queues.delete, queue, done)
            if self.on_done is not None:
                self.on_done(queue, [message for message in batch if message.message_id not in failed])

    def _sweep(self) -> None:
        dead_letters.sweep(self.ports)

    def _move(self) -> None:
        self._next_move_ms = self.now_ms + 60_000
        timers.move_far_timers(self.ports)


_FAULTY = ("journal", "queues", "far_timers", "gates", "payloads", "summaries", "definitions", "logs", "actions", "sinks", "scripts")


class _Clock:
    """The time as the running actor's machine has it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        actor = self._world.actor
        return self._world.now_ms + (actor.skew_ms if actor else 0)

    def sleep(self, ms: int) -> None:
        """Nothing happens while an actor runs, so waiting would be in vain."""

    def pause(self, tries: int) -> None:
        """Losing a race costs no time here."""


class _Ids:
    def __init__(self, world: World) -> None:
        self._world = world
        self._count = 0

    def workflow_id(self) -> str:
        return ids.to_uuid(self._world.random.getrandbits(128).to_bytes(16, "big"))

    def op(self) -> str:
        self._count += 1
        return f"op{self._count}"


class _Port:
    """A port whose every call is an I/O call of the running actor."""

    def __init__(self, world: World, name: str, target: object) -> None:
        self._world = world
        self._name = name
        self._target = target

    def __getattr__(self, method: str) -> Callable[..., Any]:
        call = functools.partial(self._world.io, f"{self._name}.{method}", getattr(self._target, method))
        setattr(self, method, call)
        return call


def _later(message: Outgoing, seconds: int) -> Outgoing:
    return replace(message, delay_s=min(message.delay_s + seconds, 900)) if not message.group else message


class _Pool:
    """Threads that are kept: a schedule needs a handful, and there are many schedules. A forked process begins without any."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Callable[[], None]]] = []
        os.register_at_fork(after_in_child=self._idle.clear)

    def run(self, call: Callable[[], None]) -> None:
        inbox = self._idle.pop() if self._idle else self._begin()
        inbox.put(call)

    def _begin(self) -> SimpleQueue[Callable[[], None]]:
        inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._serve, args=(inbox,), daemon=True, name="simulator").start()
        return inbox

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            inbox.get()()
            self._idle.append(inbox)


_POOL = _Pool()
