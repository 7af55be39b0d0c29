"""The users of a schedule: they start, operate, end pauses, signal; and one who may not, tries to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from batuta_core.engine import catalog, operate, operations, query
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.ports import Outgoing
from batuta_core.engine.start import IdempotencyStrategy, StartRequest, start
from batuta_core.model import ids
from batuta_core.model.error import BatutaError, OperationRefused, WorkflowNotFound
from batuta_core.model.event import TaskUpdated, TimerFired, WorkflowTerminated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record
from batuta_core.simulator.world import Action
from tests.simulation.limits import LimitWatcher
from tests.simulation.lives import USER_VARIABLE
from tests.simulation.plan import NAMESPACE, Plan, Run
from tests.simulation.workload import SIGNAL_TASK, Workload


def start_until_answered(run: Run, workload: Workload) -> None:
    """Starts with an idempotency key, again and again until the answer has come."""
    world = run.world
    again = (world.now_ms + 1000, Action("start", functools.partial(start_until_answered, run, workload)))
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


def change_limits(run: Run, limits: LimitWatcher, definition: dict[str, Any]) -> None:
    """Registers again and again until the answer has come."""
    world = run.world
    again = (world.now_ms + 1000, Action("limits", functools.partial(change_limits, run, limits, definition)))
    world.agenda.append(again)
    limits.limit(definition)
    catalog.register_tasks(world.ports, NAMESPACE, [definition])
    limits.limit(definition)  # a later change may have overtaken this one, and been written over
    if again in world.agenda:
        world.agenda.remove(again)


def draw_operations(run: Run, plan: Plan) -> None:
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


def _is_child(record: Record) -> bool:
    return record.head.about.parent is not None and not is_segment(record.head.definition)


def _any_child(run: Run) -> ExecutionId | None:
    found = sorted(execution for execution, record in run.watcher.last.items() if _is_child(record))
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
    found = sorted(execution for execution, record in last.items() if _is_child(record) and record.head.status.is_terminal)
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
    if node is not None and node.type.name == "FORK_JOIN_DYNAMIC":  # without a list of branches it ends the execution, and leaves no task
        has_input = False
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


def _register(run: Run, workload: Workload) -> None:
    """The same definitions once more, as a worker that starts does. Not where another user changes them."""
    if workload.task_definitions and not run.has_new_limits:
        catalog.register_tasks(run.world.ports, NAMESPACE, workload.task_definitions)
    catalog.register_workflows(run.world.ports, NAMESPACE, [workload.definition], no_javascript)


class Resumer:
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


def is_signal(run: Run, execution: ExecutionId, ref: str) -> bool:
    """Whether that task is one that ends when somebody signals."""
    graph = graph_of(run.world.plain, NAMESPACE, run.watcher.last[execution].head.definition)
    return ref in graph.nodes and bool(graph.node(ref).task["name"] == SIGNAL_TASK)


class Signaller:
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
                if is_signal(self._run, execution, ref):
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


_ENDLESS = "1e999"  # a number in JSON, and none that Python's int() takes
_STRANGE = ("noise", '{"v":1}', "[]", "[" * 5_000, f'{{"v":1,"ns":"sim","wf":"w","rec":{_ENDLESS}}}')


class Forger:
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
