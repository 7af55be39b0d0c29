"""Segments of wide forks, as the engine sees them: what one is started with, where they are, and that they go with what forked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from batuta_core.decider import lives, segments
from batuta_core.decider.compile import Graph
from batuta_core.decider.forked import forked_tasks
from batuta_core.decider.tasks.segment import SEGMENT
from batuta_core.decider.view import scheduling_change, task_input_in
from batuta_core.engine import timers
from batuta_core.engine.external import handed_over
from batuta_core.engine.fetch import graph_of, kept_payload, read_payload, read_records
from batuta_core.engine.fold import fold
from batuta_core.engine.ports import Outgoing, Ports
from batuta_core.model import ids
from batuta_core.model.event import WorkflowRemoved
from batuta_core.model.execution import TaskExecution, WorkflowExecution
from batuta_core.model.frozen import dataclass
from batuta_core.model.message import InboxMessage
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.payload import Assembled, PayloadPart, PayloadRef, assembled
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import OpenTask, Record

# --- the start


def started_with(ports: Ports, execution: ExecutionId, newest: Record, task: OpenTask, target: ExecutionId) -> dict[str, Any]:
    """The input of the segment ``target`` that runs for ``task``. Larger payloads of an earlier attempt are copied to it."""
    fork, _index = segments.parse_ref(task.ref) or ("", 0)
    node = graph_of(ports, execution.namespace, newest.head.definition).node(fork)
    scheduled = _record(ports, execution, newest, task.place.rerun or task.place.record)
    given = read_payload(ports, execution, task_input_in(scheduled, task.number, task.place))
    before = _stood_before(ports, execution, newest, TaskPlace(*task.place.named), target)
    made = segments.share_for(node.task, _fork_input(ports, execution, newest, task), segments.Share(*given["share"]), before)
    handed_over(ports, execution, target, assembled({index: stood for index, stood in made["former"].items() if index not in before}))
    return made


def _fork_input(ports: Ports, execution: ExecutionId, newest: Record, task: OpenTask) -> Any:
    fork = task.fork
    if fork is None:
        raise ValueError(f"{execution}: {task.ref} belongs to no fork")
    number = scheduling_change(_record(ports, execution, newest, fork.record), fork.nth).number
    return kept_payload(ports, execution, task_input_in(_record(ports, execution, newest, fork.rerun or fork.record), number, fork))


def _record(ports: Ports, execution: ExecutionId, newest: Record, seq: int) -> Record:
    return newest if newest.seq == seq else read_records(ports, execution, [seq])[seq]


def _segment_at(execution: ExecutionId, place: TaskPlace) -> ExecutionId:
    return ExecutionId(execution.namespace, lives.child_id(execution.workflow_id, place))


def _stood_before(ports: Ports, execution: ExecutionId, newest: Record, place: TaskPlace, target: ExecutionId) -> dict[str, Any]:
    """How the branches stood in the attempt before that of the segment's task at ``place``. One that never began left it as it was."""
    change = scheduling_change(_record(ports, execution, newest, place.record), place.nth)
    retried = change.fields.get("retried_task_id")
    former = ids.parse_task_id(retried) if retried else None
    if former is None:
        return {}
    given = read_payload(ports, execution, change.input)
    segment = _segment_at(execution, TaskPlace(former.record, former.nth, given.get(segments.FORMER_RERUN, 0)))
    found = folded(ports, segment)
    if found is not None and found[0].tasks:
        return _stood(ports, segment, target)
    return _stood_before(ports, execution, newest, TaskPlace(former.record, former.nth), target)


def _stood(ports: Ports, segment: ExecutionId, target: ExecutionId) -> dict[str, Any]:
    """How the branches of a segment ended, by their index in the whole list: what the next attempt need not do again, and what it does
    again."""
    found = folded(ports, segment)
    if found is None:
        return {}
    workflow, graph = found
    given = read_payload(ports, segment, workflow.input) or {}
    stood: dict[str, Any] = dict(handed_over(ports, segment, target, assembled(given.get("former", {}))))  # what had not begun in this one
    for below in workflow.segments:
        stood.update(_stood(ports, of_task(segment, below), target))
    last = {task.plain_ref: task for task in workflow.tasks}
    for index, ref in enumerate(_branch_refs(ports, segment, workflow, graph), given.get("first", 0)):
        task = last.get(ref)
        if task is not None and task.status.is_successful:
            taken, output = (_kept(ports, segment, target, value) for value in (task.input, task.output))
            ended = {"status": task.status.value, "input": taken, "output": output, "reason": task.reason}
            stood[str(index)] = {"attempt": task.attempt, **ended}
        elif task is not None:
            stood[str(index)] = {"attempt": task.attempt + 1, "task": task.task_id}
    return stood


def _kept(ports: Ports, segment: ExecutionId, target: ExecutionId, value: Any) -> Any:
    """A payload of the segment for ``target``; what lies outside of the record stays there: many of them would be too large together."""
    if isinstance(value, PayloadRef) and not value.holes:
        return handed_over(ports, segment, target, Assembled(whole=PayloadPart(value)))["whole"]
    return handed_over(ports, segment, target, value)


def _branch_refs(ports: Ports, segment: ExecutionId, workflow: WorkflowExecution, graph: Graph) -> list[str]:
    forks = [task for task in workflow.tasks if task.plain_ref == graph.first]
    branches = forked_tasks(kept_payload(ports, segment, forks[-1].input)) if forks else ()
    return [str(branch["taskReferenceName"]) for branch in branches]


# --- what is in them

Folded = tuple[WorkflowExecution, Graph]


