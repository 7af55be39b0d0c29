"""What the server answers, typed. ``data`` is the JSON as it came, with what has no field here. Times are epoch ms, 0 when unset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from batuta_core.model.execution import TaskStatus, WorkflowStatus

T = TypeVar("T")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt of a task."""

    task_id: str
    ref: str
    name: str
    task_type: str
    status: TaskStatus
    attempt: int
    number: int  # order of scheduling in the execution, from 1
    input: Json
    output: Json
    reason: str | None
    worker_id: str | None
    scheduled_ms: int
    started_ms: int
    updated_ms: int
    ended_ms: int
    data: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Task:
        return cls(
            task_id=data["taskId"],
            ref=data["referenceTaskName"],
            name=data.get("taskDefName", ""),
            task_type=data.get("taskType", ""),
            status=TaskStatus(data["status"]),
            attempt=data.get("retryCount", 0) + 1,
            number=data.get("seq", 0),
            input=data.get("inputData") or {},
            output=data.get("outputData") or {},
            reason=data.get("reasonForIncompletion"),
            worker_id=data.get("workerId"),
            scheduled_ms=data.get("scheduledTime", 0),
            started_ms=data.get("startTime", 0),
            updated_ms=data.get("updateTime", 0),
            ended_ms=data.get("endTime", 0),
            data=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A workflow execution. ``tasks`` is empty where it was read without them."""

    workflow_id: str
    name: str
    version: int
    status: WorkflowStatus
    input: Json
    output: Json
    variables: Json
    reason: str | None
    correlation_id: str | None
    created_ms: int
    updated_ms: int
    ended_ms: int
    tasks: tuple[Task, ...]
    data: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Execution:
        return cls(
            workflow_id=data["workflowId"],
            name=data.get("workflowName", ""),
            version=data.get("workflowVersion", 0),
            status=WorkflowStatus(data["status"]),
            input=data.get("input") or {},
            output=data.get("output") or {},
            variables=data.get("variables") or {},
            reason=data.get("reasonForIncompletion"),
            correlation_id=data.get("correlationId"),
            created_ms=data.get("createTime", 0),
            updated_ms=data.get("updateTime", 0),
            ended_ms=data.get("endTime", 0),
            tasks=tuple(Task.from_dict(task) for task in data.get("tasks") or ()),
            data=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStatus:
    """Where an execution stands. ``output`` and ``variables`` are empty unless they were asked for."""

    workflow_id: str
    status: WorkflowStatus
    correlation_id: str | None
    output: Json
    variables: Json

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExecutionStatus:
        return cls(
            workflow_id=data["workflowId"],
            status=WorkflowStatus(data["status"]),
            correlation_id=data.get("correlationId"),
            output=data.get("output") or {},
            variables=data.get("variables") or {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSummary:
    """What a list shows of an execution: from the search index, a second or so behind."""

    workflow_id: str
    name: str
    version: int
    status: WorkflowStatus
    reason: str | None
    correlation_id: str | None
    started_ms: int
    updated_ms: int
    ended_ms: int
    data: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExecutionSummary:
        return cls(
            workflow_id=data["workflowId"],
            name=data.get("workflowType", ""),
            version=data.get("version", 0),
            status=WorkflowStatus(data["status"]),
            reason=data.get("reasonForIncompletion"),
            correlation_id=data.get("correlationId"),
            started_ms=_epoch_ms(data.get("startTime")),
            updated_ms=_epoch_ms(data.get("updateTime")),
            ended_ms=_epoch_ms(data.get("endTime")),
            data=data,
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; ``total`` counts the whole."""

    items: tuple[T, ...]
    total: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> Page[T]:
        return cls(tuple(read(item) for item in data.get("results") or ()), data.get("totalHits", 0))


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Of an operation on many executions: the ids that it was done to, and by id why not."""

    done: tuple[str, ...]
    errors: Mapping[str, str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BulkResult:
        return cls(tuple(data.get("bulkSuccessfulResults") or ()), dict(data.get("bulkErrorResults") or {}))


@dataclass(frozen=True, slots=True)
class TaskLogLine:
    text: str
    at_ms: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskLogLine:
        return cls(str(data.get("log", "")), int(data.get("createdTime") or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionVersion:
    """A version of a workflow definition, without its tasks."""

    name: str
    version: int
    created_ms: int
    updated_ms: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DefinitionVersion:
        return cls(
            name=data["name"], version=data["version"], created_ms=data.get("createTime") or 0, updated_ms=data.get("updateTime") or 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server says of itself. ``endpoint`` is where its queues are; only a server on this machine names one."""

    stage: str
    region: str | None
    endpoint: str | None
    account: str | None
    version: str

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ServerInfo:
        return cls(
            stage=data["stage"],
            region=data.get("region") or None,
            endpoint=data.get("endpoint") or None,
            account=data.get("account") or None,
            version=str(data.get("version", "")),
        )


def _epoch_ms(text: str | None) -> int:
    """Of the ISO texts in summaries; Conductor writes epoch 0 for a time that is unset."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else 0
