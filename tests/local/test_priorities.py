"""Priorities without limits, on real queues: the second queue is made when it is needed, found by workers and polls, and taken first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from batuta import Worker, task
from batuta_core.engine.ports import NullLog, Ports, QueueMissing
from batuta_core.model.names import OWN_FIRST_OF, priority_queue_name, task_queue_name
from batuta_server import bootstrap
from batuta_server.aws.signature import Credentials
from batuta_server.local.emulator import ACCOUNT
from batuta_server.local.server import STAGE, LocalServer
from tests.local.conftest import Http, until

Line = Callable[..., str]
LOW, HIGH = 30, 6


@pytest.fixture(scope="module")
def ports(server: LocalServer) -> Iterator[Ports]:
    with closing(bootstrap.connect(server.settings, Credentials(ACCOUNT, "local"))) as transport:
        yield bootstrap.make_ports(server.settings, transport, NullLog())


def size_of(ports: Ports, queue: str) -> int | None:
    try:
        return ports.queues.size(queue).total
    except QueueMissing:
        return None


@pytest.fixture
def queues(http: Http, line: Line, ports: Ports, name: str) -> tuple[str, str]:
    """Of a task type whose workflow is registered, the priority queue first; nothing lies there."""
    own = task_queue_name(STAGE, "default", f"{name}_a")
    line("a")
    begin(http, name, 0, priority=1)
    assert size_of(ports, own) == 2  # the first of a priority goes with the others, while its queue is made
    until(lambda: size_of(ports, priority_queue_name(own)) is not None)
    for _ in range(2):
        until(lambda: take(http, name))
    return priority_queue_name(own), own


def begin(http: Http, name: str, x: int, priority: int = 0) -> None:
    answer = http("POST", "/api/workflow", {"name": name, "priority": priority, "input": {"x": x}})
    assert answer.status == 200, answer.text


def begin_many(http: Http, name: str) -> None:
    """Those of a priority last."""
    for number in range(LOW):
        begin(http, name, number)
    for number in range(HIGH):
        begin(http, name, LOW + number, priority=50)


def take(http: Http, name: str) -> int | None:
    """Polls a task and completes it."""
    found = http("GET", f"/api/tasks/poll/{name}_a?timeout=100").body
    if not found:
        return None
    body = {"workflowInstanceId": found["workflowInstanceId"], "taskId": found["taskId"], "status": "COMPLETED"}
    assert http("POST", "/api/tasks", body).status == 200
    return int(found["inputData"]["x"]) + 1


def high_are_early(order: list[int]) -> bool:
    return all(order.index(number) < HIGH + 2 * OWN_FIRST_OF for number in range(LOW, LOW + HIGH))


def test_a_worker_takes_what_is_of_a_priority_first(
    server: LocalServer, http: Http, ports: Ports, queues: tuple[str, str], name: str
) -> None:
    begin_many(http, name)
    assert [size_of(ports, queue) for queue in queues] == [HIGH, LOW]
    order: list[int] = []

    @task(f"{name}_a")
    def work(x: int) -> None:
        order.append(x)

    worker = Worker(work, url=server.url, max_in_progress=1)
    worker.start()
    try:
        until(lambda: len(order) == LOW + HIGH)
        assert set(worker.health().queues) == set(queues)
    finally:
        worker.stop()
    assert sorted(order) == list(range(LOW + HIGH))
    assert high_are_early(order), order


def test_a_running_worker_finds_the_queue_that_the_first_priority_makes(server: LocalServer, http: Http, line: Line, name: str) -> None:
    order: list[int] = []

    @task(f"{name}_a")
    def work(x: int) -> None:
        order.append(x)

    line("a")
    worker = Worker(work, url=server.url)
    worker.start()
    try:
        until(lambda: order == [1])
        assert len(worker.health().queues) == 1
        begin(http, name, 2, priority=9)
        until(lambda: order == [1, 2])
        until(lambda: len(worker.health().queues) == 2)
        begin(http, name, 3, priority=9)
        until(lambda: order == [1, 2, 3])
    finally:
        worker.stop()


def test_polls_take_what_is_of_a_priority_first(http: Http, ports: Ports, queues: tuple[str, str], name: str) -> None:
    begin_many(http, name)
    assert http("GET", f"/api/tasks/queue/sizes?taskType={name}_a").body == {f"{name}_a": LOW + HIGH}
    order: list[int] = []
    while len(order) < LOW + HIGH:
        order.append(until(lambda: take(http, name)) - 1)
    assert sorted(order) == list(range(LOW + HIGH))
    # Which poll begins with the others is left to chance, one of eight: that eight of the first fourteen do, to one of 10,000 runs.
    assert all(order.index(number) < HIGH + 8 for number in range(LOW, LOW + HIGH)), order
    assert [size_of(ports, queue) for queue in queues] == [0, 0]


def test_without_priorities_there_is_one_queue(http: Http, line: Line, ports: Ports, name: str) -> None:
    line("a")
    until(lambda: take(http, name))
    assert size_of(ports, priority_queue_name(task_queue_name(STAGE, "default", f"{name}_a"))) is None
