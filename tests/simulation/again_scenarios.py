"""Told schedules of retries and reruns in forks, loops and switches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine import operations
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.fold import fold
from batuta_core.model import ids
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import World
from tests.simulation.invariants import Watcher, require
from tests.simulation.stage import scripted, task

HOUR_MS = 3600_000


class Again:
    """An execution whose workers count how often they ran each task, and fail those in ``fails`` the first time."""

    def __init__(self, tasks: list[dict[str, Any]], *fails: str) -> None:
        self.watcher = Watcher()
        self.ran: Counter[str] = Counter()
        self.given: dict[str, Any] = {}  # the last input of each task
        self.fails = set(fails)
        self.world: World
        self.execution: ExecutionId
        self.world, self.execution = scripted(tasks, _condition, self.watcher)
        SdkWorker(self.world, self._work)
        self.settle()

    def _work(self, message: TaskMessage) -> Outcome:
        self.ran[message.ref] += 1
        self.given[message.ref] = message.input
        is_bad = message.ref in self.fails and self.ran[message.ref] == 1
        return Outcome(status=TaskStatus.FAILED if is_bad else TaskStatus.COMPLETED, output={"n": self.ran[message.ref]})

    def settle(self) -> None:
        self.world.run(limit_ms=HOUR_MS)

    def shown(self) -> list[tuple[str, int, str]]:
        records = self.watcher.records[self.execution]
        graph = graph_of(self.world.plain, self.execution.namespace, records[-1].head.definition)
        return [(item.ref, item.attempt, item.status.value) for item in fold(self.execution, records, graph).tasks]

    def retry(self) -> None:
        operations.retry(self.world.plain, self.execution)
        self.settle()

    def rerun(self, ref: str) -> None:
        records = self.watcher.records[self.execution]
        graph = graph_of(self.world.plain, self.execution.namespace, records[-1].head.definition)
        task_id = next(item.task_id for item in fold(self.execution, records, graph).tasks if item.ref == ref)
        require(ids.parse_task_id(task_id), "a task", task_id)
        operations.rerun(self.world.plain, self.execution, task_id=task_id)
        self.settle()

    def require(self, ran: dict[str, int]) -> None:
        """All has ended well, and so often each task was run."""
        head = self.watcher.last[self.execution].head
        require(head.status.value == "COMPLETED", "it runs to its end", head, self.shown())
        require(dict(self.ran) == ran, "everything is run as often as it has to be", self.ran, ran)
        last = {ref: status for ref, _attempt, status in self.shown()}
        require(set(last.values()) == {"COMPLETED"}, "and all of it has ended well", self.shown())


def _condition(script: Script) -> ScriptResult:
    return ScriptResult('"iteration":3' not in script.input)


def _fork() -> list[dict[str, Any]]:
    branches = [[task("a"), task("a2")], [task("b"), task("b2")]]
    return [task("f", "FORK_JOIN", forkTasks=branches), task("j", "JOIN", joinOn=["a2", "b2"]), task("z")]


def _loop(*body: dict[str, Any]) -> list[dict[str, Any]]:
    return [task("l", "DO_WHILE", loopCondition="less than 3", loopOver=list(body)), task("z")]


def a_fork_is_retried_with_its_join() -> None:
    for failing in ("a", "a2", "b2"):
        again = Again(_fork(), failing)
        again.retry()
        status = {ref: (attempt, status) for ref, attempt, status in again.shown()}
        require(status["j"] == (1, "COMPLETED"), "the join is the same", again.shown())
        require(again.ran[failing] == 2 and again.ran["z"] == 1, "what failed is run again", again.ran)


def a_loop_is_retried_in_its_round() -> None:
    again = Again(_loop(task("a"), task("b")), "a__2")
    again.retry()
    again.require({"a__1": 1, "a__2": 2, "a__3": 1, "b__1": 1, "b__2": 1, "b__3": 1, "z": 1})


def a_rerun_in_a_fork_comes_to_the_end() -> None:
    """What was begun before the task stays, with its result; what was begun after it is run again."""
    wanted = {
        "a": {"a": 2, "a2": 2, "b": 2, "b2": 2, "z": 2},
        "b": {"a": 1, "a2": 2, "b": 2, "b2": 2, "z": 2},
        "j": {"a": 1, "a2": 2, "b": 1, "b2": 2, "z": 2},
        "f": {"a": 2, "a2": 2, "b": 2, "b2": 2, "z": 2},
    }
    for ref, ran in wanted.items():
        again = Again(_fork())
        again.rerun(ref)
        again.require(ran)


def what_comes_behind_a_rerun_reads_what_came_before_it() -> None:
    again = Again([task("a"), task("b"), task("c", inputParameters={"of": "${a.output.n}"})])
    again.rerun("b")
    again.require({"a": 1, "b": 2, "c": 2})
    require(again.given["c"] == {"of": 1}, "the output of before is read again", again.given)


def what_comes_behind_a_retry_reads_what_came_before_it() -> None:
    again = Again([task("a"), task("b"), task("c", inputParameters={"of": "${a.output.n}"})], "b")
    again.retry()
    require(again.ran == {"a": 1, "b": 2, "c": 1}, "what failed is run again", again.ran)
    require(again.given["c"] == {"of": 1}, "the output of before is read", again.given)


def a_restart_shows_its_own_tasks() -> None:
    again = Again([task("a"), task("b")])
    operations.restart(again.world.plain, again.execution)
    require(again.shown() == [("a", 1, "SCHEDULED")], "nothing of the former life is shown", again.shown())


def a_rerun_begins_what_had_failed_beside_the_task() -> None:
    """Of two branches the first fails; the user reruns the other."""
    again = Again([task("f", "FORK_JOIN", forkTasks=[[task("a")], [task("b")]]), task("j", "JOIN", joinOn=["a", "b"])], "a")
    again.rerun("b")
    require(again.ran["a"] == 2, "what had failed is run again", again.ran)
    last = {ref: status for ref, _attempt, status in again.shown()}
    require(last == dict.fromkeys("fabj", "COMPLETED"), "in its place", again.shown())


def a_rerun_in_a_loop_goes_on_with_that_round() -> None:
    again = Again(_loop(task("a"), task("b")))
    again.rerun("a__2")
    again.require({"a__1": 1, "a__2": 2, "a__3": 2, "b__1": 1, "b__2": 2, "b__3": 2, "z": 2})
    again.rerun("l")
    again.require({"a__1": 2, "a__2": 3, "a__3": 3, "b__1": 2, "b__2": 3, "b__3": 3, "z": 3})


def a_rerun_in_a_switch_goes_on_behind_it() -> None:
    case = {"evaluatorType": "value-param", "expression": "x", "inputParameters": {"x": "1"}}
    again = Again([task("s", "SWITCH", **case, decisionCases={"1": [task("a"), task("b")]}), task("z")])
    again.rerun("b")
    again.require({"a": 1, "b": 2, "z": 2})
    again.rerun("s")
    again.require({"a": 2, "b": 3, "z": 3})


def a_loop_beside_a_rerun_goes_on() -> None:
    """The loop of the second branch has begun in the record of the task; it begins anew."""
    loop = task("l", "DO_WHILE", loopCondition="less than 3", loopOver=[task("b")])
    again = Again([task("f", "FORK_JOIN", forkTasks=[[task("a")], [loop]]), task("j", "JOIN", joinOn=["a", "l"])])
    again.rerun("a")
    again.require({"a": 2, "b__1": 2, "b__2": 2, "b__3": 2})


def a_dynamic_fork_is_retried_and_rerun() -> None:
    branches = {"dt": [task("x"), task("y")], "di": {}}
    fork = task("f", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di", inputParameters=branches)
    again = Again([fork, task("j", "JOIN"), task("z")], "x")
    again.retry()
    require(again.ran["x"] == 2 and again.ran["z"] == 1, "the branch is retried", again.ran)
    for ref, ran in (("y", {"x": 3, "z": 2}), ("f", {"x": 4, "z": 3})):  # the attempt that had ended well was scheduled behind y
        again.rerun(ref)
        head = again.watcher.last[again.execution].head
        require(head.status.value == "COMPLETED", "it runs to its end", ref, head)
        require({name: again.ran[name] for name in ran} == ran, "and again", ref, again.ran)


SCENARIOS: list[Callable[[], None]] = [
    a_fork_is_retried_with_its_join,
    a_loop_is_retried_in_its_round,
    a_rerun_in_a_fork_comes_to_the_end,
    what_comes_behind_a_rerun_reads_what_came_before_it,
    what_comes_behind_a_retry_reads_what_came_before_it,
    a_restart_shows_its_own_tasks,
    a_rerun_begins_what_had_failed_beside_the_task,
    a_rerun_in_a_loop_goes_on_with_that_round,
    a_rerun_in_a_switch_goes_on_behind_it,
    a_loop_beside_a_rerun_goes_on,
    a_dynamic_fork_is_retried_and_rerun,
]
