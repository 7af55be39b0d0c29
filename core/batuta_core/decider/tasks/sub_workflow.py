"""SUB_WORKFLOW: runs another workflow as a child and waits for its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider import lives
from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.starting import PRIORITY_MAX, Request, StartingTask, Unreadable, whole_number
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.error import Problem
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import OpenTask

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step

# Conductor's names in the task's input, after those of subWorkflowParam.
_INPUT_NAMES = {
    "subWorkflowName": "name",
    "subWorkflowVersion": "version",
    "subWorkflowDefinition": "workflowDefinition",
    "subWorkflowTaskToDomain": "taskToDomain",
    "priority": "priority",
    "idempotencyKey": "idempotencyKey",
    "idempotencyStrategy": "idempotencyStrategy",
}
_INLINE_MARK = {"_systemMetadata": {"dynamic": True}}  # Conductor's, in the input of an execution whose definition is its own
CHILD_ID = "subWorkflowId"  # in the task's output


class SubWorkflow(StartingTask):
    name = "SUB_WORKFLOW"
    is_limited = True
    runs_child = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "subWorkflowParam" not in task:
            yield required("subWorkflowParam", task, path)

    def input_parameters(self, task: WorkflowTask) -> Mapping[str, Any]:
        param = task.get("subWorkflowParam", {})
        found = {name: param.get(key) for name, key in _INPUT_NAMES.items()}
        inline = param.get("workflowDefinition")
        if inline is not None:
            found["subWorkflowVersion"] = None
        if isinstance(inline, dict):
            found["subWorkflowDefinition"] = None  # its expressions are the child's: it is put in as it is
        return {**found, "workflowInput": task["inputParameters"]}

    def task_input(self, step: Step, node: Node, hidden: frozenset[str]) -> dict[str, Any]:
        found = super().task_input(step, node, hidden)
        inline = node.task["subWorkflowParam"].get("workflowDefinition")
        return {**found, "subWorkflowDefinition": inline} if isinstance(inline, dict) else found

    def input_again(self, task_input: dict[str, Any]) -> dict[str, Any]:
        given = task_input.get("workflowInput") or {}  # a user's rerun may have given none
        return {**given, **task_input}  # as in Conductor, which evaluates inputParameters into the task's input then

    def request(self, task_input: Mapping[str, Any]) -> Request:
        definition, name, given = (task_input.get(key) for key in ("subWorkflowDefinition", "subWorkflowName", "subWorkflowVersion"))
        version = None if given is None else whole_number(given)
        if definition is not None and not isinstance(definition, dict):
            raise Unreadable("subWorkflowParam.workflowDefinition is no workflow definition")
        if definition is None and (not isinstance(name, str) or not name.strip()):
            raise Unreadable("subWorkflowParam.name is null or empty")
        if given is not None and version is None:
            raise Unreadable(f"subWorkflowParam.version is no whole number: {str(given)[:100]}")
        priority = whole_number(task_input.get("priority"))
        domains = task_input.get("subWorkflowTaskToDomain")
        child_input = task_input.get("workflowInput") or task_input  # without inputParameters it is given all of this (Conductor)
        key = task_input.get("idempotencyKey")
        return Request(
            definition=definition,
            name=name if isinstance(name, str) else "",
            version=version,
            input={**child_input, **_INLINE_MARK} if definition is not None else child_input,
            task_to_domain={str(key): str(value) for key, value in domains.items()} if isinstance(domains, dict) else None,
            priority=priority if priority is not None and 0 <= priority <= PRIORITY_MAX else 0,
            idempotency_key=str(key) if key else None,
        )

    def started_id(self, execution: ExecutionId, task: OpenTask, name: str, request: Request) -> str:
        return lives.child_id(execution.workflow_id, task.place)

    def shown_at_start(self, step: Step, task: OpenTask) -> Any:
        return {CHILD_ID: lives.child_id(step.execution.workflow_id, task.place)}
