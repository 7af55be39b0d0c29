"""The summaries' promises: written only over smaller numbers, found by name, status and correlation id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from batuta_core.engine.ports import Summary, SummaryQuery
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_server import layout
from tests.contract.stand import NAMESPACE, AwsStand, Stand

BEGIN_MS = 1_764_000_000_000


def summary(execution: ExecutionId, record: int, **fields: Any) -> Summary:
    given: dict[str, Any] = {
        "status": WorkflowStatus.RUNNING,
        "name": "order",
        "version": 1,
        "started_ms": BEGIN_MS,
        "updated_ms": BEGIN_MS,
    }
    return Summary(execution=execution, record=record, **(given | fields))


FULL: dict[str, Any] = {
    "dispatched": 3,
    "status": WorkflowStatus.FAILED,
    "name": "größe # 漢字 / 100 %",
    "version": -7,
    "ended_ms": BEGIN_MS + 9,
    "correlation_id": "corr#1 ünï",
    "request_id": "req-1",
    "parent_workflow_id": "parent",
    "trigger": "SCHEDULE",
    "process_type": "API_MAPPING",
    "is_reviewed": True,
    "priority": 42,
    "reason": 'it "failed" – badly 😀',
    "failed_refs": ("a", "b__2", "ü"),
}


def found(stand: Stand, **query: Any) -> list[Summary]:
    """All pages."""
    wanted = SummaryQuery(namespace=NAMESPACE, **query)
    summaries: list[Summary] = []
    for _ in range(100):
        page = stand.summaries.find(wanted)
        summaries.extend(page.summaries)
        if not page.cursor:
            return summaries
        wanted = replace(wanted, cursor=page.cursor)
    raise AssertionError("the pages do not end")


def write_many(stand: Stand, count: int, **fields: Any) -> list[Summary]:
    """Started one ms after the other; the newest first."""
    written = [summary(stand.execution(), 1, started_ms=BEGIN_MS + place, **fields) for place in range(count)]
    for item in written:
        assert stand.summaries.write(item)
    return written[::-1]


# --- one summary


def test_unknown_execution_has_no_summary(stand: Stand) -> None:
    assert stand.summaries.get(stand.execution()) is None
    stand.summaries.delete(stand.execution())


@pytest.mark.parametrize("fields", [{}, FULL], ids=["small", "full"])
def test_summary_is_read_back_as_it_was_written(stand: Stand, fields: dict[str, Any]) -> None:
    written = summary(stand.execution(), 7, **fields)
    assert stand.summaries.write(written) is True
    assert stand.summaries.get(written.execution) == written


@pytest.mark.not_on("simulator", because="it keeps objects, not items")
def test_empty_fields_take_no_bytes(stand: AwsStand) -> None:
    written = summary(stand.execution(), 7, status=WorkflowStatus.COMPLETED)
    stand.summaries.write(written)
    item = stand.item(layout.EXECUTIONS, pk={"S": str(written.execution)}, seq={"N": "0"})
    assert sorted(item) == ["n", "na", "pk", "r", "seq", "st", "t0", "tu", "ve"]


def test_only_a_larger_record_is_written(stand: Stand) -> None:
    execution = stand.execution()
    assert stand.summaries.write(summary(execution, 9, reason="ninth"))
    assert stand.summaries.write(summary(execution, 9, reason="again")) is False
    assert stand.summaries.write(summary(execution, 8, reason="earlier")) is False
    assert stand.summaries.get(execution) == summary(execution, 9, reason="ninth")
    assert stand.summaries.write(summary(execution, 10, reason="tenth"))
    assert stand.summaries.get(execution) == summary(execution, 10, reason="tenth")


def test_later_summary_drops_what_the_one_before_had(stand: Stand) -> None:
    execution = stand.execution()
    stand.summaries.write(summary(execution, 1, **FULL))
    plain = summary(execution, 2, name=FULL["name"], dispatched=0)
    assert stand.summaries.write(plain)
    assert stand.summaries.get(execution) == replace(plain, dispatched=FULL["dispatched"]), "dispatched alone is left"
    assert found(stand, correlation_id=FULL["correlation_id"]) == []
    assert found(stand, name=FULL["name"], status=WorkflowStatus.FAILED) == []
    assert len(found(stand, name=FULL["name"], status=WorkflowStatus.RUNNING)) == 1


def test_dispatched_grows_only(stand: Stand) -> None:
    execution = stand.execution()
    stand.summaries.write(summary(execution, 4))
    for noted, then in ((4, 4), (3, 4), (4, 4), (6, 6)):
        stand.summaries.note_dispatched(execution, noted, after=0)
        kept = stand.summaries.get(execution)
        assert kept is not None
        assert kept.dispatched == then
        assert kept.record == 4
    stand.summaries.write(summary(execution, 7))
    assert stand.summaries.get(execution) == summary(execution, 7, dispatched=6)
    stand.summaries.write(summary(execution, 8, dispatched=8))
    assert stand.summaries.get(execution) == summary(execution, 8, dispatched=8)


def test_dispatched_has_no_gaps(stand: Stand) -> None:
    """A record's guard is told only when all guarded ones before it are."""
    execution = stand.execution()
    stand.summaries.write(summary(execution, 4))
    for noted, after, then in ((2, 1, 0), (1, 0, 1), (4, 2, 1), (2, 1, 2), (4, 1, 4), (9, 5, 4), (9, 4, 9), (8, 0, 9)):
        stand.summaries.note_dispatched(execution, noted, after=after)
        kept = stand.summaries.get(execution)
        assert kept == summary(execution, 4, dispatched=then)


