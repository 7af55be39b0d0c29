"""One schedule: a world, a workload, users and workers, faults, all drawn from one seed; run to the end and judged."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from batuta_core.decider import segments
from batuta_core.engine import catalog
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.export import export
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.ports import Incoming, NullLog, Outgoing
from batuta_core.engine.replay import replay
from batuta_core.model.command import StartFailureWorkflow
from batuta_core.model.error import BatutaError, TokenRefused
from batuta_core.model.event import TimerFired, WorkflowStarted
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import StoppedByParent
from batuta_core.model.message import InboxMessage, NotOurs, TaskMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Faults, Hits, NoFaults, RandomFaults
from batuta_core.simulator.worker import HttpWorker, Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation import comparison, family, invariants, told_events, users
from tests.simulation.limits import CROWD, LimitWatcher, draw_limits
from tests.simulation.plan import NAMESPACE, Plan, Run, draw_plan, draw_priorities
from tests.simulation.scripts import MEMO
from tests.simulation.workload import Workload, failure_definition

PATIENCE_MS = 12 * 24 * 3600 * 1000  # longer than retries in retries in retries take; the resending of old messages comes a day later


def run_seed(seed: int, hits: Hits | None = None, trace: list[str] | None = None, runs: list[Run] | None = None) -> Run:
    """Raises Violation, or whatever else went wrong. ``runs`` gets the run before it begins, to be looked at when it fails."""
    random = Random(seed)
    is_wide = seed % 3 == 0
    plan = draw_plan(random, is_wide=is_wide)
    draw_limits(Random(seed + 2), plan)
    draw_priorities(Random(seed + 3), plan)
    faults: Faults = RandomFaults(Random(seed + 1), rate=random.choice((0.05, 0.1, 0.2)), budget=random.randint(4, 14))
    if plan.is_calm:
        faults = NoFaults()
    if not is_wide:
        return run_plan(plan, seed, faults, hits, trace, runs)
    with narrow(wide=seed % 2 + 2):  # then every dynamic fork of more branches has segments
        return run_plan(plan, seed, faults, hits, trace, runs)


@contextlib.contextmanager
def narrow(wide: int = 2, width: int = 2, most: int = 2) -> Iterator[None]:
    """Forks of more than ``wide`` branches run as segments of ``width``, and ``most`` of these at once."""
    before = segments.WIDE, segments.WIDTH, segments.SEGMENTS_MAX
    segments.WIDE, segments.WIDTH, segments.SEGMENTS_MAX = wide, width, most
    try:
        yield
    finally:
        segments.WIDE, segments.WIDTH, segments.SEGMENTS_MAX = before


def run_plan(
    plan: Plan,
    seed: int,
    faults: Faults | None = None,
    hits: Hits | None = None,
    trace: list[str] | None = None,
    runs: list[Run] | None = None,
) -> Run:
    """Raises Violation, or whatever else went wrong."""
    watcher = invariants.Watcher()
    world = World(
        seed,
        faults=faults or NoFaults(),
        hits=hits,
        is_fifo_kept=plan.is_fifo_kept,
        skew_ms=plan.skew_ms,
        retention_s=plan.retention_s,
        log=StrictLog(),
        scripts=MEMO,
        on_append=functools.partial(_look_at_record, watcher),
    )
    world.trace = trace
    run = Run(world, watcher, has_new_limits=bool(plan.new_limits), priorities=plan.priorities)
    limits = LimitWatcher(world, watcher)
    for workload in (*plan.children, *plan.workloads):
        for definition in workload.task_definitions:
            limits.limit(definition)
    world.queues.on_send, world.queues.on_receive = limits.on_send, limits.on_receive
    if runs is not None:
        runs.append(run)
    for workload in (*plan.children, *plan.workloads):
        catalog.register_tasks(world.plain, NAMESPACE, workload.task_definitions) if workload.task_definitions else None
        catalog.register_workflows(world.plain, NAMESPACE, [workload.definition], no_javascript)
    told_events.listen(world.plain, NAMESPACE, [workload.name for workload in (*plan.children, *plan.workloads)])
    for workload in plan.workloads:
        world.agenda.append((world.now_ms, Action("start", functools.partial(users.start_until_answered, run, workload))))
    if plan.failure_name:
        catalog.register_workflows(world.plain, NAMESPACE, [failure_definition(plan.failure_name)], no_javascript)
    workers = _workers(world, plan)
    resumer = users.Resumer(run)
    world.sources.append(resumer.ready)
    world.wakers.append(resumer.wakes)
    signaller = users.Signaller(run)
    world.sources.append(signaller.ready)
    world.wakers.append(signaller.wakes)
    if plan.has_operations:
        users.draw_operations(run, plan)
    for moment_ms, changed in plan.new_limits:
        world.agenda.append((world.now_ms + moment_ms, Action("limits", functools.partial(users.change_limits, run, limits, changed))))
    world.on_step = lambda: _look(run)
    world.on_done = functools.partial(_look_at_fired, run)
    if not plan.is_calm:
        users.Forger(run)
    elif not any(
        workload.late_types for workload in (*plan.workloads, *plan.children)
    ):  # where a queue is missing, all of a decision is sent again
        world.queues.on_send = _each(limits.on_send, _Once(has_new_limits=bool(plan.new_limits)))
    world.run()
    limits.nothing_is_left()
    _judge(run, plan, [report for worker in workers for report in worker.reports])
    told_events.each_has_its_effect_once(world, watcher)
    return run


def _look_at_record(watcher: invariants.Watcher, execution: ExecutionId, record: Record) -> None:
    last = watcher.last.get(execution)
    watcher(execution, record)
    family.look_at_family(last, record)


def _look(run: Run) -> None:
    if not run.world.is_busy:
        invariants.nothing_stalls(run.world, run.watcher, functools.partial(users.is_signal, run))


def _look_at_fired(run: Run, queue: str, done: list[Incoming]) -> None:
    if queue == run.world.queues.inbox and not run.world.skew_ms and not run.world.is_busy:
        for received in done:
            try:
                message = InboxMessage.parse(received.text, run.world.plain.signer)
            except (TokenRefused, NotOurs):
                continue
            if isinstance(message.event, TimerFired):
                invariants.a_fired_timer_is_acted_upon(run.watcher, message.execution, message.event.due_ms)


def _each(*heard: Callable[[str, Outgoing], None]) -> Callable[[str, Outgoing], None]:
    def hear(queue: str, message: Outgoing) -> None:
        for one in heard:
            one(queue, message)

    return hear


class _Once:
    """Without faults nothing is sent twice: no task, no timer, no event but a child's end."""

    def __init__(self, *, has_new_limits: bool) -> None:
        self._sent: set[tuple[str, str]] = set()
        self._has_new_limits = has_new_limits

    def __call__(self, queue: str, message: Outgoing) -> None:
        key = (queue, message.text)
        if '"child_ended"' in message.text:
            return  # a stop that crosses the end is answered with it once more
        if '"due":0}' in message.text or '"wf":"","rec":0,"gate"' in message.text:
            return  # limits that were changed twice
        if self._has_new_limits and '"wf":""' in message.text and '"due":' in message.text:
            return  # a gate looks again when the old window is over; in shorter ones it may come to that moment, too
        invariants.require(key not in self._sent, "without faults nothing is sent twice", queue, message.text)
        self._sent.add(key)


