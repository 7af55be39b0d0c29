"""SWITCH: goes on with the tasks of one of its cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.known import Language
from batuta_core.decider.tasks.rules import empty, required
from batuta_core.decider.tasks.scripts import ERROR_MAX_CHARS, JAVASCRIPT, NO_PYTHON, PYTHON, VALUE_PARAM, case_text, text_of
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Switch(TaskType):
    name = "SWITCH"
    is_retried = False
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "evaluatorType" not in task:
            yield required("evaluatorType", task, path)
        elif "expression" not in task:
            yield required("expression", task, path)
        if not task["decisionCases"]:
            yield empty("decisionCases", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        evaluator, expression = node.task.get("evaluatorType"), text_of(node.task.get("expression"))
        if evaluator == VALUE_PARAM:
            case = case_text(task_input.get(expression))
        elif evaluator in JAVASCRIPT:
            result = step.run_script(Language.JAVASCRIPT, expression, task_input)
            if result.error is not None:
                outcome.local_task_failed(step, node, task_input, TaskStatus.FAILED, result.error[:ERROR_MAX_CHARS])
                return
            case = case_text(result.value)
        else:  # no task is made, whether it is optional or not (recorded)
            reason = NO_PYTHON if evaluator == PYTHON else f"No evaluator registered for type: {evaluator}"
            outcome.finish(step, WorkflowStatus.FAILED, reason)
            return
        go_by_case(step, node, task_input, case, hidden)


def go_by_case(step: Step, node: Node, task_input: Mapping[str, Any], case: str, hidden: frozenset[str]) -> None:
    """Ends the SWITCH with ``case`` and goes on in its branch. A case with an empty list is a case; it is not the default."""
    cases: Mapping[str, Sequence[WorkflowTask]] = node.task["decisionCases"]
    branch = cases.get(case, node.task["defaultCase"])
    shown = {**task_input, "case": case}
    if branch:
        shown["hasChildren"] = "true"
    step.local_task(node, TaskStatus.COMPLETED, shown, {"evaluationResult": [case], "selectedCase": case})
    if branch:
        step.go_into([branch[0]["taskReferenceName"]], hidden | {node.ref})
    else:
        step.go_to(node.next)


def script(task: WorkflowTask) -> str | None:
    """The JavaScript whose syntax is looked at when the definition is registered."""
    return task.get("expression") if task.get("evaluatorType") == "javascript" else None  # not its second name graaljs
