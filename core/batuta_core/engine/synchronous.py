"""Synchronous calls: a start, or a signal, that is answered once the execution has ended or waits for somebody (reference section 2.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any

from batuta_core.engine import query, wire
from batuta_core.engine.fetch import graph_of
from batuta_core.engine.ports import Ports
from batuta_core.engine.signal import open_children
from batuta_core.engine.wait import wait_until
from batuta_core.model import ids
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record

# Each look reads every child that runs for a task, and theirs: more of them are not looked into.
_CHILDREN_MAX = 50


class ReturnStrategy(StrEnum):
    """What the answer tells of."""

    TARGET_WORKFLOW = "TARGET_WORKFLOW"  # the execution that was called
    BLOCKING_WORKFLOW = "BLOCKING_WORKFLOW"  # the one, of it and its children, that holds the blocking task
    BLOCKING_TASK = "BLOCKING_TASK"
    BLOCKING_TASK_INPUT = "BLOCKING_TASK_INPUT"  # the same in Conductor


@dataclass(frozen=True, slots=True)
class Blocker:
    """The task that the call was waiting for: one that waits for a signal, or one of those named that has ended."""

    execution: ExecutionId
    task_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """``is_in_time``: the execution has ended, or there is a ``blocker``."""

    is_in_time: bool
    blocker: Blocker | None


def wait_until_blocked(ports: Ports, execution: ExecutionId, refs: Collection[str], timeout_ms: int) -> Outcome:
    """Waits for the end of the execution, for a task that waits for a signal as long as it takes, or for the end of one of the tasks
    ``refs``; in children, too."""
    found: list[Blocker] = []

    def is_reached(newest: Record) -> bool:
        found[:] = () if newest.head.status.is_terminal else _first(_blockers(ports, execution, newest, refs, [_CHILDREN_MAX]))
        return newest.head.status.is_terminal or bool(found)

    is_in_time = wait_until(ports, execution, is_reached, timeout_ms)
    return Outcome(is_in_time, found[0] if found else None)


def answer(ports: Ports, execution: ExecutionId, outcome: Outcome, strategy: ReturnStrategy, request_id: str) -> dict[str, Any] | None:
    """Conductor's SignalResponse; None where a blocking task is wanted and there is none."""
    blocker = outcome.blocker
    about = wire.Answered(strategy.value, request_id, not outcome.is_in_time)
    if strategy is ReturnStrategy.TARGET_WORKFLOW or (strategy is ReturnStrategy.BLOCKING_WORKFLOW and blocker is None):
        target = query.workflow_json(ports, execution)
        return wire.run_json(target, target, about)
    if blocker is None:
        return None
    shown = query.workflow_json(ports, blocker.execution)
    is_of_target = blocker.execution == execution
    target = shown if is_of_target else query.workflow_json(ports, execution, has_tasks=False)
    if strategy is ReturnStrategy.BLOCKING_WORKFLOW:
        return wire.run_json(shown, target, about)
    task = next((item for item in shown["tasks"] if item["taskId"] == blocker.task_id), None)
    return wire.task_run_json(task, shown, target, about) if task else None


def _first(blockers: Iterator[Blocker]) -> list[Blocker]:
    found = next(blockers, None)
    return [found] if found else []


def _blockers(ports: Ports, execution: ExecutionId, newest: Record, refs: Collection[str], left: list[int]) -> Iterator[Blocker]:
    """``left``: how many more children may be looked into."""
    head = newest.head
    graph = graph_of(ports, execution.namespace, head.definition)

    def blocker(place: TaskPlace) -> Blocker:
        return Blocker(execution, ids.task_id(execution.workflow_id, *place))

    for task in sorted(head.open.values(), key=lambda task: task.number):
        if graph.is_wait(task.ref) and not task.due_ms:
            yield blocker(task.place)
    for ref in refs:
        if ref not in head.open and (place := _ended(ports, execution, newest, ref)):
            yield blocker(place)
    for child in open_children(ports, execution, newest):
        left[0] -= 1
        found = ports.journal.newest(child) if left[0] >= 0 else None
        if found is not None and not found.head.status.is_terminal:
            yield from _blockers(ports, child, found, refs, left)


def _ended(ports: Ports, execution: ExecutionId, newest: Record, ref: str) -> TaskPlace | None:
    """Where the task of that reference name stands, if it has ended."""
    if ref in newest.head.ended:
        return newest.head.ended[ref].place
    places: dict[int, TaskPlace] = {}
    for record in ports.journal.scan(execution):
        nth = 0
        for change in record.changes:
            if change.is_new:
                if change.fields["ref"] == ref:
                    places[change.number] = TaskPlace(record.seq, nth)
                nth += 1
            status = change.fields.get("status")
            if change.number in places and status is not None and status.is_terminal:
                return places[change.number]
    return None
