"""Around the pure decider: gives it what it asks for, and keeps what never changes."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from batuta_core.decider.compile import Graph, Node, compile_definition, compile_segment
from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.forked import OpenNodes
from batuta_core.decider.known import Known, Missing, Needs, NotStartable
from batuta_core.decider.view import Reader
from batuta_core.engine.payload_cache import PayloadCache
from batuta_core.engine.ports import Ports
from batuta_core.engine.returns import return_permits
from batuta_core.model.error import BatutaError, RecordTooLarge, WorkflowDefinitionNotFound
from batuta_core.model.event import Event, TaskUpdated, WorkflowBroken, WorkflowStarted
from batuta_core.model.family_event import ChildEnded, StoppedByParent
from batuta_core.model.names import ExecutionId, forking_definition, is_segment
from batuta_core.model.operation_event import VariablesUpdated, WorkflowRerun, WorkflowRestarted
from batuta_core.model.payload import (
    INLINE_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    Assembled,
    PayloadPart,
    PayloadRef,
    filled,
    holes_of,
    too_large,
    without_parts,
)
from batuta_core.model.record import OpenTask, Record, pack

# A decision asks for records, then for payloads in them, then perhaps for a definition; more rounds mean a bug.
_ROUNDS_MAX = 50

RECORD_MAX_BYTES = 380 * 1024  # DynamoDB's item limit is 400 KB with keys and attribute names; measured uncompressed
PACKED_MAX_BYTES = 390 * 1024  # of a record that stays larger than that: as stored, but for what the first record may save
_SPILL_MIN_BYTES = 512
SPILLED_MAX = 500  # payloads of one record, put one after the other: some 10 s of a function's 30, at 20 ms each


K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The ``size`` entries used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:  # another thread dropped it in between
                pass
        return value

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        if len(self._entries) > self._size:
            try:
                self._entries.popitem(last=False)
            except KeyError:
                pass

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()


@dataclass(slots=True)
class LimitedTypes:
    """Which task types have limits by the definitions of ``revision``, read at ``looked_ms``."""

    revision: int
    looked_ms: int
    known: dict[str, bool] = field(default_factory=dict)


class Cache:
    """Graphs and records are immutable, so a process may keep them for as long as it likes."""

    def __init__(self, graphs: int = 200, records: int = 200) -> None:
        self.graphs: LruCache[tuple[str, str], Graph] = LruCache(graphs)
        self.records: LruCache[tuple[ExecutionId, int], Record] = LruCache(records)
        self.payloads = PayloadCache()
        self.is_cursor_begun = False  # of the far timers
        self.stored: LruCache[tuple[str, str], bool] = LruCache(10_000)  # frozen definitions known to be stored
        self.returned: LruCache[tuple[ExecutionId, int], bool] = LruCache(1000)  # records whose permits this process has returned
        self.limited: LruCache[str, LimitedTypes] = LruCache(200)  # by namespace
        self.priority_queues: LruCache[str, int] = LruCache(10_000)  # by name: when it is to be looked for again; 0: it is there


class JournalGap(RuntimeError):
    """Records that a head relies on are gone: the head is an old one, of an execution that was removed since."""


def graph_of(ports: Ports, namespace: str, content_hash: str) -> Graph:
    """The compiled definition that an execution pins."""
    found = ports.cache.graphs.get((namespace, content_hash))
    if found is None:
        if is_segment(content_hash):
            of, fork = forking_definition(content_hash)
            found = compile_segment(graph_of(ports, namespace, of), fork, content_hash)
        else:
            frozen = ports.definitions.frozen(namespace, content_hash)
            if frozen is None:
                raise WorkflowDefinitionNotFound(f"no definition of hash {content_hash} in namespace {namespace}", definition=content_hash)
            found = compile_definition(frozen, content_hash)
        ports.cache.graphs.put((namespace, content_hash), found)
    return found


def read_records(ports: Ports, execution: ExecutionId, seqs: Collection[int]) -> dict[int, Record]:
    """Those of the records that exist; from the cache where it has them."""
    found: dict[int, Record] = {}
    for seq in seqs:
        record = ports.cache.records.get((execution, seq))
        if record is not None:
            found[seq] = record
    missing = set(seqs) - found.keys()
    if missing:
        for seq, record in ports.journal.read(execution, missing).items():
            ports.cache.records.put((execution, seq), record)
            found[seq] = record
    return found


def read_payload(ports: Ports, execution: ExecutionId, value: Any) -> Any:
    """The payload itself, where ``value`` may be a reference to it. Raises PayloadTooLarge for one that is never loaded."""
    if not isinstance(value, PayloadRef):
        return value
    if value.size_bytes > PAYLOAD_MAX_BYTES:
        raise too_large(PayloadPart(value), "the server")
    found = load_json(ports.payloads.get(execution, value))
    return filled(found, value.holes) if value.holes else found


def kept_payload(ports: Ports, execution: ExecutionId, value: Any) -> Any:
    """As ``read_payload``, of one that this process will want again."""
    if not isinstance(value, PayloadRef) or value.holes or value.size_bytes > PAYLOAD_MAX_BYTES:
        return read_payload(ports, execution, value)
    return _kept_payload(ports, execution, value)


def _kept_payload(ports: Ports, execution: ExecutionId, ref: PayloadRef) -> Any:
    found = ports.cache.payloads.get(execution, ref)
    if found is None:
        found = load_json(ports.payloads.get(execution, ref))
        ports.cache.payloads.put(execution, ref, found)
    return found


def decide_with(ports: Ports, execution: ExecutionId, newest: Record | None, events: Sequence[Event]) -> Decision:
    """Decides on ``events`` after ``newest``, fetching what the decider needs. The time is read once."""
    if newest is not None:
        restarts = [event.definition for event in events if isinstance(event, WorkflowRestarted)]
        content_hash = restarts[0] if restarts else newest.head.definition
    else:
        first = events[0]
        if not isinstance(first, WorkflowStarted | StoppedByParent):
            raise ValueError(f"an execution begins with {type(first).__name__}")
        content_hash = first.definition
    graph = graph_of(ports, execution.namespace, content_hash)
    if newest is not None and newest.head.returned:
        return_permits(ports, execution, newest)
    known = Known(records={newest.seq: newest} if newest else {})
    now_ms = ports.clock.now_ms()
    for _ in range(_ROUNDS_MAX):
        answer = decide(graph, execution, newest.head if newest else None, newest.seq if newest else 0, events, known, now_ms)
        if isinstance(answer, Decision):
            return answer
        known = fetch(ports, execution, known, answer)
    raise RuntimeError(f"{execution}: the decider still lacks something after {_ROUNDS_MAX} rounds")


def fetch(ports: Ports, execution: ExecutionId, known: Known, needs: Needs) -> Known:
    """``known`` and what ``needs`` names. Raises JournalGap for records that are gone."""
    records = {**known.records, **read_records(ports, execution, needs.records)}
    if missing := needs.records - records.keys():
        raise JournalGap(f"{execution}: the journal lacks records {sorted(missing)}")
    payloads = {**known.payloads, **{ref.key: _kept_payload(ports, execution, ref) for ref in needs.payloads}}
    definitions = dict(known.definitions)
    for name in needs.definitions:
        try:
            definitions[name] = ports.catalog.require(ports, execution.namespace, name)
        except BatutaError as error:
            if error.retryable:
                raise
            definitions[name] = NotStartable(error.message)
    wanted = sorted(needs.scripts)
    scripts = {**known.scripts, **dict(zip(wanted, ports.scripts.run(wanted), strict=True))} if wanted else known.scripts
    tasks = known.task_definitions
    if names := needs.task_definitions:
        registered = ports.definitions.tasks(execution.namespace, names)
        tasks = {**tasks, **{name: registered.get(name) for name in names}}
    polls = dict(known.polls)
    for task_type in sorted({wanted.task_type for wanted in needs.polls}):
        seen = {poll.domain: poll.at_ms for poll in ports.definitions.polls(execution.namespace, task_type)}
        polls.update((wanted, seen.get(wanted.domain, 0)) for wanted in needs.polls if wanted.task_type == task_type)
    return Known(records, payloads, definitions, scripts, tasks, polls)


def open_nodes(ports: Ports, execution: ExecutionId, newest: Record, graph: Graph, tasks: Iterable[OpenTask]) -> dict[str, Node]:
    """The nodes of open tasks, by reference name; those of dynamic forks from the records of the forks."""
    found: dict[str, Node] = {}
    known = Known(records={newest.seq: newest})
    nodes = OpenNodes(graph)
    for task in tasks:
        while task.ref not in found:
            try:
                found[task.ref] = nodes.of(task, Reader(known))
            except Missing as missing:
                known = fetch(ports, execution, known, missing.needs)
    return found


# --- payloads of records


def dump_json(value: Any) -> bytes:
    """The one form in which payloads are measured and stored."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def load_json(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8", "surrogatepass"))


