"""TERMINATE: ends the execution with the status that its input says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.tasks.rules import shown_name
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step

STATUS_INPUT = "terminationStatus"
STATUSES = (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED)


class Terminate(TaskType):
    name = "TERMINATE"
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if task["optional"]:
            yield Problem(path, f"terminate task cannot be optional, taskName: {shown_name(task)}")
        if task["inputParameters"].get(STATUS_INPUT) not in STATUSES:  # an expression is refused, too
            must = f"terminate task must have an {STATUS_INPUT} parameter and must be set to COMPLETED or FAILED"
            yield Problem(path, f"{must}, taskName: {shown_name(task)}")

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        status = task_input.get(STATUS_INPUT)
        if status not in STATUSES:
            outcome.local_task_failed(step, node, task_input, TaskStatus.FAILED, "given termination status is not valid")
            return
        output = workflow_output(task_input)
        ended = step.local_task(node, TaskStatus.COMPLETED, task_input, output)
        reason = task_input.get("terminationReason")
        text = str(reason) if reason else f"Workflow is {status} by TERMINATE task: {step.task_id_at(ended.place)}"
        outcome.finish(step, WorkflowStatus(status), text, failed=step.task_id_at(ended.place), output=output)


def workflow_output(task_input: Mapping[str, Any]) -> dict[str, Any]:
    """The execution's output: a map as it is, anything else under ``output``, nothing when it is absent."""
    given = task_input.get("workflowOutput")
    if isinstance(given, dict):
        return given
    return {} if given is None else {"output": given}
