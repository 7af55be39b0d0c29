"""Told schedules of the operations of users: pause, retry, rerun."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import cast

from batuta_core.engine import advance, catalog, operate, operations
from batuta_core.engine.catalog import no_javascript
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput
from batuta_core.model.event import TaskStarted, TaskUpdated, WorkflowStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.simulator.faults import Crash
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import NAMESPACE
from tests.simulation.stage import DiesAfterRecord, begin, one_task, world_of
from tests.simulation.workload import failure_definition


def a_result_of_before_a_rerun_changes_nothing() -> None:
    """A worker holds the task while its execution is terminated and run again from that very task, which keeps its id."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    (task_queue,) = world.queues.task_queues()
    (received,) = world.queues.receive(task_queue, 1, 0)
    message = TaskMessage.parse(received.text)
    operate.terminate(world.ports, execution, "by the user")
    operations.rerun(world.ports, execution, task_id=message.task_id)
    late = TaskUpdated(place=message.place, status=TaskStatus.FAILED, op="late", reason="of the former life", call=message.call)
    advance.advance(world.plain, execution, [late], is_redelivered=False)
    head = watcher.last[execution].head
    require(head.status.value == "RUNNING" and "t0" in head.open, "a result of a former life changes nothing", head)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the task that began anew is run", watcher.last[execution].head)


def what_a_rerun_took_out_of_view_is_not_run_again() -> None:
    """t1 has run; a rerun from t0 ends before it comes to t1 again: the former t1 is gone, and its id names nothing."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks = [{"name": "w0_t0", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {}} for ref in ("t0", "t1")]
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    begun = {
        change.fields["ref"]: ids.task_id(execution.workflow_id, record.seq, nth)
        for record in watcher.records[execution]
        for nth, change in enumerate(change for change in record.changes if change.is_new)
    }
    operations.rerun(world.ports, execution, task_id=begun["t0"])
    operate.terminate(world.ports, execution, "by the user")
    try:
        operations.rerun(world.ports, execution, task_id=begun["t1"])
    except InvalidInput:
        return
    require(False, "a task that a rerun took out of view is not run again", watcher.last[execution].head)


def a_pause_outlasts_its_deadlines_and_forgets_none() -> None:
    """A task's response timeout passes in the pause: nothing happens then, and it counts when the pause is over."""
    watcher = Watcher()
    workload = one_task()
    workload.task_definitions[0].update(responseTimeoutSeconds=10, timeoutPolicy="RETRY", retryCount=1, retryDelaySeconds=0)
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    (task,) = watcher.last[execution].head.open.values()
    advance.advance(world.plain, execution, [TaskStarted(place=task.place, op="take", is_leased=True)], is_redelivered=False)
    (task_queue,) = world.queues.task_queues()
    world.queues.delete(task_queue, [received.receipt for received in world.queues.receive(task_queue, 1, 0)])
    operations.pause(world.ports, execution)
    world.run(limit_ms=100_000)
    head, seq = watcher.last[execution].head, watcher.last[execution].seq
    require(head.status.value == "PAUSED" and "t0" in head.open and seq <= 4, "a pause waits and does not spin", seq, head)
    operations.resume(world.ports, execution)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the next attempt was made", watcher.last[execution].head)
    require(watcher.last[execution].head.task_count == 2, "by a second attempt", watcher.last[execution].head)


def a_pause_keeps_what_came_due_in_it() -> None:
    """In the pause a task completes, or fails; both is acted upon when it is over."""
    for status, wanted in ((TaskStatus.COMPLETED, "COMPLETED"), (TaskStatus.FAILED, "FAILED")):
        watcher = Watcher()
        workload = one_task()
        workload.tasks.append({"name": "signal", "taskReferenceName": "t1", "type": "WAIT", "inputParameters": {}})
        world = world_of(workload, watcher)
        execution = begin(world, workload)
        (task,) = watcher.last[execution].head.open.values()
        operations.pause(world.ports, execution)
        advance.advance(world.plain, execution, [TaskUpdated(place=task.place, status=status, op="x")], is_redelivered=False)
        head = watcher.last[execution].head
        require(head.status.value == "PAUSED" and not head.open, "nothing advances in a pause", head)
        operations.resume(world.ports, execution)
        head = watcher.last[execution].head
        if status is TaskStatus.COMPLETED:
            require("t1" in head.open, "the end of a pause goes on where the flow stood", head)
            operate.update_by_ref(world.ports, execution, "t1", operate.TaskReport(status=status, output={}))
        require(watcher.last[execution].head.status.value == wanted, "and judges what failed in it", watcher.last[execution].head)


