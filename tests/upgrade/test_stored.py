"""The items that earlier commits put into DynamoDB are read by the journal's adapter, byte for byte, whatever form they are stored in."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from batuta_core.engine.export import Export
from batuta_core.engine.replay import replay
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record, unpack
from batuta_server.aws.dynamodb import Table
from batuta_server.aws.journal import DynamoJournal
from tests.simulation.scripts import MEMO
from tests.upgrade.write import STORED, form
from tests.upgrade.written import DECIDED_OTHERWISE

FILES = sorted(file.name for file in STORED.glob("*.jsonl"))


class Stored(Table):
    """The items of one execution, as DynamoDB answers."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self._items = items

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        if operation == "GetItem":
            return {"Item": next(item for item in self._items if item["seq"] == request["Key"]["seq"])}
        assert operation == "Query"
        if request.get("ScanIndexForward", True):
            return {"Items": self._items}
        return {"Items": self._items[-1:]}


def executions(name: str) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (STORED / name).read_text().splitlines()]


def journal_of(data: Mapping[str, Any]) -> tuple[ExecutionId, DynamoJournal]:
    return ExecutionId(data["ns"], data["wf"]), DynamoJournal(Stored(data["items"]))


def records_of(data: Mapping[str, Any]) -> list[Record]:
    execution, journal = journal_of(data)
    return list(journal.scan(execution))


def raw_of(item: Mapping[str, Any]) -> bytes:
    return base64.b64decode(item["b"]["B"])


def test_all_forms_are_there() -> None:
    forms = {name: {form(raw_of(item)) for data in executions(name) for item in data["items"]} for name in FILES}
    assert forms["2026-11-21-8614cbd.jsonl"] == {"plain", "zlib"}  # dictionaries came with afb4739
    assert forms["2026-11-21-afb4739.jsonl"] == {"plain", "zlib", "dictionary"}


@pytest.mark.parametrize("name", FILES)
def test_stored_items_are_read_and_their_records_written_as_they_were(name: str) -> None:
    for data in executions(name):
        first = unpack(raw_of(data["items"][0]))
        for record, item in zip(records_of(data), data["items"], strict=True):
            assert record.seq == int(item["seq"]["N"])
            assert record.to_json() == unpack(raw_of(item), first)


@pytest.mark.parametrize("name", FILES)
def test_the_newest_is_read_by_who_has_met_no_other(name: str) -> None:
    for data in executions(name):
        execution, journal = journal_of(data)
        assert journal.newest(execution) == records_of(data)[-1]


@pytest.mark.parametrize("name", FILES)
def test_what_was_stored_is_decided_again_with_the_same_records(name: str) -> None:
    for line, data in enumerate(executions(name)):
        execution, _ = journal_of(data)
        exported = Export(execution=execution, definition=data["definition"], records=records_of(data), payloads=data["payloads"])
        assert (replay(exported, MEMO) is None) is ((f"stored/{name}", line) not in DECIDED_OTHERWISE)
