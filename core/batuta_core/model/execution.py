"""Statuses, and an execution as it looks when its journal is folded: what the API shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from batuta_core.model.frozen import dataclass


class WorkflowStatus(StrEnum):
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    TERMINATED = "TERMINATED"
    REMOVED = "REMOVED"  # ours: a tombstone, answered like an unknown execution

    @property
    def is_terminal(self) -> bool:
        return self not in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)


class TaskStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"

    @property
    def is_terminal(self) -> bool:
        return self not in (TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS)

    @property
    def is_successful(self) -> bool:
        return self in (TaskStatus.COMPLETED, TaskStatus.COMPLETED_WITH_ERRORS, TaskStatus.SKIPPED)

    @property
    def is_retriable(self) -> bool:
        return self in (TaskStatus.FAILED, TaskStatus.TIMED_OUT)


# What a worker or a user may report of a task (Conductor's TaskResult.Status).
REPORTED_STATUSES = frozenset(
    {TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.CANCELED}
)

REASON_MAX_CHARS = 500  # Conductor cuts TaskResult.reasonForIncompletion there


@dataclass(slots=True, kw_only=True)
class TaskExecution:
    """One attempt of a task, folded. Times are epoch ms, 0 when unset."""

    number: int  # order of scheduling in the execution, from 1: Conductor's seq
    task_id: str
    ref: str
    task_type: str
    name: str
    status: TaskStatus
    attempt: int = 1
    iteration: int = 0
    input: Any = None
    output: Any = None
    reason: str | None = None
    scheduled_ms: int = 0
    first_scheduled_ms: int = 0
    started_ms: int = 0
    updated_ms: int = 0
    ended_ms: int = 0
    start_delay_s: int = 0
    callback_after_s: int = 0
    poll_count: int = 0
    worker_id: str | None = None
    domain: str | None = None
    retried_task_id: str | None = None
    is_retried: bool = False
    is_decided: bool = False  # Conductor's "executed": what follows it has been decided
    rerun: int = 0  # the record of the rerun that made it begin anew
    logs: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def plain_ref(self) -> str:
        """The reference name without the number of the iteration."""
        return self.ref.removesuffix(f"__{self.iteration}") if self.iteration else self.ref


@dataclass(slots=True, kw_only=True)
class WorkflowExecution:
    """A whole execution, folded. Times are epoch ms, 0 when unset."""

    namespace: str
    workflow_id: str
    definition: str  # content hash
    name: str
    version: int
    status: WorkflowStatus
    created_ms: int
    updated_ms: int = 0
    ended_ms: int = 0
    last_retried_ms: int = 0
    input: Any = None
    output: Any = None
    variables: Any = None
    reason: str | None = None
    correlation_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    created_by: str | None = None
    event: str | None = None
    priority: int = 0
    task_to_domain: Mapping[str, str] = field(default_factory=dict)
    root: str = ""  # of a segment: the execution that users know
    parent_workflow_id: str | None = None
    parent_task_id: str | None = None
    failed_refs: list[str] = field(default_factory=list)
    failed_names: list[str] = field(default_factory=list)
    tasks: list[TaskExecution] = field(default_factory=list)
    segments: list[TaskExecution] = field(default_factory=list)  # internal ones that stand for segments of wide forks

    @property
    def shown_id(self) -> str:
        """What users know it by."""
        return self.root or self.workflow_id
