"""The flow of an execution, from one decision to the next: what begins, what is read, which timer stands, when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.decider.play import BEGIN_MS, EXECUTION, Play, simple

from batuta_core.decider.decide import MARK_OVERDUE_MS, OWN_RECORDS_PER_MINUTE_MAX, Decision, decide
from batuta_core.decider.known import Known, Needs
from batuta_core.decider.outcome import PURGE_AFTER_MS
from batuta_core.decider.timeout import RESEND_MS
from batuta_core.model.command import ArmTimer, Purge, WriteSummary
from batuta_core.model.event import TaskUpdated, TimerFired, WorkflowBroken, WorkflowRemoved, WorkflowStarted, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Mark

REMOVED = WorkflowRemoved(op="remove")
TERMINATED = WorkflowTerminated(op="stop", reason="enough")

# --- the line


def test_a_line_of_tasks_runs_one_after_the_other_and_hands_on_outputs() -> None:
    play = Play(simple("a"), simple("b", inputParameters={"got": "${a.output.n}", "given": "${workflow.input.x}"}), task_input={"x": "é"})
    assert (play.enqueued, play.status) == (["a"], "RUNNING")
    play.update("a", output={"n": 7})
    assert (play.enqueued, play.task("b").input) == (["b"], {"got": 7, "given": "é"})
    play.update("b", output={"last": True})
    assert (play.enqueued, play.status, play.folded().output) == ([], "COMPLETED", {"last": True})
    assert play.shape == [("a", "COMPLETED"), ("b", "COMPLETED")]


def test_an_execution_without_outside_work_ends_in_its_first_record() -> None:
    play = Play({"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE", "inputParameters": {"x": 1}})
    assert (len(play.records), play.status, play.folded().variables) == (1, "COMPLETED", {"x": 1})


def test_the_same_decision_comes_out_of_the_same_arguments() -> None:
    play = Play(simple("a"), task_definitions=[{"name": "a", "backoffJitterMs": 60_000}])
    event = TaskUpdated(place=play.open("a").place, status=TaskStatus.FAILED)
    arguments: tuple[Any, ...] = (play.graph, EXECUTION, play.head, 1, [event], Known(records={1: play.records[0]}), play.now_ms)
    assert decide(*arguments) == decide(*arguments)


def test_several_events_make_one_record() -> None:
    play = Play(simple("a"), simple("b"))
    place = play.open("a").place
    record = play.decide(TaskUpdated(place=place, status=TaskStatus.COMPLETED), TERMINATED)
    assert record is not None
    assert (record.seq, len(record.events), play.status) == (2, 2, "TERMINATED")
    assert play.shape == [("a", "COMPLETED"), ("b", "CANCELED")]


def test_of_a_batch_only_what_did_something_is_written() -> None:
    play = Play(simple("a"), simple("b"))
    place = play.open("a").place
    first = TaskUpdated(place=place, status=TaskStatus.COMPLETED, output={"first": 1})
    record = play.decide(TimerFired(timer=9, due_ms=1), first, TaskUpdated(place=place, status=TaskStatus.FAILED))
    assert record is not None
    assert record.events == (first,)
    assert play.task("a").output == {"first": 1}


def test_an_execution_begins_with_its_start_and_with_nothing_else() -> None:
    graph = Play(simple("a")).graph
    with pytest.raises(ValueError, match="begins with WorkflowTerminated"):
        decide(graph, EXECUTION, None, 0, [TERMINATED], Known(), BEGIN_MS)


def test_a_repeated_start_changes_nothing() -> None:
    play = Play(simple("a"))
    assert play.decide(*play.records[0].events) is None


@pytest.mark.parametrize("place", [TaskPlace(1, 1), TaskPlace(2, 0), TaskPlace(0, 0), TaskPlace(-1, -1)])
def test_a_result_of_a_task_that_never_was_changes_nothing(place: TaskPlace) -> None:
    assert Play(simple("a")).decide(TaskUpdated(place=place, status=TaskStatus.COMPLETED)) is None


def test_the_first_result_of_a_task_wins() -> None:
    play = Play(simple("a"))
    place = play.open("a").place
    play.update("a", output={"n": 1})
    assert play.decide(TaskUpdated(place=place, status=TaskStatus.FAILED, output={"n": 2})) is None
    assert (play.status, play.task("a").output) == ("COMPLETED", {"n": 1})


# --- the input


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),  # an empty input stays empty (recorded)
        ({"x": 1}, {"x": 1, "y": "default"}),
        ({"x": 1, "y": None}, {"x": 1, "y": "default"}),
        ({"y": False}, {"x": {"deep": [1]}, "y": False}),
        ({"y": 0, "x": ""}, {"x": "", "y": 0}),
        ({"z": 1}, {"x": {"deep": [1]}, "y": "default", "z": 1}),
    ],
)
def test_the_input_template_fills_what_is_absent_or_null(given: dict[str, Any], expected: dict[str, Any]) -> None:
    play = Play(simple("a"), task_input=given, inputTemplate={"x": {"deep": [1]}, "y": "default"})
    assert play.folded().input == expected


def test_the_template_of_a_task_definition_joins_its_input_and_nulls_take_it_raw() -> None:
    definition = {"name": "a", "inputTemplate": {"x": "${workflow.input.absent}", "y": "template", "z": "${workflow.input.n}"}}
    play = Play(simple("a", inputParameters={"y": "own"}), task_definitions=[definition], task_input={"n": 5})
    assert play.task("a").input == {"x": "${workflow.input.absent}", "y": "own", "z": 5}


def test_an_input_that_expressions_blow_up_fails_the_task_at_once() -> None:
    play = Play(simple("a", inputParameters={str(n): "${workflow.input.x}" for n in range(6)}), task_input={"x": "m" * (1 << 20)})
    assert (play.status, play.task("a").status) == ("FAILED", TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    assert f"the input of a has more than {PAYLOAD_MAX_BYTES} bytes" in (play.head.reason or "")


def test_reference_names_of_any_script_can_be_read() -> None:
    play = Play(simple("задача-1"), simple("b", inputParameters={"x": "${задача-1.output.ключ}"}))
    play.update("задача-1", output={"ключ": "😀\x00"})
    assert play.task("b").input == {"x": "😀\x00"}


# --- the output


def test_without_output_parameters_the_last_scheduled_task_says_the_output() -> None:
    play = Play(simple("a"), simple("b"))
    play.update("a", output={"from": "a"})
    play.update("b")
    assert play.folded().output == {}


def test_output_parameters_read_tasks_variables_and_input() -> None:
    parameters = {"n": "${a.output.n}", "v": "${workflow.variables.v}", "i": "${workflow.input.i}", "gone": "${b.output}"}
    play = Play(simple("a"), outputParameters=parameters, variables={"v": [1]}, task_input={"i": 2})
    play.update("a", output={"n": 1})
    assert play.folded().output == {"n": 1, "v": [1], "i": 2, "gone": None}


def test_an_output_that_expressions_blow_up_says_so_and_the_execution_ends() -> None:
    play = Play(simple("a"), outputParameters={str(n): "${workflow.input.x}" for n in range(6)}, task_input={"x": "m" * (1 << 20)})
    play.update("a")
    assert (play.status, play.folded().output) == ("COMPLETED", {"error": f"the output has more than {PAYLOAD_MAX_BYTES} bytes"})


# --- what the decider asks for


def test_the_next_step_of_a_line_asks_for_nothing_but_what_it_reads() -> None:
    play = Play(simple("a"), simple("b", inputParameters={"x": "${a.output}"}), simple("c", inputParameters={"x": "${workflow.input}"}))
    play.update("a")
    assert play.asked == []
    play.update("b")
    assert play.asked == [Needs(records=frozenset({1}))]


def test_all_records_that_an_input_reads_are_asked_for_at_once() -> None:
    reading = {"x": "${a.output.n}", "y": "${b.output.n}", "z": "${workflow.input}"}
    play = Play(simple("a"), simple("b"), simple("c"), simple("d", inputParameters=reading))
    for number, ref in enumerate("abc"):
        play.update(ref, output={"n": number})
    assert play.asked == [Needs(records=frozenset({1, 2}))]  # the newest is at hand
    assert play.task("d").input == {"x": 0, "y": 1, "z": {}}


def test_a_large_payload_is_asked_for_where_it_is_read_and_only_there() -> None:
    play = Play(simple("a"), simple("b"), simple("c", inputParameters={"x": "${a.output.n}"}))
    ref = PayloadRef("key", 99_999)
    play.update("a", output=ref)
    head, newest = play.head, play.records[-1]
    event = TaskUpdated(place=play.open("b").place, status=TaskStatus.COMPLETED)
    arguments = (play.graph, EXECUTION, head, 2, [event])
    assert decide(*arguments, Known(records={2: newest}), BEGIN_MS) == Needs(payloads=frozenset({ref}))
    answer = decide(*arguments, Known(records={2: newest}, payloads={"key": {"n": 5}}), BEGIN_MS)
    assert isinstance(answer, Decision)
    assert answer.record is not None
    assert [change.input for change in answer.record.changes if change.is_new] == [{"x": 5}]


def test_the_head_keeps_of_ended_tasks_what_something_ahead_may_read() -> None:
    play = Play(simple("a"), simple("b"), simple("c", inputParameters={"x": "${a.output}"}), simple("d"))
    for ref, kept in (("a", {"a"}), ("b", {"a"}), ("c", set())):
        play.update(ref)
        assert set(play.head.ended) == kept, ref


def test_where_an_expression_computes_what_it_reads_everything_is_kept() -> None:
    play = Play(
        simple("a"), simple("b"), simple("c"), outputParameters={"x": "${${workflow.input.which}.output.n}"}, task_input={"which": "a"}
    )
    play.update("a", output={"n": 5})
    play.update("b")
    assert set(play.head.ended) == {"a", "b"}
    play.update("c")
    assert play.folded().output == {"x": 5}


def test_a_long_line_does_not_grow_the_head() -> None:
    play = Play(*(simple(f"t{number}") for number in range(60)))
    sizes = []
    for number in range(59):
        play.update(f"t{number}", output={"n": "x" * 100})
        sizes.append(len(str(play.head.to_dict())))
    assert sizes[-1] <= sizes[10] + 10


# --- the mark


def test_the_mark_is_armed_for_the_earliest_deadline_and_moves_only_forward_in_time() -> None:
    tight, loose = {"name": "a", "responseTimeoutSeconds": 60}, {"name": "b", "responseTimeoutSeconds": 600, "retryCount": 0}
    play = Play(simple("a"), simple("b"), task_definitions=[tight, loose])
    play.take("a")
    mark = Mark(2, BEGIN_MS + 60_000)
    assert play.head.mark == mark
    assert ArmTimer(timer=2, due_ms=mark.due_ms) in play.commands
    play.update("a")
    play.take("b")
    assert play.head.mark == mark  # the earlier one stands; when it fires there is nothing to miss, and it is armed anew
    record = play.fire()
    assert record is not None
    assert record.changes == ()
    assert play.head.mark == Mark(5, BEGIN_MS + 600_000)


def test_the_firing_of_the_mark_makes_a_record_and_any_other_firing_none() -> None:
    play = Play(simple("a"))
    mark = play.head.mark
    assert mark == Mark(1, BEGIN_MS + RESEND_MS)
    assert play.decide(TimerFired(timer=77, due_ms=BEGIN_MS + 1000)) is None
    assert play.decide(TimerFired(timer=1, due_ms=BEGIN_MS + 1000)) is not None
    assert play.head.mark == Mark(2, BEGIN_MS + RESEND_MS)
    assert play.decide(TimerFired(timer=1, due_ms=BEGIN_MS + 1000)) is None  # it has been overtaken


def test_a_firing_proves_its_time_to_a_slow_clock() -> None:
    play = Play(simple("a"), timeoutSeconds=20, timeoutPolicy="TIME_OUT_WF")
    play.now_ms -= 3600_000
    play.decide(TimerFired(timer=1, due_ms=BEGIN_MS + 20_000))
    assert (play.status, play.records[-1].at_ms) == ("TIMED_OUT", BEGIN_MS + 20_000)


def test_a_mark_that_is_long_overdue_counts_as_none() -> None:
    play = Play(simple("a"), simple("b"), task_definitions=[{"name": "a", "pollTimeoutSeconds": 60, "timeoutPolicy": "RETRY"}])
    play.now_ms += 60_000 + MARK_OVERDUE_MS
    play.take("a")
    assert play.head.mark == Mark(1, BEGIN_MS + 60_000)
    play.now_ms += 1
    play.update("a")
    assert play.head.mark == Mark(3, play.now_ms + RESEND_MS)


# --- the execution's own deadline


@pytest.mark.parametrize(("policy", "expected"), [("TIME_OUT_WF", "TIMED_OUT"), ("ALERT_ONLY", "RUNNING")])
def test_the_timeout_of_an_execution_ends_it_where_its_policy_says_so(policy: str, expected: str) -> None:
    play = Play(simple("a"), timeoutSeconds=20, timeoutPolicy=policy)
    play.now_ms += 25_000
    play.decide(TimerFired(timer=1, due_ms=BEGIN_MS + 20_000))
    assert play.status == expected
    if expected == "TIMED_OUT":
        assert play.head.reason == (
            "Workflow timed out after 25 seconds. Timeout configured as 20 seconds. Timeout policy configured to TIME_OUT_WF"
        )
        assert (play.shape, play.head.mark) == ([("a", "CANCELED")], None)


def test_no_clock_ends_an_execution_only_a_timer_does() -> None:
    play = Play(simple("a"), simple("b"), timeoutSeconds=20, timeoutPolicy="TIME_OUT_WF")
    play.now_ms += 60_000
    play.update("a")
    assert play.status == "RUNNING"
    play.fire()
    assert play.status == "TIMED_OUT"


# --- runaways


def fire_early(play: Play) -> None:
    """The armed timer fires although nothing is due."""
    assert play.head.mark is not None
    play.decide(TimerFired(timer=play.head.mark.timer, due_ms=play.now_ms))


def test_more_decisions_in_a_minute_than_anybody_asked_for_end_the_execution() -> None:
    play = Play(simple("a"), timeoutSeconds=86_400, timeoutPolicy="TIME_OUT_WF")
    minute = BEGIN_MS // 60_000
    for _ in range(5):
        fire_early(play)
    assert play.head.burst == (minute, 5)
    newest = play.records[-1]
    play.records[-1] = replace(newest, head=replace(newest.head, burst=(minute, OWN_RECORDS_PER_MINUTE_MAX - 1)))
    fire_early(play)
    assert play.status == "RUNNING"
    fire_early(play)
    assert (play.status, play.head.open) == ("FAILED", {})
    assert "runaway" in (play.head.reason or "")


def test_what_workers_send_is_no_runaway() -> None:
    play = Play(simple("a"))
    for _ in range(3):
        play.update("a", TaskStatus.IN_PROGRESS)
    assert play.head.burst == (0, 0)


def test_a_new_minute_counts_anew() -> None:
    play = Play(simple("a"), timeoutSeconds=86_400, timeoutPolicy="TIME_OUT_WF")
    fire_early(play)
    play.now_ms += 60_000
    fire_early(play)
    assert play.head.burst == (BEGIN_MS // 60_000 + 1, 1)


# --- ended, removed, broken


def test_terminating_cancels_what_is_open_and_keeps_its_reason() -> None:
    play = Play(simple("a"))
    play.take("a")
    play.decide(TERMINATED)
    assert (play.status, play.head.reason, play.shape, play.head.mark) == ("TERMINATED", "enough", [("a", "CANCELED")], None)
    assert play.decide(TERMINATED) is None


@pytest.mark.parametrize(("status", "expected"), [("COMPLETED", None), ("FAILED", "TERMINATED")])
def test_terminating_an_ended_execution_changes_a_failed_one_only(status: str, expected: str | None) -> None:
    play = Play(simple("a"), task_definitions=[{"name": "a", "retryCount": 0}])
    play.update("a", TaskStatus(status))
    record = play.decide(TERMINATED)
    assert (record.head.status.value if record else None) == expected


def test_a_broken_execution_fails_with_the_reason_and_is_broken_once() -> None:
    play = Play(simple("a"), outputParameters={"x": "${workflow.input.x}"}, task_input={"x": 1})
    broken = WorkflowBroken(op="x", reason="cannot be decided")
    play.decide(broken)
    assert (play.status, play.head.reason, play.folded().output) == ("FAILED", "cannot be decided", {})
    assert play.asked == []  # evaluating its output may be what breaks
    assert play.decide(broken) is None


def test_every_start_and_end_writes_the_summary_and_the_steps_between_do_not() -> None:
    play = Play(simple("a"), simple("b"))
    written = [WriteSummary() in play.commands]
    for ref in "ab":
        play.update(ref)
        written.append(WriteSummary() in play.commands)
    assert written == [True, False, True]


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_removed_execution_is_a_tombstone_that_is_purged_once(is_ended: bool) -> None:
    play = Play(simple("a"))
    if is_ended:
        play.update("a")
    play.decide(REMOVED)
    assert (play.status, play.head.open) == ("REMOVED", {})
    assert play.head.mark == Mark(len(play.records), play.now_ms + PURGE_AFTER_MS)
    assert play.decide(REMOVED) is None
    assert play.decide(TERMINATED) is None
    record = play.fire()
    assert record is not None
    assert (record.commands, record.head.mark) == ((Purge(),), None)


def test_a_finished_execution_is_removed_by_itself_when_its_retention_is_over() -> None:
    play = Play(simple("a"), started={"retention_s": 3600})
    play.now_ms += 5000
    play.update("a")
    assert play.head.mark == Mark(2, BEGIN_MS + 5000 + 3600_000)
    play.fire()
    assert (play.status, play.head.mark) == ("REMOVED", Mark(3, BEGIN_MS + 5000 + 3600_000 + PURGE_AFTER_MS))


def test_without_retention_an_ended_execution_is_kept() -> None:
    play = Play(simple("a"))
    play.update("a")
    assert play.head.mark is None


def test_what_a_start_says_travels_in_every_head() -> None:
    about = {"correlation_id": "c", "request_id": "r", "priority": 7, "task_to_domain": {"*": "d"}, "trigger": "SCHEDULE"}
    play = Play(simple("a"), simple("b", inputParameters={"c": "${workflow.correlationId}"}), started=about)
    play.update("a")
    kept = play.head.about
    assert (kept.correlation_id, kept.request_id, kept.priority, kept.task_to_domain, kept.trigger) == ("c", "r", 7, {"*": "d"}, "SCHEDULE")
    assert play.task("b").input == {"c": "c"}
    assert isinstance(play.records[0].events[0], WorkflowStarted)
