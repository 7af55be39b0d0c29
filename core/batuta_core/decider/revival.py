"""What an execution makes of a child that lives again: a user has retried, restarted or rerun it.

* The child's task is open, or waits for the end of a pause as failed: it goes on with the new life.
* The execution has ended with the child, or had ended before the user asked for the new life (``seen`` says which record the API had
  read by then): it runs again, as after a retry of its own, with the child's task open again.
* Else the task is over, or the execution was ended by something else since: the child is stopped. A late revival undoes nothing. Nor
  does one that no record could hold (``is_refused``: the engine has tried).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batuta_core.decider import lives, new_life, outcome, past
from batuta_core.model.command import StopChild
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.family_event import ChildEnded, ChildRevived
from batuta_core.model.place import TaskPlace

if TYPE_CHECKING:
    from batuta_core.decider.past import PastTask
    from batuta_core.decider.step import Step
    from batuta_core.model.record import HeldFailure, OpenTask


def apply(step: Step, event: ChildRevived) -> bool:
    """Whether the event did something."""
    is_heard = lives.hear_revival(step, event.place, event.life)
    task = next((task for task in step.open.values() if task.place == event.place), None)
    if task is not None:
        if event.life <= task.life:
            return is_heard
        step.keep(step.node_of(task), replace(task, life=event.life, child=event.definition))
        return True
    if _is_known(step, event.place, event.life):
        return is_heard
    if not event.is_refused and opened(step, event.place, event.life, event.definition, event.seen) is not None:
        return True
    if is_stopped(step, event.place, event.life):
        return is_heard
    lives.order_stop(step, StopChild(place=event.place, definition=event.definition, life=event.life))
    if step.status is WorkflowStatus.REMOVED:
        outcome.bury_again(step)
    return True


def is_stopped(step: Step, place: TaskPlace, life: int) -> bool:
    """Whether that life of the child is to end for all that this execution knows."""
    return any(stop.place == place and stop.life >= life for stop in step.stops)


def opened(step: Step, place: TaskPlace, life: int, definition: str, seen: tuple[int, ...]) -> OpenTask | None:
    """The task at ``place``, open again for that life of its child. None: it is over."""
    if held := _held(step, place, life):
        step.held.remove(held)
        new_life.open_child(step, step.node_of(held.task), replace(held.task, output_record=held.ended.output_record), life, definition)
        return step.open[held.task.ref]
    task = _ended_with(step, place, life, seen)
    if task is None:
        return None
    new_life.reopen(step, task, life=life, definition=definition, seen=seen[1:])
    return step.open[task.ref]


def _held(step: Step, place: TaskPlace, life: int) -> HeldFailure | None:
    return next((held for held in step.held if held.task.place == place and held.task.life < life), None)


def _is_known(step: Step, place: TaskPlace, life: int) -> bool:
    """Whether the end of that life, or of a later one, has been heard already: it ended the execution, or waits for the end of a pause."""
    if any(held.task.place == place and held.task.life >= life for held in step.held):
        return True
    return _has_ended(step) and _ended_by(step, place) >= life


def _has_ended(step: Step) -> bool:
    return step.status.is_terminal and step.status is not WorkflowStatus.REMOVED


def _ended_with(step: Step, place: TaskPlace, life: int, seen: tuple[int, ...]) -> PastTask | None:
    """The child's task, where the execution had ended with it or when the user saw it."""
    if not _has_ended(step):
        return None
    is_seen = bool(seen) and seen[0] >= step.before.output_record
    if not is_seen and not 0 < _ended_by(step, place) < life:
        return None
    standing = past.standing_after(step, step.before_seq)
    again = [*standing.bad.values(), *filter(None, (past.tolerated_task(step, item) for item in step.tolerated))]
    if any(past.node_of(step, task.ref, standing) is None for task in again):
        return None  # nor could it be retried
    return next((task for task in again if task.place == place), None)


def _ended_by(step: Step, place: TaskPlace) -> int:
    """The life of the child of ``place`` whose end has ended the execution; 0: something else did."""
    task = past.scheduled(step, place) if place.record <= step.before_seq else None
    end = step.known_record(step.before.output_record) if step.before.output_record else None
    if task is None or end is None:
        return 0
    closed = [change for change in end.changes if change.number == task.number and "status" in change.fields]
    is_bad = bool(closed) and not closed[-1].fields["status"].is_successful and not closed[-1].fields.get("is_retried")
    is_told = bool(closed) and (closed[-1].output is not None or closed[-1].output_event >= 0)  # else it was cancelled
    is_tolerated = any(item.ref == task.ref for item in end.head.tolerated)
    ends = [event.life for event in end.events if isinstance(event, ChildEnded) and event.place == place]
    return max(ends) if ends and is_bad and is_told and not is_tolerated else 0
