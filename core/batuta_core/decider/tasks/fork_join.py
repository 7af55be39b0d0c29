"""FORK_JOIN: runs its branches beside each other; the JOIN behind it waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from batuta_core.decider import outcome
from batuta_core.decider.tasks.rules import empty
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import child_lists
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node
    from batuta_core.decider.step import Step

WIRE_TYPE = "FORK"  # of the running task, static fork or dynamic


class ForkJoin(TaskType):
    name = "FORK_JOIN"
    is_retried = False
    has_input_template = False
    is_fork = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if not task["forkTasks"]:
            yield empty("forkTasks", task, path)

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        return child_lists(task)

    def after_children(self, task: WorkflowTask, follower: str | None) -> str | None:
        return None  # the JOIN begins with the branches, not behind them

    def wire_type(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def shown_name(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        join = join_of(step.graph, node)
        if join is None:
            outcome.finish(step, WorkflowStatus.FAILED, "Fork task definition is not followed by a join task.  Check the blueprint")
            return
        step.local_task(node, TaskStatus.COMPLETED, step.inputs(node, hidden), {})
        branches = [branch[0]["taskReferenceName"] for branch in node.task["forkTasks"] if branch]
        step.go_into([*branches, join.ref], hidden | {node.ref})


def join_of(graph: Graph, fork: Node) -> Node | None:
    """The JOIN behind ``fork``; None when something else follows."""
    follower = graph.node(fork.next) if fork.next else None
    return follower if follower is not None and follower.fork == fork.ref and follower.type.name == "JOIN" else None
