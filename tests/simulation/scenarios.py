"""Schedules told step by step, for what a random one would seldom meet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.decider.on_task import LOST_LEASES_MAX
from batuta_core.decider.step import SCRIPTS_MAX
from batuta_core.engine import advance, catalog, operate, revive, timers
from batuta_core.engine.ports import FarTimer, Journal, Queues
from batuta_core.engine.start import StartRequest, start
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput
from batuta_core.model.event import TaskDeadLettered, TaskStarted, TaskUpdated, TimerFired, WorkflowStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import SCHEMA, TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Crash, Fault, Faults
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation import family_scenarios, system_tasks
from tests.simulation.invariants import Watcher, require
from tests.simulation.schedule import NAMESPACE, Plan, no_javascript, run_plan
from tests.simulation.workload import Workload, failure_definition

Scenario = Callable[[], None]


def one_task(*, timeout_s: int = 0) -> Workload:
    task = {"name": "w0_t0", "taskReferenceName": "t0", "type": "SIMPLE", "inputParameters": {}}
    definition = {"name": "w0_t0", "retryCount": 0, "responseTimeoutSeconds": 600}
    return Workload(
        name="w0", tasks=[task], task_definitions=[definition], input={"a": 1}, outputs={}, seed=0, failing=0.0, timeout_s=timeout_s
    )


def _world(workload: Workload, watcher: Watcher, faults: Faults | None = None) -> World:
    world = World(1, faults=faults, on_append=watcher)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    return world


def _starting(world: World, workload: Workload) -> Action:
    def start_it() -> None:
        _start(world, workload)

    return Action("start", start_it)


def _start(world: World, workload: Workload) -> ExecutionId:
    request = StartRequest(namespace=NAMESPACE, name=workload.name, input=workload.input)
    return ExecutionId(NAMESPACE, start(request, world.ports, no_javascript))


def twenty_hand_backs_do_not_fail_a_task() -> None:
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    left = [20]

    def behave(message: TaskMessage) -> Outcome:
        left[0] -= 1
        return Outcome(is_handed_back=True) if left[0] >= 0 else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = _start(world, workload)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "twenty hand-backs do not fail a task", watcher.last[execution].head)


def a_newer_message_waits_for_a_newer_worker() -> None:
    """For three days the only worker is one that cannot read it; then a newer one comes beside it."""
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    SdkWorker(world, lambda _message: Outcome(output={"n": 0}), "old", schema=SCHEMA - 1)
    execution = _start(world, workload)
    days_ms = 3 * 24 * 3600_000
    world.run(limit_ms=days_ms)
    waiting = watcher.last[execution]
    task = waiting.head.open["t0"]
    require(task.attempt == 1 and not task.lost, "a message that waits costs no attempt", task)
    require(waiting.seq > 2 * LOST_LEASES_MAX, "the old worker was there", waiting.seq)
    require(waiting.seq < days_ms / 900_000 * 1.5, "waiting costs little: a record in some ten minutes", waiting.seq)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}), "new")
    world.run(limit_ms=3600_000)
    record = watcher.last[execution]
    require(record.head.status.value == "COMPLETED", "the newer worker runs it", record.head)
    require(record.at_ms - waiting.at_ms < 3600_000, "within the hour", record.at_ms - waiting.at_ms)


def a_fleet_half_way_through_its_upgrade_gets_on() -> None:
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    for number in range(3):
        SdkWorker(world, lambda _message: Outcome(output={"n": 0}), f"old{number}", schema=SCHEMA - 1)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}), "new")
    execution = _start(world, workload)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the newer worker gets it in the end", watcher.last[execution].head)


class DiesAfterRecord:
    """The decider dies once, when it has written a record that ``wanted`` picks."""

    def __init__(self, world: World, watcher: Watcher, wanted: Callable[[Record], bool]) -> None:
        self._watcher = watcher
        self._wanted = wanted
        self._has_died = False
        world.faults = self

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        newest = next(iter(self._watcher.last.values()), None)
        if self._has_died or newest is None or not self._wanted(newest):
            return None
        self._has_died = True
        return Fault.CRASH_BEFORE


def a_repeated_dead_letter_fails_no_task() -> None:
    """Five hand-backs, and the decider dies when it has taken in that the queue gave the message up."""
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    left = [5]

    def behave(message: TaskMessage) -> Outcome:
        left[0] -= 1
        return Outcome(is_handed_back=True) if left[0] >= 0 else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = _start(world, workload)
    DiesAfterRecord(world, watcher, lambda record: any(isinstance(event, TaskDeadLettered) for event in record.events))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "hand-backs never count as lost leases", watcher.last[execution].head)


def five_lost_leases_fail_an_attempt() -> None:
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    SdkWorker(world, lambda _message: Outcome(is_lost=True))
    execution = _start(world, workload)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "FAILED" and "5 leases were lost" in (head.reason or ""), "five lost leases fail an attempt", head)


def a_task_of_a_dead_worker_is_finished_by_another() -> None:
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    died_ms: list[int] = []

    def behave(message: TaskMessage) -> Outcome:
        if not died_ms:
            died_ms.append(world.now_ms)
            return Outcome(is_lost=True, is_slow=True)
        return Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = _start(world, workload)
    world.run(limit_ms=3600_000)
    record = watcher.last[execution]
    require(record.head.status.value == "COMPLETED", "another worker finishes it", record.head)
    require(record.at_ms - died_ms[0] <= 31_000, "within the lease", record.at_ms - died_ms[0])


class Overtaken:
    """The journal of a delivery that another of the same message overtakes just before it writes; the other one dies when it has
    committed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._was_overtaken = False

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        if not self._was_overtaken:
            self._was_overtaken = True
            self._world.now_ms += 31_000
            with contextlib.suppress(Crash):
                advance.advance(replace(self._world.plain, queues=cast(Queues, Gone())), execution, record.events, is_redelivered=True)
        self._world.journal.append(execution, record, plain)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.journal, name)


