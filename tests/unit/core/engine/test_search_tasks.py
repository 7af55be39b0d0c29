"""Searches by tasks: what they find, what they read, and where they are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import search_tasks
from batuta_core.engine.ports import Journal
from batuta_core.engine.search_tasks import find, find_executions, parse_query
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId

ONCE = [{"name": name, "retryCount": 0} for name in ("a", "b", "c")]


class Stage:
    """Three executions of ``w`` (ended, failed, running), the first one long before the others; one of ``other``."""

    def __init__(self) -> None:
        self.server = Server()
        self.server.register(simple("a"), simple("b"), task_definitions=ONCE)
        self.server.register(simple("c"), name="other")
        self.first = self.start("w")
        self.server.report(self.server.taken("a"))
        self.server.report(self.server.taken("b"))
        self.second = self.start("w")
        self.server.report(self.server.taken("a"), TaskStatus.FAILED, reason="boom")
        self.third, self.other = self.start("w"), self.start("other")

    def start(self, name: str) -> ExecutionId:
        execution = self.server.start(name)
        self.server.world.now_ms += 1000
        return execution

    def found(self, query: str, sort: str = "", start: int = 0, size: int = 100) -> tuple[int, list[tuple[ExecutionId, str]]]:
        total, items = find(self.server.ports, NAMESPACE, parse_query(query, sort), start, size)
        return total, [(ExecutionId(NAMESPACE, item.workflow.workflow_id), item.task.ref) for item in items]

    def executions(self, query: str) -> list[ExecutionId]:
        return [item.execution for item in find_executions(self.server.ports, NAMESPACE, parse_query(query), 0, 100)[1]]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_tasks_are_found_by_name_and_status_newest_execution_first(stage: Stage) -> None:
    assert stage.found("taskDefName=a") == (3, [(stage.third, "a"), (stage.second, "a"), (stage.first, "a")])
    assert stage.found("taskDefName=a", "startTime:ASC")[1] == [(stage.first, "a"), (stage.second, "a"), (stage.third, "a")]
    assert stage.found("taskDefName=a AND status=FAILED") == (1, [(stage.second, "a")])
    assert stage.found("taskType IN (b,c) AND status IN (COMPLETED,SCHEDULED)") == (2, [(stage.other, "c"), (stage.first, "b")])
    assert stage.found("status=SCHEDULED") == (2, [(stage.other, "c"), (stage.third, "a")])
    assert stage.found("taskDefName=a", start=1, size=1) == (3, [(stage.second, "a")])


def test_tasks_of_an_execution_and_one_by_its_id(stage: Stage) -> None:
    assert stage.found(f"workflowId={stage.first.workflow_id}")[1] == [(stage.first, "a"), (stage.first, "b")]
    task = find(stage.server.ports, NAMESPACE, parse_query("status=FAILED"), 0, 1)[1][0].task
    assert stage.found(f"taskId={task.task_id}")[1] == [(stage.second, "a")]
    for query in ("taskId=x", f"taskId={task.task_id} AND workflowId={stage.first.workflow_id}", "workflowType=none", "workflowId=none"):
        assert stage.found(query) == (0, []), query


def test_times_are_those_of_the_tasks(stage: Stage) -> None:
    (task,) = (item.task for item in find(stage.server.ports, NAMESPACE, parse_query("status=FAILED"), 0, 9)[1])
    assert task.updated_ms
    for query, is_found in (
        (f"updateTime>{task.updated_ms - 1} AND updateTime<{task.updated_ms + 1}", True),
        (f"updateTime>{task.updated_ms}", False),
        (f"updateTime<{task.updated_ms}", False),
    ):
        assert bool(stage.found(f"status=FAILED AND {query}")[1]) is is_found, query


def test_executions_are_found_by_their_tasks_once_each(stage: Stage) -> None:
    assert stage.executions("workflowType=w") == [stage.third, stage.second, stage.first]
    assert stage.executions("status=FAILED") == [stage.second]


def test_a_failed_attempt_of_a_completed_execution_is_found() -> None:
    server = Server()
    server.register(simple("a"), task_definitions=[{"name": "a", "retryCount": 1, "retryDelaySeconds": 0}])
    execution = server.start()
    server.report(server.taken("a"), TaskStatus.FAILED)
    server.report(server.taken("a"))
    server.settle(2000)
    found = find(server.ports, NAMESPACE, parse_query("status=FAILED"), 0, 9)[1]
    assert [(item.summary.execution, item.task.attempt) for item in found] == [(execution, 1)]


class CountedJournal:
    """Notes whose journals are read."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.asked: list[ExecutionId] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def scan(self, execution: ExecutionId, first: int = 1) -> Any:
        self.asked.append(execution)
        return self._journal.scan(execution, first)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("taskDefName=c", ["other"]),
        ("taskDefName=nobody", []),
        ("status=SCHEDULED", ["other", "third"]),
        ("status=FAILED", ["other", "second", "third"]),
        ("status=COMPLETED AND workflowType=w", ["first", "second", "third"]),
    ],
)
def test_only_journals_that_may_hold_such_tasks_are_read(stage: Stage, query: str, names: list[str]) -> None:
    journal = CountedJournal(stage.server.ports.journal)
    ports = replace(stage.server.ports, journal=cast(Journal, journal))
    find(ports, NAMESPACE, parse_query(query), 0, 100)
    assert sorted(journal.asked, key=str) == sorted((getattr(stage, name) for name in names), key=str)


def test_what_would_read_too_much_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_tasks, "TASKS_MAX", 3)
    with pytest.raises(InvalidInput, match="Narrow it"):
        stage.found("workflowType=w")
    assert stage.found(f"workflowId={stage.first.workflow_id}")[0] == 2
    monkeypatch.setattr(search_tasks, "TASKS_MAX", 1000)
    monkeypatch.setattr(search_tasks, "TIME_MAX_MS", -1)
    with pytest.raises(InvalidInput, match="Narrow it"):
        stage.found("workflowType=w")


@pytest.mark.parametrize("query", ["nonsense", "startTime=5", "updateTime>now"])
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match="Incorrectly formatted query string"):
        parse_query(query)
