"""Every call of the client, described once: its arguments, where it goes, and how its answer is read.

A function here becomes a method of ``Client`` and of ``AsyncClient`` with the same arguments and the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from batuta.external import EXTERNAL_MIN_BYTES
from batuta.http import Call, Response, read_json, read_nothing, read_text
from batuta.results import (
    DefinitionVersion,
    Execution,
    ExecutionStatus,
    ExecutionSummary,
    Json,
    Page,
    ServerInfo,
    Task,
    TaskLogLine,
)
from batuta.serializer import dump, size_bytes, to_json, to_output
from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.payload import EXTERNAL_MAX_BYTES, PAYLOAD_MAX_BYTES

IdempotencyStrategy = Literal["RETURN_EXISTING", "FAIL", "FAIL_ON_RUNNING"]

# Whoever gives a key wants the second start to be the first. The server's own default is FAIL, Conductor's, too.
IDEMPOTENCY_STRATEGY: IdempotencyStrategy = "RETURN_EXISTING"

PAGE_SIZE = 100  # of lists; the server allows 5,000 executions and answers at most 5 MB

_NOT_IN_QUERIES = ('"', "'", "(", ")", ",", "*", " AND ")  # search has no way to quote them


# --- the server


def server_info() -> Call[ServerInfo]:
    """What the server says of itself: stage, region, where its queues are."""
    return Call(method="GET", path=("batuta",), read=lambda answer: ServerInfo.from_dict(read_json(answer)), is_repeatable=True)


# --- workflow definitions


def register_workflow(definition: Mapping[str, Any], *, overwrite: bool = True) -> Call[None]:
    """Stores a workflow definition, in Conductor's JSON. Raises InvalidInput with all its problems, and DefinitionExists when the
    version is there and ``overwrite`` is False."""
    return Call(method="POST", path=("metadata", "workflow"), query={"overwrite": overwrite}, body=to_json(definition), read=read_nothing)


def register_workflows(definitions: Sequence[Mapping[str, Any]]) -> Call[None]:
    """Stores all of them over what is there, or none: InvalidInput holds the problems of all."""
    return Call(method="PUT", path=("metadata", "workflow"), body=to_json(list(definitions)), read=read_nothing)


def validate_workflow(definition: Mapping[str, Any]) -> Call[None]:
    """Stores nothing. Raises InvalidInput with all problems, each with its path."""
    return Call(method="POST", path=("metadata", "workflow", "validate"), body=to_json(definition), read=read_nothing)


def workflow_definition(name: str, version: int | None = None) -> Call[Json]:
    """The definition; of no ``version`` the latest. Raises WorkflowDefinitionNotFound."""
    return _get_json("metadata", "workflow", name, query={"version": version})


def workflow_definitions() -> Call[list[Json]]:
    """All versions of all workflow definitions of the namespace."""
    return _get_json("metadata", "workflow")


def latest_workflow_definitions() -> Call[list[Json]]:
    """The highest version of each workflow definition."""
    return _get_json("metadata", "workflow", "latest-versions")


def workflow_versions(name: str) -> Call[list[DefinitionVersion]]:
    """The versions of a workflow definition, the lowest first; none for a name that nobody registered."""

    def read(answer: Response) -> list[DefinitionVersion]:
        return [DefinitionVersion.from_dict(item) for item in read_json(answer) or ()]

    return Call(method="GET", path=("metadata", "workflow", name, "versions"), read=read, is_repeatable=True)


def delete_workflow_definition(name: str, version: int) -> Call[None]:
    """Executions that run are not affected. Raises WorkflowDefinitionNotFound."""
    return Call(method="DELETE", path=("metadata", "workflow", name, str(version)), read=read_nothing)


# --- task definitions


def register_tasks(definitions: Sequence[Mapping[str, Any]]) -> Call[None]:
    """Stores task definitions over what is there, all or none, and makes their queues. Raises InvalidInput."""
    return Call(method="POST", path=("metadata", "taskdefs"), body=to_json(list(definitions)), read=read_nothing)


def update_task_definition(definition: Mapping[str, Any]) -> Call[None]:
    """Replaces a task definition. Raises TaskDefinitionNotFound and InvalidInput."""
    return Call(method="PUT", path=("metadata", "taskdefs"), body=to_json(definition), read=read_nothing)


def task_definition(name: str) -> Call[Json]:
    """Raises TaskDefinitionNotFound."""
    return _get_json("metadata", "taskdefs", name)


def task_definitions() -> Call[list[Json]]:
    """All task definitions of the namespace."""
    return _get_json("metadata", "taskdefs")


def delete_task_definition(name: str) -> Call[None]:
    """Raises TaskDefinitionNotFound."""
    return Call(method="DELETE", path=("metadata", "taskdefs", name), read=read_nothing)


# --- executions


def start(
    name: str,
    input: Any = None,
    *,
    version: int | None = None,
    correlation_id: str | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
    idempotency_strategy: IdempotencyStrategy = IDEMPOTENCY_STRATEGY,
    priority: int = 0,
    definition: Mapping[str, Any] | None = None,
    task_to_domain: Mapping[str, str] | None = None,
) -> Call[str]:
    """Starts an execution of the latest or the given ``version``, or of ``definition`` inline, and answers its id.

    ``input`` is an object: a dict, a dataclass, a pydantic model. With an ``idempotency_key`` a repeat starts nothing more and
    answers as ``idempotency_strategy`` says, so the call is sent again when an answer fails to come; without one it never is.
    ``priority`` is 0 to 99. Raises WorkflowDefinitionNotFound, InvalidInput, ExecutionExists, PayloadTooLarge.
    """
    found, size = _measured(input, EXTERNAL_MAX_BYTES)
    body = _present(
        name=name,
        input=found,
        priority=priority,
        version=version,
        correlationId=correlation_id,
        requestId=request_id,
        idempotencyKey=idempotency_key,
        idempotencyStrategy=idempotency_strategy if idempotency_key else None,
        workflowDef=None if definition is None else to_json(definition),
        taskToDomain=None if task_to_domain is None else dict(task_to_domain),
    )
    return Call(
        method="POST",
        path=("workflow",),
        body=body,
        read=read_text,
        is_repeatable=bool(idempotency_key),
        uploaded="input" if size > EXTERNAL_MIN_BYTES else "",
    )


def get(workflow_id: str, *, has_tasks: bool = True) -> Call[Execution]:
    """The execution. Raises WorkflowNotFound, and ExecutionTooLarge when it passes 5 MB with its tasks, large payloads not counted:
    then read these in pages."""

    def read(answer: Response) -> Execution:
        return Execution.from_dict(read_json(answer))

    query = {"includeTasks": has_tasks}
    return Call(method="GET", path=("workflow", workflow_id), query=query, read=read, is_repeatable=True, is_external=True)


def status(workflow_id: str, *, has_output: bool = False, has_variables: bool = False) -> Call[ExecutionStatus]:
    """Where the execution stands: the cheapest way to ask. Raises WorkflowNotFound."""
    query = {"includeOutput": has_output, "includeVariables": has_variables}

    def read(answer: Response) -> ExecutionStatus:
        return ExecutionStatus.from_dict(read_json(answer))

    path = ("workflow", workflow_id, "status")
    return Call(method="GET", path=path, query=query, read=read, is_repeatable=True, is_external=has_output)


def tasks(workflow_id: str, *, statuses: Sequence[TaskStatus] = (), start: int = 0, size: int = PAGE_SIZE) -> Call[Page[Task]]:
    """A page of the execution's tasks in the order of their scheduling, those of ``statuses`` only if any are given."""
    query = {"start": start, "count": size, "status": [str(item) for item in statuses] or None}

    def read(answer: Response) -> Page[Task]:
        return Page.from_dict(read_json(answer), Task.from_dict)

    return Call(method="GET", path=("workflow", workflow_id, "tasks"), query=query, read=read, is_repeatable=True, is_external=True)


