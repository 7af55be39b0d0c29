"""INLINE, LAMBDA and JSON_JQ_TRANSFORM at work, with what their scripts give told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.core.decider.play import EXECUTION, Json, Play, simple

from batuta_core.decider.known import Known, Script, ScriptResult
from batuta_core.decider.step import SCRIPTS_MAX, VALUE_LARGE_BYTES, Step
from batuta_core.decider.tasks.scripts import ERROR_MAX_CHARS, NO_PYTHON
from batuta_core.model.command import ArmTimer, EnqueueTask
from batuta_core.model.event import TimerFired, WorkflowRemoved, WorkflowTerminated
from batuta_core.model.payload import PAYLOAD_MAX_BYTES

LATE = ScriptResult(error="Script not evaluated within 4 seconds, interrupted.", is_late=True)
BROKEN = ScriptResult(error="Error evaluating the script `Error: custom`")


def task(kind: str, ref: str = "i", **inputs: Any) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": inputs}


def inline(ref: str = "i", **inputs: Any) -> Json:
    return task("INLINE", ref, **{"evaluatorType": "javascript", "expression": "$.a", **inputs})


def always(result: ScriptResult) -> Callable[[Script], ScriptResult]:
    return lambda script: result


# --- INLINE


def test_the_script_sees_the_whole_input_and_its_value_is_the_result() -> None:
    play = Play(inline(a="${workflow.input.a}"), simple("after"), task_input={"a": 1}, scripts=always(ScriptResult({"k": [1]})))
    (script,) = play.ran
    assert (script.language, script.source) == ("javascript", "$.a")
    assert json.loads(script.input) == {"evaluatorType": "javascript", "expression": "$.a", "a": 1}
    assert (play.task("i").output, play.enqueued, len(play.records)) == ({"result": {"k": [1]}}, ["after"], 1)


def test_the_clock_and_the_seed_are_the_tasks_own() -> None:
    play = Play(inline("i"), inline("j"))
    assert [script.now_ms for script in play.ran] == [play.now_ms, play.now_ms]
    assert [script.seed for script in play.ran] == [play.task("i").task_id, play.task("j").task_id]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"expression": ""}, "Empty 'expression' in Inline task's input parameters. A non-empty String value must be provided."),
        ({"expression": None}, "Empty 'expression' in Inline task's input parameters. A non-empty String value must be provided."),
        ({"evaluatorType": " "}, "Empty 'evaluatorType' in INLINE task's input parameters. A non-empty String value must be provided."),
        ({"evaluatorType": "cobol"}, "Unknown evaluator 'cobol' in INLINE task."),
        ({"evaluatorType": "python"}, NO_PYTHON),
    ],
)
def test_what_cannot_be_evaluated_fails_for_good(inputs: Json, reason: str) -> None:
    play = Play(inline(**inputs), task_definitions=[{"name": "i", "retryCount": 3}])
    assert (play.ran, play.status, play.shape) == ([], "FAILED", [("i", "FAILED_WITH_TERMINAL_ERROR")])
    assert (play.task("i").reason, play.task("i").output, play.folded().output) == (reason, {"error": reason}, {"error": reason})


@pytest.mark.parametrize("inputs", [{}, {"evaluatorType": "graaljs"}])
def test_javascript_has_two_names_and_is_the_default(inputs: Json) -> None:
    play = Play(task("INLINE", expression="1", **inputs))
    assert [script.language for script in play.ran] == ["javascript"]


def test_a_parameter_may_be_the_value() -> None:
    play = Play(inline(evaluatorType="value-param", expression="a", a=[1]))
    assert (play.ran, play.task("i").output) == ([], {"result": [1]})


def test_a_script_that_fails_is_not_tried_again_and_one_that_was_late_is() -> None:
    definition = {"name": "i", "retryCount": 1, "retryDelaySeconds": 0}
    broken = Play(inline(), task_definitions=[definition], scripts=always(BROKEN))
    assert (broken.status, broken.shape) == ("FAILED", [("i", "FAILED_WITH_TERMINAL_ERROR")])
    late = Play(inline(), task_definitions=[definition], scripts=always(LATE))
    assert (late.status, late.shape) == ("RUNNING", [("i", "FAILED"), ("i", "SCHEDULED")])
    late.fire()
    assert (late.status, late.shape) == ("FAILED", [("i", "FAILED"), ("i", "FAILED")])


def test_an_optional_script_that_fails_lets_the_flow_go_on() -> None:
    play = Play({**inline(), "optional": True}, simple("after", inputParameters={"e": "${i.output.error}"}), scripts=always(BROKEN))
    assert (play.shape, play.task("after").input) == ([("i", "COMPLETED_WITH_ERRORS"), ("after", "SCHEDULED")], {"e": BROKEN.error})


def test_a_value_beyond_the_size_of_payloads_fails_the_task() -> None:
    play = Play(inline(), scripts=always(ScriptResult("x" * PAYLOAD_MAX_BYTES)))
    assert play.shape == [("i", "FAILED_WITH_TERMINAL_ERROR")]
    assert f"more than {PAYLOAD_MAX_BYTES} bytes" in (play.task("i").reason or "")


def test_a_long_reason_is_cut_before_it_gets_into_the_head() -> None:
    play = Play(inline(), scripts=always(ScriptResult(error="x" * 100_000)))
    assert len(play.head.reason or "") < ERROR_MAX_CHARS + 200
    assert len(play.task("i").reason or "") == ERROR_MAX_CHARS


# --- another attempt


def test_another_attempt_waits_for_its_time_and_nobodys_worker() -> None:
    results = iter([LATE, ScriptResult(7)])
    definition = {"name": "i", "retryCount": 1, "retryDelaySeconds": 3600}
    play = Play(
        inline(a="${workflow.input.a}"),
        simple("after"),
        task_input={"a": 1},
        task_definitions=[definition],
        scripts=lambda _: next(results),
    )
    assert not [command for command in play.commands if isinstance(command, EnqueueTask)]
    assert play.head.mark is not None
    assert play.head.mark.due_ms == play.now_ms + 3_600_000
    play.fire()
    assert (play.enqueued, play.shape) == (["after"], [("i", "FAILED"), ("i", "COMPLETED"), ("after", "SCHEDULED")])
    task_ = play.task("i")
    assert (task_.output, task_.started_ms, json.loads(play.ran[1].input)["a"]) == ({"result": 7}, play.now_ms, 1)
    assert play.ran[1].seed == task_.task_id


# --- LAMBDA


def test_a_lambda_is_the_body_of_a_function() -> None:
    play = Play(task("LAMBDA", scriptExpression="return $.a // that"))
    assert [script.source for script in play.ran] == ["function scriptFun(){return $.a // that\n} scriptFun();"]


@pytest.mark.parametrize("inputs", [{}, {"scriptExpression": " "}])
def test_a_lambda_without_a_script_fails(inputs: Json) -> None:
    play = Play(task("LAMBDA", **inputs))
    assert (play.ran, play.shape) == ([], [("i", "FAILED")])
    assert (play.task("i").reason or "").startswith("Empty 'scriptExpression' in Lambda task's input parameters.")


def test_a_lambda_that_fails_may_be_tried_again() -> None:
    play = Play(task("LAMBDA", scriptExpression="x"), task_definitions=[{"name": "i", "retryCount": 1}], scripts=always(BROKEN))
    assert play.shape == [("i", "FAILED"), ("i", "SCHEDULED")]
    assert play.tasks("i")[0].output == {"error": BROKEN.error}


# --- JSON_JQ_TRANSFORM


@pytest.mark.parametrize(
    ("values", "output"),
    [
        ([1, 2], {"result": 1, "resultList": [1, 2]}),
        ([], {"result": None, "resultList": []}),
        ([None], {"result": None, "resultList": [None]}),
    ],
)
def test_the_first_of_the_values_is_the_result(values: list[Any], output: Json) -> None:
    play = Play(task("JSON_JQ_TRANSFORM", queryExpression=".a", a=1), scripts=always(ScriptResult(values)))
    assert [(script.language, script.source) for script in play.ran] == [("jq", ".a")]
    assert json.loads(play.ran[0].input) == {"queryExpression": ".a", "a": 1}
    assert play.task("i").output == output


def test_a_missing_query_fails_without_a_word_in_the_output() -> None:
    play = Play(task("JSON_JQ_TRANSFORM", queryExpression="${workflow.input.none}"))
    assert (play.task("i").reason, play.task("i").output or {}) == ("Missing 'queryExpression' in input parameters", {})


def test_a_query_that_fails_may_be_tried_again() -> None:
    play = Play(task("JSON_JQ_TRANSFORM", queryExpression="x"), task_definitions=[{"name": "i", "retryCount": 1}], scripts=always(BROKEN))
    assert play.shape == [("i", "FAILED"), ("i", "SCHEDULED")]


# --- many of them


def chain(count: int) -> list[Json]:
    return [inline(f"i{n}", expression=str(n), before=f"${{i{n - 1}.output.result}}") for n in range(count)]


def test_a_decision_runs_so_many_scripts_and_the_next_one_goes_on() -> None:
    play = Play(*chain(2 * SCRIPTS_MAX + 1), outputParameters={"last": f"${{i{2 * SCRIPTS_MAX}.input.before}}"})
    seen = [len(play.shape)]
    while play.status == "RUNNING":
        assert [command for command in play.commands if isinstance(command, ArmTimer)]
        play.fire()
        seen.append(len(play.shape))
    assert seen == [SCRIPTS_MAX, 2 * SCRIPTS_MAX, 2 * SCRIPTS_MAX + 1]
    assert (play.status, play.folded().output) == ("COMPLETED", {"last": str(2 * SCRIPTS_MAX - 1)})
    assert play.head.todo == ()


def test_a_large_value_is_the_last_of_its_decision() -> None:
    """All values of a decision are in memory at once, and so is what they are written as."""
    small, large = ScriptResult(["x" * 1000]), ScriptResult(["x" * VALUE_LARGE_BYTES])
    play = Play(*chain(6), scripts=lambda script: large if script.source in ("1", "2") else small)
    seen = [len(play.shape)]
    while play.status == "RUNNING":
        play.fire()
        seen.append(len(play.shape))
    assert seen == [2, 3, 6]


def test_what_is_left_is_not_taken_for_the_end() -> None:
    play = Play(*chain(SCRIPTS_MAX), simple("after"))
    assert (play.status, play.enqueued, [begin.ref for begin in play.head.todo]) == ("RUNNING", [], ["after"])
    play.fire()
    assert play.enqueued == ["after"]


def test_what_is_left_keeps_what_it_must_not_see() -> None:
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "javascript", "expression": "x",
        "decisionCases": {"x": [simple("x", inputParameters={"case": "${s.output.selectedCase}"})]},
    }  # fmt: skip
    play = Play(*chain(SCRIPTS_MAX - 1), switch)
    assert play.head.todo[0].hidden == {"s"}
    play.fire()
    assert play.task("x").input == {"case": None}


def test_an_end_from_outside_begins_nothing_of_what_is_left() -> None:
    play = Play(*chain(SCRIPTS_MAX + 1))
    play.decide(WorkflowTerminated(op="x"))
    assert (play.status, len(play.shape)) == ("TERMINATED", SCRIPTS_MAX)
    play.decide(WorkflowRemoved(op="y"))
    assert (play.head.todo, len(play.shape)) == ((), SCRIPTS_MAX)


def test_a_timer_that_the_head_does_not_name_runs_nothing_of_it() -> None:
    play = Play(*chain(SCRIPTS_MAX + 1))
    assert play.decide(TimerFired(timer=99, due_ms=play.now_ms)) is None
    assert len(play.ran) == SCRIPTS_MAX


def test_an_attempt_whose_time_comes_in_a_decision_that_has_run_enough_waits_for_the_next() -> None:
    definition = {"name": "i", "retryCount": 1, "retryDelaySeconds": 60}
    play = Play(inline(), task_definitions=[definition], scripts=always(LATE))
    now_ms = play.head.open["i"].due_ms
    step = Step(play.graph, EXECUTION, play.head, 2, Known(records={1: play.records[0]}), now_ms)
    step._scripts = SCRIPTS_MAX
    node = play.graph.node("i")
    node.type.on_due(step, node, step.open["i"])
    assert (step.open["i"].due_ms, step.open["i"].deadline_ms) == (now_ms + 1, now_ms + 1)
