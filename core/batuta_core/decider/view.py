"""What expressions see of an execution: the workflow's fields and those of its tasks, read from head, records and payloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from batuta_core.decider.known import Known, Missing, Needs
from batuta_core.model import ids
from batuta_core.model.event import Event, TaskUpdated, WorkflowStarted
from batuta_core.model.execution import TaskExecution
from batuta_core.model.family_event import ChildEnded
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import WorkflowRerun
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, Assembled, PayloadPart, PayloadRef, filled, too_large
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Ended, Head, OpenTask, TaskChange

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph

TASK_FIELDS = (
    "input", "output", "taskType", "status", "referenceTaskName", "retryCount", "correlationId", "pollCount", "taskDefName",
    "scheduledTime", "startTime", "endTime", "workflowInstanceId", "taskId", "reasonForIncompletion", "callbackAfterSeconds",
    "workerId", "iteration",
)  # fmt: skip
WORKFLOW_FIELDS = (
    "input", "output", "status", "workflowId", "parentWorkflowId", "parentWorkflowTaskId", "workflowType", "version",
    "correlationId", "reasonForIncompletion", "schemaVersion", "variables",
)  # fmt: skip


class Readable(Protocol):
    """What is read of a record: of one in the journal, or of the draft of the next."""

    @property
    def seq(self) -> int: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def changes(self) -> Sequence[TaskChange]: ...
    @property
    def scheduled(self) -> Sequence[TaskChange]: ...


class Reader:
    """Reads records and payloads that are known, or says which are missing. Nothing here is fetched."""

    def __init__(self, known: Known, draft: Readable | None = None) -> None:
        self._known = known
        self._draft = draft
        self.has_parts = False  # a payload that was read holds PayloadParts, or is one

    def record(self, seq: int) -> Readable:
        if self._draft is not None and seq == self._draft.seq:
            return self._draft
        found = self._known.records.get(seq)
        if found is None:
            raise Missing(Needs(records=frozenset((seq,))))
        return found

    def require(self, seqs: frozenset[int]) -> None:
        """Asks for all of them in one go, so that they are fetched in one round trip."""
        missing = seqs - self._known.records.keys()
        if self._draft is not None:
            missing -= {self._draft.seq}
        if missing:
            raise Missing(Needs(records=missing))

    def require_payloads(self, values: Iterable[Any]) -> None:
        """As ``require``, of those that are references to what may be loaded."""
        refs = [value for value in values if isinstance(value, PayloadRef) and value.size_bytes <= PAYLOAD_MAX_BYTES]
        missing = frozenset(ref for ref in refs if ref.key not in self._known.payloads)
        if missing:
            raise Missing(Needs(payloads=missing))

    def payload(self, value: Any) -> Any:
        """The payload itself, where ``value`` may be a reference to it. Raises PayloadTooLarge for one that is never loaded."""
        found = self.part(value)
        if type(found) is PayloadPart:
            raise too_large(found, "this step")
        return found

    def part(self, value: Any) -> Any:
        """As ``payload``; what is never loaded is a PayloadPart."""
        if not isinstance(value, PayloadRef):
            self.has_parts = self.has_parts or type(value) is Assembled
            return value
        if value.size_bytes > PAYLOAD_MAX_BYTES:
            self.has_parts = True
            return PayloadPart(value)
        if value.key not in self._known.payloads:
            raise Missing(Needs(payloads=frozenset((value,))))
        found = self._known.payloads[value.key]
        if not value.holes:
            return found
        self.has_parts = True
        return filled(found, value.holes)


def started_event(first: Readable) -> WorkflowStarted:
    """The event that began the journal whose first record this is."""
    event = first.events[0]
    if not isinstance(event, WorkflowStarted):
        raise ValueError(f"a journal begins with {type(event).__name__}")
    return event


def input_in(record: Readable) -> Any:
    """The execution's input that ``record`` brought: the first of a journal, or a rerun with another."""
    for event in record.events:
        if isinstance(event, WorkflowRerun) and event.input is not None:
            return event.input
    return started_event(record).input


def task_input_in(record: Readable, number: int, place: TaskPlace) -> Any:
    """The input of the task of that number in the record that scheduled it, or made it begin anew."""
    if not place.rerun:
        return scheduling_change(record, place.nth).input
    return next((change.input for change in record.changes if change.number == number), None)


def scheduling_change(record: Readable, nth: int) -> TaskChange:
    """The ``nth`` task, from 0, that ``record`` scheduled. Raises IndexError when it scheduled fewer."""
    return record.scheduled[nth]


def output_in(record: Readable, number: int) -> Any:
    """The output that ``record`` gives to the task of that number, or None."""
    found = None
    for change in record.changes:
        if change.number == number:
            if change.output is not None:
                found = change.output
            elif change.output_event >= 0:
                event = record.events[change.output_event]
                found = event.output if isinstance(event, TaskUpdated | ChildEnded) else None
    return found