class Gone:
    """The queues of a process that dies before it sends anything."""

    def __getattr__(self, name: str) -> Any:
        raise Crash(name)


def a_delivery_does_what_its_dead_twin_committed() -> None:
    watcher = Watcher()
    workload = one_task()
    workload.tasks.append({**workload.tasks[0], "name": "w0_t1", "taskReferenceName": "t1"})
    world = _world(workload, watcher)
    execution = _start(world, workload)
    done = TaskUpdated(place=watcher.last[execution].head.open["t0"].place, status=TaskStatus.COMPLETED)
    advance.advance(replace(world.plain, journal=cast(Journal, Overtaken(world))), execution, [done], is_redelivered=False)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "what the dead one committed is done", watcher.last[execution].head)


def a_far_timer_written_while_its_minute_is_moved_is_seen() -> None:
    """The writer chooses a bucket just beyond the mover's horizon, and writes when the horizon has just passed it."""
    world = World(1)
    execution = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000000")
    world.far_timers.begin_cursor(world.now_ms // 60_000)
    world.now_ms += 45_000 - world.now_ms % 60_000
    due_ms = world.now_ms + timers.SQS_DELAY_MAX_S * 1000 + 1000
    world.now_ms += 20_000  # the writer is slow; the minute is over
    timers.move_far_timers(world.plain)
    world.far_timers.put(FarTimer(due_ms, execution, 1))
    for _ in range(20):
        world.now_ms += 60_000
        timers.move_far_timers(world.plain)
    require(not world.far_timers.all(), "the mover skips no bucket", world.far_timers.all())


class SlowStart:
    """The first write waits; its writer dies at its next call."""

    def __init__(self) -> None:
        self._is_slowed = False

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if site == "journal.append" and not self._is_slowed:
            self._is_slowed = True
            return Fault.PAUSE
        return Fault.CRASH_BEFORE if has_paused else None


def a_guard_outlives_a_slow_start() -> None:
    """The start waits long between guard and commit, and dies after it."""
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher, SlowStart())
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.agenda.append((world.now_ms, _starting(world, workload)))
    # Others keep the start waiting for up to the 20 s that a function may spend between two calls.
    for second in range(1, 20):
        world.agenda.append((world.now_ms + second * 1000, Action("tick", lambda: None)))
    world.resume_after_ms = 20_000
    world.run(limit_ms=3600_000)
    require(watcher.last, "the start was committed")
    for record in watcher.last.values():
        require(record.head.status.value == "COMPLETED", "a start that died after its commit goes on", record.head)


