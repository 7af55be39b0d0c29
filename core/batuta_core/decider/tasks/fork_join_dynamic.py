"""FORK_JOIN_DYNAMIC: a fork whose branches its input lists."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.fork_join import WIRE_TYPE
from batuta_core.decider.tasks.rules import required, shown_name
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.error import Problem

_PAIR = ("dynamicForkTasksParam", "dynamicForkTasksInputParamName")


class ForkJoinDynamic(TaskType):
    name = "FORK_JOIN_DYNAMIC"
    is_retried = False
    has_input_template = False

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        if "forkTaskInputs" in task["inputParameters"]:
            return
        missing = [field for field in _PAIR if field not in task]
        if "dynamicForkJoinTasksParam" not in task:
            yield from (required(field, task, path) for field in missing)
        elif len(missing) < len(_PAIR):
            either = "dynamicForkJoinTasksParam or combination of dynamicForkTasksInputParamName and dynamicForkTasksParam"
            yield Problem(path, f"{either} cam be used for taskType: {self.name} taskName: {shown_name(task)}")

    def wire_type(self, task: WorkflowTask) -> str:
        return WIRE_TYPE

    def shown_name(self, task: WorkflowTask) -> str:
        return WIRE_TYPE
