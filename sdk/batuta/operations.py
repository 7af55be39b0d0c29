"""The calls that operate on executions: pause, resume, retry, restart, rerun and their like; each described once, as in ``calls.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batuta.http import Call, Response, read_json, read_nothing, read_text
from batuta.results import BulkResult
from batuta.serializer import to_output


def pause(workflow_id: str) -> Call[None]:
    """Nothing is scheduled any more until ``resume``; what workers report is kept. Raises WorkflowNotFound, and OperationRefused when
    the execution has ended."""
    return Call(method="PUT", path=("workflow", workflow_id, "pause"), read=read_nothing, is_repeatable=True)


def resume(workflow_id: str) -> Call[None]:
    """Goes on with what came due in the pause. Raises WorkflowNotFound, and OperationRefused unless the execution is paused."""
    return Call(method="PUT", path=("workflow", workflow_id, "resume"), read=read_nothing)


def retry(workflow_id: str) -> Call[None]:
    """Another attempt for each task whose last one ended badly. Raises WorkflowNotFound, NotEndedYet, and OperationRefused when there
    is no such task."""
    return Call(method="POST", path=("workflow", workflow_id, "retry"), read=read_nothing)


def restart(workflow_id: str, *, is_latest: bool = False) -> Call[None]:
    """Begins again from the first task with the same input; ``is_latest``: under the latest definition of its name. Raises
    WorkflowNotFound, OperationRefused for one that has not ended, NotRestartable, WorkflowDefinitionNotFound."""
    query = {"useLatestDefinitions": True if is_latest else None}
    return Call(method="POST", path=("workflow", workflow_id, "restart"), query=query, read=read_nothing)


def rerun(
    workflow_id: str,
    *,
    from_task_id: str | None = None,
    task_input: Any = None,
    workflow_input: Any = None,
    correlation_id: str | None = None,
) -> Call[str]:
    """Runs again from a task, which keeps its id, or from the first one; what is not given stays as it is. Answers the id. Raises
    WorkflowNotFound, OperationRefused for an execution that has not ended, InvalidInput for a task that it does not have."""
    body = {
        "reRunFromTaskId": from_task_id,
        "taskInput": None if task_input is None else to_output(task_input),
        "workflowInput": None if workflow_input is None else to_output(workflow_input),
        "correlationId": correlation_id,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return Call(method="POST", path=("workflow", workflow_id, "rerun"), body=body, read=read_text)


def skip_task(workflow_id: str, ref: str) -> Call[None]:
    """The flow will step over that task. Raises WorkflowNotFound, TaskNotFound, and OperationRefused when the task is not ahead."""
    return Call(method="PUT", path=("workflow", workflow_id, "skiptask", ref), read=read_nothing)


def update_variables(workflow_id: str, variables: Mapping[str, Any]) -> Call[None]:
    """Sets these variables; the others stay. Raises WorkflowNotFound, OperationRefused for an ended execution, PayloadTooLarge."""
    return Call(
        method="POST", path=("workflow", workflow_id, "variables"), body=to_output(variables), read=read_nothing, is_repeatable=True
    )


def reset_callbacks(workflow_id: str) -> Call[None]:
    """Tasks that asked to be called again later are called at once. Raises WorkflowNotFound, and OperationRefused for an ended one."""
    return Call(method="POST", path=("workflow", workflow_id, "resetcallbacks"), read=read_nothing)


# --- many executions, up to 1,000 in one call


def pause_all(workflow_ids: Sequence[str]) -> Call[BulkResult]:
    """As ``pause``, of each."""
    return _bulk("PUT", "pause", workflow_ids)


def resume_all(workflow_ids: Sequence[str]) -> Call[BulkResult]:
    """As ``resume``, of each."""
    return _bulk("PUT", "resume", workflow_ids)


def retry_all(workflow_ids: Sequence[str]) -> Call[BulkResult]:
    """As ``retry``, of each."""
    return _bulk("POST", "retry", workflow_ids)


def restart_all(workflow_ids: Sequence[str], *, is_latest: bool = False) -> Call[BulkResult]:
    """As ``restart``, of each."""
    return _bulk("POST", "restart", workflow_ids, {"useLatestDefinitions": True if is_latest else None})


def terminate_all(workflow_ids: Sequence[str], reason: str | None = None) -> Call[BulkResult]:
    """As ``terminate``, of each."""
    return _bulk("POST", "terminate", workflow_ids, {"reason": reason})


def delete_all(workflow_ids: Sequence[str]) -> Call[BulkResult]:
    """As ``delete``, of each."""
    return _bulk("DELETE", "remove", workflow_ids, {"archiveWorkflow": False})


def _bulk(method: str, name: str, workflow_ids: Sequence[str], query: Mapping[str, Any] | None = None) -> Call[BulkResult]:
    def read(answer: Response) -> BulkResult:
        return BulkResult.from_dict(read_json(answer))

    return Call(method=method, path=("workflow", "bulk", name), query=query or {}, body=list(workflow_ids), read=read)
