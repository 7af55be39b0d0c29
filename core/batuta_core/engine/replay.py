"""Deciding an exported execution again.

The decider is pure, so the same code makes of the same events the same records. A journal that an earlier version wrote shows whether
this one still decides as that did: where not, an upgrade would change executions that are under way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from batuta_core.decider.compile import Graph, compile_definition
from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.forked import forked_tasks
from batuta_core.decider.known import DefinitionName, FoundDefinition, Known, NotStartable, PolledQueue, Wanted
from batuta_core.decider.outcome import FAILURE_WORKFLOW_KEY
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.starting import StartingTask, Unreadable
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.engine.export import Export
from batuta_core.engine.fetch import with_slots
from batuta_core.engine.ports import NoScripts, Scripts
from batuta_core.model.command import StartChild, StartFailureWorkflow
from batuta_core.model.definition import definition_hash
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import is_segment
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadRef, filled
from batuta_core.model.record import Record

_ABSENT = object()
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first record that comes out otherwise. ``found`` is None when the events now change nothing."""

    expected: Record
    found: Record | None

    def lines(self) -> list[str]:
        """What differs, a line each: where it is in the record, what the journal holds, and what comes out now."""
        if self.found is None:
            return ["the events change nothing now: no record comes out"]
        return list(_differences("", self.expected.to_dict(), self.found.to_dict()))


def _differences(path: str, expected: Any, found: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            yield from _differences(f"{path}.{key}" if path else key, expected.get(key, _ABSENT), found.get(key, _ABSENT))
    elif isinstance(expected, list) and isinstance(found, list):
        for place in range(max(len(expected), len(found))):
            pair = [items[place] if place < len(items) else _ABSENT for items in (expected, found)]
            yield from _differences(f"{path}[{place}]", *pair)
    elif type(expected) is not type(found) or expected != found:
        yield f"{path}: {_shown(expected)} in the journal, {_shown(found)} now"


def _shown(value: Any) -> str:
    text = "nothing" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} ... ({len(text)} characters)"


def replay(exported: Export, scripts: Scripts | None = None, *, break_at: int = 0) -> Difference | None:
    """Decides every record again from what came before it, running its scripts again. None: all come out as they are.

    ``break_at``: the number of a record at whose decision the debugger stops (Python's ``breakpoint()``).
    """
    began_with = exported.records[0].head.definition
    content_hash = began_with if is_segment(began_with) else definition_hash(dict(exported.definition))
    first = compile_definition(exported.definition, content_hash)
    graphs = {first.hash: first, **{name: compile_definition(other, name) for name, other in exported.others.items()}}
    records = {record.seq: _whole(exported, record) for record in exported.records}
    before: Record | None = None
    for expected in records.values():
        graph = graphs.get(expected.head.definition, first)
        found = _again(exported, records, graph, before, expected, scripts or NoScripts(), break_at)
        if found is None or found.to_json() != expected.to_json():
            return Difference(expected, found)
        before = expected
    return None


def _whole(exported: Export, record: Record) -> Record:
    """With the payloads in it, as the decider made it: which of them lie outside is not its doing."""

    def slot(value: Any) -> Any:
        if not isinstance(value, PayloadRef) or value.size_bytes > PAYLOAD_MAX_BYTES:  # the latter stays what it is, in the decider, too
            return value
        found = exported.payloads[value.key]
        return filled(found, value.holes) if value.holes else found

    return with_slots(record, slot)


def _again(
    exported: Export, records: Mapping[int, Record], graph: Graph, before: Record | None, expected: Record, scripts: Scripts, break_at: int
) -> Record | None:
    known = Known(records={before.seq: before} if before else {})
    head, seq = (before.head, before.seq) if before else (None, 0)
    while True:
        answer = decide(graph, exported.execution, head, seq, expected.events, known, expected.at_ms)
        if isinstance(answer, Decision):
            break
        known = Known(
            {**known.records, **{number: records[number] for number in answer.records}},
            {**known.payloads, **{ref.key: exported.payloads[ref.key] for ref in answer.payloads}},
            {**known.definitions, **{wanted: _definition(graph, records, expected, wanted) for wanted in answer.definitions}},
            {**known.scripts, **{script: scripts.run([script])[0] for script in answer.scripts}},
            {**known.task_definitions, **{name: _task_definition(_whole(exported, expected), name) for name in answer.task_definitions}},
            {**known.polls, **{queue: _polled_ms(expected, queue) for queue in answer.polls}},
        )
    if expected.seq == break_at:  # once more, since it is pure, now that all is known that it asks for
        breakpoint()
        answer = decide(graph, exported.execution, head, seq, expected.events, known, expected.at_ms)
        assert isinstance(answer, Decision)
    if answer.record is None:
        return None
    found = replace(answer.record, head=replace(answer.record.head, guards=expected.head.guards))  # the engine's, not the decider's
    return _whole(exported, found)


def _definition(graph: Graph, records: Mapping[int, Record], expected: Record, wanted: Wanted) -> FoundDefinition | NotStartable:
    """As it was then: the record's commands name what was found; its tasks, or its output, say why nothing was."""
    for command in expected.commands:
        if isinstance(command, StartChild) and command.wanted == wanted.key:
            return FoundDefinition("", 0, command.definition)  # of a child only the hash is read
    for command in expected.commands:
        if isinstance(command, StartFailureWorkflow) and isinstance(wanted, DefinitionName) and command.name == wanted.name:
            return FoundDefinition(command.name, command.version, command.definition)
    reason = _refusal(graph, records, expected, wanted)
    return NotStartable(str(expected.output[FAILURE_WORKFLOW_KEY]).partition("reason: ")[2] if reason is None else reason)


def _refusal(graph: Graph, records: Mapping[int, Record], expected: Record, wanted: Wanted) -> str | None:
    """Why the task that asked for ``wanted`` failed in that record; None when no task asked."""
    refused = {change.number: change.fields["reason"] for change in expected.changes if change.fields.get("reason")}
    kinds: dict[int, TaskType] = {}
    inputs: dict[int, Any] = {}  # as that record found or left them: a rerun may have changed what the task was scheduled with
    for record in records.values():
        for change in record.changes if record.seq <= expected.seq else ():
            if change.number in refused and change.is_new:
                node = graph.nodes.get(change.fields["ref"])
                kinds[change.number] = node.type if node else task_type(change.fields["task_type"])
            if change.number in kinds and change.input is not None:
                inputs[change.number] = change.input
    for number, given in inputs.items():
        kind = kinds[number]
        try:
            if isinstance(kind, StartingTask) and kind.request(given).wanted == wanted:
                return str(refused[number])
        except Unreadable:
            continue
    return None


def _polled_ms(expected: Record, queue: PolledQueue) -> int:
    """As it was then: a record's tasks show the domain that was chosen."""
    return expected.at_ms if any(change.fields.get("domain") == queue.domain for change in expected.changes) else 0


def _task_definition(expected: Record, name: str) -> Mapping[str, Any] | None:
    """As it was then: a dynamic fork keeps what it found in its branches."""
    for change in expected.changes:
        for task in forked_tasks(change.input):
            if task.get("name") == name and "taskDefinition" in task:
                return task["taskDefinition"]  # type: ignore[no-any-return]
    return None
