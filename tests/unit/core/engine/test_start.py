"""Starting executions: what is refused, what a repeat gets, what lies on the queues afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import Server, simple

from batuta_core.engine import operate
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.start import IdempotencyStrategy, StartRequest, start
from batuta_core.model.error import (
    BatutaError,
    ExecutionExists,
    InvalidInput,
    PayloadTooLarge,
    WorkflowDefinitionNotFound,
)
from batuta_core.model.execution import TaskStatus
from batuta_core.model.payload import PAYLOAD_MAX_BYTES
from batuta_core.simulator.faults import Fault
from batuta_core.simulator.world import Action

FAIL, RETURN, ON_RUNNING = IdempotencyStrategy


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a", inputParameters={"x": "${workflow.input.x}"}), task_definitions=[{"name": "a", "retryCount": 0}])
    return found


def test_a_started_execution_has_its_first_task_on_the_queue(server: Server) -> None:
    execution = server.start(input={"x": "é"}, correlation_id="c", priority=5)
    message = server.taken("a")
    assert (message.execution, message.ref, message.attempt, message.input) == (execution, "a", 1, {"x": "é"})
    assert (message.workflow_name, message.workflow_version, message.correlation_id, message.priority) == ("w", 1, "c", 5)


def test_every_start_without_a_key_is_an_execution_of_its_own(server: Server) -> None:
    assert len({server.start() for _ in range(5)}) == 5


@pytest.mark.parametrize(("version", "expected"), [(None, 7), (7, 7), (1, 1)])
def test_without_a_version_the_highest_is_started(server: Server, version: int | None, expected: int) -> None:
    server.register(simple("a"), version=7)
    server.register(simple("a"), version=3)
    assert server.newest(server.start(version=version)).events[0].to_dict()["ver"] == expected


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("unknown", None, "No such workflow defined. name=unknown, version=null"),
        ("w", 2, "No such workflow defined. name=w, version=2"),
        ("w", 0, "No such workflow defined. name=w, version=0"),
        ("W", None, "No such workflow defined. name=W, version=null"),
    ],
)
def test_what_was_not_registered_cannot_be_started(server: Server, name: str, version: int | None, message: str) -> None:
    with pytest.raises(WorkflowDefinitionNotFound) as refused:
        server.start(name, version=version)
    assert refused.value.message == message


def test_a_definition_of_another_namespace_is_unknown(server: Server) -> None:
    with pytest.raises(WorkflowDefinitionNotFound):
        start(StartRequest(namespace="other", name="w"), server.ports, no_javascript)


@pytest.mark.parametrize(("priority", "problem"), [(-1, "should be minimum 0"), (100, "should be maximum 99")])
def test_a_priority_out_of_range_is_refused(server: Server, priority: int, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        server.start(priority=priority)
    assert [item.message for item in refused.value.problems] == [f"priority: {priority} {problem}"]


@pytest.mark.parametrize("priority", [0, 99])
def test_the_bounds_of_priority_are_within(server: Server, priority: int) -> None:
    server.start(priority=priority)
    assert server.taken("a").priority == priority


def test_all_faults_of_a_start_are_told_at_once(server: Server) -> None:
    with pytest.raises(InvalidInput) as refused:
        server.start("", priority=-1)
    assert [item.path for item in refused.value.problems] == ["name", "priority"]


@pytest.mark.parametrize("unit", ["x", "é", "😀"])
def test_the_input_is_limited_by_its_bytes(server: Server, unit: str) -> None:
    room = (PAYLOAD_MAX_BYTES - len('{"k":""}')) // len(unit.encode())
    assert server.status(server.start(input={"k": unit * room})) == "RUNNING"
    with pytest.raises(PayloadTooLarge):
        server.start(input={"k": unit * (room + 1)})


def test_a_refused_start_leaves_nothing_behind(server: Server) -> None:
    for fields in ({"name": "unknown"}, {"priority": -1}):
        with pytest.raises(BatutaError):
            server.start(**{"name": "w", **fields})  # type: ignore[arg-type]
    assert server.world.journal.executions() == []
    assert server.waiting(server.world.queues.timers) == 0


# --- inline definitions


def test_an_inline_definition_is_started_without_being_registered(server: Server) -> None:
    execution = server.start("inline", definition={"name": "inline", "version": 4, "tasks": [simple("b")]})
    assert (server.taken("b").workflow_version, server.show(execution)["workflowName"]) == (4, "inline")
    with pytest.raises(WorkflowDefinitionNotFound):
        server.start("inline")


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        ({"name": "i", "tasks": []}, InvalidInput),
        ({"name": "i", "tasks": [simple("a"), simple("a")]}, InvalidInput),
        ({"name": "i", "tasks": [{"type": "SIMPLE", "name": "a"}]}, InvalidInput),
        ("text", InvalidInput),
        (5, InvalidInput),
        ([], InvalidInput),
    ],
)
def test_an_inline_definition_that_cannot_run_is_refused(server: Server, definition: Any, error: type[BatutaError]) -> None:
    with pytest.raises(error):
        server.start("i", definition=definition)


def test_registering_anew_changes_nothing_that_runs(server: Server) -> None:
    execution = server.start()
    server.register(simple("other"))
    server.run_task("a")
    assert server.status(execution) == "COMPLETED"
    assert server.show(server.start())["tasks"][0]["referenceTaskName"] == "other"


def test_a_changed_task_definition_counts_for_the_next_start(server: Server) -> None:
    server.start()
    server.register(simple("a"), task_definitions=[{"name": "a", "responseTimeoutSeconds": 77}])
    server.start()
    assert {server.taken("a").response_timeout_s for _ in range(2)} == {3600, 77}


# --- idempotency


def ended(server: Server, how: str) -> None:
    """An execution of the key ``k`` in that status."""
    execution = server.start(idempotency_key="k")
    if how == "REMOVED":
        operate.remove(server.ports, execution, is_archived=False)
    elif how == "TERMINATED":
        operate.terminate(server.ports, execution, None)
    elif how != "RUNNING":
        server.report(server.taken("a"), TaskStatus(how))
    assert server.status(execution) == how


@pytest.mark.parametrize(
    ("strategy", "status", "expected"),
    [
        (FAIL, "RUNNING", "refused"),
        (FAIL, "COMPLETED", "refused"),
        (FAIL, "FAILED", "refused"),
        (FAIL, "REMOVED", "new"),
        (RETURN, "RUNNING", "same"),
        (RETURN, "COMPLETED", "same"),
        (RETURN, "TERMINATED", "same"),
        (RETURN, "REMOVED", "new"),
        (ON_RUNNING, "RUNNING", "refused"),
        (ON_RUNNING, "COMPLETED", "new"),
        (ON_RUNNING, "FAILED", "new"),
        (ON_RUNNING, "TERMINATED", "new"),
        (ON_RUNNING, "REMOVED", "new"),
    ],
)
def test_what_a_second_start_with_the_same_key_gets(server: Server, strategy: IdempotencyStrategy, status: str, expected: str) -> None:
    ended(server, status)
    [first] = server.world.journal.executions()
    fields = {"idempotency_key": "k", "idempotency_strategy": strategy}
    if expected == "refused":
        with pytest.raises(ExecutionExists) as refused:
            server.start(**fields)
        assert refused.value.facts == {"workflow_id": first.workflow_id}
    else:
        second = server.start(**fields)
        assert (second == first) == (expected == "same")
        assert server.status(second) == (status if expected == "same" else "RUNNING")


def test_a_key_is_used_again_and_again_once_it_is_free(server: Server) -> None:
    found = []
    for _ in range(4):
        found.append(server.start(idempotency_key="k", idempotency_strategy=ON_RUNNING))
        server.run_task("a")
    assert len(set(found)) == 4


def test_a_key_belongs_to_one_workflow_name(server: Server) -> None:
    server.register(simple("a"), name="v")
    assert server.start(idempotency_key="k") != server.start("v", idempotency_key="k")


def test_versions_of_a_workflow_share_their_keys(server: Server) -> None:
    server.register(simple("a"), version=2)
    first = server.start(version=1, idempotency_key="k")
    assert server.start(version=2, idempotency_key="k", idempotency_strategy=RETURN) == first


@pytest.mark.parametrize("key", [" ", "ключ", "😀", "\x00", "\ud800", "k" * 5000])
def test_a_key_may_be_any_text_but_the_empty_one(server: Server, key: str) -> None:
    first = server.start(idempotency_key=key)
    assert server.start(idempotency_key=key, idempotency_strategy=RETURN) == first
    assert server.start(idempotency_key="") != server.start(idempotency_key="")


# --- faults


class Once:
    """One fault, at the first call of a site."""

    def __init__(self, site: str, fault: Fault) -> None:
        self._left = [(site, fault)]

    def choose(self, site: str, call: int, *, has_paused: bool) -> Fault | None:
        if self._left and self._left[0][0] == site:
            return self._left.pop()[1]
        return None


@pytest.mark.parametrize(
    ("site", "fault", "starts"),
    [
        ("queues.send", Fault.CRASH_BEFORE, 0),  # the guard: nothing was written
        ("journal.append", Fault.CRASH_BEFORE, 0),
        ("journal.append", Fault.CRASH_AFTER, 1),  # the guard finds the record
        ("journal.append", Fault.ECHO, 1),
        ("summaries.write", Fault.CRASH_BEFORE, 1),
    ],
)
def test_a_start_that_dies_happened_wholly_or_not_at_all(server: Server, site: str, fault: Fault, starts: int) -> None:
    def begin() -> None:
        server.start()

    server.world.faults = Once(site, fault)
    server.world.agenda.append((server.world.now_ms, Action("start", begin)))
    server.settle(for_ms=100_000)
    assert len(server.world.journal.executions()) == starts
    assert (server.take("a") is not None) == (starts > 0)
    assert [summary.status.value for summary in summaries(server)] == ["RUNNING"] * starts


def summaries(server: Server) -> list[Any]:
    return [server.world.summaries.get(execution) for execution in server.world.journal.executions()]


def test_a_guard_that_has_nothing_to_look_after_sends_nothing_twice(server: Server) -> None:
    server.start()
    server.settle(for_ms=100_000)
    assert server.waiting(server.queue("a")) == 1
