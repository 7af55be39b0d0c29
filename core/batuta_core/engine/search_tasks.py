"""Lists of tasks. Nothing is written for them (ADR 19): the summaries say which executions may have such tasks, and the journals of these
are read, newest first.

So a search costs what it reads, and one that would read too much is refused: it is to be narrowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from batuta_core.engine import pages, search, segments
from batuta_core.engine.fetch import graph_of, with_slots
from batuta_core.engine.fold import fold
from batuta_core.engine.ports import Ports, Summary
from batuta_core.engine.search import Condition, Search
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import TaskExecution, TaskStatus, WorkflowExecution, WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record

# What one search may read: a call ends after 30 s (API Gateway), and a task takes some 2 KB of memory while its execution is put together.
TIME_MAX_MS = 15_000
TASKS_MAX = 50_000

_FAILED = frozenset((TaskStatus.FAILED.value, TaskStatus.FAILED_WITH_TERMINAL_ERROR.value))
_OPEN = frozenset((TaskStatus.SCHEDULED.value, TaskStatus.IN_PROGRESS.value))


@dataclass(frozen=True, slots=True)
class TaskSearch:
    """A parsed query; empty fields do not narrow."""

    executions: Search
    task_ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    started_ms: tuple[int, int] = (0, 0)  # from, to, inclusive; 0: none
    updated_ms: tuple[int, int] = (0, 0)


class FoundTask(NamedTuple):
    summary: Summary
    workflow: WorkflowExecution
    task: TaskExecution


def parse_query(query: str, sort: str = "") -> TaskSearch:
    """Raises InvalidInput for what is no query. Fields that tasks do not have are passed over, as in Conductor."""
    found = TaskSearch(Search(is_oldest_first=search.is_oldest_first(sort)))
    for condition in search.conditions(query):
        found = _narrow(found, condition)
    return replace(found, executions=_executions(found))


def _narrow(found: TaskSearch, condition: Condition) -> TaskSearch:
    match condition.name:
        case "workflowId":
            return replace(found, executions=replace(found.executions, workflow_ids=condition.values))
        case "workflowType":
            return replace(found, executions=replace(found.executions, names=condition.values))
        case "taskId":
            return replace(found, task_ids=condition.values)
        case "status":
            return replace(found, statuses=condition.values)
        case "taskType":
            return replace(found, types=condition.values)
        case "taskDefName":
            return replace(found, names=condition.values)
        case "startTime":
            return replace(found, started_ms=_both(found.started_ms, condition.bounds()))
        case "updateTime":
            return replace(found, updated_ms=_both(found.updated_ms, condition.bounds()))
        case _:
            return found


def _both(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return max(first[0], second[0]), min(filter(None, (first[1], second[1])), default=0)


def _executions(found: TaskSearch) -> Search:
    """Which executions may have such tasks."""
    wanted = replace(found.executions, tasks=found.names or found.types, to_ms=found.started_ms[1])
    if found.statuses and _OPEN.issuperset(found.statuses):  # an ended execution has none that is open
        wanted = replace(wanted, statuses=(WorkflowStatus.RUNNING.value, WorkflowStatus.PAUSED.value))
    return wanted


def find(ports: Ports, namespace: str, wanted: TaskSearch, start: int, size: int) -> tuple[int, list[FoundTask]]:
    """As ``search.find``, of tasks; those of one execution in the order of scheduling. Raises InvalidInput for a search that would read
    too much."""
    found = _tasks(ports, namespace, wanted)
    return search.page_of(found, start, size, is_oldest_first=wanted.executions.is_oldest_first)


def find_executions(ports: Ports, namespace: str, wanted: TaskSearch, start: int, size: int) -> tuple[int, list[Summary]]:
    """The executions that have such tasks."""
    summaries: dict[str, Summary] = {}

    def distinct() -> Iterator[Summary]:
        for found in _tasks(ports, namespace, wanted):
            if found.workflow.workflow_id not in summaries:
                summaries[found.workflow.workflow_id] = found.summary
                yield found.summary

    return search.page_of(distinct(), start, size, is_oldest_first=wanted.executions.is_oldest_first)


def _tasks(ports: Ports, namespace: str, wanted: TaskSearch) -> Iterator[FoundTask]:
    wanted = _with_roots(ports, namespace, wanted)
    end_ms, left = ports.clock.now_ms() + TIME_MAX_MS, TASKS_MAX
    for summary in search.newest_first(ports, namespace, wanted.executions):
        workflow = _whole(ports, summary, left) if _may_have(summary, wanted) else None
        if workflow is None:
            continue
        left -= len(workflow.tasks)
        if left < 0 or ports.clock.now_ms() > end_ms:
            raise _too_wide()
        chosen = [FoundTask(summary, workflow, task) for task in workflow.tasks if _matches(task, wanted)]
        yield from reversed(chosen) if wanted.executions.is_oldest_first else chosen


def _with_roots(ports: Ports, namespace: str, wanted: TaskSearch) -> TaskSearch:
    """The id of a branch that ran in a segment names that, which has no summary: the execution that users know has."""
    if not wanted.task_ids:
        return wanted
    keys = [key for task_id in wanted.task_ids if (key := ids.parse_task_id(task_id))]
    named = dict.fromkeys(segments.root_of(ports, ExecutionId(namespace, key.workflow_id)) for key in keys)
    only = wanted.executions.workflow_ids
    both = tuple(name for name in named if not only or name in only) or ("none",)
    return replace(wanted, executions=replace(wanted.executions, workflow_ids=both))


def _may_have(summary: Summary, wanted: TaskSearch) -> bool:
    """The summary names the tasks that failed, those that were retried among them; it is behind while the execution runs."""
    is_without_failures = summary.status is WorkflowStatus.COMPLETED and not summary.failed_refs
    return not (is_without_failures and wanted.statuses and _FAILED.issuperset(wanted.statuses))


def _too_wide() -> InvalidInput:
    return InvalidInput(
        f"The search looks through more than {TASKS_MAX} tasks, or longer than {TIME_MAX_MS // 1000} s. "
        "Narrow it by workflowId, workflowType, taskDefName, status, or an earlier startTime."
    )


def _whole(ports: Ports, summary: Summary, tasks_max: int) -> WorkflowExecution | None:
    """The execution without its payloads; None when it is gone."""
    records: list[Record] = []
    for record in ports.journal.scan(summary.execution):
        records.append(with_slots(record, _nothing))
        if record.head.task_count > tasks_max:
            raise _too_wide()
    if not records or records[0].seq != 1 or records[-1].head.status is WorkflowStatus.REMOVED:
        return None
    found = fold(summary.execution, records, graph_of(ports, summary.execution.namespace, records[-1].head.definition))
    if found.segments:
        found.tasks = segments.spliced(summary.execution, found.tasks, found.segments, lambda segment: pages.light(ports, segment)).tasks
    return found


def _nothing(_payload: Any) -> None:
    return None


def _matches(task: TaskExecution, wanted: TaskSearch) -> bool:
    return (
        (not wanted.task_ids or task.task_id in wanted.task_ids)
        and (not wanted.statuses or task.status.value in wanted.statuses)
        and (not wanted.types or task.task_type in wanted.types)
        and (not wanted.names or task.name in wanted.names)
        and _is_within(task.started_ms, wanted.started_ms)
        and _is_within(task.updated_ms, wanted.updated_ms)
    )


def _is_within(at_ms: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= at_ms and (not bounds[1] or at_ms <= bounds[1])
