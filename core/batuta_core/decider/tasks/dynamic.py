"""DYNAMIC: a worker's task whose name an input says."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem


class Dynamic(TaskType):
    name = "DYNAMIC"
    is_worker = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "dynamicTaskNameParam" not in task:
            yield required("dynamicTaskNameParam", task, path)
