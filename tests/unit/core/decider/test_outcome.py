"""What the end of a task means for the flow, and the end of the flow for the execution."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import BEGIN_MS, EXECUTION, Json, Play, simple

from batuta_core.decider.known import DefinitionName, FoundDefinition, NotStartable
from batuta_core.decider.outcome import FAILED_REFS_MAX, FAILURE_WORKFLOW_KEY
from batuta_core.decider.timeout import DELAY_MAX_MS
from batuta_core.model import ids
from batuta_core.model.command import EnqueueTask, StartFailureWorkflow, WriteSummary
from batuta_core.model.event import TaskUpdated, WorkflowRemoved, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.place import TaskPlace

FAILED, TERMINAL, CANCELED = TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.CANCELED


def tried(**definition: Any) -> Json:
    return {"name": "a", "retryCount": 2, "retryDelaySeconds": 0, "responseTimeoutSeconds": 0, **definition}


NO_RETRIES = tried(retryCount=0)

# --- another attempt


def test_a_failed_task_is_tried_again_as_often_as_its_definition_says() -> None:
    play = Play(simple("a"), task_definitions=[tried()])
    for _ in range(3):
        play.fail("a")
    assert (play.status, play.shape) == ("FAILED", [("a", "FAILED")] * 3)
    assert [task.attempt for task in play.tasks("a")] == [1, 2, 3]
    assert [task.is_retried for task in play.tasks("a")] == [True, True, False]
    assert play.head.reason == f"Task {play.task('a').task_id} failed with status: FAILED and reason: 'no luck'"
    assert play.folded().failed_refs == ["a"]


@pytest.mark.parametrize(
    ("own", "registered", "attempts"),
    [(0, 3, 1), (1, 0, 2), (None, 1, 2), (-1, 3, 1), (None, -1, 1)],
)
def test_a_tasks_own_retry_count_overrules_its_definitions(own: int | None, registered: int, attempts: int) -> None:
    fields = {} if own is None else {"retryCount": own}
    play = Play(simple("a", **fields), task_definitions=[tried(retryCount=registered)])
    while play.status == "RUNNING":
        play.fail("a")
    assert len(play.tasks("a")) == attempts


@pytest.mark.parametrize(
    ("logic", "due_s"),
    [("FIXED", [10, 20, 30]), ("LINEAR_BACKOFF", [20, 60, 120]), ("EXPONENTIAL_BACKOFF", [10, 30, 70])],
)
def test_attempts_are_put_off_as_the_retry_logic_says(logic: str, due_s: list[int]) -> None:
    definition = tried(retryCount=3, retryLogic=logic, retryDelaySeconds=10, backoffScaleFactor=2)
    play = Play(simple("a"), task_definitions=[definition])
    found = []
    for _ in range(3):
        play.fail("a")
        [command] = [command for command in play.commands if isinstance(command, EnqueueTask)]
        assert play.open("a").delay_s * 1000 == command.due_ms - play.now_ms
        play.now_ms = command.due_ms
        found.append((command.due_ms - BEGIN_MS) // 1000)
    assert found == due_s


def test_an_attempt_without_delay_is_due_at_once() -> None:
    play = Play(simple("a"), task_definitions=[tried()])
    play.fail("a")
    assert EnqueueTask(place=TaskPlace(2, 0), ref="a") in play.commands


def test_an_attempt_later_than_sqs_can_delay_waits_for_a_timer() -> None:
    play = Play(simple("a"), task_definitions=[tried(retryDelaySeconds=3600)])
    play.fail("a")
    assert play.enqueued == []
    play.fire()
    assert (play.enqueued, play.now_ms - BEGIN_MS) == (["a"], 3600_000 - DELAY_MAX_MS)


def test_jitter_puts_an_attempt_off_by_less_than_its_bound_the_same_at_every_repeat() -> None:
    plays = [Play(simple("a"), task_definitions=[tried(backoffJitterMs=5000)]) for _ in range(2)]
    for play in plays:
        play.fail("a")
    assert plays[0].open("a") == plays[1].open("a")
    assert 0 < plays[0].open("a").due_ms - BEGIN_MS <= 5000


def test_an_attempts_input_is_made_afresh_and_names_the_attempt() -> None:
    inputs = {"id": "${CPEWF_TASK_ID}", "n": "${a.retryCount}", "why": "${a.reasonForIncompletion}"}
    play = Play(simple("a", inputParameters=inputs), task_definitions=[tried()])
    play.fail("a", "too hot")
    first, second = play.tasks("a")
    assert first.input == {"id": first.task_id, "n": None, "why": None}
    assert second.input == {"id": second.task_id, "n": 0, "why": "too hot"}
    assert (second.retried_task_id, second.reason, second.first_scheduled_ms) == (first.task_id, "too hot", BEGIN_MS)


def test_a_late_result_of_an_abandoned_attempt_changes_nothing() -> None:
    play = Play(simple("a"), task_definitions=[tried(responseTimeoutSeconds=60)])
    place = play.open("a").place
    play.take("a")
    play.fire()
    assert play.decide(TaskUpdated(place=place, status=TaskStatus.COMPLETED, output={"late": True})) is None
    play.update("a", output={"fresh": True})
    assert (play.status, play.folded().output) == ("COMPLETED", {"fresh": True})


def test_success_after_a_failure_leaves_no_reason_behind_but_the_task_stays_named() -> None:
    play = Play(simple("a"), task_definitions=[tried()])
    play.fail("a")
    play.update("a")
    assert (play.status, play.head.reason, play.task("a").reason) == ("COMPLETED", None, "")
    assert play.folded().failed_refs == ["a"]


@pytest.mark.parametrize(("status", "ends_as"), [(TERMINAL, "FAILED"), (CANCELED, "TERMINATED")])
def test_what_no_retry_can_mend_ends_the_execution_at_once(status: TaskStatus, ends_as: str) -> None:
    play = Play(simple("a"), task_definitions=[tried()])
    play.update("a", status, reason="stop")
    assert (play.status, play.shape) == (ends_as, [("a", status.value)])
    assert play.head.reason == f"Task {play.task('a').task_id} failed with status: {ends_as} and reason: 'stop'"


@pytest.mark.parametrize(("reason", "shown"), [(None, "null"), ("día '¡ñ!'\n\x00", "día '¡ñ!'\n\x00")])
def test_the_execution_repeats_the_tasks_reason_as_it_is(reason: str | None, shown: str) -> None:
    play = Play(simple("a"), task_definitions=[NO_RETRIES])
    play.fail("a", reason)
    assert (play.head.reason or "").endswith(f"reason: '{shown}'")


def test_the_output_of_a_failed_task_is_that_of_its_execution() -> None:
    play = Play(simple("a"), simple("b"), task_definitions=[tried(name="b", retryCount=0)])
    play.update("a", output={"from": "a"})
    play.update("b", FAILED, output={"from": "b"})
    assert (play.status, play.folded().output) == ("FAILED", {"from": "b"})


# --- on without it


@pytest.mark.parametrize("status", [FAILED, TERMINAL, CANCELED])
def test_an_optional_task_that_failed_is_completed_with_errors_and_the_flow_goes_on(status: TaskStatus) -> None:
    play = Play(
        simple("a", optional=True), simple("b", inputParameters={"x": "${a.output.n}", "s": "${a.status}"}), task_definitions=[NO_RETRIES]
    )
    play.update("a", status, output={"n": 5}, reason="no luck")
    assert play.task("b").input == {"x": 5, "s": "COMPLETED_WITH_ERRORS"}
    play.update("b")
    assert (play.status, play.head.reason, play.folded().failed_refs) == ("COMPLETED", None, [])


def test_an_optional_task_has_its_retries_first() -> None:
    play = Play(simple("a", optional=True), simple("b"), task_definitions=[tried(retryCount=1)])
    play.fail("a")
    play.fail("a")
    assert play.shape == [("a", "FAILED"), ("a", "COMPLETED_WITH_ERRORS"), ("b", "SCHEDULED")]


def test_a_permissive_task_that_failed_lets_the_flow_end_first_and_then_fails_it() -> None:
    play = Play(simple("a", permissive=True), simple("b", permissive=True), simple("c"), task_definitions=[NO_RETRIES, tried(name="b")])
    play.fail("a", "one")
    for _ in range(3):
        play.fail("b", "two")
    assert (play.status, play.enqueued) == ("RUNNING", ["c"])
    play.update("c", output={"n": 1})
    a, b = play.task("a").task_id, play.task("b").task_id
    assert (play.status, play.folded().output) == ("FAILED", {"n": 1})
    assert play.head.reason == (
        f"Task {a} failed with status: FAILED and reason: 'one'. Task {b} failed with status: FAILED and reason: 'two'"
    )


def test_optional_outweighs_permissive() -> None:
    play = Play(simple("a", optional=True, permissive=True), task_definitions=[NO_RETRIES])
    play.fail("a")
    assert (play.status, play.shape) == ("COMPLETED", [("a", "COMPLETED_WITH_ERRORS")])


def test_the_reason_of_very_many_permissive_failures_stays_short() -> None:
    names = [f"t{number}" for number in range(25)]
    definitions = [tried(name=name, retryCount=0) for name in names]
    play = Play(*(simple(name, permissive=True) for name in names), task_definitions=definitions)
    for name in names:
        play.fail(name)
    assert (play.status, (play.head.reason or "").count("failed with status")) == ("FAILED", 20)


def test_the_head_names_so_many_failed_tasks_and_the_folded_execution_all() -> None:
    names = [f"t{number}" for number in range(FAILED_REFS_MAX + 5)]
    play = Play(*(simple(name, permissive=True, retryCount=0) for name in names))
    for name in names:
        play.fail(name)
    assert play.head.failed_refs == tuple(names[:FAILED_REFS_MAX])
    assert play.folded().failed_refs == names


# --- the failure workflow

WANTED = DefinitionName("mend", None)
FOUND = FoundDefinition("mend", 3, "hash-of-mend")
CHILD = ids.child_workflow_id(EXECUTION.workflow_id, 2, "failure")


def failing(**fields: Any) -> Play:
    fields = {"failureWorkflow": "mend", "definitions": {WANTED: FOUND}, **fields}
    return Play(simple("a"), task_definitions=[NO_RETRIES], **fields)


def test_a_failed_execution_starts_its_failure_workflow_and_says_which() -> None:
    play = failing()
    play.update("a", FAILED, output={"n": 1})
    start = StartFailureWorkflow(
        workflow_id=CHILD, definition="hash-of-mend", name="mend", version=3, failed_task_id=play.task("a").task_id
    )
    assert play.commands == (WriteSummary(), start)
    assert play.head.last == (WriteSummary(), start)
    assert play.folded().output == {"n": 1, FAILURE_WORKFLOW_KEY: CHILD}


def test_a_failure_workflow_that_cannot_start_is_said_in_the_output_and_stops_nothing() -> None:
    play = failing(definitions={WANTED: NotStartable("no such workflow")})
    play.fail("a")
    assert play.commands == (WriteSummary(),)
    assert play.folded().output == {FAILURE_WORKFLOW_KEY: "Error workflow mend failed to start.  reason: no such workflow"}


def test_a_completed_execution_starts_no_failure_workflow() -> None:
    play = failing()
    play.update("a")
    assert (play.asked, play.commands) == ([], (WriteSummary(),))


@pytest.mark.parametrize("is_wanted", [False, True])
def test_a_users_terminate_starts_it_only_when_asked_to(is_wanted: bool) -> None:
    play = failing()
    play.decide(WorkflowTerminated(op="stop", is_failure_workflow_wanted=is_wanted))
    assert any(isinstance(command, StartFailureWorkflow) for command in play.commands) == is_wanted


@pytest.mark.parametrize(
    ("text", "task_input", "name"),
    [
        ("$workflow.input.handler", {"handler": "mend"}, "mend"),
        ("$workflow.input.handler.more", {"handler": "mend"}, "mend"),
        ("$workflow.input.handler", {}, ""),
        ("$workflow.input.handler", {"handler": 5}, ""),
        ("$workflow.input.handler", {"handler": ""}, ""),
        ("$workflow", {"workflow": "mend"}, ""),
        ("", {}, ""),
    ],
)
def test_the_failure_workflows_name_may_lie_in_the_input(text: str, task_input: dict[str, Any], name: str) -> None:
    play = failing(failureWorkflow=text, task_input=task_input)
    play.fail("a")
    assert [command.name for command in play.commands if isinstance(command, StartFailureWorkflow)] == ([name] if name else [])


def test_a_failure_workflow_may_be_pinned_to_a_version() -> None:
    pinned = DefinitionName("mend", 2)
    play = failing(failureWorkflowVersion=2, definitions={pinned: FoundDefinition("mend", 2, "h2")})
    play.fail("a")
    assert [needs.definitions for needs in play.asked] == [frozenset({pinned})]


def test_whoever_ends_an_ended_execution_again_keeps_its_failure_workflow_open() -> None:
    play = failing()
    play.fail("a")
    [start] = [command for command in play.commands if isinstance(command, StartFailureWorkflow)]
    play.decide(WorkflowTerminated(op="stop"))
    assert list(play.head.last) == [WriteSummary(), start]
    play.decide(WorkflowRemoved(op="remove"))
    assert list(play.head.last) == [start]
