"""What must hold of every journal, whatever befell the run that wrote it. Stated once, checked at each record and at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.engine.fetch import graph_of
from batuta_core.model.event import (
    TaskDeadLettered,
    TaskHandedBack,
    TaskUndeliverable,
    TaskUpdated,
    TimerFired,
    WorkflowRemoved,
)
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.names import ExecutionId, is_segment
from batuta_core.model.operation_event import WorkflowRerun, WorkflowRestarted, WorkflowResumed
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record
from batuta_core.simulator.world import World
from tests.simulation import lives

_AFTER = {
    WorkflowStatus.RUNNING: set(WorkflowStatus),
    WorkflowStatus.PAUSED: {WorkflowStatus.PAUSED, WorkflowStatus.TERMINATED, WorkflowStatus.REMOVED},
    WorkflowStatus.COMPLETED: {WorkflowStatus.COMPLETED, WorkflowStatus.REMOVED},
    WorkflowStatus.FAILED: {WorkflowStatus.FAILED, WorkflowStatus.TERMINATED, WorkflowStatus.REMOVED},
    WorkflowStatus.TIMED_OUT: {WorkflowStatus.TIMED_OUT, WorkflowStatus.TERMINATED, WorkflowStatus.REMOVED},
    WorkflowStatus.TERMINATED: {WorkflowStatus.TERMINATED, WorkflowStatus.REMOVED},
    WorkflowStatus.REMOVED: {WorkflowStatus.REMOVED},
}


class Violation(AssertionError):
    """An invariant does not hold."""


def require(condition: object, text: str, *facts: Any) -> None:
    if not condition:
        raise Violation(f"{text}: {', '.join(map(str, facts))}")


class Watcher:
    """Folds every journal beside the engine and looks at each record as it is committed."""

    def __init__(self) -> None:
        self.last: dict[ExecutionId, Record] = {}
        self.records: dict[ExecutionId, list[Record]] = {}  # also of what was removed since
        self.tasks: dict[ExecutionId, dict[int, dict[str, Any]]] = {}
        self.calls: set[tuple[ExecutionId, TaskPlace, int]] = set()
        self.backs: set[tuple[ExecutionId, str]] = set()
        self.counts: dict[ExecutionId, int] = {}  # of all tasks that were ever scheduled

    def __call__(self, execution: ExecutionId, record: Record) -> None:
        last = self.last.get(execution)
        require(record.seq == (last.seq + 1 if last else 1), "records are numbered without gaps", execution, record.seq)
        if last is not None:
            before, after = last.head.status, record.head.status
            is_freed = record.head.life == record.seq or any(isinstance(event, WorkflowResumed) for event in record.events)
            require(is_freed or after in _AFTER[before], "terminal stays terminal, paused stays paused", execution, before, after)
            self._look_at_operations(execution, last, record)
        tasks = self.tasks.setdefault(execution, {})
        self._fold(execution, tasks, record)
        self._compare_head(execution, tasks, record)
        self._look_at_timer(execution, last, record)
        self._look_at_calls(execution, record)
        if last is not None:
            self._look_at_fired(execution, last, record)
        self.last[execution] = record
        self.records.setdefault(execution, []).append(record)

    def _fold(self, execution: ExecutionId, tasks: dict[int, dict[str, Any]], record: Record) -> None:
        index = 0
        is_resumed = any(isinstance(event, WorkflowResumed) for event in record.events)
        for event in record.events:
            if isinstance(event, WorkflowRestarted | WorkflowRerun):
                lives.take_out(tasks, event)
        again: set[int] = set()  # tasks that a new life opens again, or begins anew
        for change in record.changes:
            if change.is_new:
                self.counts[execution] = self.counts.get(execution, 0) + 1
                require(change.number == self.counts[execution], "tasks are numbered in order", execution, record.seq, change.number)
                ref, attempt = change.fields["ref"], change.fields.get("attempt", 1)
                round_ = change.fields.get("iteration", 0)
                same = [task for task in tasks.values() if (task["ref"], task["round"]) == (ref, round_)]
                is_next = attempt == max((task["attempt"] for task in same), default=0) + 1
                goes_on = not same and is_segment(record.head.definition)  # after an earlier segment
                require(is_next or goes_on, "attempts follow each other", execution, ref, attempt)
                require(all(task["status"].is_terminal for task in same), "one attempt at a time", execution, ref)
                place, status = TaskPlace(record.seq, index), change.fields["status"]
                tasks[change.number] = {"ref": ref, "round": round_, "attempt": attempt, "place": place, "status": status}
                index += 1
            elif lives.is_again(record, change) and change.number not in again:
                again.add(change.number)
                require(tasks[change.number]["status"].is_terminal, "what begins again had ended", execution, record.seq, change)
                record_, nth = tasks[change.number]["place"].named
                place = TaskPlace(record_, nth, record.seq) if "scheduled_ms" in change.fields else tasks[change.number]["place"]
                tasks[change.number].update(change.fields, place=place)
            else:
                task = tasks[change.number]
                is_judged = is_resumed and change.fields.get("status") in (task["status"], TaskStatus.COMPLETED_WITH_ERRORS)
                is_noted = record.head.life == record.seq and set(change.fields) == {"is_retried"}
                is_open = not task["status"].is_terminal
                require(is_open or is_judged or is_noted, "one result per attempt, the first", execution, record.seq, task)
                task.update(change.fields)

    def _compare_head(self, execution: ExecutionId, tasks: Mapping[int, dict[str, Any]], record: Record) -> None:
        head = record.head
        open_ = {number: task for number, task in tasks.items() if not task["status"].is_terminal}
        require({task.number for task in head.open.values()} == open_.keys(), "the journal folds to the head", execution, record.seq)
        for task in head.open.values():
            folded = open_[task.number]
            same = (folded["ref"], folded["attempt"], folded["place"], folded["status"]) == (
                task.ref,
                task.attempt,
                task.place,
                task.status,
            )
            require(same, "an open task is as its changes say", execution, record.seq, task, folded)
        require(head.task_count == self.counts.get(execution, 0), "the head counts the tasks", execution, record.seq)
        require(not (head.status.is_terminal and head.open), "an ended execution has no open task", execution, record.seq)

    def _look_at_operations(self, execution: ExecutionId, last: Record, record: Record) -> None:
        """Nothing goes on in a pause; nothing of a former life changes the present one; nothing is removed before its time."""
        before, after = last.head, record.head
        if before.status is after.status is WorkflowStatus.PAUSED:
            require(
                not any(change.is_new for change in record.changes), "nothing advances in a pause", execution, record.seq, record.changes
            )
        places = {task.place for task in before.open.values()}
        places |= {TaskPlace(record.seq, nth) for nth in range(sum(change.is_new for change in record.changes))}
        for event in record.events:
            if isinstance(event, TaskUpdated | TaskHandedBack | TaskDeadLettered | TaskUndeliverable):
                require(event.place in places, "an event is of a task that is open in this life", execution, record.seq, event)
        is_asked = any(isinstance(event, WorkflowRemoved) for event in record.events)
        if after.status is WorkflowStatus.REMOVED is not before.status and not is_asked:
            is_due = before.status.is_terminal and record.at_ms >= before.ended_ms + before.about.retention_s * 1000
            require(is_due, "nothing is removed before its time", execution, record.seq, before)

    def _look_at_calls(self, execution: ExecutionId, record: Record) -> None:
        """What a worker reports of a call sends the task out again once."""
        for event in record.events:
            if isinstance(event, TaskUpdated) and event.status is TaskStatus.IN_PROGRESS and event.call >= 0:
                key = (execution, event.place, event.call)
                require(key not in self.calls, "a worker is called again once for each call", execution, record.seq, event)
                self.calls.add(key)
            if isinstance(event, TaskHandedBack):
                require((execution, event.op) not in self.backs, "a hand-back counts once", execution, record.seq, event)
                self.backs.add((execution, event.op))

    def _look_at_fired(self, execution: ExecutionId, last: Record, record: Record) -> None:
        """A firing proves its time: the deadlines that it passed are dealt with, whatever the machine's clock says."""
        for event in record.events[-1:]:  # an event behind it may bring a passed deadline back
            if isinstance(event, TimerFired):
                if last.head.status is WorkflowStatus.PAUSED:
                    continue
                passed = {task.place for task in last.head.open.values() if 0 < task.deadline_ms <= event.due_ms}
                left = [task for task in record.head.open.values() if task.place in passed and 0 < task.deadline_ms <= event.due_ms]
                require(not left or record.head.status.is_terminal, "a firing proves its time", execution, record.seq, left)

    def _look_at_timer(self, execution: ExecutionId, last: Record | None, record: Record) -> None:
        head, old = record.head, last.head.mark if last else None
        dues = [task.deadline_ms for task in head.open.values() if task.deadline_ms]
        if dues and head.status is WorkflowStatus.RUNNING:
            require(
                head.mark is not None and head.mark.due_ms <= min(dues), "a timer is armed for the earliest deadline", execution, record.seq
            )
        if old is not None and head.mark is not None and head.mark != old:
            has_fired = any(isinstance(event, TimerFired) and event.timer == old.timer for event in record.events)
            is_earlier = head.mark.due_ms < old.due_ms
            is_overdue = old.due_ms + 15 * 60 * 1000 < record.at_ms
            require(has_fired or is_earlier or is_overdue, "an armed timer stands until it fires", execution, record.seq, old, head.mark)