@pytest.mark.parametrize("after", [0, 1])
def test_noting_makes_no_summary(stand: Stand, after: int) -> None:
    execution = stand.execution()
    stand.summaries.note_dispatched(execution, 3, after=after)
    assert stand.summaries.get(execution) is None
    stand.summaries.write(summary(execution, 1))
    stand.summaries.delete(execution)
    stand.summaries.note_dispatched(execution, 3, after=after)
    assert stand.summaries.get(execution) is None
    assert found(stand, name="order") == []
    if isinstance(stand, AwsStand):
        assert stand.item(layout.EXECUTIONS, pk={"S": str(execution)}, seq={"N": "0"}) == {}, "nor half an item, which nobody would delete"


def test_delete_takes_it_out_of_every_index(stand: Stand) -> None:
    execution = stand.execution()
    stand.summaries.write(summary(execution, 1, correlation_id="c"))
    for _ in range(2):
        stand.summaries.delete(execution)
        assert stand.summaries.get(execution) is None
    assert found(stand, name="order") == found(stand, correlation_id="c") == found(stand, name="order", status=WorkflowStatus.RUNNING) == []


# --- searches


def test_found_by_name_newest_first(stand: Stand) -> None:
    written = write_many(stand, 5)
    write_many(stand, 2, name="orde")
    write_many(stand, 2, name="order#RUNNING")
    other = replace(written[0], execution=ExecutionId("other", written[0].execution.workflow_id))
    stand.summaries.write(other)
    assert found(stand, name="order") == written
    assert found(stand, name="nothing") == []


@pytest.mark.parametrize("status", list(WorkflowStatus)[:-1])
def test_found_by_name_and_status(stand: Stand, status: WorkflowStatus) -> None:
    written = [summary(stand.execution(), 1, status=each) for each in WorkflowStatus]
    for item in written:
        stand.summaries.write(item)
    write_many(stand, 1, name="order2", status=status)
    assert found(stand, name="order", status=status) == [item for item in written if item.status is status]


def test_status_changes_move_it_between_indexes(stand: Stand) -> None:
    execution = stand.execution()
    statuses = (WorkflowStatus.RUNNING, WorkflowStatus.FAILED, WorkflowStatus.RUNNING, WorkflowStatus.COMPLETED)
    for number, status in enumerate(statuses, 1):
        stand.summaries.write(summary(execution, number, status=status))
        for each in WorkflowStatus:
            assert [item.record for item in found(stand, name="order", status=each)] == ([number] if each is status else [])


def test_found_by_correlation_id_whatever_the_name(stand: Stand) -> None:
    one = summary(stand.execution(), 1, name="a", correlation_id="k", started_ms=BEGIN_MS + 2)
    two = summary(stand.execution(), 1, name="b", correlation_id="k", started_ms=BEGIN_MS + 1, status=WorkflowStatus.COMPLETED)
    for item in (one, two, summary(stand.execution(), 1, name="a", correlation_id="k2"), summary(stand.execution(), 1, name="a")):
        stand.summaries.write(item)
    assert found(stand, correlation_id="k") == [one, two]
    assert found(stand, correlation_id="k", name="b") == [two]
    assert found(stand, correlation_id="k", status=WorkflowStatus.RUNNING) == [one]
    assert found(stand, correlation_id="k", name="b", status=WorkflowStatus.RUNNING) == []


