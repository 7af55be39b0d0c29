"""What to do: commands are data, carried out once the record that holds them is committed.

They are carried out at least once. Whoever receives what they send drops repeats by id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.place import TaskPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueTask:
    """Put the task on its queue, not before ``due_ms`` (0: at once)."""

    place: TaskPlace
    ref: str
    due_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"c": "enqueue", "task": self.place.to_list(), "ref": self.ref}
        if self.due_ms:
            out["due"] = self.due_ms
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EnqueueTask:
        return cls(place=TaskPlace(*data["task"]), ref=data["ref"], due_ms=data.get("due", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTimer:
    """Send TimerFired to this execution at ``due_ms``; the timer is named by the record that arms it."""

    timer: int
    due_ms: int

    def to_dict(self) -> dict[str, Any]:
        return {"c": "arm", "timer": self.timer, "due": self.due_ms}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArmTimer:
        return cls(timer=data["timer"], due_ms=data["due"])


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailureWorkflow:
    """Start the execution that handles the failure of this one; its input holds this one whole, as it ended."""

    workflow_id: str
    definition: str  # content hash
    name: str
    version: int
    failed_task_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        out = {"c": "failure", "wf": self.workflow_id, "def": self.definition, "name": self.name, "ver": self.version}
        if self.failed_task_id:
            out["task"] = self.failed_task_id
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StartFailureWorkflow:
        return cls(workflow_id=data["wf"], definition=data["def"], name=data["name"], version=data["ver"], failed_task_id=data.get("task"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    """Start the execution that the task asks for, with what the task's input says. ``wanted`` is the key of what the definition was
    found by, for a replay."""

    place: TaskPlace
    ref: str
    definition: str  # content hash
    wanted: str = ""

    def to_dict(self) -> dict[str, Any]:
        out = {"c": "child", "task": self.place.to_list(), "ref": self.ref, "def": self.definition}
        if self.wanted:
            out["of"] = self.wanted
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StartChild:
        return cls(place=TaskPlace(*data["task"]), ref=data["ref"], definition=data["def"], wanted=data.get("of", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class StopChild:
    """End that life of the child that ran for the task. It stays in the head until that life's end is heard."""

    place: TaskPlace
    definition: str  # content hash
    life: int = 1

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"c": "stop", "task": self.place.to_list(), "def": self.definition}
        if self.life != 1:
            out["life"] = self.life
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StopChild:
        return cls(place=TaskPlace(*data["task"]), definition=data["def"], life=data.get("life", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TellParent:
    """Tell the task that this execution runs for how this life ended: as ``record`` says. ``seen``: as of ``ChildRevived``."""

    status: WorkflowStatus
    record: int
    life: int = 1
    seen: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"c": "tell", "s": self.status.value, "rec": self.record}
        if self.life != 1:
            out["life"] = self.life
        if self.seen:
            out["seen"] = list(self.seen)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TellParent:
        return cls(status=WorkflowStatus(data["s"]), record=data["rec"], life=data.get("life", 1), seen=tuple(data.get("seen", ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class TellRevival:
    """Tell the task that this execution runs for of its present life. Open for as long as that lasts."""

    life: int

    def to_dict(self) -> dict[str, Any]:
        return {"c": "revival", "life": self.life}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TellRevival:
        return cls(life=data["life"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPermit:
    """Tell the gate of the task's type that its ``send``-th delivery has started, or is over. It stays in the head for one record:
    whoever writes the next one has seen to it that it was carried out."""

    gate: str
    place: TaskPlace
    send: int = 0
    started_ms: int = 0
    is_over: bool = True

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"c": "permit", "gate": self.gate, "task": self.place.to_list()}
        if self.send:
            out["send"] = self.send
        if self.started_ms:
            out["start"] = self.started_ms
        if not self.is_over:
            out["on"] = 1
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ReturnPermit:
        return cls(
            gate=data["gate"],
            place=TaskPlace(*data["task"]),
            send=data.get("send", 0),
            started_ms=data.get("start", 0),
            is_over="on" not in data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSummary:
    """Bring the summary item, which the search indexes read, to what the head says."""

    def to_dict(self) -> dict[str, Any]:
        return {"c": "summary"}

    @classmethod
    def from_dict(cls, _data: Mapping[str, Any]) -> WriteSummary:
        return cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Delete all that a removed execution left: payloads, logs, summary, and every record but the tombstone. Comes last: what
    else is to be done may need them."""

    def to_dict(self) -> dict[str, Any]:
        return {"c": "purge"}

    @classmethod
    def from_dict(cls, _data: Mapping[str, Any]) -> Purge:
        return cls()


ChildCommand = StartChild | StopChild | TellParent | TellRevival
Command = EnqueueTask | ArmTimer | ChildCommand | StartFailureWorkflow | ReturnPermit | WriteSummary | Purge

_FROM_DICT: Mapping[str, Callable[[Mapping[str, Any]], Command]] = {
    "enqueue": EnqueueTask.from_dict,
    "arm": ArmTimer.from_dict,
    "child": StartChild.from_dict,
    "stop": StopChild.from_dict,
    "tell": TellParent.from_dict,
    "revival": TellRevival.from_dict,
    "failure": StartFailureWorkflow.from_dict,
    "permit": ReturnPermit.from_dict,
    "summary": WriteSummary.from_dict,
    "purge": Purge.from_dict,
}


def command_from_dict(data: Mapping[str, Any]) -> Command:
    """Raises KeyError when ``data`` is not a command of this version."""
    return _FROM_DICT[data["c"]](data)
