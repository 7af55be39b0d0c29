"""Task types with limits: who gets the next permit, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import catalog, operate
from batuta_core.engine.fetch import Cache, graph_of
from batuta_core.engine.limits import KNOWN_MS, limited_now
from batuta_core.engine.poll import poll
from batuta_core.engine.requeue import requeue, send_again
from batuta_core.model.error import Unavailable
from batuta_core.model.gate import GateId
from batuta_core.simulator.worker import Outcome, SdkWorker

A = GateId(NAMESPACE, "a")


def server_with(**limits: int) -> Server:
    server = Server()
    server.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 0, **limits}])
    return server


@pytest.fixture
def server() -> Server:
    return server_with(concurrentExecLimit=1)


def waiting_on_queue(server: Server) -> int:
    return server.ports.queues.size(server.queue("a")).waiting


def test_no_more_are_on_the_queue_than_may_be_at_once(server: Server) -> None:
    executions = [server.start() for _ in range(3)]
    server.settle()
    assert waiting_on_queue(server) == 1
    for _ in executions:
        server.run_task("a")
        server.settle()
    assert [server.status(execution) for execution in executions] == ["COMPLETED"] * 3
    assert server.ports.gates.read(A).held == {}


def calls(server: Server) -> list[str]:
    """Those that the functions make for one task, from start to end."""
    server.world.trace = []
    SdkWorker(server.world, lambda _message: Outcome())
    server.start()
    server.settle()
    return [line.partition(": ")[2] for line in server.world.trace if "decider: " in line]


def test_a_task_without_limits_costs_no_call_more() -> None:
    found = calls(server_with())
    assert not [call for call in found if call.startswith(("gates.", "definitions."))]


def test_a_line_without_limits_asks_for_them_once_in_five_seconds() -> None:
    """And for all its task types at once, until a definition changes. Its decisions make no other call of the definitions."""
    server = Server()
    server.register(*[simple(f"t{number}") for number in range(6)])
    server.world.trace = []
    SdkWorker(server.world, lambda _message: Outcome())
    for _ in range(5):
        server.start()
        server.settle(for_ms=0)
    assert [line for line in server.world.trace if "decider: definitions." in line] == []  # asked for at the start
    server.world.trace.clear()
    server.start()
    server.world.now_ms += KNOWN_MS
    server.settle()
    found = [line.partition(": ")[2] for line in server.world.trace if "decider: definitions." in line]
    assert found == ["definitions.revision"]  # in six decisions


def test_a_first_limit_holds_for_an_execution_that_runs() -> None:
    server = server_with()
    executions = [server.start() for _ in range(3)]
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "b", "retryCount": 0}])
    server.register(simple("a"), simple("b"), name="ab")
    executions = [server.start("ab") for _ in range(3)]
    server.settle()
    catalog.update_task(server.ports, NAMESPACE, {"name": "b", "retryCount": 0, "concurrentExecLimit": 1})
    server.world.now_ms += KNOWN_MS
    while message := server.take("a"):
        server.report(message)
    assert server.waiting(server.queue("b")) == 1
    for _ in executions:
        server.run_task("b")
        server.settle()
    assert [server.status(execution) for execution in executions] == ["COMPLETED"] * 3
    assert server.ports.gates.read(GateId(NAMESPACE, "b")).held == {}


def test_who_cannot_ask_for_limits_sends() -> None:
    server = server_with()

    def fail(*_arguments: Any) -> Any:
        raise Unavailable("throttled")

    definitions = type("Broken", (), {"revision": fail, "tasks": fail, "frozen": server.world.definitions.frozen})()
    graph = graph_of(server.ports, NAMESPACE, server.newest(server.start()).head.definition)
    ports = replace(server.ports, definitions=cast(Any, definitions), cache=Cache())
    assert limited_now(ports, NAMESPACE, ["a"], graph) == set()
    assert "limits_unknown" in server.log.events


def test_what_a_limited_task_costs_in_calls(server: Server) -> None:
    """As docs/adr/0016 says: beside the decision itself, at its two turns at the gate."""
    found = calls(server)
    gate = [call for call in found if call.startswith(("gates.", "definitions.", "journal.newest"))]
    admitted = ["gates.read", "definitions.tasks", "journal.newest", "gates.write", "gates.write"]
    assert gate == [*admitted, "gates.read", "definitions.tasks", "gates.write"]


def test_what_is_cancelled_while_it_waits_is_not_sent(server: Server) -> None:
    first = server.start()
    server.settle()
    second, third = server.start(), server.start()
    server.settle()
    operate.terminate(server.ports, second, None)
    operate.terminate(server.ports, third, None)
    server.settle()
    server.run_task("a")
    server.settle()
    assert server.status(first) == "COMPLETED"
    assert waiting_on_queue(server) == 0
    assert server.ports.gates.waiting(A, 9) == []


def test_limits_of_a_type_that_is_not_registered_are_those_that_the_execution_brought() -> None:
    server = Server()
    definition = {"name": "a", "retryCount": 0, "concurrentExecLimit": 2}
    server.register({**simple("a"), "taskDefinition": definition})
    for _ in range(5):
        server.start()
    server.settle()
    assert waiting_on_queue(server) == 2


def test_a_definition_that_is_deleted_leaves_the_limits_that_executions_brought(server: Server) -> None:
    for _ in range(3):
        server.start()
    server.settle()
    catalog.update_task(server.ports, NAMESPACE, {"name": "a", "concurrentExecLimit": 2})
    server.settle()
    assert waiting_on_queue(server) == 2
    assert catalog.delete_task(server.ports, NAMESPACE, "a")
    server.settle()
    assert waiting_on_queue(server) == 2


def test_a_definition_that_changes_no_limit_tells_no_gate(server: Server) -> None:
    sent: list[str] = []
    server.world.queues.on_send = lambda _queue, outgoing: sent.append(outgoing.text)
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "a", "retryCount": 5, "concurrentExecLimit": 1}, {"name": "b"}])
    assert sent == []


def test_lost_messages_of_admitted_tasks_are_sent_again(server: Server) -> None:
    execution = server.start()
    server.settle()
    ways: tuple[Callable[[], bool], ...] = (lambda: requeue(server.ports, NAMESPACE, "a") == 1, lambda: send_again(server.ports, execution))
    for again in ways:
        server.taken("a")
        assert waiting_on_queue(server) == 0
        assert again()
        server.settle()
        assert waiting_on_queue(server) == 1


def test_who_takes_a_task_with_a_limit_on_starts_a_second_time_does_not_begin_it() -> None:
    server = server_with(rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=60)
    execution = server.start()
    server.settle()
    received = server.world.queues.receive(server.queue("a"), 1, 0)  # by one that dies
    server.world.queues.release(server.queue("a"), [message.receipt for message in received])
    assert poll(server.ports, NAMESPACE, "a", worker_id="me", timeout_ms=0) == []
    server.settle()
    assert waiting_on_queue(server) == 0, "it stands in line for another permit"
    assert server.newest(execution).head.open["a"].lost == 1
    server.settle(61_000)
    [task] = poll(server.ports, NAMESPACE, "a", worker_id="me", timeout_ms=0)
    assert task["status"] == "IN_PROGRESS"


def test_a_task_without_a_limit_on_starts_is_begun_by_the_next(server: Server) -> None:
    server.start()
    server.settle()
    received = server.world.queues.receive(server.queue("a"), 1, 0)
    server.world.queues.release(server.queue("a"), [message.receipt for message in received])
    assert len(poll(server.ports, NAMESPACE, "a", worker_id="me", timeout_ms=0)) == 1
