"""Batuta for Python: workers that take tasks from SQS, and clients that start and follow workflows.

The names here are the public ones; everything else is private. Each is imported when it is first used, so that a worker
does not pay for the client, a client not for the worker, and nobody for boto3 before it connects.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batuta.binding import WholeInput
    from batuta.client import AsyncClient, Client
    from batuta.context import TaskContext, current_task
    from batuta.http import NoAnswer
    from batuta.outcomes import Fatal, InProgress, RetryLater
    from batuta.results import DefinitionVersion, Execution, ExecutionStatus, ExecutionSummary, Page, Task, TaskLogLine
    from batuta.retry import Exponential, Fixed, Linear
    from batuta.settings import SettingsError
    from batuta.task_function import task
    from batuta.waiting import WaitTimeout
    from batuta.worker.health import Health
    from batuta.worker.worker import Worker
    from batuta_core.model.error import (
        BatutaError,
        DefinitionExists,
        ExecutionExists,
        ExecutionTooLarge,
        InvalidInput,
        OperationRefused,
        PayloadTooLarge,
        Problem,
        TaskDefinitionNotFound,
        TaskNotFound,
        Unavailable,
        WorkflowDefinitionNotFound,
        WorkflowNotFound,
    )
    from batuta_core.model.execution import TaskStatus, WorkflowStatus

_MODULES = {
    "batuta.binding": ("WholeInput",),
    "batuta.client": ("AsyncClient", "Client"),
    "batuta.context": ("TaskContext", "current_task"),
    "batuta.http": ("NoAnswer",),
    "batuta.outcomes": ("Fatal", "InProgress", "RetryLater"),
    "batuta.results": ("DefinitionVersion", "Execution", "ExecutionStatus", "ExecutionSummary", "Page", "Task", "TaskLogLine"),
    "batuta.retry": ("Exponential", "Fixed", "Linear"),
    "batuta.settings": ("SettingsError",),
    "batuta.task_function": ("task",),
    "batuta.waiting": ("WaitTimeout",),
    "batuta.worker.health": ("Health",),
    "batuta.worker.worker": ("Worker",),
    "batuta_core.model.error": (
        "BatutaError", "DefinitionExists", "ExecutionExists", "ExecutionTooLarge", "InvalidInput", "OperationRefused", "PayloadTooLarge",
        "Problem", "TaskDefinitionNotFound", "TaskNotFound", "Unavailable",
        "WorkflowDefinitionNotFound", "WorkflowNotFound",
    ),
    "batuta_core.model.execution": ("TaskStatus", "WorkflowStatus"),
}  # fmt: skip

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncClient", "BatutaError", "Client", "DefinitionExists", "DefinitionVersion", "Execution", "ExecutionExists",
    "ExecutionStatus", "ExecutionSummary", "ExecutionTooLarge", "Exponential", "Fatal", "Fixed", "Health", "InProgress",
    "InvalidInput", "Linear", "NoAnswer", "OperationRefused", "Page", "PayloadTooLarge", "Problem", "RetryLater", "SettingsError",
    "Task", "TaskContext", "TaskDefinitionNotFound", "TaskLogLine", "TaskNotFound", "TaskStatus", "Unavailable",
    "WaitTimeout", "WholeInput", "Worker", "WorkflowDefinitionNotFound", "WorkflowNotFound", "WorkflowStatus",
    "current_task", "task",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'batuta' has no attribute {name!r}")
    found = getattr(importlib.import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
