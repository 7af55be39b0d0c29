"""The simulated stage: a seed is a schedule, faults do what they say, and the clock jumps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import FUNCTION_VISIBILITY_S, MAX_RECEIVES, TASK_VISIBILITY_S, Outgoing, QueueMissing
from batuta_core.engine.start import StartRequest, start
from batuta_core.model.error import Unavailable
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.faults import Crash, Fault, Hits, RandomFaults, ToldFaults
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import BEGIN_MS, Action, World

TASKS = [{"name": "a", "taskReferenceName": ref, "type": "SIMPLE"} for ref in ("x", "y", "z")]


def begin(world: World) -> str:
    return start(StartRequest(namespace="default", name="w", definition={"name": "w", "tasks": TASKS}), world.ports, no_javascript)


def agenda(world: World, call: Callable[[], object], after_ms: int = 0) -> None:
    def run() -> None:
        call()

    world.agenda.append((world.now_ms + after_ms, Action("user", run)))


def run(seed: int, *, rate: float = 0.1) -> tuple[list[str], World]:
    """The trace of three executions under random faults."""
    world = World(seed, skew_ms=500, hits=Hits())
    world.faults = RandomFaults(world.random, rate, 20)
    world.trace = []
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    for number in range(3):
        agenda(world, lambda: begin(world), number * 1000)
    world.run(limit_ms=24 * 3600_000)
    return world.trace, world


def test_a_seed_is_a_schedule() -> None:
    first, second, other = run(7)[0], run(7)[0], run(8)[0]
    assert first == second
    assert first != other


@pytest.mark.parametrize("seed", range(5))
def test_whatever_befalls_the_executions_that_began_come_to_their_end(seed: int) -> None:
    _trace, world = run(seed)
    assert world.hits.total() > 0
    heads = [world.journal.newest(execution) for execution in world.journal.executions()]
    assert {head.head.status.value for head in heads if head is not None} <= {"COMPLETED"}


# --- one fault


class Meddled:
    """An actor that sends one message, under one fault."""

    def __init__(self, fault: Fault) -> None:
        self.world = World(faults=ToldFaults({1: fault}))
        self.ended: list[str] = []
        self.texts: list[str] = []

    def run(self) -> None:
        def send() -> None:
            try:
                self.world.ports.queues.send(self.world.queues.timers, [Outgoing("hello")])
                self.ended.append("well")
            except Unavailable:
                self.ended.append("refused")
            except Crash:
                self.ended.append("dead")
                raise
            finally:
                self.texts = [text for _queue, text in self.world.queues.texts()]

        agenda(self.world, send)
        self.world.run(limit_ms=0)


@pytest.mark.parametrize(
    ("fault", "ended", "sent"),
    [
        (Fault.THROTTLE, "refused", 0),
        (Fault.LOST_REPLY, "refused", 1),
        (Fault.CRASH_BEFORE, "dead", 0),
        (Fault.CRASH_AFTER, "dead", 1),
        (Fault.ECHO, "well", 2),
        (Fault.DELAY, "well", 1),
        (Fault.PAUSE, "well", 1),
    ],
)
def test_what_a_fault_does_to_a_call(fault: Fault, ended: str, sent: int) -> None:
    meddled = Meddled(fault)
    meddled.run()
    assert (meddled.ended, meddled.texts) == ([ended], ["hello"] * sent)
    assert meddled.world.hits.counts == {(fault.value, "queues.send"): 1}


def test_a_crash_is_caught_by_no_handler_of_errors() -> None:
    assert not issubclass(Crash, Exception)


def test_calls_outside_of_an_actor_meet_no_fault() -> None:
    world = World(faults=ToldFaults(dict.fromkeys(range(10), Fault.CRASH_BEFORE)))
    world.ports.queues.send(world.queues.timers, [Outgoing("hello")])
    assert world.calls == 0


def test_an_error_that_is_no_fault_ends_the_run_and_is_raised() -> None:
    world = World()
    agenda(world, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        world.run()


def test_a_paused_actor_that_outlives_its_function_is_killed() -> None:
    world = World(faults=ToldFaults({1: Fault.PAUSE}))
    world.resume_after_ms = 31_000
    ended: list[str] = []

    def send() -> None:
        world.ports.queues.send(world.queues.timers, [Outgoing("hello")])
        ended.append("well")

    agenda(world, send)
    world.run(limit_ms=60_000)
    assert (ended, world.queues.texts()) == ([], [])


# --- time


def test_the_clock_jumps_to_what_happens_next_and_not_beyond_the_limit() -> None:
    world = World()
    seen: list[int] = []
    for after_ms in (5000, 3600_000, 10**10):
        agenda(world, lambda: seen.append(world.now_ms - BEGIN_MS), after_ms)
    world.run(limit_ms=3600_000)
    assert seen == [5000, 3600_000]
    assert world.now_ms == BEGIN_MS + 3600_000


def test_clocks_of_actors_are_off_by_no_more_than_the_skew() -> None:
    world = World(3, skew_ms=500)
    seen: set[int] = set()
    for _ in range(50):
        agenda(world, lambda: seen.add(world.ports.clock.now_ms() - world.now_ms))
    world.run(limit_ms=0)
    assert max(map(abs, seen)) <= 500
    assert len(seen) > 10
    assert world.ports.clock.now_ms() == world.now_ms  # outside of an actor it is the true time


# --- queues


def test_a_message_is_held_until_its_visibility_ends_and_given_up_at_last() -> None:
    world = World()
    queues = world.queues
    queues.ensure_task_queue("t")
    queues.send("t", [Outgoing("hello")])
    for receives in range(1, MAX_RECEIVES + 1):
        [received] = queues.receive("t", 10, 0)
        assert (received.text, received.receives) == ("hello", receives)
        assert list(queues.receive("t", 10, 0)) == []
        world.now_ms += TASK_VISIBILITY_S * 1000
    assert list(queues.receive("t", 10, 0)) == []
    assert (queues.size("t").total, queues.size(queues.task_dead_letters).waiting) == (0, 1)


def test_an_old_receipt_deletes_nothing() -> None:
    world = World()
    world.queues.ensure_task_queue("t")
    world.queues.send("t", [Outgoing("hello")])
    [old] = world.queues.receive("t", 1, 0)
    world.now_ms += TASK_VISIBILITY_S * 1000
    [new] = world.queues.receive("t", 1, 0)
    world.queues.delete("t", [old.receipt])
    assert world.queues.size("t").total == 1
    world.queues.delete("t", [new.receipt])
    assert world.queues.size("t").total == 0


@pytest.mark.parametrize(("is_fifo_kept", "expected"), [(True, 1), (False, 2)])
def test_a_fifo_queue_drops_repeats_and_holds_its_groups_unless_told_not_to(is_fifo_kept: bool, expected: int) -> None:
    world = World(is_fifo_kept=is_fifo_kept)
    inbox = world.queues.inbox
    world.queues.send(inbox, [Outgoing("one", group="g", dedup="d"), Outgoing("one", group="g", dedup="d")])
    assert world.queues.size(inbox).total == expected
    world.queues.send(inbox, [Outgoing("two", group="g", dedup="e")])
    world.queues.receive(inbox, 1, 0)
    assert (len(world.queues.receive(inbox, 10, 0)) == 0) == is_fifo_kept  # the group waits for its first
    world.now_ms += FUNCTION_VISIBILITY_S * 1000
    assert len(world.queues.receive(inbox, 10, 0)) == expected + 1


@pytest.mark.parametrize("message", [Outgoing("x"), Outgoing("x", group="g"), Outgoing("x", group="g", dedup="d", delay_s=1)])
def test_a_fifo_queue_takes_no_message_that_sqs_would_refuse(message: Outgoing) -> None:
    world = World()
    with pytest.raises(ValueError, match="FIFO"):
        world.queues.send(world.queues.inbox, [message])


@pytest.mark.parametrize("delay_s", [-1, 901])
def test_a_delay_that_sqs_would_refuse_is_refused(delay_s: int) -> None:
    world = World()
    with pytest.raises(ValueError, match="delay"):
        world.queues.send(world.queues.timers, [Outgoing("x", delay_s=delay_s)])


def test_a_queue_that_is_not_there_is_missing_for_every_call() -> None:
    queues = World().queues
    for call in (lambda: queues.send("no", [Outgoing("x")]), lambda: queues.receive("no", 1, 0), lambda: queues.size("no")):
        with pytest.raises(QueueMissing):
            call()


def test_a_worker_that_dies_leaves_its_task_to_the_next_turn() -> None:
    world = World()
    turns: list[str] = []

    def behave(message: TaskMessage) -> Outcome:
        turns.append(message.ref)
        return Outcome(is_lost=len(turns) == 1)

    SdkWorker(world, behave)
    execution = ExecutionId("default", begin(world))
    world.run(limit_ms=3600_000)
    newest = world.journal.newest(execution)
    assert newest is not None
    assert (newest.head.status.value, turns) == ("COMPLETED", ["x", "x", "y", "z"])