class DyingStart:
    """The first writer dies when it has written."""

    def __init__(self) -> None:
        self._has_died = False

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if site == "journal.append" and not self._has_died:
            self._has_died = True
            return Fault.CRASH_AFTER
        return None


def a_call_that_ends_well_vouches_for_none_before_it() -> None:
    """The start dies before it arms the deadline's timer; a termination relies on that timer and does all of its own."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = World(1, faults=DyingStart(), on_append=watcher, retention_s=60)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)

    def terminate() -> None:
        (execution,) = watcher.last
        operate.terminate(world.ports, execution, "by the user", is_failure_workflow_wanted=False)

    world.agenda.append((world.now_ms, _starting(world, workload)))
    world.agenda.append((world.now_ms + 1000, Action("terminate", terminate)))
    world.run(limit_ms=3600_000)
    (record,) = watcher.last.values()
    require(record.head.status.value == "REMOVED", "what is kept for a time is removed in the end", record.head)


class DyingReaders:
    """Whoever reads a failed execution whole, to tell its failure workflow, dies: the first three of them."""

    def __init__(self) -> None:
        self._left = 3

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if site == "journal.scan" and self._left:
            self._left -= 1
            return Fault.CRASH_AFTER
        return None


def a_failure_workflow_starts_before_what_it_is_told_of_goes() -> None:
    """An execution fails at once, and is purged three minutes later; its start and the guard behind it die, and the guard's message
    comes back when that is over."""
    workload = one_task()
    workload.tasks = [
        {
            "name": "t0",
            "taskReferenceName": "t0",
            "type": "TERMINATE",
            "inputParameters": {"terminationStatus": "FAILED", "workflowOutput": {}},
        }
    ]
    workload.failure_workflow = "handler"
    plan = Plan(workloads=[workload], failure_name="handler", retention_s=60)
    run = run_plan(plan, seed=1, faults=DyingReaders())
    require(len(run.watcher.last) == 2, "the failure workflow ran", run.watcher.last.keys())


def a_timer_that_the_head_does_not_name_shows_what_is_due() -> None:
    """The execution's deadline has passed and its own timer is late: any other timer of that moment serves."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = _world(workload, watcher)
    execution = _start(world, workload)
    head = watcher.last[execution].head
    require(head.mark is not None, "a deadline is armed", head)
    world.now_ms += 25_000
    advance.advance(world.plain, execution, [TimerFired(timer=77, due_ms=world.now_ms)], is_redelivered=False)
    require(watcher.last[execution].head.status.value == "TIMED_OUT", "a stale timer shows what is due", watcher.last[execution].head)


def a_timer_that_the_head_does_not_name_arms_nothing() -> None:
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = _world(workload, watcher)
    execution = _start(world, workload)
    before = world.queues.size(world.queues.timers).total
    advance.advance(world.plain, execution, [TimerFired(timer=77, due_ms=world.now_ms)], is_redelivered=False)
    require(watcher.last[execution].seq == 1, "a stale timer with nothing due makes no record", watcher.last[execution])
    require(world.queues.size(world.queues.timers).total == before, "a stale timer arms nothing", world.queues.texts())


