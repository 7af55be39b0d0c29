"""batuta.testing: workflows played without a server."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import batuta.testing
from batuta import Fatal, Fixed, InProgress, InvalidInput, RetryLater, TaskContext, TaskStatus, Worker, WorkflowStatus, task
from batuta.testing import HOLD, SILENCE, HttpAnswer, Unanswered, execution, run


def simple(name: str, ref: str = "", **fields: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": ref or name, "type": "SIMPLE", **fields}


def of_type(kind: str, ref: str, **inputs: Any) -> dict[str, Any]:
    return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": inputs}


def workflow(*tasks: dict[str, Any], name: str = "order", **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": 1, "tasks": list(tasks), **fields}


SHIPPING = {
    **of_type("SWITCH", "carrier", how="${workflow.input.how}"),
    "evaluatorType": "value-param",
    "expression": "how",
    "decisionCases": {"express": [simple("courier")]},
    "defaultCase": [simple("post")],
}


@task("double", retry=Fixed(delay_s=5, limit=1))
def double(value: int) -> dict[str, int]:
    return {"value": 2 * value}


# --- workers


def test_functions_get_their_inputs_and_give_outputs() -> None:
    definition = workflow(
        simple("double", inputParameters={"value": "${workflow.input.value}"}),
        simple("double", "again", inputParameters={"value": "${double.output.value}"}),
        outputParameters={"value": "${again.output.value}"},
    )
    with run(definition, input={"value": 3}, workers=[double]) as done:
        assert done.status is WorkflowStatus.COMPLETED
        assert done.output == {"value": 12}
        assert done.path == ["double", "again"]
        assert done.task("again").input == {"value": 6}


def test_functions_by_type_need_no_decorator() -> None:
    done = run(workflow(simple("pack")), input={}, workers={"pack": lambda input: {"got": input}})
    assert done.task("pack").output == {"got": {}}


def test_a_worker_brings_all_its_functions() -> None:
    definition = workflow(simple("double", inputParameters={"value": 1}))
    assert run(definition, workers=Worker(double, url="http://127.0.0.1:9")).output == {"value": 2}


def test_a_function_without_a_type_is_refused() -> None:
    with pytest.raises(TypeError, match="is not decorated"):
        run(workflow(simple("pack")), workers=[lambda: None])


def test_a_function_knows_its_task() -> None:
    seen: list[tuple[str, int, str]] = []

    def pack(context: TaskContext) -> None:
        seen.append((context.ref, context.attempt, context.workflow_name))
        remaining = context.remaining_s()
        assert remaining is not None
        assert 50 < remaining <= 60

    run(workflow(simple("pack", "p")), workers={"pack": pack}, tasks=[{"name": "pack", "timeoutSeconds": 60, "responseTimeoutSeconds": 60}])
    assert seen == [("p", 1, "order")]


def test_coroutines_run_whether_or_not_the_test_is_one() -> None:
    async def pack() -> str:
        await asyncio.sleep(0)
        return "packed"

    async def inside() -> dict[str, Any]:
        return run(workflow(simple("pack")), workers={"pack": pack}).output

    assert asyncio.run(inside()) == run(workflow(simple("pack")), workers={"pack": pack}).output == {"result": "packed"}


def test_what_decorators_say_of_retries_holds() -> None:
    definition = workflow(simple("double", inputParameters={"value": "x"}))
    assert [one.attempt for one in run(definition, answers={"double": ValueError("no")}, workers=[double]).tasks("double")] == [1, 2]
    unfit = run(definition, workers=[double])  # an input that does not fit is final
    assert [one.status for one in unfit.tasks("double")] == [TaskStatus.FAILED_WITH_TERMINAL_ERROR]


def test_a_function_that_wants_to_be_called_again_is_when_its_time_has_come() -> None:
    def pack(context: TaskContext) -> dict[str, int]:
        if context.call < 2:
            raise InProgress(3600)
        return {"calls": context.call}

    done = run(workflow(simple("pack")), workers={"pack": pack})
    assert done.output == {"calls": 2}
    assert done.execution.ended_ms - done.execution.created_ms == 2 * 3_600_000


# --- answers


def test_every_branch_can_be_reached() -> None:
    for how, path in (("express", ["carrier", "courier"]), ("", ["carrier", "post"])):
        assert run(workflow(SHIPPING), input={"how": how}, answers={"courier": {}, "post": {}}).path == path


def test_a_list_has_an_answer_for_each_call() -> None:
    retried = [{"name": "pack", "retryCount": 3, "retryDelaySeconds": 60}]
    done = run(workflow(simple("pack")), tasks=retried, answers={"pack": [TimeoutError("slow"), RetryLater("busy"), {"box": 3}]})
    assert [(one.status, one.reason) for one in done.tasks("pack")] == [
        (TaskStatus.FAILED, "TimeoutError: slow"),
        (TaskStatus.FAILED, "busy"),
        (TaskStatus.COMPLETED, None),
    ]
    assert done.output == {"box": 3}
    assert done.execution.ended_ms - done.execution.created_ms == 120_000


def test_a_list_that_is_used_up_says_so() -> None:
    with pytest.raises(Unanswered, match=r"answers\['pack'\] has 1 answers, and attempt 2 of task 'pack' is call 2: add one"):
        run(workflow(simple("pack")), answers={"pack": [ValueError]})


def test_an_answer_goes_before_a_function_and_may_be_one() -> None:
    definition = workflow(simple("double", inputParameters={"value": 4}))
    assert run(definition, workers=[double], answers={"double": {"value": 0}}).output == {"value": 0}
    assert run(definition, answers={"double": lambda value: {"value": value + 1}}).output == {"value": 5}


def test_a_final_failure_ends_the_workflow_with_its_reason() -> None:
    done = run(workflow(simple("pack")), answers={"pack": Fatal("no boxes", {"boxes": 0})})
    assert (done.status, done.task("pack").reason) == (WorkflowStatus.FAILED, "no boxes")
    assert done.reason is not None
    assert "no boxes" in done.reason
    assert done.task("pack").output == {"boxes": 0}


def test_a_task_that_nobody_answers_says_what_to_do() -> None:
    message = (
        r"nobody answers task 'p' of type pack of workflow 'order': give a function in workers=\[...\] that serves 'pack', or answers="
    )
    with pytest.raises(Unanswered, match=message):
        run(workflow(simple("pack", "p")))
    with pytest.raises(Unanswered, match=r"nobody answers task 'ask' \(HTTP\) of workflow 'order': give answers=\{'ask': ...\}"):
        run(workflow(of_type("HTTP", "ask", uri="http://example.com")))


def test_a_name_that_no_task_has_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="answers names 'pakc', which no task has as its reference name: did you mean 'pack'"):
        run(workflow(simple("pack")), answers={"pakc": {}})


def test_http_is_answered_as_the_http_function_does() -> None:
    ask = of_type("HTTP", "ask", http_request={"uri": "http://example.com/a", "method": "GET"})
    definition = workflow(ask, outputParameters={"n": "${ask.output.response.body.n}", "code": "${ask.output.response.statusCode}"})
    assert run(definition, answers={"ask": HttpAnswer({"n": 1})}).output == {"n": 1, "code": 200}
    failed = run({**definition, "tasks": [{**ask, "retryCount": 0}]}, answers={"ask": HttpAnswer("gone", status=404)})
    assert failed.status is WorkflowStatus.FAILED
    assert failed.reason is not None
    assert '404 Not Found on GET request for "http://example.com/a"' in failed.reason


def test_events_are_answered_and_not_published() -> None:
    publish = {**of_type("EVENT", "tell", order="${workflow.input.id}"), "sink": "conductor"}
    done = run(workflow(publish), input={"id": 7}, answers={"tell": {"said": True}})
    assert (done.output, done.task("tell").input["order"]) == ({"said": True}, 7)
    with pytest.raises(Unanswered, match=r"nobody answers task 'tell' \(EVENT\)"):
        run(workflow(publish))


# --- time and people


def test_time_is_skipped_unless_the_test_has_it() -> None:
    definition = workflow(of_type("WAIT", "night", duration="8 hours"), simple("pack"))
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    done = run(definition, answers={"pack": {}}, start_at=begin)
    assert (done.status, done.now) == (WorkflowStatus.COMPLETED, datetime(2026, 1, 1, 8, tzinfo=UTC))
    slow = run(definition, answers={"pack": {}}, start_at=begin, skip_time=False)
    slow.advance(hours=7, minutes=59)
    assert slow.path == ["night"]
    slow.advance(minutes=1)
    assert (slow.path, slow.status) == (["night", "pack"], WorkflowStatus.COMPLETED)


def test_a_year_passes_at_once() -> None:
    done = run(workflow(of_type("WAIT", "year", until="2027-01-01 00:00")), start_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert done.now == datetime(2027, 1, 1, tzinfo=UTC)


def test_what_waits_for_people_waits_for_the_test() -> None:
    fork = {
        **of_type("FORK_JOIN", "fork"),
        "forkTasks": [[of_type("HUMAN", "sign")], [of_type("WAIT", "week", duration="7 days")]],
    }
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    with run(workflow(fork, {**of_type("JOIN", "join"), "joinOn": ["sign", "week"]}), start_at=begin) as waiting:
        assert (waiting.status, waiting.now) == (WorkflowStatus.RUNNING, begin)  # no time is skipped meanwhile
        waiting.complete("sign", {"by": "Ada"})
        assert (waiting.status, waiting.task("sign").output) == (WorkflowStatus.COMPLETED, {"by": "Ada"})
        assert waiting.now == datetime(2026, 1, 8, tzinfo=UTC)
    with pytest.raises(RuntimeError, match="the run is over"):
        waiting.retry()


def test_people_may_be_answered_for() -> None:
    definition = workflow(of_type("HUMAN", "sign"), of_type("WAIT", "call"), outputParameters={"by": "${sign.output.by}"})
    assert run(definition, answers={"sign": {"by": "Bob"}, "call": {}}).output == {"by": "Bob"}
    assert run(definition, answers={"sign": Fatal("refused")}).status is WorkflowStatus.FAILED


def test_a_signal_ends_a_wait() -> None:
    waiting = run(workflow(of_type("WAIT", "call")))
    waiting.signal({"from": "outside"})
    assert waiting.task("call").output == {"from": "outside"}
    with pytest.raises(LookupError, match="nothing waits for a signal"):
        waiting.signal()


def test_held_work_is_the_tests_to_end() -> None:
    held = run(workflow(simple("pack")), answers={"pack": HOLD})
    assert held.status is WorkflowStatus.RUNNING
    with pytest.raises(LookupError, match="no task 'ship' is open in <order RUNNING: pack>; open are: pack"):
        held.complete("ship")
    held.fail("pack", "the roof leaks", is_final=True)
    assert (held.status, held.task("pack").reason) == (WorkflowStatus.FAILED, "the roof leaks")


def test_an_attempt_may_be_held_too() -> None:
    held = run(workflow(simple("pack")), answers={"pack": [ValueError("first"), HOLD, {"n": 3}]})
    assert [one.status.value for one in held.tasks("pack")] == ["FAILED", "SCHEDULED"]
    held.fail("pack", "second")
    assert held.output == {"n": 3}


def test_a_silent_worker_runs_into_the_time_out() -> None:
    limits = [{"name": "pack", "retryCount": 1, "retryDelaySeconds": 1, "responseTimeoutSeconds": 600, "timeoutPolicy": "RETRY"}]
    done = run(workflow(simple("pack")), tasks=limits, answers={"pack": [SILENCE, {"box": 1}]})
    assert [one.status for one in done.tasks("pack")] == [TaskStatus.TIMED_OUT, TaskStatus.COMPLETED]
    assert done.execution.ended_ms - done.execution.created_ms >= 600_000


# --- what hangs together


def test_loops_are_answered_by_iteration() -> None:
    loop = {
        **of_type("DO_WHILE", "l"),
        "loopCondition": "if ($.l['iteration'] < 3) { true; } else { false; }",
        "loopOver": [simple("pack")],
    }
    done = run(workflow(loop), answers={"pack__2": {"n": 20}, "pack": {"n": 1}})
    assert [one.output["n"] for one in done.tasks("pack")] == [1, 20, 1]
    assert done.task("pack").ref == "pack__3"


def test_children_are_answered_below_their_task() -> None:
    child = {**of_type("SUB_WORKFLOW", "ship"), "subWorkflowParam": {"name": "shipping", "version": 1}}
    shipping = workflow(simple("pack"), name="shipping", outputParameters={"n": "${pack.output.n}"})
    done = run(workflow(child, simple("pack")), workflows=[shipping], answers={"ship/pack": {"n": 1}, "pack": {"n": 2}})
    assert (done.task("ship").output["n"], done.output) == (1, {"n": 2})
    assert done.child("ship").path == ["pack"]
    with pytest.raises(LookupError, match="has started no execution"):
        done.child("pack")
    whole = run(workflow(child), workflows=[shipping], answers={"ship": {"n": 9}, "pack": HOLD})
    assert (whole.status, whole.task("ship").output["n"]) == (WorkflowStatus.COMPLETED, 9)


def test_branches_that_are_named_when_it_runs() -> None:
    fork = {
        **of_type("FORK_JOIN_DYNAMIC", "fork", tasks=[simple("pack", "p1"), simple("pack", "p2")], inputs={"p1": {"n": 1}, "p2": {"n": 2}}),
        "dynamicForkTasksParam": "tasks",
        "dynamicForkTasksInputParamName": "inputs",
    }
    done = run(workflow(fork, of_type("JOIN", "join")), workers={"pack": lambda n: {"n": n * 10}}, answers={"p2": {"n": 7}})
    assert done.task("join").output == {"p1": {"n": 10}, "p2": {"n": 7}}


def test_the_failure_workflow_is_played_too() -> None:
    definition = workflow(simple("pack"), failureWorkflow="apologise")
    apology = workflow(simple("write"), name="apologise")
    done = run(definition, workflows=[apology], answers={"pack": Fatal("broken"), "write": {"sent": True}})
    assert (done.status, done.failure_workflow.output) == (WorkflowStatus.FAILED, {"sent": True})


def test_operations() -> None:
    played = run(workflow(of_type("WAIT", "nap", duration="1 hour"), simple("pack")), answers={"pack": [Fatal("no"), {}]}, skip_time=False)
    played.pause()
    played.advance(hours=2)
    assert (played.status, played.path) == (WorkflowStatus.PAUSED, ["nap"])
    played.resume()
    assert played.status.value == "FAILED"
    played.retry()
    assert played.status.value == "COMPLETED"
    ended = run(workflow(of_type("HUMAN", "sign")))
    ended.terminate("enough")
    assert (ended.status, ended.reason) == (WorkflowStatus.TERMINATED, "enough")


# --- definitions, scripts, ends


def test_a_definition_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text(json.dumps(workflow(simple("pack"))))
    assert run(file, answers={"pack": {"n": 1}}).output == {"n": 1}


def test_a_definition_that_is_not_valid_says_where() -> None:
    with pytest.raises(InvalidInput, match=r"tasks\[0\]\.name"):
        run(workflow({"type": "SIMPLE"}))


def test_scripts_run_in_the_servers_sandbox_or_where_the_test_says() -> None:
    inline = of_type("INLINE", "sum", evaluatorType="javascript", expression="$.a + 1", a=1)
    jq = of_type("JSON_JQ_TRANSFORM", "jq", queryExpression=".a | length", a=[1, 2])
    assert run(workflow(inline)).task("sum").output == {"result": 2}
    assert run(workflow(jq)).task("jq").output["result"] == 2
    mine = run(workflow(inline), scripts=lambda language, source, given: [language, source, given["a"]])
    assert mine.task("sum").output == {"result": ["javascript", "$.a + 1", 1]}


def test_a_script_that_nothing_can_run_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batuta.sandbox.SANDBOX, "_process", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    inline = of_type("INLINE", "sum", evaluatorType="javascript", expression="1")
    with pytest.raises(batuta.testing.NoEvaluator, match=r"pip install 'batuta\[testing\]'; a test may give batuta.testing.run a function"):
        run(workflow(inline))


def test_what_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "STEPS_MAX", 200)
    loop = {**of_type("DO_WHILE", "l"), "loopCondition": "true", "loopOver": [simple("pack")]}
    with pytest.raises(Unanswered, match="has not ended after 200 steps"):
        run(workflow(loop), answers={"pack": {}}, scripts=lambda *_: True)


def test_an_answer_that_is_no_json_is_the_tasks_failure() -> None:
    done = run(workflow(simple("pack")), answers={"pack": {"a": object()}})
    assert done.status is WorkflowStatus.FAILED
    assert done.reason is not None
    assert "cannot be sent" in done.reason


# --- wide forks


def test_a_wide_fork_looks_and_is_answered_like_any_other() -> None:
    wide = of_type("FORK_JOIN_DYNAMIC", "f", forkTaskName="double", forkTaskInputs="${workflow.input.items}")
    inner = workflow(wide, {**of_type("JOIN", "j"), "joinOn": []}, name="inner")
    items = [{"value": n} for n in range(200)]
    answers = {"_double_3": HOLD, "_double_7": {"value": 0}}
    with run(workflow=inner, input={"items": items}, workers=[double], answers=answers) as played:
        assert played.task("_double_3").status is TaskStatus.SCHEDULED
        played.complete("_double_3", {"value": 1})
        assert len(played.path) == 202
        assert [played.output[f"_double_{n}"]["value"] for n in (2, 3, 7)] == [4, 1, 0]


def test_an_answer_names_a_branch_of_a_wide_fork_by_its_sub_workflow() -> None:
    wide = of_type("FORK_JOIN_DYNAMIC", "f", forkTaskName="double", forkTaskInputs="${workflow.input.items}")
    inner = workflow(wide, {**of_type("JOIN", "j"), "joinOn": []}, name="inner")
    child = {**of_type("SUB_WORKFLOW", "child", items="${workflow.input.items}"), "subWorkflowParam": {"name": "inner", "version": 1}}
    items = [{"value": n} for n in range(200)]
    played = run(workflow(child), workflows=[inner], input={"items": items}, workers=[double], answers={"child/_double_3": {"value": 0}})
    assert [played.child("child").output[f"_double_{n}"]["value"] for n in (2, 3)] == [4, 0]


def test_what_was_seen_of_a_wide_fork_is_seen_anew_after_each_operation() -> None:
    wide = of_type("FORK_JOIN_DYNAMIC", "f", forkTaskName="double", forkTaskInputs="${workflow.input.items}")
    inner = workflow(wide, {**of_type("JOIN", "j"), "joinOn": []}, name="inner")
    items = [{"value": n} for n in range(200)]
    with run(inner, input={"items": items}, workers=[double], answers={"_double_3": HOLD, "_double_4": HOLD}) as played:
        assert played.task("_double_3").status is TaskStatus.SCHEDULED
        played.complete("_double_3")
        assert played.task("_double_3").status is TaskStatus.COMPLETED
