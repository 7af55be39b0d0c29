"""What a process keeps of large payloads, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import Server

from batuta_core.engine.payload_cache import PayloadCache
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef

EXECUTION = ExecutionId("shop", "one")


def ref(key: str, size_bytes: int = 10) -> PayloadRef:
    return PayloadRef(key, size_bytes)


def test_those_used_last_are_kept_as_far_as_there_is_room() -> None:
    cache = PayloadCache(total_bytes=40)
    for key in "abcd":
        cache.put(EXECUTION, ref(key), {"is": key})
    cache.get(EXECUTION, ref("a"))
    cache.put(EXECUTION, ref("e"), {"is": "e"})
    found = {key for key in "abcde" if cache.get(EXECUTION, ref(key)) is not None}
    assert found == {"a", "c", "d", "e"}


def test_one_that_would_drive_out_the_others_is_not_kept() -> None:
    cache = PayloadCache(total_bytes=40)
    cache.put(EXECUTION, ref("a"), 1)
    cache.put(EXECUTION, ref("large", 26), 2)
    assert cache.get(EXECUTION, ref("large", 26)) is None
    assert cache.get(EXECUTION, ref("a")) == 1


def test_putting_one_twice_takes_its_room_once() -> None:
    cache = PayloadCache(total_bytes=40)
    for _ in range(10):
        cache.put(EXECUTION, ref("a"), 1)
    for key in "bcd":
        cache.put(EXECUTION, ref(key), 1)
    assert cache.get(EXECUTION, ref("a")) == 1


def test_another_execution_has_payloads_of_its_own() -> None:
    cache = PayloadCache()
    cache.put(EXECUTION, ref("a"), 1)
    assert cache.get(ExecutionId("shop", "two"), ref("a")) is None


def test_the_branches_of_a_fork_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list of branches is a payload by reference, which every decision on one of them needs."""
    server = Server()
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC"}
    fork["inputParameters"] = {"forkTaskName": "work", "forkTaskInputs": "${workflow.input.items}"}  # type: ignore[assignment]
    server.register(fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN"}, task_definitions=[{"name": "work"}])
    server.ports.queues.ensure_task_queue(server.queue("work"))
    execution = server.start(input={"items": list(range(60))})
    assert isinstance(server.newest(execution).changes[0].input, PayloadRef)
    read: list[str] = []
    payloads = type(server.world.plain.payloads)
    get = payloads.get

    def noting(self: Any, of: Any, ref: PayloadRef) -> Any:
        read.append(ref.key)
        return get(self, of, ref)

    monkeypatch.setattr(payloads, "get", noting)
    for _ in range(60):
        server.run_task("work", {"n": 1})
    assert server.status(execution) == "COMPLETED"
    assert len(read) <= 1