def a_fired_timer_is_acted_upon(watcher: Watcher, execution: ExecutionId, due_ms: int) -> None:
    """Once a timer's firing has been dealt with, no deadline up to its moment is left, whether the head named it or not."""
    record = watcher.last.get(execution)
    if record is not None and record.head.status is WorkflowStatus.RUNNING and record.head.last_retried_ms < due_ms:
        late = [task for task in record.head.open.values() if 0 < task.deadline_ms <= due_ms]
        require(not late, "a fired timer leaves no passed deadline behind", execution, record.seq, due_ms, late)


def nothing_stalls(world: World, watcher: Watcher, waits_for_signal: Any) -> None:
    """Promise 7, at a moment when no function runs: a running execution has something in a queue, an armed timer that its head
    names, or waits for a signal."""
    texts = None
    for execution, record in watcher.last.items():
        if record.head.status is not WorkflowStatus.RUNNING:  # a paused one waits for whoever ends the pause
            continue
        if texts is None:
            texts = "\n".join(text for _queue, text in world.queues.texts())
        if execution.workflow_id in texts:
            continue
        mark = record.head.mark
        if mark and any(timer.execution == execution and timer.record == mark.timer for timer in world.far_timers.all()):
            continue
        graph = graph_of(world.plain, execution.namespace, record.head.definition)
        others = [ref for ref in record.head.open if ref not in graph.waiting]
        is_left = bool(record.head.todo) or record.head.has_news
        is_waiting = not is_left and bool(others) and all(waits_for_signal(execution, ref) for ref in others)
        require(is_waiting, "nothing stalls", execution, record.seq, record.head)


def nothing_is_left(world: World, execution: ExecutionId) -> None:
    """Of a removed execution there is a tombstone and nothing else."""
    records = list(world.journal.scan(execution))
    require(
        [record.head.status for record in records] == [WorkflowStatus.REMOVED],
        "a removed execution leaves a tombstone alone",
        execution,
        records,
    )
    require(not any(key[0] == execution for key in world.payloads.objects), "its payloads are deleted", execution)
    require(world.summaries.get(execution) is None, "its summary is deleted", execution)
    require(not world.logs.lines(execution), "its log lines are deleted", execution)
