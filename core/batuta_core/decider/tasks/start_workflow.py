"""START_WORKFLOW: starts another workflow and goes on once that has begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.decider.lives import child_id
from batuta_core.decider.tasks.starting import PRIORITY_MAX, Request, StartingTask, Unreadable, whole_number
from batuta_core.model import ids
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import OpenTask

_TEXTS = ("name", "correlationId", "idempotencyKey", "createdBy")
_MAPS = ("input", "taskToDomain", "workflowDef")


class StartWorkflow(StartingTask):
    name = "START_WORKFLOW"

    def request(self, task_input: Mapping[str, Any]) -> Request:
        given = task_input.get("startWorkflow")
        if given is None:
            raise Unreadable("Missing 'startWorkflow' in input data.")
        if not isinstance(given, dict):
            raise Unreadable("Error reading StartWorkflowRequest. It must be a JSON object.")
        for keys, kind, what in ((_TEXTS, str, "text"), (_MAPS, dict, "a JSON object")):
            for key in keys:
                if not isinstance(given.get(key), kind | None):
                    raise Unreadable(f"Error reading StartWorkflowRequest. {key} must be {what}.")
        numbers: dict[str, int | None] = {}
        for key in ("version", "priority"):
            numbers[key] = None if given.get(key) is None else whole_number(given[key])
            if given.get(key) is not None and numbers[key] is None:
                raise Unreadable(f"Error reading StartWorkflowRequest. {key} must be a whole number.")
        priority = numbers["priority"] or 0
        _validate(given.get("name"), priority)
        domains = given.get("taskToDomain")
        return Request(
            definition=given.get("workflowDef"),
            name=given["name"],
            version=numbers["version"],
            input=given.get("input") or {},
            correlation_id=(given.get("correlationId") or "").strip() or None,
            task_to_domain={str(key): str(value) for key, value in domains.items()} if domains else None,
            priority=priority,
            idempotency_key=given.get("idempotencyKey") or None,
            created_by=given.get("createdBy") or None,
        )

    def started_id(self, execution: ExecutionId, task: OpenTask, name: str, request: Request) -> str:
        """Of a key that was used before it is the execution that has it, whoever started that: nothing is started then."""
        if request.idempotency_key:
            return ids.workflow_id_of_key(execution.namespace, name, request.idempotency_key)
        return child_id(execution.workflow_id, task.place)


def _validate(name: str | None, priority: int) -> None:
    """Raises Unreadable in the words of Conductor's validation."""
    texts = []
    if not name:
        texts.append("'name' -> Workflow name cannot be null or empty. ")
    if not 0 <= priority <= PRIORITY_MAX:
        bound = "minimum 0" if priority < 0 else f"maximum {PRIORITY_MAX}"
        texts.append(f"'priority' -> priority: {priority} should be {bound}. ")
    if texts:
        raise Unreadable(f"startWorkflow validation failed. {''.join(texts)}")
