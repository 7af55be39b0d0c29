"""Branches that an input lists: many of them, in loops, and with tasks inside."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider import segments
from batuta_core.decider.compile import Graph
from batuta_core.decider.tasks import fork_join_dynamic
from batuta_core.decider.tasks.fork_join_dynamic import BRANCHES_MAX
from batuta_core.model.execution import TaskStatus

JOIN = {"name": "join", "taskReferenceName": "join", "type": "JOIN"}


def fork(**inputs: Any) -> Json:
    return {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": {"forkTaskName": "work", **inputs}}


def test_a_decision_on_one_branch_does_not_look_at_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(fork(forkTaskInputs=list(range(50))), JOIN)
    compiled: list[str] = []
    compile_branches = Graph.compile_branches

    def noted(graph: Graph, tasks: Any, loop: str | None = None) -> Any:
        compiled.extend(task["taskReferenceName"] for task in tasks)
        return compile_branches(graph, tasks, loop)

    monkeypatch.setattr(Graph, "compile_branches", noted)
    play.update("_work_7", output={"n": 7})
    assert set(compiled) == {"_work_7"}


def test_the_join_gathers_every_branch_in_the_order_of_the_input() -> None:
    play = Play(fork(forkTaskInputs=list(range(12))), JOIN)
    for n in reversed(range(12)):
        play.update(f"_work_{n}", output={"n": n})
    assert play.status == "COMPLETED"
    assert list(play.task("join").output.items()) == [(f"_work_{n}", {"n": n}) for n in range(12)]


def test_in_a_loop_a_branch_belongs_to_the_fork_of_its_iteration() -> None:
    """The last result of an iteration and the forks of the next come in one decision, and the names are the same."""
    given = [{"name": "work", "taskReferenceName": "a", "type": "SIMPLE", "inputParameters": {"round": "${loop.output.iteration}"}}]
    made = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": {"dt": given, "di": {}}}
    made |= {"dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di"}
    loop = {"name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE", "inputParameters": {"_items": [1, 2, 3]}, "loopCondition": ""}
    play = Play({**loop, "loopOver": [made, JOIN]})
    for n in (1, 2, 3):
        assert play.open("a").fork == play.open("join").fork
        play.update("a", output={"n": n})
    assert play.status == "COMPLETED"
    assert [task.output for task in play.folded().tasks if task.ref.startswith("a__")] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_failed_attempt_is_followed_by_another_one_of_the_same_fork() -> None:
    again = {"name": "work", "retryCount": 1, "retryDelaySeconds": 0}
    play = Play(fork(forkTaskInputs=[1, 2]), JOIN, task_definitions=[again])
    play.fail("_work_0")
    assert play.open("_work_0").attempt == 2
    assert play.open("_work_0").fork == play.open("join").fork
    play.update("_work_0", output={"n": 1})
    play.update("_work_1", output={"n": 2})
    assert play.status == "COMPLETED"


def test_what_is_inside_of_a_branch_is_found_by_later_decisions() -> None:
    inner = simple("inner")
    switch = {"name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param", "expression": "x"}
    branch = {**switch, "inputParameters": {"x": "yes"}, "decisionCases": {"yes": [inner, simple("after")]}}
    given = {"dt": [simple("beside"), branch], "di": {}}
    made = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": given}
    play = Play({**made, "dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di"}, JOIN)
    play.update("inner", output={"n": 1})
    assert play.open("after").fork == play.open("join").fork
    play.update("after", output={"n": 2})
    play.update("beside", output={"n": 3})
    assert play.status == "COMPLETED"


# --- the limit


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_join_dynamic, "BRANCHES_MAX", 3)
    monkeypatch.setattr(segments, "BRANCHES_MAX", 3)


SHAPES: list[tuple[Json, Json]] = [
    ({}, {"forkTaskInputs": [1, 2, 3]}),
    ({"dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di"}, {"dt": [simple("a"), simple("b"), simple("c")], "di": {}}),
    (
        {"dynamicForkJoinTasksParam": "all"},
        {"all": {"dynamicTasks": [{"taskName": "work", "referenceName": ref, "input": {}} for ref in "abc"]}},
    ),
]


def one_more(value: Any) -> Any:
    """The same shape with a fourth branch."""
    if isinstance(value, list) and len(value) == 3:
        last = value[-1]
        changed = {**last, **{key: "d" for key in ("taskReferenceName", "referenceName") if key in last}} if isinstance(last, dict) else 4
        return [*value, changed]
    return {key: one_more(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("fields", "inputs"), SHAPES)
def test_a_fork_that_is_too_wide_fails_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, fields: Json, inputs: Json) -> None:
    few(monkeypatch)
    task = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", **fields}
    fits = Play({**task, "inputParameters": inputs}, JOIN)
    assert fits.status == "RUNNING"
    assert len(fits.enqueued) == 3
    play = Play({**task, "inputParameters": one_more(inputs)}, JOIN)
    assert play.status == "FAILED"
    assert play.task("f").status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert "The fork has 4 branches. 3 can run at once where each is a single task" in (play.task("f").reason or "")
    assert (play.task("f").reason or "") in (play.head.reason or "")


def test_the_widest_fork_without_segments_fits_into_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "WIDE", BRANCHES_MAX)
    play = Play(fork(forkTaskInputs=list(range(BRANCHES_MAX))), JOIN)
    assert len(play.enqueued) == BRANCHES_MAX
