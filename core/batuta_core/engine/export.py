"""An execution as a file: its records, the definitions that they ran under, and the payloads that lie outside of them.

A server gives it in pages, since an answer ends at some 5 MB (``page``), and large payloads one by one (``payload``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from batuta_core.engine.fetch import graph_of, load_json, read_payload, with_slots
from batuta_core.engine.operate import not_found, require_newest
from batuta_core.engine.ports import Ports
from batuta_core.engine.query import ANSWER_MAX_BYTES
from batuta_core.model.error import ExecutionTooLarge, InvalidInput, NewerSchema, WorkflowDefinitionNotFound
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PAYLOAD_MAX_BYTES, PayloadRef
from batuta_core.model.record import Record

PAGE_MAX_BYTES = 2 * 1024 * 1024  # of records; their definitions come on top, and an answer of Lambda ends at 6 MB
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
    def of(
        cls,
        execution: ExecutionId,
        records: Sequence[Record],
        definitions: Mapping[str, Mapping[str, Any]],
        read: Callable[[PayloadRef], Any],
    ) -> Export:
        """``definitions``: by content hash; ``read`` fetches a payload that lies outside."""
        payloads: dict[str, Any] = {}

        def gather(value: Any) -> Any:
            is_loadable = isinstance(value, PayloadRef) and value.size_bytes <= PAYLOAD_MAX_BYTES  # a larger one is looked into by nobody
            if is_loadable and value.key not in payloads:
                payloads[value.key] = read(replace(value, holes=()))
            return value

        for record in records:
            with_slots(record, gather)
        first = records[0].head.definition
        others = {name: found for name, found in definitions.items() if name != first}
        return cls(execution=execution, definition=definitions[first], records=records, payloads=payloads, others=others)

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


def export(ports: Ports, execution: ExecutionId) -> Export:
    """Raises WorkflowNotFound when there is no such execution or its records are gone."""
    records = list(ports.journal.scan(execution))
    if not records or records[0].seq != 1:
        raise not_found(execution.workflow_id)
    return Export.of(execution, records, _definitions(ports, execution, records), lambda ref: read_payload(ports, execution, ref))


def page(ports: Ports, execution: ExecutionId, first: int) -> dict[str, Any]:
    """The records from number ``first`` on, as many as an answer holds. ``next``: where the page behind begins, if there is one."""
    newest = require_newest(ports, execution)
    if not 1 <= first <= newest.seq:
        raise InvalidInput(f"from is {first}, the records have the numbers 1 to {newest.seq}.")
    records: list[Record] = []
    left = PAGE_MAX_BYTES
    for record in ports.journal.scan(execution, first):
        left -= len(record.to_json())
        if records and left < 0:
            break
        records.append(record)
    if not records or records[0].seq != first:
        raise not_found(execution.workflow_id)
    found: dict[str, Any] = {
        "v": SCHEMA,
        "ns": execution.namespace,
        "wf": execution.workflow_id,
        "records": [record.to_dict() for record in records],
        "definitions": _definitions(ports, execution, records),
    }
    last = records[-1].seq
    return {**found, "next": last + 1} if last < newest.seq else found


def payload(ports: Ports, execution: ExecutionId, key: str) -> Any:
    """A payload that lies outside of the records, by the key in its reference."""
    require_newest(ports, execution)
    raw = ports.payloads.get(execution, PayloadRef(key, 0))
    if len(raw) > ANSWER_MAX_BYTES:
        raise ExecutionTooLarge(f"the payload {key} has {len(raw)} bytes", workflow_id=execution.workflow_id, size_bytes=len(raw))
    return load_json(raw)


def from_pages(pages: Iterable[Mapping[str, Any]], read: Callable[[PayloadRef], Any]) -> Export:
    """What ``page`` gave, from the first one to the last, as one export. Raises InvalidInput, NewerSchema."""
    records: list[Record] = []
    definitions: dict[str, Mapping[str, Any]] = {}
    execution: ExecutionId | None = None
    for data in pages:
        if data.get("v", SCHEMA + 1) > SCHEMA:
            raise NewerSchema(f"an export of schema {data.get('v')}, this code knows {SCHEMA}")
        execution = ExecutionId(data["ns"], data["wf"])
        records += [Record.from_dict(item) for item in data["records"]]
        definitions.update(data["definitions"])
    if execution is None or not records:
        raise InvalidInput("this is not an exported execution: it has no records")
    return Export.of(execution, records, definitions, read)


def _definitions(ports: Ports, execution: ExecutionId, records: Iterable[Record]) -> dict[str, Mapping[str, Any]]:
    """Those that the records ran under, by content hash."""
    definitions: dict[str, Mapping[str, Any]] = {}
    for content_hash in dict.fromkeys(record.head.definition for record in records):
        try:
            definitions[content_hash] = graph_of(ports, execution.namespace, content_hash).definition
        except WorkflowDefinitionNotFound as error:
            raise not_found(execution.workflow_id) from error
    return definitions
