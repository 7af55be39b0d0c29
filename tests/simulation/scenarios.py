"""Schedules told step by step, for what a random one would seldom meet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from batuta_core.engine import advance, catalog, operate, operations, timers
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.ports import FarTimer, Incoming, Journal, Queues
from batuta_core.model.event import TaskUpdated, TimerFired
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Crash, Fault
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation import (
    again_scenarios,
    end_scenarios,
    event_scenarios,
    family_scenarios,
    flow_scenarios,
    fork_scenarios,
    limit_scenarios,
    operation_scenarios,
    payload_scenarios,
    priority_scenarios,
    revival_scenarios,
    segment_scenarios,
    system_tasks,
    worker_scenarios,
)
from tests.simulation.invariants import Watcher, require
from tests.simulation.plan import NAMESPACE, Plan
from tests.simulation.schedule import run_plan
from tests.simulation.stage import Once, begin, one_task, starting, world_of
from tests.simulation.workload import Workload

Scenario = Callable[[], None]


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
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    done = TaskUpdated(place=watcher.last[execution].head.open["t0"].place, status=TaskStatus.COMPLETED)
    advance.advance(replace(world.plain, journal=cast(Journal, Overtaken(world))), execution, [done], is_redelivered=False)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "what the dead one committed is done", watcher.last[execution].head)


def a_batch_is_redelivered_if_one_of_its_messages_is() -> None:
    """The decider dies over the first task's result when that is written; it comes again behind a message that is new, and says nothing."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks.append({**workload.tasks[0], "name": "w0_t1", "taskReferenceName": "t1"})
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    done = TaskUpdated(place=watcher.last[execution].head.open["t0"].place, status=TaskStatus.COMPLETED)
    with contextlib.suppress(Crash):
        advance.advance(replace(world.plain, queues=cast(Queues, Gone())), execution, [done], is_redelivered=False)
    events = (TimerFired(timer=77, due_ms=world.now_ms), done)
    texts = [InboxMessage(execution=execution, event=event).to_text(world.plain.signer) for event in events]
    batch = [Incoming(f"m{place}", text, f"r{place}", receives=place + 1, group=str(execution)) for place, text in enumerate(texts)]
    require(not advance.advance_batch(world.plain, batch), "the batch is dealt with", batch)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "the second task is sent after all", watcher.last[execution].head)


def nothing_is_sent_of_what_was_not_written() -> None:
    """The decider dies before it writes what follows from the first task's result, and comes back."""
    watcher = Watcher()
    workload = one_task()
    workload.tasks.append({**workload.tasks[0], "name": "w0_t1", "taskReferenceName": "t1"})
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    done = TaskUpdated(place=watcher.last[execution].head.open["t0"].place, status=TaskStatus.COMPLETED)
    world.queues.ensure_task_queue(queue := task_queue_name("sim", NAMESPACE, "w0_t1"))

    class Dying:
        """The journal of a process that dies over its write."""

        def append(self, *_record: object) -> None:
            raise Crash("journal.append")

        def __getattr__(self, name: str) -> Any:
            return getattr(world.journal, name)

    with contextlib.suppress(Crash):
        advance.advance(replace(world.plain, journal=cast(Journal, Dying())), execution, [done], is_redelivered=True)
    require(world.queues.size(queue).total == 0, "nothing starts that was not committed", world.queues.texts())
    advance.advance(world.plain, execution, [done], is_redelivered=True)
    require(world.queues.size(queue).total == 1, "it is sent when it is", world.queues.texts())


