"""EVENT: publishes its input to a sink, by the events function (``batuta_core.engine.publish``).

What an event brings about is the same however often it is published under one id, so an attempt whose function died is sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batuta_core.decider.tasks.by_function import ByFunction
from batuta_core.decider.tasks.rules import required
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.error import Problem


class EventTask(ByFunction):
    name = "EVENT"
    system_queue = "events"
    is_repeatable = True
    is_told_domains = True
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "sink" not in task:
            yield required("sink", task, path)

    def added_inputs(self, task: WorkflowTask) -> Mapping[str, Any]:
        return {"sink": task.get("sink"), "asyncComplete": task.get("asyncComplete") is True}
