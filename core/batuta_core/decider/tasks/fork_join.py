"""FORK_JOIN: runs its branches beside each other; the JOIN behind it waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batuta_core.decider.tasks.rules import empty
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem

WIRE_TYPE = "FORK"  # of the running task, static fork or dynamic


class ForkJoin(TaskType):
    name = "FORK_JOIN"
    is_retried = False
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if not task["forkTasks"]:
            yield empty("forkTasks", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def wire_type(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def shown_name(self, task: WorkflowTask) -> str:
        return WIRE_TYPE
