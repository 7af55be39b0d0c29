"""Folds a journal into the whole execution: what the API shows, and what a failure workflow is given."""

from __future__ import annotations

from collections.abc import Iterable

from batuta_core.decider.compile import Graph
from batuta_core.decider.view import apply_change, new_task, started_event
from batuta_core.model import ids
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowExecution
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record

_FAILED = (TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR)


def fold(execution: ExecutionId, records: Iterable[Record], graph: Graph) -> WorkflowExecution:
    """``records`` are all of the journal, in order. Payloads that are references stay references."""
    found: WorkflowExecution | None = None
    tasks: dict[int, TaskExecution] = {}
    for record in records:
        if found is None:
            found = begun(execution, record, graph)
        fold_tasks(tasks, record, execution, graph)
        advance(found, record)
    if found is None:
        raise ValueError(f"{execution}: an empty journal")
    found.tasks = [tasks[number] for number in sorted(tasks)]
    for task in found.tasks if found.status.is_terminal else ():
        if task.status in _FAILED:
            if task.ref not in found.failed_refs:
                found.failed_refs.append(task.ref)
            if task.name not in found.failed_names:
                found.failed_names.append(task.name)
    return found


def begun(execution: ExecutionId, first: Record, graph: Graph) -> WorkflowExecution:
    """What the first record says; ``advance`` adds the others."""
    event = started_event(first)
    return WorkflowExecution(
        namespace=execution.namespace,
        workflow_id=execution.workflow_id,
        definition=event.definition,
        name=event.name,
        version=event.version,
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
        parent_workflow_id=event.parent.workflow_id if event.parent else None,
        parent_task_id=ids.task_id(*event.parent) if event.parent else None,
    )


def advance(found: WorkflowExecution, record: Record) -> None:
    """Adds what a later record says of the execution itself."""
    head = record.head
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
    """Adds the changes of ``record`` to ``tasks``, by number."""
    nth = 0
    for change in record.changes:
        if change.is_new:
            tasks[change.number] = new_task(change, record, nth, execution, graph)
            nth += 1
        else:
            apply_change(tasks[change.number], change, record)
    for event in record.events:
        if isinstance(event, TaskUpdated) and event.logs:
            task_id = ids.task_id(execution.workflow_id, *event.place)
            for task in tasks.values():
                if task.task_id == task_id:
                    task.logs.extend(event.logs)
