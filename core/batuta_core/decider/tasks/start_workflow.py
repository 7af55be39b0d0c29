"""START_WORKFLOW: starts another workflow and goes on."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType


class StartWorkflow(TaskType):
    name = "START_WORKFLOW"
    has_input_template = False
