"""SIMPLE: a worker's task; its name is its task definition and its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Simple(TaskType):
    name = "SIMPLE"
    is_worker = True
    takes_parts = True

    def wire_type(self, task: WorkflowTask) -> str:
        return str(task["name"])

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        schedule(step, node, step.inputs(node, hidden))


def schedule(step: Step, node: Node, task_input: Any, **fields: Any) -> None:
    """Makes a worker's task; ``fields`` are more of its OpenTask."""
    delay_s = 0 if node.ref in step.anew else node.start_delay_s  # a user's retry or rerun does not wait
    due_ms = step.now_ms + delay_s * 1000 if delay_s else 0
    task = step.new_task(node, due_ms=due_ms, delay_s=delay_s, domain=step.domain_of(node), **fields)
    step.open_task(node, step.enqueue(task), task_input)
