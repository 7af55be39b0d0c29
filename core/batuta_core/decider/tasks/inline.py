"""INLINE: the value of a script over its input."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType


class Inline(TaskType):
    name = "INLINE"
