"""The claim check: what leaves a record, and that it comes back; and what is kept in memory."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import Server, simple

from batuta_core.engine.fetch import RECORD_MAX_BYTES, LruCache, dump_json, graph_of, load_json, read_payload, spill
from batuta_core.model.error import WorkflowDefinitionNotFound
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus, WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import INLINE_MAX_BYTES, PayloadRef
from batuta_core.model.place import TaskPlace
from batuta_core.model.record import Head, Record, TaskChange

EXECUTION = ExecutionId("shop", "00000000-0000-4000-8000-000000000001")
HEAD = Head(status=WorkflowStatus.RUNNING, definition="hash", created_ms=1)


def record(*outputs: Any, **fields: Any) -> Record:
    events = tuple(TaskUpdated(place=TaskPlace(1, n), status=TaskStatus.COMPLETED, output=output) for n, output in enumerate(outputs))
    return Record(**{"seq": 2, "at_ms": 1, "events": events, "changes": (), "commands": (), "head": HEAD, **fields})


def outputs_of(found: Record) -> list[Any]:
    return [event.output for event in found.events if isinstance(event, TaskUpdated)]


def text_of(size_bytes: int) -> str:
    """A text whose JSON has so many bytes."""
    return "x" * (size_bytes - 2)


@pytest.mark.parametrize(("size", "is_inline"), [(0, True), (INLINE_MAX_BYTES, True), (INLINE_MAX_BYTES + 1, False)])
def test_a_payload_above_the_limit_leaves_the_record(size: int, is_inline: bool) -> None:
    server = Server()
    value = text_of(max(size, 2))
    found, _raw = spill(server.ports, EXECUTION, record(value))
    [stored] = outputs_of(found)
    assert (stored == value) == is_inline
    assert read_payload(server.ports, EXECUTION, stored) == value
    assert len(server.world.payloads.objects) == (0 if is_inline else 1)


def test_every_slot_of_a_record_is_looked_at() -> None:
    large = text_of(INLINE_MAX_BYTES + 1)
    change = TaskChange(1, {"ref": "a"}, {"in": large}, {"out": large})
    found, _raw = spill(Server().ports, EXECUTION, record(large, changes=(change,), variables={"v": large}, output=[large]))
    slots = [*outputs_of(found), found.changes[0].input, found.changes[0].output, found.variables, found.output]
    assert all(isinstance(slot, PayloadRef) for slot in slots)
    assert len({slot.key for slot in slots}) == 5


def test_the_limit_counts_bytes_not_characters() -> None:
    found, _raw = spill(Server().ports, EXECUTION, record("😀" * 8192))
    assert outputs_of(found) == [PayloadRef(found.events[0].output.key, 4 * 8192 + 2)]  # type: ignore[union-attr]


def test_many_middling_payloads_leave_until_the_record_fits() -> None:
    server = Server()
    values = [f"{number:04}" + text_of(INLINE_MAX_BYTES - 4) for number in range(40)]
    found, raw = spill(server.ports, EXECUTION, record(*values))
    assert len(found.to_json()) <= RECORD_MAX_BYTES
    assert Record.from_json(raw) == found
    assert [read_payload(server.ports, EXECUTION, stored) for stored in outputs_of(found)] == values


def test_spilling_again_changes_nothing() -> None:
    server = Server()
    once, raw = spill(server.ports, EXECUTION, record(text_of(100_000)))
    assert spill(server.ports, EXECUTION, once) == (once, raw)


def test_equal_payloads_share_one_object() -> None:
    server = Server()
    found, _raw = spill(server.ports, EXECUTION, record(text_of(50_000), text_of(50_000)))
    assert len(set(outputs_of(found))) == len(server.world.payloads.objects) == 1


@pytest.mark.parametrize("value", [None, 0, 1.5, True, "", "é😀\x00\ud800", [], {"": [None, {"a": 1}]}])
def test_a_payload_is_stored_as_it_is(value: Any) -> None:
    assert load_json(dump_json(value)) == value


def test_a_large_output_moves_on_to_the_next_task_and_to_the_end() -> None:
    server = Server()
    server.register(simple("a"), simple("b", inputParameters={"x": "${a.output.x[1]}"}), outputParameters={"all": "${a.output}"})
    execution = server.start()
    server.run_task("a", {"x": ["x" * 50_000, "small"]})
    message = server.taken("b")
    assert message.input == {"x": "small"}
    server.report(message)
    assert server.show(execution)["output"] == {"all": {"x": ["x" * 50_000, "small"]}}


def test_variables_beyond_the_limit_are_still_variables() -> None:
    server = Server()
    assign = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE", "inputParameters": {"x": "${a.output.x}"}}
    server.register(simple("a"), assign, simple("b"), simple("c", inputParameters={"n": "${workflow.variables.x}"}))
    server.start()
    server.run_task("a", {"x": "x" * 100_000})
    server.run_task("b")
    assert server.taken("c").input == {"n": "x" * 100_000}


def test_an_execution_whose_definition_is_lost_says_so() -> None:
    with pytest.raises(WorkflowDefinitionNotFound, match="no definition of hash nothing in namespace shop"):
        graph_of(Server().ports, "shop", "nothing")


def test_a_cache_keeps_what_was_used_last() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    cache.clear()
    assert cache.get("a") is None
