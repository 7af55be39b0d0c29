"""A retry, a restart or a rerun of a child concerns its parent, which may have ended with it: what the user's call sees of the parents.

The call reads them before its commit and names their records (``ChildRevived.seen``), so that a parent which is ended by something else
meanwhile stays ended. Where a parent would answer the new life with a stop, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from batuta_core.engine.fetch import decide_with, read_records
from batuta_core.engine.ports import Ports
from batuta_core.model.error import OperationRefused
from batuta_core.model.event import ChildRevived, ParentTask, Revival, StoppedByParent
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
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
