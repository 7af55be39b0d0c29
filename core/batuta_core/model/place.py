"""How a task is named inside the journal: by the record that scheduled it."""

from __future__ import annotations

from typing import NamedTuple

from batuta_core.model import ids


class TaskPlace(NamedTuple):
    """The record that scheduled a task, the how-manieth it is there, from 0, and the record of the rerun that made it begin anew
    under the same id, 0 when none did. So a result of before the rerun names another place."""

    record: int
    nth: int
    rerun: int = 0

    @property
    def named(self) -> tuple[int, int]:
        """What the task's id says."""
        return self.record, self.nth

    def to_list(self) -> list[int]:
        return [self.record, self.nth, self.rerun] if self.rerun else [self.record, self.nth]


class ParentTask(NamedTuple):
    """A task of another execution, by its execution and its place there."""

    workflow_id: str
    record: int
    nth: int
    rerun: int = 0

    @property
    def place(self) -> TaskPlace:
        return TaskPlace(self.record, self.nth, self.rerun)

    @property
    def task_id(self) -> str:
        return ids.task_id(self.workflow_id, self.record, self.nth)

    def to_list(self) -> list[str | int]:
        return list(self) if self.rerun else list(self[:-1])
