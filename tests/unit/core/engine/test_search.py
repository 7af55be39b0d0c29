"""Lists of executions: the query language, and pages of what it finds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.engine.server import NAMESPACE, Server, simple

from batuta_core.engine.search import SIZE_MAX, Search, find, parse_query
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import TaskStatus


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Search()),
        ("   ", Search()),
        ("workflowType=w", Search(names=("w",))),
        ("workflowType = 'w'", Search(names=("w",))),
        ("workflowType IN (v,w)", Search(names=("v", "w"))),
        ('status IN ("RUNNING","FAILED") AND correlationId=c', Search(statuses=("RUNNING", "FAILED"), correlation_ids=("c",))),
        ("workflowId=x", Search(workflow_ids=("x",))),
        ("startTime>1000 AND startTime<2000", Search(from_ms=1001, to_ms=1999)),
        ("startTime > '1000'", Search(from_ms=1001)),
        ("workflowType=имя 😀", Search(names=("имя 😀",))),
        ("workflowType=", Search()),
        ("parentWorkflowId=x", Search(unknown=("parentWorkflowId",))),
    ],
)
def test_a_query_is_read(query: str, expected: Search) -> None:
    assert parse_query(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "w",
        "workflowType",
        "=w",
        "workflowType~w",
        "workflowType=w AND ",
        "startTime=1000",
        "startTime>soon",
        "startTime>-1",
        "startTime>\u00b2",
        "startTime>" + "9" * 5000,
        "startTime IN (1)",
    ],
)
def test_a_query_of_another_form_is_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match="Incorrectly formatted query string"):
        parse_query(query)


@pytest.mark.parametrize(
    ("sort", "is_oldest_first"), [("", False), ("startTime:DESC", False), ("startTime:ASC", True), ("STARTTIME:asc", True)]
)
def test_the_order_is_newest_first_unless_asked_otherwise(sort: str, is_oldest_first: bool) -> None:
    assert parse_query("", sort).is_oldest_first == is_oldest_first


@pytest.fixture(scope="module")
def server() -> Server:
    """v0 w1 v2 w3 ... w9, a second apart; w1 has completed, w3 has failed, w5 has a correlation id."""
    found = Server()
    found.register(simple("a"), name="v")
    found.register(simple("b"), name="w", task_definitions=[{"name": "b", "retryCount": 0}])
    for number in range(10):
        found.world.now_ms += 1000
        found.start("vw"[number % 2], correlation_id="c" if number == 5 else None, input={"number": number})
        if number == 1:
            found.run_task("b")
        if number == 3:
            found.report(found.taken("b"), TaskStatus.FAILED)
    return found


def numbers(server: Server, search: Search, start: int = 0, size: int = 100) -> tuple[int, list[int]]:
    """How many there are, and the numbers of those on the page."""
    total, page = find(server.ports, NAMESPACE, search, start, size)
    return total, [server.show(summary.execution)["input"]["number"] for summary in page]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"is_oldest_first": True}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"names": ("w",)}, [9, 7, 5, 3, 1]),
        ({"names": ("w", "v"), "statuses": ("COMPLETED", "FAILED")}, [3, 1]),
        ({"statuses": ("RUNNING",), "names": ("w",)}, [9, 7, 5]),
        ({"statuses": ("NONSENSE",)}, []),
        ({"names": ("unknown",)}, []),
        ({"correlation_ids": ("c",)}, [5]),
        ({"correlation_ids": ("c",), "names": ("v",)}, []),
        ({"workflow_ids": ("x", "00000000-0000-4000-8000-000000000000")}, []),
    ],
)
def test_what_is_found(server: Server, fields: dict[str, Any], expected: list[int]) -> None:
    assert numbers(server, Search(**fields)) == (len(expected), expected)


def test_the_bounds_of_a_time_are_without_the_moment_itself(server: Server) -> None:
    [third] = find(server.ports, NAMESPACE, Search(), 7, 1)[1]
    moment = third.started_ms
    assert numbers(server, parse_query(f"startTime>{moment} AND startTime<{moment + 3000}"))[1] == [4, 3]
    assert numbers(server, Search(workflow_ids=(third.execution.workflow_id,)))[1] == [2]


@pytest.mark.parametrize(
    ("start", "size", "total", "expected"),
    [
        (0, 3, 4, [9, 8, 7]),
        (3, 3, 7, [6, 5, 4]),
        (9, 3, 10, [0]),
        (10, 3, 10, []),
        (99, 3, 10, []),
        (0, 0, 1, []),
        (0, SIZE_MAX, 10, list(range(9, -1, -1))),
    ],
)
def test_a_page_says_how_many_there_are_or_that_there_are_more(
    server: Server, start: int, size: int, total: int, expected: list[int]
) -> None:
    assert numbers(server, Search(), start, size) == (total, expected)


def test_oldest_first_the_number_is_exact(server: Server) -> None:
    assert numbers(server, Search(is_oldest_first=True), 2, 3) == (10, [2, 3, 4])


@pytest.mark.parametrize(("start", "size"), [(-1, 1), (0, -1), (0, SIZE_MAX + 1)])
def test_a_page_that_cannot_be(server: Server, start: int, size: int) -> None:
    with pytest.raises(InvalidInput):
        find(server.ports, NAMESPACE, Search(), start, size)


def test_more_executions_than_a_page_of_the_index_are_all_found() -> None:
    server = Server()
    server.register(simple("a"))
    for _ in range(205):
        server.start()
    assert find(server.ports, NAMESPACE, Search(names=("w",)), 0, 1000)[0] == 205
    assert find(server.ports, "other", Search(names=("w",)), 0, 1000) == (0, [])