def executions(
    name: str | None = None, status: WorkflowStatus | None = None, *, start: int = 0, size: int = PAGE_SIZE
) -> Call[Page[ExecutionSummary]]:
    """A page of the executions of a workflow and a status, from the search index: a second or so behind."""
    for part in _NOT_IN_QUERIES:
        if name is not None and part in name:
            raise ValueError(f"executions cannot be listed by the name {name!r}: the search has no way to quote {part!r}")
    conditions = [f'workflowType="{name}"'] if name else []
    conditions += [f'status="{status}"'] if status else []
    query = {"query": " AND ".join(conditions) or None, "start": start, "size": size}

    def read(answer: Response) -> Page[ExecutionSummary]:
        return Page.from_dict(read_json(answer), ExecutionSummary.from_dict)

    return Call(method="GET", path=("workflow", "search"), query=query, read=read, is_repeatable=True)


def terminate(workflow_id: str, reason: str | None = None) -> Call[None]:
    """Ends the execution; one that was terminated before stays as it is. Raises WorkflowNotFound, and OperationRefused when it
    has completed."""
    return Call(method="DELETE", path=("workflow", workflow_id), query={"reason": reason}, read=read_nothing)


def delete(workflow_id: str) -> Call[None]:
    """Deletes the execution with all that it left, and ends it first if it runs. Raises WorkflowNotFound."""
    return Call(method="DELETE", path=("workflow", workflow_id, "remove"), query={"archiveWorkflow": False}, read=read_nothing)


# --- tasks


def task(task_id: str) -> Call[Task]:
    """Raises TaskNotFound."""

    def read(answer: Response) -> Task:
        return Task.from_dict(read_json(answer))

    return Call(method="GET", path=("tasks", task_id), read=read, is_repeatable=True, is_external=True)


