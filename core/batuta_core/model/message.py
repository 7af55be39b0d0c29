"""What lies on a queue. Every message carries a schema version and is read by one of the classes here.

========================  ==================  =======================================
queue                     message             written by
========================  ==================  =======================================
a task type's queue       ``TaskMessage``     decider, API
a function's queue        ``TaskMessage``     decider, API; on AWS it is an invocation
decider queue (FIFO)      ``InboxMessage``    workers, timers, API, decider
timers queue (delayed)    ``TimerMessage``    decider, API, the mover of far timers
========================  ==================  =======================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from batuta_core.model.error import NewerSchema, TokenRefused
from batuta_core.model.event import Event, TaskHandedBack, TaskHeartbeat, TaskLimited, TaskStarted, TaskUpdated, event_from_dict
from batuta_core.model.frozen import dataclass
from batuta_core.model.gate import GATE_MESSAGES, GateMessage
from batuta_core.model.json_text import strict_json
from batuta_core.model.lenient import is_too_deep
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import get_slot, put_slot
from batuta_core.model.place import TaskPlace
from batuta_core.model.token import Signer

SCHEMA = 1
LIMITED_SCHEMA = 3  # of TaskLimited, likewise
GATE_SCHEMA = 2  # of what is said to gates: functions of before there were any let it wait for those that know them
MESSAGE_MAX_BYTES = 256 * 1024  # SQS took 256 KiB until 2025-08 and takes 1 MiB since; other servers still the former
TASK_INPUT_MAX_BYTES = 192 * 1024  # a larger input goes by reference; the rest of 256 KiB is ours, with room
RESULT_OUTPUT_MAX_BYTES = 192 * 1024  # a larger output does not go through the queue: the worker posts it over HTTP

# Between these a reader that is too old for a task message hides it (TaskEnvelope.wait_s).
NEWER_WAIT_MIN_S, NEWER_WAIT_MAX_S = 30, 900

# SQS refuses what XML 1.0 cannot hold; json escapes the control characters, these remain.
_NOT_FOR_SQS = re.compile("[\ud800-\udfff\ufffe\uffff]")


class NotOurs(ValueError):
    """A message that no version of Batuta can have written: nothing is lost by dropping it."""


@dataclass(frozen=True, slots=True)
class GuardFired:
    """An API call may have died after committing ``record``: what that record left open is dispatched again.

    An instruction, not an event: it changes no head and is never journaled.
    """

    record: int

    def to_dict(self) -> dict[str, Any]:
        return {"e": "guard", "record": self.record}


Inbound = Event | GuardFired

_FROM_WORKERS = (TaskStarted, TaskUpdated, TaskHeartbeat, TaskHandedBack)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMessage:
    """Something for one execution to decide on. Workers prove themselves by the task's token, we by a signature."""

    execution: ExecutionId
    event: Inbound | GateMessage
    token: str = ""  # of a worker's event
    attempt: int = 0  # of a worker's event: the attempt that the token is for

    def to_text(self, signer: Signer | None = None) -> str:
        """``signer`` signs it as our own; without one the token must be set."""
        event = self.event.to_dict()
        schema = LIMITED_SCHEMA if isinstance(self.event, TaskLimited) else GATE_SCHEMA if isinstance(self.event, GateMessage) else SCHEMA
        out: dict[str, Any] = {"v": schema, "ns": self.execution.namespace, "wf": self.execution.workflow_id, "ev": event}
        if signer is not None:
            out["sig"] = signer.signature(_signed_text(self.execution, event))
        else:
            out["tok"] = self.token
            out["att"] = self.attempt
        return _dump(out)

    @classmethod
    def parse(cls, text: str, signer: Signer) -> InboxMessage:
        """Raises NotOurs, NewerSchema (it must wait), or TokenRefused."""
        data = _load(text, LIMITED_SCHEMA)
        try:
            execution = ExecutionId(str(data["ns"]), str(data["wf"]))
            event = _inbound_from_dict(data["ev"])
            token, attempt, signature = str(data.get("tok", "")), int(data.get("att", 0)), str(data.get("sig", ""))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise NotOurs(f"not a message for the decider: {error!r}") from error
        if signature:
            is_proven = signer.is_signature(signature, _signed_text(execution, data["ev"]))
        else:
            is_proven = isinstance(event, _FROM_WORKERS) and signer.is_task_token(token, execution, event.place, attempt)
        if not is_proven:
            raise TokenRefused(f"a message for {execution} does not prove where it comes from", workflow_id=execution.workflow_id)
        if not signature:
            _check_report(data["ev"])
        return cls(execution=execution, event=event, token=token, attempt=attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMessage:
    """One attempt of a task, for a worker. ``input`` is a PayloadRef when it was too large for the queue."""

    execution: ExecutionId
    task_id: str
    place: TaskPlace
    token: str
    ref: str
    task_type: str
    attempt: int
    input: Any
    workflow_name: str
    workflow_version: int
    scheduled_ms: int
    correlation_id: str | None = None
    priority: int = 0
    domain: str | None = None
    iteration: int = 0
    call: int = 0  # how often the function asked to be called again; what the worker reports says so, too
    send: int = 0  # how often the attempt had gone back to its queue; a hand-back says so, too
    timeout_s: int = 0
    response_timeout_s: int = 0
    total_deadline_ms: int = 0
    started_ms: int = 0  # of this attempt, when it was taken before
    is_rated: bool = False  # its type has a limit on starts: who receives it a second time may not begin it
    task_to_domain: Mapping[str, str] = field(default_factory=dict)  # of the execution, for a type that wants to know
    root: str = ""  # where a segment of a wide fork runs it: the execution that users know

    @property
    def workflow_id(self) -> str:
        """Of the execution, as users know it."""
        return self.root or self.execution.workflow_id

    def to_text(self) -> str:
        out: dict[str, Any] = {
            "v": SCHEMA,
            "ns": self.execution.namespace,
            "wf": self.execution.workflow_id,
            "task": self.task_id,
            "at": self.place.to_list(),
            "tok": self.token,
            "ref": self.ref,
            "type": self.task_type,
            "att": self.attempt,
            "name": self.workflow_name,
            "ver": self.workflow_version,
            "sched": self.scheduled_ms,
        }
        put_slot(out, "in", self.input)
        for key, value in (
            ("corr", self.correlation_id),
            ("pri", self.priority),
            ("dom", self.domain),
            ("it", self.iteration),
            ("call", self.call),
            ("send", self.send),
            ("timeout", self.timeout_s),
            ("response", self.response_timeout_s),
            ("total", self.total_deadline_ms),
            ("start", self.started_ms),
            ("rate", self.is_rated),
            ("domains", dict(self.task_to_domain)),
            ("root", self.root),
        ):
            if value:
                out[key] = value
        return _dump(out)

    @classmethod
    def parse(cls, text: str) -> TaskMessage:
        """Raises NotOurs or NewerSchema (it must wait)."""
        data = _load(text)
        try:
            return cls(
                execution=ExecutionId(data["ns"], data["wf"]),
                task_id=data["task"],
                place=TaskPlace(*map(int, data["at"])),
                token=data["tok"],
                ref=data["ref"],
                task_type=data["type"],
                attempt=int(data["att"]),
                input=get_slot(data, "in"),
                workflow_name=data["name"],
                workflow_version=int(data["ver"]),
                scheduled_ms=int(data["sched"]),
                correlation_id=data.get("corr"),
                priority=data.get("pri", 0),
                domain=data.get("dom"),
                iteration=data.get("it", 0),
                call=data.get("call", 0),
                send=data.get("send", 0),
                timeout_s=data.get("timeout", 0),
                response_timeout_s=data.get("response", 0),
                total_deadline_ms=data.get("total", 0),
                started_ms=data.get("start", 0),
                is_rated=data.get("rate", False),
                task_to_domain=data.get("domains", {}),
                root=data.get("root", ""),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise NotOurs(f"not a task message: {error!r}") from error


class WantedQueue(NamedTuple):
    """The task at ``place`` cannot be sent, for the ``send``-th time: its type has no queue yet. ``is_priority``: it was sent, and those
    that come after it shall find a priority queue."""

    task_type: str
    domain: str
    place: TaskPlace
    send: int
    is_priority: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnvelope:
    """What a task message of whatever schema says of whose it is. A reader that is too old for the rest hands it back with that.

    So these keys keep their names and meaning in every schema to come.
    """

    schema: int
    execution: ExecutionId
    task_id: str
    place: TaskPlace
    token: str
    attempt: int
    send: int
    scheduled_ms: int

    @classmethod
    def parse(cls, text: str) -> TaskEnvelope:
        """Raises NotOurs."""
        data = _load_any(text)
        try:
            return cls(
                schema=data["v"],
                execution=ExecutionId(data["ns"], data["wf"]),
                task_id=str(data["task"]),
                place=TaskPlace(*map(int, data["at"])),
                token=str(data["tok"]),
                attempt=int(data["att"]),
                send=int(data.get("send", 0)),
                scheduled_ms=int(data["sched"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise NotOurs(f"not a task message: {error!r}") from error

    def wait_s(self, now_ms: int) -> int:
        """How long a reader that is too old hides the message from all others: as long again as the task has waited. So a fleet
        half-way through its upgrade loses little time, and one that is not upgraded for days costs little."""
        waited_s = (now_ms - self.scheduled_ms) // 1000
        return min(max(waited_s, NEWER_WAIT_MIN_S), NEWER_WAIT_MAX_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerMessage:
    """A deadline (``due_ms`` > 0) or a guard of one execution, delayed until it is due; or the wish for a queue; or a moment of a gate.

    Each but the last names a record: the one that armed the deadline, the one that the guard watches, the one whose task has no queue.
    """

    execution: ExecutionId
    record: int
    due_ms: int = 0
    wanted: WantedQueue | None = None
    gate: str = ""  # whose moment it is; of the execution only the namespace counts

    def to_text(self) -> str:
        schema = GATE_SCHEMA if self.gate else SCHEMA
        out: dict[str, Any] = {"v": schema, "ns": self.execution.namespace, "wf": self.execution.workflow_id, "rec": self.record}
        if self.due_ms:
            out["due"] = self.due_ms
        if self.wanted:
            out["queue"] = [self.wanted.task_type, self.wanted.domain, self.wanted.place.to_list(), self.wanted.send]
            if self.wanted.is_priority:  # functions that know of no such queue drop the message: the next task asks again
                out["queue"].append(True)
        if self.gate:
            out["gate"] = self.gate
        return _dump(out)

    @classmethod
    def parse(cls, text: str) -> TimerMessage:
        """Raises NotOurs or NewerSchema (it must wait)."""
        data = _load(text, GATE_SCHEMA)
        try:
            wanted = None
            if "queue" in data:
                task_type, domain, place, send, *more = data["queue"]
                wanted = WantedQueue(str(task_type), str(domain), TaskPlace(*map(int, place)), int(send), bool(more))
            execution = ExecutionId(data["ns"], data["wf"])
            gate = str(data.get("gate", ""))
            return cls(execution=execution, record=int(data["rec"]), due_ms=int(data.get("due", 0)), wanted=wanted, gate=gate)
        except (KeyError, TypeError, ValueError) as error:
            raise NotOurs(f"not a timer message: {error!r}") from error


def batched_texts(text: str) -> list[str] | None:
    """The messages in an event as SQS gives it to a function, or in what Lambda tells of an event that it gave up; None when the text is
    something else."""
    try:
        data = json.loads(text)
        data = data.get("requestPayload", data)
        return [str(record["body"]) for record in data["Records"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


# What a worker may say, whose code is its own: type and range of each field. Absent ones are fine.
_TEXT_MAX_CHARS = 10_000
_REPORTED = frozenset({"IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"})
_REPORT_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "e": lambda value: isinstance(value, str),
    "task": lambda value: isinstance(value, list) and len(value) in (2, 3) and all(_is_count(item) for item in value),
    "s": lambda value: value in _REPORTED,
    "op": lambda value: _is_text(value),
    "w": lambda value: _is_text(value),
    "why": lambda value: isinstance(value, str),
    "start": lambda value: _is_count(value),
    "cb": lambda value: _is_count(value),
    "call": lambda value: _is_count(value),
    "send": lambda value: _is_count(value),
    "merge": lambda value: isinstance(value, bool),
    "leased": lambda value: isinstance(value, bool),
    "gone": lambda value: isinstance(value, bool),
    "out": lambda value: isinstance(value, dict) and not is_too_deep(value),
    "logs": lambda value: isinstance(value, list) and all(_is_log_line(item) for item in value),
}


def _check_report(event: Mapping[str, Any]) -> None:
    """Raises NotOurs. What is in a journal is read for as long as it is kept: nothing gets in that would not be read."""
    for name, value in event.items():
        is_fit = _REPORT_FIELDS.get(name)
        if is_fit is None or not is_fit(value):
            raise NotOurs(f"a worker reports {name} = {str(value)[:100]!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_MAX_CHARS


def _is_log_line(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("log"), str) and _is_count(value.get("createdTime", 0))


def _inbound_from_dict(data: Mapping[str, Any]) -> Inbound | GateMessage:
    if data["e"] in GATE_MESSAGES:
        return GATE_MESSAGES[data["e"]](data)
    return GuardFired(int(data["record"])) if data["e"] == "guard" else event_from_dict(data)


def _signed_text(execution: ExecutionId, event: Mapping[str, Any]) -> str:
    return f"{execution}\x00{json.dumps(event, sort_keys=True, separators=(',', ':'))}"


def _dump(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return json.dumps(data, separators=(",", ":")) if _NOT_FOR_SQS.search(text) else text


def _load(text: str, newest: int = SCHEMA) -> Mapping[str, Any]:
    data = _load_any(text)
    if data["v"] > newest:
        raise NewerSchema(f"message of schema {data['v']}, this code knows {newest}")
    return data


def _load_any(text: str) -> Mapping[str, Any]:
    """Of whatever schema."""
    try:
        data = strict_json(text)
    except (ValueError, RecursionError) as error:  # what we write is nested far less deep than the parser bears
        raise NotOurs("not JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("v"), int):
        raise NotOurs("no schema version")
    return data
