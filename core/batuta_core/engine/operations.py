"""What users do to executions: pause and resume, retry, restart and rerun, skip, set variables, reset callbacks.

The preconditions and their words are Conductor's; where it answers 500 to an operation that does not apply, we answer 409.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.decider.known import DefinitionName
from batuta_core.engine.fetch import dump_json, graph_of, read_payload, read_records
from batuta_core.engine.fold import fold_tasks
from batuta_core.engine.operate import Once, operate, require_newest
from batuta_core.engine.parents import failed_below, is_below, with_parents
from batuta_core.engine.ports import Ports
from batuta_core.engine.segments import open_below
from batuta_core.model import ids
from batuta_core.model.error import (
    InvalidInput,
    NotEndedYet,
    NotRestartable,
    OperationRefused,
    PayloadTooLarge,
    TaskNotFound,
    WorkflowDefinitionNotFound,
)
from batuta_core.model.event import Event
from batuta_core.model.execution import TaskExecution, WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.operation_event import (
    CallbacksReset,
    Revival,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Record


def pause(ports: Ports, execution: ExecutionId) -> None:
    """Nothing is scheduled any more; results are taken. A paused execution stays so. Raises OperationRefused for an ended one."""
    event = WorkflowPaused(op=ports.ids.op())

    def make(newest: Record) -> Event | None:
        if newest.head.status.is_terminal:
            graph = graph_of(ports, execution.namespace, newest.head.definition)
            shown = f"{graph.name}.{graph.version}/{execution.workflow_id}"
            raise OperationRefused(f"Workflow {shown} has ended, status cannot be updated.", workflow_id=execution.workflow_id)
        return None if newest.head.status is WorkflowStatus.PAUSED else event

    operate(ports, execution, make)


def resume(ports: Ports, execution: ExecutionId) -> None:
    """The flow goes on with what came due meanwhile; the workflow's timeout counts from now. Raises OperationRefused unless paused."""
    event = WorkflowResumed(op=ports.ids.op())

    def make(newest: Record) -> Event | None:
        status = newest.head.status
        if status is not WorkflowStatus.PAUSED:
            text = f"The workflow {execution.workflow_id} is not PAUSED so cannot resume. Current status is {status.value}"
            raise OperationRefused(text, workflow_id=execution.workflow_id)
        return event

    operate(ports, execution, make)


def retry(ports: Ports, execution: ExecutionId, *, is_deep: bool = False) -> None:
    """Gives each task whose last attempt ended badly another one. ``is_deep``: where the first of those ran a child, the child's do, and so
    on. Raises NotEndedYet, or OperationRefused when there is none."""
    if is_deep:
        execution = failed_below(ports, execution)
    event = WorkflowRetried(op=ports.ids.op())

    def make(newest: Record) -> Revival:
        if not newest.head.status.is_terminal:
            text = f"Workflow is still running.  status={newest.head.status.value}"
            raise NotEndedYet(text, workflow_id=execution.workflow_id)
        if not newest.head.task_count:
            raise OperationRefused("Workflow has not started yet", workflow_id=execution.workflow_id)
        return event

    operate(ports, execution, with_parents(ports, execution, make))


def restart(ports: Ports, execution: ExecutionId, *, is_latest: bool = False) -> None:
    """Begins again with the same input, under the definition that it has or the latest of its name. Raises OperationRefused for a
    running one, NotRestartable, WorkflowDefinitionNotFound."""
    op = ports.ids.op()

    def make(newest: Record) -> Revival:
        _require_ended(ports, execution, newest, "restart")
        graph = graph_of(ports, execution.namespace, newest.head.definition)
        if newest.head.status is WorkflowStatus.COMPLETED and not graph.definition.get("restartable", True):
            shown = _shown(ports, execution, newest)
            raise NotRestartable(f"Workflow: {shown} is non-restartable", workflow_id=execution.workflow_id)
        definition = _latest(ports, execution, graph.name) if is_latest else newest.head.definition
        return WorkflowRestarted(op=op, definition=definition)

    operate(ports, execution, with_parents(ports, execution, make))


def _latest(ports: Ports, execution: ExecutionId, name: str) -> str:
    try:
        return ports.catalog.require(ports, execution.namespace, DefinitionName(name, None)).hash
    except WorkflowDefinitionNotFound as error:
        text = f"Unable to find latest definition for {execution.workflow_id}"
        raise WorkflowDefinitionNotFound(text, workflow_id=execution.workflow_id, name=name) from error


