"""DECISION: SWITCH as it was before SWITCH. Deprecated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.known import Language
from batuta_core.decider.tasks.rules import empty, required
from batuta_core.decider.tasks.scripts import ERROR_MAX_CHARS, case_text
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


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

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        expression = node.task.get("caseExpression") or ""
        if not expression.strip():
            value = task_input.get(node.task.get("caseValueParam", ""))
        else:
            result = step.run_script(Language.JAVASCRIPT, expression, task_input)
            if result.error is not None:  # no task is made (recorded)
                outcome.finish(step, WorkflowStatus.FAILED, f"Error while evaluating script: {expression}"[:ERROR_MAX_CHARS])
                return
            value = result.value
        self._go_by_case(step, node, case_text(value), hidden)

    def _go_by_case(self, step: Step, node: Node, case: str, hidden: frozenset[str]) -> None:
        """Unlike with SWITCH, an empty list is no case."""
        cases: Mapping[str, Sequence[WorkflowTask]] = node.task["decisionCases"]
        branch = cases.get(case) or node.task["defaultCase"]
        shown: dict[str, Any] = {"case": case, "hasChildren": "true"} if branch else {"case": case}
        step.local_task(node, TaskStatus.COMPLETED, shown, {"caseOutput": [case]})
        if branch:
            step.go_to(branch[0]["taskReferenceName"], hidden | {node.ref})
        else:
            step.go_to(node.next)


def script(task: WorkflowTask) -> str | None:
    """The JavaScript whose syntax is looked at when the definition is registered."""
    return task.get("caseExpression")
