"""JOIN: waits for the tasks that it names, and shows their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.execution import TaskExecution, TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask


class Join(TaskType):
    name = "JOIN"
    is_retried = False
    has_input_template = False
    is_supported = True
    is_waiting = True

    def looks_at(self, task: WorkflowTask) -> Iterator[str]:
        yield from task["joinOn"]

    def shown_name(self, task: WorkflowTask) -> str:
        return self.name

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task = step.new_task(node, status=TaskStatus.IN_PROGRESS, started_ms=step.now_ms, updated_ms=step.now_ms)
        step.open_task(node, task, {**node.task["inputParameters"], "joinOn": node.task["joinOn"]})
        step.has_news = True  # what it waits for may have ended long ago

    def look(self, step: Step, node: Node, task: OpenTask, *, is_last_chance: bool) -> bool:
        refs: Sequence[str] = node.task["joinOn"]
        if any(ref in step.open for ref in refs):
            return False
        over = [ref for ref in refs if has_ended(step, node, ref)]
        if len(over) < len(refs) and not is_last_chance and any(_may_come(step, node, ref) for ref in refs if ref not in over):
            return False
        _finish(step, node, task, step.tasks(over))
        return True


def has_ended(step: Step, node: Node, ref: str) -> bool:
    """Whether the task ``ref`` has ended; in a loop, in this iteration."""
    ended = step.ended.get(ref)
    if ended is None or ref in step.open:
        return False
    is_beside = node.loop is not None and step.graph.is_inside(ref, step.graph.node(node.loop))
    return not is_beside or ended.number > step.open[node.loop or ""].since


def _may_come(step: Step, node: Node, ref: str) -> bool:
    """Whether ``ref``, which was not scheduled, may be yet: something is open in its own branch of the fork. Of a task elsewhere
    nobody knows."""
    fork = step.graph.node(node.fork) if node.fork else None
    if fork is None or not step.graph.is_inside(ref, fork):
        return True
    position = step.graph.node(ref).position
    begins = [step.graph.node(branch[0]["taskReferenceName"]).position for branch in fork.task["forkTasks"] if branch]
    begin = max(place for place in begins if place <= position)
    end = min((place for place in begins if place > position), default=fork.end)
    return any(begin <= step.graph.node(open_).position < end for open_ in step.open)


def _finish(step: Step, node: Node, task: OpenTask, joined: Sequence[TaskExecution]) -> None:
    output: dict[str, Any] = {}
    bad: list[TaskExecution] = []
    for found in joined:
        if found.output and not bad:  # what comes behind the first that failed is not shown (recorded)
            output[found.ref] = found.output
        if not found.status.is_successful:
            bad.append(found)
    if bad:
        status = TaskStatus.CANCELED if all(found.status is TaskStatus.CANCELED for found in bad) else TaskStatus.FAILED
        reason = " ".join(found.reason or "null" for found in bad)
        outcome.task_failed(step, node, task, status, reason=reason, output=output)
        return
    tolerated = [f"{found.name}/{found.task_id} " for found in joined if found.status is TaskStatus.COMPLETED_WITH_ERRORS]
    if tolerated:
        step.close_task(task, TaskStatus.COMPLETED_WITH_ERRORS, output=output, reason="".join(tolerated) + "completed with errors")
    else:
        step.close_task(task, TaskStatus.COMPLETED, output=output)
    outcome.task_succeeded(step, node)
