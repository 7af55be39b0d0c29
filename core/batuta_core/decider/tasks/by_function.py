"""What the task types share that a function of ours runs: they wait on its queue, as a worker's tasks on theirs.

The function's queue is Lambda's own, which holds nothing back: an attempt that begins later waits for a timer. A result is reported
as a worker reports one; with ``asyncComplete`` that is IN_PROGRESS, and the task is completed through the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class ByFunction(TaskType):
    def added_inputs(self, task: WorkflowTask) -> Mapping[str, Any]:
        return {"asyncComplete": task.get("asyncComplete") is True or task["inputParameters"].get("asyncComplete") is True}

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        due_ms = step.now_ms + node.start_delay_s * 1000 if node.start_delay_s else 0
        task = step.new_task(node, due_ms=due_ms, callback_s=node.start_delay_s)
        step.open_task(node, step.enqueue(task), task_input)
