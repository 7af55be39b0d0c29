"""TERMINATE at work."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple


def terminate(status: Any, **inputs: Any) -> Json:
    return {"name": "t", "taskReferenceName": "t", "type": "TERMINATE", "inputParameters": {"terminationStatus": status, **inputs}}


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
def test_it_ends_the_execution_with_its_status_and_nothing_behind_it_runs(status: str) -> None:
    play = Play(terminate(status), simple("never"))
    assert (play.status, play.shape, play.enqueued) == (status, [("t", "COMPLETED")], [])
    assert play.head.reason == f"Workflow is {status} by TERMINATE task: {play.task('t').task_id}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ({}, {}),
        (None, {}),
        ("text", {"output": "text"}),
        (0, {"output": 0}),
        ([1, "é"], {"output": [1, "é"]}),
    ],
)
def test_its_output_is_the_executions_whatever_the_definition_says(given: Any, expected: dict[str, Any]) -> None:
    play = Play(terminate("COMPLETED", workflowOutput="${workflow.input.o}"), outputParameters={"other": 1}, task_input={"o": given})
    assert (play.folded().output, play.task("t").output) == (expected, expected)


@pytest.mark.parametrize(("given", "shown"), [("enough", "enough"), (5, "5"), ({"a": 1}, "{'a': 1}")])
def test_its_reason_is_the_executions(given: Any, shown: str) -> None:
    assert Play(terminate("FAILED", terminationReason=given)).head.reason == shown


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED", "TIMED_OUT", "completed", "", None, 5])
def test_a_status_that_no_execution_ends_with_fails_the_task(status: Any) -> None:
    play = Play(terminate("${workflow.input.s}"), task_input={"s": status})
    assert (play.status, play.task("t").reason) == ("FAILED", "given termination status is not valid")


def test_inside_a_case_it_ends_the_whole_execution() -> None:
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param", "expression": "by",
        "inputParameters": {"by": "x"}, "decisionCases": {"x": [terminate("FAILED")]},
    }  # fmt: skip
    play = Play(switch, simple("never"))
    assert (play.status, play.shape) == ("FAILED", [("s", "COMPLETED"), ("t", "COMPLETED")])


def test_after_a_permissive_failure_its_own_status_counts() -> None:
    play = Play(simple("a", permissive=True, retryCount=0), terminate("COMPLETED", workflowOutput={"x": "${a.status}"}))
    play.fail("a")
    assert (play.status, play.folded().output) == ("COMPLETED", {"x": "FAILED"})
