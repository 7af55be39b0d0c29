"""What the task types that run users' scripts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from batuta_core.decider import outcome
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.execution import TaskStatus
from batuta_core.model.payload import check_size

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask

# The values of evaluatorType.
VALUE_PARAM = "value-param"
JAVASCRIPT = frozenset({"javascript", "graaljs"})
PYTHON = "python"

ERROR_MAX_CHARS = 2000  # of a reason, which may quote a whole script, in heads and records

NO_PYTHON = "Batuta runs no scripts in Python: write it in JavaScript, or let a worker do it."


class Ending(NamedTuple):
    """How a task ends, once its script has run. ``reason`` is None where it went well."""

    status: TaskStatus
    output: Mapping[str, Any]
    reason: str | None = None


def well(output: Mapping[str, Any]) -> Ending:
    try:
        check_size(output, "the output of the script")
    except PayloadTooLarge as error:
        return badly(TaskStatus.FAILED_WITH_TERMINAL_ERROR, error.message)
    return Ending(TaskStatus.COMPLETED, output)


def badly(status: TaskStatus, reason: str) -> Ending:
    """Conductor shows the reason in the output, too."""
    reason = reason[:ERROR_MAX_CHARS]
    return Ending(status, {"error": reason}, reason)


def text_of(value: Any) -> str:
    """A script, or the name of an evaluator, as an input gives it."""
    return "" if value is None else case_text(value)


def case_text(value: Any) -> str:
    """The value as text, by which a case is chosen."""
    return java_text(value, Budget())


class ScriptTask(TaskType):
    """Ends in the decision that it begins in; a further attempt, when its delay is over."""

    def evaluate(self, step: Step, task_input: Mapping[str, Any], task_id: str | None) -> Ending:
        """Runs the task's script. ``task_id``: None for a task that is not open."""
        raise NotImplementedError

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        ending = self.evaluate(step, task_input, None)
        if ending.reason is None:
            step.local_task(node, ending.status, task_input, ending.output)
            step.go_to(node.next)
        else:
            task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
            self._end(step, node, step.open_task(node, task, task_input), ending)

    def enqueue_attempt(self, step: Step, node: Node, task: OpenTask) -> OpenTask:
        return replace(task, due_ms=task.due_ms or step.now_ms + 1)  # later than the timer that may have led here

    def on_due(self, step: Step, node: Node, task: OpenTask) -> None:
        if not step.may_run_scripts:
            step.keep(node, replace(task, due_ms=step.now_ms + 1))
            return
        task_input = step.field(task.ref, "input") or {}
        ending = self.evaluate(step, task_input, step.task_id_at(task.place))
        self._end(step, node, replace(task, started_ms=step.now_ms), ending)

    def _end(self, step: Step, node: Node, task: OpenTask, ending: Ending) -> None:
        if ending.reason is None:
            step.close_task(task, ending.status, output=ending.output)
            outcome.task_succeeded(step, node)
        else:
            outcome.task_failed(step, node, task, ending.status, reason=ending.reason, output=ending.output)