def a_message_from_a_slow_clock_proves_its_time() -> None:
    """The function that gets the firing has a clock that is an hour behind."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = _world(workload, watcher)
    execution = _start(world, workload)
    mark = watcher.last[execution].head.mark
    require(mark is not None, "a deadline is armed", execution)
    world.now_ms -= 3600_000
    if mark is not None:
        advance.advance(world.plain, execution, [TimerFired(timer=mark.timer, due_ms=mark.due_ms)], is_redelivered=False)
    require(watcher.last[execution].head.status.value == "TIMED_OUT", "a firing proves its time", watcher.last[execution].head)


def an_inputs_own_outputs_live_as_long_as_its_retries() -> None:
    """The second attempt reads again what the first one read."""
    workload = Workload(
        name="w0",
        tasks=[
            {"name": "w0_t0", "taskReferenceName": "t0", "type": "SIMPLE", "inputParameters": {}},
            {"name": "w0_t1", "taskReferenceName": "t1", "type": "SIMPLE", "inputParameters": {"x": "${t0.output.ref}"}},
        ],
        task_definitions=[{"name": "w0_t1", "retryCount": 5, "retryDelaySeconds": 0, "responseTimeoutSeconds": 600}],
        input={"a": 1},
        outputs={},
        seed=3,
        failing=0.0,
    )
    calm = workload.outcome
    workload.outcome = lambda ref, attempt, call: (  # type: ignore[method-assign]
        Outcome(status=TaskStatus.FAILED, output={}, reason="again") if ref == "t1" and attempt < 3 else calm(ref, attempt, 2)
    )
    run_plan(Plan([workload]), seed=1)


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


# --- operations


def a_result_of_before_a_rerun_changes_nothing() -> None:
    """A worker holds the task while its execution is terminated and run again from that very task, which keeps its id."""
    watcher = Watcher()
    workload = one_task()
    world = _world(workload, watcher)
    execution = _start(world, workload)
    (task_queue,) = world.queues.task_queues()
    (received,) = world.queues.receive(task_queue, 1, 0)
    message = TaskMessage.parse(received.text)
    operate.terminate(world.ports, execution, "by the user")
    revive.rerun(world.ports, execution, task_id=message.task_id)
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
    world = _world(workload, watcher)
    execution = _start(world, workload)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    begun = {
        change.fields["ref"]: ids.task_id(execution.workflow_id, record.seq, nth)
        for record in watcher.records[execution]
        for nth, change in enumerate(change for change in record.changes if change.is_new)
    }
    revive.rerun(world.ports, execution, task_id=begun["t0"])
    operate.terminate(world.ports, execution, "by the user")
    try:
        revive.rerun(world.ports, execution, task_id=begun["t1"])
    except InvalidInput:
        return
    require(False, "a task that a rerun took out of view is not run again", watcher.last[execution].head)


def a_pause_outlasts_its_deadlines_and_forgets_none() -> None:
    """A task's response timeout passes in the pause: nothing happens then, and it counts when the pause is over."""
    watcher = Watcher()
    workload = one_task()
    workload.task_definitions[0].update(responseTimeoutSeconds=10, timeoutPolicy="RETRY", retryCount=1, retryDelaySeconds=0)
    world = _world(workload, watcher)
    execution = _start(world, workload)
    (task,) = watcher.last[execution].head.open.values()
    advance.advance(world.plain, execution, [TaskStarted(place=task.place, op="take", is_leased=True)], is_redelivered=False)
    (task_queue,) = world.queues.task_queues()
    world.queues.delete(task_queue, [received.receipt for received in world.queues.receive(task_queue, 1, 0)])
    revive.pause(world.ports, execution)
    world.run(limit_ms=100_000)
    head, seq = watcher.last[execution].head, watcher.last[execution].seq
    require(head.status.value == "PAUSED" and "t0" in head.open and seq <= 4, "a pause waits and does not spin", seq, head)
    revive.resume(world.ports, execution)
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
        world = _world(workload, watcher)
        execution = _start(world, workload)
        (task,) = watcher.last[execution].head.open.values()
        revive.pause(world.ports, execution)
        advance.advance(world.plain, execution, [TaskUpdated(place=task.place, status=status, op="x")], is_redelivered=False)
        head = watcher.last[execution].head
        require(head.status.value == "PAUSED" and not head.open, "nothing advances in a pause", head)
        revive.resume(world.ports, execution)
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
    execution = _start(world, workload)
    (task,) = watcher.last[execution].head.open.values()
    DiesAfterRecord(world, watcher, lambda record: record.head.status.value == "FAILED")
    failed = TaskUpdated(place=task.place, status=TaskStatus.FAILED, op="x", reason="broke")
    with contextlib.suppress(Crash):
        world.agenda.append((world.now_ms, Action("dying", lambda: _advance(world, execution, failed))))
        world.run(limit_ms=10)
    require(watcher.last[execution].head.status.value == "FAILED", "the decider has written, and died", watcher.last[execution].head)
    revive.retry(world.plain, execution)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the retry went well", watcher.last[execution].head)
    handlers = [records for other, records in watcher.records.items() if other != execution]
    require(len(handlers) == 1, "the failure workflow of the former life ran", list(watcher.records))
    told = cast(WorkflowStarted, handlers[0][0].events[0]).input
    require(told["failureStatus"] == "FAILED", "it was told of the execution as it ended", told)


