"""What users and HTTP workers do to an execution: terminate it, remove it, report on its tasks.

An API call has no message that would come back after a crash. So before it commits a record with commands it sends a
guard, which looks after the record a minute later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batuta_core.decider.view import scheduling_change
from batuta_core.engine import segments, timers
from batuta_core.engine.dispatch import before_new_life, dispatch
from batuta_core.engine.external import taken_in
from batuta_core.engine.fetch import broken_by, decide_with, dump_json, read_records, spill
from batuta_core.engine.ports import LogLine, Ports, Refused
from batuta_core.model import ids
from batuta_core.model.error import (
    InvalidInput,
    OperationRefused,
    PayloadTooLarge,
    RecordTooLarge,
    TaskNotFound,
    Unavailable,
    WorkflowNotFound,
)
from batuta_core.model.event import (
    NO_TIMER,
    Event,
    TaskHeartbeat,
    TaskUpdated,
    TimerFired,
    WorkflowBroken,
    WorkflowRemoved,
    WorkflowTerminated,
)
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Head, OpenTask, Record, guarded

_TRIES = 30  # many HTTP workers may report on the branches of one execution at once; one of them wins each round

MakeEvent = Callable[[Record], Event | None]  # the newest record -> what to do to it, None: nothing is left to do
MakeEvents = Callable[[Record], Sequence[Event]]


def not_found(workflow_id: str) -> WorkflowNotFound:
    return WorkflowNotFound(f"No such workflow found by id: {workflow_id}", workflow_id=workflow_id)


def require_newest(ports: Ports, execution: ExecutionId) -> Record:
    """The newest record of an execution that exists; raises WorkflowNotFound."""
    newest = ports.journal.newest(execution) if ids.is_workflow_id(execution.workflow_id) else None
    if newest is None or newest.head.status is WorkflowStatus.REMOVED:
        raise not_found(execution.workflow_id)
    return newest


@dataclass(frozen=True, slots=True)
class Once:
    """An operation that may be asked for again by the same ``op``. It is done once: not when a record behind number ``since`` holds it."""

    op: str
    since: int

    def is_done(self, ports: Ports, execution: ExecutionId, newest: Record) -> bool:
        """By the time of ``newest``, which the operation's record would follow."""
        if newest.seq <= self.since:
            return False
        behind = (record for record in ports.journal.scan(execution, self.since + 1) if record.seq <= newest.seq)
        return any(getattr(event, "op", "") == self.op for record in behind for event in record.events)


def operate(
    ports: Ports, execution: ExecutionId, make_event: MakeEvent, once: Once | None = None, *, is_of_segment: bool = False
) -> Record:
    """Decides on one event and returns the record where the execution then stands.

    ``make_event`` looks at the newest record each time, and raises what speaks against the operation. With ``once`` it is not asked when
    the operation is done already. ``is_of_segment``: the execution may be a segment of a wide fork, which no user names.
    """

    def make(newest: Record) -> Sequence[Event]:
        if is_segment(newest.head.definition) and not is_of_segment:
            raise not_found(execution.workflow_id)
        event = None if once is not None and once.is_done(ports, execution, newest) else make_event(newest)
        return [event] if event else []

    return operate_together(ports, execution, make)


def operate_together(ports: Ports, execution: ExecutionId, make_events: MakeEvents) -> Record:
    """The same with several events, in one decision and one record. Raises RecordTooLarge when that is what makes it too large."""
    began_ms = ports.clock.now_ms()
    for tries in range(_TRIES):
        newest = require_newest(ports, execution)
        events = make_events(newest)
        decision = decide_with(ports, execution, newest, events) if events else None
        if decision is None or decision.record is None:
            return newest
        is_guarded = bool(decision.record.commands)
        try:
            record, raw = spill(ports, execution, guarded(decision.record) if is_guarded else decision.record)
        except RecordTooLarge as error:
            if (
                newest.head.status.is_terminal or len(events) > 1 or isinstance(events[0], WorkflowBroken)
            ):  # a retry, say: it stays as it is
                raise
            return _break(ports, execution, broken_by(error, getattr(events[0], "op", "")))
        before_new_life(ports, execution, newest, record)
        if is_guarded:
            timers.send_guard(ports, execution, record.seq)
        if ports.clock.now_ms() - began_ms > timers.WRITER_LIFE_MS:
            raise Unavailable(f"{execution}: the call took longer than its guard waits; nothing was done")
        try:
            ports.journal.append(execution, record, raw)
        except Refused as refused:
            if not _is_own(refused.existing, events):
                ports.clock.pause(tries)
                continue
        dispatch(ports, execution, record, record.commands, is_guarded=is_guarded)
        return record
    raise Unavailable(f"{execution}: {_TRIES} decisions in a row were overtaken")


