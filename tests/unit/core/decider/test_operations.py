"""What users' operations do to an execution, decided by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Play, simple

from batuta_core.decider.known import DefinitionName, FoundDefinition
from batuta_core.model.command import ArmTimer, StartFailureWorkflow, WriteSummary
from batuta_core.model.error import InvalidInput, OperationRefused
from batuta_core.model.event import Event, TaskUpdated, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.operation_event import (
    CallbacksReset,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.place import TaskPlace

PAUSE, RESUME, RETRY = WorkflowPaused(op="p"), WorkflowResumed(op="r"), WorkflowRetried(op="t")
TERMINATE = WorkflowTerminated(op="x")
ONCE = [{"name": name, "retryCount": 0, "responseTimeoutSeconds": 60} for name in "abc"]


def restart(play: Play) -> WorkflowRestarted:
    return WorkflowRestarted(op="s", definition=play.graph.hash)


# --- pause


def test_nothing_is_scheduled_in_a_pause_and_all_of_it_afterwards() -> None:
    play = Play(simple("a"), simple("b"), task_definitions=ONCE)
    play.decide(PAUSE)
    assert WriteSummary() in play.commands
    play.update("a", output={"n": 1})
    assert (play.status, play.shape, play.enqueued) == ("PAUSED", [("a", "COMPLETED")], [])
    play.now_ms += 5000
    play.decide(RESUME)
    assert (play.status, play.enqueued, play.head.last_retried_ms) == ("RUNNING", ["b"], play.now_ms)
    assert not play.head.todo


def test_the_last_task_completed_in_a_pause_ends_the_execution_when_it_is_over() -> None:
    play = Play(simple("a"), outputParameters={"n": "${a.output.n}"})
    play.decide(PAUSE)
    play.update("a", output={"n": 1})
    assert (play.status, dict(play.head.open)) == ("PAUSED", {})
    play.decide(RESUME)
    assert (play.status, play.records[-1].output) == ("COMPLETED", {"n": 1})


@pytest.mark.parametrize(
    ("fields", "retries", "wanted"),
    [
        ({}, 0, ("FAILED", [("a", "FAILED")])),
        ({}, 1, ("RUNNING", [("a", "FAILED"), ("a", "SCHEDULED")])),
        ({"optional": True}, 0, ("RUNNING", [("a", "COMPLETED_WITH_ERRORS"), ("b", "SCHEDULED")])),
        ({"permissive": True}, 0, ("RUNNING", [("a", "FAILED"), ("b", "SCHEDULED")])),
    ],
)
def test_a_failure_in_a_pause_is_judged_when_it_is_over(fields: dict[str, Any], retries: int, wanted: Any) -> None:
    definition = {"name": "a", "retryCount": retries, "retryDelaySeconds": 0}
    play = Play(simple("a", **fields), simple("b"), task_definitions=[definition])
    play.decide(PAUSE)
    play.update("a", TaskStatus.FAILED, {"e": 1}, reason="boom")
    assert (play.status, play.shape) == ("PAUSED", [("a", "FAILED")])
    play.decide(RESUME)
    assert (play.status, play.shape) == wanted
    first = play.tasks("a")[0]
    assert (first.output, first.reason) == ({"e": 1}, "boom")


def test_a_deadline_that_passes_in_a_pause_is_missed_after_it() -> None:
    play = Play(simple("a"), task_definitions=ONCE)
    play.take("a", is_leased=True)
    due_ms = play.open("a").deadline_ms
    play.decide(PAUSE)
    play.fire()
    assert (play.status, play.head.mark, play.commands) == ("PAUSED", None, ())
    play.now_ms = due_ms + 100_000
    play.decide(RESUME)
    assert [command for command in play.commands if isinstance(command, ArmTimer)] == [ArmTimer(timer=play.head.mark.timer, due_ms=due_ms)]  # type: ignore[union-attr]
    play.fire()
    assert play.status == "TIMED_OUT"


def test_the_workflows_timeout_stands_still_in_a_pause_and_counts_from_its_end() -> None:
    play = Play(simple("a"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF")
    play.decide(PAUSE)
    play.fire()
    assert play.status == "PAUSED"
    play.now_ms += 50_000
    play.decide(RESUME)
    assert play.head.mark is not None
    assert play.head.mark.due_ms == play.now_ms + 10_000


@pytest.mark.parametrize(("status", "event"), [("RUNNING", RESUME), ("PAUSED", PAUSE), ("RUNNING", RETRY), ("PAUSED", RETRY)])
def test_an_operation_that_does_not_apply_makes_no_record(status: str, event: Any) -> None:
    play = Play(simple("a"))
    if status == "PAUSED":
        play.decide(PAUSE)
    assert play.decide(event) is None


def test_a_retry_of_what_was_terminated_in_a_pause_takes_up_what_waited() -> None:
    play = Play(simple("a"), simple("b"), task_definitions=ONCE)
    play.decide(PAUSE)
    play.fail("a")
    play.decide(TERMINATE)
    play.decide(RETRY)
    assert (play.shape, play.enqueued) == ([("a", "FAILED"), ("a", "SCHEDULED")], ["a"])


# --- retry


def test_a_retry_ignores_the_limit_and_the_delay_and_reads_its_input_again() -> None:
    definition = {"name": "b", "retryCount": 0, "retryDelaySeconds": 60}
    play = Play(simple("a"), simple("b", inputParameters={"n": "${a.output.n}", "own": "${b.output.e}"}), task_definitions=[definition])
    play.update("a", output={"n": 7})
    play.update("b", TaskStatus.FAILED_WITH_TERMINAL_ERROR, {"e": 1})
    play.decide(RETRY)
    second = play.task("b")
    assert (second.attempt, second.input, second.start_delay_s, second.reason) == (2, {"n": 7, "own": 1}, 0, None)
    assert (play.open("b").due_ms, play.head.life, play.head.reason, play.head.ended_ms) == (0, play.records[-1].seq, None, 0)
    assert play.tasks("b")[0].is_retried
    assert play.head.failed_refs == ("b",)


def test_a_retry_of_a_permissive_task_runs_it_alone_with_the_input_that_it_had() -> None:
    play = Play(
        simple("z"), simple("a", permissive=True, inputParameters={"n": "${z.output.n}"}), simple("b"), simple("c"), task_definitions=ONCE
    )
    play.update("z", output={"n": 3})
    play.fail("a")
    play.update("b")
    play.update("c", output={"c": 1})
    assert play.status == "FAILED"
    play.decide(RETRY)
    assert (play.enqueued, play.task("a").input) == (["a"], {"n": 3})
    play.fail("a")
    play.decide(RETRY)
    play.update("a", output={"ok": 1})
    assert (play.status, play.records[-1].output) == ("COMPLETED", {"ok": 1})
    assert [ref for ref, _status in play.shape] == ["z", "a", "b", "c", "a", "a"]


def test_a_permissive_task_and_what_failed_behind_it_are_retried_together() -> None:
    play = Play(simple("a", permissive=True), simple("b"), simple("c"), task_definitions=ONCE)
    play.fail("a")
    play.fail("b")
    play.decide(RETRY)
    assert play.enqueued == ["a", "b"]
    play.update("b")
    assert play.enqueued == ["c"]
    play.update("a")
    assert play.enqueued == []
    play.update("c")
    assert play.status == "COMPLETED"


def test_there_is_nothing_to_retry() -> None:
    play = Play(simple("a"))
    play.update("a")
    with pytest.raises(OperationRefused, match="There are no retryable tasks"):
        play.decide(RETRY)


def test_a_retried_wait_waits_anew() -> None:
    play = Play({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": "5s"}}, simple("b"))
    play.decide(TERMINATE)
    play.now_ms += 60_000
    play.decide(RETRY)
    assert (play.task("w").attempt, play.open("w").due_ms) == (2, play.now_ms + 5000)
    play.fire()
    assert play.enqueued == ["b"]


# --- restart


def test_a_restart_begins_with_the_variables_of_before_and_shows_no_former_task() -> None:
    set_variable = {"name": "s", "taskReferenceName": "s", "type": "SET_VARIABLE", "inputParameters": {"v": 5}}
    play = Play(simple("a", inputParameters={"v": "${workflow.variables.v}"}), set_variable, variables={"v": 1})
    play.update("a", output={"x": 1})
    assert play.status == "COMPLETED"
    play.now_ms += 1000
    play.decide(restart(play))
    folded = play.folded()
    assert (play.shape, play.task("a").input, folded.output, folded.created_ms) == ([("a", "SCHEDULED")], {"v": 5}, None, play.now_ms)
    assert play.head.ended == {}


def test_results_of_the_life_before_a_restart_change_nothing() -> None:
    play = Play(simple("a"))
    place = play.open("a").place
    play.decide(TERMINATE)
    play.decide(restart(play))
    assert play.decide(TaskUpdated(place=place, status=TaskStatus.COMPLETED)) is None


# --- rerun


def line() -> Play:
    play = Play(simple("a"), simple("b", inputParameters={"n": "${a.output.n}"}), simple("c"), task_definitions=ONCE)
    play.update("a", output={"n": 1})
    return play


def place_of(play: Play, ref: str) -> TaskPlace:
    return next(
        TaskPlace(record.seq, nth)
        for record in reversed(play.records)
        for nth, change in enumerate(item for item in record.changes if item.is_new)
        if change.fields["ref"] == ref
    )


def test_a_rerun_from_a_task_keeps_id_and_number_and_tells_the_lives_apart() -> None:
    play = line()
    before, task_id, number = play.open("b").place, play.task_id("b"), play.open("b").number
    play.update("b", output={"x": 1})
    play.update("c")
    play.decide(WorkflowRerun(op="e", place=place_of(play, "b")))
    after = play.open("b")
    assert (play.task("b").task_id, after.number, after.place.named) == (task_id, number, before.named)
    assert after.place != before
    assert play.decide(TaskUpdated(place=before, status=TaskStatus.FAILED)) is None
    assert (play.shape, play.task("b").input, play.task("b").output) == ([("a", "COMPLETED"), ("b", "SCHEDULED")], {"n": 1}, {})
    play.update("b", output={"x": 2})
    play.update("c")
    assert (play.status, play.task("b").output) == ("COMPLETED", {"x": 2})


def test_a_rerun_of_a_rerun_takes_the_input_that_the_task_had_last() -> None:
    play = line()
    play.decide(TERMINATE)
    place = place_of(play, "b")
    play.decide(WorkflowRerun(op="e", place=place, task_input={"over": 1}))
    play.decide(TERMINATE)
    play.decide(WorkflowRerun(op="f", place=place))
    assert (play.task("b").input, play.open("b").place.rerun) == ({"over": 1}, play.records[-1].seq)


def test_a_rerun_goes_back_over_a_retry_and_what_ended_at_once() -> None:
    play = line()
    play.fail("b")
    play.decide(RETRY)
    play.fail("b")
    play.decide(WorkflowRerun(op="e", place=place_of(play, "b")))
    assert (play.shape, play.task("b").attempt) == ([("a", "COMPLETED"), ("b", "FAILED"), ("b", "SCHEDULED")], 2)
    play.update("b")
    assert play.enqueued == ["c"]


def test_a_rerun_of_a_local_task_decides_it_again_with_what_follows() -> None:
    switch = {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "w",
        "inputParameters": {"w": "${a.output.n}"},
        "decisionCases": {"1": [simple("b")], "2": [simple("c")]},
        "defaultCase": [],
    }
    play = Play(simple("a"), switch, task_definitions=ONCE)
    play.update("a", output={"n": 1})
    play.update("b")
    play.decide(WorkflowRerun(op="e", place=place_of(play, "s"), task_input={"w": 2}))
    assert (play.shape, play.enqueued) == ([("a", "COMPLETED"), ("s", "COMPLETED"), ("c", "SCHEDULED")], ["c"])
    assert play.task("s").ended_ms == play.now_ms


@pytest.mark.parametrize("place", [TaskPlace(99, 0), TaskPlace(1, 5), TaskPlace(0, 0)])
def test_a_rerun_from_what_never_was(place: TaskPlace) -> None:
    play = line()
    play.decide(TERMINATE)
    with pytest.raises(InvalidInput, match="not found"):
        play.decide(WorkflowRerun(op="e", place=place))


@pytest.mark.parametrize("event", ["restart", "rerun"])
def test_a_rerun_from_what_an_operation_took_out_of_view(event: str) -> None:
    play = line()
    play.decide(TERMINATE)
    gone = place_of(play, "b")
    play.decide(restart(play) if event == "restart" else WorkflowRerun(op="e", place=TaskPlace(1, 0)))
    play.decide(TERMINATE)
    with pytest.raises(InvalidInput, match="not found"):
        play.decide(WorkflowRerun(op="f", place=gone))


# --- the rest


def test_a_skipped_task_stays_skipped_over_a_rerun_but_not_over_a_restart() -> None:
    play = line()
    play.decide(TaskSkipped(op="k", ref="c"))
    play.update("b")
    assert (play.status, sorted(play.shape)) == ("COMPLETED", [("a", "COMPLETED"), ("b", "COMPLETED"), ("c", "SKIPPED")])
    play.decide(WorkflowRerun(op="e", place=place_of(play, "b")))
    play.update("b")
    assert (play.status, play.task("c").status.value) == ("COMPLETED", "SKIPPED")
    play.decide(restart(play))
    for ref in "abc":
        play.update(ref)
    assert play.shape == [("a", "COMPLETED"), ("b", "COMPLETED"), ("c", "COMPLETED")]


def test_variables_that_a_user_sets_are_read_by_what_comes() -> None:
    play = Play(simple("a"), simple("b", inputParameters={"v": "${workflow.variables.v}"}), variables={"v": 1, "w": 2})
    play.decide(VariablesUpdated(op="v", variables={"v": 9}))
    play.update("a")
    assert (play.task("b").input, play.folded().variables) == ({"v": 9}, {"v": 9, "w": 2})


def test_reset_callbacks_send_a_waiting_task_again_at_once() -> None:
    play = Play(simple("a"))
    assert play.decide(CallbacksReset(op="c")) is None
    play.update("a", TaskStatus.IN_PROGRESS, {}, callback_after_s=600)
    play.decide(CallbacksReset(op="c"))
    assert (play.enqueued, play.open("a").due_ms, play.task("a").callback_after_s, play.open("a").sends) == (["a"], 0, 0, 2)


@pytest.mark.parametrize("operation", ["retry", "restart", "rerun"])
def test_a_new_life_leaves_the_failure_workflow_of_the_old_one_to_the_door(operation: str) -> None:
    found = {DefinitionName("handler", None): FoundDefinition("handler", 1, "hash")}
    play = Play(simple("a"), task_definitions=ONCE, definitions=found, failureWorkflow="handler")
    play.fail("a")
    assert any(isinstance(command, StartFailureWorkflow) for command in play.head.last)
    events: dict[str, Event] = {"retry": RETRY, "restart": restart(play), "rerun": WorkflowRerun(op="e")}
    play.decide(events[operation])
    assert (play.head.last, play.status) == ((), "RUNNING")
