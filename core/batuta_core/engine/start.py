"""Starting an execution: define, decide, guard, commit, dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from batuta_core.decider.known import DefinitionName
from batuta_core.engine import timers
from batuta_core.engine.catalog import JavascriptCheck, check_workflow, freeze, make_queues, require_runnable, worker_types
from batuta_core.engine.dispatch import dispatch
from batuta_core.engine.external import taken_in
from batuta_core.engine.fetch import decide_with, dump_json, spill
from batuta_core.engine.ports import Ports, Refused
from batuta_core.model import ids
from batuta_core.model.error import ExecutionExists, InvalidInput, PayloadTooLarge, Problem, Unavailable
from batuta_core.model.event import WorkflowStarted
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from batuta_core.model.record import Record, guarded

PRIORITY_MAX = 99  # Conductor's range is 0 to 99


class IdempotencyStrategy(StrEnum):
    """What a second start with the same idempotency key gets."""

    FAIL = "FAIL"
    RETURN_EXISTING = "RETURN_EXISTING"
    FAIL_ON_RUNNING = "FAIL_ON_RUNNING"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """``definition`` inline, or ``name`` and ``version`` (None: latest)."""

    namespace: str
    name: str
    version: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    external_input: str | None = None  # the path that it was uploaded to, in place of ``input``
    definition: Any = None
    correlation_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: IdempotencyStrategy = IdempotencyStrategy.FAIL
    priority: int = 0
    task_to_domain: Mapping[str, str] = field(default_factory=dict)
    created_by: str | None = None


def start(request: StartRequest, ports: Ports, is_javascript: JavascriptCheck) -> str:
    """The id of the new execution, whose first tasks are on their queues. With an idempotency key a repeat gives the id of
    the first start, or ExecutionExists, as the strategy says."""
    _check(request)
    content_hash, name, version = _definition(request, ports, is_javascript)
    workflow_id, existing = _new_id(request, name, ports)
    if existing is not None:
        return _existing(request, workflow_id)
    event = WorkflowStarted(
        op=ports.ids.op(),
        definition=content_hash,
        name=name,
        version=version,
        input=_input(request, workflow_id, ports),
        correlation_id=request.correlation_id,
        request_id=request.request_id,
        idempotency_key=request.idempotency_key,
        created_by=request.created_by,
        priority=request.priority,
        task_to_domain=request.task_to_domain,
        retention_s=ports.retention_s,
    )
    is_begun = _begin(ExecutionId(request.namespace, workflow_id), event, ports)
    return workflow_id if is_begun else _existing(request, workflow_id)


def _input(request: StartRequest, workflow_id: str, ports: Ports) -> Any:
    if request.external_input is None:
        return dict(request.input)
    return taken_in(ports, ExecutionId(request.namespace, workflow_id), request.external_input, "the input")


def _new_id(request: StartRequest, name: str, ports: Ports) -> tuple[str, Record | None]:
    """An id for the execution, and where that stands if it exists. A key is free again when its execution was removed, and
    for FAIL_ON_RUNNING when it has ended."""
    if not request.idempotency_key:
        return ports.ids.workflow_id(), None
    generation = 0
    while True:
        workflow_id = ids.workflow_id_of_key(request.namespace, name, request.idempotency_key, generation)
        existing = ports.journal.newest(ExecutionId(request.namespace, workflow_id))
        is_free = existing is not None and (
            existing.head.status is WorkflowStatus.REMOVED
            or (request.idempotency_strategy is IdempotencyStrategy.FAIL_ON_RUNNING and existing.head.status.is_terminal)
        )
        if not is_free:
            return workflow_id, existing
        generation += 1


def _begin(execution: ExecutionId, event: WorkflowStarted, ports: Ports) -> bool:
    """Writes record 1. False when somebody else's is there; one's own, from a write whose reply was lost, counts as written."""
    began_ms = ports.clock.now_ms()
    record = decide_with(ports, execution, None, [event]).record
    if record is None:
        raise RuntimeError(f"{execution}: a start that decides nothing")
    record, raw = spill(ports, execution, guarded(record))
    timers.send_guard(ports, execution, record.seq)
    if ports.clock.now_ms() - began_ms > timers.WRITER_LIFE_MS:
        raise Unavailable("the start took longer than its guard waits; nothing was started")
    try:
        ports.journal.append(execution, record, raw)
    except Refused as refused:
        first = refused.existing.events[0]
        if not isinstance(first, WorkflowStarted) or first.op != event.op:
            return False
    dispatch(ports, execution, record, record.commands, is_guarded=True)
    return True


def _existing(request: StartRequest, workflow_id: str) -> str:
    if request.idempotency_strategy is IdempotencyStrategy.RETURN_EXISTING:
        return workflow_id
    raise ExecutionExists(f"the idempotency key is taken by execution {workflow_id}", workflow_id=workflow_id)


def _definition(request: StartRequest, ports: Ports, is_javascript: JavascriptCheck) -> tuple[str, str, int]:
    if request.definition is None:
        found = ports.catalog.require(ports, request.namespace, DefinitionName(request.name, request.version))
    else:
        inline = check_workflow(ports, request.namespace, request.definition, is_javascript, "workflowDef")
        require_runnable(inline["tasks"])
        make_queues(ports, request.namespace, worker_types(inline))
        found = freeze(ports, request.namespace, inline)
    return found.hash, found.name, found.version


def _check(request: StartRequest) -> None:
    problems = []
    if not request.name:
        problems.append(Problem("name", "Workflow name cannot be null or empty"))
    if not 0 <= request.priority <= PRIORITY_MAX:
        bound = "should be minimum 0" if request.priority < 0 else f"should be maximum {PRIORITY_MAX}"
        problems.append(Problem("priority", f"priority: {request.priority} {bound}", str(request.priority)))
    if problems:
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
    size = len(dump_json(request.input))
    if size > PAYLOAD_MAX_BYTES:
        raise PayloadTooLarge(f"the input has {size} bytes, the limit is {PAYLOAD_MAX_BYTES}", size_bytes=size)