def spill(ports: Ports, execution: ExecutionId, record: Record) -> tuple[Record, bytes]:
    """The record as it will be stored, and its JSON: every payload above the limit is put into the payload store and replaced by its
    reference.

    Done before the commit. A crash in between leaves an object that the execution's removal deletes. Raises RecordTooLarge when that does
    not help: thousands of small inputs in one record.
    """
    plain = record.to_json()
    limit = INLINE_MAX_BYTES
    while len(plain) > limit:  # else no payload in it can be above
        record = _spilled(ports, execution, record, limit)
        plain = record.to_json()
        if len(plain) <= RECORD_MAX_BYTES or limit <= _SPILL_MIN_BYTES:
            break
        limit //= 4  # many middling payloads in one record: more of them leave
    if len(plain) > RECORD_MAX_BYTES and (size := len(pack(record, plain))) > PACKED_MAX_BYTES:
        what = f"what follows from one event would take {size // 1024} KB in the journal, where {PACKED_MAX_BYTES // 1024} KB fit"
        raise RecordTooLarge(f"{what} ({len(record.scheduled)} tasks are scheduled at once)", size_bytes=size)
    return record, plain


def broken_by(error: RecordTooLarge, op: str) -> WorkflowBroken:
    """The end of an execution that cannot go on since its next record would be too large."""
    return WorkflowBroken(op=op, reason=f"{error.message}. {error.remedy}")


