"""What is reported of a task, and what its missed deadlines mean."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import BEGIN_MS, Play, simple

from batuta_core.decider.on_task import LOST_LEASES_MAX
from batuta_core.decider.timeout import DELAY_MAX_MS, LEASE_MS, RESEND_MS
from batuta_core.model.command import EnqueueTask, ReturnPermit
from batuta_core.model.event import (
    QueueMade,
    TaskDeadLettered,
    TaskHandedBack,
    TaskHeartbeat,
    TaskLimited,
    TaskStarted,
    TaskUndeliverable,
    TaskUpdated,
    TimerFired,
)
from batuta_core.model.execution import REASON_MAX_CHARS, TaskStatus
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Mark

IN_PROGRESS = TaskStatus.IN_PROGRESS
FIRST = TaskPlace(1, 0)


def one(**definition: Any) -> Play:
    """One task ``a`` without retries and without limits but those said."""
    return Play(simple("a"), task_definitions=[{"name": "a", "retryCount": 0, "responseTimeoutSeconds": 0, **definition}])


# --- taken, heartbeats


def test_a_taken_task_is_in_progress_with_its_worker() -> None:
    play = one()
    play.now_ms += 5000
    play.decide(TaskStarted(place=FIRST, op="x", worker_id="wörker", started_ms=BEGIN_MS + 4000))
    task = play.task("a")
    assert (task.status, task.worker_id, task.poll_count, task.started_ms) == (IN_PROGRESS, "wörker", 1, BEGIN_MS + 4000)


def test_the_start_of_a_task_is_its_first() -> None:
    play = one()
    play.take("a")
    play.now_ms += 5000
    play.take("a")
    assert (play.task("a").started_ms, play.task("a").poll_count) == (BEGIN_MS, 2)


def test_late_news_that_an_sdk_worker_began_do_not_end_a_lease() -> None:
    play = one()
    play.take("a", is_leased=True)
    assert play.decide(TaskStarted(place=FIRST, op="late", worker_id="other")) is None
    assert play.task("a").worker_id == "me"


def test_a_heartbeat_begins_the_response_timeout_anew() -> None:
    play = one(responseTimeoutSeconds=60)
    play.take("a")
    play.now_ms += 50_000
    play.decide(TaskHeartbeat(place=FIRST, op="beat"))
    play.fire()  # of the first minute
    assert (play.status, play.now_ms - BEGIN_MS) == ("RUNNING", 60_000)
    play.fire()
    assert (play.status, play.now_ms - BEGIN_MS) == ("TIMED_OUT", 110_000)


def test_a_heartbeat_of_a_task_that_nobody_holds_changes_nothing() -> None:
    assert one().decide(TaskHeartbeat(place=FIRST, op="beat")) is None


# --- in progress: called again


def test_a_function_that_asks_to_be_called_again_is_sent_out_after_its_delay() -> None:
    play = one()
    play.take("a")
    play.update("a", IN_PROGRESS, output={"done": 1}, callback_after_s=30, worker_id="me")
    assert play.commands[:1] == (EnqueueTask(place=FIRST, ref="a", due_ms=BEGIN_MS + 30_000),)
    task = play.task("a")
    assert (task.status, task.callback_after_s, task.output, task.attempt) == (TaskStatus.SCHEDULED, 30, {"done": 1}, 1)
    play.update("a", output={"done": 2})
    assert (play.status, play.task("a").output) == ("COMPLETED", {"done": 2})


@pytest.mark.parametrize(("delay_s", "is_sent"), [(0, True), (DELAY_MAX_MS // 1000, True), (DELAY_MAX_MS // 1000 + 1, False)])
def test_a_callback_later_than_sqs_can_delay_waits_for_a_timer(delay_s: int, is_sent: bool) -> None:
    play = one()
    play.update("a", IN_PROGRESS, callback_after_s=delay_s)
    assert play.enqueued == (["a"] if is_sent else [])
    if not is_sent:
        assert play.head.mark == Mark(2, BEGIN_MS + 1000)
        play.fire()
        assert play.commands[:1] == (EnqueueTask(place=FIRST, ref="a", due_ms=BEGIN_MS + delay_s * 1000),)


def test_what_is_reported_of_an_earlier_call_comes_too_late() -> None:
    play = one()
    play.update("a", IN_PROGRESS, call=0)
    assert play.update("a", IN_PROGRESS, call=0) is None
    assert play.decide(TaskStarted(place=FIRST, op="x", call=0)) is None
    assert play.update("a", IN_PROGRESS, call=1) is not None


def test_the_end_of_an_earlier_call_is_still_the_end() -> None:
    play = one()
    play.update("a", IN_PROGRESS, call=0)
    play.update("a", call=0)
    assert play.status == "COMPLETED"


@pytest.mark.parametrize(
    ("is_merged", "output", "expected"),
    [
        (False, {"b": 2}, {"b": 2}),
        (False, None, {}),
        (True, {"b": 2}, {"a": 1, "b": 2}),
        (True, {"a": None}, {"a": None}),
        (True, None, {"a": 1}),
    ],
)
def test_an_output_replaces_the_one_before_or_joins_it(is_merged: bool, output: Any, expected: dict[str, Any]) -> None:
    play = one()
    play.update("a", IN_PROGRESS, output={"a": 1})
    play.update("a", output=output, is_merged=is_merged)
    assert play.task("a").output == expected


def test_a_short_tasks_result_says_when_it_began_and_who_ran_it() -> None:
    play = one()
    play.now_ms += 900
    play.update("a", worker_id="me", started_ms=BEGIN_MS + 500)
    task = play.task("a")
    assert (task.started_ms, task.ended_ms, task.poll_count, task.worker_id) == (BEGIN_MS + 500, BEGIN_MS + 900, 1, "me")


@pytest.mark.parametrize("text", ["x" * (REASON_MAX_CHARS + 1), "😀" * 600])
def test_a_reason_is_cut_where_conductor_cuts_it(text: str) -> None:
    play = one()
    play.fail("a", text)
    assert play.task("a").reason == text[:REASON_MAX_CHARS]


def test_logs_of_a_result_are_kept_with_the_task() -> None:
    play = one()
    play.update("a", IN_PROGRESS, logs=({"log": "one", "createdTime": 1},))
    play.update("a", logs=({"log": "two", "createdTime": 2},))
    assert [line["log"] for line in play.task("a").logs] == ["one", "two"]


# --- handed back, given up


def test_a_task_that_was_handed_back_waits_again_without_a_new_message() -> None:
    play = one()
    play.take("a")
    play.decide(TaskHandedBack(place=FIRST, op="back"))
    assert (play.task("a").status, play.enqueued) == (TaskStatus.SCHEDULED, [])


def test_a_late_hand_back_does_not_take_a_task_from_the_http_worker_that_has_it() -> None:
    play = one()
    play.take("a", is_leased=True)
    assert play.decide(TaskHandedBack(place=FIRST, op="back")) is None


def test_five_lost_leases_fail_an_attempt_and_the_retry_policy_rules() -> None:
    play = one(retryCount=1, retryDelaySeconds=0)
    play.decide(TaskDeadLettered(place=FIRST, op="x", receives=LOST_LEASES_MAX))
    first, second = play.tasks("a")
    assert (first.status, first.reason) == (TaskStatus.FAILED, "its workers died: 5 leases were lost by this attempt")
    assert (second.attempt, play.enqueued) == (2, ["a"])


def test_receives_that_were_hand_backs_are_no_lost_leases() -> None:
    play = one()
    for number in range(3):
        play.decide(TaskHandedBack(place=FIRST, op=f"back{number}"))
    play.decide(TaskDeadLettered(place=FIRST, op="x", receives=5))
    assert (play.status, play.enqueued, play.open("a").lost) == ("RUNNING", ["a"], 2)
    play.decide(TaskDeadLettered(place=FIRST, op="y", receives=2))
    assert play.open("a").lost == 4
    play.decide(TaskDeadLettered(place=FIRST, op="z", receives=1))
    assert play.status == "FAILED"


def test_a_repeated_hand_back_counts_once_and_takes_the_task_from_nobody() -> None:
    play = one()
    play.decide(TaskHandedBack(place=FIRST, op="back", send=0))
    play.take("a")
    assert play.decide(TaskHandedBack(place=FIRST, op="back", send=0)) is None
    assert play.task("a").status is TaskStatus.IN_PROGRESS
    play.decide(TaskDeadLettered(place=FIRST, op="x", receives=5, send=0))
    assert play.open("a").lost == 4


def test_a_repeated_dead_letter_counts_once() -> None:
    play = one()
    for number in range(5):
        play.decide(TaskHandedBack(place=FIRST, op=f"back{number}", send=0))
    play.decide(TaskDeadLettered(place=FIRST, op="x", receives=5, send=0))
    assert play.decide(TaskDeadLettered(place=FIRST, op="x", receives=5, send=0)) is None
    assert play.decide(TaskHandedBack(place=FIRST, op="late", send=0)) is None
    assert (play.status, play.open("a").lost, play.open("a").sends) == ("RUNNING", 0, 1)


def test_hand_backs_do_not_grow_the_head_without_bound() -> None:
    play = one()
    records = [play.decide(TaskHandedBack(place=FIRST, op=f"back{number}", send=0)) for number in range(50)]
    assert sum(record is not None for record in records) == 10


def test_more_hand_backs_than_receives_do_not_make_up_for_lost_leases() -> None:
    play = one()
    play.decide(TaskDeadLettered(place=FIRST, op="x", receives=4))
    for number in range(3):
        play.decide(TaskHandedBack(place=FIRST, op=f"back{number}"))
    play.decide(TaskDeadLettered(place=FIRST, op="y", receives=1))
    assert play.open("a").lost == 4


def test_a_task_is_sent_once_for_each_time_that_its_queue_was_missing() -> None:
    play = one()
    play.decide(QueueMade(place=FIRST, op="x", send=0))
    assert play.open("a").sends == 1
    assert play.decide(QueueMade(place=FIRST, op="x", send=0)) is None  # a repeat
    play.decide(QueueMade(place=FIRST, op="y", send=1))
    assert play.open("a").sends == 2


def test_a_task_that_hears_of_its_types_first_limit_waits_for_the_gate_and_returns_its_permit() -> None:
    play = one(retryCount=1, retryDelaySeconds=0)
    record = play.decide(TaskLimited(place=FIRST, send=0, gate="a"))
    assert record is not None
    assert record.commands[0] == EnqueueTask(place=FIRST, ref="a")
    assert (play.open("a").gate, play.open("a").sends) == ("a", 1)
    assert play.decide(TaskLimited(place=FIRST, send=0, gate="a")) is None  # a repeat
    assert play.decide(TaskLimited(place=FIRST, send=1, gate="a")) is None
    ended = play.decide(TaskUpdated(place=FIRST, status=TaskStatus.FAILED, output=None))
    assert ended is not None
    assert [command for command in ended.commands if isinstance(command, ReturnPermit)] == [ReturnPermit(gate="a", place=FIRST, send=1)]


def test_a_delayed_task_that_hears_of_a_limit_stands_in_line_when_it_is_due() -> None:
    play = Play(simple("a", startDelay=60), task_definitions=[{"name": "a", "retryCount": 0}])
    assert play.open("a").sent_ms
    record = play.decide(TaskLimited(place=FIRST, send=0, gate="a"))
    assert record is not None
    assert not [command for command in record.commands if isinstance(command, EnqueueTask)]
    assert play.head.mark is not None
    play.now_ms = play.head.mark.due_ms
    fired = play.decide(TimerFired(timer=play.head.mark.timer, due_ms=play.head.mark.due_ms))
    assert fired is not None
    assert [command.ref for command in fired.commands if isinstance(command, EnqueueTask)] == ["a"]
    assert play.open("a").gate == "a"


def test_a_task_that_can_never_be_sent_fails_without_retries() -> None:
    play = one(retryCount=3)
    play.decide(TaskUndeliverable(place=FIRST, op="x", reason="no queue"))
    assert (play.status, play.shape) == ("FAILED", [("a", "FAILED_WITH_TERMINAL_ERROR")])
    assert "no queue" in (play.head.reason or "")


# --- missed deadlines


def test_a_worker_that_does_not_respond_loses_the_task_to_the_next_attempt() -> None:
    play = one(responseTimeoutSeconds=60, retryCount=1, retryDelaySeconds=0, timeoutPolicy="TIME_OUT_WF")
    play.take("a", is_leased=True)
    task_id = play.task_id("a")
    play.fire()
    assert play.shape == [("a", "TIMED_OUT"), ("a", "SCHEDULED")]
    assert play.tasks("a")[0].reason == f"responseTimeout: 60 exceeded for the taskId: {task_id} with Task Definition: a"
    assert play.enqueued == ["a"]


@pytest.mark.parametrize("policy", ["TIME_OUT_WF", "RETRY"])
@pytest.mark.parametrize("is_optional", [False, True])
def test_the_timeout_policy_says_whether_a_task_out_of_time_is_tried_again(policy: str, is_optional: bool) -> None:
    play = Play(
        simple("a", optional=is_optional),
        task_definitions=[
            {
                "name": "a",
                "timeoutSeconds": 10,
                "timeoutPolicy": policy,
                "retryCount": 1,
                "retryDelaySeconds": 0,
                "responseTimeoutSeconds": 0,
            }
        ],
    )
    play.take("a")
    play.fire()
    if policy == "TIME_OUT_WF":
        assert (play.status, play.shape) == ("TIMED_OUT", [("a", "TIMED_OUT")])  # at once, and optional does not help
        assert play.head.reason == (
            "Task timed out after 10 seconds. Timeout configured as 10 seconds. Timeout policy configured to TIME_OUT_WF"
        )
    else:
        assert play.shape == [("a", "TIMED_OUT"), ("a", "SCHEDULED")]


def test_a_task_out_of_time_that_is_only_noted_runs_on() -> None:
    play = one(timeoutSeconds=10, timeoutPolicy="ALERT_ONLY")
    play.take("a")
    assert play.head.mark == Mark(1, BEGIN_MS + RESEND_MS)
    play.now_ms += 3600_000
    play.update("a")
    assert play.status == "COMPLETED"


def test_a_task_that_nobody_takes_in_time_has_timed_out() -> None:
    play = one(pollTimeoutSeconds=10, timeoutPolicy="RETRY")
    play.fire()
    assert play.shape == [("a", "TIMED_OUT")]
    assert play.task("a").reason == (
        "Task poll timed out after 10 seconds. Poll timeout configured as 10 seconds. Timeout policy configured to RETRY"
    )


def test_the_total_timeout_counts_over_all_attempts() -> None:
    play = one(totalTimeoutSeconds=100, timeoutPolicy="RETRY", retryCount=5, retryDelaySeconds=60)
    play.fail("a")
    assert play.open("a").first_ms == BEGIN_MS
    play.fire()
    assert (play.now_ms - BEGIN_MS, play.status, play.shape) == (100_000, "TIMED_OUT", [("a", "FAILED"), ("a", "TIMED_OUT")])
    assert play.head.reason == (
        f"Task {play.task('a').task_id}/a exceeded total timeout of 100 seconds"
        " (elapsed 100 seconds across all attempts). No further retries will be attempted."
    )


def test_the_lease_of_a_task_without_a_response_timeout_ends_in_an_hour_and_brings_it_back() -> None:
    play = one()
    play.take("a", is_leased=True)
    play.fire()
    assert (play.now_ms - BEGIN_MS, play.enqueued, play.shape) == (LEASE_MS, ["a"], [("a", "SCHEDULED")])
    assert not play.open("a").is_leased


def test_a_message_that_gets_too_old_for_sqs_is_sent_again() -> None:
    play = one()
    play.fire()
    assert (play.now_ms - BEGIN_MS, play.enqueued) == (RESEND_MS, ["a"])
    play.fire()
    assert play.now_ms - BEGIN_MS == 2 * RESEND_MS


def test_a_delayed_start_is_part_of_the_message_and_of_the_task() -> None:
    play = Play(simple("a", startDelay=30))
    assert play.commands[:1] == (EnqueueTask(place=FIRST, ref="a", due_ms=BEGIN_MS + 30_000),)
    assert play.task("a").start_delay_s == 30


def test_a_start_delayed_by_a_day_is_sent_when_sqs_can_delay_the_rest() -> None:
    play = Play(simple("a", startDelay=86_400))
    assert play.enqueued == []
    play.fire()
    assert (play.now_ms - BEGIN_MS, play.enqueued) == (86_400_000 - DELAY_MAX_MS, ["a"])


def test_a_wait_ends_at_its_moment_and_the_flow_goes_on() -> None:
    play = Play({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": "1 hour"}}, simple("a"))
    assert (play.enqueued, play.shape) == ([], [("w", "IN_PROGRESS")])
    assert play.head.mark == Mark(1, BEGIN_MS + 3600_000)
    play.fire()
    assert (play.enqueued, play.task("w").status) == (["a"], TaskStatus.COMPLETED)


def test_a_wait_without_a_moment_waits_for_a_signal_and_no_timer() -> None:
    play = Play({"name": "w", "taskReferenceName": "w", "type": "WAIT"})
    assert play.head.mark is None
    play.update("w", IN_PROGRESS, output={"half": 1}, is_merged=True)
    assert (play.enqueued, play.task("w").status) == ([], IN_PROGRESS)
    play.update("w", output={"rest": 2}, is_merged=True)
    assert (play.status, play.folded().output) == ("COMPLETED", {"half": 1, "rest": 2})


@pytest.mark.parametrize("inputs", [{"duration": "0s"}, {"until": "1999-12-31"}])
def test_a_wait_whose_moment_has_passed_does_not_wait(inputs: dict[str, str]) -> None:
    play = Play({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": inputs})
    assert (play.status, play.shape) == ("COMPLETED", [("w", "COMPLETED")])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"duration": "soon"}, "Not valid duration: soon"),
        ({"until": "soon"}, "Invalid/Unsupported Wait Until format.  Provided: soon"),
        ({"duration": "1s", "until": "2030-01-01"}, "Both 'duration' and 'until' specified. Please provide only one input"),
        ({"duration": ["1s"]}, "Not valid duration: ['1s']"),
    ],
)
def test_a_wait_that_an_input_makes_unreadable_fails_with_the_reason(given: dict[str, Any], reason: str) -> None:
    inputs = {key: f"${{workflow.input.{key}}}" for key in ("duration", "until")}
    play = Play({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": inputs}, task_input=given)
    assert (play.status, play.task("w").reason) == ("FAILED", reason)


def test_a_users_own_type_is_a_workers_task_called_like_the_type() -> None:
    play = Play({"name": "n", "taskReferenceName": "r", "type": "MY_TYPE"})
    assert (play.task("r").task_type, play.graph.node("r").queue, play.enqueued) == ("MY_TYPE", "MY_TYPE", ["r"])