def update_task(
    workflow_id: str,
    task_id: str,
    status: TaskStatus,
    output: Any = None,
    *,
    reason: str | None = None,
    worker_id: str | None = None,
    callback_after_s: int = 0,
    log: Sequence[str] = (),
) -> Call[None]:
    """Reports on a task as a worker does: ``output`` replaces what is there. Nothing happens to a task that has ended.

    Raises WorkflowNotFound and TaskNotFound.
    """
    found, size = _measured(output, EXTERNAL_MAX_BYTES)
    return report_task(
        _present(
            workflowInstanceId=workflow_id,
            taskId=task_id,
            status=str(status),
            outputData=found,
            callbackAfterSeconds=callback_after_s,
            logs=[{"log": line, "taskId": task_id} for line in log],
            reasonForIncompletion=reason,
            workerId=worker_id,
        ),
        output_bytes=size,
    )


def report_task(result: Mapping[str, Any], *, output_bytes: int = 0) -> Call[None]:
    """Conductor's TaskResult as it is, but for an output that is too large to be sent in it. Raises WorkflowNotFound and TaskNotFound."""
    uploaded = "outputData" if output_bytes > EXTERNAL_MIN_BYTES else ""
    return Call(method="POST", path=("tasks",), body=result, read=read_nothing, uploaded=uploaded)


def complete_task(workflow_id: str, task_id: str, output: Any = None) -> Call[None]:
    """``update_task`` with COMPLETED."""
    return update_task(workflow_id, task_id, TaskStatus.COMPLETED, output)


def fail_task(workflow_id: str, task_id: str, reason: str, output: Any = None, *, is_final: bool = False) -> Call[None]:
    """``update_task`` with FAILED; ``is_final``: whatever the retry policy says, there is no further attempt."""
    status = TaskStatus.FAILED_WITH_TERMINAL_ERROR if is_final else TaskStatus.FAILED
    return update_task(workflow_id, task_id, status, output, reason=reason)


def update_task_by_ref(
    workflow_id: str, ref: str, status: TaskStatus, output: Any = None, *, worker_id: str | None = None
) -> Call[str | None]:
    """Reports on the open task of that reference name and answers its id, None when there is none. ``output`` joins what is
    there. Raises WorkflowNotFound."""

    def read(answer: Response) -> str | None:
        return read_text(answer) or None

    path = ("tasks", workflow_id, ref, str(status))
    return Call(method="POST", path=path, query={"workerid": worker_id}, body=_payload(output), read=read)


def complete_task_by_ref(workflow_id: str, ref: str, output: Any = None) -> Call[str | None]:
    """``update_task_by_ref`` with COMPLETED."""
    return update_task_by_ref(workflow_id, ref, TaskStatus.COMPLETED, output)


def fail_task_by_ref(workflow_id: str, ref: str, output: Any = None, *, is_final: bool = False) -> Call[str | None]:
    """``update_task_by_ref`` with FAILED, or FAILED_WITH_TERMINAL_ERROR when it ``is_final``."""
    return update_task_by_ref(workflow_id, ref, TaskStatus.FAILED_WITH_TERMINAL_ERROR if is_final else TaskStatus.FAILED, output)


def signal(workflow_id: str, output: Any = None, status: TaskStatus = TaskStatus.COMPLETED) -> Call[None]:
    """Ends the first WAIT task that is open, whatever it waits for. Does nothing when none is. Raises WorkflowNotFound."""
    return Call(method="POST", path=("tasks", workflow_id, str(status), "signal"), body=_payload(output), read=read_nothing)


def task_log(task_id: str) -> Call[list[TaskLogLine]]:
    """The last lines of a task's log."""

    def read(answer: Response) -> list[TaskLogLine]:
        return [TaskLogLine.from_dict(item) for item in read_json(answer) or ()]

    return Call(method="GET", path=("tasks", task_id, "log"), read=read, is_repeatable=True)


def add_task_log(task_id: str, text: str) -> Call[None]:
    """Adds a line to a task's log. Raises TaskNotFound."""
    return Call(method="POST", path=("tasks", task_id, "log"), text=text, read=read_nothing)


# --- inside


def _get_json(*path: str, query: Mapping[str, Any] | None = None) -> Call[Any]:
    return Call(method="GET", path=path, query=query or {}, read=read_json, is_repeatable=True)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _payload(value: Any) -> dict[str, Any]:
    """An object, checked here: what the server would refuse is not sent."""
    return _measured(value, PAYLOAD_MAX_BYTES)[0]


def _measured(value: Any, max_bytes: int) -> tuple[dict[str, Any], int]:
    found = to_output(value)
    size = size_bytes(dump(found))
    if size > max_bytes:
        raise PayloadTooLarge(f"the payload has {size} bytes, the limit is {max_bytes}", size_bytes=size)
    return found, size
