"""Reading executions: whole, in parts, or as lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

from batuta_core.decider.compile import Graph
from batuta_core.decider.loop import forgets_rounds
from batuta_core.engine import operate, pages, segments, wire
from batuta_core.engine.fetch import dump_json, graph_of, read_records
from batuta_core.engine.fold import advance, begun, fold, fold_tasks
from batuta_core.engine.ports import LogLine, Ports
from batuta_core.engine.resolver import Resolver
from batuta_core.model import ids
from batuta_core.model.error import ExecutionTooLarge, TaskNotFound, WorkflowNotFound
from batuta_core.model.execution import TaskExecution, WorkflowExecution, WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadRef
from batuta_core.model.record import Head, Record

ANSWER_MAX_BYTES = 5 * 1024 * 1024  # Lambda's answer ends at 6 MB (quota "invocation payload"), JSON escapes included
WHOLE_TASKS_MAX = ANSWER_MAX_BYTES // 700  # a task of no input and no output takes 900 bytes and more
EXTERNAL_MIN_BYTES = 256 * 1024  # payloads above it lie outside of an answer to a client that asks for that, as our own does
LOG_LINES_MAX = 10  # Conductor's taskExecLogSizeLimit


class _Budget(Resolver):
    """Stops before an answer gets too large to be sent."""

    def __init__(self, ports: Ports, execution: ExecutionId, inline_max: int = PAYLOAD_MAX_BYTES) -> None:
        super().__init__(ports, execution, inline_max)
        self._left = [ANSWER_MAX_BYTES]

    def take(self, size_bytes: int) -> None:
        self._left[0] -= size_bytes
        if self._left[0] < 0:
            raise ExecutionTooLarge(
                f"execution {self._execution.workflow_id} has more than {ANSWER_MAX_BYTES} bytes", workflow_id=self._execution.workflow_id
            )

    def of(self, task: TaskExecution) -> _Budget:
        """The same, for the payloads of a task that may have run in a segment."""
        key = ids.parse_task_id(task.task_id)
        if key is None or key.workflow_id == self._execution.workflow_id:
            return self
        there = copy(self)
        there._execution = ExecutionId(self._execution.namespace, key.workflow_id)
        return there

    def __call__(self, value: Any) -> Any:
        if type(value) is pages.Away:
            value = pages.payload_in(self._ports, self._execution, value)
        if isinstance(value, PayloadRef) and value.size_bytes <= self._inline_max:
            self.take(value.size_bytes)
        return super().__call__(value)


def workflow_json(ports: Ports, execution: ExecutionId, *, has_tasks: bool = True, is_external: bool = False) -> dict[str, Any]:
    """The execution in Conductor's JSON. Raises WorkflowNotFound, or ExecutionTooLarge when it cannot be answered whole.
    ``is_external``: the client fetches large payloads by itself."""
    newest = operate.require_newest(ports, execution)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    budget = _budget(ports, execution, is_external)
    found = _whole(ports, execution, newest, graph, budget) if has_tasks else without_tasks(ports, execution, newest, graph)
    body = wire.workflow_json(found, graph, budget)
    if found.segments:
        body.update(_with_branches(ports, execution, found, graph, budget))
    size = len(dump_json(body))
    if size > ANSWER_MAX_BYTES:
        raise ExecutionTooLarge(f"execution {execution.workflow_id} has {size} bytes", workflow_id=execution.workflow_id, size_bytes=size)
    return body


def _with_branches(ports: Ports, execution: ExecutionId, found: WorkflowExecution, graph: Graph, budget: _Budget) -> dict[str, Any]:
    """What the branches add that ran in segments, whose payloads lie there."""

    def read(segment: ExecutionId) -> segments.Folded | None:
        newest = ports.journal.newest(segment)
        if newest is None or newest.head.status is WorkflowStatus.REMOVED:
            return None
        below = graph_of(ports, segment.namespace, newest.head.definition)
        there = _whole(ports, segment, newest, below, budget)
        counted.append(len(there.tasks))
        if sum(counted) > WHOLE_TASKS_MAX:
            text = f"execution {execution.workflow_id} has more than {WHOLE_TASKS_MAX} tasks"
            raise ExecutionTooLarge(text, workflow_id=execution.workflow_id)
        return there, below

    counted = [len(found.tasks)]
    whole = segments.spliced(execution, found.tasks, found.segments, read)
    nodes = wire.Nodes(graph, [*whole.tasks, *whole.forks], budget.of)
    names = dict.fromkeys([*found.failed_names, *(task.name for task in whole.tasks if task.ref in found.failed_refs)])
    shown = [wire.task_json(task, found, nodes.of(task), budget.of(task)) for task in whole.tasks]
    return {"tasks": shown, "failedTaskNames": list(names)}


def _budget(ports: Ports, execution: ExecutionId, is_external: bool) -> _Budget:
    return _Budget(ports, execution, EXTERNAL_MIN_BYTES if is_external else PAYLOAD_MAX_BYTES)


def _whole(ports: Ports, execution: ExecutionId, newest: Record, graph: Graph, budget: _Budget) -> WorkflowExecution:
    head = newest.head
    if head.task_count > WHOLE_TASKS_MAX and not head.life and not forgets_rounds(graph):  # without reading any of it
        raise ExecutionTooLarge(f"execution {execution.workflow_id} has {head.task_count} tasks", workflow_id=execution.workflow_id)

    def measured() -> Iterator[Record]:
        for record in ports.journal.scan(execution):
            budget_of_records.take(sum(_rough_size(change.input) + _rough_size(change.output) for change in record.changes))
            yield record

    budget_of_records = _Budget(ports, execution)  # journals of more than that are refused before they fill the memory
    try:
        return fold(execution, measured(), graph, tasks_max=WHOLE_TASKS_MAX)
    except ValueError as error:
        raise operate.not_found(execution.workflow_id) from error


def _rough_size(value: Any) -> int:
    return 0 if value is None or isinstance(value, PayloadRef) else len(str(value)) // 2


def without_tasks(ports: Ports, execution: ExecutionId, newest: Record, graph: Graph) -> WorkflowExecution:
    """The execution without its tasks, from four records at most, however long it is."""
    records = {
        newest.seq: newest,
        **read_records(ports, execution, _read_for_all(newest.head) - {0, newest.seq}),
    }
    if 1 not in records:
        raise operate.not_found(execution.workflow_id)
    found = begun(execution, records[1], graph)
    for seq in sorted(records):
        advance(found, records[seq])
    found.created_ms, found.correlation_id = newest.head.created_ms, newest.head.about.correlation_id
    if not newest.head.output_record:
        found.output = None
    if newest.head.status.is_terminal or newest.head.life:
        found.failed_refs = list(newest.head.failed_refs)
        found.failed_names = list(dict.fromkeys(node.shown_name for ref in found.failed_refs if (node := graph.find(ref))))
    return found


def _read_for_all(head: Head) -> set[int]:
    """The records that say something of the execution itself."""
    return {1, head.variables_record, head.output_record, head.input_record}


def status_json(ports: Ports, execution: ExecutionId, *, has_output: bool, has_variables: bool) -> dict[str, Any]:
    newest = operate.require_newest(ports, execution)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    found = without_tasks(ports, execution, newest, graph)
    return wire.status_json(found, _Budget(ports, execution), has_output=has_output, has_variables=has_variables)


def task_page(
    ports: Ports, execution: ExecutionId, start: int, count: int, statuses: Collection[str], *, is_external: bool = False
) -> dict[str, Any]:
    """Conductor's SearchResult of tasks: those of ``statuses`` (none: all), in the order of scheduling."""
    newest = operate.require_newest(ports, execution)
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    first = read_records(ports, execution, [1]).get(1)
    found = pages.tasks_at(ports, execution, newest, graph, start, count, statuses) if first else None
    if first is None or found is None:
        raise operate.not_found(execution.workflow_id)
    workflow = begun(execution, first, graph)
    budget = _Budget(ports, execution)
    page: list[dict[str, Any]] = []
    nodes = wire.Nodes(graph, found.others, budget.of)
    for task in found.shown:
        shown = wire.task_json(task, workflow, nodes.of(task), _budget(ports, execution, is_external).of(task))
        budget.take(len(dump_json(shown)))
        page.append(shown)
    return {"totalHits": found.total, "results": page}


