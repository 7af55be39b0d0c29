"""Messages between executions: the start of a child, its stop, and what it tells its parent.

They go over the decider queue, signed as our own, in the group of the execution that they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from batuta_core.decider import lives
from batuta_core.decider.compile import Graph
from batuta_core.decider.outcome import FAILURE_WORKFLOW_KEY
from batuta_core.decider.tasks.starting import StartingTask
from batuta_core.decider.tasks.sub_workflow import CHILD_ID
from batuta_core.decider.view import task_input_in
from batuta_core.engine import segments, timers
from batuta_core.engine.external import handed_over, is_removed
from batuta_core.engine.fetch import graph_of, open_nodes, raw_of, read_payload, read_records, stored
from batuta_core.engine.ports import Outgoing, Ports
from batuta_core.model import ids
from batuta_core.model.command import ChildCommand, StartChild, StopChild, TellParent, TellRevival
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.event import Event, WorkflowStarted
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, ChildRevived, StoppedByParent
from batuta_core.model.message import MESSAGE_MAX_BYTES, RESULT_OUTPUT_MAX_BYTES, InboxMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.payload import PayloadRef, assembled
from batuta_core.model.place import ParentTask
from batuta_core.model.record import OpenTask, Record

# What a segment tells goes into a record of the execution that forks, at a write unit for each KB; above this, one PUT is cheaper.
_TOLD_MAX_BYTES = 8 * 1024


def send(ports: Ports, execution: ExecutionId, newest: Record, commands: Collection[ChildCommand]) -> None:
    """Carries out what concerns other executions, all in one request; what the head has overtaken is left out."""
    outgoing: list[Outgoing] = []
    for command in commands:
        match command:
            case StartChild():
                outgoing.extend(_start(ports, execution, newest, command))
            case StopChild() if command in newest.head.stops:
                outgoing.append(_stop(ports, execution, newest, command))
            case TellParent() if command in newest.head.last:
                outgoing.extend(_tell(ports, execution, newest, command))
            case TellRevival() if command in lives.revival(newest.head):
                outgoing.extend(_tell_revival(ports, execution, newest))
    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)


def answer(ports: Ports, execution: ExecutionId, before: Record | None, newest: Record, events: Iterable[Event]) -> None:
    """Whoever asked is answered at every repeat, too: the first answer may be lost. What ``newest`` has just taken in is answered by
    that record's own commands."""
    outgoing: list[Outgoing] = []
    for event in events:
        if isinstance(event, WorkflowStarted) and event.starter is not None:
            began = ChildBegan(place=event.starter.place, workflow_id=execution.workflow_id)
            outgoing.append(_message(ports, _other(execution, event.starter), began))
        elif isinstance(event, WorkflowStarted | StoppedByParent) and event.parent is not None:
            tell = lives.told_of(newest.head.last, lives.life_of(newest.head))
            answers = list(_tell_revival(ports, execution, newest))  # a stop may be of an earlier life
            if tell is not None and not _is_just_taken_in(before, newest, event.op):
                answers.extend(_tell(ports, execution, newest, tell))
            # What was told unasked may have been heard before the question: SQS must not take the answer for its repeat.
            outgoing.extend(replace(told, dedup=ids.short_hash(told.text, event.op)) for told in answers)
    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)


def _is_just_taken_in(before: Record | None, newest: Record, op: str) -> bool:
    is_new = before is None or before.seq < newest.seq
    return is_new and any(getattr(event, "op", "") == op for event in newest.events)


def _other(execution: ExecutionId, task: ParentTask) -> ExecutionId:
    return ExecutionId(execution.namespace, task.workflow_id)


def _message(ports: Ports, target: ExecutionId, event: Event) -> Outgoing:
    text = InboxMessage(execution=target, event=event).to_text(ports.signer)
    return Outgoing(text, group=str(target), dedup=ids.short_hash(text))


def with_payload(ports: Ports, target: ExecutionId, payload: Any, make: Callable[[Any], Event]) -> Outgoing:
    """A message for ``target``: the event that ``make`` makes of the payload, or of a reference where that is too large for a message."""
    if isinstance(payload, PayloadRef):
        return _message(ports, target, make(payload))
    raw = raw_of(payload)
    if len(raw) <= RESULT_OUTPUT_MAX_BYTES:
        found = _message(ports, target, make(payload))
        if len(found.text) <= MESSAGE_MAX_BYTES // 4 or len(found.text.encode()) <= MESSAGE_MAX_BYTES:
            return found
    return _message(ports, target, make(stored(ports, target, payload, raw)))


# --- the parent's side


def _named(link: ParentTask) -> str:
    return f"{link.task_id}-{link.rerun}" if link.rerun else link.task_id


def _start(ports: Ports, execution: ExecutionId, newest: Record, command: StartChild) -> Iterable[Outgoing]:
    task = newest.head.open.get(command.ref)
    if task is None or task.place != command.place or not task.child:
        return
    if is_segment(task.child):
        yield _start_segment(ports, execution, newest, task)
        return
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    kind = open_nodes(ports, execution, newest, graph, [task])[command.ref].type
    if not isinstance(kind, StartingTask):
        raise TypeError(f"{execution}: {command.ref} starts no other execution")
    seq = task.place.rerun or task.place.record
    record = newest if newest.seq == seq else read_records(ports, execution, [seq])[seq]
    request = kind.request(read_payload(ports, execution, task_input_in(record, task.number, task.place)))
    started = graph_of(ports, execution.namespace, command.definition)
    target = ExecutionId(execution.namespace, kind.started_id(execution, task, started.name, request))
    about = newest.head.about
    link = ParentTask(execution.workflow_id, *task.place)
    event = WorkflowStarted(
        op=f"start-{_named(link)}",
        definition=command.definition,
        name=started.name,
        version=started.version,
        correlation_id=request.correlation_id or about.correlation_id,
        idempotency_key=request.idempotency_key,
        created_by=request.created_by,
        trigger=kind.name,
        priority=request.priority,
        task_to_domain=about.task_to_domain if request.task_to_domain is None else request.task_to_domain,
        retention_s=about.retention_s,
        parent=link if kind.runs_child else None,
        depth=about.depth + 1 if kind.runs_child else 0,
        above=about.root if kind.runs_child else "",
        starter=None if kind.runs_child else link,
    )
    given = handed_over(ports, execution, target, assembled(dict(request.input)))
    yield with_payload(ports, target, given, lambda child_input: replace(event, input=child_input))