def _judge(run: Run, plan: Plan, reports: list[Any]) -> None:
    _judge_children(run, plan, reports)
    for workload in plan.workloads:
        execution = run.executions.get(workload.name)
        invariants.require(execution is not None, "an execution that was asked for until it was accepted is there", workload.name)
        record = run.watcher.last.get(execution) if execution else None
        invariants.require(record is not None, "an accepted start is in the journal", execution)
        if execution is None or record is None:
            return
        invariants.require(record.head.status.is_terminal, "everything ends", execution, record.seq, record.head)
        frozen = graph_of(run.world.plain, NAMESPACE, record.head.definition).definition

        def said(ref: str, attempt: int, workload: Workload = workload) -> list[tuple[TaskStatus, Mapping[str, Any]]]:
            return [(outcome.status, outcome.output) for outcome in (workload.outcome(ref, attempt, call) for call in range(3))]

        is_removed = record.head.status is WorkflowStatus.REMOVED
        invariants.require(not plan.retention_s or is_removed, "what is kept for a time is removed in the end", execution, record.head)
        if is_removed:
            invariants.nothing_is_left(run.world, execution)
        if is_removed and any(other.large for other in (workload, *plan.children)):
            continue  # some of what would be compared is gone
        lasted_ms = (record.head.ended_ms or record.at_ms) - record.head.created_ms
        invariants.require(is_removed or lasted_ms < PATIENCE_MS, "nothing waits for the last resorts", execution, lasted_ms)
        folded = comparison.journal_is_right(run.world, run.watcher, execution, said, reports, frozen, workload.input)
        if not is_removed:
            difference = replay(export(run.world.plain, execution), MEMO)
            invariants.require(difference is None, "the journal is decided again with the same records", execution, difference)
            summary = run.world.summaries.get(execution)
            invariants.require(summary is not None and summary.status is folded.status, "the summary says how it ended", execution, summary)
        _judge_failure_workflow(run, execution, folded.output)
        for ended in run.watcher.records[execution]:
            for command in ended.commands:
                if isinstance(command, StartFailureWorkflow):
                    _judge_failure_workflow(run, execution, {"conductor.failure_workflow": command.workflow_id})


