"""One schedule: a world, a workload, users and workers, faults, all drawn from one seed; run to the end and judged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from batuta_core.engine import catalog, operate, operations, query
from batuta_core.engine.export import export
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.ports import Incoming, NullLog, Outgoing
from batuta_core.engine.replay import replay
from batuta_core.engine.start import IdempotencyStrategy, StartRequest, start
from batuta_core.model import ids
from batuta_core.model.command import StartFailureWorkflow
from batuta_core.model.error import BatutaError, OperationRefused, TokenRefused, WorkflowNotFound
from batuta_core.model.event import TaskUpdated, TimerFired, WorkflowStarted, WorkflowTerminated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import StoppedByParent
from batuta_core.model.message import InboxMessage, NotOurs, TaskMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record
from batuta_core.simulator.faults import Faults, Hits, NoFaults, RandomFaults
from batuta_core.simulator.worker import HttpWorker, Outcome, SdkWorker
from batuta_core.simulator.world import Action, World
from tests.simulation import family, invariants, told_events
from tests.simulation.limits import CROWD, LimitWatcher, draw_limits
from tests.simulation.lives import USER_VARIABLE
from tests.simulation.scripts import MEMO
from tests.simulation.workload import SIGNAL_TASK, Workload, draw, failure_definition

NAMESPACE = "sim"
PATIENCE_MS = 12 * 24 * 3600 * 1000  # longer than retries in retries in retries take; the resending of old messages comes a day later


def no_javascript(source: str) -> str | None:
    return None


@dataclass
class Plan:
    """What a schedule does besides its workload."""

    workloads: list[Workload]
    has_sdk: bool = True
    has_http: bool = False
    has_operations: bool = False
    retention_s: int = 0
    is_calm: bool = False  # no faults at all: then nothing may be sent twice
    is_losing: float = 0.0  # how likely a worker dies over a task
    is_handing_back: float = 0.0
    is_fifo_kept: bool = True
    skew_ms: int = 0
    failure_name: str = ""
    new_limits: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # task definitions registered anew, and when
    children: list[Workload] = field(default_factory=list)  # what tasks of the workloads, and of each other, start
    priorities: dict[str, int] = field(default_factory=dict)  # of workloads, by name


@dataclass
class Run:
    """A schedule that has been run."""

    world: World
    watcher: invariants.Watcher
    has_new_limits: bool = False
    priorities: Mapping[str, int] = field(default_factory=dict)
    executions: dict[str, ExecutionId] = field(default_factory=dict)  # workload name -> its execution


def draw_plan(random: Random) -> Plan:
    failure_name = "handler" if random.random() < 0.2 else ""
    has_timeouts = random.random() < 0.4
    workloads = [draw(random, f"w{n}", has_timeouts=has_timeouts, failure_workflow=failure_name) for n in range(random.choice((1, 1, 2)))]
    children = family.draw_family(random, workloads, failure_name) if random.random() < 0.4 else []
    kind = random.random()
    if random.random() < 0.1:
        return Plan(workloads=workloads, failure_name=failure_name, is_calm=True, children=children)
    return Plan(
        workloads=workloads,
        children=children,
        has_sdk=kind < 0.8,
        has_http=kind > 0.6,
        has_operations=random.random() < 0.4,
        retention_s=random.choice((60, 5000)) if random.random() < 0.15 else 0,
        is_losing=random.choice((0.0, 0.0, 0.1, 0.5)),
        is_handing_back=random.choice((0.0, 0.0, 0.2, 0.7)),
        is_fifo_kept=random.random() < 0.7,
        skew_ms=random.choice((0, 0, 3000)),
        failure_name=failure_name,
    )


def _draw_priorities(random: Random, plan: Plan) -> None:
    if random.random() < 0.3:
        plan.priorities = {workload.name: random.choice((0, 1, 99)) for workload in plan.workloads}


def run_seed(seed: int, hits: Hits | None = None, trace: list[str] | None = None, runs: list[Run] | None = None) -> Run:
    """Raises Violation, or whatever else went wrong. ``runs`` gets the run before it begins, to be looked at when it fails."""
    random = Random(seed)
    plan = draw_plan(random)
    draw_limits(Random(seed + 2), plan)
    _draw_priorities(Random(seed + 3), plan)
    faults: Faults = RandomFaults(Random(seed + 1), rate=random.choice((0.05, 0.1, 0.2)), budget=random.randint(4, 14))
    if plan.is_calm:
        faults = NoFaults()
    return run_plan(plan, seed, faults, hits, trace, runs)


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
        world.agenda.append((world.now_ms, Action("start", functools.partial(_start, run, workload))))
    if plan.failure_name:
        catalog.register_workflows(world.plain, NAMESPACE, [failure_definition(plan.failure_name)], no_javascript)
    workers = _workers(world, plan)
    resumer = _Resumer(run)
    world.sources.append(resumer.ready)
    world.wakers.append(resumer.wakes)
    signaller = _Signaller(run)
    world.sources.append(signaller.ready)
    world.wakers.append(signaller.wakes)
    if plan.has_operations:
        _draw_operations(run, plan)
    for moment_ms, changed in plan.new_limits:
        world.agenda.append((world.now_ms + moment_ms, Action("limits", functools.partial(_change_limits, run, limits, changed))))
    world.on_step = lambda: _look(run)
    world.on_done = functools.partial(_look_at_fired, run)
    if not plan.is_calm:
        _Forger(run)
    elif not any(
        workload.late_types for workload in (*plan.workloads, *plan.children)
    ):  # where a queue is missing, all of a decision is sent again
        world.queues.on_send = _each(limits.on_send, _Once())
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
        invariants.nothing_stalls(run.world, run.watcher, functools.partial(_is_signal, run))


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

    def __init__(self) -> None:
        self._sent: set[tuple[str, str]] = set()

    def __call__(self, queue: str, message: Outgoing) -> None:
        key = (queue, message.text)
        if '"child_ended"' in message.text:
            return  # a stop that crosses the end is answered with it once more
        if '"due":0}' in message.text or '"wf":"","rec":0,"gate"' in message.text:
            return  # limits that were changed twice
        invariants.require(key not in self._sent, "without faults nothing is sent twice", queue, message.text)
        self._sent.add(key)


_ENDLESS = "1e999"  # a number in JSON, and none that Python's int() takes
_STRANGE = ("noise", '{"v":1}', "[]", "[" * 5_000, f'{{"v":1,"ns":"sim","wf":"w","rec":{_ENDLESS}}}')


class _Forger:
    """Somebody who may send to the decider queue, and therefore tries: results without the task's token, and noise."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._left = run.world.random.choice((0, 0, 3))
        run.world.sources.append(self._ready)

    def _ready(self) -> list[Action]:
        return [Action("forger", self._forge)] if self._left and self._run.watcher.last else []

    def _forge(self) -> None:
        self._left -= 1
        world = self._run.world
        execution, record = world.random.choice(sorted(self._run.watcher.last.items(), key=lambda item: item[0]))
        places = [task.place for task in record.head.open.values()] or [TaskPlace(1, 0)]
        done = TaskUpdated(place=world.random.choice(places), status=TaskStatus.COMPLETED, output={"forged": True}, started_ms=1)
        old = world.plain.signer.task_token(execution, TaskPlace(99, 0), 1)
        texts = [
            *_STRANGE,
            InboxMessage(execution=execution, event=done, token=old, attempt=1).to_text(),
            InboxMessage(execution=execution, event=TimerFired(timer=1, due_ms=world.now_ms + 10**9), token=old, attempt=1).to_text(),
            InboxMessage(execution=execution, event=done, token=old, attempt=1).to_text().replace('"att":1', f'"att":{_ENDLESS}'),
            InboxMessage(execution=execution, event=WorkflowTerminated(op="forged"), token=old, attempt=1).to_text(),
        ]
        queue = world.random.choice((world.queues.inbox, world.queues.inbox, *world.queues.names()))
        is_fifo = queue.endswith(".fifo")
        outgoing = Outgoing(
            world.random.choice(texts), group=str(execution) if is_fifo else "", dedup=f"forged{self._left}" if is_fifo else ""
        )
        world.io("queues.send", world.queues.send, queue, [outgoing])


