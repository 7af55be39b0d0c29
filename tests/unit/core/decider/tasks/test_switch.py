"""SWITCH at work: which case is taken, and what of it can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider.known import ScriptResult
from batuta_core.decider.tasks.scripts import NO_PYTHON


def switch(cases: dict[str, list[Json]], default: list[Json] | None = None, **fields: Any) -> Json:
    return {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "by",
        "inputParameters": {"by": "${workflow.input.by}"},
        "decisionCases": cases,
        "defaultCase": default or [],
        **fields,
    }


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("x", ["x"]),
        ("y", ["d"]),
        ("X", ["d"]),
        ("", ["empty"]),
        (" x", ["d"]),
        (1, ["one"]),
        (True, ["true"]),
        ("😀", ["smile"]),
        (None, ["null"]),
        ("none", ["after"]),  # a case with an empty list is a case, not the default
    ],
)
def test_the_value_as_text_chooses_the_case(value: Any, taken: list[str]) -> None:
    cases = {
        "x": [simple("x")], "": [simple("empty")], "1": [simple("one")], "true": [simple("true")],
        "😀": [simple("smile")], "null": [simple("null")], "none": [],
    }  # fmt: skip
    play = Play(switch(cases, [simple("d")]), simple("after"), task_input={"by": value})
    assert play.enqueued == taken


def test_what_was_chosen_is_in_the_tasks_input_and_output() -> None:
    play = Play(switch({"x": [simple("x")]}), task_input={"by": "x"})
    task = play.task("s")
    assert task.input == {"by": "x", "case": "x", "hasChildren": "true"}
    assert task.output == {"evaluationResult": ["x"], "selectedCase": "x"}


def test_without_a_branch_the_flow_goes_on_behind_it() -> None:
    play = Play(switch({"x": [simple("x")]}), simple("after"), task_input={"by": "else"})
    assert (play.enqueued, play.task("s").input) == (["after"], {"by": "else", "case": "else"})


def test_a_branch_runs_to_its_end_and_meets_the_others_behind() -> None:
    play = Play(switch({"x": [simple("x1"), simple("x2")], "y": [simple("y")]}), simple("after"), task_input={"by": "x"})
    play.update("x1")
    assert play.enqueued == ["x2"]
    play.update("x2")
    assert play.enqueued == ["after"]
    play.update("after")
    assert (play.status, play.shape) == ("COMPLETED", [(ref, "COMPLETED") for ref in ("s", "x1", "x2", "after")])


def test_switches_within_switches_are_decided_in_one_go() -> None:
    inner = switch({"x": [simple("deep")]}, name="i", taskReferenceName="i")
    outer = switch({"x": [inner]}, name="o", taskReferenceName="o")
    play = Play(outer, simple("after"), task_input={"by": "x"})
    assert (len(play.records), play.enqueued) == (1, ["deep"])
    play.update("deep")
    assert play.enqueued == ["after"]


def test_the_first_task_of_a_branch_does_not_see_what_chose_it_and_the_second_does() -> None:
    reading = {"case": "${s.output.selectedCase}"}
    branch = [simple("x1", inputParameters=reading), simple("x2", inputParameters=reading)]
    play = Play(switch({"x": branch}), task_input={"by": "x"})
    assert play.task("x1").input == {"case": None}
    play.update("x1")
    assert play.task("x2").input == {"case": "x"}


def test_a_switch_at_the_end_gives_the_execution_its_output() -> None:
    play = Play(switch({"x": [simple("x")]}), task_input={"by": "else"})
    assert (play.status, play.folded().output) == ("COMPLETED", {"evaluationResult": ["else"], "selectedCase": "else"})


@pytest.mark.parametrize("is_optional", [False, True])
@pytest.mark.parametrize(
    ("evaluator", "reason"),
    [("cobol", "No evaluator registered for type: cobol"), ("python", NO_PYTHON), ("", "No evaluator registered for type: ")],
)
def test_an_evaluator_that_nobody_knows_ends_the_execution_without_a_task(is_optional: bool, evaluator: str, reason: str) -> None:
    play = Play(switch({"x": [simple("x")]}, evaluatorType=evaluator, optional=is_optional), simple("after"))
    assert (play.status, play.head.reason, play.shape) == ("FAILED", reason, [])


@pytest.mark.parametrize("evaluator", ["javascript", "graaljs"])
@pytest.mark.parametrize(
    ("value", "taken"),
    [("x", "x"), (1, "one"), (1.5, "half"), (True, "true"), (None, "null"), ([1, None], "list"), ({"a": 1}, "map"), (2, "d")],
)
def test_a_script_chooses_the_case(evaluator: str, value: Any, taken: str) -> None:
    cases = {"x": "x", "1": "one", "1.5": "half", "true": "true", "null": "null", "[1, null]": "list", "{a=1}": "map"}
    play = Play(
        switch({case: [simple(ref)] for case, ref in cases.items()}, [simple("d")], evaluatorType=evaluator, expression="$.by + 1"),
        task_input={"by": 5},
        scripts=lambda script: ScriptResult(value),
    )
    assert play.enqueued == [taken]
    assert [(script.language, script.source, json.loads(script.input)) for script in play.ran] == [("javascript", "$.by + 1", {"by": 5})]


@pytest.mark.parametrize(
    ("fields", "status", "shape"),
    [
        ({}, "FAILED", [("s", "FAILED")]),
        ({"optional": True}, "RUNNING", [("s", "COMPLETED_WITH_ERRORS"), ("after", "SCHEDULED")]),
        ({"permissive": True}, "RUNNING", [("s", "FAILED"), ("after", "SCHEDULED")]),
        ({"retryCount": 3}, "FAILED", [("s", "FAILED")]),
    ],
)
def test_a_script_that_fails_fails_the_switch_and_is_not_tried_again(fields: Json, status: str, shape: list[tuple[str, str]]) -> None:
    task = switch({"x": [simple("x")]}, evaluatorType="javascript", expression="no", **fields)
    play = Play(task, simple("after"), scripts=lambda script: ScriptResult(error="no such thing"))
    assert (play.status, play.shape, play.task("s").reason) == (status, shape, "no such thing")


def test_a_failed_task_in_a_branch_is_tried_again_in_its_place() -> None:
    definition = {"name": "x", "retryCount": 1, "retryDelaySeconds": 0}
    play = Play(switch({"x": [simple("x")]}), simple("after"), task_input={"by": "x"}, task_definitions=[definition])
    play.fail("x")
    play.update("x")
    assert play.enqueued == ["after"]


def test_what_the_first_task_of_a_branch_does_not_see_a_join_behind_it_does() -> None:
    join = {"name": "x", "taskReferenceName": "x", "type": "EXCLUSIVE_JOIN", "joinOn": ["s"], "defaultExclusiveJoinTask": ["s"]}
    first = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE", "inputParameters": {"seen": "${s.output.selectedCase}"}}
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param", "expression": "k",
        "inputParameters": {"k": "1"}, "decisionCases": {"1": [first, join]},
    }  # fmt: skip
    play = Play(switch)
    assert (play.task("v").input, play.task("x").output) == ({"seen": None}, play.task("s").output)
