"""DECISION at work: as SWITCH, but for what Conductor did differently before it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider.known import ScriptResult


def decision(**fields: Any) -> Json:
    return {
        "name": "s",
        "taskReferenceName": "s",
        "type": "DECISION",
        "inputParameters": {"by": "${workflow.input.by}"},
        "decisionCases": {"x": [simple("x")], "1": [simple("one")], "none": [], "null": [simple("null")]},
        "defaultCase": [simple("d")],
        **fields,
    }


@pytest.mark.parametrize(("value", "taken"), [("x", "x"), (1, "one"), ("none", "d"), ("else", "d"), (None, "null")])
def test_a_parameter_chooses_the_case_and_an_empty_list_is_none(value: Any, taken: str) -> None:
    play = Play(decision(caseValueParam="by"), task_input={"by": value})
    assert play.enqueued == [taken]


def test_the_script_counts_where_both_are_given() -> None:
    play = Play(decision(caseValueParam="by", caseExpression="$.by"), task_input={"by": 1}, scripts=lambda script: ScriptResult("x"))
    assert play.enqueued == ["x"]


def test_only_the_case_is_in_its_input() -> None:
    task = Play(decision(caseValueParam="by"), task_input={"by": "x"}).task("s")
    assert (task.input, task.output) == ({"case": "x", "hasChildren": "true"}, {"caseOutput": ["x"]})


def test_without_a_branch_the_flow_goes_on_behind_it() -> None:
    play = Play(decision(caseValueParam="by", defaultCase=[]), simple("after"), task_input={"by": "none"})
    assert (play.enqueued, play.task("s").input) == (["after"], {"case": "none"})


@pytest.mark.parametrize("is_optional", [False, True])
def test_a_script_that_fails_ends_the_execution_without_a_task(is_optional: bool) -> None:
    play = Play(decision(caseExpression="$.v.x.y", optional=is_optional), scripts=lambda script: ScriptResult(error="no"))
    assert (play.status, play.head.reason, play.shape) == ("FAILED", "Error while evaluating script: $.v.x.y", [])
