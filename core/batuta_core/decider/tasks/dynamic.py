"""DYNAMIC: a worker's task whose name an input says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batuta_core.decider import outcome
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.decider.forked import named
from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.simple import schedule
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.payload import PayloadPart, too_large

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Dynamic(TaskType):
    name = "DYNAMIC"
    is_worker = True
    is_named_late = True
    takes_parts = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "dynamicTaskNameParam" not in task:
            yield required("dynamicTaskNameParam", task, path)

    def wire_type(self, task: WorkflowTask) -> str:
        return str(task["name"])

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        param = node.task["dynamicTaskNameParam"]
        name = task_input.get(param)
        if type(name) is PayloadPart:
            raise too_large(name, "the name of a dynamic task")
        if not name:
            shown = java_text(task_input, Budget())
            reason = f"Cannot map a dynamic task based on the parameter and input. Parameter= {param}, input= {shown}"
            outcome.finish(step, WorkflowStatus.FAILED, reason)
            return
        schedule(step, named(node, str(name)), task_input, task_name=str(name))
