"""Several task types on one queue, on the real adapters: what the decorator says is where the server sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batuta import Worker, task
from batuta_server.local.server import LocalServer
from tests.local.conftest import Http, until

Line = Callable[..., str]


@contextmanager
def working(server: LocalServer, *task_types: str, queue: str) -> Iterator[Worker]:
    worker = Worker(*[task(task_type)(lambda: {"ok": True}) for task_type in task_types], queue=queue, url=server.url)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def has_completed(http: Http, workflow_id: str) -> bool:
    return http("GET", f"/api/workflow/{workflow_id}").body["status"] == "COMPLETED"  # type: ignore[no-any-return]


def test_a_workers_queue_is_the_servers(server: LocalServer, http: Http, line: Line, name: str) -> None:
    early = line("a", "b")  # began before anybody had named a queue
    with working(server, f"{name}_a", f"{name}_b", queue=f"{name}_shared"):
        until(lambda: has_completed(http, early))
        for ref in ("a", "b"):
            assert until(lambda ref=ref: http("GET", f"/api/metadata/taskdefs/{name}_{ref}").body.get("queue")) == f"{name}_shared"
        late = http("POST", "/api/workflow", {"name": name}).text
        until(lambda: has_completed(http, late))
    with working(server, f"{name}_a", f"{name}_b", queue=f"{name}_shared") as worker:
        later = http("POST", "/api/workflow", {"name": name}).text
        until(lambda: has_completed(http, later))
        assert len(worker.health().queues) == 1


def test_a_definition_that_names_another_queue_is_followed(server: LocalServer, http: Http, line: Line, name: str) -> None:
    assert http("POST", "/api/metadata/taskdefs", [{"name": f"{name}_a", "queue": f"{name}_theirs"}]).status == 200
    workflow_id = line("a")
    with working(server, f"{name}_a", queue=f"{name}_mine"):
        until(lambda: has_completed(http, workflow_id))