@pytest.mark.parametrize("query", [{"name": "order"}, {"name": "order", "status": WorkflowStatus.RUNNING}, {"correlation_id": "k"}])
def test_time_range_is_inclusive(stand: Stand, query: dict[str, Any]) -> None:
    written = write_many(stand, 6, correlation_id="k")  # started at +5 ... +0
    assert found(stand, **query, started_from_ms=BEGIN_MS + 3) == written[:3]
    assert found(stand, **query, started_to_ms=BEGIN_MS + 1) == written[4:]
    assert found(stand, **query, started_from_ms=BEGIN_MS + 2, started_to_ms=BEGIN_MS + 3) == written[2:4]
    assert found(stand, **query, started_from_ms=BEGIN_MS + 4, started_to_ms=BEGIN_MS + 3) == []
    assert found(stand, **query, started_from_ms=10**20) == []
    assert found(stand, **query, started_to_ms=-5) == []


@pytest.mark.parametrize("limit", [1, 2, 7, 8])
def test_pages_hold_everything_once(stand: Stand, limit: int) -> None:
    written = write_many(stand, 8)
    assert found(stand, name="order", limit=limit) == written
    first = stand.summaries.find(SummaryQuery(namespace=NAMESPACE, name="order", limit=limit))
    assert list(first.summaries) == written[:limit]
    assert bool(first.cursor) is (limit < 8), "a cursor is there if and only if something follows"


def test_equal_moments_are_paged_over(stand: Stand) -> None:
    written = [summary(stand.execution(), 1) for _ in range(7)]
    for item in written:
        stand.summaries.write(item)
    pages = found(stand, name="order", limit=2)
    assert sorted(item.execution for item in pages) == sorted(item.execution for item in written)


@pytest.mark.not_on("simulator", because="its cursor is an offset")
def test_cursor_stays_where_it_is_when_newer_ones_come_and_its_own_goes(stand: Stand) -> None:
    written = write_many(stand, 6)
    query = SummaryQuery(namespace=NAMESPACE, name="order", limit=2)
    first = stand.summaries.find(query)
    stand.summaries.write(summary(stand.execution(), 1, started_ms=BEGIN_MS + 100))
    stand.summaries.delete(written[1].execution)
    second = stand.summaries.find(replace(query, cursor=first.cursor))
    assert [*first.summaries, *second.summaries] == written[:4]


@pytest.mark.not_on("simulator", because="its cursor is an offset")
@pytest.mark.parametrize("cursor", ["x", "12", "-abc", "1-"])
def test_wrong_cursor_is_the_callers_fault(stand: Stand, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        stand.summaries.find(SummaryQuery(namespace=NAMESPACE, name="order", cursor=cursor))


def test_filtered_pages_go_on_until_they_are_full(stand: Stand) -> None:
    """A filter that the index does not know lets one of sixty through."""
    statuses: Sequence[WorkflowStatus] = [WorkflowStatus.COMPLETED if place % 60 == 0 else WorkflowStatus.RUNNING for place in range(130)]
    written = [summary(stand.execution(), 1, status=status, started_ms=BEGIN_MS + place) for place, status in enumerate(statuses)]
    for item in written:
        stand.summaries.write(item)
    completed = [item for item in reversed(written) if item.status is WorkflowStatus.COMPLETED]
    assert len(completed) == 3
    assert found(stand, name="order", status=WorkflowStatus.COMPLETED, limit=1) == completed
    assert found(stand, name="order", status=WorkflowStatus.COMPLETED, limit=50) == completed


def test_texts_longer_than_an_index_key_are_found(stand: Stand) -> None:
    longs = [("漢" * 3000) + ending for ending in "ab"]
    for long in longs:
        stand.summaries.write(summary(stand.execution(), 1, name=long, correlation_id=long))
    for long in longs:
        assert [item.name for item in found(stand, name=long)] == [long]
        assert [item.name for item in found(stand, name=long, status=WorkflowStatus.RUNNING)] == [long]
        assert [item.name for item in found(stand, correlation_id=long)] == [long]


@pytest.mark.not_on("simulator", because="it has no index keys")
def test_index_keys_stay_below_the_quota(stand: AwsStand) -> None:
    """2,048 bytes for a partition key, which the emulators do not count in an index."""
    execution = stand.execution()
    stand.summaries.write(summary(execution, 1, name="漢" * 3000, correlation_id="x" * 3000))
    item = stand.item(layout.EXECUTIONS, pk={"S": str(execution)}, seq={"N": "0"})
    assert all(len(item[name]["S"].encode()) <= 2048 for name in "nsc")


def test_half_a_character_does_no_harm(stand: Stand) -> None:
    written = summary(stand.execution(), 1, name="a\ud800b", reason="\udfff")
    assert stand.summaries.write(written)
    (item,) = found(stand, name="a\ud800b")
    assert item.execution == written.execution
    if isinstance(stand, AwsStand):
        assert (item.name, item.reason) == ("a\ufffdb", "\ufffd"), "DynamoDB's strings are UTF-8"
