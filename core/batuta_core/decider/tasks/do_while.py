"""DO_WHILE: runs its tasks again and again, while a condition holds or a list has items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem


class DoWhile(TaskType):
    name = "DO_WHILE"
    is_retried = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "loopCondition" not in task:  # an empty one is one, and a loop over items needs one too
            yield required("loopCondition", task, path)
        if not task["loopOver"]:
            yield required("loopOver", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def after_children(self, task: WorkflowTask, follower: str | None) -> str | None:
        return str(task["taskReferenceName"])
