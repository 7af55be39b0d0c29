"""LAMBDA: INLINE as it was before INLINE. Deprecated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.known import Language
from batuta_core.decider.tasks.scripts import Ending, ScriptTask, badly, text_of, well
from batuta_core.model.execution import TaskStatus

if TYPE_CHECKING:
    from batuta_core.decider.step import Step


class Lambda(ScriptTask):
    name = "LAMBDA"

    def evaluate(self, step: Step, task_input: Mapping[str, Any], task_id: str | None) -> Ending:
        body = text_of(task_input.get("scriptExpression"))
        if not body.strip():
            reason = "Empty 'scriptExpression' in Lambda task's input parameters. A non-empty String value must be provided."
            return badly(TaskStatus.FAILED, reason)
        # On its first line, so that an error names the user's line; and closed on a line of its own, behind a comment.
        result = step.run_script(Language.JAVASCRIPT, f"function scriptFun(){{{body}\n}} scriptFun();", task_input, task_id)
        return well({"result": result.value}) if result.error is None else badly(TaskStatus.FAILED, result.error)