def rerun(
    ports: Ports,
    execution: ExecutionId,
    *,
    task_id: str | None = None,
    task_input: Mapping[str, Any] | None = None,
    workflow_input: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
    is_of_segment: bool = False,
) -> None:
    """Runs again from the task of that id, which keeps it, or from the first one. A task of a child, or of its child, takes its parents
    along. Raises OperationRefused for a running execution, InvalidInput for a task that is not there."""
    for given in (task_input, workflow_input):
        size = len(dump_json(given))
        if size > PAYLOAD_MAX_BYTES:
            raise PayloadTooLarge(f"the input has {size} bytes, the limit is {PAYLOAD_MAX_BYTES}", size_bytes=size)
    op = ports.ids.op()
    key = ids.parse_task_id(task_id) if task_id else None
    if key is not None and is_below(ports, ExecutionId(execution.namespace, key.workflow_id), execution):
        _require_ended(ports, execution, require_newest(ports, execution), "rerun")
        if workflow_input is not None or correlation_id is not None:
            raise InvalidInput("workflowInput and correlationId cannot be given with a task of a sub-workflow", task_id=task_id)
        rerun(ports, ExecutionId(execution.namespace, key.workflow_id), task_id=task_id, task_input=task_input, is_of_segment=True)
        return

    def make(newest: Record) -> Revival:
        _require_ended(ports, execution, newest, "rerun")
        if task_id and (key is None or key.workflow_id != execution.workflow_id):
            raise InvalidInput(f"Task {task_id} not found", task_id=task_id)
        return WorkflowRerun(
            op=op,
            place=TaskPlace(key.record, key.nth) if key else None,
            task_input=None if task_input is None else dict(task_input),
            input=None if workflow_input is None else dict(workflow_input),
            correlation_id=correlation_id,
        )

    operate(ports, execution, with_parents(ports, execution, make), is_of_segment=is_of_segment)


def _require_ended(ports: Ports, execution: ExecutionId, newest: Record, what: str) -> None:
    if not newest.head.status.is_terminal:
        shown = _shown(ports, execution, newest)
        raise OperationRefused(f"Workflow: {shown} is not in terminal state, unable to {what}.", workflow_id=execution.workflow_id)


def _shown(ports: Ports, execution: ExecutionId, newest: Record) -> str:
    """As Conductor prints an execution."""
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    return f"{graph.name}.{graph.version}/{execution.workflow_id}.{newest.head.status.value}"


# --- tasks and variables


def skip(ports: Ports, execution: ExecutionId, ref: str) -> None:
    """The flow will step over the task of that reference name. Raises OperationRefused unless it is still ahead, TaskNotFound when the
    definition has none of that name."""
    event = TaskSkipped(op=ports.ids.op(), ref=ref)

    def make(newest: Record) -> Event | None:
        head = newest.head
        if head.status is not WorkflowStatus.RUNNING:
            text = f"The workflow {execution.workflow_id} is not running so the task referenced by {ref} cannot be skipped"
            raise OperationRefused(text, workflow_id=execution.workflow_id)
        graph = graph_of(ports, execution.namespace, head.definition)
        if ref not in graph.nodes:
            raise TaskNotFound(f"The task referenced by {ref} does not exist in the WorkflowDefinition {graph.name}")
        if ref in head.open or ref in head.ended or ref in head.skipped or _has_been(ports, execution, newest, ref):
            raise OperationRefused(f"The task referenced {ref} has already been processed, cannot be skipped")
        return event

    operate(ports, execution, make)


def _has_been(ports: Ports, execution: ExecutionId, newest: Record, ref: str) -> bool:
    """Whether the present view has a task of that reference name. Of long executions this reads much; a skip is rare."""
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    tasks: dict[int, TaskExecution] = {}
    for record in ports.journal.scan(execution):
        fold_tasks(tasks, record, execution, graph)
    return any(task.ref == ref for task in tasks.values())


def update_variables(
    ports: Ports, execution: ExecutionId, variables: Mapping[str, Any], *, is_appending: bool = False, once: Once | None = None
) -> None:
    """Sets those of the workflow's variables; the others stay. A list is put behind the list that is there (``is_appending``). Raises
    OperationRefused for an ended execution."""
    op = once.op if once else ports.ids.op()

    def make(newest: Record) -> Event | None:
        _require_running(execution, newest)
        given = _appended(_variables(ports, execution, newest), variables) if is_appending else dict(variables)
        return VariablesUpdated(op=op, variables=given)

    operate(ports, execution, make, once)


def _variables(ports: Ports, execution: ExecutionId, newest: Record) -> Mapping[str, Any]:
    number = newest.head.variables_record
    if not number:
        found: Mapping[str, Any] = graph_of(ports, execution.namespace, newest.head.definition).definition["variables"]
        return found
    record = newest if number == newest.seq else read_records(ports, execution, [number])[number]
    return read_payload(ports, execution, record.variables) or {}


def _appended(present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(given)
    for name, value in given.items():
        old = present.get(name)
        if isinstance(old, list) and isinstance(value, list):
            found[name] = [*old, *value]
    return found


def reset_callbacks(ports: Ports, execution: ExecutionId) -> None:
    """Worker's tasks that wait to be called again are called at once. Raises OperationRefused for an ended execution."""
    event = CallbacksReset(op=ports.ids.op())

    def make(newest: Record) -> Event | None:
        _require_running(execution, newest)
        return event

    for segment, _newest in open_below(ports, execution, operate(ports, execution, make)):
        operate(ports, segment, lambda newest: None if newest.head.status.is_terminal else event, is_of_segment=True)


def _require_running(execution: ExecutionId, newest: Record) -> None:
    status = newest.head.status
    if status.is_terminal:
        raise OperationRefused(f"Workflow is in terminal state. Status = {status.value}", workflow_id=execution.workflow_id)
