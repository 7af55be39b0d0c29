"""What the engine needs from the world. Adapters for AWS and the simulator implement these; one contract suite judges both. Events and
definitions have ports in files of their own.

Every call may raise ``Unavailable`` (throttled, no answer: it may or may not have happened) or ``ResourceMissing``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from batuta_core.decider.known import Script, ScriptResult
from batuta_core.model.error import ResourceMissing, StaleHead
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.gate import Entry, GateId, GateState
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record
from batuta_core.model.token import Signer

if TYPE_CHECKING:
    from batuta_core.engine.catalog import Catalog
    from batuta_core.engine.definition_ports import Definitions
    from batuta_core.engine.event_ports import HandlerActions
    from batuta_core.engine.fetch import Cache


class Refused(StaleHead):
    """``append`` met a record of that number. It may be one's own, from a write whose reply was lost."""

    def __init__(self, existing: Record) -> None:
        super().__init__(f"record {existing.seq} is there already")
        self.existing = existing


class QueueMissing(ResourceMissing):
    """There is no such queue."""

    code = "queue_missing"
    remedy = "Register the task definition: that makes its queue."


class Journal(Protocol):
    def newest(self, execution: ExecutionId) -> Record | None:
        """The record with the highest number, read strongly consistently."""

    def glance(self, execution: ExecutionId) -> Record | None:
        """As ``newest``, for half the price: it may be an older one, or None, where a write was moments ago."""

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        """One conditional write of the record, whose JSON is ``plain``. Raises Refused when the number is taken. A tombstone
        (REMOVED) expires by itself after ``TOMBSTONE_S``."""

    def read(self, execution: ExecutionId, seqs: Collection[int]) -> Mapping[int, Record]:
        """Those of the records that exist."""

    def scan(self, execution: ExecutionId, first: int = 1) -> Iterator[Record]:
        """The records from number ``first`` on, in order, page by page."""

    def purge(self, execution: ExecutionId, keep: int) -> None:
        """Deletes the records below number ``keep``, the first one first: a journal without it is known to be going. Repeats do
        nothing more."""


# A tombstone outlives every message (SQS: 14 days at most).
TOMBSTONE_S = 15 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent. ``group`` and ``dedup`` are for FIFO queues, ``delay_s`` (at most 900) for the others."""

    text: str
    delay_s: int = 0
    group: str = ""
    dedup: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that was received. Whoever holds it owes ``delete`` once it is dealt with."""

    message_id: str
    text: str
    receipt: str
    receives: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class QueueSize:
    """Approximate, as SQS counts."""

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight + self.delayed


# What the engine counts on, and every stage gives its queues.
TASK_VISIBILITY_S = 30  # a worker renews its lease while it runs; a dead one's task is back after this long
# A function's queue keeps a message invisible for longer than the function lives, so that two of its runs never hold one
# message at once; Lambda asks for six times the function's timeout, which is 30 s.
FUNCTION_VISIBILITY_S = 180
QUEUE_RETENTION_S = 14 * 24 * 3600  # the most that SQS keeps a message (quota "message retention")
MAX_RECEIVES = 5  # then the queue gives a message up: throttles and crashing neighbours raise the count of innocents

EVENT_RECEIVES = 3  # of an event, which may be published again; Lambda tries an asynchronous event two times more at most


class Queues(Protocol):
    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """All or an error; an error may leave some of them sent. Raises QueueMissing."""

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        """Up to ``limit`` (at most 10) messages, waiting up to ``wait_s`` (at most 20) for the first. Raises QueueMissing."""

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """Receipts that are no longer valid are ignored."""

    def release(self, queue: str, receipts: Sequence[str]) -> None:
        """Makes the messages visible again at once."""

    def size(self, queue: str) -> QueueSize:
        """Raises QueueMissing."""

    def ensure_task_queue(self, queue: str) -> None:
        """Makes the queue with a task queue's attributes unless it is there."""


@dataclass(frozen=True, slots=True, order=True)
class FarTimer:
    """A deadline that is more than SQS's 15 minutes away, in the bucket of its minute."""

    due_ms: int
    execution: ExecutionId
    record: int

    @property
    def minute(self) -> int:
        return self.due_ms // 60_000


class FarTimers(Protocol):
    def put(self, timer: FarTimer) -> None:
        """Repeats do nothing more."""

    def in_minute(self, minute: int) -> Iterator[Sequence[FarTimer]]:
        """The timers of that minute in pages, read strongly consistently."""

    def delete(self, timers: Sequence[FarTimer]) -> None: ...

    def begin_cursor(self, minute: int) -> None:
        """Sets the cursor unless it is set."""

    def cursor(self) -> int:
        """The first minute that may still hold or receive timers; 0 when it was never begun."""

    def set_cursor(self, minute: int) -> None:
        """Never moves back."""


class GateOvertaken(StaleHead):
    """``Gates.write`` met another state than the one that was read. It may be one's own, from a write whose reply was lost."""


class Gates(Protocol):
    """Where the gates of task types with limits stand, and who waits at them."""

    def read(self, gate: GateId) -> GateState:
        """Strongly consistent; of version 0 when nobody has written it yet."""

    def write(self, gate: GateId, state: GateState) -> None:
        """One conditional write over the state of the version before. Raises GateOvertaken."""

    def wait(self, gate: GateId, entries: Sequence[Entry]) -> None:
        """Puts them in line. Repeats do nothing more."""

    def waiting(self, gate: GateId, limit: int, after: str = "") -> Sequence[Entry]:
        """The first ``limit`` in line behind the sort key ``after``, read strongly consistently."""

    def forget(self, gate: GateId, entries: Sequence[Entry]) -> None:
        """Takes them out of the line. Repeats do nothing more."""