def a_mark_stands_until_its_timer_fires() -> None:
    """A user's call comes when the deadline has passed and its timer is on its way."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    mark = watcher.last[execution].head.mark
    require(mark is not None, "a deadline is armed", execution)
    world.now_ms += 21_000
    operations.update_variables(world.ports, execution, {"by": "a user"})
    require(watcher.last[execution].head.mark == mark, "no clock judges whether a timer is alive", watcher.last[execution])


def a_task_of_a_type_that_nobody_knew_is_run() -> None:
    """It has no queue until somebody makes one, and then it is sent."""
    watcher = Watcher()
    workload = one_task()
    dynamic = {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC", "dynamicTaskNameParam": "which"}
    workload.tasks[:] = [{**dynamic, "inputParameters": {"which": "new"}}]
    world = world_of(workload, watcher)
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    execution = begin(world, workload)
    world.run(limit_ms=3600_000)
    require(watcher.last[execution].head.status.value == "COMPLETED", "it is sent", watcher.last[execution].head)


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
    world = world_of(workload, watcher, SlowStart())
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.agenda.append((world.now_ms, starting(world, workload)))
    # Others keep the start waiting for up to the 20 s that a function may spend between two calls.
    for second in range(1, 20):
        world.agenda.append((world.now_ms + second * 1000, Action("tick", lambda: None)))
    world.resume_after_ms = 20_000
    world.run(limit_ms=3600_000)
    require(watcher.last, "the start was committed")
    for record in watcher.last.values():
        require(record.head.status.value == "COMPLETED", "a start that died after its commit goes on", record.head)


def a_late_summary_brings_no_older_status_back() -> None:
    """The first summary waits before it is written, while others go on."""
    watcher = Watcher()
    workload = one_task()
    world = world_of(workload, watcher, Once("summaries.write", Fault.PAUSE))
    SdkWorker(world, lambda _message: Outcome(output={"n": 1}))
    world.agenda.append((world.now_ms, starting(world, workload)))
    for second in range(1, 10):
        world.agenda.append((world.now_ms + second * 1000, Action("tick", lambda: None)))
    world.resume_after_ms = 10_000
    world.run(limit_ms=3600_000)
    (execution,) = watcher.last
    require(watcher.last[execution].head.status.value == "COMPLETED", "it ended while the summary waited", watcher.last[execution].head)
    shown = world.summaries.get(execution)
    require(shown is not None and shown.status.value == "COMPLETED", "the summary says how it ended", shown)


def a_call_that_ends_well_vouches_for_none_before_it() -> None:
    """The start dies before it arms the deadline's timer; a termination relies on that timer and does all of its own."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = World(1, faults=Once("journal.append", Fault.CRASH_AFTER), on_append=watcher, retention_s=60)
    catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)

    def terminate() -> None:
        (execution,) = watcher.last
        operate.terminate(world.ports, execution, "by the user", is_failure_workflow_wanted=False)

    world.agenda.append((world.now_ms, starting(world, workload)))
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
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    head = watcher.last[execution].head
    require(head.mark is not None, "a deadline is armed", head)
    world.now_ms += 25_000
    advance.advance(world.plain, execution, [TimerFired(timer=77, due_ms=world.now_ms)], is_redelivered=False)
    require(watcher.last[execution].head.status.value == "TIMED_OUT", "a stale timer shows what is due", watcher.last[execution].head)


def a_timer_that_the_head_does_not_name_arms_nothing() -> None:
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = world_of(workload, watcher)
    execution = begin(world, workload)
    before = world.queues.size(world.queues.timers).total
    advance.advance(world.plain, execution, [TimerFired(timer=77, due_ms=world.now_ms)], is_redelivered=False)
    require(watcher.last[execution].seq == 1, "a stale timer with nothing due makes no record", watcher.last[execution])
    require(world.queues.size(world.queues.timers).total == before, "a stale timer arms nothing", world.queues.texts())


def a_message_from_a_slow_clock_proves_its_time() -> None:
    """The function that gets the firing has a clock that is an hour behind."""
    watcher = Watcher()
    workload = one_task(timeout_s=20)
    world = world_of(workload, watcher)
    execution = begin(world, workload)
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


SCENARIOS: list[Scenario] = [  # the quick ones first: a mutant is caught by the first that fails
    a_delivery_does_what_its_dead_twin_committed,
    a_batch_is_redelivered_if_one_of_its_messages_is,
    nothing_is_sent_of_what_was_not_written,
    a_mark_stands_until_its_timer_fires,
    a_task_of_a_type_that_nobody_knew_is_run,
    a_far_timer_written_while_its_minute_is_moved_is_seen,
    a_guard_outlives_a_slow_start,
    a_late_summary_brings_no_older_status_back,
    a_call_that_ends_well_vouches_for_none_before_it,
    a_failure_workflow_starts_before_what_it_is_told_of_goes,
    a_timer_that_the_head_does_not_name_shows_what_is_due,
    a_timer_that_the_head_does_not_name_arms_nothing,
    a_message_from_a_slow_clock_proves_its_time,
    an_inputs_own_outputs_live_as_long_as_its_retries,
    *worker_scenarios.SCENARIOS,
    *system_tasks.SCENARIOS,
    *flow_scenarios.SCENARIOS,
    *end_scenarios.SCENARIOS,
    *operation_scenarios.SCENARIOS,
    *limit_scenarios.SCENARIOS,
    *priority_scenarios.SCENARIOS,
    *family_scenarios.SCENARIOS,
    *revival_scenarios.SCENARIOS,
    *again_scenarios.SCENARIOS,
    *segment_scenarios.SCENARIOS,
    # Up to two seconds each.
    *fork_scenarios.SCENARIOS,
    *payload_scenarios.SCENARIOS,
    *event_scenarios.SCENARIOS,
]
