"""Definitions registered, refused, and made ready to start."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Json, Server, simple

from batuta_core.decider.known import DefinitionName
from batuta_core.engine import catalog
from batuta_core.engine.catalog import no_javascript
from batuta_core.model.error import DefinitionExists, InvalidInput, TaskDefinitionNotFound, WorkflowDefinitionNotFound

EVENT = {"name": "h", "taskReferenceName": "h", "type": "EVENT", "sink": "conductor"}


@pytest.fixture
def server() -> Server:
    return Server()


def register(server: Server, *bodies: Any, is_new: bool = False) -> list[str]:
    return catalog.register_workflows(server.ports, NAMESPACE, bodies, no_javascript, is_new=is_new)


def workflow(name: str, *tasks: Json, **fields: Any) -> Json:
    return {"name": name, "tasks": list(tasks or [simple("a")]), **fields}


def test_registering_makes_a_queue_for_every_type_that_workers_serve(server: Server) -> None:
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param", "expression": "x",
        "decisionCases": {"c": [simple("deep")]}, "defaultCase": [{"name": "n", "taskReferenceName": "r", "type": "OWN"}],
    }  # fmt: skip
    register(server, workflow("w", simple("a"), switch, {"name": "w", "taskReferenceName": "w", "type": "WAIT"}))
    assert set(server.world.queues.task_queues()) == {server.queue(name) for name in ("a", "deep", "OWN")}


def test_registering_is_all_or_nothing_and_names_each_fault_by_its_place(server: Server) -> None:
    with pytest.raises(InvalidInput) as refused:
        register(server, workflow("good"), workflow("", simple("a"), simple("a")), {"name": "empty"})
    paths = [problem.path for problem in refused.value.problems]
    assert paths == ["[1].name", "[1].tasks[1].taskReferenceName", "[2].tasks"]
    assert list(server.world.definitions.workflows(NAMESPACE)) == []
    assert server.world.queues.task_queues() == []


def test_a_single_definition_has_its_faults_without_a_place(server: Server) -> None:
    with pytest.raises(InvalidInput) as refused:
        register(server, {"name": "w", "tasks": []})
    assert [problem.path for problem in refused.value.problems] == ["tasks"]


def test_registering_nothing_stores_nothing(server: Server) -> None:
    assert register(server) == []
    with pytest.raises(InvalidInput, match="Validation failed"):
        catalog.register_tasks(server.ports, NAMESPACE, [])


def test_a_new_definition_does_not_overwrite_and_a_changed_one_does(server: Server) -> None:
    register(server, workflow("w"), is_new=True)
    with pytest.raises(DefinitionExists):
        register(server, workflow("w", simple("b")), is_new=True)
    register(server, workflow("w", simple("b")))
    register(server, workflow("w", version=2), is_new=True)
    found = server.world.definitions.workflows(NAMESPACE, "w")
    assert [(item["version"], item["tasks"][0]["name"]) for item in found] == [(1, "b"), (2, "a")]


def test_a_change_of_any_definition_counts_for_the_next_start_and_no_change_keeps_the_hash(server: Server) -> None:
    register(server, workflow("w"))
    wanted = DefinitionName("w", None)
    hashes = [server.ports.catalog.require(server.ports, NAMESPACE, wanted).hash for _ in range(2)]
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "other"}])
    hashes.append(server.ports.catalog.require(server.ports, NAMESPACE, wanted).hash)
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "a", "retryCount": 9}])
    hashes.append(server.ports.catalog.require(server.ports, NAMESPACE, wanted).hash)
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_a_deleted_definition_cannot_be_started(server: Server) -> None:
    register(server, workflow("w"))
    server.start()
    server.world.definitions.delete_workflow(NAMESPACE, "w", 1)
    with pytest.raises(WorkflowDefinitionNotFound):
        server.start()


# --- task definitions


def test_task_definitions_are_registered_all_or_none(server: Server) -> None:
    with pytest.raises(InvalidInput) as refused:
        catalog.register_tasks(server.ports, NAMESPACE, [{"name": "a"}, {"name": ""}, {"name": "c", "retryCount": -1}, 5])
    assert [problem.path.split(".")[0] for problem in refused.value.problems] == ["[1]", "[2]", "[3]"]
    assert server.world.definitions.tasks(NAMESPACE) == {}


def test_a_task_definition_makes_its_queue_or_the_one_that_it_shares(server: Server) -> None:
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "имя 😀"}, {"name": "b", "queue": "shared"}])
    assert set(server.world.queues.task_queues()) == {server.queue("имя 😀"), server.queue("shared")}


def test_an_update_keeps_the_creation_and_wants_something_to_update(server: Server) -> None:
    with pytest.raises(TaskDefinitionNotFound, match="No such task by name a"):
        catalog.update_task(server.ports, NAMESPACE, {"name": "a"})
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "a", "createdBy": "me"}])
    created_ms = server.world.now_ms
    server.world.now_ms += 5000
    catalog.update_task(server.ports, NAMESPACE, {"name": "a", "retryCount": 7})
    found = server.world.definitions.tasks(NAMESPACE)["a"]
    assert (found["retryCount"], found["createdBy"], found["createTime"], found["updateTime"]) == (7, "me", created_ms, created_ms + 5000)


@pytest.mark.parametrize(
    "body", [{"name": "a", "responseTimeoutSeconds": 0}, {"name": "a", "timeoutSeconds": 5, "responseTimeoutSeconds": 6}]
)
def test_an_update_is_checked_like_a_registration(server: Server, body: Json) -> None:
    catalog.register_tasks(server.ports, NAMESPACE, [{"name": "a"}])
    with pytest.raises(InvalidInput):
        catalog.update_task(server.ports, NAMESPACE, body)


@pytest.mark.parametrize("body", [None, 5, "text", [], {"name": 5, "tasks": 5}])
def test_what_is_no_definition_at_all_is_refused(server: Server, body: Any) -> None:
    with pytest.raises(InvalidInput):
        register(server, body)
