"""What several task types refuse at registration, in Conductor's words."""

from __future__ import annotations

from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.error import Problem


def shown_name(task: WorkflowTask) -> str:
    """The task's name as Conductor prints it in a refusal."""
    return str(task.get("name", "null"))


def required(field: str, task: WorkflowTask, path: str) -> Problem:
    """The refusal of a task that lacks ``field``."""
    return Problem(path, f"{field} field is required for taskType: {task['type']} taskName: {shown_name(task)}")


def empty(field: str, task: WorkflowTask, path: str) -> Problem:
    """The refusal of a task without any task in ``field``."""
    return Problem(path, f"{field} should have atleast one task for taskType: {task['type']} taskName: {shown_name(task)}")


def is_input_given(key: str, task: WorkflowTask) -> bool:
    """Whether the task's own input, or the template of the task definition that it carries, has ``key``, whatever its value."""
    return key in task["inputParameters"] or key in task.get("taskDefinition", {}).get("inputTemplate", {})
