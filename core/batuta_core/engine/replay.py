"""An execution as a file, and deciding it again.

The decider is pure, so the same code makes of the same events the same records. A journal that an earlier version wrote shows whether
this one still decides as that did: where not, an upgrade would change executions that are under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batuta_core.decider.compile import Graph, compile_definition
from batuta_core.decider.decide import Decision, decide
from batuta_core.decider.forked import forked_tasks
from batuta_core.decider.known import DefinitionName, FoundDefinition, Known, NotStartable, PolledQueue, Wanted
from batuta_core.decider.outcome import FAILURE_WORKFLOW_KEY
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.starting import StartingTask, Unreadable
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.engine.fetch import read_payload, with_slots
from batuta_core.engine.operate import not_found
from batuta_core.engine.ports import NoScripts, Ports, Scripts
from batuta_core.model.command import StartChild, StartFailureWorkflow
from batuta_core.model.definition import definition_hash
from batuta_core.model.error import InvalidInput, NewerSchema
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_core.model.record import Record

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One execution, whole. ``payloads``: the JSON values that lie outside of the records, by their key."""

    execution: ExecutionId
    definition: Mapping[str, Any]
    records: Sequence[Record]
    payloads: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # definitions that a restart went on with, by content hash

    def to_dict(self) -> dict[str, Any]:
        return {
            "v": SCHEMA,
            "ns": self.execution.namespace,
            "wf": self.execution.workflow_id,
            "definition": dict(self.definition),
            "records": [record.to_dict() for record in self.records],
            "payloads": dict(self.payloads),
            **({"others": dict(self.others)} if self.others else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Export:
        """Raises InvalidInput for what is no export, NewerSchema for one of a newer version."""
        if not isinstance(data, dict) or not isinstance(data.get("v"), int):
            raise InvalidInput("this is not an exported execution: it has no schema version")
        if data["v"] > SCHEMA:
            raise NewerSchema(f"an export of schema {data['v']}, this code knows {SCHEMA}")
        try:
            return cls(
                execution=ExecutionId(data["ns"], data["wf"]),
                definition=data["definition"],
                records=[Record.from_dict(item) for item in data["records"]],
                payloads=data["payloads"],
                others=data.get("others", {}),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"this is not an exported execution: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Difference:
    """The first record that comes out otherwise. ``found`` is None when the events now change nothing."""

    expected: Record
    found: Record | None


def export(ports: Ports, execution: ExecutionId) -> Export:
    """Raises WorkflowNotFound when there is no such execution or its records are gone."""
    records = list(ports.journal.scan(execution))
    if not records or records[0].seq != 1:
        raise not_found(execution.workflow_id)
    definitions: dict[str, Mapping[str, Any]] = {}
    for content_hash in dict.fromkeys(record.head.definition for record in records):
        found = ports.definitions.frozen(execution.namespace, content_hash)
        if found is None:
            raise not_found(execution.workflow_id)
        definitions[content_hash] = found
    definition = definitions.pop(records[0].head.definition)
    payloads: dict[str, Any] = {}

    def gather(value: Any) -> Any:
        if isinstance(value, PayloadRef) and value.key not in payloads:
            payloads[value.key] = read_payload(ports, execution, value)
        return value

    for record in records:
        with_slots(record, gather)
    return Export(execution=execution, definition=definition, records=records, payloads=payloads, others=definitions)


def replay(exported: Export, scripts: Scripts | None = None) -> Difference | None:
    """Decides every record again from what came before it, running its scripts again. None: all come out as they are."""
    first = compile_definition(exported.definition, definition_hash(dict(exported.definition)))
    graphs = {first.hash: first, **{name: compile_definition(other, name) for name, other in exported.others.items()}}
    records = {record.seq: _whole(exported, record) for record in exported.records}
    before: Record | None = None
    for expected in records.values():
        graph = graphs.get(expected.head.definition, first)
        found = _again(exported, records, graph, before, expected, scripts or NoScripts())
        if found is None or found.to_json() != expected.to_json():
            return Difference(expected, found)
        before = expected
    return None


def _whole(exported: Export, record: Record) -> Record:
    """With the payloads in it, as the decider made it: which of them lie outside is not its doing."""
    return with_slots(record, lambda value: exported.payloads[value.key] if isinstance(value, PayloadRef) else value)


def _again(
    exported: Export, records: Mapping[int, Record], graph: Graph, before: Record | None, expected: Record, scripts: Scripts
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
    for record in records.values():
        for change in record.changes:
            if change.number in refused and change.is_new:
                node = graph.nodes.get(change.fields["ref"])
                kinds[change.number] = node.type if node else task_type(change.fields["task_type"])
            if change.number in kinds and change.input is not None:  # it was scheduled, or a rerun made it begin anew
                kind = kinds[change.number]
                try:
                    if isinstance(kind, StartingTask) and kind.request(change.input).wanted == wanted:
                        return str(refused[change.number])
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
