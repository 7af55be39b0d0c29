"""The start of a failure workflow: its input holds the failed execution whole."""

from __future__ import annotations

from typing import Any

from batuta_core.decider.outcome import FAILURE_WORKFLOW_KEY
from batuta_core.decider.view import started_event
from batuta_core.engine import wire
from batuta_core.engine.fetch import dump_json, graph_of, read_payload
from batuta_core.engine.fold import fold
from batuta_core.engine.ports import Ports
from batuta_core.model.command import StartFailureWorkflow
from batuta_core.model.error import WorkflowNotFound
from batuta_core.model.event import WorkflowStarted
from batuta_core.model.message import RESULT_OUTPUT_MAX_BYTES
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import Assembled, PayloadRef, without_parts
from batuta_core.model.record import Record

# Payloads of the failed execution that lie outside its records come along up to this size together; larger ones are named
# only, as Conductor names external payloads, and can be read from the failed execution itself.
_LOADED_MAX_BYTES = 2 * 1024 * 1024


def started_by_failure(
    ports: Ports, execution: ExecutionId, newest: Record, command: StartFailureWorkflow, child: ExecutionId
) -> WorkflowStarted | None:
    """The first event of the failure workflow. None when the failed execution was purged since, in part or wholly, which is done
    after the failure workflow was sent off."""
    try:
        return _started(ports, execution, newest, command, child)
    except WorkflowNotFound:
        return None


def _started(
    ports: Ports, execution: ExecutionId, newest: Record, command: StartFailureWorkflow, child: ExecutionId
) -> WorkflowStarted | None:
    graph = graph_of(ports, execution.namespace, newest.head.definition)
    records = [record for record in ports.journal.scan(execution) if record.seq <= newest.seq]  # not what a retry made of it since
    if not records or records[0].seq != 1:
        return None
    failed = fold(execution, records, graph)
    budget = [_LOADED_MAX_BYTES]

    def resolve(value: Any) -> Any:
        if isinstance(value, PayloadRef):
            if value.size_bytes > budget[0]:
                return {"externalPayloadStoragePath": value.key}
            budget[0] -= value.size_bytes
        found = read_payload(ports, execution, value)
        return without_parts(found, lambda part: {"externalPayloadStoragePath": part.ref.key}) if type(found) is Assembled else found

    shown = wire.workflow_json(failed, graph, resolve)
    shown["output"] = {key: value for key, value in shown["output"].items() if key != FAILURE_WORKFLOW_KEY}
    about: dict[str, Any] = {"workflowId": execution.workflow_id, "reason": failed.reason, "failureStatus": failed.status.value}
    if command.failed_task_id:
        about["failureTaskId"] = command.failed_task_id
    started = started_event(records[0])
    child_input: Any = {**(resolve(started.input) or {}), **about, "failedWorkflow": shown}
    raw = dump_json(child_input)
    if len(raw) > RESULT_OUTPUT_MAX_BYTES:  # it would not fit into the message
        child_input = ports.payloads.put(child, raw)
    return WorkflowStarted(
        op=f"failure-{newest.seq}",
        definition=command.definition,
        name=command.name,
        version=command.version,
        input=child_input,
        correlation_id=started.correlation_id,
        task_to_domain=started.task_to_domain,
        trigger="FAILURE",
        failed_workflow_id=execution.workflow_id,
        retention_s=started.retention_s,
    )
