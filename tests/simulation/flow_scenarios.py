"""Told schedules of what is decided without a worker: forks, joins, loops, scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batuta_core.decider.known import ScriptResult
from batuta_core.decider.step import SCRIPTS_MAX
from batuta_core.engine import operations
from batuta_core.model.message import TaskMessage
from batuta_core.simulator.worker import Outcome, SdkWorker
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import Plan
from tests.simulation.schedule import run_plan
from tests.simulation.stage import inline, one_task, scripted, task


def a_join_in_a_loop_waits_for_the_branches_of_this_iteration() -> None:
    """The second task of a branch has an output of the iteration before while the first one is open."""

    def task(ref: str) -> dict[str, Any]:
        return {"name": "w0_t0", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"round": "${loop.output.iteration}"}}

    workload = one_task()
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "inputParameters": {}, "forkTasks": [[task("a"), task("b")]]}
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "inputParameters": {}, "joinOn": ["b"]}
    loop = {"name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE", "inputParameters": {"_items": [1, 2]}, "loopCondition": ""}
    workload.tasks = [{**loop, "loopOver": [fork, join, task("c")]}]
    run_plan(Plan([workload]), seed=1)


def a_look_that_was_left_is_done_by_the_next_decision() -> None:
    """With the last script that the decision may run a branch ends; nothing is left but to tell the join."""
    watcher = Watcher()
    branch = [inline(f"i{n}") for n in range(SCRIPTS_MAX)]
    fork = [task("f", "FORK_JOIN", forkTasks=[branch]), task("j", "JOIN", joinOn=[branch[-1]["taskReferenceName"]])]
    world, execution = scripted(fork, lambda _script: ScriptResult(1), watcher)
    require(not watcher.last[execution].head.todo, "only a look is left", watcher.last[execution].head)
    world.run(limit_ms=1000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the join was looked at", watcher.last[execution].head)


def branches_that_were_left_read_what_came_before() -> None:
    made = [*(inline(f"i{n}") for n in range(SCRIPTS_MAX)), task("b", inputParameters={"seen": "${early.output.result}"})]
    dynamic = task("f", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di")
    dynamic["inputParameters"] = {"dt": "${workflow.input.branches}", "di": {}}
    _read_what_came_before([dynamic, task("j", "JOIN", joinOn=[])], branches=made)  # no definition names them
    _read_what_came_before([task("f", "FORK_JOIN", forkTasks=[[branch] for branch in made]), task("j", "JOIN", joinOn=["b"])])


def _read_what_came_before(fork: list[dict[str, Any]], **given: Any) -> None:
    watcher = Watcher()
    world, execution = scripted([inline("early", "e"), *fork], lambda script: ScriptResult(script.source), watcher, **given)
    require(bool(watcher.last[execution].head.todo), "a branch is left", watcher.last[execution].head)
    seen: list[Any] = []

    def behave(message: TaskMessage) -> Outcome:
        seen.append(message.input)
        return Outcome(output={})

    SdkWorker(world, behave)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the branches were run", watcher.last[execution].head)
    require(seen == [{"seen": "e"}], "a branch reads what came before the fork", seen)


def what_a_failure_in_a_fork_cancels_is_begun_again_once() -> None:
    """A script in a fork fails in the decision that begins the other branch and the join. A retry begins the branch again and opens the
    join; a restart begins all of it, and not twice."""
    for revival in (operations.retry, operations.restart):
        watcher = Watcher()
        said = [ScriptResult(error="not now")]
        fork = [task("f", "FORK_JOIN", forkTasks=[[inline("a")], [task("b")]]), task("j", "JOIN", joinOn=["a", "b"])]
        world, execution = scripted(fork, lambda _script, said=said: said[0], watcher)
        require(watcher.last[execution].head.status.value == "FAILED", "the script fails its execution", watcher.last[execution].head)
        said[0] = ScriptResult(1)
        revival(world.ports, execution)
        SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
        world.run(limit_ms=3600_000)
        head = watcher.last[execution].head
        began = [change.fields["ref"] for change in watcher.records[execution][1].changes if change.is_new]
        wanted = ["a", "b"] if revival is operations.retry else ["f", "a", "b", "j"]
        require(head.status.value == "COMPLETED" and began == wanted, "what was cancelled begins once", began, head)


def what_was_left_is_not_begun_by_a_restart() -> None:
    """The last script that a decision may run fails, and its fork's other branch has not begun."""
    watcher = Watcher()
    said = [ScriptResult(error="not now")]
    branch = [[inline(f"i{n}", "last" if n == SCRIPTS_MAX - 1 else "1")] for n in range(SCRIPTS_MAX)]
    fork = [task("f", "FORK_JOIN", forkTasks=[*branch, [inline("late")]]), task("j", "JOIN", joinOn=["late"])]
    world, execution = scripted(fork, lambda script: said[0] if script.source == "last" else ScriptResult(1), watcher)
    head = watcher.last[execution].head
    require(head.status.value == "FAILED" and bool(head.todo), "something is left", head)
    said[0] = ScriptResult(1)
    operations.restart(world.ports, execution)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "COMPLETED" and head.task_count == 2 * SCRIPTS_MAX + 4, "all begins once", head)


def a_script_that_took_too_long_is_tried_again() -> None:
    watcher = Watcher()
    said = [ScriptResult(error="too long", is_late=True), ScriptResult(1)]
    patient = {"name": "patient", "retryCount": 1, "retryDelaySeconds": 0}
    world, execution = scripted([{**inline("i"), "taskDefinition": patient}], lambda _script: said.pop(0), watcher)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "COMPLETED" and head.task_count == 2, "by a second attempt, here", head)


def a_dynamic_fork_is_joined_with_what_ended_early() -> None:
    """The branches end in records of their own; the join has all of it."""
    fork = task("f", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di")
    fork["inputParameters"] = {"dt": [task("x"), task("y")], "di": {}}
    watcher = Watcher()
    world, execution = scripted(
        [fork, task("j", "JOIN"), task("z", inputParameters={"all": "${j.output}"})], lambda _: ScriptResult(1), watcher
    )
    given: dict[str, Any] = {}

    def behave(message: TaskMessage) -> Outcome:
        given[message.ref] = message.input
        return Outcome(output={"of": message.ref})

    SdkWorker(world, behave)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "it is joined", watcher.last[execution].head)
    require(given["z"] == {"all": {"x": {"of": "x"}, "y": {"of": "y"}}}, "the join has what the branches made", given)


SCENARIOS: list[Callable[[], None]] = [
    a_join_in_a_loop_waits_for_the_branches_of_this_iteration,
    a_look_that_was_left_is_done_by_the_next_decision,
    branches_that_were_left_read_what_came_before,
    what_was_left_is_not_begun_by_a_restart,
    what_a_failure_in_a_fork_cancels_is_begun_again_once,
    a_script_that_took_too_long_is_tried_again,
    a_dynamic_fork_is_joined_with_what_ended_early,
]
