"""What a decision that had run as many scripts as one may leaves to the next: of forks, loops and operations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.decider.play import Json, Play, simple

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.decider.step import SCRIPTS_MAX
from batuta_core.model.command import ArmTimer
from batuta_core.model.error import OperationRefused
from batuta_core.model.event import WorkflowTerminated
from batuta_core.model.operation_event import WorkflowPaused, WorkflowRerun, WorkflowRestarted, WorkflowResumed, WorkflowRetried
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Begin

BROKEN = ScriptResult(error="broken")


def inline(ref: str, expression: str = "1", **inputs: Any) -> Json:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "javascript", "expression": expression, **inputs},
    }


def chain(count: int, begin: str = "i") -> list[Json]:
    return [inline(f"{begin}{n}") for n in range(count)]


def dynamic_fork(branches: list[Json], inputs: Json | None = None) -> list[Json]:
    fork = {
        "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": {"dt": branches, "di": inputs or {}},
        "dynamicForkTasksParam": "dt", "dynamicForkTasksInputParamName": "di",
    }  # fmt: skip
    return [fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": []}]


def fork(*branches: list[Json]) -> list[Json]:
    last = [branch[-1]["taskReferenceName"] for branch in branches]
    task = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": list(branches)}
    return [task, {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": last}]


def loop(rounds: int, *body: Json) -> Json:
    condition = f"$.l['iteration'] < {rounds}"
    return {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopCondition": condition, "loopOver": list(body)}


def told(script: Script) -> ScriptResult:
    """The conditions of ``loop``, and what is broken."""
    if "iteration" in script.source:
        return ScriptResult(json.loads(script.input)["l"]["iteration"] < int(script.source.rpartition("<")[2]))
    return BROKEN if script.source == "broken" else ScriptResult(script.source)


def play_to_the_end(play: Play) -> list[int]:
    """How many scripts each decision ran."""
    seen = [len(play.ran)]
    while play.status == "RUNNING":
        assert play.fire() is not None
        seen.append(len(play.ran) - sum(seen))
    return seen


# --- forks


def test_a_dynamic_fork_of_many_scripts_takes_several_decisions() -> None:
    count = 2 * SCRIPTS_MAX + 2
    branches = [inline(f"b{n}", str(n)) for n in range(count)]
    play = Play(*dynamic_fork(branches), simple("after"))
    assert (play.head.todo[0].fork, play.head.todo[-1]) == (TaskPlace(1, 0), Begin("j", frozenset({"f"}), TaskPlace(1, 0)))
    play.fire()
    play.fire()
    assert (play.enqueued, len(play.ran), play.head.todo) == (["after"], count, ())
    assert play.task("j").output == {f"b{n}": {"result": str(n)} for n in range(count)}
    assert play.task("j").input == {"joinOn": [f"b{n}" for n in range(count)]}


def test_branches_that_are_left_read_what_came_before_the_fork() -> None:
    """Nobody but they reads ``early``."""
    branches = [*chain(SCRIPTS_MAX), simple("b", inputParameters={"seen": "${early.output.result}"})]
    wrapped = {"name": "t", "taskReferenceName": "t", "type": "SET_VARIABLE", "inputParameters": {"branches": branches}}
    head = [inline("early", "e"), wrapped]
    task, join = dynamic_fork([])
    task["inputParameters"]["dt"] = "${workflow.input.branches}"
    play = Play(head[0], task, join, task_input={"branches": branches})
    assert [begin.ref for begin in play.head.todo] == [f"i{SCRIPTS_MAX - 1}", "b", "j"]
    play.fire()
    assert play.task("b").input == {"seen": "e"}


def test_a_branch_ends_while_others_are_left() -> None:
    play = Play(*fork([simple("a"), simple("a2")], chain(SCRIPTS_MAX + 1)))
    assert (list(play.head.open), [begin.ref for begin in play.head.todo]) == (["a", "j"], [f"i{SCRIPTS_MAX}"])
    play.update("a")
    assert (play.enqueued, play.head.todo, set(play.head.open)) == (["a2"], (), {"a2", "j"})


# --- loops


def test_a_loop_of_scripts_goes_on_over_several_decisions() -> None:
    play = Play(loop(30, inline("i", "x")), outputParameters={"n": "${l.output.iteration}"}, scripts=told)
    seen = play_to_the_end(play)
    assert (play.status, play.folded().output, sum(seen), max(seen)) == ("COMPLETED", {"n": 30}, 60, SCRIPTS_MAX)


def test_a_loop_whose_condition_was_left_goes_on() -> None:
    """Nothing is left to begin: only the look at the loop is."""
    play = Play(loop(2, *chain(SCRIPTS_MAX)), scripts=told)
    assert (play.head.todo, play.head.has_news) == ((Begin("l"),), True)
    play_to_the_end(play)
    assert (play.status, len(play.ran)) == ("COMPLETED", 2 * SCRIPTS_MAX + 2)


def test_only_the_look_is_left() -> None:
    play = Play(*fork(chain(SCRIPTS_MAX)))
    assert (play.status, play.head.todo, play.head.has_news) == ("RUNNING", (), True)
    assert play.fire() is not None
    assert (play.status, play.head.has_news, len(play.ran)) == ("COMPLETED", False, SCRIPTS_MAX)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_loop_of_worker_tasks_needs_no_further_decisions(rounds: int) -> None:
    play = Play(loop(rounds, simple("w")), scripts=told)
    for _ in range(rounds):
        play.update("w")
    assert (play.status, len(play.records), len(play.ran)) == ("COMPLETED", rounds + 1, rounds)


# --- operations


def test_a_pause_keeps_what_is_left_and_arms_no_timer_for_it() -> None:
    play = Play(*chain(SCRIPTS_MAX + 2))
    left = play.head.todo
    play.decide(WorkflowPaused(op="p"))
    assert (play.status, play.head.todo) == ("PAUSED", left)
    mark = play.head.mark
    assert mark is not None  # armed before
    play.fire()
    assert (play.head.mark, play.head.todo, [c for c in play.commands if isinstance(c, ArmTimer)]) == (None, left, [])
    play.decide(WorkflowResumed(op="r"))
    assert (play.status, len(play.shape)) == ("COMPLETED", SCRIPTS_MAX + 2)


def test_a_pause_keeps_the_look_that_is_left() -> None:
    play = Play(loop(2, *chain(SCRIPTS_MAX)), outputParameters={"n": "${l.output.iteration}"}, scripts=told)
    play.decide(WorkflowPaused(op="p"))
    assert play.head.has_news is False  # the end of the pause looks anyway
    play.decide(WorkflowResumed(op="r"))
    play_to_the_end(play)
    assert (play.status, play.folded().output) == ("COMPLETED", {"n": 2})


def test_a_pause_in_a_branch_of_a_dynamic_fork_goes_on_inside_of_it() -> None:
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param", "expression": "x",
        "inputParameters": {"x": "1"}, "decisionCases": {"1": [simple("w"), simple("w2")]},
    }  # fmt: skip
    play = Play(*dynamic_fork([switch]))
    play.decide(WorkflowPaused(op="p"))
    play.update("w")
    assert [(begin.ref, begin.fork) for begin in play.head.todo] == [("w2", TaskPlace(1, 0))]
    play.decide(WorkflowResumed(op="r"))
    assert play.enqueued == ["w2"]


def broken_beside(fails: list[bool]) -> Play:
    def scripts(script: Script) -> ScriptResult:
        return BROKEN if script.source == "broken" and fails else ScriptResult(1)

    return Play(*fork([inline("a", "broken")], [simple("b")]), simple("after"), scripts=scripts)


def test_a_fork_begins_all_its_branches_before_a_local_task_ends_the_execution() -> None:
    play = broken_beside([True])
    assert (play.status, play.head.todo) == ("FAILED", ())
    assert play.shape == [("f", "COMPLETED"), ("a", "FAILED_WITH_TERMINAL_ERROR"), ("b", "CANCELED"), ("j", "CANCELED")]


def test_a_restart_begins_nothing_twice() -> None:
    fails = [True]
    play = broken_beside(fails)
    fails.clear()
    play.decide(WorkflowRestarted(op="r", definition=play.graph.hash))
    assert (play.enqueued, play.head.todo) == (["b"], ())


def test_a_rerun_begins_nothing_twice() -> None:
    play = Play(simple("a"), *chain(SCRIPTS_MAX + 1))
    place = play.open("a").place
    play.update("a")
    play.decide(WorkflowTerminated(op="t"))
    play.decide(WorkflowRerun(op="r", place=place))
    assert (play.enqueued, play.head.todo) == (["a"], ())


def test_what_an_end_from_outside_kept_from_beginning_is_begun_by_a_retry() -> None:
    play = Play(*chain(SCRIPTS_MAX + 2))
    play.decide(WorkflowTerminated(op="x"))
    assert (play.status, len(play.shape)) == ("TERMINATED", SCRIPTS_MAX)
    play.decide(WorkflowRetried(op="r"))
    assert (play.status, len(play.shape)) == ("COMPLETED", SCRIPTS_MAX + 2)


def test_where_nothing_was_left_there_is_nothing_to_retry() -> None:
    play = Play({"name": "t", "taskReferenceName": "t", "type": "TERMINATE", "inputParameters": {"terminationStatus": "FAILED"}})
    with pytest.raises(OperationRefused, match="no retryable tasks"):
        play.decide(WorkflowRetried(op="r"))
