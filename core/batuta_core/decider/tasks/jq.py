"""JSON_JQ_TRANSFORM: the values of a jq expression over its input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.known import Language
from batuta_core.decider.tasks.rules import is_input_given, required
from batuta_core.decider.tasks.scripts import Ending, ScriptTask, badly, text_of, well
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.error import Problem
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.step import Step


class JsonJqTransform(ScriptTask):
    name = "JSON_JQ_TRANSFORM"

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if not is_input_given("queryExpression", task):
            yield required("inputParameters.queryExpression", task, path)

    def evaluate(self, step: Step, task_input: Mapping[str, Any], task_id: str | None) -> Ending:
        query = task_input.get("queryExpression")
        if query is None:
            return Ending(TaskStatus.FAILED, {}, "Missing 'queryExpression' in input parameters")
        result = step.run_script(Language.JQ, text_of(query), task_input, task_id)
        if result.error is not None:
            return badly(TaskStatus.FAILED, result.error)
        return well({"result": result.value[0] if result.value else None, "resultList": result.value})