def folded(ports: Ports, segment: ExecutionId) -> Folded | None:
    """The segment as its journal has it; None where it has not begun, or is gone."""
    records = list(ports.journal.scan(segment))
    if not records or records[0].seq != 1:
        return None
    graph = graph_of(ports, segment.namespace, records[-1].head.definition)
    return fold(segment, records, graph), graph


@dataclass(frozen=True, slots=True)
class Spliced:
    """``tasks``: those of an execution with the branches of its segments, in the order of scheduling, numbered anew. ``forks``: the
    forks in the segments, which know the branches."""

    tasks: list[TaskExecution]
    forks: list[TaskExecution]


def spliced(
    execution: ExecutionId, own: list[TaskExecution], standing: list[TaskExecution], read: Callable[[ExecutionId], Folded | None]
) -> Spliced:
    """``own``: the execution's tasks, ``standing``: those that stand for segments, which ``read`` folds. Of one that a retry has followed
    only what failed is shown: the rest came along."""
    forks: list[TaskExecution] = []
    numbered = [(task.number, task) for task in own]
    for segment in standing:
        numbered.extend((segment.number, task) for task in _branches(execution, segment, read, forks))
    tasks = [task for _number, task in sorted(numbered, key=lambda item: item[0])]
    return Spliced([replace(task, number=number) for number, task in enumerate(tasks, 1)], forks)


def _branches(
    execution: ExecutionId, task: TaskExecution, read: Callable[[ExecutionId], Folded | None], forks: list[TaskExecution]
) -> Iterator[TaskExecution]:
    segment = of_task(execution, task)
    found = read(segment)
    if found is None:
        return
    workflow, graph = found
    own = [other for other in workflow.tasks if other.plain_ref in graph.nodes]  # its fork and its join
    forks.extend(other for other in own if other.plain_ref == graph.first)
    tasks = [other for other in workflow.tasks if other.plain_ref not in graph.nodes]
    below = [branch for other in workflow.segments for branch in _branches(segment, other, read, forks)]
    for branch in (*tasks, *below):
        if not task.is_retried or not branch.status.is_successful:
            yield replace(branch, is_retried=branch.is_retried or task.is_retried)


def size(ports: Ports, segment: ExecutionId) -> int:
    """How many tasks of branches the segment has, attempts included."""
    newest = ports.journal.newest(segment)
    first = read_records(ports, segment, [1]).get(1) if newest else None
    if newest is None or first is None or not newest.head.task_count:
        return 0
    graph = graph_of(ports, segment.namespace, newest.head.definition)
    standing = [nth for nth, change in enumerate(first.scheduled) if graph.segment(str(change.fields["ref"]))]
    if standing:
        return sum(size(ports, _segment_at(segment, TaskPlace(1, nth))) for nth in standing)
    return newest.head.task_count - len(graph.nodes)


def of_task(execution: ExecutionId, task: TaskExecution) -> ExecutionId:
    """The segment that runs, or ran, for ``task``."""
    key = ids.parse_task_id(task.task_id)
    if key is None:
        raise ValueError(f"{execution}: {task.task_id} is no task id")
    return _segment_at(execution, TaskPlace(key.record, key.nth, task.rerun))


def open_below(ports: Ports, execution: ExecutionId, newest: Record) -> Iterator[tuple[ExecutionId, Record]]:
    """The segments that run for ``execution``, and theirs, each with where it stands."""
    for task in sorted(newest.head.open.values(), key=lambda task: task.number):
        if is_segment(task.child):
            segment = _segment_at(execution, task.place)
            found = ports.journal.newest(segment)
            if found is not None:
                yield segment, found
                yield from open_below(ports, segment, found)


def execution_of(ports: Ports, namespace: str, workflow_id: str, key: ids.TaskKey | None) -> ExecutionId:
    """Which execution a task is in that a caller names with the execution it knows: that, or a segment of it."""
    shown = ExecutionId(namespace, workflow_id)
    if key is None or key.workflow_id == workflow_id:
        return shown
    segment = ExecutionId(namespace, key.workflow_id)
    newest = ports.journal.newest(segment)
    return segment if newest is not None and newest.head.about.root == workflow_id else shown


def root_of(ports: Ports, execution: ExecutionId) -> str:
    """The id of the execution that users know: that of a segment, or its own."""
    newest = ports.journal.newest(execution)
    return (newest.head.about.root if newest else "") or execution.workflow_id


# --- removal


def remove(ports: Ports, execution: ExecutionId) -> None:
    """Removes the segments that the execution ever had, under whichever definition. One that still runs hears of its stop, too."""
    places: dict[int, TaskPlace] = {}
    outgoing: list[Outgoing] = []
    for record in ports.journal.scan(execution):
        scheduled = 0
        for change in record.changes:
            if change.is_new:
                if change.fields.get("task_type") == SEGMENT.name:
                    places[change.number] = TaskPlace(record.seq, scheduled)
                    outgoing.append(_removal(ports, execution, places[change.number]))
                scheduled += 1
            elif change.number in places and "scheduled_ms" in change.fields:  # a rerun made it begin anew
                outgoing.append(_removal(ports, execution, TaskPlace(*places[change.number].named, record.seq)))
    if outgoing:
        ports.queues.send(timers.inbox_queue(ports), outgoing)


def _removal(ports: Ports, execution: ExecutionId, place: TaskPlace) -> Outgoing:
    segment = _segment_at(execution, place)
    text = InboxMessage(execution=segment, event=WorkflowRemoved(op=f"with-{execution.workflow_id}")).to_text(ports.signer)
    return Outgoing(text, group=str(segment), dedup=ids.short_hash(text))
