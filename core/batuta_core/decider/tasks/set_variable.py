"""SET_VARIABLE: writes its input into the workflow's variables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batuta_core.decider import outcome
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step

VARIABLES_MAX_KB = 256  # Conductor's maxWorkflowVariablesPayloadSizeThreshold, of their JSON


class SetVariable(TaskType):
    name = "SET_VARIABLE"
    has_input_template = False

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        variables = {**step.current_variables(), **task_input}
        size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if size > VARIABLES_MAX_KB * 1024:
            reason = (
                f"The variables payload size: {size} of workflow: {step.execution.workflow_id} is greater than "
                f"the permissible limit: {VARIABLES_MAX_KB} kilobytes"
            )
            outcome.local_task_failed(step, node, task_input, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason)
            return
        step.variables = variables
        step.local_task(node, TaskStatus.COMPLETED, task_input, {})
        step.go_to(node.next)
