"""One decision in the making: a working copy of the head, and the few moves that change it.

Everything else in the decider is written in terms of these moves, so that a task cannot be
opened without a place in the record, or ended without being findable afterwards.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider import timeout, view
from batuta_core.decider.expression.template import Template
from batuta_core.decider.known import Known, Language, Missing, Needs, Script, ScriptResult
from batuta_core.model import ids
from batuta_core.model.command import ArmTimer, Command, EnqueueTask
from batuta_core.model.event import Event, TaskPlace
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import check_size
from batuta_core.model.record import Begin, Ended, Head, OpenTask, TaskChange

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node

NOTHING_HIDDEN: frozenset[str] = frozenset()

# A script may take 4 s and a function lives for 30 s; what is left to do is begun by the next decision, a moment later.
SCRIPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next record holds so far, readable like a record."""

    seq: int
    at_ms: int
    events: list[Event]
    changes: list[TaskChange]
    commands: list[Command]


class Step:
    """The state of a decision. It lives for one call of ``decide``."""

    def __init__(self, graph: Graph, execution: ExecutionId, head: Head, seq: int, known: Known, now_ms: int) -> None:
        self.graph = graph
        self.execution = execution
        self.before = head
        self.now_ms = now_ms
        self.known = known
        self.draft = Draft(seq, now_ms, [], [], [])
        self.reader = view.Reader(known, self.draft)
        self.status = head.status
        self.open = dict(head.open)
        self.ended = dict(head.ended)
        self.last_task = head.last_task
        self.task_count = head.task_count
        self.variables_record = head.variables_record
        self.variables: Mapping[str, Any] | None = None  # set by this step
        self.output: Any = None  # set by this step
        self.reason = head.reason
        self.ended_ms = head.ended_ms
        self.failed_refs = list(head.failed_refs)
        self.tolerated = list(head.tolerated)
        self.last: tuple[Command, ...] = head.last
        self.todo: deque[Begin] = deque(head.todo)
        self._scripts = 0
        self._scheduled_here = 0
        self._hidden = NOTHING_HIDDEN
        self._is_task_made = False

    # --- flow

    @property
    def is_running(self) -> bool:
        return not self.status.is_terminal

    def go_to(self, ref: str | None, hidden: frozenset[str] = NOTHING_HIDDEN) -> None:
        """``ref`` comes next. Its input does not see the tasks in ``hidden``: Conductor evaluates the first task of a
        branch together with the task that chose the branch, before the latter can be read (recorded)."""
        if ref is not None:
            self.todo.append(Begin(ref, hidden))

    def command(self, command: Command) -> None:
        self.draft.commands.append(command)

    # --- tasks

    def next_place(self) -> TaskPlace:
        """Where the next task that this step schedules will be."""
        return TaskPlace(self.draft.seq, self._scheduled_here)

    def task_id_at(self, place: TaskPlace) -> str:
        return ids.task_id(self.execution.workflow_id, place.record, place.nth)

    def open_task(self, node: Node, task: OpenTask, task_input: Any, extra: Mapping[str, Any] | None = None) -> OpenTask:
        """Adds ``task`` (made with ``new_task``) with its input; ``extra`` are more fields for the execution's view."""
        fields: dict[str, Any] = {"ref": task.ref, "status": task.status}
        if task.attempt > 1:
            fields["attempt"] = task.attempt
            fields["first_scheduled_ms"] = task.first_scheduled_ms
        if task.delay_s:
            fields["start_delay_s"] = task.delay_s
        if task.callback_s:
            fields["callback_after_s"] = task.callback_s
        if task.started_ms:
            fields["started_ms"] = task.started_ms
        if extra:
            fields.update(extra)
        self.task_count = task.number
        self._scheduled_here += 1
        self.draft.changes.append(TaskChange(task.number, fields, task_input))
        return self.keep(node, task)

    def new_task(self, node: Node, **fields: Any) -> OpenTask:
        """An open task of ``node`` in the next place of this record; not yet added."""
        return OpenTask(ref=node.ref, number=self.task_count + 1, place=self.next_place(), scheduled_ms=self.now_ms, **fields)

    def keep(self, node: Node, task: OpenTask) -> OpenTask:
        """Puts a changed open task back, its deadline made anew."""
        deadline_ms = timeout.earliest(task, node)
        if deadline_ms != task.deadline_ms:
            task = replace(task, deadline_ms=deadline_ms)
        self.open[task.ref] = task
        return task

    def enqueue(self, task: OpenTask) -> OpenTask:
        """Has the task put on its queue; one that is due later than SQS can delay waits for a timer first."""
        if task.due_ms - self.now_ms > timeout.DELAY_MAX_MS:
            return replace(task, sent_ms=0)
        self.command(EnqueueTask(place=task.place, ref=task.ref, due_ms=task.due_ms))
        return replace(task, sent_ms=max(task.due_ms, self.now_ms))

    def change(self, task: OpenTask, fields: Mapping[str, Any], *, output: Any = None, output_event: int = -1) -> None:
        """Notes what became of a task. Fields at their value in the head are not repeated by callers."""
        self.draft.changes.append(TaskChange(task.number, fields, None, output, output_event))

    def close_task(
        self, task: OpenTask, status: TaskStatus, *, output: Any = None, output_event: int = -1, reason: str | None = None, **more: Any
    ) -> Ended:
        """Ends an open task. Without ``output`` the one reported earlier stays."""
        fields: dict[str, Any] = {"status": status, **more}
        if reason is not None:
            fields["reason"] = reason
        for name, value in (("started_ms", task.started_ms), ("poll_count", task.polls), ("worker_id", task.worker_id)):
            if value:
                fields[name] = value
        self.change(task, fields, output=output, output_event=output_event)
        seq = self.draft.seq
        has_output = output is not None or output_event >= 0
        ended = Ended(task.number, *task.place, seq, seq if has_output or not task.output_record else task.output_record)
        del self.open[task.ref]
        self._note_ended(task.ref, ended)
        return ended

    def local_task(self, node: Node, status: TaskStatus, task_input: Any, output: Any = None, reason: str | None = None) -> Ended:
        """A task that begins and ends in this step."""
        place, seq = self.next_place(), self.draft.seq
        self.task_count += 1
        self._scheduled_here += 1
        fields: dict[str, Any] = {"ref": node.ref, "status": status, "started_ms": self.now_ms}
        if reason is not None:
            fields["reason"] = reason
        self.draft.changes.append(TaskChange(self.task_count, fields, task_input, output))
        ended = Ended(self.task_count, *place, seq, seq)
        self._note_ended(node.ref, ended)
        return ended

    def _note_ended(self, ref: str, ended: Ended) -> None:
        self.ended[ref] = ended
        if self.last_task is None or ended.number > self.last_task.number:
            self.last_task = ended

    # --- reading: Step is the Scope of expressions

    def evaluate(self, template: Template, hidden: frozenset[str] = NOTHING_HIDDEN) -> Any:
        """Resolves a template against the execution as it stands in this step."""
        seqs: set[int] = set()
        for root, name in template.needs:
            seqs.update(self._records_of(root, name))
        self.reader.require(frozenset(seqs))
        self._hidden = hidden
        return template.resolve(self)

    def inputs(self, node: Node, hidden: frozenset[str] = NOTHING_HIDDEN) -> dict[str, Any]:
        """The input of the next task of ``node``. A null takes the task definition's template value, raw, as in Conductor."""
        self._is_task_made = True
        found: dict[str, Any] = self.evaluate(node.inputs, hidden)
        self._is_task_made = False
        check_size(found, f"the input of {node.ref}")
        for key, raw in node.fallbacks.items():
            if found.get(key) is None:
                found[key] = raw
        return found

    def run_script(self, language: Language, source: str, given: Mapping[str, Any], task_id: str | None = None) -> ScriptResult:
        """The value of a user's script that sees ``given``, or why it has none. ``task_id``: of the open task that it is run for;
        by default of the one that comes next."""
        text = json.dumps(given, separators=(",", ":"))
        script = Script(language, source, text, self.now_ms, task_id or self.task_id_at(self.next_place()))
        if script not in self.known.scripts:
            raise Missing(Needs(scripts=frozenset((script,))))
        self._scripts += 1
        return self.known.scripts[script]

    @property
    def may_run_scripts(self) -> bool:
        """Whether this decision has the time for one more."""
        return self._scripts < SCRIPTS_MAX

    def field(self, root: str, name: str) -> Any:
        if root == "workflow":
            return self._workflow_field(name)
        if root in self._hidden:
            return None
        ended = None if root in self.open else self.ended.get(root)
        if ended is not None and name == "output":  # the common case, without the record that scheduled the task
            output = view.output_in(self.reader.record(ended.output_record), ended.number)
            return {} if output is None else self.reader.payload(output)
        task = self.task(root)
        return None if task is None else self.reader.payload(view.task_field(task, name, self.before, self.execution))

    def document(self, root: str) -> Mapping[str, Any] | None:
        if root == "workflow":
            return {name: self._workflow_field(name) for name in view.WORKFLOW_FIELDS}
        task = None if root in self._hidden else self.task(root)
        if task is None:
            return None
        return {name: self.reader.payload(view.task_field(task, name, self.before, self.execution)) for name in view.TASK_FIELDS}

    def task_id(self) -> str | None:
        return self.task_id_at(self.next_place()) if self._is_task_made else None

    def task(self, ref: str) -> TaskExecution | None:
        """The newest task of that reference name, None when none was scheduled."""
        if open_ := self.open.get(ref):
            return view.open_task(open_, self.reader, self.execution, self.graph)
        if ended := self.ended.get(ref):
            return view.ended_task(ended, self.reader, self.execution, self.graph)
        return None

    def current_variables(self) -> Mapping[str, Any]:
        if self.variables is not None:
            return self.variables
        if not self.variables_record:
            found: Mapping[str, Any] = self.graph.definition["variables"]
            return found
        record = self.known.records.get(self.variables_record)
        if record is None:
            raise Missing(Needs(records=frozenset((self.variables_record,))))
        return self.reader.payload(record.variables)  # type: ignore[no-any-return]

    def workflow_input(self) -> Mapping[str, Any]:
        started = view.started_event(self.reader.record(1))
        return self.reader.payload(started.input) or {}

    def _workflow_field(self, name: str) -> Any:
        if name == "input":
            return self.workflow_input()
        if name == "variables":
            return self.current_variables()
        if name == "output":
            return {}  # Conductor fills it when the execution ends, after everything was read
        return view.workflow_constants(self.before, self.graph, self.execution).get(name)

    def _records_of(self, root: str, name: str | None) -> set[int]:
        if root == "workflow":
            seqs = {1} if name in ("input", None) else set()
            if name in ("variables", None) and self.variables is None:
                seqs.add(self.variables_record)
        elif open_ := self.open.get(root):
            seqs = {open_.place.record, open_.output_record}
        elif ended := self.ended.get(root):
            seqs = {ended.output_record} if name == "output" else {ended.record, ended.ended_record, ended.output_record}
        else:
            seqs = set()
        return seqs - {0}

    # --- time

    def arm(self, due_ms: int) -> None:
        """The timer of this record; the caller notes it as the head's mark."""
        self.command(ArmTimer(timer=self.draft.seq, due_ms=due_ms))

    def end(self, status: WorkflowStatus, reason: str | None) -> None:
        """The execution has ended; what is still open must have been closed."""
        self.status = status
        self.reason = reason
        self.ended_ms = self.now_ms
        self.todo.clear()