def _advance(world: World, execution: ExecutionId, event: TaskUpdated) -> None:
    advance.advance(world.ports, execution, [event], is_redelivered=False)


def a_revived_execution_is_kept() -> None:
    """The timer that was to remove it fires while it runs again, and it is removed when its own time is over."""
    watcher = Watcher()
    workload = one_task()
    world = World(1, on_append=watcher, retention_s=60)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    execution = _start(world, workload)
    operate.terminate(world.plain, execution, "by the user")
    began_ms = world.now_ms
    world.run(limit_ms=1000)
    revive.retry(world.plain, execution)
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
    world = _world(workload, watcher)
    failing = [True]

    def behave(message: TaskMessage) -> Outcome:
        is_bad = failing[0] and message.ref == "t0"
        return Outcome(status=TaskStatus.FAILED, output={}, reason="not now") if is_bad else Outcome(output={"n": 1})

    SdkWorker(world, behave)
    execution = _start(world, workload)
    world.run(limit_ms=100_000)
    require(watcher.last[execution].head.status.value == "FAILED", "a permissive task fails its execution", watcher.last[execution].head)
    failing[0] = False
    revive.retry(world.ports, execution)
    world.run(limit_ms=3600_000)
    head = watcher.last[execution].head
    require(head.status.value == "COMPLETED" and head.task_count == 4, "the retried task alone is run again", head)


class Saying:
    """The port ``Scripts``, told what to say."""

    def __init__(self, say: Callable[[Script], ScriptResult]) -> None:
        self.say = say

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [self.say(script) for script in scripts]


def _scripted(tasks: list[dict[str, Any]], say: Callable[[Script], ScriptResult], watcher: Watcher) -> tuple[World, ExecutionId]:
    workload = one_task()
    workload.tasks[:] = tasks
    world = World(1, on_append=watcher, scripts=Saying(say))
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    return world, _start(world, workload)


