"""Which deadlines an open task has, and which of them a moment has passed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import BEGIN_MS, Play, simple

from batuta_core.decider.compile import Node
from batuta_core.decider.timeout import DELAY_MAX_MS, LATE_ATTEMPT_MS, LEASE_MS, LOOK_MS, RESEND_MS, Deadline, deadlines, earliest, missed
from batuta_core.model.event import NO_TIMER, TimerFired
from batuta_core.model.execution import TaskStatus
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import OpenTask

T = BEGIN_MS


def node(kind: str = "SIMPLE", /, **limits: Any) -> Node:
    """A task with these limits, in seconds, and no others."""
    definition = {"name": "t", "responseTimeoutSeconds": 0, "timeoutPolicy": "RETRY", **limits}
    return Play({**simple("t"), "type": kind}, task_definitions=[definition]).graph.node("t")


def task(**fields: Any) -> OpenTask:
    """Scheduled at T and put on its queue at once."""
    return OpenTask(ref="t", number=1, place=TaskPlace(1, 0), scheduled_ms=T, **{"sent_ms": T, **fields})


def held(**fields: Any) -> OpenTask:
    """Taken by a worker at T + 10."""
    return task(status=TaskStatus.IN_PROGRESS, started_ms=T + 10, updated_ms=T + 10, **fields)


def seen(open_task: OpenTask, of: Node) -> dict[Deadline, int]:
    """Each deadline by its distance from T."""
    return {due.kind: due.at_ms - T for due in deadlines(open_task, of)}


@pytest.mark.parametrize(
    ("open_task", "limits", "expected"),
    [
        (task(), {}, {Deadline.DELIVERY: RESEND_MS}),
        (task(), {"pollTimeoutSeconds": 5}, {Deadline.POLL: 5000, Deadline.DELIVERY: RESEND_MS}),
        (task(delay_s=7), {"pollTimeoutSeconds": 5}, {Deadline.POLL: 12_000, Deadline.DELIVERY: RESEND_MS}),
        (task(callback_s=7), {"pollTimeoutSeconds": 5}, {Deadline.POLL: 12_000, Deadline.DELIVERY: RESEND_MS}),
        (task(), {"timeoutSeconds": 5}, {Deadline.DELIVERY: RESEND_MS}),  # the time of an attempt begins with its start
        (task(started_ms=T + 10), {"timeoutSeconds": 5}, {Deadline.TASK: 5010, Deadline.DELIVERY: RESEND_MS}),  # and goes on
        (task(), {"totalTimeoutSeconds": 5}, {Deadline.TOTAL: 5000, Deadline.DELIVERY: RESEND_MS}),
        (task(first_ms=T - 4000), {"totalTimeoutSeconds": 5}, {Deadline.TOTAL: 1000, Deadline.DELIVERY: RESEND_MS}),
        (task(), {"responseTimeoutSeconds": 5}, {Deadline.DELIVERY: RESEND_MS}),  # nobody holds it
        (held(), {"responseTimeoutSeconds": 5}, {Deadline.RESPONSE: 5010}),
        (held(callback_s=3), {"responseTimeoutSeconds": 5}, {Deadline.RESPONSE: 8010}),
        (held(is_leased=True), {"responseTimeoutSeconds": 5}, {Deadline.RESPONSE: 5010}),
        (held(is_leased=True), {}, {Deadline.LEASE: 10 + LEASE_MS}),
        (held(), {}, {Deadline.DELIVERY: RESEND_MS}),  # an SDK worker's message lives no longer than SQS remembers
        (held(), {"pollTimeoutSeconds": 5}, {Deadline.DELIVERY: RESEND_MS}),
        (
            held(),
            {"timeoutSeconds": 5, "totalTimeoutSeconds": 60, "responseTimeoutSeconds": 3},
            {Deadline.TASK: 5010, Deadline.TOTAL: 60_000, Deadline.RESPONSE: 3010},
        ),
        (held(), {"timeoutSeconds": -5, "totalTimeoutSeconds": -5, "responseTimeoutSeconds": -5}, {Deadline.DELIVERY: RESEND_MS}),
    ],
)
def test_the_deadlines_of_a_workers_task(open_task: OpenTask, limits: dict[str, int], expected: dict[Deadline, int]) -> None:
    assert seen(open_task, node(**limits)) == expected


def test_what_would_only_be_noted_is_no_deadline_but_a_lost_worker_is() -> None:
    limits: dict[str, Any] = {"timeoutSeconds": 5, "totalTimeoutSeconds": 5, "pollTimeoutSeconds": 5, "responseTimeoutSeconds": 5}
    quiet = node(**limits, timeoutPolicy="ALERT_ONLY")
    assert seen(held(), quiet) == {Deadline.RESPONSE: 5010}
    assert seen(task(), quiet) == {Deadline.DELIVERY: RESEND_MS}


def test_what_is_due_later_than_sqs_delays_is_sent_when_it_can() -> None:
    later = task(sent_ms=0, due_ms=T + DELAY_MAX_MS + 60_000)
    assert seen(later, node()) == {Deadline.DELIVERY: 60_000}


def test_an_attempt_that_begins_behind_the_total_budget_gets_a_moment() -> None:
    late = task(due_ms=T + 9000, first_ms=T - 4000)
    assert seen(late, node(totalTimeoutSeconds=5))[Deadline.TOTAL] == 9000 + LATE_ATTEMPT_MS


@pytest.mark.parametrize("kind", ["WAIT", "HUMAN"])
def test_limits_of_what_no_worker_runs_are_looked_at_when_conductor_looks_or_somebody_asks(kind: str) -> None:
    of = node(kind, timeoutSeconds=2, responseTimeoutSeconds=1, totalTimeoutSeconds=5)
    assert seen(held(), of) == {Deadline.TASK: 2010 + LOOK_MS, Deadline.TOTAL: 5000 + LOOK_MS}
    assert seen(held(due_ms=T + 60_000), of)[Deadline.DUE] == 60_000
    assert missed(held(), of, T + 2010) == []
    assert missed(held(), of, T + 2010, is_asked=True) == [Deadline.TASK]


def wait(**limits: Any) -> Play:
    definition = {"name": "w", "responseTimeoutSeconds": 1, "timeoutSeconds": 2, "retryDelaySeconds": 3, **limits}
    return Play({**simple("w"), "type": "WAIT", "inputParameters": {"duration": "20s"}}, task_definitions=[definition])


def test_a_wait_that_is_over_its_limit_ends_the_execution_when_somebody_asks() -> None:
    play = wait(timeoutPolicy="TIME_OUT_WF", retryCount=0)
    play.now_ms += 1999
    assert play.decide(TimerFired(timer=NO_TIMER, due_ms=play.now_ms)) is None
    play.now_ms += 1
    play.decide(TimerFired(timer=NO_TIMER, due_ms=play.now_ms))
    assert (play.status, play.shape) == ("TIMED_OUT", [("w", "TIMED_OUT")])


def test_a_wait_that_is_over_its_limit_is_retried_without_a_worker() -> None:
    play = wait(timeoutPolicy="RETRY", retryCount=1, timeoutSeconds=2)
    play.now_ms += 2000
    play.decide(TimerFired(timer=NO_TIMER, due_ms=play.now_ms))
    assert (play.shape, play.enqueued) == ([("w", "TIMED_OUT"), ("w", "IN_PROGRESS")], [])
    assert play.open("w").due_ms == play.now_ms + 3000 + 20_000
    play.fire()  # that of the first attempt
    play.fire()
    assert (play.status, play.shape[-1]) == ("COMPLETED", ("w", "COMPLETED"))


def test_a_person_is_asked_again_without_a_worker() -> None:
    play = Play({**simple("h"), "type": "HUMAN"}, task_definitions=[{"name": "h", "retryCount": 1}])
    play.fail("h")
    assert (play.shape, play.enqueued, play.open("h").due_ms) == ([("h", "FAILED"), ("h", "IN_PROGRESS")], [], 0)


def test_a_deadline_is_passed_at_its_very_millisecond() -> None:
    of = node(responseTimeoutSeconds=5)
    assert missed(held(), of, T + 5009) == []
    assert missed(held(), of, T + 5010) == [Deadline.RESPONSE]


def test_of_several_passed_deadlines_the_most_serious_comes_first() -> None:
    of = node(responseTimeoutSeconds=1, timeoutSeconds=2, totalTimeoutSeconds=3)
    assert missed(held(), of, T + 60_000) == [Deadline.TOTAL, Deadline.TASK, Deadline.RESPONSE]
    assert earliest(held(), of) == T + 1010
