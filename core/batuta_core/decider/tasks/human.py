"""HUMAN: waits until somebody completes it through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Human(TaskType):
    name = "HUMAN"
    has_input_template = False
    is_supported = True

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
        step.open_task(node, task, task_input)