def _task(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    return {"name": "w0_t0", "taskReferenceName": ref, "type": kind, "inputParameters": {}, **fields}


def _inline(ref: str, source: str = "1") -> dict[str, Any]:
    return _task(ref, "INLINE", inputParameters={"evaluatorType": "javascript", "expression": source})


def a_look_that_was_left_is_done_by_the_next_decision() -> None:
    """With the last script that the decision may run a branch ends; nothing is left but to tell the join."""
    watcher = Watcher()
    branch = [_inline(f"i{n}") for n in range(SCRIPTS_MAX)]
    fork = [_task("f", "FORK_JOIN", forkTasks=[branch]), _task("j", "JOIN", joinOn=[branch[-1]["taskReferenceName"]])]
    world, execution = _scripted(fork, lambda _script: ScriptResult(1), watcher)
    require(not watcher.last[execution].head.todo, "only a look is left", watcher.last[execution].head)
    world.run(limit_ms=1000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the join was looked at", watcher.last[execution].head)


def branches_that_were_left_read_what_came_before() -> None:
    """Of a dynamic fork, whose branches no definition names."""
    watcher = Watcher()
    made = [*(_inline(f"i{n}") for n in range(SCRIPTS_MAX)), _task("b", inputParameters={"seen": "${early.output.result}"})]
    fork = _task("f", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="dt", dynamicForkTasksInputParamName="di")
    fork["inputParameters"] = {"dt": "${workflow.input.branches}", "di": {}}
    workload = one_task()
    workload.input["branches"] = made
    workload.tasks[:] = [_inline("early", "e"), fork, _task("j", "JOIN", joinOn=[])]
    world = World(1, on_append=watcher, scripts=Saying(lambda script: ScriptResult(script.source)))
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    execution = _start(world, workload)
    seen: list[Any] = []

    def behave(message: TaskMessage) -> Outcome:
        seen.append(message.input)
        return Outcome(output={})

    SdkWorker(world, behave)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the branches were run", watcher.last[execution].head)
    require(seen == [{"seen": "e"}], "a branch reads what came before the fork", seen)


def what_a_failure_kept_from_beginning_is_begun_once() -> None:
    """A script in a fork fails before the other branch and the join have begun. A retry begins them; a restart does, too, and not twice."""
    for revival in (revive.retry, revive.restart):
        watcher = Watcher()
        said = [ScriptResult(error="not now")]
        fork = [_task("f", "FORK_JOIN", forkTasks=[[_inline("a")], [_task("b")]]), _task("j", "JOIN", joinOn=["a", "b"])]
        world, execution = _scripted(fork, lambda _script, said=said: said[0], watcher)
        require(watcher.last[execution].head.status.value == "FAILED", "the script fails its execution", watcher.last[execution].head)
        said[0] = ScriptResult(1)
        revival(world.ports, execution)
        SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
        world.run(limit_ms=3600_000)
        head = watcher.last[execution].head
        began = [change.fields["ref"] for change in watcher.records[execution][1].changes if change.is_new]
        wanted = ["a", "b", "j"] if revival is revive.retry else ["f", "a", "b", "j"]
        require(head.status.value == "COMPLETED" and began == wanted, "what had not begun begins once", began, head)


SCENARIOS: list[Scenario] = [
    a_look_that_was_left_is_done_by_the_next_decision,
    branches_that_were_left_read_what_came_before,
    what_a_failure_kept_from_beginning_is_begun_once,
    twenty_hand_backs_do_not_fail_a_task,
    a_newer_message_waits_for_a_newer_worker,
    a_fleet_half_way_through_its_upgrade_gets_on,
    a_repeated_dead_letter_fails_no_task,
    five_lost_leases_fail_an_attempt,
    a_task_of_a_dead_worker_is_finished_by_another,
    a_delivery_does_what_its_dead_twin_committed,
    a_far_timer_written_while_its_minute_is_moved_is_seen,
    a_guard_outlives_a_slow_start,
    a_call_that_ends_well_vouches_for_none_before_it,
    a_failure_workflow_starts_before_what_it_is_told_of_goes,
    a_timer_that_the_head_does_not_name_shows_what_is_due,
    a_timer_that_the_head_does_not_name_arms_nothing,
    a_message_from_a_slow_clock_proves_its_time,
    an_inputs_own_outputs_live_as_long_as_its_retries,
    a_join_in_a_loop_waits_for_the_branches_of_this_iteration,
    *system_tasks.SCENARIOS,
    a_result_of_before_a_rerun_changes_nothing,
    what_a_rerun_took_out_of_view_is_not_run_again,
    a_pause_outlasts_its_deadlines_and_forgets_none,
    a_pause_keeps_what_came_due_in_it,
    a_retry_does_not_forget_the_failure_workflow,
    a_revived_execution_is_kept,
    a_retry_beside_the_flow_begins_nothing_twice,
    *family_scenarios.SCENARIOS,
]
