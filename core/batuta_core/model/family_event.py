"""What happened between a parent and its children."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.payload import get_slot, put_slot
from batuta_core.model.place import ParentTask, TaskPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildBegan:
    """The execution that a START_WORKFLOW asked for is there."""

    place: TaskPlace
    workflow_id: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "child_began", "task": self.place.to_list(), "wf": self.workflow_id}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChildBegan:
        return cls(place=TaskPlace(*data["task"]), workflow_id=data["wf"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnded:
    """A life of the child that runs for a task has ended. ``life`` is the child's record that began it. ``seen``: as of
    ``ChildRevived``."""

    place: TaskPlace
    status: WorkflowStatus
    life: int = 1
    seen: tuple[int, ...] = ()
    output: Any = None  # the task's, the child's id included
    reason: str | None = None
    is_refused: bool = False  # as of ``ChildRevived``

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "child_ended", "task": self.place.to_list(), "s": self.status.value}
        if self.life != 1:
            out["life"] = self.life
        if self.seen:
            out["seen"] = list(self.seen)
        if self.output is not None:
            put_slot(out, "out", self.output)
        if self.reason is not None:
            out["why"] = self.reason
        if self.is_refused:
            out["no"] = 1
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChildEnded:
        return cls(
            place=TaskPlace(*data["task"]),
            status=WorkflowStatus(data["s"]),
            life=data.get("life", 1),
            seen=tuple(data.get("seen", ())),
            output=get_slot(data, "out"),
            reason=data.get("why"),
            is_refused="no" in data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRevived:
    """A user has begun another life of the child that ran for a task. ``seen``: where its ended parent stood when that was asked for, then
    the parent's own parent and so on, each by its newest record. ``is_refused``: no record holds what the parent would begin if it ran
    again, so it stays ended."""

    place: TaskPlace
    life: int
    definition: str  # content hash of what it runs now
    seen: tuple[int, ...] = ()
    is_refused: bool = False

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "child_revived", "task": self.place.to_list(), "life": self.life, "def": self.definition}
        if self.seen:
            out["seen"] = list(self.seen)
        if self.is_refused:
            out["no"] = 1
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChildRevived:
        return cls(
            place=TaskPlace(*data["task"]),
            life=data["life"],
            definition=data["def"],
            seen=tuple(data.get("seen", ())),
            is_refused="no" in data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedByParent:
    """The task that this execution runs for is over, so ``life`` of it is to end. It says all that record 1 needs: where the stop comes
    before the start, it begins the journal of a child that never runs, and the late start finds that."""

    op: str
    parent: ParentTask
    definition: str  # content hash
    name: str
    version: int
    life: int = 1
    reason: str | None = None
    correlation_id: str | None = None
    retention_s: int = 0

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "e": "stopped",
            "op": self.op,
            "parent": self.parent.to_list(),
            "def": self.definition,
            "name": self.name,
            "ver": self.version,
        }
        if self.life != 1:
            out["life"] = self.life
        for key, value in (("why", self.reason), ("corr", self.correlation_id), ("keep", self.retention_s)):
            if value:
                out[key] = value
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StoppedByParent:
        return cls(
            op=data["op"],
            parent=ParentTask(*data["parent"]),
            definition=data["def"],
            name=data["name"],
            version=data["ver"],
            life=data.get("life", 1),
            reason=data.get("why"),
            correlation_id=data.get("corr"),
            retention_s=data.get("keep", 0),
        )


ChildEvent = ChildBegan | ChildEnded | ChildRevived
