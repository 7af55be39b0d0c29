"""What users did. Each is decided alone: it is the only event of its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.model.frozen import dataclass
from batuta_core.model.payload import get_slot, put_slot
from batuta_core.model.place import TaskPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPaused:
    """Nothing goes on until WorkflowResumed; results are taken all the same."""

    op: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "paused", "op": self.op}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowPaused:
        return cls(op=data["op"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResumed:
    """A paused execution goes on, with what came due meanwhile."""

    op: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "resumed", "op": self.op}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowResumed:
        return cls(op=data["op"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRetried:
    """An ended execution gives the tasks whose last attempt ended badly another one. ``seen``: as of ``ChildRevived``."""

    op: str
    seen: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"e": "retried", "op": self.op, **({"seen": list(self.seen)} if self.seen else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowRetried:
        return cls(op=data["op"], seen=tuple(data.get("seen", ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRestarted:
    """An ended execution begins again from the first task, as if there had been none; ``definition`` is the content hash of
    what it runs from now on. ``seen``: as of ``ChildRevived``."""

    op: str
    definition: str
    seen: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"e": "restarted", "op": self.op, "def": self.definition, **({"seen": list(self.seen)} if self.seen else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowRestarted:
        return cls(op=data["op"], definition=data["def"], seen=tuple(data.get("seen", ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRerun:
    """An ended execution runs again from the task at ``place``, which keeps its id; None: from the first task. What is None is
    left as it is. ``seen``: as of ``ChildRevived``."""

    op: str
    seen: tuple[int, ...] = ()
    place: TaskPlace | None = None
    task_input: Any = None
    input: Any = None
    correlation_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "rerun", "op": self.op}
        if self.seen:
            out["seen"] = list(self.seen)
        if self.place is not None:
            out["task"] = self.place.to_list()
        if self.task_input is not None:
            put_slot(out, "tin", self.task_input)
        if self.input is not None:
            put_slot(out, "in", self.input)
        if self.correlation_id is not None:
            out["corr"] = self.correlation_id
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowRerun:
        return cls(
            op=data["op"],
            seen=tuple(data.get("seen", ())),
            place=TaskPlace(*data["task"]) if "task" in data else None,
            task_input=get_slot(data, "tin"),
            input=get_slot(data, "in"),
            correlation_id=data.get("corr"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSkipped:
    """A task that the flow has not reached is stepped over when it does."""

    op: str
    ref: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "skipped", "op": self.op, "ref": self.ref}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskSkipped:
        return cls(op=data["op"], ref=data["ref"])


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesUpdated:
    """A user sets some of the workflow's variables."""

    op: str
    variables: Any

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "variables", "op": self.op}
        put_slot(out, "vars", self.variables)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VariablesUpdated:
        return cls(op=data["op"], variables=get_slot(data, "vars"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbacksReset:
    """Tasks that wait to be called again are called at once."""

    op: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "callbacks_reset", "op": self.op}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CallbacksReset:
        return cls(op=data["op"])


Revival = WorkflowRetried | WorkflowRestarted | WorkflowRerun
Operation = Revival | WorkflowPaused | WorkflowResumed | TaskSkipped | VariablesUpdated | CallbacksReset