def _is_signal(run: Run, execution: ExecutionId, ref: str) -> bool:
    """Whether that task is one that ends when somebody signals."""
    graph = graph_of(run.world.plain, NAMESPACE, run.watcher.last[execution].head.definition)
    return ref in graph.nodes and bool(graph.node(ref).task["name"] == SIGNAL_TASK)


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
        folded = invariants.journal_is_right(run.world, run.watcher, execution, said, reports, frozen, workload.input)
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
        if not isinstance(started, WorkflowStarted) or started.name not in by_name:
            continue
        workload, last = by_name[started.name], records[-1]
        is_removed = last.head.status is WorkflowStatus.REMOVED
        if is_removed:
            invariants.nothing_is_left(run.world, execution)
        elif difference := replay(export(run.world.plain, execution), MEMO):
            raise invariants.Violation(f"the journal is decided again with the same records: {execution} {difference}")
        if is_removed and any(other.large for other in (*plan.workloads, *plan.children)):
            continue
        is_stillborn = any(isinstance(event, StoppedByParent) for event in records[0].events)
        if is_stillborn:
            invariants.require(not records[0].changes, "a child that is stopped before it begins does nothing", execution, records[0])
            continue

        def said(ref: str, attempt: int, workload: Workload = workload) -> list[tuple[TaskStatus, Mapping[str, Any]]]:
            return [(outcome.status, outcome.output) for outcome in (workload.outcome(ref, attempt, call) for call in range(3))]

        frozen = graph_of(run.world.plain, NAMESPACE, last.head.definition).definition
        given = family.loaded(run.world, execution, started.input)
        folded = invariants.journal_is_right(run.world, run.watcher, execution, said, reports, frozen, given)
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


