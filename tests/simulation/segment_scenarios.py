"""Told schedules of wide forks, whose branches run in segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from batuta_core.engine import operate, operations, query
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.simulator.faults import RandomFaults
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import World
from tests.simulation.fork_scenarios import dynamic_fork
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import Plan
from tests.simulation.schedule import narrow, run_plan
from tests.simulation.stage import begin, one_task, task, world_of
from tests.simulation.workload import Workload

_WIDTH = 7


def _wide() -> Workload:
    workload = one_task()
    workload.input["branches"] = [task(f"b{n}", inputParameters={"n": n}) for n in range(_WIDTH)]
    workload.tasks[:] = dynamic_fork("${workflow.input.branches}")
    return workload


def a_fork_in_segments_of_segments_is_joined_as_any_other() -> None:
    for seed in range(4):
        workload = _wide()
        workload.tasks[:] = [task("a"), *workload.tasks, task("z", inputParameters={"all": "${j.output}"})]
        with narrow():
            faults = RandomFaults(Random(seed), rate=0.05 if seed else 0, budget=10)
            run_plan(Plan([workload]), seed=seed, faults=faults)


class _Wide:
    """An execution whose fork has segments of segments; what its workers do is told by reference name."""

    def __init__(self) -> None:
        self.watcher = Watcher()
        workload = _wide()
        self.world: World = world_of(workload, self.watcher)
        self.failing = ""
        self.runs: Counter[str] = Counter()
        self.execution = begin(self.world, workload)

    def work(self) -> None:
        SdkWorker(self.world, self._run)
        self.settle()

    def _run(self, message: TaskMessage) -> Outcome:
        self.runs[message.ref] += 1
        if message.ref == self.failing:
            return Outcome(status=TaskStatus.FAILED_WITH_TERMINAL_ERROR, output={}, reason="broken")
        return Outcome(output={"ref": message.ref})

    def settle(self, hours: int = 1) -> None:
        self.world.run(limit_ms=hours * 3_600_000)

    @property
    def status(self) -> WorkflowStatus:
        return self.watcher.last[self.execution].head.status

    @property
    def segments(self) -> list[ExecutionId]:
        return [execution for execution, record in self.watcher.last.items() if is_segment(record.head.definition)]


def a_retry_runs_no_branch_again_that_has_ended_well() -> None:
    with narrow():
        wide = _Wide()
        wide.failing = "b6"
        wide.work()
        require(wide.status is WorkflowStatus.FAILED, "a branch fails its fork", wide.status)
        shown = query.workflow_json(wide.world.plain, wide.execution)
        done = {task["referenceTaskName"] for task in shown["tasks"] if task["status"] == "COMPLETED"} - {"f"}
        ran = Counter(wide.runs)
        wide.failing = ""
        operations.retry(wide.world.plain, wide.execution)
        wide.settle()
        require(wide.status is WorkflowStatus.COMPLETED, "a retry mends it", wide.watcher.last[wide.execution].head.reason)
        again = {ref for ref, count in wide.runs.items() if count > ran[ref]}
        require("b6" in again and done and not again & done, "only what had not ended well runs again", again, done)


def what_ends_the_execution_ends_all_its_segments() -> None:
    """The terminate comes when no segment has begun: stops overtake starts, two levels deep."""
    with narrow():
        wide = _Wide()
        operate.terminate(wide.world.plain, wide.execution, "enough")
        wide.work()
        states = {wide.watcher.last[segment].head.status for segment in wide.segments}
        require(states == {WorkflowStatus.TERMINATED}, "all are ended", states)
        require(not wide.runs or wide.status is WorkflowStatus.TERMINATED, "and nothing is left to be run", wide.runs)
        require(not wide.watcher.last[wide.execution].head.stops, "every stop is heard", wide.execution)


def what_is_removed_takes_its_segments_along() -> None:
    with narrow():
        wide = _Wide()
        wide.work()
        operate.remove(wide.world.plain, wide.execution, is_archived=True)
        wide.settle()
        for execution in (wide.execution, *wide.segments):
            left = [record.head.status for record in wide.world.journal.scan(execution)]
            require(left in ([], [WorkflowStatus.REMOVED]), "nothing is left but a tombstone", execution, left)
        require(not wide.world.payloads.objects, "nor any payload", list(wide.world.payloads.objects))


def nobody_finds_a_segment() -> None:
    with narrow():
        wide = _Wide()
        wide.work()
        found = [segment for segment in wide.segments if wide.world.plain.summaries.get(segment)]
        require(wide.segments and not found, "a segment has no summary", found)


def a_fork_in_a_loop_waits_for_the_branches_of_its_iteration() -> None:
    """It has segments in one iteration, and none in the next."""
    workload = one_task()
    workload.input["lists"] = [[], [task(f"b{n}") for n in range(_WIDTH)], [task("c")]]
    loop = task("loop", "DO_WHILE", loopCondition="", inputParameters={"_items": [1, 2]})
    workload.tasks[:] = [{**loop, "loopOver": dynamic_fork("${workflow.input.lists[${loop.output.iteration}]}")}]
    with narrow():
        world = world_of(workload, Watcher())
        execution = begin(world, workload)
        SdkWorker(world, lambda message: Outcome(output={"ref": message.ref}))
        world.run(limit_ms=3_600_000)
        shown = query.workflow_json(world.plain, execution)["tasks"]
        joined = [len(found["outputData"]) for found in shown if found["taskType"] == "JOIN"]
        require(joined == [_WIDTH, 1], "each join has the outputs of its own branches", joined)


SCENARIOS: list[Callable[[], None]] = [
    a_retry_runs_no_branch_again_that_has_ended_well,
    what_ends_the_execution_ends_all_its_segments,
    what_is_removed_takes_its_segments_along,
    nobody_finds_a_segment,
    a_fork_in_a_loop_waits_for_the_branches_of_its_iteration,
    a_fork_in_segments_of_segments_is_joined_as_any_other,
]
