"""Executions and tasks in Conductor's JSON: field for field what its clients read (reference sections 1.6 and 1.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from batuta_core.decider.compile import Graph, Node
from batuta_core.decider.forked import forked_tasks, named
from batuta_core.decider.loop import JoinOutput, LoopOutput, resolved
from batuta_core.engine.external import path_of
from batuta_core.engine.ports import Summary
from batuta_core.model.definition import read_workflow_task
from batuta_core.model.execution import TaskExecution, WorkflowExecution, WorkflowStatus
from batuta_core.model.ids import parse_task_id
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import Assembled, PayloadPart, assembled, holes_of, without_parts

Resolve = Callable[[Any], Any]  # a payload or its reference -> the payload; a PayloadPart where it is too large for an answer

EXTERNAL_FIELDS = tuple(f"external{kind}Payload{what}" for kind in ("Input", "Output") for what in ("StoragePath", "Parts"))


def _present(**fields: Any) -> dict[str, Any]:
    """Conductor leaves null fields of its beans out."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}


class Nodes:
    """The nodes of the tasks of one execution: those of its definition, and those that its dynamic forks made.

    ``tasks``: at least the forks among them that made the tasks asked for.
    """

    def __init__(self, graph: Graph, tasks: Iterable[TaskExecution], resolve: Callable[[TaskExecution], Resolve]) -> None:
        self._graph = graph
        self._forks = [task for task in tasks if _is_dynamic_fork(graph, task)]
        self._resolve = resolve
        self._forked: dict[str, Node] | None = None

    def of(self, task: TaskExecution) -> Node:
        found = self._graph.find(task.ref)
        if found is not None:
            return named(found, task.name) if found.type.is_named_late else found
        if self._forked is None:
            self._forked = {}
            for fork in self._forks:
                self._forked.update(self._graph.compile_branches(forked_tasks(self._resolve(fork)(fork.input))))
        base = task.ref.removesuffix(f"__{task.iteration}")
        return self._forked.get(base) or self._graph.compile_branches([_bare(base, task)])[base]


def _is_dynamic_fork(graph: Graph, task: TaskExecution) -> bool:
    node = graph.find(task.ref)
    return node is not None and node.type.name == "FORK_JOIN_DYNAMIC"


def _bare(ref: str, task: TaskExecution) -> Mapping[str, Any]:
    """A task whose fork is not at hand, as far as it says itself."""
    found, _problems = read_workflow_task({"name": task.name, "taskReferenceName": ref})
    return found or {}


def task_json(task: TaskExecution, workflow: WorkflowExecution, node: Node, resolve: Resolve) -> dict[str, Any]:
    """A task of ``workflow``; ``resolve`` turns references to payloads into payloads."""
    is_worker = node.type.is_worker
    key = parse_task_id(task.task_id)
    execution = ExecutionId(workflow.namespace, key.workflow_id if key else workflow.workflow_id)  # where its payloads lie
    output = resolved(task.output, resolve)
    if isinstance(task.output, LoopOutput | JoinOutput):
        output = assembled(output)
    waited_from = task.scheduled_ms + (task.start_delay_s + task.callback_after_s) * 1000
    return {
        "taskType": task.task_type,
        "status": task.status.value,
        "referenceTaskName": task.ref,
        "retryCount": task.attempt - 1,
        "seq": task.number,
        "pollCount": task.poll_count,
        "taskDefName": task.name,
        "scheduledTime": task.scheduled_ms,
        "startTime": task.started_ms,
        "endTime": task.ended_ms,
        "updateTime": task.updated_ms,
        "firstStartTime": 0,
        "startDelayInSeconds": task.start_delay_s,
        "retried": task.is_retried,
        "executed": task.status.is_terminal and not task.is_retried,
        "callbackFromWorker": True,
        "responseTimeoutSeconds": node.timeouts.response_ms // 1000 if is_worker else 0,
        "workflowInstanceId": workflow.shown_id,
        "workflowType": workflow.name,
        "taskId": task.task_id,
        "callbackAfterSeconds": task.callback_after_s,
        "workflowTask": node.task,
        "rateLimitPerFrequency": 0,
        "rateLimitFrequencyInSeconds": 1,
        "workflowPriority": workflow.priority,
        "iteration": task.iteration,
        "loopOverTask": task.iteration > 0,
        "subworkflowChanged": False,
        "executionMetadata": {},
        "queueWaitTime": max(task.started_ms - waited_from, 0) if task.started_ms else 0,
        **payload_json(execution, "inputData", "Input", resolve(task.input)),
        **payload_json(execution, "outputData", "Output", output),
        **_present(
            correlationId=workflow.correlation_id,
            reasonForIncompletion=task.reason,
            workerId=task.worker_id,
            domain=task.domain,
            retriedTaskId=task.retried_task_id,
            taskDefinition=node.task.get("taskDefinition"),
            subWorkflowId=_child_id(output),
        ),
    }


