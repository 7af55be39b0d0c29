"""Decisions whose record no item of the journal could hold."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.decider import lives, segments
from batuta_core.engine import fetch, operate, operations
from batuta_core.engine.advance import advance, advance_batch
from batuta_core.engine.export import export
from batuta_core.engine.fetch import PACKED_MAX_BYTES, SPILLED_MAX
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.ports import Journal
from batuta_core.engine.replay import replay
from batuta_core.model import ids
from batuta_core.model.error import RecordTooLarge
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record, pack

WHY = "what follows from one event would take"


@pytest.fixture(autouse=True)
def in_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide forks would run as segments, which have records of their own."""
    monkeypatch.setattr(segments, "WIDE", 100_000)


def texts(count: int) -> list[str]:
    """Each too short to leave the record, all together too large for it."""
    draw = random.Random(1)
    return ["".join(draw.choices(string.ascii_letters + string.digits, k=450)) for _ in range(count)]


def fork(source: str) -> Json:
    inputs = {"forkTaskName": "work", "forkTaskInputs": source}
    return {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": inputs}


JOIN = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}


def server_with(*tasks: Json) -> Server:
    server = Server()
    server.register(*tasks, task_definitions=[{"name": "work"}])
    server.ports.queues.ensure_task_queue(server.queue("work"))
    return server


def is_stored(server: Server, execution: ExecutionId) -> bool:
    return all(len(pack(record, record.to_json())) <= PACKED_MAX_BYTES for record in server.world.journal.scan(execution))


def noted_puts(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is stored from now on."""
    put: list[bytes] = []
    payloads = type(server.world.plain.payloads)
    plain_put = payloads.put

    def noting(self: Any, of: Any, raw: bytes) -> Any:
        put.append(raw)
        return plain_put(self, of, raw)

    monkeypatch.setattr(payloads, "put", noting)
    return put


def test_what_the_sdks_result_leads_to_fails_the_execution_at_once() -> None:
    server = server_with(simple("list"), fork("${list.output.items}"), JOIN)
    execution = server.start()
    server.report(server.taken("list"), output={"items": texts(1200)})
    head = server.newest(execution).head
    assert head.status.value == "FAILED"
    assert WHY in (head.reason or "")
    assert "Fork fewer branches at once" in (head.reason or "")
    assert is_stored(server, execution)
    assert "decision_failed" not in server.log.events


def test_what_an_http_workers_result_leads_to_fails_it_too() -> None:
    server = server_with(simple("list"), fork("${list.output.items}"), JOIN)
    execution = server.start()
    task = server.newest(execution).head.open["list"]
    report = TaskReport(status=TaskStatus.COMPLETED, output={"items": texts(1200)})
    operate.update_task(server.ports, NAMESPACE, execution.workflow_id, ids.task_id(execution.workflow_id, *task.place), report)
    head = server.newest(execution).head
    assert (head.status.value, WHY in (head.reason or "")) == ("FAILED", True)


def test_a_start_that_would_be_too_large_is_refused() -> None:
    server = server_with(fork("${workflow.input.items}"), JOIN)
    with pytest.raises(RecordTooLarge, match=WHY):
        server.start(input={"items": texts(1200)})


def test_a_retry_that_would_be_too_large_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_with(simple("list"), task := simple("after"))
    execution = server.start()
    server.report(server.taken("list"), output={"items": texts(20)})
    server.report(server.taken(task["name"]), TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    before = server.newest(execution)
    monkeypatch.setattr(fetch, "INLINE_MAX_BYTES", 10)
    monkeypatch.setattr(fetch, "RECORD_MAX_BYTES", 10)
    monkeypatch.setattr(fetch, "PACKED_MAX_BYTES", 10)
    with pytest.raises(RecordTooLarge, match=WHY):
        operations.retry(server.ports, execution)
    assert server.newest(execution) == before


def test_a_child_that_cannot_begin_tells_its_parent() -> None:
    child = {"name": "c", "taskReferenceName": "c", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "wide", "version": 1}}
    server = server_with(simple("list"), {**child, "inputParameters": {"items": "${list.output.items}"}})
    server.register(fork("${workflow.input.items}"), JOIN, name="wide")
    execution = server.start()
    server.report(server.taken("list"), output={"items": texts(1200)})
    server.settle()
    head = server.newest(execution).head
    assert (head.status.value, WHY in (head.reason or "")) == ("FAILED", True)


def two_wide_branches(*others: list[Json]) -> list[Json]:
    """A fork of which two branches fork again, each as wide as ``list0`` or ``list1`` says; and ``others``."""
    beside = {"name": "s", "taskReferenceName": "s", "type": "FORK_JOIN"}
    branches = [
        [simple(f"list{n}"), {**fork(f"${{list{n}.output.items}}"), "taskReferenceName": f"f{n}"}, {**JOIN, "taskReferenceName": f"j{n}"}]
        for n in range(2)
    ]
    last = {"name": "all", "taskReferenceName": "all", "type": "JOIN", "joinOn": ["j0", "j1"]}
    return [{**beside, "forkTasks": [*branches, *others]}, last]


def test_a_batch_that_is_too_large_is_split() -> None:
    """Two results of one batch, each of which begins a fork that fits alone."""
    server = server_with(*two_wide_branches())
    execution = server.start()
    items = texts(1400)
    given = (items[:700], items[700:])
    events = [
        TaskUpdated(place=server.newest(execution).head.open[f"list{n}"].place, status=TaskStatus.COMPLETED, output={"items": given[n]})
        for n in range(2)
    ]
    advance(server.ports, execution, events, is_redelivered=False)
    head = server.newest(execution).head
    assert head.status.value == "RUNNING"
    assert server.newest(execution).seq == 3
    assert is_stored(server, execution)
    assert len(head.open) == 1400 + 3


class Overtaken:
    """The journal of a decider that another call overtakes just before it writes."""

    def __init__(self, server: Server, other: Callable[[], object]) -> None:
        self._journal = server.world.journal
        self._other = [other]

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        while self._other:
            self._other.pop()()
        self._journal.append(execution, record, plain)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_what_fits_behind_the_record_of_another_ends_nothing() -> None:
    """When the execution's end is to be written, another result of that task has just been taken in: it is the first."""
    server = server_with(simple("list"), fork("${list.output.items}"), JOIN)
    execution = server.start()
    place = server.newest(execution).head.open["list"].place
    done = TaskUpdated(place=place, status=TaskStatus.COMPLETED, output={"items": texts(1200)})
    narrow = TaskReport(status=TaskStatus.COMPLETED, output={"items": texts(3)})
    overtaken = Overtaken(server, lambda: operate.update_by_ref(server.ports, execution, "list", narrow))
    advance(replace(server.ports, journal=cast(Journal, overtaken)), execution, [done], is_redelivered=False)
    head = server.newest(execution).head
    assert (head.status.value, len(head.open)) == ("RUNNING", 3 + 1)


def parent_too_wide_to_run_again(*, is_terminated: bool = False) -> tuple[Server, ExecutionId, ExecutionId]:
    """A parent and its child. It has failed with the child, or a user has terminated it and the child does not know yet; all its branches,
    which were begun in two records, have been cancelled."""
    child = {"name": "c", "taskReferenceName": "c", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "child", "version": 1}}
    server = server_with(simple("before"), *two_wide_branches([child]))
    server.register(simple("of_child"), name="child", task_definitions=[{"name": "of_child", "retryCount": 0}])
    parent = server.start()
    server.run_task("before")
    for n in range(2):
        server.report(server.taken(f"list{n}"), output={"items": texts(1400)[700 * n : 700 * (n + 1)]})
    child_id = ExecutionId(NAMESPACE, lives.child_id(parent.workflow_id, server.newest(parent).head.open["c"].place))
    if is_terminated:
        operate.terminate(server.ports, parent, "by the user")
    else:
        server.report(server.taken("of_child"), TaskStatus.FAILED)
    assert server.newest(parent).head.status.is_terminal
    with pytest.raises(RecordTooLarge, match=WHY):
        operations.retry(server.ports, parent)
    return server, parent, child_id


