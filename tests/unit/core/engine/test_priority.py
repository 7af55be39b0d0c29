"""Priority queues: who goes there, who is taken first, and what it costs where nobody uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple
from tests.unit.core.engine.test_advance import DONE, incoming

from batuta_core.engine import priority, requeue
from batuta_core.engine.advance import advance_batch
from batuta_core.engine.fetch import Cache
from batuta_core.engine.poll import poll
from batuta_core.engine.ports import Incoming, Ports, QueueMissing
from batuta_core.model.error import Unavailable
from batuta_core.model.message import WantedQueue
from batuta_core.model.names import OWN_FIRST_OF, priority_queue_name

HIGH, OWN = "high", "own"


@pytest.fixture
def server() -> Server:
    found = Server()
    found.register(simple("a"), simple("b"))
    return found


class Watched:
    """The queues, and what was asked of them. ``broken`` raises what it says."""

    def __init__(self, server: Server) -> None:
        self._world = server.world
        self._queues = server.world.queues
        self.received: list[tuple[str, int, int]] = []
        self.sent: Counter[str] = Counter()
        self.broken: dict[str, Exception] = {}

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        self.received.append((queue, limit, wait_s))
        if queue in self.broken:
            raise self.broken[queue]
        found = self._queues.receive(queue, limit, wait_s)
        self._world.now_ms += 0 if found else wait_s * 1000
        return found

    def send(self, queue: str, messages: Any) -> None:
        self.sent[queue] += 1
        self._queues.send(queue, messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)


def watched(server: Server) -> tuple[Ports, Watched]:
    queues = Watched(server)
    return replace(server.ports, queues=cast(Any, queues)), queues


def names(server: Server, task_type: str = "a") -> dict[str, str]:
    queue = server.queue(task_type)
    return {priority_queue_name(queue): HIGH, queue: OWN}


def with_both(server: Server) -> None:
    """The priority queues of a and b are there, and nothing lies anywhere."""
    for task_type in ("a", "b"):
        server.ports.queues.ensure_task_queue(priority_queue_name(server.queue(task_type)))


def polled(ports: Ports, **fields: Any) -> list[Json]:
    return poll(ports, NAMESPACE, "a", **{"worker_id": "me", "timeout_ms": 0, **fields})


# --- sending


def test_a_task_of_a_priority_goes_to_the_priority_queue_and_others_do_not(server: Server) -> None:
    with_both(server)
    high, low = server.start(priority=1), server.start()
    received = server.world.queues.receive(priority_queue_name(server.queue("a")), 10, 0)
    assert [high.workflow_id in item.text for item in received] == [True]
    assert low.workflow_id in server.world.queues.receive(server.queue("a"), 10, 0)[0].text
    assert server.newest(high).head.about.priority == 1


def test_the_first_one_goes_with_the_others_and_has_the_queue_made_once(server: Server) -> None:
    for _ in range(3):
        server.start(priority=7)
    assert server.waiting(server.queue("a")) == 3
    server.settle()
    assert server.waiting(server.queue("a")) == 3, "nothing is sent twice"
    server.start(priority=7)
    assert server.waiting(priority_queue_name(server.queue("a"))) == 1
    assert priority_queue_name(server.queue("b")) not in server.world.queues.names()


def test_a_queue_made_for_priorities_is_a_task_queue_like_others(server: Server) -> None:
    execution = server.start(priority=7)
    server.settle()
    server.taken("a")
    server.start(priority=7)
    queue = server.world.queues._queues[priority_queue_name(server.queue("a"))]
    own = server.world.queues._queues[server.queue("a")]
    assert (queue.visibility_s, queue.max_receives, queue.dead_letters) == (own.visibility_s, own.max_receives, own.dead_letters)
    assert server.newest(execution).seq == 1, "the execution hears nothing of it"


def test_a_type_without_any_queue_gets_both(server: Server) -> None:
    server.register(
        {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC", "dynamicTaskNameParam": "n", "inputParameters": {"n": "late"}}
    )
    execution = server.start(priority=3)
    server.settle()
    assert {server.queue("late"), priority_queue_name(server.queue("late"))} <= set(server.world.queues.names())
    assert requeue.waiting(server.ports, NAMESPACE, "late") == 1
    assert server.status(execution) == "RUNNING"


def test_a_batch_of_decisions_sends_them_together(server: Server) -> None:
    with_both(server)
    executions = [server.start(priority=5) for _ in range(4)]
    [server.world.queues.receive(priority_queue_name(server.queue("a")), 10, 0) for _ in range(1)]
    ports, queues = watched(server)
    server.ports.cache.priority_queues.put(priority_queue_name(server.queue("b")), 0)
    batch = [incoming(server, execution, DONE) for execution in executions]
    assert advance_batch(ports, batch) == []
    assert queues.sent[priority_queue_name(server.queue("b"))] == 1


def test_a_batch_falls_back_where_the_queue_is_not_there(server: Server) -> None:
    """Known to be there or not: each task is sent once."""
    for is_believed in (False, True):
        executions = [server.start(priority=5) for _ in range(3)]
        if is_believed:
            server.ports.cache.priority_queues.put(priority_queue_name(server.queue("b")), 0)
        assert advance_batch(server.ports, [incoming(server, execution, DONE) for execution in executions]) == []
        assert server.waiting(server.queue("b")) == 3
        while server.take("b"):
            pass


# --- receiving


def test_without_priorities_a_poll_asks_one_queue_and_looks_for_the_other_once_a_minute(server: Server) -> None:
    ports, queues = watched(server)
    for _ in range(20):
        polled(ports)
    assert [names(server)[queue] for queue, _limit, _wait in queues.received].count(HIGH) == 1
    server.world.now_ms += priority.LOOK_AGAIN_MS
    for _ in range(20):
        polled(ports)
    assert [names(server)[queue] for queue, _limit, _wait in queues.received].count(HIGH) == 2


def test_a_poll_of_the_type_that_waits_waits_as_long_as_before(server: Server) -> None:
    ports, queues = watched(server)
    polled(ports, timeout_ms=20_000)
    assert {(names(server)[queue], wait) for queue, _limit, wait in queues.received} == {(HIGH, 0), (OWN, 20)}


def test_a_poll_takes_the_higher_ones_first_and_then_goes_on(server: Server) -> None:
    with_both(server)
    for number in range(6):
        server.start(priority=number % 2)
    found = polled(server.ports, count=10)
    assert len(found) == 6
    firsts = []
    for _ in range(40 * OWN_FIRST_OF):
        server.start(), server.start(priority=9)
        firsts.append(next(task["workflowPriority"] for task in polled(server.ports, count=2)))
    share = firsts.count(0) / len(firsts)
    assert 0.5 / OWN_FIRST_OF < share < 2 / OWN_FIRST_OF, "one of eight begins with the others"


def test_a_poll_that_waits_looks_at_both_queues(server: Server) -> None:
    with_both(server)
    ports, queues = watched(server)
    polled(ports)  # it is found
    queues.received.clear()
    began_ms = server.world.now_ms
    polled(ports, timeout_ms=20_000)
    assert server.world.now_ms - began_ms == 20_000
    assert Counter(names(server)[queue] for queue, _limit, _wait in queues.received) == {HIGH: 4, OWN: 4}
    assert {wait for _queue, _limit, wait in queues.received} == {0, 5}


def test_a_task_of_a_priority_that_comes_with_the_others_has_the_queue_looked_for_soon(server: Server) -> None:
    ports = replace(server.ports, cache=Cache())  # of a process that sends nothing
    polled(ports)
    server.start(priority=5)
    assert len(polled(ports)) == 1
    server.settle()  # the queue is made
    server.start(priority=5)
    assert polled(ports) == []
    server.world.now_ms += priority.LOOK_SOON_MS
    assert len(polled(ports)) == 1


def test_what_one_queue_gave_is_handed_out_although_the_other_fails(server: Server) -> None:
    with_both(server)
    server.start(priority=5)
    ports, queues = watched(server)
    queues.broken = {server.queue("a"): Unavailable("throttled")}
    assert len(polled(ports, count=5)) == 1
    with pytest.raises(Unavailable):
        polled(ports, count=5)


def test_a_priority_queue_that_was_deleted_keeps_nobody_from_the_other(server: Server) -> None:
    with_both(server)
    polled(server.ports)
    server.start()
    del server.world.queues._queues[priority_queue_name(server.queue("a"))]
    assert len(polled(server.ports)) == 1


def test_what_does_not_fit_is_released_on_the_queue_it_came_from(server: Server) -> None:
    with_both(server)
    for number in range(4):
        server.start(priority=number % 2, input={"x": "x" * 10})
    ports, _queues = watched(server)

    def fail(*_arguments: Any, **_more: Any) -> Any:
        raise RuntimeError("bug")

    took = polled(ports)
    assert len(took) == 1
    broken = replace(ports, journal=cast(Any, type("Broken", (), {"newest": fail, "glance": fail})()))
    with pytest.raises(RuntimeError):
        polled(broken, count=10)
    server.world.now_ms += 31_000
    assert len(polled(ports, count=10)) == 3


# --- sizes


def test_the_size_of_a_queue_counts_both(server: Server) -> None:
    with_both(server)
    for number in range(5):
        server.start(priority=number % 2)
    assert requeue.waiting(server.ports, NAMESPACE, "a") == 5
    assert requeue.requeue(server.ports, NAMESPACE, "a") == 5
    assert requeue.waiting(server.ports, NAMESPACE, "a") == 5, "nothing was lost, so nothing is sent again"


def test_a_queue_is_filled_again_when_both_are_empty(server: Server) -> None:
    with_both(server)
    for number in range(5):
        server.start(priority=number % 2)
    for queue in names(server):
        server.world.queues._queues[queue].messages.clear()
    assert requeue.requeue(server.ports, NAMESPACE, "a") == 5
    assert [server.waiting(queue) for queue in names(server)] == [2, 3]


def test_sending_raises_when_neither_queue_is_there(server: Server) -> None:
    execution = server.start(priority=5)
    task = next(iter(server.newest(execution).head.open.values()))
    wanted = WantedQueue("none", "", task.place, 0)
    with pytest.raises(QueueMissing):
        priority.send(server.ports, execution, 1, server.queue("none"), wanted, [])