def apply_change(task: TaskExecution, change: TaskChange, record: Readable) -> None:
    """Folds one change into ``task``."""
    for name, value in change.fields.items():
        if name != "ref":
            setattr(task, name, value)
    if not change.is_new and "scheduled_ms" in change.fields:
        task.rerun = record.seq
    if "status" in change.fields:
        if not task.status.is_terminal:
            task.updated_ms = record.at_ms
        elif not task.ended_ms:
            task.ended_ms = record.at_ms
    if change.input is not None:
        task.input = change.input
    if change.output is not None:
        task.output = change.output
    elif change.output_event >= 0:
        event = record.events[change.output_event]
        if isinstance(event, TaskUpdated | ChildEnded):
            task.output = event.output


def new_task(change: TaskChange, record: Readable, nth: int, execution: ExecutionId, graph: Graph) -> TaskExecution:
    """The task that ``change`` schedules; what the definition says of it is not written in the record."""
    ref = str(change.fields["ref"])
    node = graph.nodes.get(ref)  # none for a branch of a dynamic fork: the change says what it is
    iteration = change.fields.get("iteration")
    task = TaskExecution(
        number=change.number,
        task_id=ids.task_id(execution.workflow_id, record.seq, nth),
        ref=f"{ref}__{iteration}" if iteration else ref,
        task_type=node.wire_type if node else "",
        name=node.shown_name if node else "",
        status=change.fields["status"],
        scheduled_ms=record.at_ms,
        updated_ms=record.at_ms,
    )
    apply_change(task, change, record)
    task.first_scheduled_ms = task.first_scheduled_ms or task.scheduled_ms
    return task


def fold_changes(tasks: dict[int, TaskExecution], record: Readable, execution: ExecutionId, graph: Graph) -> None:
    """Adds the changes of ``record`` to ``tasks``, by number."""
    nth = 0
    for change in record.changes:
        if change.is_new:
            tasks[change.number] = new_task(change, record, nth, execution, graph)
            nth += 1
        elif change.number in tasks:
            apply_change(tasks[change.number], change, record)


def task_field(task: TaskExecution, name: str, head: Head, execution: ExecutionId) -> Any:
    """A field of a task by its name in expressions; ``input`` and ``output`` may be references."""
    match name:
        case "input":
            return {} if task.input is None else task.input
        case "output":
            return {} if task.output is None else task.output
        case "taskType":
            return task.task_type
        case "status":
            return task.status.value
        case "referenceTaskName":
            return task.ref
        case "retryCount":
            return task.attempt - 1
        case "correlationId":
            return head.about.correlation_id
        case "pollCount":
            return task.poll_count
        case "taskDefName":
            return task.name
        case "scheduledTime":
            return task.scheduled_ms
        case "startTime":
            return task.started_ms
        case "endTime":
            return task.ended_ms
        case "workflowInstanceId":
            return head.about.root or execution.workflow_id
        case "taskId":
            return task.task_id
        case "reasonForIncompletion":
            return task.reason
        case "callbackAfterSeconds":
            return task.callback_after_s
        case "workerId":
            return task.worker_id
        case "iteration":
            return task.iteration
        case _:
            return None


def ended_task(place: Ended, reader: Reader, execution: ExecutionId, graph: Graph) -> TaskExecution:
    """An ended task, from the records that scheduled and ended it."""
    later = {place.rerun, place.ended_record, place.output_record} - {0}
    reader.require(frozenset({place.record, *later}))
    first = reader.record(place.record)
    task = new_task(scheduling_change(first, place.nth), first, place.nth, execution, graph)
    for seq in sorted(later):
        record = reader.record(seq)
        for change in record.changes:
            if change.number == place.number and not change.is_new:
                apply_change(task, change, record)
    return task


def open_task(open_: OpenTask, reader: Reader, execution: ExecutionId, graph: Graph) -> TaskExecution:
    """An open task, from the head and the records that hold its input and last output."""
    later = {open_.place.rerun, open_.output_record} - {0}
    reader.require(frozenset({open_.place.record, *later}))
    first = reader.record(open_.place.record)
    task = new_task(scheduling_change(first, open_.place.nth), first, open_.place.nth, execution, graph)
    for seq in sorted(later):
        record = reader.record(seq)
        for change in record.changes:
            if change.number == open_.number and not change.is_new:
                apply_change(task, change, record)
    task.status = open_.status
    task.started_ms = open_.started_ms
    task.updated_ms = open_.updated_ms or open_.scheduled_ms
    task.poll_count = open_.polls
    task.worker_id = open_.worker_id or None
    task.callback_after_s = open_.callback_s
    return task


def workflow_constants(head: Head, graph: Graph, execution: ExecutionId) -> Mapping[str, Any]:
    """The fields of ``workflow`` that need no record."""
    parent = head.about.parent
    return {
        "status": head.status.value,
        "workflowId": execution.workflow_id,
        "parentWorkflowId": (head.about.above or parent.workflow_id) if parent else None,
        "parentWorkflowTaskId": parent.task_id if parent else None,
        "workflowType": graph.name,
        "version": graph.version,
        "correlationId": head.about.correlation_id,
        "reasonForIncompletion": head.reason,
        "schemaVersion": graph.definition["schemaVersion"],
    }
