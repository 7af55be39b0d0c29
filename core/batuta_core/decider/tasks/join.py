"""JOIN: waits for the tasks that it names."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask


class Join(TaskType):
    name = "JOIN"
    is_retried = False
    has_input_template = False

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name
