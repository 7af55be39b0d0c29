"""What SUB_WORKFLOW and START_WORKFLOW share: a task for which another execution is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider import outcome
from batuta_core.decider.known import DefinitionName, FoundDefinition, InlineDefinition, NotStartable, Wanted
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.model.command import StartChild
from batuta_core.model.execution import TaskStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step

PRIORITY_MAX = 99  # Conductor's range is 0 to 99
# A workflow that runs itself as its child would go on for ever; and each level adds some 150 bytes to the reason of a failure.
DEPTH_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which execution a task asks for. What is None is inherited from the execution that asks."""

    definition: Any = None  # an inline one
    name: str = ""
    version: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None
    task_to_domain: Mapping[str, str] | None = None
    priority: int = 0
    idempotency_key: str | None = None
    created_by: str | None = None

    @property
    def wanted(self) -> Wanted:
        if self.definition is not None:
            return InlineDefinition(json.dumps(self.definition, separators=(",", ":")))
        return DefinitionName(self.name, self.version)


class Unreadable(ValueError):
    """A task's input asks for nothing that could be started; the message is the task's reason."""


class StartingTask(TaskType):
    """The start is a command of the record in which the task begins; whoever is started answers."""

    has_input_template = False
    takes_parts = True

    def request(self, task_input: Mapping[str, Any]) -> Request:
        """What is to be started; raises Unreadable."""
        raise NotImplementedError

    def started_id(self, execution: ExecutionId, task: OpenTask, name: str, request: Request) -> str:
        """The id of the execution that is started; ``name`` is its definition's."""
        raise NotImplementedError

    def shown_at_start(self, step: Step, task: OpenTask) -> Any:
        """The task's output while the other execution runs."""
        return None

    def task_input(self, step: Step, node: Node, hidden: frozenset[str]) -> dict[str, Any]:
        return step.inputs(node, hidden)

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = self.task_input(step, node, hidden)
        anew = step.anew.get(node.ref)
        if anew is not None and anew.place is None:  # a user retries it
            task_input = self.input_again(task_input)
        due_ms = step.now_ms + node.start_delay_s * 1000 if node.start_delay_s else 0
        self._schedule(step, node, step.new_task(node, due_ms=due_ms), task_input)

    def again(self, step: Step, node: Node, failed: OpenTask, attempt: OpenTask, extra: Mapping[str, Any]) -> None:
        self._schedule(step, node, attempt, self.input_again(self.task_input(step, node, frozenset())), extra)

    def input_again(self, task_input: dict[str, Any]) -> dict[str, Any]:
        """The input of an attempt after the first."""
        return task_input

    def _schedule(self, step: Step, node: Node, task: OpenTask, task_input: Any, extra: Mapping[str, Any] | None = None) -> None:
        if task.due_ms:  # its timer starts it: FIFO queues cannot delay a message
            step.open_task(node, task, task_input, extra)
            return
        found, wanted = self._definition(step, task_input)
        if isinstance(found, NotStartable):
            self._refuse(step, node, step.open_task(node, task, task_input, extra), found)
            return
        output = self.shown_at_start(step, task)
        self._start(step, step.open_task(node, _begun(step, task, found, output), task_input, extra, output), wanted)

    def on_due(self, step: Step, node: Node, task: OpenTask) -> None:
        """The delay of a start is over."""
        task_input = step.old_input(task.number, task.place)
        found, wanted = self._definition(step, task_input)
        if isinstance(found, NotStartable):
            self._refuse(step, node, task, found)
            return
        output = self.shown_at_start(step, task)
        task = step.keep(node, _begun(step, task, found, output))
        step.change(task, {"status": task.status, "started_ms": task.started_ms, "callback_after_s": 0}, output=output)
        self._start(step, task, wanted)

    def deliver(self, step: Step, node: Node, task: OpenTask) -> None:
        """Nobody has answered for so long that the message may be lost. One who has the start answers it."""
        step.keep(node, replace(task, sent_ms=step.now_ms))
        self._start(step, task, "")

    def _definition(self, step: Step, task_input: Mapping[str, Any]) -> tuple[FoundDefinition | NotStartable, str]:
        try:
            wanted = self.request(task_input).wanted
        except Unreadable as error:
            return NotStartable(str(error)), ""
        if self.runs_child and step.before.about.depth >= DEPTH_MAX:
            return NotStartable(f"Sub-workflows are nested {DEPTH_MAX} levels deep: no more are started."), ""
        return step.definition(wanted), wanted.key

    def _start(self, step: Step, task: OpenTask, wanted: str) -> None:
        step.command(StartChild(place=task.place, ref=task.ref, definition=task.child, wanted=wanted))

    def _refuse(self, step: Step, node: Node, task: OpenTask, why: NotStartable) -> None:
        outcome.task_failed(step, node, task, TaskStatus.FAILED, reason=why.reason)


def _begun(step: Step, task: OpenTask, found: FoundDefinition, output: Any) -> OpenTask:
    return replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        started_ms=step.now_ms,
        updated_ms=step.now_ms,
        sent_ms=step.now_ms,
        due_ms=0,
        callback_s=0,
        child=found.hash,
        output_record=step.draft.seq if output is not None else 0,
    )


def whole_number(value: Any) -> int | None:
    """A number, or text that spells one; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