# --- users


def _start(run: Run, workload: Workload) -> None:
    """Starts with an idempotency key, again and again until the answer has come."""
    world = run.world
    again = (world.now_ms + 1000, Action("start", functools.partial(_start, run, workload)))
    world.agenda.append(again)
    request = StartRequest(
        namespace=NAMESPACE,
        name=workload.name,
        input=workload.input,
        idempotency_key=workload.name,
        idempotency_strategy=IdempotencyStrategy.RETURN_EXISTING,
        priority=run.priorities.get(workload.name, 0),
    )
    workflow_id = start(request, world.ports, no_javascript)
    run.executions[workload.name] = ExecutionId(NAMESPACE, workflow_id)
    if again in world.agenda:
        world.agenda.remove(again)


def _change_limits(run: Run, limits: LimitWatcher, definition: dict[str, Any]) -> None:
    """Registers again and again until the answer has come."""
    world = run.world
    again = (world.now_ms + 1000, Action("limits", functools.partial(_change_limits, run, limits, definition)))
    world.agenda.append(again)
    limits.limit(definition)
    catalog.register_tasks(world.ports, NAMESPACE, [definition])
    limits.limit(definition)  # a later change may have overtaken this one, and been written over
    if again in world.agenda:
        world.agenda.remove(again)


def _draw_operations(run: Run, plan: Plan) -> None:
    random = run.world.random
    for workload in plan.workloads:
        if plan.children:
            by_hand = (_terminate_child, _remove_child, _end_by_hand, _terminate_child, _revive_child, _revive_child, _revive_child)
            for operation in random.sample(by_hand, random.randint(0, 4)):
                moment = run.world.now_ms + random.choice((10, 4000, 9000, 70_000))
                run.world.agenda.append((moment, Action(operation.__name__[1:], functools.partial(operation, run, workload))))
        calm = (_terminate, _remove, _read, _read, _write_log, _write_log, _register, _register)
        bold = (_pause, _pause, _terminate, _retry, _retry, _retry, _restart, _rerun, _rerun, _skip, _set_variable, _reset_callbacks)
        drawn = random.sample(calm, random.randint(1, 4)) if random.random() < 0.4 else random.choices(bold, k=random.randint(1, 7))
        for operation in drawn:
            moment = run.world.now_ms + random.choice((0, 10, 2000, 4000, 9000, 70_000, 71_000, 200_000))
            run.world.agenda.append((moment, Action(operation.__name__[1:], functools.partial(operation, run, workload))))


