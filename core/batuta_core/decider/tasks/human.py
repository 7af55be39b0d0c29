"""HUMAN: waits until somebody completes it through the API."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import TaskType


class Human(TaskType):
    name = "HUMAN"
    has_input_template = False
