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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batuta_core.model import ids
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.payload import get_slot, put_slot


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
    """Deciding raised an error at every try. The execution fails with it rather than standing still."""

    op: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {"e": "broken", "op": self.op, "why": self.reason}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowBroken:
        return cls(op=data["op"], reason=data["why"])


# --- between a parent and its children


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
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRevived:
    """A user has begun another life of the child that ran for a task. ``seen``: where its ended parent stood when that was asked for, then
    the parent's own parent and so on, each by its newest record."""

    place: TaskPlace
    life: int
    definition: str  # content hash of what it runs now
    seen: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "child_revived", "task": self.place.to_list(), "life": self.life, "def": self.definition}
        if self.seen:
            out["seen"] = list(self.seen)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChildRevived:
        return cls(place=TaskPlace(*data["task"]), life=data["life"], definition=data["def"], seen=tuple(data.get("seen", ())))


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


# --- operations of users. Each is decided alone: it is the only event of its record


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
TaskEvent = TaskStarted | TaskUpdated | TaskHeartbeat | TaskHandedBack | TaskDeadLettered | TaskUndeliverable | QueueMade
ChildEvent = ChildBegan | ChildEnded | ChildRevived
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
