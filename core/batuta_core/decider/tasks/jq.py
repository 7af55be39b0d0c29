"""JSON_JQ_TRANSFORM: the value of a jq expression over its input."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.rules import is_input_given, required
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem


class JsonJqTransform(TaskType):
    name = "JSON_JQ_TRANSFORM"

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if not is_input_given("queryExpression", task):
            yield required("inputParameters.queryExpression", task, path)