def a_retry_does_not_forget_the_failure_workflow() -> None:
    """The decider dies when it has written that the execution failed; a user retries it before the message comes back."""
    watcher = Watcher()
    workload = one_task()
    workload.failure_workflow = "handler"
    world = World(1, on_append=watcher)
    catalog.register_workflows(world.plain, NAMESPACE, [failure_definition("handler")], no_javascript)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    execution = begin(world, workload)
    (task,) = watcher.last[execution].head.open.values()
    DiesAfterRecord(world, watcher, lambda record: record.head.status.value == "FAILED")
    failed = TaskUpdated(place=task.place, status=TaskStatus.FAILED, op="x", reason="broke")
    with contextlib.suppress(Crash):
        world.agenda.append((world.now_ms, Action("dying", lambda: _advance(world, execution, failed))))
        world.run(limit_ms=10)
    require(watcher.last[execution].head.status.value == "FAILED", "the decider has written, and died", watcher.last[execution].head)
    operations.retry(world.plain, execution)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the retry went well", watcher.last[execution].head)
    handlers = [records for other, records in watcher.records.items() if other != execution]
    require(len(handlers) == 1, "the failure workflow of the former life ran", list(watcher.records))
    told = cast(WorkflowStarted, handlers[0][0].events[0]).input
    require(told["failureStatus"] == "FAILED", "it was told of the execution as it ended", told)


def _advance(world: World, execution: ExecutionId, event: TaskUpdated) -> None:
    advance.advance(world.ports, execution, [event], is_redelivered=False)


def what_was_skipped_is_not_run_after_a_retry() -> None:
    watcher = Watcher()
    workload = one_task()
    workload.tasks += [{"name": "w0_t0", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {}} for ref in ("t1", "t2")]
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    operations.skip(world.ports, execution, "t1")
    operate.terminate(world.plain, execution, "by the user")
    operations.retry(world.ports, execution)
    seen: list[str] = []

    def behave(message: TaskMessage) -> Outcome:
        seen.append(message.ref)
        return Outcome(output={"n": 1})

    SdkWorker(world, behave)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "COMPLETED" and set(seen) == {"t0", "t2"}, "what was skipped stays so", seen, head)


def a_revived_execution_is_kept() -> None:
    """The timer that was to remove it fires while it runs again, and it is removed when its own time is over."""
    watcher = Watcher()
    workload = one_task()
    world = World(1, on_append=watcher, retention_s=60)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    execution = begin(world, workload)
    operate.terminate(world.plain, execution, "by the user")
    began_ms = world.now_ms
    world.run(limit_ms=1000)
    operations.retry(world.plain, execution)
    world.run(limit_ms=100_000)
    head = watcher.last[execution].head
    require(head.status.value == "RUNNING", "a timer of the former life removes nothing", head, world.now_ms - began_ms)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "REMOVED", "its own time removes it", watcher.last[execution].head)


def a_retry_beside_the_flow_begins_nothing_twice() -> None:
    """The flow had gone on without a permissive task; what follows it has been done when the task is retried."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks[0]["permissive"] = True
    workload.tasks += [
        {"name": "w0_t0", "taskReferenceName": "t1", "type": "SIMPLE", "inputParameters": {"x": "${t0.output.n}"}},
        {"name": "w0_t0", "taskReferenceName": "t2", "type": "SIMPLE", "inputParameters": {}},
    ]
    world = world_of(workload, watcher)
    failing = [True]

    def behave(message: TaskMessage) -> Outcome:
        is_bad = failing[0] and message.ref == "t0"
        return Outcome(status=TaskStatus.FAILED, output={}, reason="not now") if is_bad else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = begin(world, workload)
    world.run(limit_ms=100_000)
    require(watcher.last[execution].head.status.value == "FAILED", "a permissive task fails its execution", watcher.last[execution].head)
    failing[0] = False
    operations.retry(world.ports, execution)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "COMPLETED" and head.task_count == 4, "the retried task alone is run again", head)


SCENARIOS: list[Callable[[], None]] = [
    a_result_of_before_a_rerun_changes_nothing,
    what_a_rerun_took_out_of_view_is_not_run_again,
    a_pause_outlasts_its_deadlines_and_forgets_none,
    a_pause_keeps_what_came_due_in_it,
    a_retry_does_not_forget_the_failure_workflow,
    what_was_skipped_is_not_run_after_a_retry,
    a_revived_execution_is_kept,
    a_retry_beside_the_flow_begins_nothing_twice,
]
