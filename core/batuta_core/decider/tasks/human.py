"""HUMAN: waits until somebody completes it through the API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.decider.timeout import LOOK_MS
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask


class Human(TaskType):
    name = "HUMAN"
    has_input_template = False
    is_limited = True
    limit_late_ms = LOOK_MS

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
        step.open_task(node, task, task_input)

    def enqueue_attempt(self, step: Step, node: Node, task: OpenTask) -> OpenTask:
        return replace(task, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms, due_ms=0, callback_s=0)
