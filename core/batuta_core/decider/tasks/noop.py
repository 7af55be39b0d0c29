"""NOOP: nothing."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType


class Noop(TaskType):
    name = "NOOP"
    has_input_template = False
