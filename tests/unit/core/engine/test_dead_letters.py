"""What the queues gave up: nothing of it vanishes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine.dead_letters import drain, drain_tasks
from batuta_core.engine.ports import MAX_RECEIVES, TASK_VISIBILITY_S, Incoming, Outgoing
from batuta_core.model.event import TaskUpdated, WorkflowTerminated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TimerMessage
from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace

DONE = TaskUpdated(place=TaskPlace(1, 0), status=TaskStatus.COMPLETED)


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(
        simple("a"), simple("b"), simple("c", inputParameters={"x": "${workflow.input}"}), task_definitions=[{"name": "a", "retryCount": 0}]
    )
    return found


def inbox(server: Server, execution: ExecutionId, event: TaskUpdated | WorkflowTerminated = DONE) -> str:
    return InboxMessage(execution=execution, event=event).to_text(server.ports.signer)


def unreadable(server: Server) -> str:
    """A message for an execution whose newest record cannot be read."""
    execution = server.start()
    server.world.journal.append(execution, replace(server.newest(execution), seq=2), b'{"v":1,"seq":2}')
    return inbox(server, execution)


def test_a_task_whose_workers_all_die_fails_with_the_reason(server: Server) -> None:
    execution = server.start()
    for _ in range(MAX_RECEIVES):
        assert len(server.world.queues.receive(server.queue("a"), 1, 0)) == 1
        server.world.now_ms += TASK_VISIBILITY_S * 1000
    assert list(server.world.queues.receive(server.queue("a"), 1, 0)) == []  # given up
    server.settle()
    assert server.status(execution) == "FAILED"
    assert "its workers died: 5 leases were lost" in (server.newest(execution).head.reason or "")


def test_a_task_that_was_finished_before_its_message_was_given_up_stays_so(server: Server) -> None:
    execution = server.start()
    message = server.taken("a")
    server.report(message)
    assert drain_tasks(server.ports, [Incoming("m", message.to_text(), "r", 1)]) == []
    server.settle()
    assert (server.status(execution), list(server.newest(execution).head.open)) == ("RUNNING", ["b"])


def test_of_dead_task_messages_strangers_are_dropped_and_newer_ones_kept(server: Server) -> None:
    assert drain_tasks(server.ports, [Incoming("junk", "junk", "r", 1), Incoming("new", '{"v":4}', "r", 1)]) == ["new"]
    assert server.log.events == ["message_not_ours"]


def test_an_innocent_event_that_was_given_up_is_decided(server: Server) -> None:
    execution = server.start()
    assert drain(server.ports, [Incoming("m", inbox(server, execution), "r", 1)]) == []
    assert list(server.newest(execution).head.open) == ["b"]


def test_a_timer_that_was_given_up_fires(server: Server) -> None:
    execution = server.start()
    due_ms = server.world.now_ms
    text = TimerMessage(execution=execution, record=1, due_ms=due_ms).to_text()
    assert drain(server.ports, [Incoming("m", text, "r", 1)]) == []
    server.settle()
    assert server.newest(execution).seq == 2


def test_what_is_of_a_newer_version_waits_and_what_is_of_nobody_is_dropped(server: Server) -> None:
    assert drain(server.ports, [Incoming("new", '{"v":4}', "r", 1), Incoming("junk", "junk", "r", 1)]) == ["new"]


def test_an_execution_that_not_even_its_end_can_be_written_of_stops_no_other(server: Server) -> None:
    text = unreadable(server)
    good = server.start()
    assert drain(server.ports, [Incoming("bad", text, "r", 1), Incoming("good", inbox(server, good), "r", 1)]) == ["bad"]
    assert list(server.newest(good).head.open) == ["b"]


def test_dead_letters_of_unknown_executions_are_done_with(server: Server) -> None:
    unknown = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000000")
    assert drain(server.ports, [Incoming("m", inbox(server, unknown, WorkflowTerminated(op="x")), "r", 1)]) == []


def test_the_whole_way_from_a_task_queue_to_the_end_takes_no_worker(server: Server) -> None:
    execution = server.start()
    text = server.taken("a").to_text()
    server.world.queues.send(server.world.queues.task_dead_letters, [Outgoing(text)])
    server.settle()
    assert server.status(execution) == "FAILED"
