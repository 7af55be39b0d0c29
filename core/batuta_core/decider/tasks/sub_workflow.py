"""SUB_WORKFLOW: runs another workflow as a child and waits for its end."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem


class SubWorkflow(TaskType):
    name = "SUB_WORKFLOW"
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "subWorkflowParam" not in task:
            yield required("subWorkflowParam", task, path)
