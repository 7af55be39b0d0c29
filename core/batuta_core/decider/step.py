"""One decision in the making: a working copy of the head, and the few moves that change it.

Everything else in the decider is written in terms of these moves, so that a task cannot be
opened without a place in the record, or ended without being findable afterwards.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batuta_core.decider import forked, lives, segments, timeout, view
from batuta_core.decider.expression.template import Template
from batuta_core.decider.known import (
    FoundDefinition,
    Known,
    Language,
    Missing,
    Needs,
    NotStartable,
    PolledQueue,
    Script,
    ScriptResult,
    Wanted,
)
from batuta_core.decider.loop import OWN_KEYS, LoopOutput, compose
from batuta_core.model import ids
from batuta_core.model.command import ArmTimer, Command, EnqueueTask, ReturnPermit
from batuta_core.model.event import Event
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import assembled, check_size, holes_of, is_larger, too_large
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Begin, Ended, Head, OpenTask, Record, TaskChange

if TYPE_CHECKING:
    from batuta_core.decider.compile import Graph, Node

NOTHING_HIDDEN: frozenset[str] = frozenset()
NO_DOMAIN = "NO_DOMAIN"  # Conductor's word for the tasks outside of all domains
ACTIVE_MS = 10_000  # Conductor's: workers of a domain that asked within it are there
# A script may take 4 s and a function lives for 30 s; what is left to do is begun by the next decision, a moment later.
SCRIPTS_MAX = 5
# A larger value counts as all of them: a decision holds its scripts' values, and a decider has 256 MB.
VALUE_LARGE_BYTES = 256 * 1024
_FRESH = {"started_ms": 0, "ended_ms": 0, "poll_count": 0, "worker_id": None, "reason": "", "is_retried": False, "callback_after_s": 0}


@dataclass(frozen=True, slots=True)
class Anew:
    """What a retry or a rerun says of the next task of a reference name."""

    attempt: int
    retried_task_id: str | None = None
    retried_rerun: int = 0  # of the retried task's place
    number: int = 0  # of a rerun: the task that begins anew, and its place
    place: TaskPlace | None = None
    input: Any = None  # None: evaluate it
    iteration: int = 0  # of the loop around it, which may be over


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next record holds so far, readable like a record."""

    seq: int
    at_ms: int
    events: list[Event]
    changes: list[TaskChange]
    commands: list[Command]

    @property
    def scheduled(self) -> Sequence[TaskChange]:
        return [change for change in self.changes if change.is_new]


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
        self.told: Any = None  # of a segment that ends: what it tells the execution that forks
        self.reason = head.reason
        self.ended_ms = head.ended_ms
        self.failed_refs = list(head.failed_refs)
        self.tolerated = list(head.tolerated)
        self.last: tuple[Command, ...] = head.last
        self.todo: deque[Begin] = deque(head.todo)
        self.held = list(head.held)
        self.skipped = dict(head.skipped)
        self.passed = list(head.passed)
        self.anew: dict[str, Anew] = {}
        self.has_forked = head.has_forked
        self.forked: dict[str, tuple[Node, TaskPlace]] = {}  # of branches of dynamic forks that this step has met, with the forks
        self._branches: dict[TaskPlace, forked.Branches | forked.Segments] = {}
        self.joining: TaskPlace | None = None  # the dynamic fork before the JOIN that begins now
        self.has_news = head.has_news  # a task has ended since those were looked at that wait for others
        self._scripts = 0
        self._beside = 0  # how many of the next to come begin in one go with what led to them
        self.is_ending = False
        self.stops = head.stops
        self.stops_ms = head.stops_ms
        self.returned: list[ReturnPermit] = []
        self._scheduled_here = 0
        self._hidden = NOTHING_HIDDEN
        self._is_task_made = False

    # --- flow

    @property
    def is_running(self) -> bool:
        return not self.status.is_terminal

    @property
    def is_paused(self) -> bool:
        return self.status is WorkflowStatus.PAUSED

    def go_to(self, ref: str | None, hidden: frozenset[str] = NOTHING_HIDDEN) -> None:
        """``ref`` comes next. Its input does not see the tasks in ``hidden``: Conductor evaluates the first task of a
        branch together with the task that chose the branch, before the latter can be read (recorded)."""
        if ref in self.passed:
            self.passed.remove(ref)  # the flow had gone on without the task that leads there, which was retried since
        elif ref is not None:
            self.todo.append(self._begin(ref, hidden))

    def go_into(self, refs: Sequence[str], hidden: frozenset[str], fork: TaskPlace | None = None) -> None:
        """``refs`` come next, in this order and before whatever else is to come. ``fork``: the dynamic one that they and the JOIN
        among them belong to."""
        self.todo.extendleft(self._begin(ref, hidden, fork) for ref in reversed(refs))
        self._beside += len(refs)

    def _begin(self, ref: str, hidden: frozenset[str], fork: TaskPlace | None = None) -> Begin:
        return Begin(ref, hidden, fork or (self.forked[ref][1] if ref in self.forked else None))

    def next_begin(self) -> Begin:
        """Takes the next of what is to come."""
        begin = self.todo[0]
        if begin.fork is not None:
            self._add_branch(begin.fork, begin.ref)
        self.joining = begin.fork if begin.ref in self.graph.nodes else None
        self._beside = max(self._beside - 1, 0)
        return self.todo.popleft()

    @property
    def has_beside(self) -> bool:
        """Whether more begins in one go with what began last: the other branches of its fork, and the join."""
        return self._beside > 0 and self.may_run_scripts

    def is_beside(self, node: Node) -> bool:
        """Whether the flow has gone on without ``node``, whose task was retried since."""
        follower = node.next
        while follower in self.skipped:
            follower = self.graph.node(follower).next
        return follower in self.passed

    def command(self, command: Command) -> None:
        self.draft.commands.append(command)

    # --- tasks

    def next_place(self) -> TaskPlace:
        """Where the next task that this step schedules will be."""
        return TaskPlace(self.draft.seq, self._scheduled_here)

    def task_id_at(self, place: TaskPlace) -> str:
        return ids.task_id(self.execution.workflow_id, place.record, place.nth)

    def open_task(
        self, node: Node, task: OpenTask, task_input: Any, extra: Mapping[str, Any] | None = None, output: Any = None
    ) -> OpenTask:
        """Adds ``task`` (made with ``new_task``) with its input; ``extra`` are more fields for the execution's view."""
        fields: dict[str, Any] = {"ref": task.ref, "status": task.status, **self._late_names(node)}
        if task.iteration:
            fields["iteration"] = task.iteration
        if task.domain:
            fields["domain"] = task.domain
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
        self._note_begun(task.ref, task.number, task.place, fields, task_input, output)
        return self.keep(node, task)

    def _note_begun(self, ref: str, number: int, place: TaskPlace, fields: dict[str, Any], task_input: Any, output: Any = None) -> None:
        """Writes that a task was scheduled, or that a rerun makes it begin anew."""
        anew = self.anew.pop(ref, None)
        if self.reader.has_parts:
            task_input, output = assembled(task_input), assembled(output)
        if anew is not None and anew.retried_task_id:
            fields["retried_task_id"] = anew.retried_task_id
        if place.rerun:
            del fields["ref"]
            fields = {**_FRESH, "scheduled_ms": self.now_ms, **fields}
            self.draft.changes.append(TaskChange(number, fields, task_input, {} if output is None else output))
            return
        self.task_count = number
        self._scheduled_here += 1
        self.draft.changes.append(TaskChange(number, fields, task_input, output))

    def _next_of(self, node: Node) -> tuple[int, TaskPlace, int]:
        """Number, place and attempt of the next task of ``node``."""
        anew = self.anew.get(node.ref)
        if anew is not None and anew.place is not None:
            return anew.number, anew.place, anew.attempt
        return self.task_count + 1, self.next_place(), anew.attempt if anew else 1

    def new_task(self, node: Node, **fields: Any) -> OpenTask:
        """An open task of ``node`` in the next place of this record; not yet added."""
        number, place, attempt = self._next_of(node)
        return OpenTask(
            ref=node.ref,
            number=number,
            place=place,
            scheduled_ms=self.now_ms,
            iteration=self.iteration_of(node),
            **{"attempt": attempt, "fork": self.forked[node.ref][1] if node.ref in self.forked else None, **fields},
        )

    def domain_of(self, node: Node) -> str:
        """The domain of the next task of ``node`` (reference section 3.11): the first of those named for its type in which somebody
        asked for such tasks lately, else the last."""
        table = self.before.about.task_to_domain
        text = table.get(node.wire_type, table.get("*", "")) if node.type.is_worker else ""
        domains = [domain for domain in map(str.strip, text.split(",")) if domain]
        wanted = [PolledQueue(node.wire_type, domain) for domain in domains if domain != NO_DOMAIN] if len(domains) > 1 else []
        if missing := frozenset(wanted) - self.known.polls.keys():
            raise Missing(Needs(polls=missing))
        active = [queue.domain for queue in wanted if self.now_ms - self.known.polls[queue] < ACTIVE_MS]
        chosen = (active or domains[-1:] or [NO_DOMAIN])[0]
        return "" if chosen == NO_DOMAIN else chosen

    def shown_ref(self, node: Node) -> str:
        """The reference name of the next task of ``node``, as Conductor shows it."""
        iteration = self.iteration_of(node)
        return f"{node.ref}__{iteration}" if iteration else node.ref

    def iteration_of(self, node: Node) -> int:
        """Of the loop around ``node``; 0 where there is none."""
        if self.graph.is_segment:
            return self.before.about.iteration
        if not node.loop or node.loop in self.open:
            return self.open[node.loop].rounds if node.loop else 0
        if node.ref in self.anew:  # it runs beside the flow, which has left the loop
            return self.anew[node.ref].iteration
        task = self.task(node.ref)
        return task.iteration if task else 0

    def node(self, ref: str) -> Node:
        """The node of that reference name, of the definition or of a dynamic fork."""
        return self.graph.nodes[ref] if ref in self.graph.nodes else self.forked[ref][0]

    def node_of(self, task: OpenTask) -> Node:
        """The node of an open task."""
        if task.fork is not None:
            self._add_branch(task.fork, task.ref)
        node = self.node(task.ref)
        return forked.named(node, task.task_name) if task.task_name else node

    def _add_branch(self, fork: TaskPlace, ref: str) -> None:
        """Makes the nodes of a branch of a dynamic fork known: of the one that ``ref`` belongs to. In a loop another fork may have made
        the same names before."""
        if ref in self.graph.nodes or (ref in self.forked and self.forked[ref][1] == fork):
            return
        if segment := self.graph.segment(ref):  # without looking at what may be a long list
            self.forked[ref] = (segment, fork)
            return
        self.forked.update((inner, (node, fork)) for inner, node in self.forked_by(fork).branch(ref).items())

    def forked_node(self, fork: TaskPlace, ref: str) -> Node:
        """The node of a branch of a dynamic fork."""
        self._add_branch(fork, ref)
        return self.node(ref)

    def add_forked(self, fork: TaskPlace) -> None:
        """Makes all nodes of a dynamic fork known."""
        self.forked.update((ref, (node, fork)) for ref, node in self.forked_by(fork).items())

    def forked_by(self, fork: TaskPlace) -> forked.Branches | forked.Segments:
        """The nodes that a dynamic fork made."""
        if fork not in self._branches:
            self._branches[fork] = forked.branches(fork, self.graph, self.reader)
        return self._branches[fork]

    def keep(self, node: Node, task: OpenTask) -> OpenTask:
        """Puts a changed open task back, its deadline made anew."""
        deadline_ms = timeout.earliest(task, node)
        if deadline_ms != task.deadline_ms:
            task = replace(task, deadline_ms=deadline_ms)
        self.open[task.ref] = task
        return task

    def enqueue(self, task: OpenTask) -> OpenTask:
        """Has the task put on its queue; one that is due later than SQS can delay waits for a timer first."""
        node = self.node_of(task)
        gate = node.gate or task.gate  # the latter of a type that was limited since (TaskLimited)
        task = replace(task, gate=gate) if gate != task.gate else task
        if task.due_ms - self.now_ms > timeout.delay_max_ms(node, task.gate):
            return replace(task, sent_ms=0)
        self.command(EnqueueTask(place=task.place, ref=task.ref, due_ms=task.due_ms))
        return replace(task, sent_ms=max(task.due_ms, self.now_ms))

    def return_permit(self, task: OpenTask, *, is_over: bool = True) -> None:
        """A delivery has started, or is over. It holds a permit only if its task type has limits."""
        if task.gate and task.sent_ms:
            # A start before this delivery was that of an earlier one.
            started_ms = task.started_ms if task.started_ms >= task.sent_ms else 0
            command = ReturnPermit(gate=task.gate, place=task.place, send=task.sends, started_ms=started_ms, is_over=is_over)
            self.command(command)
            self.returned.append(command)

    def change(self, task: OpenTask, fields: Mapping[str, Any], *, output: Any = None, output_event: int = -1) -> None:
        """Notes what became of a task. Fields at their value in the head are not repeated by callers."""
        if self.reader.has_parts:
            output = assembled(output)
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
        ended = Ended.at(task.number, task.place, seq, seq if has_output or not task.output_record else task.output_record)
        del self.open[task.ref]
        self.return_permit(task)
        self._note_ended(task.ref, ended)
        if task.child and self.node_of(task).type.runs_child:
            lives.stop(self, task)
        return ended

    def local_task(self, node: Node, status: TaskStatus, task_input: Any, output: Any = None, reason: str | None = None) -> Ended:
        """A task that begins and ends in this step."""
        (number, place, attempt), seq = self._next_of(node), self.draft.seq
        fields: dict[str, Any] = {"ref": node.ref, "status": status, "started_ms": self.now_ms, **self._late_names(node)}
        if iteration := self.iteration_of(node):
            fields["iteration"] = iteration
        if attempt > 1:
            fields["attempt"] = attempt
        if reason is not None:
            fields["reason"] = reason
        self._note_begun(node.ref, number, place, fields, task_input, output)
        ended = Ended.at(number, place, seq, seq)
        self._note_ended(node.ref, ended)
        return ended

    def _late_names(self, node: Node) -> dict[str, Any]:
        """What a record says of a task whose node is not in the definition as it is."""
        return {} if self.graph.nodes.get(node.ref) is node else {"task_type": node.wire_type, "name": node.shown_name}

    def skip(self, node: Node) -> None:
        """A task that ends before the flow reaches it. It is never the last one: Conductor numbers it 0."""
        place, seq, number = self.next_place(), self.draft.seq, self.task_count + 1
        name = str(node.task["name"])
        fields: dict[str, Any] = {"ref": node.ref, "status": TaskStatus.SKIPPED, "task_type": name, "name": name}
        self._note_begun(node.ref, number, place, fields, {}, {})
        self.skipped[node.ref] = self.ended[node.ref] = Ended.at(number, place, seq, seq)

    def _note_ended(self, ref: str, ended: Ended) -> None:
        self.ended[ref] = ended
        self.has_news = True
        is_shown = self.graph.segment(ref) is None
        if is_shown and (self.last_task is None or ended.number > self.last_task.number):
            self.last_task = ended

    def open_again(self, node: Node, task: OpenTask) -> OpenTask:
        """Puts back a task that had ended. If it was the last one, so it will be again, with another end."""
        self.ended.pop(task.ref, None)
        if self.last_task is not None and self.last_task.number == task.number:
            self.last_task = self.last_task._replace(number=task.number - 1)
        self.has_news = True
        return self.keep(node, task)

    # --- reading: Step is the Scope of expressions

    def evaluate(self, template: Template, hidden: frozenset[str] = NOTHING_HIDDEN, *, takes_parts: bool = False) -> Any:
        """Resolves a template against the execution as it stands in this step. ``takes_parts``: payloads that are never loaded may be in
        it by reference; else they raise PayloadTooLarge."""
        seqs: set[int] = set()
        for root, name in template.needs:
            seqs.update(self._records_of(root, name))
        self.reader.require(frozenset(seqs))
        self._hidden = hidden
        found = template.resolve(self)
        self._hidden = NOTHING_HIDDEN
        return self._with_parts(found, takes_parts) if self.reader.has_parts else found

    def _with_parts(self, found: Any, takes_parts: bool) -> Any:
        found = assembled(found)
        if not takes_parts and (hole := next(holes_of(found), None)) is not None:
            raise too_large(hole.part, "an expression here")
        return found

    def inputs(self, node: Node, hidden: frozenset[str] = NOTHING_HIDDEN) -> dict[str, Any]:
        """The input of the next task of ``node``. A null takes the task definition's template value, raw, as in Conductor."""
        anew = self.anew.get(node.ref)
        if anew is not None and anew.input is not None:
            return dict(anew.input)
        self._is_task_made = True
        found: dict[str, Any] = self.evaluate(node.inputs, hidden, takes_parts=node.type.takes_parts)
        self._is_task_made = False
        check_size(found, f"the input of {node.ref}")
        for key, raw in node.fallbacks.items():
            if found.get(key) is None:
                found[key] = raw
        return found

    def known_record(self, seq: int) -> Record:
        """A record of the journal, with its head."""
        found = self.known.records.get(seq)
        if found is None:
            raise Missing(Needs(records=frozenset((seq,))))
        return found

    @property
    def before_seq(self) -> int:
        """The newest record."""
        return self.draft.seq - 1

    def old_input(self, number: int, place: TaskPlace) -> dict[str, Any]:
        """The input that a task was given."""
        found = view.task_input_in(self.reader.record(place.rerun or place.record), number, place)
        return self.reader.payload(found) or {}

    def run_script(self, language: Language, source: str, given: Mapping[str, Any], task_id: str | None = None) -> ScriptResult:
        """The value of a user's script that sees ``given``, or why it has none. ``task_id``: of the open task that it is run for;
        by default of the one that comes next."""
        if self.reader.has_parts:
            self._with_parts(dict(given), takes_parts=False)
        text = json.dumps(given, separators=(",", ":"))
        script = Script(language, source, text, self.now_ms, task_id or self.task_id_at(self.next_place()))
        if script not in self.known.scripts:
            raise Missing(Needs(scripts=frozenset((script,))))
        result = self.known.scripts[script]
        self._scripts += SCRIPTS_MAX if is_larger(result.value, VALUE_LARGE_BYTES) else 1
        return result

    @property
    def may_run_scripts(self) -> bool:
        """Whether this decision has the time and the memory for one more."""
        return self._scripts < SCRIPTS_MAX

    def definition(self, wanted: Wanted) -> FoundDefinition | NotStartable:
        """The definition as it can be started now, or why it cannot."""
        if wanted not in self.known.definitions:
            raise Missing(Needs(definitions=frozenset((wanted,))))
        return self.known.definitions[wanted]

    def field(self, root: str, name: str, key: str | None = None) -> Any:
        if self._is_outside(root):
            return self._outside(root).get(name)
        if root == "workflow":
            return self._workflow_field(name)
        if root in self._hidden:
            return None
        if name == "output" and key not in OWN_KEYS and self._is_loop(root):
            return self._loop_output(root)
        ended = None if root in self.open else self.ended.get(root)
        if ended is not None and name == "output":  # the common case, without the record that scheduled the task
            output = view.output_in(self.reader.record(ended.output_record), ended.number)
            return {} if output is None else self.reader.part(output)
        task = self.task(root)
        return None if task is None else self.reader.part(view.task_field(task, name, self.before, self.execution))

    def document(self, root: str) -> Mapping[str, Any] | None:
        if self._is_outside(root):
            return self._outside(root) or None
        if root == "workflow":
            return {name: self._workflow_field(name) for name in view.WORKFLOW_FIELDS}
        task = None if root in self._hidden else self.task(root)
        if task is None:
            return None
        found = {name: self.reader.part(view.task_field(task, name, self.before, self.execution)) for name in view.TASK_FIELDS}
        return {**found, "output": self._loop_output(root)} if self._is_loop(root) else found

    def _is_outside(self, root: str) -> bool:
        """Whether only the execution that forks knows it, of which this is a segment."""
        return self.graph.is_segment and root not in self.open and root not in self.ended

    def _outside(self, root: str) -> Mapping[str, Any]:
        given = segments.given_to(self) or {}
        found: Mapping[str, Any] = given.get("outside", {}).get(root, {})
        return found

    def seen(self, root: str, name: str | None) -> Mapping[str, Any]:
        """A field of a task or of the workflow, or all of them, by their names."""
        self.reader.require(frozenset(self._records_of(root, name)))
        return {name: self.field(root, name)} if name else self.document(root) or {}

    def task_id(self) -> str | None:
        return self.task_id_at(self.next_place()) if self._is_task_made else None

    def task(self, ref: str) -> TaskExecution | None:
        """The newest task of that reference name, None when none was scheduled."""
        if open_ := self.open.get(ref):
            return view.open_task(open_, self.reader, self.execution, self.graph)
        if ended := self.ended.get(ref):
            return view.ended_task(ended, self.reader, self.execution, self.graph)
        return None

    def tasks(self, refs: Sequence[str]) -> list[TaskExecution]:
        """The ended tasks of these reference names with their outputs, which are fetched together."""
        self.reader.require(frozenset(seq for ref in refs for seq in self.ended[ref].records))
        found = [view.ended_task(self.ended[ref], self.reader, self.execution, self.graph) for ref in refs]
        self.reader.require_payloads(task.output for task in found)
        for ref, task in zip(refs, found, strict=True):
            task.output = self.field(ref, "output")
        return found

    def _is_loop(self, ref: str) -> bool:
        return ref in self.graph.nodes and self.graph.nodes[ref].type.is_loop and (ref in self.open or ref in self.ended)

    def _loop_output(self, ref: str) -> dict[str, Any]:
        """All of it, from all the records since the loop began."""
        open_ = self.open.get(ref)
        first, last = (open_.place.record, self.draft.seq) if open_ else (self.ended[ref].record, self.ended[ref].ended_record)
        number = open_.number if open_ else self.ended[ref].number
        self.reader.require(frozenset(range(first, last + 1)))
        tasks: dict[int, TaskExecution] = {}
        for seq in range(first, last + 1):
            view.fold_changes(tasks, self.reader.record(seq), self.execution, self.graph)
        compose(tasks, self.graph)
        output = tasks[number].output
        found = output.resolved(self.reader.part) if isinstance(output, LoopOutput) else {}
        return assembled(found) if self.reader.has_parts else found

    def current_variables(self) -> Mapping[str, Any]:
        if self.variables is not None:
            return self.variables
        if not self.variables_record:
            found: Mapping[str, Any] = self.graph.definition["variables"]
            return found
        return self.reader.payload(self.known_record(self.variables_record).variables)  # type: ignore[no-any-return]

    def workflow_input(self) -> Mapping[str, Any]:
        return self.reader.payload(self._input()) or {}

    def _input(self) -> Any:
        return view.input_in(self.reader.record(self.before.input_record or 1))

    def _workflow_field(self, name: str) -> Any:
        if name == "input":
            return self.reader.part(self._input()) or {}
        if name == "variables":
            return self.current_variables()
        if name == "output":
            return {}  # Conductor fills it when the execution ends, after everything was read
        return view.workflow_constants(self.before, self.graph, self.execution).get(name)

    def _records_of(self, root: str, name: str | None) -> set[int]:
        if self._is_outside(root):
            seqs = {1}
        elif root == "workflow":
            seqs = {self.before.input_record or 1} if name in ("input", None) else set()
            if name in ("variables", None) and self.variables is None:
                seqs.add(self.variables_record)
        elif open_ := self.open.get(root):
            seqs = {open_.place.record, open_.place.rerun, open_.output_record}
        elif ended := self.ended.get(root):
            seqs = {ended.output_record} if name == "output" else set(ended.records)
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
        if status in (WorkflowStatus.COMPLETED, WorkflowStatus.REMOVED):  # else a retry goes on with it
            self.todo.clear()
        self.held.clear()
        self.passed.clear()
