"""Whom a log line is about: the same keys in every line of every function. They stand where they are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batuta_core.model.names import ExecutionId

NAMESPACE = "namespace"
WORKFLOW_ID = "workflow_id"
TASK_ID = "task_id"
# Of several the line has lists: of executions as ``namespace#workflow_id``, and of task ids, each of which holds its execution's.
EXECUTIONS = "executions"
TASK_IDS = "task_ids"


def facts_of(executions: Iterable[ExecutionId], task_ids: Iterable[str] = ()) -> dict[str, Any]:
    """Each once, in their order."""
    return {**_of_executions(list(dict.fromkeys(executions))), **_of_tasks(list(dict.fromkeys(task_ids)))}


def _of_executions(found: list[ExecutionId]) -> dict[str, Any]:
    if len(found) == 1:
        return {NAMESPACE: found[0].namespace, WORKFLOW_ID: found[0].workflow_id}
    return {EXECUTIONS: [str(execution) for execution in found]} if found else {}


def _of_tasks(found: list[str]) -> dict[str, Any]:
    if len(found) == 1:
        return {TASK_ID: found[0]}
    return {TASK_IDS: found} if found else {}
