"""EXCLUSIVE_JOIN: goes on with whichever of the tasks that it names was run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batuta_core.decider import outcome
from batuta_core.decider.tasks.join import has_ended, may_come
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask


class ExclusiveJoin(TaskType):
    name = "EXCLUSIVE_JOIN"
    is_retried = False
    has_input_template = False
    is_waiting = True

    def looks_at(self, task: WorkflowTask) -> Iterator[str]:
        yield from task["joinOn"]
        yield from task["defaultExclusiveJoinTask"]

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
        names = {key: node.task[key] for key in ("joinOn", "defaultExclusiveJoinTask")}
        step.open_task(node, task, {**node.task["inputParameters"], **names})
        step.has_news = True

    def look(self, step: Step, node: Node, task: OpenTask, *, is_last_chance: bool) -> bool:
        refs = [ref for ref in self.looks_at(node.task) if ref != node.ref and ref not in step.skipped]
        for ref in refs:
            if has_ended(step, node, ref):
                (found,) = step.tasks([ref])
                if found.status.is_successful:
                    step.close_task(task, TaskStatus.COMPLETED, output=found.output or {})
                    outcome.task_succeeded(step, node)
                else:
                    outcome.task_failed(step, node, task, TaskStatus.FAILED, reason=found.reason, output=found.output)
                return True
            if not is_last_chance and ref in step.open:
                return False
        if not is_last_chance and any(may_come(step, node, ref) for ref in refs):
            return False
        step.close_task(task, TaskStatus.COMPLETED, output={})  # none of them was run, nor will be
        outcome.task_succeeded(step, node)
        return True
