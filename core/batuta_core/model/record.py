"""One journal record: what happened, what was decided, and where the execution now stands.

Every decision appends one record; nothing is ever changed in place. The bytes are JSON with
short keys, compressed where that saves a write unit (1 KB) of DynamoDB.

* ``events`` and ``commands``: the decision's cause and its consequences.
* ``changes``: what became of the tasks, as patches to ``TaskExecution``. Folding the changes of all
  records gives the execution; a worker's output lies in its event and the change points there.
* ``head``: enough to decide the next step alone, and small: open tasks, and of ended ones only
  the places of what may still be read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, NamedTuple

from batuta_core.model.command import Command, ReturnPermit, StopChild, command_from_dict
from batuta_core.model.error import NewerSchema
from batuta_core.model.event import Event, event_from_dict
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.payload import get_slot, put_slot
from batuta_core.model.place import ParentTask, TaskPlace

SCHEMA = 1
_WRITE_UNIT_BYTES = 1024
_KEY_BYTES = 80  # partition key, attribute names and sort key of the item, roughly: namespace of 7, id of 36


class Ended(NamedTuple):
    """Where an ended task is written: its scheduling (id, input), its end (status, times), its output, and the rerun that
    scheduled it anew."""

    number: int
    record: int
    nth: int
    ended_record: int
    output_record: int
    rerun: int = 0

    @classmethod
    def at(cls, number: int, place: TaskPlace, ended_record: int, output_record: int) -> Ended:
        return cls(number, place.record, place.nth, ended_record, output_record, place.rerun)

    @property
    def place(self) -> TaskPlace:
        return TaskPlace(self.record, self.nth, self.rerun)

    def to_list(self) -> list[int]:
        return list(self) if self.rerun else list(self[:-1])

    @property
    def records(self) -> frozenset[int]:
        """Where all of it is written."""
        return frozenset((self.record, self.rerun, self.ended_record, self.output_record)) - {0}


class Mark(NamedTuple):
    """The one armed timer: the record that armed it, and when it is due."""

    timer: int
    due_ms: int


class Begin(NamedTuple):
    """The flow has reached ``ref``, whose input does not see the tasks in ``hidden``. ``fork``: the dynamic fork that made it, or that
    it joins."""

    ref: str
    hidden: frozenset[str] = frozenset()
    fork: TaskPlace | None = None

    def to_list(self) -> list[Any]:
        rest = [] if self.fork is None else [self.fork.to_list()]
        return [self.ref, sorted(self.hidden), *rest]

    @classmethod
    def from_list(cls, data: list[Any]) -> Begin:
        ref, hidden, *rest = data
        return cls(ref, frozenset(hidden), *(TaskPlace(*fork) for fork in rest))


class Tolerated(NamedTuple):
    """A permissive task that failed: the execution goes on, and fails at its end."""

    ref: str
    task_id: str
    status: str
    reason: str | None
    rerun: int = 0  # of its place

    def to_list(self) -> list[Any]:
        return list(self) if self.rerun else list(self[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task that has not ended: all that its deadlines, its retry and its delivery depend on. Times are epoch ms."""

    ref: str
    number: int
    place: TaskPlace
    status: TaskStatus = TaskStatus.SCHEDULED
    attempt: int = 1
    scheduled_ms: int
    first_ms: int = 0  # when the first attempt was scheduled; 0: this is the first
    started_ms: int = 0
    updated_ms: int = 0
    due_ms: int = 0  # SCHEDULED: not to be delivered before; WAIT: when it ends by itself
    sent_ms: int = 0  # when its message was last put on the queue or will be; 0: it has none
    delay_s: int = 0  # Conductor's startDelayInSeconds
    callback_s: int = 0
    deadline_ms: int = 0  # the earliest of its deadlines; 0: none
    output_record: int = 0  # the record with its last reported output; 0: none
    polls: int = 0
    calls: int = 0  # how often the worker's function asked to be called again
    worker_id: str = ""
    is_leased: bool = False  # an HTTP poll took it: no message holds it
    lost: int = 0  # leases lost in earlier messages
    sends: int = 0  # how often the attempt has gone back to its queue, each time in a new message
    handed_back: tuple[str, ...] = ()  # the ops of the hand-backs among the receives of the present message
    iteration: int = 0  # of the loop around it
    rounds: int = 0  # a loop: the iteration that is under way
    since: int = 0  # a loop: how many tasks there were before that iteration
    is_over: bool = False  # a loop: the flow has come to the end of its body
    task_name: str = ""  # of a DYNAMIC task: what its input said
    fork: TaskPlace | None = None  # the dynamic fork that made it, or that it joins
    domain: str = ""  # of the workers that are to run it
    reads: tuple[str, ...] = ()  # a join of a dynamic fork: whose outputs the branches' inputs read
    child: str = ""  # another execution runs for this task: its definition's content hash
    life: int = 1  # the life of the child that counts, named by the child's record that began it
    gate: str = ""  # the limits that its deliveries wait for, by the name of their task definition

    @property
    def shown_ref(self) -> str:
        """The reference name as Conductor shows it: in a loop with the number of the iteration."""
        return f"{self.ref}__{self.iteration}" if self.iteration else self.ref

    @property
    def first_scheduled_ms(self) -> int:
        return self.first_ms or self.scheduled_ms

    def to_list(self) -> list[Any]:
        """Two fields always, the others by key where they differ from the default."""
        rest: dict[str, Any] = {}
        if self.status is not TaskStatus.SCHEDULED:
            rest["s"] = self.status.value
        if self.attempt != 1:
            rest["a"] = self.attempt
        for key, value in (
            ("f", self.first_ms),
            ("st", self.started_ms),
            ("u", self.updated_ms),
            ("due", self.due_ms),
            ("sent", self.sent_ms - self.scheduled_ms if self.sent_ms else 0),
            ("d", self.delay_s),
            ("cb", self.callback_s),
            ("dl", self.deadline_ms),
            ("o", self.output_record),
            ("p", self.polls),
            ("c", self.calls),
            ("w", self.worker_id),
            ("l", self.lost),
            ("r", self.sends),
            ("h", list(self.handed_back)),
            ("it", self.iteration),
            ("n", self.rounds),
            ("since", self.since),
            ("nm", self.task_name),
            ("fk", self.fork.to_list() if self.fork else None),
            ("rd", list(self.reads)),
            ("do", self.domain),
            ("re", self.place.rerun),
            ("ch", self.child),
            ("g", self.gate),
        ):
            if value:
                rest[key] = value
        if self.is_over:
            rest["over"] = 1
        if self.life != 1:
            rest["li"] = self.life
        if self.sent_ms and self.sent_ms == self.scheduled_ms:
            rest["sent"] = 0
        if self.is_leased:
            rest["x"] = 1
        return [self.number, *self.place.named, self.scheduled_ms, rest]

    @classmethod
    def from_list(cls, ref: str, data: list[Any]) -> OpenTask:
        number, record, nth, scheduled_ms, rest = data
        get = rest.get
        return cls(
            ref=ref,
            number=number,
            place=TaskPlace(record, nth, get("re", 0)),
            status=TaskStatus(get("s", "SCHEDULED")),
            attempt=get("a", 1),
            scheduled_ms=scheduled_ms,
            first_ms=get("f", 0),
            started_ms=get("st", 0),
            updated_ms=get("u", 0),
            due_ms=get("due", 0),
            sent_ms=scheduled_ms + rest["sent"] if "sent" in rest else 0,
            delay_s=get("d", 0),
            callback_s=get("cb", 0),
            deadline_ms=get("dl", 0),
            output_record=get("o", 0),
            polls=get("p", 0),
            calls=get("c", 0),
            worker_id=get("w", ""),
            is_leased="x" in rest,
            lost=get("l", 0),
            sends=get("r", 0),
            handed_back=_ops(get("h", ())),
            iteration=get("it", 0),
            rounds=get("n", 0),
            since=get("since", 0),
            is_over="over" in rest,
            task_name=get("nm", ""),
            fork=TaskPlace(*rest["fk"]) if "fk" in rest else None,
            reads=tuple(get("rd", ())),
            domain=get("do", ""),
            child=get("ch", ""),
            life=get("li", 1),
            gate=get("g", ""),
        )