def _operation(work: Callable[[Run, ExecutionId], object]) -> Callable[[Run, Workload], None]:
    """A user's call on the workload's execution; what speaks against it is the user's business, a throttle the schedule's."""

    @functools.wraps(work)
    def call(run: Run, workload: Workload) -> None:
        execution = run.executions.get(workload.name)
        if execution is not None:
            try:
                work(run, execution)
            except BatutaError as error:
                if error.retryable:
                    raise

    return call


@_operation
def _terminate(run: Run, execution: ExecutionId) -> None:
    operate.terminate(run.world.ports, execution, "by the user", is_failure_workflow_wanted=run.world.random.random() < 0.2)


@_operation
def _remove(run: Run, execution: ExecutionId) -> None:
    operate.remove(run.world.ports, execution, is_archived=run.world.random.random() < 0.5)


def _any_child(run: Run) -> ExecutionId | None:
    found = sorted(execution for execution, record in run.watcher.last.items() if record.head.about.parent)
    return run.world.random.choice(found) if found else None


@_operation
def _terminate_child(run: Run, _execution: ExecutionId) -> None:
    if child := _any_child(run):
        operate.terminate(run.world.ports, child, "by the user")


@_operation
def _remove_child(run: Run, _execution: ExecutionId) -> None:
    if child := _any_child(run):
        operate.remove(run.world.ports, child, is_archived=run.world.random.random() < 0.2)


@_operation
def _revive_child(run: Run, _execution: ExecutionId) -> None:
    """A retry, a restart or a rerun of an execution that runs for a task of another."""
    random, last = run.world.random, run.watcher.last
    found = sorted(execution for execution, record in last.items() if record.head.about.parent and record.head.status.is_terminal)
    if found:
        child = random.choice(found)
        random.choice((_retry, _restart, _rerun)).__wrapped__(run, child)  # type: ignore[attr-defined]


@_operation
def _end_by_hand(run: Run, execution: ExecutionId) -> None:
    """A user reports on a task for which a child runs."""
    report = operate.TaskReport(status=TaskStatus.COMPLETED, output={"n": 1}, is_merged=True, callback_after_s=None)
    record = run.watcher.last[execution]
    for ref in [ref for ref, task in record.head.open.items() if task.child and ref.startswith("s")][:1]:
        operate.update_by_ref(run.world.ports, execution, ref, report)


@_operation
def _read(run: Run, execution: ExecutionId) -> None:
    shown = query.workflow_json(run.world.ports, execution)
    for task in shown["tasks"][:2]:
        query.log_lines(run.world.ports, execution.namespace, task["taskId"])


@_operation
def _write_log(run: Run, execution: ExecutionId) -> None:
    operate.add_log(run.world.ports, execution.namespace, ids.task_id(execution.workflow_id, 1, 0), "a line")


@_operation
def _pause(run: Run, execution: ExecutionId) -> None:
    operations.pause(run.world.ports, execution)


@_operation
def _retry(run: Run, execution: ExecutionId) -> None:
    operations.retry(run.world.ports, execution)


@_operation
def _restart(run: Run, execution: ExecutionId) -> None:
    operations.restart(run.world.ports, execution, is_latest=run.world.random.random() < 0.3)