def payload_json(execution: ExecutionId, name: str, kind: str, value: Any) -> dict[str, Any]:
    """A payload under its name, and where the client finds what is too large to be in an answer: all of it, as Conductor says it, or
    values in it. The list of those is not in the payload itself, so that no user's data can be mistaken for it."""
    if type(value) is PayloadPart:
        return {name: {}, f"external{kind}PayloadStoragePath": path_of(execution, value.ref)}
    if type(value) is not Assembled:
        return {name: value or {}}
    parts = [{"at": list(hole.at), **_part_json(execution, hole.part)} for hole in holes_of(value)]
    return {name: without_parts(value, lambda part: _part_json(execution, part)), f"external{kind}PayloadParts": parts}


def _part_json(execution: ExecutionId, part: PayloadPart) -> dict[str, Any]:
    return {
        "externalPayloadStoragePath": path_of(execution, part.ref),
        "keys": list(part.keys),
        "payloadSizeBytes": part.ref.size_bytes,
    }


def _child_id(output: Any) -> str | None:
    found = output.get("subWorkflowId") if isinstance(output, Mapping) else None
    return found if isinstance(found, str) else None


def workflow_json(workflow: WorkflowExecution, graph: Graph, resolve: Resolve) -> dict[str, Any]:
    """The whole execution, with the tasks that ``workflow`` holds."""
    nodes = Nodes(graph, workflow.tasks, lambda _task: resolve)
    execution = ExecutionId(workflow.namespace, workflow.workflow_id)
    return {
        "workflowId": workflow.workflow_id,
        "workflowName": workflow.name,
        "workflowVersion": workflow.version,
        "status": workflow.status.value,
        "createTime": workflow.created_ms,
        "startTime": workflow.created_ms,
        "updateTime": workflow.updated_ms,
        "endTime": workflow.ended_ms,
        "lastRetriedTime": workflow.last_retried_ms,
        "tasks": [task_json(task, workflow, nodes.of(task), resolve) for task in workflow.tasks],
        **payload_json(execution, "input", "Input", resolve(workflow.input)),
        **payload_json(execution, "output", "Output", resolve(workflow.output)),
        "variables": resolve(workflow.variables) or {},
        "taskToDomain": dict(workflow.task_to_domain),
        "failedReferenceTaskNames": workflow.failed_refs,
        "failedTaskNames": workflow.failed_names,
        "workflowDefinition": graph.definition,
        "priority": workflow.priority,
        "history": [],
        "rateLimited": False,
        **_present(
            correlationId=workflow.correlation_id,
            parentWorkflowId=workflow.parent_workflow_id,
            parentWorkflowTaskId=workflow.parent_task_id,
            reasonForIncompletion=workflow.reason,
            event=workflow.event,
            idempotencyKey=workflow.idempotency_key,
            createdBy=workflow.created_by,
            requestId=workflow.request_id,
        ),
    }


def status_json(workflow: WorkflowExecution, resolve: Resolve, *, has_output: bool, has_variables: bool) -> dict[str, Any]:
    """Conductor's WorkflowStatus."""
    found: dict[str, Any] = {"workflowId": workflow.workflow_id, "status": workflow.status.value}
    found.update(_present(correlationId=workflow.correlation_id))
    if has_output:
        execution = ExecutionId(workflow.namespace, workflow.workflow_id)
        found.update(payload_json(execution, "output", "Output", resolve(workflow.output)))
    if has_variables:
        found["variables"] = resolve(workflow.variables) or {}
    return found