class HeldFailure(NamedTuple):
    """A task that ended badly while its execution was paused: what that means is decided when it is resumed."""

    task: OpenTask  # as it was last
    status: TaskStatus
    reason: str | None
    ended: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What does not change over an execution's life, and is needed with every task message and summary."""

    correlation_id: str | None = None
    request_id: str | None = None
    trigger: str = "API"
    priority: int = 0
    task_to_domain: Mapping[str, str] = field(default_factory=dict)
    failed_workflow_id: str | None = None
    retention_s: int = 0
    parent: ParentTask | None = None
    depth: int = 0
    root: str = ""
    above: str = ""
    iteration: int = 0

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in (
            ("corr", self.correlation_id),
            ("req", self.request_id),
            ("pri", self.priority),
            ("domains", dict(self.task_to_domain)),
            ("of", self.failed_workflow_id),
            ("keep", self.retention_s),
            ("parent", self.parent.to_list() if self.parent else None),
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
    def from_dict(cls, data: Mapping[str, Any]) -> About:
        return cls(
            correlation_id=data.get("corr"),
            request_id=data.get("req"),
            trigger=data.get("trigger", "API"),
            priority=data.get("pri", 0),
            task_to_domain=data.get("domains", {}),
            failed_workflow_id=data.get("of"),
            retention_s=data.get("keep", 0),
            parent=ParentTask(*data["parent"]) if "parent" in data else None,
            depth=data.get("deep", 0),
            root=data.get("root", ""),
            above=data.get("above", ""),
            iteration=data.get("it", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the execution stands after a record."""

    status: WorkflowStatus
    definition: str  # content hash of the frozen definition
    created_ms: int
    last_retried_ms: int = 0  # the workflow's timeout counts from here when set
    ended_ms: int = 0
    task_count: int = 0
    open: Mapping[str, OpenTask] = field(default_factory=dict)  # by reference name
    ended: Mapping[str, Ended] = field(default_factory=dict)  # by reference name; what may still be read
    last_task: Ended | None = None  # of the highest number: its output is the workflow's when nothing else is said
    variables_record: int = 0  # the record that holds the variables; 0: the definition's own
    output_record: int = 0  # the record that holds the output of an ended execution
    mark: Mark | None = None
    about: About = field(default_factory=About)
    reason: str | None = None
    failed_refs: tuple[str, ...] = ()
    tolerated: tuple[Tolerated, ...] = ()
    last: tuple[Command, ...] = ()  # an ended execution's last commands
    stops: tuple[StopChild, ...] = ()  # whatever the status: children told to end whose end has not been heard
    stops_ms: int = 0  # when the first of the stops was last sent
    guards: tuple[int, int] = (0, 0)  # the last record that has a guard, after the one before it
    burst: tuple[int, int] = (0, 0)  # a minute (epoch), and how many records of our own making it has seen
    has_forked: bool = False  # a dynamic fork has run: the next one names its branches otherwise
    input_record: int = 0  # the record of the rerun that brought another input; 0: the first record has it
    life: int = 0  # the record that began the present run: a retry, restart or rerun; 0: the first record did
    seen: tuple[int, ...] = ()  # a child's: as of ``ChildRevived``, for the present life
    skipped: Mapping[str, Ended] = field(default_factory=dict)  # tasks that the flow steps over, by reference name
    passed: tuple[str, ...] = ()  # what follows a task that was retried after the flow had gone on without it
    todo: tuple[Begin, ...] = ()  # where the flow goes on: after a pause, after a retry, or at once, since a decision had run its scripts
    has_news: bool = False  # the next decision has to look at what waits for others
    held: tuple[HeldFailure, ...] = ()  # paused: what failed meanwhile
    returned: tuple[ReturnPermit, ...] = ()  # of this record: to be carried out before the next one is written

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"st": self.status.value, "def": self.definition, "t0": self.created_ms, "n": self.task_count}
        if self.open:
            out["open"] = {ref: task.to_list() for ref, task in self.open.items()}
        if self.ended:
            out["ended"] = {ref: place.to_list() for ref, place in self.ended.items()}
        if self.last_task:
            out["lt"] = self.last_task.to_list()
        if self.mark:
            out["mark"] = list(self.mark)
        if about := self.about.to_dict():
            out["about"] = about
        for key, value in (
            ("t1", self.ended_ms),
            ("tr", self.last_retried_ms),
            ("vars", self.variables_record),
            ("out", self.output_record),
            ("failed", list(self.failed_refs)),
            ("tol", [item.to_list() for item in self.tolerated]),
            ("last", [command.to_dict() for command in self.last]),
            ("inrec", self.input_record),
            ("life", self.life),
            ("seen", list(self.seen)),
            ("skip", {ref: place.to_list() for ref, place in self.skipped.items()}),
            ("passed", list(self.passed)),
            ("todo", [begin.to_list() for begin in self.todo]),
            ("held", [_held_list(item) for item in self.held]),
            ("stops", [command.to_dict() for command in self.stops]),
            ("ts", self.stops_ms),
            ("perm", [command.to_dict() for command in self.returned]),
        ):
            if value:
                out[key] = value
        if self.reason is not None:
            out["why"] = self.reason
        if self.guards[1]:
            out["guards"] = list(self.guards)
        if self.burst[1]:
            out["burst"] = list(self.burst)
        if self.has_forked:
            out["forked"] = 1
        if self.has_news:
            out["news"] = 1
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Head:
        get = data.get
        return cls(
            status=WorkflowStatus(data["st"]),
            definition=data["def"],
            created_ms=data["t0"],
            last_retried_ms=get("tr", 0),
            ended_ms=get("t1", 0),
            task_count=data["n"],
            open={ref: OpenTask.from_list(ref, item) for ref, item in get("open", {}).items()},
            ended={ref: Ended(*item) for ref, item in get("ended", {}).items()},
            last_task=Ended(*data["lt"]) if "lt" in data else None,
            variables_record=get("vars", 0),
            output_record=get("out", 0),
            mark=Mark(*data["mark"]) if "mark" in data else None,
            about=About.from_dict(get("about", {})),
            reason=get("why"),
            failed_refs=tuple(get("failed", ())),
            tolerated=tuple(Tolerated(*item) for item in get("tol", ())),
            last=tuple(command_from_dict(item) for item in get("last", ())),
            life=get("life", 0),
            seen=tuple(get("seen", ())),
            stops=tuple(StopChild.from_dict(item) for item in get("stops", ())),
            stops_ms=get("ts", 0),
            guards=_pair(get("guards", (0, 0))),
            burst=_pair(get("burst", (0, 0))),
            has_forked="forked" in data,
            input_record=get("inrec", 0),
            skipped={ref: Ended(*item) for ref, item in get("skip", {}).items()},
            passed=tuple(get("passed", ())),
            todo=tuple(Begin.from_list(item) for item in get("todo", ())),
            has_news="news" in data,
            held=tuple(_held_from_list(item) for item in get("held", ())),
            returned=tuple(ReturnPermit.from_dict(item) for item in get("perm", ())),
        )


def _held_list(held: HeldFailure) -> list[Any]:
    return [held.task.ref, held.task.to_list(), held.status.value, held.reason, held.ended.to_list()]


def _held_from_list(data: list[Any]) -> HeldFailure:
    ref, task, status, reason, ended = data
    return HeldFailure(OpenTask.from_list(ref, task), TaskStatus(status), reason, Ended(*ended))


# Attributes of TaskExecution that a change may set, with their key in the record. A key is never reused.
_CHANGE_KEYS: Mapping[str, str] = {
    "ref": "ref",
    "task_type": "type",
    "name": "name",
    "status": "s",
    "attempt": "a",
    "iteration": "it",
    "reason": "why",
    "scheduled_ms": "at",
    "first_scheduled_ms": "first",
    "started_ms": "start",
    "updated_ms": "upd",
    "ended_ms": "end",
    "start_delay_s": "d",
    "callback_after_s": "cb",
    "poll_count": "polls",
    "worker_id": "w",
    "domain": "dom",
    "retried_task_id": "of",
    "is_retried": "retried",
    "is_decided": "done",
}
_CHANGE_NAMES = {key: name for name, key in _CHANGE_KEYS.items()}


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A patch to the task of that number; one with a ``ref`` schedules it."""

    number: int
    fields: Mapping[str, Any]  # attribute of TaskExecution -> new value
    input: Any = None
    output: Any = None
    output_event: int = -1  # the index of the event whose output this is

    @property
    def is_new(self) -> bool:
        return "ref" in self.fields

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"i": self.number}
        for name, value in self.fields.items():
            out[_CHANGE_KEYS[name]] = value
        if self.input is not None:
            put_slot(out, "in", self.input)
        if self.output is not None:
            put_slot(out, "out", self.output)
        if self.output_event >= 0:
            out["ev"] = self.output_event
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskChange:
        fields = {_CHANGE_NAMES[key]: value for key, value in data.items() if key in _CHANGE_NAMES}
        if "status" in fields:
            fields["status"] = TaskStatus(fields["status"])
        return cls(data["i"], fields, get_slot(data, "in"), get_slot(data, "out"), data.get("ev", -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision. ``variables`` and ``output`` are those of the workflow, None when this record does not set them."""

    seq: int
    at_ms: int
    events: tuple[Event, ...]
    changes: tuple[TaskChange, ...]
    commands: tuple[Command, ...]
    head: Head
    variables: Any = None
    output: Any = None
    scheduled: tuple[TaskChange, ...] = field(init=False, repr=False, compare=False, default=())  # the changes that schedule a task

    def __post_init__(self) -> None:
        object.__setattr__(self, "scheduled", tuple(change for change in self.changes if change.is_new))

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "v": SCHEMA,
            "seq": self.seq,
            "at": self.at_ms,
            "ev": [event.to_dict() for event in self.events],
            "ch": [change.to_dict() for change in self.changes],
            "do": [command.to_dict() for command in self.commands],
            "head": self.head.to_dict(),
        }
        if self.variables is not None:
            put_slot(out, "vars", self.variables)
        if self.output is not None:
            put_slot(out, "out", self.output)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        if data["v"] > SCHEMA:
            raise NewerSchema(f"record of schema {data['v']}, this code knows {SCHEMA}")
        return cls(
            seq=data["seq"],
            at_ms=data["at"],
            events=tuple(event_from_dict(item) for item in data["ev"]),
            changes=tuple(TaskChange.from_dict(item) for item in data["ch"]),
            commands=tuple(command_from_dict(item) for item in data["do"]),
            head=Head.from_dict(data["head"]),
            variables=get_slot(data, "vars"),
            output=get_slot(data, "out"),
        )

    def to_json(self) -> bytes:
        return _ENCODER.encode(self.to_dict()).encode("utf-8", "surrogatepass")

    @classmethod
    def from_json(cls, plain: bytes) -> Record:
        """Raises NewerSchema for a record that a newer version wrote."""
        return cls.from_dict(json.loads(plain.decode("utf-8", "surrogatepass")))


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def _ops(data: Sequence[str] | int) -> tuple[str, ...]:
    """The first records (2026-11-21, 8614cbd) only counted them."""
    return ("",) * data if isinstance(data, int) else tuple(data)


def _pair(data: Sequence[int]) -> tuple[int, int]:
    return data[0], data[1]


def guarded(record: Record) -> Record:
    """The record as one that a guard watches over."""
    return replace(record, head=replace(record.head, guards=(record.head.guards[1], record.seq)))


# --- how records are stored: as JSON, its zlib form, or that with the execution's first record as the dictionary
#
# What tasks read mostly comes from the workflow's input, so a record repeats much of the first one. That never changes and goes
# last, so who has it can read all others; a tombstone stands alone, since it outlives it.

FIRST_MAX_BYTES = 32 * 1024  # zlib looks back no farther
_HAS_DICTIONARY = 0x20  # in the second byte of a zlib stream (RFC 1950, FDICT)


def pack(record: Record, plain: bytes, first: bytes = b"") -> bytes:
    """What the journal stores of ``plain``, the record's JSON: its zlib form when that is a write unit less, else itself.
    ``first`` is the JSON of record 1 where it is at hand."""
    if _write_units(plain) == 1:
        return plain
    is_alone = record.seq == 1 or record.head.status is WorkflowStatus.REMOVED or not 0 < len(first) <= FIRST_MAX_BYTES
    compressor = zlib.compressobj(6) if is_alone else zlib.compressobj(6, zdict=first)
    packed = compressor.compress(plain) + compressor.flush()
    return packed if _write_units(packed) < _write_units(plain) else plain


def needs_first(raw: bytes) -> bool:
    """Whether ``unpack`` needs the JSON of record 1."""
    return raw[:1] != b"{" and bool(raw[1] & _HAS_DICTIONARY)


def unpack(raw: bytes, first: bytes = b"") -> bytes:
    """The record's JSON."""
    if raw[:1] == b"{":
        return raw
    return zlib.decompressobj(zdict=first).decompress(raw) if needs_first(raw) else zlib.decompress(raw)


def _write_units(raw: bytes) -> int:
    return -(-(len(raw) + _KEY_BYTES) // _WRITE_UNIT_BYTES)
