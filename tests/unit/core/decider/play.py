"""An execution decided by hand: the pure decider, a list as its journal, and a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batuta_core.decider.compile import compile_definition
from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.known import FoundDefinition, Known, Needs, NotStartable, Wanted
from batuta_core.engine.fold import fold
from batuta_core.model import ids
from batuta_core.model.command import Command, EnqueueTask
from batuta_core.model.definition import definition_hash, freeze, normalize_task_definition, normalize_workflow_definition
from batuta_core.model.event import Event, TaskStarted, TaskUpdated, TimerFired, WorkflowStarted
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowExecution
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Head, OpenTask, Record, pack, unpack

BEGIN_MS = 1_764_000_000_000
EXECUTION = ExecutionId("default", "00000000-0000-4000-8000-000000000001")
Json = dict[str, Any]


def simple(ref: str, **fields: Any) -> Json:
    """A worker's task; its task definition is called like it."""
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", **fields}


class Play:
    """Begins with a start; every later call is one decision. Each record goes through its bytes, as it would in a journal."""

    def __init__(
        self,
        *tasks: Json,
        task_definitions: Sequence[Json] = (),
        task_input: Json | None = None,
        definitions: Mapping[Any, FoundDefinition | NotStartable] | None = None,
        started: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        registered = {item["name"]: normalize_task_definition(item) for item in task_definitions}
        frozen = freeze(normalize_workflow_definition({"name": "w", "tasks": list(tasks), **fields}), registered)
        self.graph = compile_definition(frozen, definition_hash(frozen))
        self.now_ms = BEGIN_MS
        self.records: list[Record] = []
        self.asked: list[Needs] = []
        self._definitions: Mapping[Wanted, FoundDefinition | NotStartable] = definitions or {}
        about = {"op": "start", "definition": self.graph.hash, "name": "w", "version": 1, "input": task_input or {}, **(started or {})}
        self.decide(WorkflowStarted(**about))

    def decide(self, *events: Event) -> Record | None:
        """The new record, None when the events changed nothing. What the decider asks for is given, and noted in ``asked``."""
        newest = self.records[-1] if self.records else None
        known = Known(records={newest.seq: newest} if newest else {})
        while True:
            answer = decide(self.graph, EXECUTION, newest.head if newest else None, newest.seq if newest else 0, events, known, self.now_ms)
            if isinstance(answer, Decision):
                break
            self.asked.append(answer)
            assert not answer.payloads
            records = {**known.records, **{seq: self.records[seq - 1] for seq in answer.records}}
            definitions = {**known.definitions, **{wanted: self._definitions[wanted] for wanted in answer.definitions}}
            known = Known(records, {}, definitions)
        if answer.record is not None:
            first = self.records[0].to_json() if self.records else b""
            stored = Record.from_json(unpack(pack(answer.record, answer.record.to_json(), first), first))
            assert stored == answer.record
            self.records.append(stored)
        return answer.record

    # --- what happens

    def update(self, ref: str, status: TaskStatus = TaskStatus.COMPLETED, output: Any = None, **fields: Any) -> Record | None:
        """The worker of the open task ``ref`` reports."""
        return self.decide(TaskUpdated(place=self.open(ref).place, status=status, output=output, **fields))

    def fail(self, ref: str, reason: str | None = "no luck") -> Record | None:
        return self.update(ref, TaskStatus.FAILED, reason=reason)

    def take(self, ref: str, *, is_leased: bool = False) -> Record | None:
        return self.decide(TaskStarted(place=self.open(ref).place, op="take", worker_id="me", is_leased=is_leased))

    def fire(self) -> Record | None:
        """The armed timer fires, at its time."""
        mark = self.head.mark
        assert mark is not None, "no timer is armed"
        self.now_ms = max(self.now_ms, mark.due_ms)
        return self.decide(TimerFired(timer=mark.timer, due_ms=mark.due_ms))

    # --- how it stands

    @property
    def head(self) -> Head:
        return self.records[-1].head

    @property
    def commands(self) -> tuple[Command, ...]:
        """Of the newest record."""
        return self.records[-1].commands

    @property
    def enqueued(self) -> list[str]:
        """Reference names of the tasks that the newest record puts on a queue."""
        return [command.ref for command in self.commands if isinstance(command, EnqueueTask)]

    def open(self, ref: str) -> OpenTask:
        return self.head.open[ref]

    def task_id(self, ref: str) -> str:
        return ids.task_id(EXECUTION.workflow_id, *self.open(ref).place)

    def folded(self) -> WorkflowExecution:
        return fold(EXECUTION, self.records, self.graph)

    def tasks(self, ref: str) -> list[TaskExecution]:
        """All attempts, the first one first."""
        return [task for task in self.folded().tasks if task.ref == ref]

    def task(self, ref: str) -> TaskExecution:
        """The newest attempt."""
        return self.tasks(ref)[-1]

    @property
    def shape(self) -> list[tuple[str, str]]:
        """Every task with its status, in the order of scheduling."""
        return [(task.ref, task.status.value) for task in self.folded().tasks]

    @property
    def status(self) -> str:
        return self.head.status.value