class Payloads(Protocol):
    def put(self, execution: ExecutionId, raw: bytes) -> PayloadRef:
        """Keeps ``raw`` under a name made from its content, below the execution's prefix: equal content, equal reference."""

    def get(self, execution: ExecutionId, ref: PayloadRef) -> bytes: ...

    def purge(self, execution: ExecutionId) -> None:
        """Deletes all payloads of the execution. Repeats do nothing more."""

    def copy(self, source: ExecutionId, ref: PayloadRef, target: ExecutionId) -> None:
        """Gives ``target`` the payload under the same reference, without reading it. Raises WorkflowNotFound when it is gone."""

    def url(self, path: str, *, is_write: bool) -> str:
        """Where whoever has the URL may read the object at ``path``, or write it, for some minutes."""

    def peek(self, path: str) -> Uploaded | None:
        """What was written to such a URL."""

    def adopt(self, path: str, version: str, execution: ExecutionId, ref: PayloadRef) -> bool:
        """Gives the execution a copy of that version as ``ref``. False when another was written since."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """``beginning``: its first bytes; ``version`` tells one content from another."""

    size_bytes: int
    version: str
    beginning: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the search indexes know of an execution: fields of Conductor's, Unmeshed's and Repid's searches alike."""

    execution: ExecutionId
    record: int  # the record that it reflects
    dispatched: int = 0  # all records up to it that have a guard are known to be dispatched
    status: WorkflowStatus
    name: str
    version: int
    started_ms: int
    updated_ms: int
    ended_ms: int = 0
    correlation_id: str | None = None
    request_id: str | None = None
    parent_workflow_id: str | None = None
    trigger: str = "API"
    process_type: str = "STANDARD"
    is_reviewed: bool = False
    priority: int = 0
    reason: str | None = None
    failed_refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryQuery:
    """Newest first. ``name`` or ``correlation_id`` must be given; the other fields narrow."""

    namespace: str
    name: str = ""
    status: WorkflowStatus | None = None
    correlation_id: str = ""
    started_from_ms: int = 0
    started_to_ms: int = 0
    limit: int = 100
    cursor: str = ""  # of the page before


@dataclass(frozen=True, slots=True)
class SummaryPage:
    summaries: Sequence[Summary]
    cursor: str  # empty: the last page


class Summaries(Protocol):
    def write(self, summary: Summary) -> bool:
        """Only over a smaller record number; False when it was not smaller. ``dispatched`` is left alone when it is 0."""

    def note_dispatched(self, execution: ExecutionId, record: int, after: int) -> None:
        """Sets ``dispatched`` to ``record``, only over a smaller number that is at least ``after``."""

    def get(self, execution: ExecutionId) -> Summary | None: ...

    def delete(self, execution: ExecutionId) -> None: ...

    def find(self, query: SummaryQuery) -> SummaryPage:
        """From the indexes: a second or so behind."""


@dataclass(frozen=True, slots=True)
class PollData:
    """Who last polled a task type."""

    task_type: str
    domain: str
    worker_id: str
    at_ms: int


ANY_TASK = "*"
# Of more task names than that none is kept by name: an item that grew with each of them would cost each time it is written.
NOTED_TASKS_MAX = 100


@dataclass(frozen=True, slots=True)
class LogLine:
    task_id: str
    text: str
    at_ms: int


class Logs(Protocol):
    """Log lines that came alone; those that came with a result lie in the journal."""

    def add(self, execution: ExecutionId, line: LogLine, op: str) -> None:
        """``op`` makes a repeat harmless."""

    def lines(self, execution: ExecutionId) -> Sequence[LogLine]: ...

    def purge(self, execution: ExecutionId) -> None: ...


class Scripts(Protocol):
    """Where users' scripts are run, apart from everything else."""

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        """A result for each, in order. What a script does wrong is a result; raises Unavailable when none could be run."""


class NoScripts:
    """Where nothing can run scripts."""

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        return [ScriptResult(error=f"nothing here runs {script.language.value}") for script in scripts]


class Clock(Protocol):
    def now_ms(self) -> int: ...

    def sleep(self, ms: int) -> None:
        """For a call that waits for an execution."""

    def pause(self, tries: int) -> None:
        """A short random wait that grows with ``tries``: before deciding again after losing a race."""


class Ids(Protocol):
    def workflow_id(self) -> str:
        """A new random execution id, in the spelling of a UUID."""

    def op(self) -> str:
        """A short random name for one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All of it, as the engine's functions take it."""

    stage: str
    journal: Journal
    queues: Queues
    far_timers: FarTimers
    gates: Gates
    payloads: Payloads
    summaries: Summaries
    definitions: Definitions
    logs: Logs
    clock: Clock
    ids: Ids
    signer: Signer
    catalog: Catalog
    cache: Cache
    actions: HandlerActions
    scripts: Scripts = field(default_factory=lambda: NoScripts())
    retention_s: int = 0  # how long ended executions are kept; 0: until somebody deletes them
    log: Log = field(default_factory=lambda: NullLog())


class Log(Protocol):
    """Structured log lines: an event name in snake_case and facts. Never payloads."""

    def info(self, event: str, **facts: Any) -> None: ...

    def warning(self, event: str, **facts: Any) -> None: ...

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        """Something that must not happen, with the error's traceback unless it is one of ours that may be retried."""


class NullLog:
    """Says nothing."""

    def info(self, event: str, **facts: Any) -> None:
        pass

    def warning(self, event: str, **facts: Any) -> None:
        pass

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        pass
