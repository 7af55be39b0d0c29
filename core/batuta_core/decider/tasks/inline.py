"""INLINE: the value of a script over its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.known import Language
from batuta_core.decider.tasks.scripts import JAVASCRIPT, NO_PYTHON, PYTHON, VALUE_PARAM, Ending, ScriptTask, badly, text_of, well
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.step import Step


class Inline(ScriptTask):
    name = "INLINE"

    def evaluate(self, step: Step, task_input: Mapping[str, Any], task_id: str | None) -> Ending:
        evaluator = text_of(task_input.get("evaluatorType", "javascript"))
        expression = text_of(task_input.get("expression"))
        if refusal := _refusal(evaluator, expression):
            return badly(TaskStatus.FAILED_WITH_TERMINAL_ERROR, refusal)
        if evaluator == VALUE_PARAM:
            return well({"result": task_input.get(expression)})
        result = step.run_script(Language.JAVASCRIPT, expression, task_input, task_id)
        if result.error is None:
            return well({"result": result.value})
        # Only what took too long may go better another time.
        return badly(TaskStatus.FAILED if result.is_late else TaskStatus.FAILED_WITH_TERMINAL_ERROR, result.error)


def _refusal(evaluator: str, expression: str) -> str | None:
    if not evaluator.strip():
        return "Empty 'evaluatorType' in INLINE task's input parameters. A non-empty String value must be provided."
    if evaluator == PYTHON:
        return NO_PYTHON
    if evaluator != VALUE_PARAM and evaluator not in JAVASCRIPT:
        return f"Unknown evaluator '{evaluator}' in INLINE task."
    if not expression.strip():
        return "Empty 'expression' in Inline task's input parameters. A non-empty String value must be provided."
    return None
