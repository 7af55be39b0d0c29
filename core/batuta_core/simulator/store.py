"""DynamoDB and S3 in memory: what the adapters keep there, as bytes, so that every encoding is exercised."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from batuta_core.engine.event_ports import HandlerAction
from batuta_core.engine.ports import (
    ANY_TASK,
    NOTED_TASKS_MAX,
    FarTimer,
    GateOvertaken,
    LogLine,
    PollData,
    Refused,
    Summary,
    SummaryPage,
    SummaryQuery,
    Uploaded,
)
from batuta_core.model import ids
from batuta_core.model.error import DefinitionExists, WorkflowNotFound
from batuta_core.model.gate import Entry, GateId, GateState
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record, pack, unpack


class SimulatedJournal:
    def __init__(self, on_append: Callable[[ExecutionId, Record], None] | None = None) -> None:
        self._records: dict[ExecutionId, dict[int, bytes]] = defaultdict(dict)
        self._on_append = on_append

    def newest(self, execution: ExecutionId) -> Record | None:
        records = self._records.get(execution)
        return self._record(execution, max(records)) if records else None

    def glance(self, execution: ExecutionId) -> Record | None:
        return self.newest(execution)

    def glance_stale(self, execution: ExecutionId) -> Record | None:
        """What an eventually consistent read may still see: the record before."""
        before = sorted(self._records.get(execution, {}))[:-1]
        return self._record(execution, before[-1]) if before else None

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        records = self._records[execution]
        if record.seq in records:
            raise Refused(self._record(execution, record.seq))
        records[record.seq] = pack(record, plain, self._first(execution))
        if self._on_append is not None:
            self._on_append(execution, self._record(execution, record.seq))

    def read(self, execution: ExecutionId, seqs: Collection[int]) -> Mapping[int, Record]:
        records = self._records.get(execution, {})
        return {seq: self._record(execution, seq) for seq in seqs if seq in records}

    def scan(self, execution: ExecutionId, first: int = 1) -> Iterator[Record]:
        records = self._records.get(execution, {})
        return iter([self._record(execution, seq) for seq in sorted(records) if seq >= first])

    def purge(self, execution: ExecutionId, keep: int) -> None:
        for seq in [seq for seq in self._records.get(execution, {}) if seq < keep]:
            del self._records[execution][seq]

    def executions(self) -> list[ExecutionId]:
        return list(self._records)

    def _first(self, execution: ExecutionId) -> bytes:
        raw = self._records[execution].get(1)
        return unpack(raw) if raw else b""

    def _record(self, execution: ExecutionId, seq: int) -> Record:
        return Record.from_json(unpack(self._records[execution][seq], self._first(execution)))


class SimulatedPayloads:
    def __init__(self) -> None:
        self.objects: dict[tuple[ExecutionId, str], bytes] = {}
        self.uploads: dict[str, bytes] = {}

    def put(self, execution: ExecutionId, raw: bytes) -> PayloadRef:
        key = ids.short_hash(raw)
        self.objects[execution, key] = raw
        return PayloadRef(key, len(raw))

    def get(self, execution: ExecutionId, ref: PayloadRef) -> bytes:
        if (execution, ref.key) not in self.objects:
            raise WorkflowNotFound(f"payload {ref.key} of {execution} is gone")
        return self.objects[execution, ref.key]

    def purge(self, execution: ExecutionId) -> None:
        for key in [key for key in self.objects if key[0] == execution]:
            del self.objects[key]

    def copy(self, source: ExecutionId, ref: PayloadRef, target: ExecutionId) -> None:
        if (source, ref.key) not in self.objects:
            raise WorkflowNotFound(f"payload {ref.key} of {source} is gone")
        self.objects[target, ref.key] = self.objects[source, ref.key]

    def url(self, path: str, *, is_write: bool) -> str:
        return f"memory:///{path}?{'write' if is_write else 'read'}"

    def peek(self, path: str) -> Uploaded | None:
        raw = self.uploads.get(path)
        return None if raw is None else Uploaded(len(raw), ids.short_hash(raw), raw[:32])

    def adopt(self, path: str, version: str, execution: ExecutionId, ref: PayloadRef) -> bool:
        raw = self.uploads.get(path)
        if raw is None or ids.short_hash(raw) != version:
            return False
        self.objects[execution, ref.key] = raw
        return True

    # --- what whoever has a URL does

    def upload(self, url: str, raw: bytes) -> None:
        path, _, right = url.removeprefix("memory:///").partition("?")
        if right != "write":
            raise ValueError(f"{url} is not for writing")
        self.uploads[path] = raw

    def download(self, url: str) -> bytes:
        path, _, right = url.removeprefix("memory:///").partition("?")
        namespace, workflow_id, key = path.split("/")
        if right != "read":
            raise ValueError(f"{url} is not for reading")
        return self.objects[ExecutionId(namespace, workflow_id), key]


class SimulatedSummaries:
    def __init__(self) -> None:
        self._summaries: dict[ExecutionId, Summary] = {}
        self._before: dict[ExecutionId, Summary | None] = {}

    def write(self, summary: Summary) -> bool:
        old = self._summaries.get(summary.execution)
        if old is not None and old.record >= summary.record:
            return False
        if old is not None and not summary.dispatched:
            summary = replace(summary, dispatched=old.dispatched)
        self._before[summary.execution] = old
        self._summaries[summary.execution] = summary
        return True

    def note_dispatched(self, execution: ExecutionId, record: int, after: int) -> None:
        old = self._summaries.get(execution)
        if old is not None and after <= old.dispatched < record:
            self._before[execution] = old
            self._summaries[execution] = replace(old, dispatched=record)

    def get(self, execution: ExecutionId) -> Summary | None:
        return self._summaries.get(execution)

    def get_stale(self, execution: ExecutionId) -> Summary | None:
        """What an eventually consistent read may still see."""
        return self._before.get(execution)

    def delete(self, execution: ExecutionId) -> None:
        self._summaries.pop(execution, None)
        self._before.pop(execution, None)

    def find(self, query: SummaryQuery) -> SummaryPage:
        found = [summary for summary in self._summaries.values() if _matches(summary, query)]
        found.sort(key=lambda summary: (summary.started_ms, str(summary.execution)), reverse=True)
        begin = int(query.cursor or 0)
        page = found[begin : begin + query.limit]
        return SummaryPage(page, str(begin + query.limit) if begin + query.limit < len(found) else "")


def _matches(summary: Summary, query: SummaryQuery) -> bool:
    return (
        summary.execution.namespace == query.namespace
        and (not query.name or summary.name == query.name)
        and (query.status is None or summary.status is query.status)
        and (not query.correlation_id or summary.correlation_id == query.correlation_id)
        and query.started_from_ms <= summary.started_ms
        and (not query.started_to_ms or summary.started_ms <= query.started_to_ms)
    )


class SimulatedFarTimers:
    def __init__(self) -> None:
        self._timers: dict[int, set[FarTimer]] = defaultdict(set)
        self._cursor = 0

    def put(self, timer: FarTimer) -> None:
        self._timers[timer.minute].add(timer)

    def in_minute(self, minute: int) -> Iterator[Sequence[FarTimer]]:
        timers = sorted(self._timers.get(minute, ()))
        if timers:
            yield timers

    def delete(self, timers: Sequence[FarTimer]) -> None:
        for timer in timers:
            self._timers[timer.minute].discard(timer)

    def begin_cursor(self, minute: int) -> None:
        self._cursor = self._cursor or minute

    def cursor(self) -> int:
        return self._cursor

    def set_cursor(self, minute: int) -> None:
        self._cursor = max(self._cursor, minute)

    def all(self) -> list[FarTimer]:
        return sorted(timer for timers in self._timers.values() for timer in timers)


class SimulatedGates:
    def __init__(self) -> None:
        self._states: dict[GateId, bytes] = {}
        self._lines: dict[GateId, set[str]] = defaultdict(set)

    def read(self, gate: GateId) -> GateState:
        return GateState.from_bytes(gate.namespace, self._states[gate]) if gate in self._states else GateState()

    def write(self, gate: GateId, state: GateState) -> None:
        if self.read(gate).version != state.version - 1:
            raise GateOvertaken(f"the gate {gate} was overtaken")
        self._states[gate] = state.to_bytes()

    def wait(self, gate: GateId, entries: Sequence[Entry]) -> None:
        self._lines[gate].update(entry.sort_key for entry in entries)

    def waiting(self, gate: GateId, limit: int, after: str = "") -> Sequence[Entry]:
        keys = sorted(key for key in self._lines[gate] if key > after)[:limit]
        return [Entry.from_sort_key(gate.namespace, key) for key in keys]

    def forget(self, gate: GateId, entries: Sequence[Entry]) -> None:
        self._lines[gate].difference_update(entry.sort_key for entry in entries)

    def all(self) -> list[GateId]:
        return list(self._states)


class SimulatedDefinitions:
    def __init__(self) -> None:
        self._workflows: dict[tuple[str, str, int], str] = {}
        self._tasks: dict[tuple[str, str], str] = {}
        self._frozen: dict[tuple[str, str], str] = {}
        self._handlers: dict[tuple[str, str], str] = {}
        self._polls: dict[tuple[str, str, str, str], PollData] = {}
        self._names: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self._revision: dict[str, int] = defaultdict(int)

    def revision(self, namespace: str) -> int:
        return self._revision[namespace]

    def put_workflows(self, namespace: str, definitions: Sequence[Mapping[str, Any]], *, is_new: bool = False) -> None:
        keys = [(namespace, definition["name"], definition["version"]) for definition in definitions]
        if is_new and (taken := [key for key in keys if key in self._workflows]):
            raise DefinitionExists(f"Workflow with {taken[0][1]}.{taken[0][2]} already exists!")
        self._workflows.update({key: json.dumps(definition) for key, definition in zip(keys, definitions, strict=True)})
        self._revision[namespace] += 1

    def workflow(self, namespace: str, name: str, version: int | None) -> Mapping[str, Any] | None:
        if version is None:
            version = max((key[2] for key in self._workflows if key[:2] == (namespace, name)), default=None)
        text = self._workflows.get((namespace, name, version)) if version is not None else None
        return None if text is None else json.loads(text)

    def workflows(self, namespace: str, name: str = "") -> Sequence[Mapping[str, Any]]:
        keys = sorted(key for key in self._workflows if key[0] == namespace and (not name or key[1] == name))
        return [json.loads(self._workflows[key]) for key in keys]

    def names(self, namespace: str, task: str = "") -> Sequence[str]:
        noted = self._names[namespace]
        if task:
            return sorted(name for name, tasks in noted.items() if not tasks.isdisjoint((task, ANY_TASK)))
        return sorted({key[1] for key in self._workflows if key[0] == namespace} | noted.keys())

    def note_name(self, namespace: str, name: str, tasks: Collection[str]) -> None:
        found = self._names[namespace].setdefault(name, set())
        found.update(tasks)
        if len(found) > NOTED_TASKS_MAX or ANY_TASK in found:
            self._names[namespace][name] = {ANY_TASK}

    def delete_workflow(self, namespace: str, name: str, version: int) -> bool:
        self._revision[namespace] += 1
        return self._workflows.pop((namespace, name, version), None) is not None

    def put_tasks(self, namespace: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        self._tasks.update({(namespace, definition["name"]): json.dumps(definition) for definition in definitions})
        self._revision[namespace] += 1

    def tasks(self, namespace: str, names: Collection[str] | None = None) -> Mapping[str, Mapping[str, Any]]:
        found = {key[1]: text for key, text in self._tasks.items() if key[0] == namespace and (names is None or key[1] in names)}
        return {name: json.loads(found[name]) for name in sorted(found)}

    def delete_task(self, namespace: str, name: str) -> bool:
        self._revision[namespace] += 1
        return self._tasks.pop((namespace, name), None) is not None

    def put_handler(self, namespace: str, handler: Mapping[str, Any], *, is_new: bool) -> bool:
        if ((namespace, handler["name"]) in self._handlers) is is_new:
            return False
        self._handlers[namespace, handler["name"]] = json.dumps(handler)
        return True

    def delete_handler(self, namespace: str, name: str) -> bool:
        return self._handlers.pop((namespace, name), None) is not None

    def handlers(self, namespace: str, event: str | None = None) -> Sequence[Mapping[str, Any]]:
        found = [json.loads(text) for key, text in sorted(self._handlers.items()) if key[0] == namespace]
        return [handler for handler in found if event in (None, handler["event"])]

    def put_frozen(self, namespace: str, content_hash: str, definition: Mapping[str, Any]) -> None:
        self._frozen[namespace, content_hash] = json.dumps(definition)

    def frozen(self, namespace: str, content_hash: str) -> Mapping[str, Any] | None:
        text = self._frozen.get((namespace, content_hash))
        return None if text is None else json.loads(text)

    def note_poll(self, namespace: str, poll: PollData) -> None:
        self._polls[namespace, poll.task_type, poll.domain, poll.worker_id] = poll

    def polls(self, namespace: str, task_type: str = "") -> Sequence[PollData]:
        return [poll for key, poll in sorted(self._polls.items()) if key[0] == namespace and task_type in ("", key[1])]


class SimulatedLogs:
    def __init__(self) -> None:
        self._lines: dict[ExecutionId, dict[str, LogLine]] = defaultdict(dict)

    def add(self, execution: ExecutionId, line: LogLine, op: str) -> None:
        self._lines[execution][op] = line

    def lines(self, execution: ExecutionId) -> Sequence[LogLine]:
        return sorted(self._lines.get(execution, {}).values(), key=lambda line: line.at_ms)

    def purge(self, execution: ExecutionId) -> None:
        self._lines.pop(execution, None)


class SimulatedActions:
    def __init__(self) -> None:
        self._actions: dict[tuple[str, str, str, int], HandlerAction] = {}

    def begin(self, action: HandlerAction) -> HandlerAction | None:
        key = _key_of(action)
        found = self._actions.get(key)
        self._actions.setdefault(key, action)
        return found

    def end(self, action: HandlerAction) -> None:
        self._actions[_key_of(action)] = action

    def of_message(self, namespace: str, message_id: str) -> Sequence[HandlerAction]:
        return [action for key, action in sorted(self._actions.items()) if key[:2] == (namespace, message_id)]


def _key_of(action: HandlerAction) -> tuple[str, str, str, int]:
    return (action.namespace, action.message_id, action.handler, action.index)


class SimulatedSinks:
    """``published``: (sink, message id, payload), repeats included."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, str]] = []

    def publish(self, sink: str, message_id: str, payload: str) -> None:
        self.published.append((sink, message_id, payload))