_RUN = (
    "workflowId",
    "correlationId",
    "input",
    *EXTERNAL_FIELDS,
    "output",
    "priority",
    "variables",
    "tasks",
    "createdBy",
    "createTime",
    "status",
    "updateTime",
)
_TASK_RUN = ("taskType", "taskId", "referenceTaskName", "retryCount", "taskDefName", "retriedTaskId", "reasonForIncompletion", "status")


class Answered(NamedTuple):
    """How a synchronous call ended."""

    response_type: str
    request_id: str
    is_timed_out: bool

    def about(self, target: Mapping[str, Any]) -> dict[str, Any]:
        """``target``: the execution that was called."""
        return {
            "responseType": self.response_type,
            "targetWorkflowId": target["workflowId"],
            "targetWorkflowStatus": target["status"],
            "signalTimeout": self.is_timed_out,
            "requestId": self.request_id,
        }


def run_json(workflow: Mapping[str, Any], target: Mapping[str, Any], answered: Answered) -> dict[str, Any]:
    """Conductor's SignalResponse about an execution, from its own JSON."""
    return {**answered.about(target), **{name: workflow[name] for name in _RUN if name in workflow}}


def task_run_json(task: Mapping[str, Any], workflow: Mapping[str, Any], target: Mapping[str, Any], answered: Answered) -> dict[str, Any]:
    """Conductor's SignalResponse about a task of ``workflow``."""
    return {
        **answered.about(target),
        **{name: task[name] for name in _TASK_RUN if name in task},
        "workflowId": workflow["workflowId"],
        "workflowType": workflow["workflowName"],
        "input": task["inputData"],
        "output": task["outputData"],
        "variables": workflow["variables"],
        "priority": workflow["priority"],
        "tasks": workflow["tasks"],
        "createTime": task["startTime"],
        "updateTime": task["updateTime"],
        **_present(correlationId=workflow.get("correlationId"), createdBy=task.get("workerId")),
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """Conductor's WorkflowSummary. Input and output are not kept in summaries: read the execution for them."""
    is_ended = summary.status is not WorkflowStatus.RUNNING and summary.ended_ms > 0
    return {
        "workflowType": summary.name,
        "version": summary.version,
        "workflowId": summary.execution.workflow_id,
        "startTime": _iso(summary.started_ms),
        "updateTime": _iso(summary.updated_ms),
        "status": summary.status.value,
        "input": "",
        "output": "",
        "executionTime": summary.ended_ms - summary.started_ms if is_ended else 0,
        "failedReferenceTaskNames": ",".join(summary.failed_refs),
        "failedTaskNames": [],
        "priority": summary.priority,
        "parentWorkflowId": summary.parent_workflow_id or "",
        "classifier": "workflow",
        "inputSize": 0,
        "outputSize": 0,
        **_present(
            endTime=_iso(summary.ended_ms) if is_ended else None,
            correlationId=summary.correlation_id,
            reasonForIncompletion=summary.reason,
            requestId=summary.request_id,
        ),
    }


def task_summary_json(task: TaskExecution, workflow: WorkflowExecution) -> dict[str, Any]:
    """Conductor's TaskSummary. Input and output are left out, as those of executions are."""
    waited_from = task.scheduled_ms + (task.start_delay_s + task.callback_after_s) * 1000
    return {
        "workflowId": workflow.workflow_id,
        "workflowType": workflow.name,
        "scheduledTime": _iso(task.scheduled_ms),
        "startTime": _iso(task.started_ms),
        "updateTime": _iso(task.updated_ms),
        "endTime": _iso(task.ended_ms),
        "status": task.status.value,
        "executionTime": task.ended_ms - task.started_ms if task.ended_ms and task.started_ms else 0,
        "queueWaitTime": max(task.started_ms - waited_from, 0) if task.started_ms else 0,
        "taskDefName": task.name,
        "taskType": task.task_type,
        "input": "",
        "output": "",
        "taskId": task.task_id,
        "workflowPriority": workflow.priority,
        **_present(correlationId=workflow.correlation_id, reasonForIncompletion=task.reason, domain=task.domain),
    }


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
