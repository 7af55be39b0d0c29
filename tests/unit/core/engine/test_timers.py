"""Deadlines near and far, and the mover between the two."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import timers
from batuta_core.engine.ports import FarTimer, Incoming, Journal
from batuta_core.engine.timers import HORIZON_MINUTES, SQS_DELAY_MAX_S
from batuta_core.model.message import TimerMessage
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.faults import Crash

EXECUTION = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000001")
MINUTE_MS = 60_000


@pytest.fixture
def server() -> Server:
    return Server()


def due_now(server: Server) -> list[TimerMessage]:
    """What lies on the timers' queue and may be seen at this moment."""
    return [TimerMessage.parse(received.text) for received in server.world.queues.receive(server.world.queues.timers, 10, 0)]


@pytest.mark.parametrize(
    ("wait_ms", "seen_after_ms"), [(-5000, 0), (0, 0), (1, 1000), (999, 1000), (1000, 1000), (1001, 2000), (900_000, 900_000)]
)
def test_a_near_timer_fires_at_its_moment_or_up_to_a_second_later(server: Server, wait_ms: int, seen_after_ms: int) -> None:
    due_ms = server.world.now_ms + wait_ms
    timers.arm(server.ports, EXECUTION, 3, due_ms)
    assert server.world.far_timers.all() == []
    if seen_after_ms:
        server.world.now_ms += seen_after_ms - 1
        assert due_now(server) == []
        server.world.now_ms += 1
    assert due_now(server) == [TimerMessage(execution=EXECUTION, record=3, due_ms=due_ms)]


def test_a_timer_beyond_what_sqs_delays_lies_in_the_bucket_of_its_minute(server: Server) -> None:
    due_ms = server.world.now_ms + SQS_DELAY_MAX_S * 1000 + 1
    timers.arm(server.ports, EXECUTION, 3, due_ms)
    timers.arm(server.ports, EXECUTION, 3, due_ms)  # a repeat
    assert server.world.far_timers.all() == [FarTimer(due_ms, EXECUTION, 3)]
    assert server.waiting(server.world.queues.timers) == 0
    assert server.world.far_timers.cursor() == server.world.now_ms // MINUTE_MS


def test_without_far_timers_the_mover_has_nothing_to_do(server: Server) -> None:
    assert timers.move_far_timers(server.ports) == 0
    assert server.world.far_timers.cursor() == 0


