"""A retry, a restart or a rerun of a child concerns its parent, which may have ended with it: what the user's call sees of the parents.

The call reads them before its commit and names their records (``ChildRevived.seen``), so that a parent which is ended by something else
meanwhile stays ended. Where a parent would answer the new life with a stop, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from batuta_core.decider.tasks.sub_workflow import CHILD_ID, SubWorkflow
from batuta_core.engine.fetch import decide_with, graph_of, read_payload, read_records
from batuta_core.engine.fold import fold_tasks
from batuta_core.engine.operate import require_newest
from batuta_core.engine.ports import Ports
from batuta_core.model import ids
from batuta_core.model.error import OperationRefused
from batuta_core.model.execution import TaskExecution, WorkflowStatus
from batuta_core.model.family_event import ChildRevived, StoppedByParent
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import Revival
from batuta_core.model.place import ParentTask
from batuta_core.model.record import Record


def with_parents(ports: Ports, execution: ExecutionId, make: Callable[[Record], Revival]) -> Callable[[Record], Revival]:
    """``make`` with what is seen of the parents. Raises OperationRefused where the task that the execution runs for is over."""

    def make_seeing(newest: Record) -> Revival:
        event = make(newest)
        if newest.head.about.parent is None:
            return event
        _require_started(ports, execution, newest)
        return replace(event, seen=tuple(_seen(ports, execution, newest)))

    return make_seeing


def _require_started(ports: Ports, execution: ExecutionId, newest: Record) -> None:
    if newest.head.task_count:
        return
    first = read_records(ports, execution, [1])[1]
    if any(isinstance(event, StoppedByParent) for event in first.events):
        text = f"Workflow {execution.workflow_id} was stopped before it had started"
        raise OperationRefused(text, workflow_id=execution.workflow_id)


def _seen(ports: Ports, execution: ExecutionId, newest: Record) -> list[int]:
    """The newest records of the parents up to the first that has not ended, which hears of nothing but the end."""
    seen: list[int] = []
    child, link = newest, newest.head.about.parent
    while link is not None:
        parent = ExecutionId(execution.namespace, link.workflow_id)
        above = ports.journal.newest(parent)
        if above is None:
            break
        _require_open(ports, parent, above, link, child)
        seen.append(above.seq)
        child, link = above, above.head.about.parent if above.head.status.is_terminal else None
    return seen


def _require_open(ports: Ports, parent: ExecutionId, above: Record, link: ParentTask, child: Record) -> None:
    """Asks the decider what the parent would make of another life of its child."""
    life = child.seq + 1
    event = ChildRevived(place=link.place, life=life, definition=child.head.definition, seen=(above.seq,))
    record = None if above.head.status is WorkflowStatus.REMOVED else decide_with(ports, parent, above, [event]).record
    if record is None or not any(task.place == link.place and task.life == life for task in record.head.open.values()):
        text = f"Task {link.task_id} of workflow {link.workflow_id}, which it ran for, is over: restart, retry or rerun that workflow"
        raise OperationRefused(text, workflow_id=link.workflow_id)


# --- children that are named, or meant, by a call on one above them


def is_below(ports: Ports, execution: ExecutionId, above: ExecutionId) -> bool:
    """Whether ``execution`` runs for a task of ``above``, or of an execution that does."""
    while execution != above:
        newest = ports.journal.newest(execution)
        if newest is None or newest.head.about.parent is None:
            return False
        execution = ExecutionId(execution.namespace, newest.head.about.parent.workflow_id)
        if execution == above:
            return True
    return False


def failed_below(ports: Ports, execution: ExecutionId) -> ExecutionId:
    """The execution itself, or where its first failed task ran a child that failed, the one below in which that begins."""
    while True:
        newest = require_newest(ports, execution)
        child = _failed_child(ports, execution, newest) if newest.head.status.is_terminal else None
        if child is None:
            return execution
        execution = child


def _failed_child(ports: Ports, execution: ExecutionId, newest: Record) -> ExecutionId | None:
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    tasks: dict[int, TaskExecution] = {}
    for record in ports.journal.scan(execution):
        fold_tasks(tasks, record, execution, graph)
    waiting = {graph.nodes[ref].wire_type for ref in graph.waiting}
    bad = [task for task in tasks.values() if task.status.is_terminal and not task.status.is_successful and not task.is_retried]
    first = min((task for task in bad if task.task_type not in waiting), key=lambda task: task.number, default=None)
    if first is None or first.task_type != SubWorkflow.name:
        return None
    output = read_payload(ports, execution, first.output) or {}
    child = ExecutionId(execution.namespace, str(output.get(CHILD_ID)))
    below = ports.journal.newest(child) if ids.is_workflow_id(child.workflow_id) else None
    is_failed = below is not None and below.head.status in (WorkflowStatus.FAILED, WorkflowStatus.TIMED_OUT, WorkflowStatus.TERMINATED)
    return child if is_failed else None
