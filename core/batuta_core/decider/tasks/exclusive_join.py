"""EXCLUSIVE_JOIN: goes on with whichever of the tasks that it names was run."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask


class ExclusiveJoin(TaskType):
    name = "EXCLUSIVE_JOIN"
    is_retried = False
    has_input_template = False

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name