def waiting_for(server: Server, duration: str) -> ExecutionId:
    server.register({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": duration}})
    return server.start()


def test_a_far_timer_is_moved_when_the_horizon_reaches_its_minute_and_only_once(server: Server) -> None:
    waiting_for(server, "1 hour")
    [timer] = server.world.far_timers.all()
    server.world.now_ms = (timer.minute - HORIZON_MINUTES) * MINUTE_MS - 1
    assert timers.move_far_timers(server.ports) == 0
    server.world.now_ms += 1
    assert [timers.move_far_timers(server.ports) for _ in range(3)] == [1, 0, 0]
    assert server.world.far_timers.all() == []


def test_a_long_outage_of_the_mover_makes_timers_late_and_loses_none(server: Server) -> None:
    execution = waiting_for(server, "1 hour")
    server.world.now_ms += 48 * 3600_000
    assert timers.move_far_timers(server.ports) == 1
    server.settle()
    assert server.status(execution) == "COMPLETED"


def test_the_cursor_stays_behind_what_a_slow_writer_may_still_write_and_never_goes_back(server: Server) -> None:
    waiting_for(server, "1 hour")
    now = server.world.now_ms // MINUTE_MS
    timers.move_far_timers(server.ports)
    assert server.world.far_timers.cursor() == now + HORIZON_MINUTES - timers.WRITER_MINUTES
    server.world.now_ms -= 5 * MINUTE_MS
    timers.move_far_timers(server.ports)
    assert server.world.far_timers.cursor() == now + HORIZON_MINUTES - timers.WRITER_MINUTES


def test_far_timers_of_executions_that_have_ended_are_dropped(server: Server) -> None:
    server.world.far_timers.begin_cursor(server.world.now_ms // MINUTE_MS)
    server.world.far_timers.put(FarTimer(server.world.now_ms + MINUTE_MS, EXECUTION, 3))
    assert timers.move_far_timers(server.ports) == 0
    assert server.world.far_timers.all() == []


@pytest.mark.parametrize("duration", ["1 second", "900 seconds", "901 seconds", "1 day", "30 days"])
def test_a_wait_ends_at_its_moment_or_a_second_later_however_long_it_is(server: Server, duration: str) -> None:
    execution = waiting_for(server, duration)
    due_ms = server.newest(execution).head.open["w"].due_ms
    server.settle(for_ms=31 * 24 * 3600_000)
    assert server.status(execution) == "COMPLETED"
    assert due_ms <= server.newest(execution).at_ms <= due_ms + 1000


def test_what_is_not_ours_is_dropped_and_what_is_newer_comes_again(server: Server) -> None:
    batch = [Incoming("junk", "junk", "r", 1), Incoming("new", '{"v":3}', "r", 1)]
    assert timers.fire(server.ports, batch) == ["new"]
    assert server.log.events == ["message_not_ours"]
    assert server.waiting(server.world.queues.inbox) == 0


def test_a_timer_that_is_armed_twice_fires_twice(server: Server) -> None:
    text = TimerMessage(execution=EXECUTION, record=3, due_ms=5).to_text()
    timers.fire(server.ports, [Incoming("m1", text, "r", 1), Incoming("m2", text, "r", 1)])
    assert server.waiting(server.world.queues.inbox) == 2


def test_one_timer_is_armed_however_many_tasks_wait(server: Server) -> None:
    server.register(simple("a"), simple("b"), task_definitions=[{"name": name, "pollTimeoutSeconds": 60} for name in "ab"])
    server.start()
    before = server.waiting(server.world.queues.timers)
    server.run_task("a")
    assert server.waiting(server.world.queues.timers) == before


def test_a_guard_whose_call_came_to_its_end_wakes_no_decider(server: Server) -> None:
    execution = waiting_for(server, "1 day")
    guard = TimerMessage(execution=execution, record=1).to_text()
    timers.fire(server.ports, [Incoming("m1", guard, "r", 1)])
    assert server.waiting(server.world.queues.inbox) == 0
    server.world.summaries.delete(execution)
    timers.fire(server.ports, [Incoming("m2", guard, "r", 1)])
    assert server.waiting(server.world.queues.inbox) == 1


def test_a_mover_that_dies_in_a_full_minute_has_dealt_with_what_came_before(server: Server) -> None:
    """Else a minute that takes longer than a function lives would never be over."""
    world = server.world
    world.far_timers.begin_cursor(world.now_ms // MINUTE_MS)
    for number in range(2000):
        world.far_timers.put(FarTimer(world.now_ms + MINUTE_MS + number, EXECUTION, number))
    looks: list[int] = []

    class Dying:
        def newest(self, _execution: ExecutionId) -> None:
            looks.append(1)
            if len(looks) > 550:
                raise Crash("the function's time is over")

    with pytest.raises(Crash):
        timers.move_far_timers(replace(world.plain, journal=cast(Journal, Dying())))
    assert len(world.far_timers.all()) <= 1500


def test_the_mover_looks_at_a_thousand_heads_a_run_at_most(server: Server) -> None:
    world = server.world
    world.far_timers.begin_cursor(world.now_ms // MINUTE_MS)
    for number in range(1500):
        world.far_timers.put(FarTimer(world.now_ms + MINUTE_MS + number, EXECUTION, number))
    assert timers.move_far_timers(server.ports) == 500  # of no execution: what it does not look at, it sends
