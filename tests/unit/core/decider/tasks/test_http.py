"""HTTP in the decider: an open task for a function of ours, ended by what that reports."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Play, simple

from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.timeout import SYSTEM_RESEND_MS
from batuta_core.engine.catalog import require_runnable, worker_types
from batuta_core.model.event import TaskDeadLettered
from batuta_core.model.execution import TaskStatus

REQUEST = {"uri": "http://h/${workflow.input.a}", "method": "GET"}
DEFINITION = {"name": "h", "responseTimeoutSeconds": 1, "timeoutSeconds": 0, "retryCount": 0}  # a response timeout is for workers


def http(**fields: Any) -> dict[str, Any]:
    return {"name": "h", "taskReferenceName": "h", "type": "HTTP", "inputParameters": {"http_request": REQUEST}, **fields}


def play(*tasks: dict[str, Any], definition: dict[str, Any] | None = None, **fields: Any) -> Play:
    return Play(*(tasks or (http(),)), task_definitions=[{**DEFINITION, **(definition or {})}], task_input={"a": 1}, **fields)


def dead(found: Play, send: int = 0) -> TaskDeadLettered:
    return TaskDeadLettered(place=found.open("h").place, op="dead", receives=5, send=send)


def test_it_runs_and_no_worker_serves_it() -> None:
    require_runnable([http()])
    assert worker_types({"tasks": [http(), simple("z")]}) == ["z"]
    assert task_type("HTTP").system_queue == "http"


def test_it_is_sent_at_once_with_its_input() -> None:
    found = play()
    assert found.enqueued == ["h"]
    assert found.task("h").input == {"asyncComplete": False, "http_request": {"uri": "http://h/1", "method": "GET"}}
    assert found.shape == [("h", "SCHEDULED")]


@pytest.mark.parametrize(
    ("fields", "is_async"),
    [
        ({"asyncComplete": True}, True),
        ({"inputParameters": {"uri": "x", "asyncComplete": True}}, True),
        ({"inputParameters": {"uri": "x", "asyncComplete": "yes"}}, False),
        ({"inputParameters": {"http_request": {"asyncComplete": True}}}, False),  # recorded
    ],
)
def test_its_input_says_whether_somebody_else_completes_it(fields: dict[str, Any], is_async: bool) -> None:
    assert play(http(**fields)).task("h").input["asyncComplete"] is is_async


def test_its_result_leads_on() -> None:
    found = play(http(), simple("z", inputParameters={"b": "${h.output.response.body}"}))
    found.update("h", output={"response": {"body": {"x": 1}}}, started_ms=found.now_ms + 5, call=0)
    task = found.task("h")
    assert (task.status, task.poll_count, task.started_ms) == (TaskStatus.COMPLETED, 1, found.now_ms + 5)
    assert found.task("z").input == {"b": {"x": 1}}


def test_without_a_task_definition_it_is_not_retried() -> None:
    found = Play(http(), task_input={"a": 1})
    found.fail("h")
    assert (found.status, found.shape) == ("FAILED", [("h", "FAILED")])


def test_a_retry_has_the_whole_input_and_keeps_the_reason() -> None:
    found = play(definition={"retryCount": 1, "retryDelaySeconds": 0})
    found.fail("h", "the server was away")
    assert found.enqueued == ["h"]
    assert found.task("h").input["asyncComplete"] is False
    found.update("h", output={})
    assert found.task("h").reason == "the server was away"  # recorded


def test_a_delay_is_a_timers_since_the_functions_queue_holds_nothing_back() -> None:
    found = play(http(startDelay=5))
    assert found.enqueued == []
    mark = found.head.mark
    assert mark is not None
    assert mark.due_ms == found.now_ms + 5000
    found.fire()
    assert found.enqueued == ["h"]
    assert found.open("h").sent_ms == found.now_ms
    assert found.task("h").callback_after_s == 5


def test_a_retrys_delay_is_a_timers_too() -> None:
    found = play(definition={"retryCount": 1, "retryDelaySeconds": 7})
    found.fail("h")
    assert found.enqueued == []
    found.fire()
    assert (found.now_ms - found.open("h").scheduled_ms, found.enqueued) == (7000, ["h"])


@pytest.mark.parametrize("flag", ["optional", "permissive"])
def test_a_failure_can_be_borne(flag: str) -> None:
    found = play(http(**{flag: True}), simple("z"))
    found.fail("h")
    assert found.enqueued == ["z"]


def test_async_complete_waits_for_somebody_without_a_deadline() -> None:
    found = play(http(asyncComplete=True), simple("z"))
    found.update("h", TaskStatus.IN_PROGRESS, {"response": {"statusCode": 202}}, started_ms=found.now_ms + 1, call=0)
    assert (found.open("h").status, found.open("h").deadline_ms, found.enqueued) == (TaskStatus.IN_PROGRESS, 0, [])
    assert found.fire() is not None  # the mark from before; it is not sent again
    assert (found.enqueued, found.head.mark) == ([], None)
    found.update("h", output={"extra": 1}, is_merged=True)
    assert found.task("h").output == {"response": {"statusCode": 202}, "extra": 1}
    assert found.enqueued == ["z"]


def test_of_a_request_made_twice_the_first_result_counts() -> None:
    """The second message was sent by a decider that died after the first."""
    found = play(http(asyncComplete=True))
    found.update("h", TaskStatus.IN_PROGRESS, {"response": {"n": 1}}, call=0)
    for status in (TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED, TaskStatus.FAILED):
        assert found.update("h", status, {"response": {"n": 2}}, call=0) is None
    assert found.task("h").output == {"response": {"n": 1}}
    assert found.update("h", TaskStatus.FAILED, {}) is not None  # but what a user says, who names no call, holds


def test_a_dead_letter_fails_the_attempt_and_the_retry_policy_rules() -> None:
    found = play(definition={"retryCount": 1, "retryDelaySeconds": 0})
    found.decide(dead(found))
    assert found.tasks("h")[0].reason == "the http function died while it ran this attempt"
    assert (found.shape, found.enqueued) == ([("h", "FAILED"), ("h", "SCHEDULED")], ["h"])


def test_a_dead_letter_after_its_result_changes_nothing() -> None:
    found = play(http(asyncComplete=True))
    found.update("h", TaskStatus.IN_PROGRESS, {}, call=0)
    assert found.decide(dead(found)) is None


def test_what_nobody_has_heard_of_is_sent_again_after_lambdas_queue_has_forgotten_it() -> None:
    found = play()
    mark = found.head.mark
    assert mark is not None
    assert mark.due_ms == found.now_ms + SYSTEM_RESEND_MS
    found.fire()
    assert (found.enqueued, found.shape) == (["h"], [("h", "SCHEDULED")])


@pytest.mark.parametrize(
    ("definition", "seconds"),
    [
        ({"timeoutSeconds": 0, "pollTimeoutSeconds": 9, "timeoutPolicy": "RETRY"}, 9),
        ({"totalTimeoutSeconds": 8, "timeoutPolicy": "TIME_OUT_WF"}, 8),
    ],
)
def test_limits_of_the_task_definition_hold(definition: dict[str, Any], seconds: int) -> None:
    found = play(definition={"retryCount": 0, **definition})
    found.fire()
    assert found.now_ms == found.task("h").scheduled_ms + seconds * 1000
    assert (found.status, found.shape) == ("TIMED_OUT", [("h", "TIMED_OUT")])


def test_an_asynchronous_one_has_its_time_out_but_no_response_timeout() -> None:
    found = play(http(asyncComplete=True), definition={"timeoutSeconds": 50, "retryCount": 0, "responseTimeoutSeconds": 1})
    found.update("h", TaskStatus.IN_PROGRESS, {}, started_ms=found.now_ms, call=0)
    assert found.open("h").deadline_ms == found.now_ms + 50_000