def _start_segment(ports: Ports, execution: ExecutionId, newest: Record, task: OpenTask) -> Outgoing:
    about = newest.head.about
    graph = graph_of(ports, execution.namespace, task.child)
    link = ParentTask(execution.workflow_id, *task.place)
    target = ExecutionId(execution.namespace, lives.child_id(execution.workflow_id, task.place))
    event = WorkflowStarted(
        op=f"start-{_named(link)}",
        definition=task.child,
        name=graph.name,
        version=graph.version,
        correlation_id=about.correlation_id,
        request_id=about.request_id,
        trigger=about.trigger,
        priority=about.priority,
        task_to_domain=about.task_to_domain,
        retention_s=about.retention_s,
        parent=link,
        depth=about.depth,
        root=about.root or execution.workflow_id,
        iteration=task.iteration or about.iteration,
    )
    given = assembled(segments.started_with(ports, execution, newest, task, target))
    return with_payload(ports, target, given, lambda segment_input: replace(event, input=segment_input))


def _stop(ports: Ports, execution: ExecutionId, newest: Record, command: StopChild) -> Outgoing:
    started = graph_of(ports, execution.namespace, command.definition)
    link = ParentTask(execution.workflow_id, *command.place)
    event = StoppedByParent(
        op=f"stop-{command.life}-{_named(link)}-{newest.seq}",
        parent=link,
        definition=command.definition,
        name=started.name,
        version=started.version,
        life=command.life,
        reason=lives.stop_reason(newest.head),
        correlation_id=newest.head.about.correlation_id,
        retention_s=newest.head.about.retention_s,
    )
    return _message(ports, ExecutionId(execution.namespace, lives.child_id(execution.workflow_id, command.place)), event)


# --- the child's side


def _tell(ports: Ports, execution: ExecutionId, newest: Record, command: TellParent) -> Iterable[Outgoing]:
    parent = newest.head.about.parent
    if parent is None:
        return
    target = _other(execution, parent)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    is_newest = newest.seq == command.record
    end = newest if is_newest else read_records(ports, execution, [command.record]).get(command.record, newest)  # or a tombstone
    reason = end.head.reason if graph.is_segment else _reason(execution, end, graph, command.status)
    event = ChildEnded(place=parent.place, status=command.status, life=command.life, seen=command.seen, reason=reason)
    output = _output(ports, execution, target, end)
    if graph.is_segment:
        if not isinstance(output, PayloadRef) and len(raw := raw_of(output)) > _TOLD_MAX_BYTES:
            output = {} if is_removed(ports, target) else stored(ports, target, output, raw)
        yield _message(ports, target, replace(event, output=output))
        return
    if not isinstance(output, PayloadRef):  # else it is too large for anything to be put in or taken out
        output = {key: value for key, value in output.items() if key != FAILURE_WORKFLOW_KEY}
        output[CHILD_ID] = execution.workflow_id
    yield with_payload(ports, target, assembled(output), lambda told: replace(event, output=told))


def _tell_revival(ports: Ports, execution: ExecutionId, newest: Record) -> Iterable[Outgoing]:
    parent = newest.head.about.parent
    if parent is None or not lives.revival(newest.head):
        return
    event = ChildRevived(place=parent.place, life=newest.head.life, definition=newest.head.definition, seen=newest.head.seen)
    yield _message(ports, _other(execution, parent), event)


def _reason(execution: ExecutionId, end: Record, graph: Graph, status: WorkflowStatus) -> str | None:
    if status is WorkflowStatus.COMPLETED:
        return None
    shown = "null" if end.head.reason is None else end.head.reason
    return f"Sub workflow {graph.name}.{graph.version}/{execution.workflow_id} failure reason: {shown}"


def _output(ports: Ports, execution: ExecutionId, target: ExecutionId, end: Record) -> Any:
    """Empty when it is gone: a large one is deleted with a removed execution, two minutes after that has told its parent."""
    try:
        return handed_over(ports, execution, target, end.output) or {}
    except WorkflowNotFound:
        return {}


def is_beginning(event: object) -> bool:
    """Whether a journal may begin with ``event``."""
    return isinstance(event, WorkflowStarted | StoppedByParent)


def may_begin_life(event: object) -> bool:
    """Whether an execution that has ended may run again by ``event``."""
    return isinstance(event, ChildRevived) or (isinstance(event, ChildEnded) and event.life > 1)


def refused(events: Sequence[Event], newest: Record | None) -> list[Event]:
    """Instead of the one event by which an ended execution would run again, where no record holds that: it stays ended, and a child
    that lives again is stopped. Empty for any other."""
    if newest is None or not newest.head.status.is_terminal or not may_begin_life(events[0]):
        return []
    return [replace(event, is_refused=True) for event in events if isinstance(event, ChildRevived | ChildEnded)]


def in_time(events: Sequence[Event]) -> Sequence[Event]:
    """The events from the one that begins the execution; those before it found nothing that they could apply to."""
    starts = [place for place, event in enumerate(events) if is_beginning(event)]
    return events[starts[0] :] if starts else ()