def test_a_child_that_lives_again_is_stopped_where_its_parent_cannot_run_again() -> None:
    server, parent, child = parent_too_wide_to_run_again()
    operations.retry(server.ports, child)
    server.settle()
    assert [server.status(execution) for execution in (parent, child)] == ["FAILED", "TERMINATED"]
    assert not server.newest(parent).head.stops
    assert replay(export(server.ports, parent)) is None


def test_the_end_of_a_life_that_was_not_heard_of_leaves_such_a_parent_ended() -> None:
    """The stop of the child's first life is not answered, nor is the second life heard of, before that has ended."""
    server, parent, child = parent_too_wide_to_run_again(is_terminated=True)
    stop = server.taken_in()
    assert len(server.newest(parent).head.stops) == 1
    advance_batch(server.ports, stop)
    server.taken_in()
    operations.retry(server.ports, child)
    server.taken_in()
    server.taken("of_child")
    server.report(server.taken("of_child"))
    assert [server.status(execution) for execution in (parent, child)] == ["TERMINATED", "COMPLETED"]
    assert not server.newest(parent).head.stops
    assert replay(export(server.ports, parent)) is None


def test_more_payloads_than_a_function_can_store_in_its_life_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would leave the record, which would fit then; but storing them takes longer than the function lives."""
    server = server_with(simple("list"), fork("${list.output.items}"), JOIN)
    execution = server.start()
    put = noted_puts(server, monkeypatch)
    short = iter(texts(3 * SPILLED_MAX))
    server.report(server.taken("list"), output={"items": [one + other for one, other in zip(short, short, strict=True)]})
    head = server.newest(execution).head
    assert head.status.value == "FAILED"
    assert WHY in (head.reason or "")
    assert len(put) < 10


def test_equal_payloads_are_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_with(fork("${workflow.input.items}"), JOIN)
    put = noted_puts(server, monkeypatch)
    execution = server.start(input={"items": [{"text": text * 3} for text in texts(SPILLED_MAX)]})
    assert server.status(execution) == "RUNNING"
    assert len(put) == len(set(put)) >= SPILLED_MAX