def _break(ports: Ports, execution: ExecutionId, broken: WorkflowBroken) -> Record:
    """Ends an execution that cannot go on: the caller's word stands, and what it led to is told by the execution itself."""
    return operate(ports, execution, lambda newest: None if newest.head.status.is_terminal else broken, is_of_segment=True)


def _is_own(existing: Record, events: Sequence[Event]) -> bool:
    """Whether the record that refused ours is ours: a write whose reply was lost."""
    ops = {getattr(event, "op", "") for event in events} - {""}
    return any(getattr(other, "op", "") in ops for other in existing.events)


# --- executions


def terminate(
    ports: Ports, execution: ExecutionId, reason: str | None, *, is_failure_workflow_wanted: bool = False, once: Once | None = None
) -> None:
    """Ends the execution; raises OperationRefused for a completed one, does nothing to a terminated one."""
    op = once.op if once else ports.ids.op()

    def make(newest: Record) -> Event | None:
        if newest.head.status is WorkflowStatus.COMPLETED:
            raise OperationRefused("Cannot terminate a COMPLETED workflow.", workflow_id=execution.workflow_id)
        if newest.head.status is WorkflowStatus.TERMINATED:
            return None
        return WorkflowTerminated(op=op, reason=reason, is_failure_workflow_wanted=is_failure_workflow_wanted)

    operate(ports, execution, make, once)


def look(ports: Ports, execution: ExecutionId) -> None:
    """Looks at the deadlines now, as Conductor's ``decide`` does. Where none has passed, that is one read."""

    def make(newest: Record) -> Event | None:
        is_running = newest.head.status is WorkflowStatus.RUNNING
        has_deadline = any(task.deadline_ms for task in newest.head.open.values())
        return TimerFired(timer=NO_TIMER, due_ms=ports.clock.now_ms()) if is_running and has_deadline else None

    operate(ports, execution, make)


def remove(ports: Ports, execution: ExecutionId, *, is_archived: bool) -> None:
    """Deletes the execution with all that it left. ``is_archived``: only an ended one, as Conductor's default wants."""
    op = ports.ids.op()

    def make(newest: Record) -> Event | None:
        status = newest.head.status
        if is_archived and not status.is_terminal:
            raise InvalidInput(f"Cannot archive workflow: {execution.workflow_id} with status: {status.value}")
        return WorkflowRemoved(op=op)

    operate(ports, execution, make)


# --- tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What a worker or a user says of a task over HTTP."""

    status: TaskStatus
    output: Mapping[str, Any]
    reason: str | None = None
    worker_id: str | None = None
    callback_after_s: int | None = 0
    logs: Sequence[Mapping[str, Any]] = ()
    is_merged: bool = False
    is_lease_extended: bool = False
    external_output: str | None = None  # the path that it was uploaded to, in place of ``output``


def update_task(ports: Ports, namespace: str, workflow_id: str, task_id: str, report: TaskReport, once: Once | None = None) -> None:
    """Raises WorkflowNotFound and TaskNotFound; a task that has ended stays as it is."""
    _check_size(report)
    key = ids.parse_task_id(task_id)
    execution = segments.execution_of(ports, namespace, workflow_id, key)
    op = once.op if once else ports.ids.op()
    uploaded = _uploaded(ports, execution, key, report)

    def make(newest: Record) -> Event | None:
        if key is None or key.workflow_id != execution.workflow_id:
            raise TaskNotFound(f"No such task found by id: {task_id}", task_id=task_id)
        place = _open_place(newest.head, (key.record, key.nth))
        if place is None:
            _require_scheduled(ports, execution, TaskPlace(key.record, key.nth), task_id)
            return None
        return TaskHeartbeat(place=place, op=op) if report.is_lease_extended else _event(place, op, report, uploaded)

    operate(ports, execution, make, once, is_of_segment=True)


