"""Routes that search: executions, tasks, and executions by their tasks. Their second forms (``-v2``) give the whole of what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batuta_core.engine import query, search, wire
from batuta_core.engine.fetch import dump_json
from batuta_core.engine.ports import Ports, Summary
from batuta_core.model.error import InvalidInput, Problem
from batuta_server.api.request import current, json_response
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response

if TYPE_CHECKING:
    from batuta_core.engine.search_tasks import FoundTask

_SIZE = 100  # Conductor's default


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/search", "GET")
    def search_workflows() -> Response:
        total, found = _executions(ports)
        return _page(total, map(wire.summary_json, found))

    @app.route("/api/workflow/search-v2", "GET")
    def search_whole_workflows() -> Response:
        total, found = _executions(ports)
        return _page(total, _whole(ports, found))

    @app.route("/api/workflow/search-by-tasks", "GET")
    def search_workflows_by_tasks() -> Response:
        total, found = _executions_by_tasks(ports)
        return _page(total, map(wire.summary_json, found))

    @app.route("/api/workflow/search-by-tasks-v2", "GET")
    def search_whole_workflows_by_tasks() -> Response:
        total, found = _executions_by_tasks(ports)
        return _page(total, _whole(ports, found))

    @app.route("/api/tasks/search", "GET")
    def search_for_tasks() -> Response:
        total, found = _tasks(ports)
        return _page(total, (wire.task_summary_json(item.task, item.workflow) for item in found))

    @app.route("/api/tasks/search-v2", "GET")
    def search_for_whole_tasks() -> Response:
        total, found = _tasks(ports)
        namespace = current().namespace
        return _page(total, (query.task_json(ports, namespace, item.task.task_id) for item in found))


def _executions(ports: Ports) -> tuple[int, list[Summary]]:
    text, sort, start, size = _asked()
    return search.find(ports, current().namespace, search.parse_query(text, sort), start, size)


def _executions_by_tasks(ports: Ports) -> tuple[int, list[Summary]]:
    from batuta_core.engine import search_tasks  # 2 ms of a cold start (2026-11), for routes that are seldom asked

    text, sort, start, size = _asked()
    return search_tasks.find_executions(ports, current().namespace, search_tasks.parse_query(text, sort), start, size)


def _tasks(ports: Ports) -> tuple[int, list[FoundTask]]:
    from batuta_core.engine import search_tasks

    text, sort, start, size = _asked()
    return search_tasks.find(ports, current().namespace, search_tasks.parse_query(text, sort), start, size)


def _asked() -> tuple[str, str, int, int]:
    request = current()
    if request.text("freeText") not in ("", "*"):
        problem = Problem("freeText", "must be *", request.text("freeText")[:64])
        raise InvalidInput("There is no free text search; narrow by workflowType, status, correlationId or startTime.", problems=[problem])
    return request.text("query"), request.text("sort"), request.number("start", 0), request.number("size", _SIZE)


def _whole(ports: Ports, found: Iterable[Summary]) -> Iterable[dict[str, Any]]:
    return (query.workflow_json(ports, summary.execution) for summary in found)


def _page(total: int, results: Iterable[dict[str, Any]]) -> Response:
    shown: list[dict[str, Any]] = []
    left = query.ANSWER_MAX_BYTES
    for item in results:
        left -= len(dump_json(item))
        if left < 0:
            raise InvalidInput(f"The page has more than {query.ANSWER_MAX_BYTES} bytes: ask for fewer at a time (size).")
        shown.append(item)
    return json_response({"totalHits": total, "results": shown})