@_operation
def _rerun(run: Run, execution: ExecutionId) -> None:
    """From the start or from a task of the present view, or of a former one."""
    random, tasks = run.world.random, run.watcher.tasks.get(execution, {})
    task = random.choice(list(tasks.values())) if tasks and random.random() < 0.8 else None
    place = task["place"] if task else None
    task_id = ids.task_id(execution.workflow_id, *place) if place else None
    graph = graph_of(run.world.plain, NAMESPACE, run.watcher.last[execution].head.definition)
    node = graph.nodes.get(task["ref"]) if task else None
    has_input = node is not None and not node.type.is_named_late and random.random() < 0.2  # such a one would become another's task
    operations.rerun(
        run.world.ports,
        execution,
        task_id=task_id,
        task_input={"p0": "of the rerun", "which": 1, "duration": "3s", "terminationStatus": "FAILED"} if has_input else None,
        workflow_input={"a": 2, "text": "again", "deep": {"k": [3, 4]}} if random.random() < 0.3 else None,
    )


@_operation
def _skip(run: Run, execution: ExecutionId) -> None:
    graph = graph_of(run.world.plain, NAMESPACE, run.watcher.last[execution].head.definition)
    outer = [node for node in graph.nodes.values() if node.type.is_fork or node.type.is_loop]
    alone = [
        ref for ref in graph.nodes if not any(graph.is_inside(ref, node) for node in outer)
    ]  # which round it was, nobody can tell later
    operations.skip(run.world.ports, execution, run.world.random.choice(alone))


@_operation
def _set_variable(run: Run, execution: ExecutionId) -> None:
    operations.update_variables(run.world.ports, execution, {USER_VARIABLE: run.world.random.randint(1, 9)})


@_operation
def _reset_callbacks(run: Run, execution: ExecutionId) -> None:
    operations.reset_callbacks(run.world.ports, execution)


class _Resumer:
    """A user who ends each pause some time later."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._due: dict[ExecutionId, int] = {}
        self._wait_ms = run.world.random.choice((10, 5000, 90_000, 1_000_000))

    def _paused(self) -> dict[ExecutionId, int]:
        self._due = {
            execution: self._due.get(execution, self._run.world.now_ms + self._wait_ms)
            for execution, record in self._run.watcher.last.items()
            if record.head.status is WorkflowStatus.PAUSED
        }
        return self._due

    def ready(self) -> list[Action]:
        now_ms = self._run.world.now_ms
        return [Action("resume", functools.partial(self._resume, execution)) for execution, due in self._paused().items() if due <= now_ms]

    def wakes(self) -> list[int]:
        return list(self._paused().values())

    def _resume(self, execution: ExecutionId) -> None:
        try:
            operations.resume(self._run.world.ports, execution)
        except (OperationRefused, WorkflowNotFound):
            pass


def _register(run: Run, workload: Workload) -> None:
    """The same definitions once more, as a worker that starts does. Not where another user changes them."""
    if workload.task_definitions and not run.has_new_limits:
        catalog.register_tasks(run.world.ports, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(run.world.ports, NAMESPACE, [workload.definition], no_javascript)


class StrictLog(NullLog):
    """No decision may fail for anything but a service below."""

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        if not isinstance(error, BatutaError) or not error.retryable:
            raise invariants.Violation(f"deciding does not fail: {event} {error!r} {facts}") from error


class _Signaller:
    """A user who signals to whatever waits for it, some seconds later."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._due: dict[tuple[ExecutionId, str], int] = {}

    def _waiting(self) -> dict[tuple[ExecutionId, str], int]:
        found = {}
        for execution, record in self._run.watcher.last.items():
            if record.head.status.is_terminal:
                continue
            for ref in record.head.open:
                if _is_signal(self._run, execution, ref):
                    found[execution, ref] = self._due.get((execution, ref), self._run.world.now_ms + 5000)
        self._due = found
        return found

    def ready(self) -> list[Action]:
        return [
            Action("signal", functools.partial(self._signal, *key))
            for key, due_ms in self._waiting().items()
            if due_ms <= self._run.world.now_ms
        ]

    def wakes(self) -> list[int]:
        return list(self._waiting().values())

    def _signal(self, execution: ExecutionId, ref: str) -> None:
        report = operate.TaskReport(status=TaskStatus.COMPLETED, output={"n": 1, "ref": ref}, is_merged=True, callback_after_s=None)
        try:
            operate.update_by_ref(self._run.world.ports, execution, ref, report)
        except WorkflowNotFound:
            pass


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
