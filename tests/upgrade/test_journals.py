"""Executions that earlier commits wrote are decided again, record by record, with the same outcome: an upgrade changes none that
is under way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from batuta_core.engine.export import Export
from batuta_core.engine.replay import replay
from batuta_core.model.error import InvalidInput, NewerSchema
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from tests.simulation.scripts import MEMO
from tests.upgrade.write import JOURNALS, kinds
from tests.upgrade.written import DECIDED_OTHERWISE

FILES = sorted(JOURNALS.glob("*.jsonl"))


def executions(name: str) -> list[Export]:
    return [Export.from_dict(json.loads(line)) for line in (JOURNALS / name).read_text().splitlines()]


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_every_record_of_an_earlier_commit_comes_out_the_same(name: str) -> None:
    found = executions(name)
    assert len(found) >= 10
    for line, exported in enumerate(found):
        difference = replay(exported, MEMO)
        if (f"journals/{name}", line) in DECIDED_OTHERWISE:
            assert difference is not None, f"{name}, line {line}: it comes out the same, so written.py should not excuse it"
            continue
        assert difference is None, f"{exported.execution}, record {difference.expected.seq}: {difference.found} != {difference.expected}"


def test_the_journals_show_the_whole_language_of_records() -> None:
    shown = set().union(*(kinds(exported) for file in FILES for exported in executions(file.name)))
    for word in ("started", "task_started", "task_updated", "task_handed_back", "task_dead_lettered", "timer_fired", "terminated"):
        assert f"event {word}" in shown, shown
    for word in ("COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"):
        assert f"status {word}" in shown, shown


def test_a_decider_that_decides_otherwise_is_found_out() -> None:
    """The first result of an execution is turned round: the record that it made cannot come out the same."""
    newest_first = (exported for file in reversed(FILES) for exported in executions(file.name))
    exported = next(item for item in newest_first if any(_is_result(record.events) for record in item.records))
    place = next(place for place, record in enumerate(exported.records) if _is_result(record.events))
    record = exported.records[place]
    turned = [replace(event, status=TaskStatus.CANCELED) if isinstance(event, TaskUpdated) else event for event in record.events]
    records = [*exported.records[:place], replace(record, events=tuple(turned)), *exported.records[place + 1 :]]
    difference = replay(replace(exported, records=records), MEMO)
    assert difference is not None
    assert difference.expected.seq == record.seq


def test_a_file_that_is_no_export_is_refused_by_name() -> None:
    strange: list[Any] = [{}, [], {"v": 1}, {"v": 1, "ns": "a", "wf": "b", "definition": {}, "records": [1], "payloads": {}}]
    for data in strange:
        with pytest.raises(InvalidInput, match="not an exported execution"):
            Export.from_dict(data)
    with pytest.raises(NewerSchema):
        Export.from_dict({"v": 99})


def _is_result(events: object) -> bool:
    return isinstance(events, tuple) and any(isinstance(event, TaskUpdated) and event.status is TaskStatus.COMPLETED for event in events)