def _uploaded(ports: Ports, execution: ExecutionId, key: ids.TaskKey | None, report: TaskReport) -> Any:
    """The output that was uploaded, as the execution keeps it; None where there is none, or nobody who wants it."""
    if report.external_output is None or report.is_lease_extended:
        return None
    head = require_newest(ports, execution).head
    if key is None or key.workflow_id != execution.workflow_id or _open_place(head, (key.record, key.nth)) is None:
        return None  # what is said of it is said below
    return taken_in(ports, execution, report.external_output, "the output")


def update_by_ref(ports: Ports, execution: ExecutionId, ref: str, report: TaskReport, once: Once | None = None) -> str | None:
    """Reports on the open task of that reference name: its id, or None when there is none. Raises WorkflowNotFound."""
    return _report(ports, execution, lambda head: pending_by_ref(head, ref), report, once)


def signal(ports: Ports, execution: ExecutionId, report: TaskReport, is_signalled: Callable[[str], bool]) -> str | None:
    """Reports on the first open task that waits for a signal: its id, or None when nothing waits.

    ``is_signalled`` says of a reference name whether its task waits for signals.
    """

    def first(head: Head) -> OpenTask | None:
        return min((task for task in head.open.values() if is_signalled(task.ref)), key=lambda task: task.number, default=None)

    return _report(ports, execution, first, report)


def _report(
    ports: Ports, execution: ExecutionId, choose: Callable[[Head], OpenTask | None], report: TaskReport, once: Once | None = None
) -> str | None:
    """Reports on the open task that ``choose`` finds in the execution, or in a segment of it: its id."""
    _check_size(report)
    op = once.op if once else ports.ids.op()

    def at(there: ExecutionId) -> tuple[str | None, Record]:
        found: list[str] = []

        def make(newest: Record) -> Event | None:
            task = choose(newest.head)
            found[:] = [ids.task_id(there.workflow_id, *task.place)] if task else found
            return _event(task.place, op, report) if task else None

        newest = operate(ports, there, make, once, is_of_segment=there != execution)
        return (found[0] if found else None), newest

    task_id, newest = at(execution)
    if task_id is not None:
        return task_id
    below = segments.open_below(ports, execution, newest)
    return next((at(segment)[0] for segment, found in below if choose(found.head) is not None), None)


def pending_by_ref(head: Head, ref: str) -> OpenTask | None:
    """The open task of that reference name, with the number of its iteration or without."""
    return next((task for task in head.open.values() if ref in (task.ref, task.shown_ref)), None)


def add_log(ports: Ports, namespace: str, task_id: str, text: str) -> None:
    """A log line of a task; raises TaskNotFound for an id that is none of ours."""
    key = ids.parse_task_id(task_id)
    if key is None:
        raise TaskNotFound(f"Task not found for taskId: {task_id}", task_id=task_id)
    execution = ExecutionId(namespace, key.workflow_id)
    require_newest(ports, execution)
    ports.logs.add(execution, LogLine(task_id, text, ports.clock.now_ms()), ports.ids.op())


def _event(place: TaskPlace, op: str, report: TaskReport, uploaded: Any = None) -> TaskUpdated:
    return TaskUpdated(
        place=place,
        status=report.status,
        op=op,
        output=dict(report.output) if uploaded is None else uploaded,
        is_merged=report.is_merged,
        reason=report.reason,
        worker_id=report.worker_id,
        callback_after_s=report.callback_after_s,
        logs=tuple(report.logs),
    )


def _open_place(head: Head, named: tuple[int, int]) -> TaskPlace | None:
    """Where the open task stands whose id names that; None when it is not open."""
    return next((task.place for task in head.open.values() if task.place.named == named), None)


def _require_scheduled(ports: Ports, execution: ExecutionId, place: TaskPlace, task_id: str) -> None:
    """A task that is not open has ended, if it ever was: its record tells."""
    record = read_records(ports, execution, [place.record]).get(place.record)
    try:
        if record is not None:
            scheduling_change(record, place.nth)
            return
    except IndexError:
        pass
    raise TaskNotFound(f"No such task found by id: {task_id}", task_id=task_id)


def _check_size(report: TaskReport) -> None:
    size = len(dump_json(report.output))
    if size > PAYLOAD_MAX_BYTES:
        raise PayloadTooLarge(f"the output has {size} bytes, the limit is {PAYLOAD_MAX_BYTES}", size_bytes=size)
