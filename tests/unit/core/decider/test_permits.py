"""Permits: how many are free, when they come back, and what a record says of them."""

from __future__ import annotations

import pytest
from tests.unit.core.decider.play import BEGIN_MS as T
from tests.unit.core.decider.play import EXECUTION, Play, simple

from batuta_core.decider import permits
from batuta_core.decider.permits import STARTS_MAX, free, wake_due_ms
from batuta_core.model.command import EnqueueTask, ReturnPermit
from batuta_core.model.event import (
    TaskDeadLettered,
    TaskHandedBack,
    TaskStarted,
    TaskUpdated,
    TimerFired,
    WorkflowRemoved,
    WorkflowTerminated,
)
from batuta_core.model.execution import TaskStatus
from batuta_core.model.gate import NO_LIMITS, Entry, GateState, Limits, PermitReturned
from batuta_core.model.place import TaskPlace

TWO = Limits(concurrent=2)
RATE = Limits(rate=2, window_s=10)
FIRST = TaskPlace(1, 0)


def entry(number: int) -> Entry:
    return Entry(T, EXECUTION, TaskPlace(number, 0), 0)


def let_in(count: int, limits: Limits, state: GateState = GateState(), now_ms: int = T) -> GateState:  # noqa: B008 - frozen
    return permits.admitted(state, [entry(number) for number in range(count)], limits, now_ms)


def said(state: GateState, number: int, limits: Limits, now_ms: int, *, started_ms: int = 0, is_over: bool = True) -> GateState:
    told = PermitReturned(gate="a", place=TaskPlace(number, 0), send=0, started_ms=started_ms, is_over=is_over)
    return permits.returned(state, entry(number).permit, told, limits, now_ms)


def test_without_limits_any_number_may_go_and_nothing_is_held() -> None:
    assert free(GateState(), NO_LIMITS, T) is None
    assert let_in(3, NO_LIMITS).held == {}


def test_a_permit_is_out_until_the_delivery_is_over() -> None:
    state = let_in(2, TWO)
    assert free(state, TWO, T) == 0
    assert free(said(state, 0, TWO, T + 5, is_over=False), TWO, T + 5) == 0
    state = said(state, 0, TWO, T + 5)
    assert free(state, TWO, T + 5) == 1
    assert said(state, 0, TWO, T + 6) == state, "a repeat returns nothing more"


def test_a_lowered_limit_is_no_debt() -> None:
    assert free(let_in(5, Limits(concurrent=5)), TWO, T) == 0


def test_a_rate_permit_is_out_until_a_window_after_the_start() -> None:
    state = said(let_in(1, RATE), 0, RATE, T + 60_000, started_ms=T + 30_000)
    assert free(state, RATE, T + 39_999) == 1
    assert free(state, RATE, T + 40_000) == 2


def test_what_lies_on_the_queue_has_not_started_however_long() -> None:
    assert free(let_in(2, RATE), RATE, T + 10**9) == 0


@pytest.mark.parametrize(
    ("started_ms", "counted_ms"),
    [(0, 60_000), (T - 5, 0), (T + 10**9, 60_000), (T + 7, 7)],
    ids=["unsaid", "before its admission", "in the future", "between"],
)
def test_a_worker_that_says_nothing_or_nonsense_started_as_late_as_it_may(started_ms: int, counted_ms: int) -> None:
    state = said(let_in(1, RATE), 0, RATE, T + 60_000, started_ms=started_ms)
    assert state.starts == ((T + counted_ms, 1),)


def test_a_start_that_was_said_counts_once() -> None:
    state = said(let_in(1, RATE), 0, RATE, T + 1000, started_ms=T, is_over=False)
    assert said(state, 0, RATE, T + 2000, started_ms=T).starts == ((T, 1),)


def test_many_starts_take_little_room_and_none_is_taken_for_an_earlier_one() -> None:
    wide = Limits(rate=1000, window_s=1000)
    state = GateState()
    for number in range(300):
        state = said(let_in_one(state, number, wide), number, wide, T + number, started_ms=T + number)
    assert len(state.starts) <= STARTS_MAX
    assert sum(count for _at, count in state.starts) == 300
    for part in range(0, 300, 50):
        assert sum(count for at, count in state.starts if at >= T + part) >= 300 - part


def let_in_one(state: GateState, number: int, limits: Limits) -> GateState:
    return permits.admitted(state, [entry(number)], limits, T)


