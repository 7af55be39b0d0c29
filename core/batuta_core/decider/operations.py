"""What a user's operation does to an execution. Whether its status allows the operation has been asked at the door (engine/operate.py);
what only the journal tells is asked here, and refused here.

* A **pause** stops the flow, not the work: results are written down, where the flow would go on is kept (``Head.todo``), a task that
  fails waits for the decision about it (``Head.held``), and no deadline is missed. The end of the pause makes good for all of it.
* A retry, a restart and a rerun begin a new life (``new_life.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from batuta_core.decider import new_life, outcome
from batuta_core.decider.step import Step
from batuta_core.decider.tasks.set_variable import VARIABLES_MAX_KB
from batuta_core.model.command import WriteSummary
from batuta_core.model.error import OperationRefused, PayloadTooLarge, TaskNotFound
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.operation_event import (
    CallbacksReset,
    Operation,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)


def apply(step: Step, event: Operation) -> bool:
    """Whether the operation changed anything. Raises what the journal says against it."""
    match event:
        case WorkflowPaused():
            return _pause(step)
        case WorkflowResumed():
            return _resume(step)
        case WorkflowRetried() | WorkflowRestarted() | WorkflowRerun():
            return new_life.begin(step, event)
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
