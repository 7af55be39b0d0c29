"""HTTP: a request to somebody else's server, made by the http function (``batuta_server.http``), apart from everything else.

The function's queue is Lambda's own, which holds nothing back: an attempt that begins later waits for a timer. A result is reported
as a worker reports one; with ``asyncComplete`` that is IN_PROGRESS, and the task is completed through the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.tasks.rules import is_input_given, required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem

if TYPE_CHECKING:
    from batuta_core.decider.compile import Node
    from batuta_core.decider.step import Step


class Http(TaskType):
    name = "HTTP"
    system_queue = "http"
    is_supported = True

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        is_at_top_level = any(key in task["inputParameters"] for key in ("uri", "method"))  # in the template they do not count
        if not (is_at_top_level or is_input_given("http_request", task)):
            yield required("inputParameters.http_request or inputParameters.uri", task, path)

    def added_inputs(self, task: WorkflowTask) -> Mapping[str, Any]:
        return {"asyncComplete": task.get("asyncComplete") is True or task["inputParameters"].get("asyncComplete") is True}

    def begin(self, step: Step, node: Node, hidden: frozenset[str]) -> None:
        task_input = step.inputs(node, hidden)
        due_ms = step.now_ms + node.start_delay_s * 1000 if node.start_delay_s else 0
        task = step.new_task(node, due_ms=due_ms, callback_s=node.start_delay_s)
        step.open_task(node, step.enqueue(task), task_input)
