"""Told schedules of how executions end that end before their tasks do."""

from __future__ import annotations

from collections.abc import Callable

from batuta_core.decider.known import ScriptResult
from batuta_core.engine import catalog, operate
from batuta_core.engine.catalog import no_javascript
from batuta_core.model.message import TaskMessage
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import World
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import NAMESPACE
from tests.simulation.stage import begin, one_task, scripted, task


def a_fork_begins_all_branches_before_one_of_them_ends_the_execution() -> None:
    """TERMINATE in the first branch: the task of the second and the join are there, cancelled, and no worker hears of them."""
    watcher = Watcher()
    ends = task("t", "TERMINATE", inputParameters={"terminationStatus": "TERMINATED"})
    fork = [task("f", "FORK_JOIN", forkTasks=[[ends], [task("b")]]), task("j", "JOIN", joinOn=["t", "b"])]
    world, execution = scripted(fork, lambda _script: ScriptResult(1), watcher)
    heard: list[TaskMessage] = []

    def behave(message: TaskMessage) -> Outcome:
        heard.append(message)
        return Outcome(output={})

    SdkWorker(world, behave)
    world.run(limit_ms=3600_000)
    record = watcher.last[execution]
    require(record.head.status.value == "TERMINATED", "the branch ends the execution", record.head)
    begun = [str(change.fields["ref"]) for change in record.changes if change.is_new]
    require(begun == ["f", "t", "b", "j"], "all that the fork begins is there", begun)
    require(not heard, "nobody works for an execution that was over before", heard)


def limits_of_a_wait_are_looked_at_when_a_user_asks() -> None:
    """Its own timer is due later, as in Conductor. A look with nothing due makes no record; one look ends the execution, the next ones
    change nothing."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks[:] = [task("w", "WAIT")]
    workload.task_definitions = [
        {"name": "w0_t0", "retryCount": 0, "responseTimeoutSeconds": 2, "timeoutSeconds": 2, "timeoutPolicy": "TIME_OUT_WF"}
    ]
    world = World(1, on_append=watcher)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    execution = begin(world, workload)
    world.now_ms += 1000
    operate.look(world.ports, execution)
    require(watcher.last[execution].seq == 1, "a look with nothing due makes no record", watcher.last[execution])
    world.now_ms += 2000
    for _ in range(2):
        operate.look(world.ports, execution)
        ended = watcher.last[execution]
        require((ended.seq, ended.head.status.value) == (2, "TIMED_OUT"), "one look ends the execution", ended)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].seq == 2, "the timer that was armed finds nothing to do", watcher.last[execution])


SCENARIOS: list[Callable[[], None]] = [
    a_fork_begins_all_branches_before_one_of_them_ends_the_execution,
    limits_of_a_wait_are_looked_at_when_a_user_asks,
]