def _judge_children(run: Run, plan: Plan, reports: list[Any]) -> None:
    family.families_are_right(run.world, run.watcher)
    by_name = {child.name: child for child in plan.children}
    for execution, records in run.watcher.records.items():
        started = records[0].events[0]
        if not isinstance(started, WorkflowStarted) or (started.name not in by_name and not is_segment(started.definition)):
            continue
        last = records[-1]
        is_removed = last.head.status is WorkflowStatus.REMOVED
        if is_removed:
            invariants.nothing_is_left(run.world, execution)
        elif difference := replay(export(run.world.plain, execution), MEMO):
            raise invariants.Violation(f"the journal is decided again with the same records: {execution} {difference}")
        if is_removed and any(other.large for other in (*plan.workloads, *plan.children)):
            continue
        if is_segment(started.definition):  # which is judged with the execution that forked
            continue
        workload = by_name[started.name]
        is_stillborn = any(isinstance(event, StoppedByParent) for event in records[0].events)
        if is_stillborn:
            invariants.require(not records[0].changes, "a child that is stopped before it begins does nothing", execution, records[0])
            continue

        def said(ref: str, attempt: int, workload: Workload = workload) -> list[tuple[TaskStatus, Mapping[str, Any]]]:
            return [(outcome.status, outcome.output) for outcome in (workload.outcome(ref, attempt, call) for call in range(3))]

        frozen = graph_of(run.world.plain, NAMESPACE, last.head.definition).definition
        given = comparison.loaded(run.world, execution, started.input)
        folded = comparison.journal_is_right(run.world, run.watcher, execution, said, reports, frozen, given)
        _judge_failure_workflow(run, execution, folded.output)


def _judge_failure_workflow(run: Run, execution: ExecutionId, output: Any) -> None:
    child = (output or {}).get("conductor.failure_workflow")
    if child is not None:
        record = run.watcher.last.get(ExecutionId(NAMESPACE, child))
        invariants.require(record is not None and record.head.status.is_terminal, "the failure workflow ran", execution, child)
        told = getattr(run.watcher.records[ExecutionId(NAMESPACE, child)][0].events[0], "input", None)
        status = told.get("failureStatus") if isinstance(told, dict) else "FAILED"
        is_ended = status in ("FAILED", "TIMED_OUT", "TERMINATED", "REMOVED")
        invariants.require(is_ended, "a failure workflow is told how it ended", execution, child, status)


class StrictLog(NullLog):
    """No decision may fail for anything but a service below."""

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        if not isinstance(error, BatutaError) or not error.retryable:
            raise invariants.Violation(f"deciding does not fail: {event} {error!r} {facts}") from error


# --- workers


def _workers(world: World, plan: Plan) -> list[SdkWorker | HttpWorker]:
    by_name = {
        workload.name.rstrip("0123456789") if workload.name.startswith(CROWD) else workload.name: workload
        for workload in (*plan.workloads, *plan.children)
    }
    random = world.random

    def outcome(task_type: str, ref: str, attempt: int, call: int) -> Outcome:
        if random.random() < plan.is_losing:
            return Outcome(is_lost=True)
        if random.random() < plan.is_handing_back:
            return Outcome(is_handed_back=True)
        workload = by_name.get(task_type.split("_")[0])
        return workload.outcome(ref, attempt, call) if workload else Outcome(output={"handled": ref})

    def for_sdk(message: TaskMessage) -> Outcome:
        return outcome(message.task_type, message.ref, message.attempt, message.call)

    def for_http(task: Mapping[str, Any]) -> Outcome:
        return outcome(task["taskType"], task["referenceTaskName"], task["retryCount"] + 1, task["pollCount"] - 1)

    def types() -> list[tuple[str, str]]:
        late = [name for workload in (*plan.workloads, *plan.children) for name in workload.late_types]
        return [(NAMESPACE, name) for name in (*world.definitions.tasks(NAMESPACE), *late, f"{plan.failure_name}_h")]

    found: list[SdkWorker | HttpWorker] = []
    if plan.has_sdk:
        found.append(SdkWorker(world, for_sdk))
    if plan.has_http:
        found.append(HttpWorker(world, for_http, types))
    return found
