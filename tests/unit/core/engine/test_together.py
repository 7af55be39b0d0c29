"""A batch's task messages in one request: what it saves, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.core.engine.server import Server, simple
from tests.unit.core.engine.test_advance import DONE, incoming

from batuta_core.engine.advance import advance_batch
from batuta_core.engine.ports import Outgoing, Ports, QueueMissing, Queues
from batuta_core.model.error import Unavailable
from batuta_core.model.message import GuardFired


class Watched:
    """Queues that note what is sent, and raise ``error`` at messages to ``broken`` that come together."""

    def __init__(self, queues: Queues, broken: str = "", error: Exception | None = None) -> None:
        self._queues = queues
        self._broken = broken
        self._error = error
        self.sent: list[tuple[str, int]] = []

    def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        self.sent.append((queue, len(messages)))
        if queue == self._broken and self._error is not None and (len(messages) > 1 or isinstance(self._error, QueueMissing)):
            raise self._error
        self._queues.send(queue, messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), simple("b"))
    return found


def watched(server: Server, **more: Any) -> tuple[Ports, Watched]:
    queues = Watched(server.ports.queues, **more)
    return replace(server.ports, queues=cast(Queues, queues)), queues


def test_tasks_of_several_executions_for_one_queue_are_sent_in_one_request(server: Server) -> None:
    executions = [server.start() for _ in range(10)]
    ports, queues = watched(server)
    assert advance_batch(ports, [incoming(server, execution, DONE) for execution in executions]) == []
    assert queues.sent == [(server.queue("b"), 10)]


def test_when_the_joint_request_fails_each_execution_sends_its_own(server: Server) -> None:
    executions = [server.start() for _ in range(3)]
    ports, queues = watched(server, broken=server.queue("b"), error=Unavailable("throttled"))
    assert advance_batch(ports, [incoming(server, execution, DONE) for execution in executions]) == []
    assert queues.sent == [(server.queue("b"), 3), *[(server.queue("b"), 1)] * 3]
    assert [server.newest(execution).seq for execution in executions] == [2, 2, 2]


def test_a_queue_that_is_not_there_is_wanted_and_the_tasks_are_sent(server: Server) -> None:
    executions = [server.start() for _ in range(2)]
    ports, _queues = watched(server, broken=server.queue("b"), error=QueueMissing("no queue"))
    assert advance_batch(ports, [incoming(server, execution, DONE) for execution in executions]) == []
    server.settle()
    assert [server.status(execution) for execution in executions] == ["RUNNING", "RUNNING"]
    assert server.waiting(server.queue("b")) == 2


def test_what_a_guard_dispatches_is_sent_before_the_summary_says_so(server: Server) -> None:
    execution = server.start()
    server.world.summaries.delete(execution)
    ports, queues = watched(server, broken=server.queue("a"), error=QueueMissing("no queue"))
    noted: list[int] = []

    class Summaries:
        def note_dispatched(self, *_arguments: Any, **_more: Any) -> None:
            noted.append(len(queues.sent))

        def __getattr__(self, name: str) -> Any:
            return getattr(server.ports.summaries, name)

    ports = replace(ports, summaries=cast(Any, Summaries()))
    other = server.start()
    assert advance_batch(ports, [incoming(server, execution, GuardFired(1)), incoming(server, other, DONE)]) == []
    assert queues.sent[0][0] == server.queue("a")
    assert noted[0] > 0
