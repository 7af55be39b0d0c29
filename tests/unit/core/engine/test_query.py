"""Reading executions: whole, in parts, as pages; and what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine import operate, query
from batuta_core.engine.operate import TaskReport
from batuta_core.engine.query import ANSWER_MAX_BYTES, LOG_LINES_MAX
from batuta_core.model import ids
from batuta_core.model.error import ExecutionTooLarge, TaskNotFound, WorkflowNotFound
from batuta_core.model.execution import TaskStatus
from batuta_core.model.names import ExecutionId

UNKNOWN = ExecutionId(NAMESPACE, "00000000-0000-4000-8000-000000000000")


@pytest.fixture
def server() -> Server:
    found = Server()
    names = [f"t{number}" for number in range(6)]
    definitions = [{"name": name, "retryCount": 1, "retryDelaySeconds": 0} for name in names]
    found.register(*map(simple, names), task_definitions=definitions, variables={"v": 1})
    return found


def advanced(server: Server) -> ExecutionId:
    """t0 failed once, t0 and t1 are done, t2 is open."""
    execution = server.start(input={"x": "é"}, correlation_id="c", idempotency_key="k", created_by="me")
    server.report(server.taken("t0"), TaskStatus.FAILED, reason="no luck")
    server.run_task("t0", {"n": 0})
    server.run_task("t1", {"n": 1})
    return execution


def test_an_execution_is_shown_with_all_that_was_said_of_it(server: Server) -> None:
    execution = advanced(server)
    shown = server.show(execution)
    assert (shown["workflowId"], shown["status"], shown["workflowName"], shown["workflowVersion"]) == (
        execution.workflow_id,
        "RUNNING",
        "w",
        1,
    )
    assert (shown["input"], shown["variables"], shown["output"]) == ({"x": "é"}, {"v": 1}, {})
    assert (shown["correlationId"], shown["idempotencyKey"], shown["createdBy"]) == ("c", "k", "me")
    assert [(task["referenceTaskName"], task["status"], task["retryCount"], task["seq"]) for task in shown["tasks"]] == [
        ("t0", "FAILED", 0, 1),
        ("t0", "COMPLETED", 1, 2),
        ("t1", "COMPLETED", 0, 3),
        ("t2", "SCHEDULED", 0, 4),
    ]
    assert "endTime" in shown
    assert shown["endTime"] == 0


def test_without_its_tasks_everything_else_is_the_same(server: Server) -> None:
    execution = advanced(server)
    for _ in range(2):
        whole = server.show(execution)
        assert query.workflow_json(server.ports, execution, has_tasks=False) == {**whole, "tasks": []}
        if whole["status"] == "RUNNING":
            server.report(server.taken("t2"), TaskStatus.FAILED_WITH_TERMINAL_ERROR, output={"last": 1})


@pytest.mark.parametrize("has_output", [False, True])
@pytest.mark.parametrize("has_variables", [False, True])
def test_the_status_holds_what_was_asked_for(server: Server, has_output: bool, has_variables: bool) -> None:
    execution = advanced(server)
    found = query.status_json(server.ports, execution, has_output=has_output, has_variables=has_variables)
    expected: dict[str, Any] = {"workflowId": execution.workflow_id, "status": "RUNNING", "correlationId": "c"}
    assert found == expected | ({"output": {}} if has_output else {}) | ({"variables": {"v": 1}} if has_variables else {})


@pytest.mark.parametrize("workflow_id", [UNKNOWN.workflow_id, "", "x", "é" * 36])
def test_what_is_not_there_is_not_found(server: Server, workflow_id: str) -> None:
    execution = ExecutionId(NAMESPACE, workflow_id)
    with pytest.raises(WorkflowNotFound):
        query.workflow_json(server.ports, execution)
    with pytest.raises(WorkflowNotFound):
        query.task_page(server.ports, execution, 0, 10, [])


def test_a_removed_execution_is_not_found_nor_are_its_tasks(server: Server) -> None:
    execution = advanced(server)
    task_id = server.show(execution)["tasks"][0]["taskId"]
    operate.remove(server.ports, execution, is_archived=False)
    with pytest.raises(WorkflowNotFound):
        query.workflow_json(server.ports, execution)
    with pytest.raises(TaskNotFound):
        query.task_json(server.ports, NAMESPACE, task_id)
    assert query.log_lines(server.ports, NAMESPACE, task_id) == []


# --- pages of tasks


@pytest.mark.parametrize(
    ("start", "count", "statuses", "total", "numbers"),
    [
        (0, 10, [], 4, [1, 2, 3, 4]),
        (1, 2, [], 4, [2, 3]),
        (3, 10, [], 4, [4]),
        (4, 10, [], 4, []),
        (999, 10, [], 4, []),
        (0, 0, [], 4, []),
        (0, 10, ["COMPLETED"], 2, [2, 3]),
        (1, 1, ["completed", "FAILED"], 3, [2]),
        (0, 10, ["SCHEDULED", "NONSENSE"], 1, [4]),
        (0, 10, ["NONSENSE"], 0, []),
    ],
)
def test_a_page_of_tasks(server: Server, start: int, count: int, statuses: list[str], total: int, numbers: list[int]) -> None:
    page = query.task_page(server.ports, advanced(server), start, count, statuses)
    assert (page["totalHits"], [task["seq"] for task in page["results"]]) == (total, numbers)


def test_the_pages_together_are_the_whole(server: Server) -> None:
    execution = advanced(server)
    pages = [query.task_page(server.ports, execution, start, 3, [])["results"] for start in (0, 3)]
    assert [*pages[0], *pages[1]] == server.show(execution)["tasks"]


# --- one task


def test_every_task_is_found_by_its_id_alone(server: Server) -> None:
    execution = advanced(server)
    for task in server.show(execution)["tasks"]:
        assert query.task_json(server.ports, NAMESPACE, task["taskId"]) == task


@pytest.mark.parametrize("task_id", ["", "x", ids.task_id(UNKNOWN.workflow_id, 1, 0)])
def test_a_task_that_is_not_there_is_not_found(server: Server, task_id: str) -> None:
    with pytest.raises(TaskNotFound):
        query.task_json(server.ports, NAMESPACE, task_id)


@pytest.mark.parametrize("place", [(1, 1), (2, 5), (99, 0), (0, 0)])
def test_a_place_where_no_task_was_scheduled_holds_none(server: Server, place: tuple[int, int]) -> None:
    with pytest.raises(TaskNotFound):
        query.task_json(server.ports, NAMESPACE, ids.task_id(advanced(server).workflow_id, *place))


def test_a_task_of_another_namespace_is_not_found(server: Server) -> None:
    task_id = server.show(advanced(server))["tasks"][0]["taskId"]
    with pytest.raises(TaskNotFound):
        query.task_json(server.ports, "other", task_id)


# --- large ones


def test_a_payload_outside_of_the_journal_is_shown_in_its_place(server: Server) -> None:
    execution = server.start(input={"x": "x" * 100_000})
    server.run_task("t0", {"y": "é" * 100_000})
    assert len(server.world.payloads.objects) == 2
    shown = server.show(execution)
    assert (len(shown["input"]["x"]), len(shown["tasks"][0]["outputData"]["y"])) == (100_000, 100_000)


def test_an_execution_that_is_too_large_for_an_answer_can_be_read_in_pages(server: Server) -> None:
    execution = server.start()
    size = ANSWER_MAX_BYTES // 3
    for name in ("t0", "t1", "t2"):
        task = TaskReport(status=TaskStatus.COMPLETED, output={"x": "x" * size})
        operate.update_task(server.ports, NAMESPACE, execution.workflow_id, server.taken(name).task_id, task)
    with pytest.raises(ExecutionTooLarge):
        server.show(execution)
    with pytest.raises(ExecutionTooLarge):
        query.task_page(server.ports, execution, 0, 3, [])
    assert len(query.task_page(server.ports, execution, 0, 2, [])["results"]) == 2
    assert query.workflow_json(server.ports, execution, has_tasks=False)["status"] == "RUNNING"


# --- logs


def test_log_lines_that_came_with_a_result_stand_before_those_that_came_alone_and_the_last_are_shown(server: Server) -> None:
    server.start()
    message = server.taken("t0")
    for number in range(LOG_LINES_MAX - 1):
        operate.add_log(server.ports, NAMESPACE, message.task_id, f"alone {number}")
    server.report(message, logs=({"log": "with 0", "createdTime": 1}, {"log": "with 1"}))
    lines = query.log_lines(server.ports, NAMESPACE, message.task_id)
    assert [line["log"] for line in lines] == ["with 1", *(f"alone {number}" for number in range(LOG_LINES_MAX - 1))]
    assert (lines[0]["createdTime"], lines[0]["taskId"]) == (0, message.task_id)


def test_a_task_without_logs_and_one_that_is_not_there_have_none(server: Server) -> None:
    server.start()
    assert query.log_lines(server.ports, NAMESPACE, server.taken("t0").task_id) == []
    assert query.log_lines(server.ports, NAMESPACE, "x") == []
