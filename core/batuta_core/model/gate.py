"""What stands between a task type that has limits and its queue: a gate, of which each delivery of a task needs a permit.

A *delivery* is one message on the task queue: a task at its place, for the ``send``-th time. It enters the gate when it is due, is
admitted when its turn comes, and returns its permit when it is over: the attempt has ended, or goes back to its queue.

Three messages are said to a gate, over the decider queue, in a group of the gate's own. Like the guard they are instructions: they are
never journaled. The state is one item, written conditionally; what waits has an item of its own each.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from batuta_core.model.frozen import dataclass
from batuta_core.model.ids import short_hash
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace

# How long a task of the lowest priority would have to be there to stand before one of the next that comes now.
PRIORITY_WORTH_MS = 60_000
_KEY_CHARS = 11  # 66 bits: two of 10,000 permits of one gate meet with a chance of 1 : 10^12
_COMPRESS_FROM_BYTES = 1024  # a write unit


@dataclass(frozen=True, slots=True, order=True)
class GateId:
    """The gate of a task definition's name."""

    namespace: str
    name: str

    @property
    def group(self) -> str:
        """Of its messages; names hold any characters, groups do not."""
        return f"{self.namespace}#gate#{short_hash(self.name)}"


class Limits(NamedTuple):
    """``concurrent`` deliveries may be out at once, ``rate`` may start in each ``window_s``; 0 is no limit."""

    concurrent: int = 0
    rate: int = 0
    window_s: int = 1

    @property
    def is_none(self) -> bool:
        return not self.concurrent and not self.rate


NO_LIMITS = Limits()


class Entry(NamedTuple):
    """A delivery, and where it stands in line: the lowest ``order_ms`` comes first."""

    order_ms: int
    execution: ExecutionId
    place: TaskPlace
    send: int

    @property
    def sort_key(self) -> str:
        """Equal entries have equal keys, so that entering twice is entering once."""
        place = self.place
        return f"{self.order_ms:014d}#{self.execution.workflow_id}#{place.record:08d}.{place.nth:06d}.{place.rerun}.{self.send}"

    @property
    def permit(self) -> str:
        return permit_key(self.execution, self.place, self.send)

    @classmethod
    def from_sort_key(cls, namespace: str, text: str) -> Entry:
        order, workflow_id, rest = text.split("#")
        record, nth, rerun, send = map(int, rest.split("."))
        return cls(int(order), ExecutionId(namespace, workflow_id), TaskPlace(record, nth, rerun), send)


def order_ms(arrived_ms: int, priority: int) -> int:
    """The rule of priorities: higher first, and each point is worth a minute of waiting. So the lowest is overtaken for 99 minutes
    at most, and is never starved."""
    return arrived_ms - priority * PRIORITY_WORTH_MS


def permit_key(execution: ExecutionId, place: TaskPlace, send: int) -> str:
    """Names a delivery within its gate."""
    return short_hash(execution.workflow_id, f"{place.record}.{place.nth}.{place.rerun}.{send}", chars=_KEY_CHARS)


# --- what is said to a gate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntered:
    """A delivery is due. ``limits`` are those of the execution's definition, for a task type that is not registered. ``is_again``: its
    message may be lost; it is sent once more if it was admitted."""

    gate: str
    place: TaskPlace
    send: int
    order_ms: int
    limits: Limits = NO_LIMITS
    is_again: bool = False

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "enter", "gate": self.gate, "task": self.place.to_list(), "send": self.send, "o": self.order_ms}
        out["lim"] = list(self.limits)
        if self.is_again:
            out["again"] = True
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskEntered:
        return cls(
            gate=str(data["gate"]),
            place=TaskPlace(*map(int, data["task"])),
            send=int(data["send"]),
            order_ms=int(data["o"]),
            limits=Limits(*map(int, data["lim"])),
            is_again=bool(data.get("again")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitReturned:
    """A delivery has started (``is_over`` False) or is over. ``started_ms``: by its worker's clock; 0: nobody said."""

    gate: str
    place: TaskPlace
    send: int
    started_ms: int = 0
    is_over: bool = True

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"e": "leave", "gate": self.gate, "task": self.place.to_list(), "send": self.send}
        if self.started_ms:
            out["start"] = self.started_ms
        if not self.is_over:
            out["on"] = True
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PermitReturned:
        return cls(
            gate=str(data["gate"]),
            place=TaskPlace(*map(int, data["task"])),
            send=int(data["send"]),
            started_ms=int(data.get("start", 0)),
            is_over=not data.get("on"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDue:
    """Look who can be admitted: a window is over at ``due_ms``, or the limits have changed (0)."""

    gate: str
    due_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {"e": "due", "gate": self.gate, "due": self.due_ms}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GateDue:
        return cls(gate=str(data["gate"]), due_ms=int(data["due"]))


GateMessage = TaskEntered | PermitReturned | GateDue
GATE_MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], GateMessage]] = {
    "enter": TaskEntered.from_dict,
    "leave": PermitReturned.from_dict,
    "due": GateDue.from_dict,
}


# --- where a gate stands


class Held(NamedTuple):
    """A permit that is out. ``is_started``: its start is among the starts already, or no rate was limited when it was given."""

    admitted_ms: int
    is_started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """All that admitting depends on but those who wait."""

    version: int = 0
    held: Mapping[str, Held] = field(default_factory=dict)  # by permit
    starts: tuple[tuple[int, int], ...] = ()  # (moment, how many), in order: those that the present window may hold
    unsent: tuple[Entry, ...] = ()  # admitted, and perhaps not yet on the task queue
    has_waiting: bool = False
    wake_ms: int = 0  # when the gate will be told to look; 0: nothing is armed
    is_wake_unsent: bool = False
    pinned: Limits = NO_LIMITS  # what executions bring along, for a type that is not registered

    @property
    def is_open(self) -> bool:
        """Whether something is left to be done that the state says."""
        return bool(self.unsent) or self.is_wake_unsent

    def to_bytes(self) -> bytes:
        data: dict[str, Any] = {"v": 1, "n": self.version, "p": list(self.pinned)}
        for key, value in (
            ("h", {permit: -held.admitted_ms if held.is_started else held.admitted_ms for permit, held in self.held.items()}),
            ("s", [list(start) for start in self.starts]),
            ("u", [entry.sort_key for entry in self.unsent]),
            ("w", self.has_waiting),
            ("at", self.wake_ms),
            ("arm", self.is_wake_unsent),
        ):
            if value:
                data[key] = value
        raw = json.dumps(data, separators=(",", ":")).encode()
        return zlib.compress(raw) if len(raw) > _COMPRESS_FROM_BYTES else raw

    @classmethod
    def from_bytes(cls, namespace: str, raw: bytes) -> GateState:
        data = json.loads(raw if raw.startswith(b"{") else zlib.decompress(raw))
        return cls(
            version=data["n"],
            held={permit: Held(abs(at_ms), at_ms < 0) for permit, at_ms in data.get("h", {}).items()},
            starts=tuple((at_ms, count) for at_ms, count in data.get("s", ())),
            unsent=tuple(Entry.from_sort_key(namespace, key) for key in data.get("u", ())),
            has_waiting=data.get("w", False),
            wake_ms=data.get("at", 0),
            is_wake_unsent=data.get("arm", False),
            pinned=Limits(*data["p"]),
        )
