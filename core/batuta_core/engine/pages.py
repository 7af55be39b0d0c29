"""A page of an execution's tasks.

Short journals are folded whole. Of a long one only the records of the page's own tasks are read: heads count the tasks that were
scheduled, and hold those that are open, so both the record that scheduled a task and the one that ended it are found by halving. That
holds while numbers are places in the list: before anybody restarted or retried the execution, where no loop forgets its rounds, and
for all statuses together. Else the journal is folded, without its payloads, up to a limit of time and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from batuta_core.decider import view
from batuta_core.decider.compile import Graph
from batuta_core.decider.known import Known
from batuta_core.decider.loop import compose, drop_old_rounds, forgets_rounds
from batuta_core.engine import segments
from batuta_core.engine.fetch import graph_of, with_slots
from batuta_core.engine.fold import fold, fold_tasks
from batuta_core.engine.ports import Ports
from batuta_core.model.error import ExecutionTooLarge
from batuta_core.model.execution import TaskExecution
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import OpenTask, Record

SHORT_RECORDS = 500  # a journal of so many is read by a query or two
FOLDED_TASKS_MAX = 200_000  # 1 KB of memory each without payloads
FOLD_MAX_MS = 20_000  # API Gateway waits for 30 s
_SCAN_RECORDS = 100  # most tasks end soon after they began
_LOOP_RECORDS_MAX = 1000  # of a longer loop the list shows the counter alone, its rounds are tasks of their own
_ASKED_AT_ONCE = 15  # records of one request while a place is looked for
_SMALL_CHARS = 100
_ROOM = 5000  # tasks between two looks at what may go


@dataclass(frozen=True, slots=True)
class Away:
    """A payload that was left in its record: the ``nth`` of those in it."""

    record: int
    nth: int


@dataclass(frozen=True, slots=True)
class Listed:
    """``shown`` are the page's; ``others`` what they need to be shown."""

    total: int
    shown: list[TaskExecution]
    others: list[TaskExecution]


def tasks_at(
    ports: Ports, execution: ExecutionId, newest: Record, graph: Graph, start: int, count: int, statuses: Collection[str]
) -> Listed | None:
    """The tasks of ``statuses`` (none: all) from place ``start`` on, in the order of scheduling. None: the journal is gone. Raises
    ExecutionTooLarge."""
    head = newest.head
    is_numbered = not statuses and not head.life and not head.last_retried_ms and not forgets_rounds(graph)
    is_numbered = is_numbered and all(node.type.name != "FORK_JOIN_DYNAMIC" for node in graph.nodes.values())  # they know their branches
    if newest.seq <= SHORT_RECORDS or not is_numbered:
        return _folded(ports, execution, graph, start, count, {status.upper() for status in statuses})
    wanted = range(start + 1, min(start + count, head.task_count) + 1)
    found = _Long(ports, execution, newest, graph).tasks(wanted) if wanted else {}
    shown = [found[number] for number in wanted if number in found]
    return Listed(head.task_count, shown, shown)


def payload_in(ports: Ports, execution: ExecutionId, away: Away) -> Any:
    """The payload that was left there."""
    found: list[Any] = []

    def slot(value: Any) -> Any:
        found.append(value)
        return value

    for record in ports.journal.read(execution, [away.record]).values():
        with_slots(record, slot)
    return found[away.nth] if away.nth < len(found) else None


# --- all of it


