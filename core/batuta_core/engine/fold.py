"""Folds a journal into the whole execution: what the API shows, and what a failure workflow is given."""

from __future__ import annotations

from collections.abc import Iterable

from batuta_core.decider.compile import Graph
from batuta_core.decider.loop import compose, drop_old_rounds
from batuta_core.decider.view import fold_changes, started_event
from batuta_core.model import ids
from batuta_core.model.error import ExecutionTooLarge
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowExecution
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import Revival, WorkflowRerun, WorkflowRestarted
from batuta_core.model.record import Record

_FAILED = (TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR)


def fold(execution: ExecutionId, records: Iterable[Record], graph: Graph, *, tasks_max: int = 2**31) -> WorkflowExecution:
    """``records`` are all of the journal, in order; ``graph`` is what the newest runs. Payloads that are references stay references.
    Raises ExecutionTooLarge for more than ``tasks_max`` tasks."""
    room = tasks_max
    found: WorkflowExecution | None = None
    tasks: dict[int, TaskExecution] = {}
    for record in records:
        if found is None:
            found = begun(execution, record, graph)
        fold_tasks(tasks, record, execution, graph)
        if record.head.life == record.seq and not any(isinstance(event, Revival) for event in record.events):
            found.failed_refs.clear()  # a child lives again
            found.failed_names.clear()
        if len(tasks) > room:
            drop_old_rounds(tasks, graph)
            if len(tasks) > tasks_max:
                text = f"execution {execution.workflow_id} has more than {tasks_max} tasks"
                raise ExecutionTooLarge(text, workflow_id=execution.workflow_id)
            room = len(tasks) + 1000
        has_ended = not found.status.is_terminal
        advance(found, record)
        if found.status.is_terminal and (has_ended or record.seq == 1):
            _note_failed(found, tasks, record, graph)
    if found is None:
        raise ValueError(f"{execution}: an empty journal")
    compose(tasks, graph)
    found.segments = [task for task in tasks.values() if graph.is_of_segment(task)]
    found.tasks = [tasks[number] for number in sorted(tasks.keys() - {task.number for task in found.segments})]
    return found


def _note_failed(found: WorkflowExecution, tasks: dict[int, TaskExecution], record: Record, graph: Graph) -> None:
    """At the end of a life. The names stay over the next one, as in Conductor."""
    failed = [
        (tasks[number].ref, tasks[number].name)
        for number in sorted(tasks)
        if tasks[number].status in _FAILED and not graph.is_of_segment(tasks[number])
    ]
    if any(graph.is_of_segment(task) for task in tasks.values()):  # which know the tasks that failed in them
        failed.extend((ref, "") for ref in record.head.failed_refs)
    if record.head.definition != graph.hash:
        failed = [(ref, "") for ref in record.head.failed_refs]
    for ref, name in failed:
        if ref not in found.failed_refs:
            found.failed_refs.append(ref)
        if name and name not in found.failed_names:
            found.failed_names.append(name)


def begun(execution: ExecutionId, first: Record, graph: Graph) -> WorkflowExecution:
    """What the first record says; ``advance`` adds the others."""
    event = started_event(first)
    return WorkflowExecution(
        namespace=execution.namespace,
        workflow_id=execution.workflow_id,
        definition=event.definition,
        name=graph.name,
        version=graph.version,
        status=first.head.status,
        created_ms=first.head.created_ms,
        input=event.input,
        variables=graph.definition["variables"],
        correlation_id=event.correlation_id,
        request_id=event.request_id,
        idempotency_key=event.idempotency_key,
        created_by=event.created_by,
        event=event.event,
        priority=event.priority,
        task_to_domain=event.task_to_domain,
        root=event.root,
        parent_workflow_id=(event.above or event.parent.workflow_id) if event.parent else None,
        parent_task_id=event.parent.task_id if event.parent else None,
    )


def advance(found: WorkflowExecution, record: Record) -> None:
    """Adds what a later record says of the execution itself."""
    head = record.head
    for event in record.events:
        if isinstance(event, WorkflowRestarted):
            found.created_ms = head.created_ms
            found.output = None
        elif isinstance(event, WorkflowRerun):
            found.input = found.input if event.input is None else event.input
            found.correlation_id = head.about.correlation_id
    found.definition = head.definition
    found.status = head.status
    found.updated_ms = record.at_ms
    found.ended_ms = head.ended_ms
    found.last_retried_ms = head.last_retried_ms
    found.reason = head.reason
    if record.variables is not None:
        found.variables = record.variables
    if record.output is not None:
        found.output = record.output


def fold_tasks(tasks: dict[int, TaskExecution], record: Record, execution: ExecutionId, graph: Graph) -> None:
    """Adds what ``record`` says of tasks to ``tasks``, by number. What ran under another definition than ``graph`` was taken out of view
    by a restart."""
    for event in record.events:
        if isinstance(event, WorkflowRestarted | WorkflowRerun):
            take_out(tasks, event, execution)
    if record.head.definition != graph.hash:
        return
    fold_changes(tasks, record, execution, graph)
    for event in record.events:
        if isinstance(event, TaskUpdated) and event.logs:
            task_id = ids.task_id(execution.workflow_id, *event.place)
            for number in {change.number for change in record.changes} & tasks.keys():  # what was told of a task changed it
                if tasks[number].task_id == task_id:
                    tasks[number].logs.extend(event.logs)


def take_out(tasks: dict[int, TaskExecution], event: WorkflowRestarted | WorkflowRerun, execution: ExecutionId) -> None:
    """A restart shows none of the tasks before it, a rerun those up to the one that it begins at, and what a user had skipped."""
    first = 0
    if isinstance(event, WorkflowRerun) and event.place is not None:
        task_id = ids.task_id(execution.workflow_id, *event.place)
        first = next((number for number, task in tasks.items() if task.task_id == task_id), 0)
    for number in [number for number, task in tasks.items() if number > first]:
        if not first or tasks[number].status is not TaskStatus.SKIPPED:
            del tasks[number]
