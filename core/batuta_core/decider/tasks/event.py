"""EVENT: publishes its input to a sink."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem


class EventTask(TaskType):
    name = "EVENT"
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "sink" not in task:
            yield required("sink", task, path)