def _folded(ports: Ports, execution: ExecutionId, graph: Graph, start: int, count: int, wanted: set[str]) -> Listed | None:
    tasks: dict[int, TaskExecution] = {}
    room, began_ms, is_empty = _ROOM, ports.clock.now_ms(), True
    for record in ports.journal.scan(execution):
        is_empty = False
        fold_tasks(tasks, _lightened(record), execution, graph)
        if len(tasks) > room:
            drop_old_rounds(tasks, graph)
            room = len(tasks) + _ROOM
            if len(tasks) > FOLDED_TASKS_MAX or ports.clock.now_ms() - began_ms > FOLD_MAX_MS:
                text = f"execution {execution.workflow_id} has too many tasks for this list: ask for those of all statuses together"
                raise ExecutionTooLarge(text, workflow_id=execution.workflow_id)
    if is_empty:
        return None
    compose(tasks, graph)
    if any(graph.is_of_segment(task) for task in tasks.values()):
        return _with_branches(ports, execution, graph, tasks, range(start, start + count), wanted)
    chosen = [tasks[number] for number in sorted(tasks) if not wanted or tasks[number].status.value in wanted]
    return Listed(len(chosen), chosen[start : start + count], list(tasks.values()))


def _with_branches(
    ports: Ports, execution: ExecutionId, graph: Graph, tasks: Mapping[int, TaskExecution], places: range, wanted: set[str]
) -> Listed:
    """The tasks with those that ran in segments. Of segments without a task in ``places`` only the sizes are read, unless tasks of some
    statuses are wanted only."""
    total, shown, forks = 0, list[TaskExecution](), list(tasks.values())
    began_ms = ports.clock.now_ms()
    for number in sorted(tasks):
        task = tasks[number]
        found = [task]
        if graph.is_of_segment(task):
            size = 0 if wanted or task.is_retried else segments.size(ports, segments.of_task(execution, task))
            if size and (total + size <= places.start or total >= places.stop):
                total += size
                continue
            below = segments.spliced(execution, [], [task], lambda segment: light(ports, segment))
            found, forks = below.tasks, forks + below.forks
        for other in found:
            if not wanted or other.status.value in wanted:
                if total in places:
                    shown.append(replace(other, number=total + 1))
                total += 1
        if ports.clock.now_ms() - began_ms > FOLD_MAX_MS:
            text = f"execution {execution.workflow_id} has too many tasks for this list: ask for those of all statuses together"
            raise ExecutionTooLarge(text, workflow_id=execution.workflow_id)
    return Listed(total, shown, forks)


def light(ports: Ports, segment: ExecutionId) -> segments.Folded | None:
    """The segment without its larger payloads."""
    records = [_lightened(record) for record in ports.journal.scan(segment)]
    if not records or records[0].seq != 1:
        return None
    graph = graph_of(ports, segment.namespace, records[-1].head.definition)
    return fold(segment, records, graph), graph


def _lightened(record: Record) -> Record:
    """The record without its larger payloads."""
    places = iter(range(1_000_000))

    def slot(value: Any) -> Any:
        nth = next(places)
        if value is None or isinstance(value, PayloadRef) or (isinstance(value, dict) and "joinOn" in value):  # a join's names are read
            return value
        return value if _is_small(value) else Away(record.seq, nth)

    return with_slots(record, slot)


