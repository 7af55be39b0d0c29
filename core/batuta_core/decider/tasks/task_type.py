"""What the decider asks of every task type. One file per type beside this one answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step
    from batuta_core.model.record import OpenTask

WorkflowTask = Mapping[str, Any]  # a task of a normalized definition: JSON with Conductor's names


class TaskType:
    """The answers of a type that differs in nothing; a type overrides what it does otherwise.

    Types hold no state: one instance serves all executions.
    """

    name: ClassVar[str]
    is_worker: ClassVar[bool] = False  # a worker runs it: it has a task queue
    is_named_late: ClassVar[bool] = False  # which queue that is, only its input says
    system_queue: ClassVar[str] = ""  # a function of ours runs it: the stage's queue that feeds the function; empty: none does
    is_repeatable: ClassVar[bool] = False  # such a function may run an attempt again: what it does twice has the effect of once
    is_told_domains: ClassVar[bool] = False  # its message says to which domains the execution's tasks go
    is_retried: ClassVar[bool] = True  # a failed one may be tried again (Conductor never retries control tasks)
    has_input_template: ClassVar[bool] = True  # the task definition's inputTemplate joins its input
    is_fork: ClassVar[bool] = False  # it begins branches, and the JOIN behind it
    is_loop: ClassVar[bool] = False  # what is inside of it is run again and again
    is_waiting: ClassVar[bool] = False  # it ends when others have ended: ``look`` is called whenever one has
    is_limited: ClassVar[bool] = False  # no worker's, and yet its task definition's limits on time hold
    limit_late_ms: ClassVar[int] = 0  # how much later than due such limits are looked at, unless somebody asks
    runs_child: ClassVar[bool] = False  # what runs for it ends with it
    is_segment: ClassVar[bool] = False  # that is a part of the branches of a wide fork
    takes_parts: ClassVar[bool] = False  # it only hands its input on, so that payloads may be in it that are too large to be loaded

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        """What Conductor refuses at registration (reference section 1.4). ``path`` leads to ``task``."""
        return iter(())

    def children(self, task: WorkflowTask) -> Iterator[tuple[str, Sequence[WorkflowTask]]]:
        """The lists of tasks inside ``task``, each with its path below it: ``("decisionCases.a", [...])``."""
        return iter(())

    def after_children(self, task: WorkflowTask, follower: str | None) -> str | None:
        """What follows the last task of each of the children's lists; ``follower`` is what follows ``task`` itself."""
        return follower

    def looks_at(self, task: WorkflowTask) -> Iterator[str]:
        """The reference names of tasks whose end and output it reads, beyond its input."""
        return iter(())

    def added_inputs(self, task: WorkflowTask) -> Mapping[str, Any]:
        """Inputs that Conductor adds to those of the definition, over equal names."""
        return {}

    def wire_type(self, task: WorkflowTask) -> str:
        """Conductor's taskType of the running task."""
        return self.name

    def shown_name(self, task: WorkflowTask) -> str:
        """Conductor's taskDefName of the running task."""
        return str(task["name"])

    def input_parameters(self, task: WorkflowTask) -> Mapping[str, Any]:
        """What the running task's input is made from."""
        found: Mapping[str, Any] = task["inputParameters"]
        return found

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        """The flow has reached ``node``: make its task, or finish it at once and go on. The task's input does not see the
        tasks in ``hidden``."""
        raise NotImplementedError(self.name)

    def look(self, step: Step, node: Node, task: OpenTask, *, is_last_chance: bool) -> bool:
        """Some task has ended since an open task of a waiting type was looked at: whether that changed anything. On the last
        chance nothing is left that could end; a task that goes on waiting then would wait for ever."""
        return False

    def cut_short(self, step: Step, node: Node, task: OpenTask) -> Mapping[str, Any]:
        """What an open task of this type shows more when the execution ends before it does."""
        return {}

    def enqueue_attempt(self, step: Step, node: Node, task: OpenTask) -> OpenTask:
        """Has another attempt, which is not yet open, run when its time has come (``OpenTask.due_ms``; 0: now)."""
        return step.enqueue(task)

    def on_due(self, step: Step, node: Node, task: OpenTask) -> None:
        """The moment that an open task of this type waits for (``OpenTask.due_ms``) has come."""

    def again(self, step: Step, node: Node, failed: OpenTask, attempt: OpenTask, extra: Mapping[str, Any]) -> None:
        """Adds the attempt that follows a failed one, its input evaluated afresh, with ``extra`` fields for the view."""
        task_input = step.old_input(failed.number, failed.place) if step.is_beside(node) else step.inputs(node)
        step.open_task(node, self.enqueue_attempt(step, node, attempt), task_input, extra)

    def deliver(self, step: Step, node: Node, task: OpenTask) -> None:
        """The task's message is due: its delay was too long for SQS, or it gets too old."""
        if task.gate and task.sent_ms and task.status is TaskStatus.SCHEDULED:  # it stands in line anew, or anew has a permit
            step.return_permit(task)
            task = replace(task, sends=task.sends + 1)
        step.keep(node, step.enqueue(task))
