"""What one execution hears of another: a child of its end, a parent of its stop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from batuta_core.decider import lives, outcome, revival
from batuta_core.decider.view import output_in
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, ChildEvent, ChildRevived, StoppedByParent
from batuta_core.model.payload import PayloadPart
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.step import Step

# How a child's end shows in its parent's task (reference section 4.9).
_TASK_STATUS_OF = {
    WorkflowStatus.COMPLETED: TaskStatus.COMPLETED,
    WorkflowStatus.FAILED: TaskStatus.FAILED,
    WorkflowStatus.TIMED_OUT: TaskStatus.TIMED_OUT,
    WorkflowStatus.TERMINATED: TaskStatus.CANCELED,
}


def apply(step: Step, event: ChildEvent, event_index: int) -> bool:
    """Whether the event did something. ``event_index`` is where it will stand in the record."""
    match event:
        case ChildBegan():
            return _began(step, event)
        case ChildEnded():
            return _ended(step, event, event_index)
        case ChildRevived():
            return revival.apply(step, event)
        case _:
            assert_never(event)


def _began(step: Step, event: ChildBegan) -> bool:
    task = _open_at(step, event.place)
    if task is None:
        return False
    step.close_task(replace(task, child=""), TaskStatus.COMPLETED, output={"workflowId": event.workflow_id}, reason=_cleared(task))
    outcome.task_succeeded(step, step.node_of(task))
    return True


def _ended(step: Step, event: ChildEnded, event_index: int) -> bool:
    is_over = event.is_refused or revival.is_stopped(step, event.place, event.life)
    is_heard = lives.hear(step, event.place, event.life)
    if is_heard and step.status is WorkflowStatus.REMOVED:
        outcome.bury_again(step)
    task = _open_at(step, event.place)
    if task is None and event.life > 1 and not is_over:  # the end of a life of which nothing was heard
        task = revival.opened(step, event.place, event.life, "", event.seen)
    if task is None or event.life < task.life:
        return is_heard
    task = replace(task, child="", life=event.life)  # nothing is left to be stopped
    node = step.node_of(task)
    output, index = _output(step, task, event, event_index)
    status = _TASK_STATUS_OF[event.status]
    if status is TaskStatus.COMPLETED:
        step.close_task(task, status, output=output, output_event=index, reason=_cleared(task))
        outcome.task_succeeded(step, node)
    else:
        if node.type.is_segment:
            told = step.reader.payload(event.output) or {}
            outcome.note_failed_refs(step, told.get("failed", ()))
        outcome.task_failed(step, node, task, status, reason=event.reason, output=output, output_event=index)
    return True


def _open_at(step: Step, place: TaskPlace) -> OpenTask | None:
    """The open task there that another execution runs for."""
    if not step.is_running:
        return None
    return next((task for task in step.open.values() if task.place == place and task.child), None)


def _output(step: Step, task: OpenTask, event: ChildEnded, event_index: int) -> tuple[Any, int]:
    """The child's output joins what somebody reported of the task meanwhile."""
    if not task.calls:  # else there is nothing but the child's id, which the event says, too
        return None, event_index
    old = step.reader.part(output_in(step.reader.record(task.output_record), task.number))
    new = step.reader.part(event.output)
    if type(old) is PayloadPart or type(new) is PayloadPart:  # too large to be joined with anything
        return None, event_index
    return {**(old or {}), **(new or {})}, -1


def _cleared(task: OpenTask) -> str | None:
    return "" if task.attempt > 1 else None  # an attempt carries the reason of the one before it


def stopped(step: Step, event: StoppedByParent) -> bool:
    """Ends a life that the parent has no use for any more, without its failure workflow, as in Conductor."""
    if not step.is_running or event.parent != step.before.about.parent or event.life < lives.life_of(step.before):
        return False
    outcome.finish(step, WorkflowStatus.TERMINATED, event.reason, is_failure_handled=False)
    return True
