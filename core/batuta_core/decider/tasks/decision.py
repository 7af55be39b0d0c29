"""DECISION: SWITCH as it was before SWITCH. Deprecated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batuta_core.decider.tasks.rules import empty, required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem


class Decision(TaskType):
    name = "DECISION"
    is_retried = False
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "caseValueParam" not in task and "caseExpression" not in task:
            yield required("caseValueParam or caseExpression", task, path)
        if not task["decisionCases"]:
            yield empty("decisionCases", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name


def script(task: WorkflowTask) -> str | None:
    """The JavaScript whose syntax is looked at when the definition is registered."""
    return task.get("caseExpression")
