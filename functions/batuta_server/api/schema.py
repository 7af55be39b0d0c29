"""The bodies of requests, as pydantic models: what strangers send is looked at here. Definitions have a reader of their
own in the core, since the decider reads them, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from batuta_core.engine.operate import TaskReport
from batuta_core.engine.start import IdempotencyStrategy, StartRequest
from batuta_core.model.error import InvalidInput, Problem
from batuta_core.model.execution import REPORTED_STATUSES, TaskStatus


def _text(value: Any) -> Any:
    """Conductor's clients send numbers and booleans where a text is meant; a text of any other type is an error."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _reason(value: Any) -> Any:
    """The Python SDK sends the first argument of an exception, whatever its type."""
    return value if value is None or isinstance(value, str) else str(value)


Text = Annotated[str | None, BeforeValidator(_text)]
Payload = dict[str, Any] | None
Version = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]  # Conductor's int, and what the keys of definitions hold


class Body(BaseModel):
    """Unknown fields are ignored, as Jackson is told to in Conductor."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


BodyT = TypeVar("BodyT", bound=Body)


class StartWorkflowBody(Body):
    name: Text = None
    version: Version | None = None
    correlation_id: Text = Field(None, alias="correlationId")
    input: Payload = Field(default_factory=dict)
    task_to_domain: dict[str, str] | None = Field(None, alias="taskToDomain")
    workflow_def: Any = Field(None, alias="workflowDef")
    priority: int | None = None
    created_by: Text = Field(None, alias="createdBy")
    request_id: Text = Field(None, alias="requestId")
    idempotency_key: Text = Field(None, alias="idempotencyKey")
    idempotency_strategy: IdempotencyStrategy | None = Field(None, alias="idempotencyStrategy")
    external_input: Text = Field(None, alias="externalInputPayloadStoragePath")

    def to_request(self, namespace: str) -> StartRequest:
        if self.input is None and not self.external_input:
            raise InvalidInput("NULL input passed when starting workflow")
        inline_name = self.workflow_def.get("name") if isinstance(self.workflow_def, Mapping) else None
        return StartRequest(
            namespace=namespace,
            name=self.name or (str(inline_name) if inline_name else ""),
            version=self.version,
            input=self.input or {},
            external_input=self.external_input or None,
            definition=self.workflow_def,
            correlation_id=self.correlation_id,
            request_id=self.request_id,
            idempotency_key=self.idempotency_key,
            idempotency_strategy=self.idempotency_strategy or IdempotencyStrategy.FAIL,
            priority=self.priority or 0,
            task_to_domain=self.task_to_domain or {},
            created_by=self.created_by,
        )


class TaskMockBody(Body):
    status: TaskStatus | None = TaskStatus.COMPLETED
    output: Payload = None

    def to_report(self) -> TaskReport:
        if self.status not in REPORTED_STATUSES:
            raise InvalidInput(f"A mock's status must be one of {', '.join(sorted(REPORTED_STATUSES))}, not {self.status}.")
        return TaskReport(status=self.status, output=self.output or {})


class WorkflowTestBody(StartWorkflowBody):
    """``executionTime`` and ``queueWaitTime`` of a mock are ignored: no time passes."""

    mocks: dict[str, list[TaskMockBody]] | None = Field(None, alias="taskRefToMockOutput")
    children: dict[str, WorkflowTestBody] | None = Field(None, alias="subWorkflowTestRequest")


class RerunBody(Body):
    """Without a task's id it runs again from the start. ``reRunFromWorkflowId`` says what the path says."""

    task_id: Text = Field(None, alias="reRunFromTaskId")
    task_input: Payload = Field(None, alias="taskInput")
    workflow_input: Payload = Field(None, alias="workflowInput")
    correlation_id: Text = Field(None, alias="correlationId")


class LogBody(Body):
    log: Text = ""
    created_time: int | None = Field(None, alias="createdTime")


class TaskResultBody(Body):
    workflow_instance_id: Text = Field(None, alias="workflowInstanceId")
    task_id: Text = Field(None, alias="taskId")
    status: TaskStatus | None = None
    output_data: Payload = Field(None, alias="outputData")
    reason: Annotated[str | None, BeforeValidator(_reason)] = Field(None, alias="reasonForIncompletion")
    callback_after_s: int | None = Field(0, alias="callbackAfterSeconds", ge=0, le=10 * 365 * 24 * 3600)
    worker_id: Text = Field(None, alias="workerId")
    logs: list[LogBody] | None = None
    extend_lease: bool | None = Field(False, alias="extendLease")
    external_output: Text = Field(None, alias="externalOutputPayloadStoragePath")

    def to_report(self) -> TaskReport:
        problems = []
        if not self.workflow_instance_id:
            problems.append(Problem("workflowInstanceId", "Workflow Id cannot be null or empty"))
        if not self.task_id:
            problems.append(Problem("taskId", "Task ID cannot be null or empty"))
        is_reportable = self.extend_lease or self.status in REPORTED_STATUSES
        if not is_reportable:
            problems.append(Problem("status", f"must be one of {', '.join(sorted(REPORTED_STATUSES))}", str(self.status)))
        if problems:
            raise InvalidInput("Validation failed, check below errors for detail.", problems=problems)
        return TaskReport(
            status=self.status or TaskStatus.IN_PROGRESS,
            output=self.output_data or {},
            reason=self.reason,
            worker_id=self.worker_id,
            callback_after_s=self.callback_after_s or 0,
            logs=[{"log": line.log or "", "createdTime": line.created_time or 0} for line in self.logs or ()],
            is_lease_extended=bool(self.extend_lease),
            external_output=self.external_output or None,
        )


def reported_status(text: str) -> TaskStatus:
    """A status in a path. Raises InvalidInput for one that cannot be reported."""
    if text not in REPORTED_STATUSES:
        raise InvalidInput(f"'{text[:64]}' is not a status that a task can be given: {', '.join(sorted(REPORTED_STATUSES))}.")
    return TaskStatus(text)


def read_body(model: type[BodyT], data: Any) -> BodyT:
    """``data`` as ``model``. Raises InvalidInput with all problems, each with its path."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [
            Problem(_path(fault["loc"]), fault["msg"], None if isinstance(fault["input"], dict | list) else str(fault["input"])[:64])
            for fault in error.errors(include_url=False, include_context=False)
        ]
        raise InvalidInput("Validation failed, check below errors for detail.", problems=problems) from error


def _path(places: tuple[int | str, ...]) -> str:
    text = ""
    for place in places:
        text += f"[{place}]" if isinstance(place, int) else f".{place}" if text else place
    return text
