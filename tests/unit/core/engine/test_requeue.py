"""Executions whose messages are gone, as when a stage is destroyed and comes back to its retained tables."""

from __future__ import annotations

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import operate
from batuta_core.engine.requeue import send_again
from batuta_core.model.names import ExecutionId, task_queue_name
from batuta_core.simulator.queue import SimulatedQueues

NOBODY = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000001")
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def server() -> Server:
    return Server()


def lose_queues(server: Server) -> None:
    """All messages, and the task queues themselves."""
    fresh = SimulatedQueues(server.ports.stage, lambda: server.world.now_ms)
    server.world.queues._queues = fresh._queues


def test_a_task_whose_queue_is_gone_is_sent_again_once(server: Server) -> None:
    server.register(simple("a"), simple("b"))
    execution = server.start()
    lose_queues(server)
    assert send_again(server.ports, execution)
    first = server.taken("a")
    assert server.take("a") is None
    server.report(first)  # the next task's queue is there, too
    server.run_task("b")
    assert server.status(execution) == "COMPLETED"


def test_tasks_that_no_definition_holds_are_sent_again_to_queues_of_their_own_names(server: Server) -> None:
    dynamic = {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC", "dynamicTaskNameParam": "n", "inputParameters": {"n": "late"}}
    inputs = {"branches": [simple("x"), simple("y")], "inputs": {}}
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": inputs}
    fork |= {"dynamicForkTasksParam": "branches", "dynamicForkTasksInputParamName": "inputs"}
    server.register(dynamic, fork, {"name": "j", "taskReferenceName": "j", "type": "JOIN"}, simple("b"))
    execution = server.start()
    server.settle()
    lose_queues(server)
    assert send_again(server.ports, execution)
    assert set(server.world.queues.task_queues()) == {server.queue(name) for name in ("late", "b")}  # none of the placeholder's name
    server.run_task("late")
    server.settle()
    lose_queues(server)
    assert send_again(server.ports, execution)
    server.run_task("x")
    server.run_task("y")
    server.run_task("b")
    assert server.status(execution) == "COMPLETED"


def test_a_task_of_a_domain_is_sent_again_to_the_domains_queue(server: Server) -> None:
    server.register(simple("a"))
    execution = server.start(task_to_domain={"a": "d"})
    server.settle()
    lose_queues(server)
    assert send_again(server.ports, execution)
    server.settle()
    assert [server.waiting(task_queue_name(server.ports.stage, NAMESPACE, "a", domain)) for domain in ("d", "")] == [1, 0]


def test_a_timer_that_was_near_fires_after_all(server: Server) -> None:
    server.register({"name": "w", "taskReferenceName": "w", "type": "WAIT", "inputParameters": {"duration": "60 seconds"}})
    execution = server.start()
    lose_queues(server)
    server.settle(DAY_MS)
    assert server.status(execution) == "RUNNING"  # it stalls: nobody knows that anything was lost
    assert send_again(server.ports, execution)
    server.settle(DAY_MS)
    assert server.status(execution) == "COMPLETED"


def test_where_nothing_was_lost_the_execution_ends_as_it_would_have(server: Server) -> None:
    server.register(simple("a"))
    execution = server.start()
    assert send_again(server.ports, execution)
    first, second = server.taken("a"), server.taken("a")
    server.report(first, output={"n": 1})
    server.report(second, output={"n": 2})
    assert server.status(execution) == "COMPLETED"
    assert send_again(server.ports, execution)
    assert server.take("a") is None


def test_there_is_nothing_to_revive_of_what_is_not_there(server: Server) -> None:
    server.register(simple("a"))
    execution = server.start()
    operate.terminate(server.ports, execution, "")
    operate.remove(server.ports, execution, is_archived=False)
    assert not send_again(server.ports, execution)
    assert not send_again(server.ports, NOBODY)
