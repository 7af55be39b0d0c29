"""What happened: the events that drive an execution, as the journal keeps them.

Tasks are named by their place (the record that scheduled them and their rank in it), which
is what a task id says beyond the execution. ``op`` names the request or message that brought
the event: an API call knows its own record by it when the reply to a write was lost. ``call`` is the
number in the task's message: how often the worker's function had asked to be called again. What is
reported of an earlier call than the present one comes too late. ``send`` is in the message, too: how often the attempt had gone
back to its queue. What is said of an earlier message than the present one comes too late. -1 where nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from batuta_core.model.execution import TaskStatus
from batuta_core.model.family_event import ChildBegan, ChildEnded, ChildEvent, ChildRevived, StoppedByParent
from batuta_core.model.frozen import dataclass
from batuta_core.model.operation_event import (
    CallbacksReset,
    Operation,
    TaskSkipped,
    VariablesUpdated,
    WorkflowPaused,
    WorkflowRerun,
    WorkflowRestarted,
    WorkflowResumed,
    WorkflowRetried,
)
from batuta_core.model.payload import get_slot, put_slot
from batuta_core.model.place import ParentTask, TaskPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStarted:
    """The first event of every journal."""

    op: str
    definition: str  # content hash of the frozen definition
    name: str
    version: int
    input: Any = None
    correlation_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    created_by: str | None = None
    event: str | None = None
    trigger: str = "API"
    priority: int = 0
    task_to_domain: Mapping[str, str] = field(default_factory=dict)
    failed_workflow_id: str | None = None  # this is the failure workflow of that execution
    retention_s: int = 0  # 0: kept until somebody deletes it
    parent: ParentTask | None = None  # this is the child that runs for that task
    starter: ParentTask | None = None  # that task asked for it, and is told once it has begun
    depth: int = 0  # how many parents it has above it
    root: str = ""  # of a segment: the execution that users know
    above: str = ""  # the parent is a segment of that execution
    iteration: int = 0  # of a segment: that of the loop around its fork

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "started", "op": self.op, "def": self.definition, "name": self.name, "ver": self.version}
        put_slot(out, "in", self.input)
        for key, value in (
            ("corr", self.correlation_id),
            ("req", self.request_id),
            ("idem", self.idempotency_key),
            ("by", self.created_by),
            ("event", self.event),
            ("pri", self.priority),
            ("domains", dict(self.task_to_domain)),
            ("of", self.failed_workflow_id),
            ("keep", self.retention_s),
            ("parent", self.parent.to_list() if self.parent else None),
            ("starter", self.starter.to_list() if self.starter else None),
            ("deep", self.depth),
            ("root", self.root),
            ("above", self.above),
            ("it", self.iteration),
        ):
            if value:
                out[key] = value
        if self.trigger != "API":
            out["trigger"] = self.trigger
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowStarted:
        return cls(
            op=data["op"],
            definition=data["def"],
            name=data["name"],
            version=data["ver"],
            input=get_slot(data, "in"),
            correlation_id=data.get("corr"),
            request_id=data.get("req"),
            idempotency_key=data.get("idem"),
            created_by=data.get("by"),
            event=data.get("event"),
            trigger=data.get("trigger", "API"),
            priority=data.get("pri", 0),
            task_to_domain=data.get("domains", {}),
            failed_workflow_id=data.get("of"),
            retention_s=data.get("keep", 0),
            parent=ParentTask(*data["parent"]) if "parent" in data else None,
            starter=ParentTask(*data["starter"]) if "starter" in data else None,
            depth=data.get("deep", 0),
            root=data.get("root", ""),
            above=data.get("above", ""),
            iteration=data.get("it", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted:
    """A worker holds the task. From an HTTP poll the task's message is gone and the response timeout is the lease
    (``is_leased``); from the SDK the message stays, and only tasks that outlive about a second report this."""

    place: TaskPlace
    op: str
    worker_id: str | None = None
    started_ms: int = 0  # 0: now
    is_leased: bool = False
    call: int = -1

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "task_started", "task": self.place.to_list(), "op": self.op}
        if self.worker_id:
            out["w"] = self.worker_id
        if self.started_ms:
            out["start"] = self.started_ms
        if self.is_leased:
            out["leased"] = True
        if self.call >= 0:
            out["call"] = self.call
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskStarted:
        return cls(
            place=TaskPlace(*data["task"]),
            op=data["op"],
            worker_id=data.get("w"),
            started_ms=data.get("start", 0),
            is_leased=data.get("leased", False),
            call=data.get("call", -1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUpdated:
    """A worker or a user reports on a task: its end, or IN_PROGRESS to be called again later."""

    place: TaskPlace
    status: TaskStatus
    op: str = ""
    output: Any = None
    is_merged: bool = False  # the output joins the one that is there; else it replaces it
    reason: str | None = None
    worker_id: str | None = None
    callback_after_s: int | None = None  # None: leave it as it is
    started_ms: int = 0
    call: int = -1
    logs: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "task_updated", "task": self.place.to_list(), "s": self.status.value}
        if self.output is not None:
            put_slot(out, "out", self.output)
        for key, value in (
            ("op", self.op),
            ("merge", self.is_merged),
            ("why", self.reason),
            ("w", self.worker_id),
            ("start", self.started_ms),
            ("logs", list(self.logs)),
        ):
            if value:
                out[key] = value
        if self.callback_after_s is not None:
            out["cb"] = self.callback_after_s
        if self.call >= 0:
            out["call"] = self.call
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskUpdated:
        return cls(
            place=TaskPlace(*data["task"]),
            status=TaskStatus(data["s"]),
            op=data.get("op", ""),
            output=get_slot(data, "out"),
            is_merged=data.get("merge", False),
            reason=data.get("why"),
            worker_id=data.get("w"),
            callback_after_s=data.get("cb"),
            started_ms=data.get("start", 0),
            call=data.get("call", -1),
            logs=tuple(data.get("logs", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHeartbeat:
    """The worker is alive: the response timeout begins anew (Conductor's extendLease)."""

    place: TaskPlace
    op: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "task_heartbeat", "task": self.place.to_list(), "op": self.op}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskHeartbeat:
        return cls(place=TaskPlace(*data["task"]), op=data["op"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHandedBack:
    """A worker that shuts down gave the task back unfinished. SQS will count that as one more receive; we do not.

    ``is_gone``: its type has a limit on starts, and its message was received before; so the worker has not begun it but deleted the
    message, and it must stand in line again.
    """

    place: TaskPlace
    op: str
    worker_id: str | None = None
    send: int = -1
    is_gone: bool = False

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "task_handed_back", "task": self.place.to_list(), "op": self.op}
        if self.worker_id:
            out["w"] = self.worker_id
        if self.send >= 0:
            out["send"] = self.send
        if self.is_gone:
            out["gone"] = True
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskHandedBack:
        return cls(
            place=TaskPlace(*data["task"]),
            op=data["op"],
            worker_id=data.get("w"),
            send=data.get("send", -1),
            is_gone=data.get("gone", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDeadLettered:
    """The task's message was received ``receives`` times and never deleted, so SQS gave it up."""

    place: TaskPlace
    op: str
    receives: int
    send: int = -1

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "task_dead_lettered", "task": self.place.to_list(), "op": self.op, "n": self.receives}
        if self.send >= 0:
            out["send"] = self.send
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskDeadLettered:
        return cls(place=TaskPlace(*data["task"]), op=data["op"], receives=data["n"], send=data.get("send", -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUndeliverable:
    """The task's message can never be sent: its queue is missing, or it is too large."""

    place: TaskPlace
    op: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "task_undeliverable", "task": self.place.to_list(), "op": self.op, "why": self.reason}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskUndeliverable:
        return cls(place=TaskPlace(*data["task"]), op=data["op"], reason=data["why"])


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMade:
    """The task's type was not known before, and had no queue; now it has one. ``send`` as in TaskHandedBack."""

    place: TaskPlace
    op: str
    send: int

    def to_dict(self) -> dict[str, Any]:
        return {"e": "queue_made", "task": self.place.to_list(), "op": self.op, "send": self.send}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QueueMade:
        return cls(place=TaskPlace(*data["task"]), op=data["op"], send=data["send"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimited:
    """The task's type has had its first limits since the execution began: its delivery was not sent, it waits for ``gate``. ``send``
    as in TaskHandedBack."""

    place: TaskPlace
    send: int
    gate: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "task_limited", "task": self.place.to_list(), "send": self.send, "gate": self.gate}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskLimited:
        return cls(place=TaskPlace(*data["task"]), send=data["send"], gate=data["gate"])


NO_TIMER = 0  # a user's "decide" looks at the deadlines as a timer does, and takes none away


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A deadline has passed. ``timer`` is the record that armed it; ``due_ms`` proves the time, whatever clocks say."""

    timer: int
    due_ms: int

    def to_dict(self) -> dict[str, Any]:
        return {"e": "timer_fired", "timer": self.timer, "due": self.due_ms}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TimerFired:
        return cls(timer=data["timer"], due_ms=data["due"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTerminated:
    """A user ends the execution. Failure workflows do not run after it, as in Conductor, unless asked for."""

    op: str
    reason: str | None = None
    is_failure_workflow_wanted: bool = False

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "terminated", "op": self.op}
        if self.reason is not None:
            out["why"] = self.reason
        if self.is_failure_workflow_wanted:
            out["fw"] = True
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowTerminated:
        return cls(op=data["op"], reason=data.get("why"), is_failure_workflow_wanted=data.get("fw", False))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRemoved:
    """A user, or the retention, deletes the execution. A running one ends with this."""

    op: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "removed", "op": self.op}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowRemoved:
        return cls(op=data["op"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowBroken:
    """No decision is possible: it raised an error at every try, or its record would be too large. The execution fails with the reason
    rather than standing still."""

    op: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "broken", "op": self.op, "why": self.reason}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowBroken:
        return cls(op=data["op"], reason=data["why"])


TaskEvent = TaskStarted | TaskUpdated | TaskHeartbeat | TaskHandedBack | TaskDeadLettered | TaskUndeliverable | QueueMade | TaskLimited
Event = (
    WorkflowStarted
    | TaskEvent
    | ChildEvent
    | StoppedByParent
    | TimerFired
    | WorkflowTerminated
    | WorkflowRemoved
    | WorkflowBroken
    | Operation
)

_FROM_DICT: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "started": WorkflowStarted.from_dict,
    "task_started": TaskStarted.from_dict,
    "task_updated": TaskUpdated.from_dict,
    "task_heartbeat": TaskHeartbeat.from_dict,
    "task_handed_back": TaskHandedBack.from_dict,
    "task_dead_lettered": TaskDeadLettered.from_dict,
    "task_undeliverable": TaskUndeliverable.from_dict,
    "queue_made": QueueMade.from_dict,
    "task_limited": TaskLimited.from_dict,
    "timer_fired": TimerFired.from_dict,
    "child_began": ChildBegan.from_dict,
    "child_ended": ChildEnded.from_dict,
    "child_revived": ChildRevived.from_dict,
    "stopped": StoppedByParent.from_dict,
    "terminated": WorkflowTerminated.from_dict,
    "removed": WorkflowRemoved.from_dict,
    "broken": WorkflowBroken.from_dict,
    "paused": WorkflowPaused.from_dict,
    "resumed": WorkflowResumed.from_dict,
    "retried": WorkflowRetried.from_dict,
    "restarted": WorkflowRestarted.from_dict,
    "rerun": WorkflowRerun.from_dict,
    "skipped": TaskSkipped.from_dict,
    "variables": VariablesUpdated.from_dict,
    "callbacks_reset": CallbacksReset.from_dict,
}


def event_from_dict(data: Mapping[str, Any]) -> Event:
    """Raises KeyError or ValueError when ``data`` is not an event of this version."""
    return _FROM_DICT[data["e"]](data)