def _is_small(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= 3 and len(str(value)) <= _SMALL_CHARS


# --- a part of it


class _Long:
    def __init__(self, ports: Ports, execution: ExecutionId, newest: Record, graph: Graph) -> None:
        self._ports = ports
        self._execution = execution
        self._newest = newest
        self._graph = graph
        self._read: dict[int, Record] = {newest.seq: newest}  # what was read while looking for places

    def tasks(self, numbers: range) -> dict[int, TaskExecution]:
        """By number."""
        first = self._scheduled(numbers[0])
        tasks: dict[int, TaskExecution] = {}
        for record in self._records(first, first + _SCAN_RECORDS + len(numbers)):
            self._fold(tasks, record, numbers)
            if len(tasks) == len(numbers) and all(task.status.is_terminal for task in tasks.values()):
                break
        while len(tasks) < len(numbers):  # scheduled one by one, with much in between
            self._fold(tasks, self._at(self._scheduled(next(number for number in numbers if number not in tasks))), numbers)
        for task in tasks.values():
            if not task.status.is_terminal:
                self._end(tasks, task)
        self._compose(tasks)
        return tasks

    def _fold(self, tasks: dict[int, TaskExecution], record: Record, numbers: Collection[int]) -> None:
        known = {change.number for change in record.changes if change.is_new} | tasks.keys()
        changes = tuple(change for change in record.changes if change.number in known)
        fold_tasks(tasks, replace(record, changes=changes), self._execution, self._graph)
        for number in [number for number in tasks if number not in numbers]:
            del tasks[number]

    def _end(self, tasks: dict[int, TaskExecution], task: TaskExecution) -> None:
        """What became of a task that is open for long: from the head, if it still is, else from the records that the last head named in
        which it was."""
        open_ = _open(self._newest, task)
        if open_ is not None:
            known = Known(records=self._fetched({open_.place.record, open_.place.rerun, open_.output_record} - {0}))
            tasks[task.number] = replace(view.open_task(open_, view.Reader(known), self._execution, self._graph), logs=task.logs)
            return
        begun = self._scheduled(task.number)
        ended = self._ended(begun, task)
        last = _open(self._at(ended - 1), task)
        for seq in sorted({last.output_record if last else 0, ended} - {0}):
            if seq > begun:
                self._fold(tasks, self._at(seq), [*tasks])

    def _scheduled(self, number: int) -> int:
        """The record that scheduled the task of that number."""
        return self._first(1, lambda record: record.head.task_count >= number)

    def _ended(self, begun: int, task: TaskExecution) -> int:
        return self._first(begun, lambda record: _open(record, task) is None)

    def _compose(self, tasks: dict[int, TaskExecution]) -> None:
        """Gives short loops and open joins what they have gathered."""
        waiting = [task for task in tasks.values() if self._is_waiting(task)]
        for task in waiting:
            begun = self._scheduled(task.number)
            last = self._ended(begun, task) if task.status.is_terminal else self._newest.seq
            if last - begun > _LOOP_RECORDS_MAX:
                continue
            around: dict[int, TaskExecution] = {}
            for record in self._records(begun, last):
                fold_tasks(around, _known_only(around, record), self._execution, self._graph)
            compose(around, self._graph)
            if task.number in around:
                tasks[task.number] = around[task.number]

    def _is_waiting(self, task: TaskExecution) -> bool:
        node = self._graph.find(task.ref)
        return node is not None and (node.type.is_loop or (node.type.name == "JOIN" and not task.status.is_terminal))

    # --- records

    def _first(self, begin: int, holds: Callable[[Record], bool]) -> int:
        """The first record from ``begin`` on of which it holds, as it does of all that follow, the newest among them."""
        low, high = begin, self._newest.seq
        while low < high:
            width = max((high - low) // (_ASKED_AT_ONCE + 1), 1)
            asked = sorted({min(low + width * step, high - 1) for step in range(_ASKED_AT_ONCE + 1)})
            found = self._fetched(set(asked))
            for seq in asked:
                if holds(found[seq]):
                    high = seq
                    break
                low = seq + 1
        return low

    def _records(self, first: int, last: int) -> Iterator[Record]:
        """One query, where reading them one by one would be many."""
        for record in self._ports.journal.scan(self._execution, first):
            if record.seq > last:
                return
            yield record

    def _at(self, seq: int) -> Record:
        return self._fetched({seq})[seq]

    def _fetched(self, seqs: set[int]) -> Mapping[int, Record]:
        missing = seqs - self._read.keys()
        if missing:
            self._read.update(self._ports.journal.read(self._execution, missing))
        if lost := seqs - self._read.keys():
            raise ExecutionTooLarge(f"records {sorted(lost)[:5]} of {self._execution} are going: it was removed")
        return {seq: self._read[seq] for seq in seqs}


def _open(record: Record, task: TaskExecution) -> OpenTask | None:
    """The task in the record's head, while it is open."""
    return next((open_ for open_ in record.head.open.values() if open_.number == task.number), None)


def _known_only(tasks: dict[int, TaskExecution], record: Record) -> Record:
    known = {change.number for change in record.changes if change.is_new} | tasks.keys()
    return replace(record, changes=tuple(change for change in record.changes if change.number in known))
