"""What a user's operation does to an execution. Whether its status allows the operation has been asked at the door (engine/operate.py);
what only the journal tells is asked here, and refused here.

* A **pause** stops the flow, not the work: results are written down, where the flow would go on is kept (``Head.todo``), a task that
  fails waits for the decision about it (``Head.held``), and no deadline is missed. The end of the pause makes good for all of it.
* A retry, a restart and a rerun begin a new **life** in the same journal. Their tasks have places of their own, so whatever the former
  life still sends finds nothing that it could apply to. The armed timer, whatever it was armed for, stays the head's mark.
* A retried task that the flow had gone on without (a permissive one) runs **beside** the flow: what follows it is not begun twice
  (``Head.passed``).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from batuta_core.decider import outcome, past
from batuta_core.decider.past import PastTask
from batuta_core.decider.step import Anew, Step
from batuta_core.decider.tasks.set_variable import VARIABLES_MAX_KB
from batuta_core.model.command import StartFailureWorkflow, WriteSummary
from batuta_core.model.error import InvalidInput, OperationRefused, PayloadTooLarge, TaskNotFound
from batuta_core.model.event import (
    CallbacksReset,
    Operation,
    TaskPlace,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.record import Begin, TaskChange

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node

# What these do depends on tasks around them; a retry or a rerun of one is a matter of its own.
NOT_RETRIED = frozenset({"FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"})
NOT_RERUN = NOT_RETRIED | {"SUB_WORKFLOW", "START_WORKFLOW"}  # what they start is known by the task's id, which a rerun keeps


def apply(step: Step, event: Operation) -> bool:
    """Whether the operation changed anything. Raises what the journal says against it."""
    match event:
        case WorkflowPaused():
            return _pause(step)
        case WorkflowResumed():
            return _resume(step)
        case WorkflowRetried() | WorkflowRestarted() | WorkflowRerun():
            if not step.status.is_terminal or step.status is WorkflowStatus.REMOVED:
                return False
            _revive(step, event)
            return True
        case TaskSkipped():
            return _skip(step, event)
        case VariablesUpdated():
            return _update_variables(step, event)
        case CallbacksReset():
            return _reset_callbacks(step)
        case _:
            assert_never(event)


# --- pause and resume


def _pause(step: Step) -> bool:
    if step.status is not WorkflowStatus.RUNNING:
        return False
    step.status = WorkflowStatus.PAUSED
    step.command(WriteSummary())
    return True


def _resume(step: Step) -> bool:
    if not step.is_paused:
        return False
    step.status = WorkflowStatus.RUNNING
    step.before = replace(step.before, last_retried_ms=step.now_ms)
    step.has_news = True  # joins and loops were not looked at in the pause
    step.command(WriteSummary())
    held = list(step.held)
    step.held.clear()
    for failure in held:
        if step.is_running:
            outcome.resume_failure(step, failure)
    return True


# --- a new life


def _revive(step: Step, event: WorkflowRetried | WorkflowRestarted | WorkflowRerun) -> None:
    if step.before.about.parent is not None:
        raise OperationRefused("It runs for a task of another execution, which would not hear of it: restart that one.")
    step.status = WorkflowStatus.RUNNING
    step.reason = None
    step.ended_ms = 0
    # The last commands of the ended life stay until they are done; its failure workflow was started at the door.
    step.last = tuple(command for command in step.last if not isinstance(command, WriteSummary | StartFailureWorkflow))
    step.command(WriteSummary())
    match event:
        case WorkflowRetried():
            _retry(step)
            changes: dict[str, Any] = {"last_retried_ms": step.now_ms}
        case WorkflowRestarted():
            _begin_anew(step)
            changes = {"created_ms": step.now_ms, "last_retried_ms": 0, "output_record": 0, "definition": step.graph.hash}
        case WorkflowRerun():
            changes = _rerun(step, event)
        case _:
            assert_never(event)
    step.before = replace(step.before, status=step.status, reason=None, ended_ms=0, life=step.draft.seq, **changes)


def _begin_anew(step: Step) -> None:
    """An ended head has nothing open and no outputs to be read."""
    step.skipped.clear()
    step.tolerated.clear()
    step.last_task = None
    step.todo = deque([Begin(step.graph.first)])


def _retry(step: Step) -> None:
    standing = past.standing_after(step, step.before_seq)
    tolerated = {item.ref: item for item in step.tolerated}
    tasks = {ref: task for ref, task in standing.bad.items() if ref not in tolerated}
    left, step.todo = step.todo, deque()
    if not tasks and not tolerated and not left and step.before.status is not WorkflowStatus.TIMED_OUT:
        raise OperationRefused("There are no retryable tasks! Use restart if you want to attempt entire workflow execution again.")
    step.ended = standing.ended
    step.passed = list(standing.passed)
    step.tolerated.clear()
    for item in tolerated.values():
        task = past.tolerated_task(step, item)
        if task is None:
            continue
        tasks[item.ref] = task
        follower = step.graph.node(item.ref).next
        while follower in step.skipped:
            follower = step.graph.node(follower).next
        if follower is not None:
            step.passed.append(follower)
    for task in sorted(tasks.values(), key=lambda task: task.number):
        node = _repeated(step, task.ref, "retried")
        _retry_task(step, task, is_beside=task.ref in tolerated or step.is_beside(node))
    step.todo.extend(left)


def _retry_task(step: Step, task: PastTask, *, is_beside: bool) -> None:
    step.draft.changes.append(TaskChange(task.number, {"is_retried": True}))
    # Beside the flow, what its input is made of may be forgotten by now.
    given = step.old_input(task.number, task.place) if is_beside else None
    step.anew[task.ref] = Anew(attempt=task.attempt + 1, retried_task_id=step.task_id_at(task.place), input=given)
    step.todo.append(Begin(task.ref))


def _rerun(step: Step, event: WorkflowRerun) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if event.input is not None:
        changes["input_record"] = step.draft.seq
    if event.correlation_id is not None:
        changes["about"] = replace(step.before.about, correlation_id=event.correlation_id)
    if event.place is None:
        _begin_anew(step)
    else:
        _rerun_from(step, event.place, event.task_input)
    return changes


def _rerun_from(step: Step, place: TaskPlace, task_input: Any) -> None:
    found = past.target(step, place)
    task_id = step.task_id_at(place)
    if found is None:
        raise InvalidInput(f"Task {task_id} not found", task_id=task_id)
    task = found.task
    if task.ref in step.skipped:
        raise InvalidInput(f"Task {task_id} was skipped: rerun one before it", task_id=task_id)
    _repeated(step, task.ref, "rerun")
    standing = past.standing_before(step, task)
    if standing.open:
        beside = ", ".join(sorted(standing.open))
        raise OperationRefused(f"Task {task_id} ran beside others ({beside}): a rerun from there is not supported yet", task_id=task_id)
    step.ended = {**standing.ended, **step.skipped}
    step.last_task = standing.last_task
    earlier = step.known_record(place.record).head.tolerated
    step.tolerated = [item for item in earlier if (other := past.tolerated_task(step, item)) and other.number < task.number]
    given = step.reader.payload(task_input) if task_input is not None else None
    if given is None:
        given = step.old_input(task.number, TaskPlace(*place.named, found.rerun))
    step.anew[task.ref] = Anew(attempt=task.attempt, number=task.number, place=TaskPlace(*place.named, step.draft.seq), input=given)
    step.todo = deque([Begin(task.ref)])


def _repeated(step: Step, ref: str, what: str) -> Node:
    """The node of a task that can be begun again alone: not one of a fork or a loop, which would have to be begun again with it."""
    node = step.graph.nodes.get(ref)
    around = [] if node is None else [outer for outer in step.graph.nodes.values() if step.graph.is_inside(ref, outer)]
    is_alone = node is not None and not any(outer.type.is_loop or (outer.type.is_fork and what == "rerun") for outer in around)
    if node is None or not is_alone:
        raise OperationRefused(f"Task {ref} belongs to a fork or a loop, and cannot be {what} by this version.")
    if node.type.name in (NOT_RERUN if what == "rerun" else NOT_RETRIED):
        raise OperationRefused(f"Task {ref} of type {node.type.name} cannot be {what} by this version.")
    return node


# --- tasks and variables


def _skip(step: Step, event: TaskSkipped) -> bool:
    if step.status is not WorkflowStatus.RUNNING or event.ref in step.open or event.ref in step.ended or event.ref in step.skipped:
        return False
    node = step.graph.nodes.get(event.ref)
    if node is None:
        raise TaskNotFound(f"The task referenced by {event.ref} does not exist in the WorkflowDefinition {step.graph.name}")
    if node.type.is_fork or node.fork is not None:
        raise OperationRefused(f"Task {event.ref} cannot be skipped: a fork and the JOIN behind it belong together.")
    step.skip(node)
    return True


def _update_variables(step: Step, event: VariablesUpdated) -> bool:
    if not step.is_running:
        return False
    given: Mapping[str, Any] = step.reader.payload(event.variables)
    variables = {**step.current_variables(), **given}
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > VARIABLES_MAX_KB * 1024:
        raise PayloadTooLarge(f"the variables would have {size} bytes, the limit is {VARIABLES_MAX_KB * 1024}", size_bytes=size)
    step.variables = variables
    return True


def _reset_callbacks(step: Step) -> bool:
    """The messages that wait stay where they are; new ones overtake them, and whoever takes the old ones finds the task taken."""
    waiting = [task for task in step.open.values() if task.status is TaskStatus.SCHEDULED and task.callback_s > 0]
    waiting = [task for task in waiting if step.node_of(task).type.is_worker]
    for task in sorted(waiting, key=lambda task: task.number):
        again = outcome.scheduled_again(step, step.node_of(task), task, due_ms=0, callback_s=0)
        step.change(again, {"callback_after_s": 0})
    return step.is_running and bool(waiting)