def task_json(ports: Ports, namespace: str, task_id: str, *, is_external: bool = False) -> dict[str, Any]:
    """One task by its id alone; raises TaskNotFound."""
    execution, workflow, task, graph = _find_task(ports, namespace, task_id)
    budget = _budget(ports, execution, is_external)
    return wire.task_json(task, workflow, wire.Nodes(graph, workflow.tasks, budget.of).of(task), budget)


def log_lines(ports: Ports, namespace: str, task_id: str) -> list[dict[str, Any]]:
    """The last lines of a task's log in Conductor's JSON: those that came with results, then those that came alone."""
    try:
        execution, _workflow, task, _graph = _find_task(ports, namespace, task_id)
    except TaskNotFound:
        return []
    alone = [line for line in ports.logs.lines(execution) if line.task_id == task_id]
    lines = [LogLine(task_id, str(line.get("log", "")), int(line.get("createdTime") or 0)) for line in task.logs] + alone
    return [{"log": line.text, "taskId": task_id, "createdTime": line.at_ms} for line in lines[-LOG_LINES_MAX:]]


def _find_task(ports: Ports, namespace: str, task_id: str) -> tuple[ExecutionId, WorkflowExecution, TaskExecution, Graph]:
    """Reads the journal from the record that the id names until the task has ended."""
    key = ids.parse_task_id(task_id)
    missing = TaskNotFound(f"Task not found for taskId: {task_id}", task_id=task_id)
    if key is None:
        raise missing
    execution = ExecutionId(namespace, key.workflow_id)
    try:
        newest = operate.require_newest(ports, execution)
    except WorkflowNotFound as error:
        raise missing from error
    graph = graph_of(ports, namespace, newest.head.definition)
    first = read_records(ports, execution, [1]).get(1)
    may_change = newest.head.life > 0 or newest.head.last_retried_ms > 0  # an ended task, by an operation since
    tasks: dict[int, TaskExecution] = {}
    found: TaskExecution | None = None
    for record in ports.journal.scan(execution, key.record) if first else ():
        _fold_known_tasks(tasks, record, execution, graph)
        found = next((task for task in tasks.values() if task.task_id == task_id), None)
        if found is None or (found.status.is_terminal and not may_change):
            break
    if found is None or first is None:
        raise missing
    workflow = begun(execution, first, graph)
    workflow.tasks = list(tasks.values())  # the fork that made it is in the same record
    return execution, workflow, found, graph


def _fold_known_tasks(tasks: dict[int, TaskExecution], record: Record, execution: ExecutionId, graph: Graph) -> None:
    """As ``fold_tasks``, of the tasks of the first record that comes only: that of a task and of the fork that made it."""
    changes = record.changes if not tasks else tuple(change for change in record.changes if change.number in tasks)
    fold_tasks(tasks, replace(record, changes=changes), execution, graph)