def test_time_wakes_only_those_whom_time_lets_in() -> None:
    waiting = GateState(has_waiting=True)
    full = let_in(2, RATE, waiting)
    assert wake_due_ms(GateState(), RATE, T) == 0
    assert wake_due_ms(full, RATE, T) == 0, "a start has to be heard first"
    assert wake_due_ms(said(said(full, 0, RATE, T + 1), 1, RATE, T + 3), RATE, T + 4) == T + 10_001
    assert wake_due_ms(let_in(2, TWO, waiting), TWO, T) == 0
    assert wake_due_ms(waiting, TWO, T) == T, "room is left: the next turn goes on"


# --- what the decider makes of it


def limited(**fields: int) -> Play:
    definition = {"name": "a", "retryCount": 1, "retryDelaySeconds": 0, "responseTimeoutSeconds": 30, "concurrentExecLimit": 1, **fields}
    return Play(simple("a"), task_definitions=[definition])


def returns(play: Play) -> list[tuple[int, TaskPlace, bool]]:
    found = [command for command in play.records[-1].commands if isinstance(command, ReturnPermit)]
    assert play.records[-1].head.returned == tuple(found), "the head keeps what its record returned"
    assert {command.gate for command in found} <= {"a"}
    return [(command.send, command.place, command.is_over) for command in found]


def test_the_end_of_an_attempt_returns_its_permit_however_it_ends() -> None:
    for event in (
        TaskUpdated(place=FIRST, status=TaskStatus.COMPLETED, output={}),
        TaskUpdated(place=FIRST, status=TaskStatus.FAILED, output={}),
        TaskUpdated(place=FIRST, status=TaskStatus.IN_PROGRESS, output={}),
        TaskDeadLettered(place=FIRST, op="d", receives=1, send=0),
        TaskHandedBack(place=FIRST, op="g", send=0, is_gone=True),
        WorkflowTerminated(op="t"),
        WorkflowRemoved(op="r"),
    ):
        play = limited()
        assert returns(play) == []
        play.decide(event)
        assert returns(play) == [(0, FIRST, True)], event


def test_a_missed_response_returns_the_permit() -> None:
    play = limited()
    play.decide(TaskStarted(place=FIRST, op="s"))
    play.now_ms += 31_000
    play.decide(TimerFired(timer=2, due_ms=play.now_ms))
    assert returns(play) == [(0, FIRST, True)]


def test_a_start_is_said_only_where_starts_are_limited() -> None:
    play = limited()
    play.decide(TaskStarted(place=FIRST, op="s"))
    assert returns(play) == []
    play = limited(rateLimitPerFrequency=1)
    play.decide(TaskStarted(place=FIRST, op="s"))
    assert returns(play) == [(0, FIRST, False)]


def test_a_plain_hand_back_keeps_the_permit_since_its_message_stays() -> None:
    play = limited()
    play.decide(TaskHandedBack(place=FIRST, op="b", send=0))
    assert returns(play) == []


def test_the_next_record_drops_what_the_last_one_returned() -> None:
    play = limited()
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.IN_PROGRESS, output={}, call=0))
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.COMPLETED, output={}, call=1))
    assert returns(play) == [(1, FIRST, True)]


def test_a_start_before_this_delivery_was_that_of_an_earlier_one() -> None:
    play = limited(rateLimitPerFrequency=1)
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.IN_PROGRESS, output={}, started_ms=T + 1, call=0))
    assert [command.started_ms for command in play.records[-1].head.returned] == [T + 1]
    play.now_ms += 5000
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.IN_PROGRESS, output={}, call=1))
    play.now_ms += 5000
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.COMPLETED, output={}, call=2))
    assert [command.started_ms for command in play.records[-1].head.returned] == [0]


def test_a_task_that_waits_for_its_time_waits_without_a_permit() -> None:
    definition = {"name": "a", "concurrentExecLimit": 1}
    play = Play(simple("a", startDelay=5), task_definitions=[definition])
    assert not any(isinstance(command, EnqueueTask) for command in play.records[0].commands)
    play.now_ms += 5000
    play.decide(TimerFired(timer=1, due_ms=play.now_ms))
    assert any(isinstance(command, EnqueueTask) for command in play.records[1].commands)
    assert returns(play) == []


def test_a_task_without_limits_says_nothing_of_permits() -> None:
    play = Play(simple("a"), task_definitions=[{"name": "a"}])
    play.decide(TaskUpdated(place=FIRST, status=TaskStatus.COMPLETED, output={}))
    assert returns(play) == []
    assert b'"perm"' not in play.records[-1].to_json()
