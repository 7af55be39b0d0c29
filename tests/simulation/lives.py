"""What users' operations did to an execution, read off its journal: what the plain interpreter has to know beside the endings of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batuta_core.engine.fold import fold
from batuta_core.model import ids
from batuta_core.model.execution import TaskExecution, TaskStatus
from batuta_core.model.family_event import ChildEnded, ChildRevived
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import (
    TaskSkipped,
    VariablesUpdated,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.payload import PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record, TaskChange

REVIVALS = WorkflowRetried | WorkflowRestarted | WorkflowRerun
USER_VARIABLE = "user"  # nothing reads it, so a user may set it at any moment


@dataclass
class Given:
    """What a rerun gave to the task that it began at."""

    input: dict[str, Any]
    variables: dict[str, Any]
    workflow_input: dict[str, Any] | None  # None: it is what the execution was started with


@dataclass
class Lives:
    """``retried``: attempts that a user's retry followed. ``reruns``: by attempt, what the task began anew with. ``places``: by task id,
    the record of the last rerun from that task."""

    variables: dict[str, Any] | None = None  # at the last beginning from the first task
    input: dict[str, Any] | None = None  # at the same moment, when a rerun had brought another
    places: dict[str, int] = field(default_factory=dict)
    latest_input: dict[str, Any] | None = None
    retried: set[tuple[str, int]] = field(default_factory=set)
    reruns: dict[tuple[str, int], Given] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    is_beside: bool = False  # a retry went back to a task that the flow had left behind: the order says nothing then
    user_value: Any = None
    last_life: list[Record] = field(default_factory=list)
    is_cut_in_pause: bool = False  # ended or removed while something waited for the end of a pause


def revival(record: Record) -> REVIVALS | None:
    return next((event for event in record.events if isinstance(event, REVIVALS)), None)


def read(execution: ExecutionId, records: Sequence[Record], graph: Any, variables_of: Any) -> Lives:
    """``variables_of``: the variables as they stand after a record's head, loaded."""
    found = Lives()
    folded = {task.task_id: task for task in fold(execution, records, graph).tasks}
    before: Record | None = None
    for record in records:
        event = revival(record)
        if event is not None:
            found.last_life = []
        found.last_life.append(record)
        for other in record.events:
            if isinstance(other, TaskSkipped):
                found.skipped.add(other.ref)
            elif isinstance(other, VariablesUpdated):
                found.user_value = other.variables[USER_VARIABLE]
        if before is not None and before.head.status.value == "PAUSED" and record.head.status.is_terminal:
            waits = any(ref in graph.waiting for ref in before.head.open)  # nobody looked whether what it waits for had ended
            found.is_cut_in_pause = bool(before.head.todo or before.head.held or waits) and not any(
                isinstance(item, WorkflowResumed) for item in record.events
            )
        elif event is not None:
            found.is_cut_in_pause = False
        if any(isinstance(item, ChildRevived) or (isinstance(item, ChildEnded) and item.life > 1) for item in record.events):
            found.is_beside = True
        if before is not None and event is not None:
            _read_revival(found, execution, event, before, record, folded, variables_of)
        before = record
    return found


def _read_revival(
    found: Lives,
    execution: ExecutionId,
    event: REVIVALS,
    before: Record,
    record: Record,
    folded: Mapping[str, TaskExecution],
    variables_of: Any,
) -> None:
    if isinstance(event, WorkflowRerun) and event.input is not None:
        found.latest_input = dict(event.input)
    if isinstance(event, WorkflowRetried):
        # A TERMINATE that had ended it is behind the flow then.
        found.is_beside = found.is_beside or bool(before.head.tolerated) or any(task.task_type == "TERMINATE" for task in folded.values())
        for change in record.changes:
            if change.is_new and "retried_task_id" in change.fields:
                round_ = change.fields.get("iteration")
                found.retried.add((change.fields["ref"] + (f"__{round_}" if round_ else ""), change.fields["attempt"] - 1))
        return
    if isinstance(event, WorkflowRestarted) or event.place is None:
        found.retried.clear()
        found.reruns.clear()
        found.skipped.clear()
        found.is_beside = False
        found.variables = variables_of(before.head)
        found.input = found.latest_input
        return
    found.places.update((other.task_id, record.seq) for other in folded.values() if is_begun_anew(record, other.number))
    if any(is_again(record, change) and change.number != _number(folded, execution, event.place) for change in record.changes):
        found.is_beside = True  # what ran beside it was kept, or begins anew with the input that it had
    task = folded.get(ids.task_id(execution.workflow_id, *event.place))
    if task is None:  # a later operation took it out of view
        return
    if event.input is not None and any(other.task_type == "FORK" for other in folded.values()):
        found.is_beside = True  # branches before that of the task in the definition may have begun after it
    if task.task_type == "JOIN":  # the flow goes on behind the branches' tasks, with what the workflow's input is now
        found.is_beside = True
    if isinstance(task.input, PayloadRef):  # what it holds is not at hand here
        found.is_beside = True
        return
    found.reruns[task.ref, task.attempt] = Given(dict(task.input or {}), variables_of(before.head), found.latest_input)
    later = {(other.ref, other.attempt) for other in folded.values() if other.number < task.number}
    found.retried &= later  # of what came behind it, nothing is left


def _number(folded: Mapping[str, TaskExecution], execution: ExecutionId, place: TaskPlace) -> int:
    task = folded.get(ids.task_id(execution.workflow_id, *place))
    return task.number if task else 0


def is_begun_anew(record: Record, number: int) -> bool:
    return any(change.number == number and "scheduled_ms" in change.fields for change in record.changes)


def is_again(record: Record, change: TaskChange) -> bool:
    """Whether a new life opens that task again, or begins it anew."""
    is_open = set(change.fields) >= {"status", "ended_ms"} and not change.fields["status"].is_terminal
    is_by_child = any(isinstance(event, ChildRevived | ChildEnded) for event in record.events)
    is_again = "scheduled_ms" in change.fields or is_open
    return is_again and not change.is_new and (record.head.life == record.seq or is_by_child)


def take_out(tasks: dict[int, dict[str, Any]], event: WorkflowRestarted | WorkflowRerun) -> None:
    """As the view does it: all tasks, or those behind the one that a rerun begins at, but for skipped ones."""
    place = event.place if isinstance(event, WorkflowRerun) else None
    if place is None:
        tasks.clear()
        return
    first = next(number for number, task in tasks.items() if task["place"].named == place.named)
    for number in [number for number in tasks if number > first and tasks[number]["status"] is not TaskStatus.SKIPPED]:
        del tasks[number]
