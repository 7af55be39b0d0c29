"""LAMBDA: INLINE as it was before INLINE. Deprecated."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType


class Lambda(TaskType):
    name = "LAMBDA"
