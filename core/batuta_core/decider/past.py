"""How an execution stood at an earlier point of its journal: what a retry or a rerun goes back to.

A running head says it all. Of a record that ended the execution, and of the middle of a record, the head of the record before it
and the changes since do. So a look back reads a few records, however long the journal is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batuta_core.decider import view
from batuta_core.model import ids
from batuta_core.model.event import TaskPlace, WorkflowRerun, WorkflowRestarted, WorkflowRetried
from batuta_core.model.execution import TaskStatus
from batuta_core.model.record import Ended, Head, Tolerated

if TYPE_CHECKING:
    from batuta_core.decider.step import Step
    from batuta_core.model.event import Revival
    from batuta_core.model.record import Record, TaskChange


@dataclass(slots=True)
class PastTask:
    """A task as the changes up to that point say."""

    number: int
    place: TaskPlace
    ref: str
    attempt: int
    status: TaskStatus
    output_record: int
    is_retried: bool = False


@dataclass(slots=True)
class Standing:
    """``open`` and ``bad`` (ended without success, and last of their reference name) are by reference name."""

    open: dict[str, PastTask] = field(default_factory=dict)
    bad: dict[str, PastTask] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    last_task: Ended | None = None
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """The task that a rerun begins at."""

    task: PastTask
    rerun: int  # the rerun before this one that made it begin anew, 0 when none did


def revival_in(record: Record) -> Revival | None:
    """The operation that began a life with this record."""
    return next((event for event in record.events if isinstance(event, WorkflowRetried | WorkflowRestarted | WorkflowRerun)), None)


def standing_after(step: Step, seq: int) -> Standing:
    """How it stood after record ``seq``."""
    if seq == 0:
        return Standing()
    record = step.known_record(seq)
    if not record.head.status.is_terminal:
        return _of_head(record.head)
    standing = _base(step, record)
    _apply(standing, step, record, None)
    return standing


def standing_before(step: Step, task: PastTask) -> Standing:
    """How it stood when ``task`` was scheduled."""
    record = step.known_record(task.place.record)
    standing = _base(step, record)
    _apply(standing, step, record, task.number)
    return standing


def target(step: Step, place: TaskPlace) -> Target | None:
    """The task of that id, None when there is none in the present view: restarts and reruns take tasks out of it."""
    if not 0 < place.record <= step.before_seq:
        return None
    task = _scheduled(step, place)
    if task is None:
        return None
    rerun = 0
    life = step.before.life
    while life > place.record:
        record = step.known_record(life)
        revival = revival_in(record)
        if isinstance(revival, WorkflowRestarted):
            return None
        if isinstance(revival, WorkflowRerun):
            begun = _scheduled(step, revival.place) if revival.place else None
            if begun is None or begun.number < task.number:
                return None
            if begun.number == task.number and not rerun:
                rerun = life
        life = step.known_record(life - 1).head.life
    return Target(task, rerun)


def tolerated_task(step: Step, tolerated: Tolerated) -> PastTask | None:
    """The permissive task that failed."""
    key = ids.parse_task_id(tolerated.task_id)
    return _scheduled(step, TaskPlace(key.record, key.nth, tolerated.rerun)) if key else None


def _scheduled(step: Step, place: TaskPlace) -> PastTask | None:
    try:
        change = view.scheduling_change(step.known_record(place.record), place.nth)
    except IndexError:
        return None
    return _of_change(change, place)


def _of_change(change: TaskChange, place: TaskPlace) -> PastTask:
    fields = change.fields
    return PastTask(change.number, place, fields["ref"], fields.get("attempt", 1), fields["status"], place.rerun or place.record)


def _base(step: Step, record: Record) -> Standing:
    """What ``record`` changed."""
    match revival_in(record):
        case WorkflowRestarted():
            return Standing()
        case WorkflowRerun(place=place):
            begun = _scheduled(step, place) if place else None
            return standing_before(step, begun) if begun else Standing()
        case _:
            return standing_after(step, record.seq - 1)


def _of_head(head: Head) -> Standing:
    standing = Standing(ended=dict(head.ended), last_task=head.last_task, passed=head.passed)
    for task in head.open.values():
        standing.open[task.ref] = PastTask(task.number, task.place, task.ref, task.attempt, task.status, task.output_record)
    for held in head.held:
        task, place = held.task, held.ended.place
        standing.bad[task.ref] = PastTask(task.number, place, task.ref, task.attempt, held.status, held.ended.output_record)
    return standing


def _apply(standing: Standing, step: Step, record: Record, until: int | None) -> None:
    """Adds the changes of ``record``, up to the one that schedules the task of number ``until``."""
    seq, nth = record.seq, 0
    tasks = {task.number: task for task in (*standing.open.values(), *standing.bad.values())}
    revival = revival_in(record)
    begun = _scheduled(step, revival.place) if isinstance(revival, WorkflowRerun) and revival.place else None
    for change in record.changes:
        if change.is_new:
            if change.number == until:
                break
            tasks[change.number] = _of_change(change, TaskPlace(seq, nth))
            nth += 1
        elif begun is not None and change.number == begun.number and change.number not in tasks:
            place = TaskPlace(*begun.place.named, seq)
            tasks[change.number] = PastTask(begun.number, place, begun.ref, begun.attempt, change.fields["status"], seq)
        elif (task := tasks.get(change.number)) is not None:
            task.status = change.fields.get("status", task.status)
            task.is_retried = change.fields.get("is_retried", task.is_retried)
            if change.output is not None or change.output_event >= 0 or not task.output_record:
                task.output_record = seq
    _sort(standing, tasks, seq)


def _sort(standing: Standing, tasks: dict[int, PastTask], seq: int) -> None:
    for number in sorted(tasks):
        task = tasks[number]
        standing.open.pop(task.ref, None)
        standing.bad.pop(task.ref, None)
        if not task.status.is_terminal:
            standing.open[task.ref] = task
            continue
        ended = Ended.at(number, task.place, seq, task.output_record or seq)
        standing.ended[task.ref] = ended
        if standing.last_task is None or number > standing.last_task.number:
            standing.last_task = ended
        if not task.status.is_successful and not task.is_retried:
            standing.bad[task.ref] = task