def _spilled(ports: Ports, execution: ExecutionId, record: Record, limit: int) -> Record:
    large: dict[bytes, None] = {}  # equal ones once, in their order

    def look(value: Any) -> Any:
        if value is not None and not isinstance(value, PayloadRef) and len(raw := raw_of(value)) > limit:
            large[raw] = None
        return value

    with_slots(record, look)
    if len(large) > SPILLED_MAX:  # then they stay, and perhaps it fits when it is compressed
        return record
    refs = {raw: ports.payloads.put(execution, raw) for raw in large}

    def slot(value: Any) -> Any:
        if value is None or isinstance(value, PayloadRef) or (ref := refs.get(raw_of(value))) is None:
            return value
        return holed(ref, value)

    return with_slots(record, slot) if refs else record


def stored(ports: Ports, execution: ExecutionId, value: Any, raw: bytes) -> PayloadRef:
    """A reference to ``value``, whose JSON without parts is ``raw``."""
    return holed(ports.payloads.put(execution, raw), value)


def holed(ref: PayloadRef, value: Any) -> PayloadRef:
    """``ref`` to the JSON of ``value`` without its parts, with these."""
    return replace(ref, holes=tuple(holes_of(value))) if type(value) is Assembled else ref


def raw_of(value: Any) -> bytes:
    """The JSON of a payload, without the parts of others in it."""
    return dump_json(without_parts(value) if type(value) is Assembled else value)


def with_slots(record: Record, slot: Callable[[Any], Any]) -> Record:
    """The record with ``slot`` of every place in it that holds a payload or a reference to one."""
    return replace(
        record,
        events=tuple(_event_with(event, slot) for event in record.events),
        changes=tuple(replace(change, input=slot(change.input), output=slot(change.output)) for change in record.changes),
        variables=slot(record.variables),
        output=slot(record.output),
    )


def _event_with(event: Event, slot: Callable[[Any], Any]) -> Event:
    if isinstance(event, WorkflowStarted):
        return replace(event, input=slot(event.input))
    if isinstance(event, WorkflowRerun):
        return replace(event, input=slot(event.input), task_input=slot(event.task_input))
    if isinstance(event, VariablesUpdated):
        return replace(event, variables=slot(event.variables))
    return replace(event, output=slot(event.output)) if isinstance(event, TaskUpdated | ChildEnded) else event
