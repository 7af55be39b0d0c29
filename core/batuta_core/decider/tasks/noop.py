"""NOOP: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Noop(TaskType):
    name = "NOOP"
    has_input_template = False

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        step.local_task(node, TaskStatus.COMPLETED, {}, {})  # without the node's inputs (recorded)
        step.go_to(node.next)
