"""A type that nobody here knows: a worker's task whose queue is called like the type."""

from __future__ import annotations

from batuta_core.decider.tasks.simple import Simple
from batuta_core.decider.tasks.task_type import WorkflowTask


class UserDefined(Simple):
    name = "USER_DEFINED"

    def wire_type(self, task: WorkflowTask) -> str:
        return str(task["type"])
