"""Lists of executions: Conductor's query language, as its SQL stores speak it, over the summaries' indexes.

An index is by workflow name or by correlation id. A query that names neither looks through every workflow name of the
namespace, newest first: fine for hundreds of names, slow for more.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from batuta_core.engine.ports import Ports, Summary, SummaryQuery
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId

SIZE_MAX = 5000  # Conductor's
_PAGE = 100
_CONDITION = re.compile(r"([a-zA-Z]+)\s?(=|>|<|IN)\s?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed query; empty fields do not narrow."""

    names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    workflow_ids: tuple[str, ...] = ()
    correlation_ids: tuple[str, ...] = ()
    from_ms: int = 0
    to_ms: int = 0
    is_oldest_first: bool = False
    unknown: tuple[str, ...] = field(default=())  # fields that Conductor's stores pass over, too


def parse_query(query: str, sort: str = "") -> Search:
    """``field=value``, ``field IN (a,b)``, ``field>ms``, joined by `` AND ``. Raises InvalidInput for any other form."""
    search = Search(is_oldest_first=sort.lower() == "starttime:asc")
    for condition in query.split(" AND ") if query.strip() else ():
        found = _CONDITION.match(condition.strip())
        if found is None:
            raise InvalidInput(f"Incorrectly formatted query string: {query[:200]}")
        name, operator, text = found.groups()
        values = tuple(value for value in re.sub(r"[\"'()]", "", text).split(",") if value)
        search = _narrow(search, name, operator, values, query)
    return search


def _narrow(search: Search, name: str, operator: str, values: tuple[str, ...], query: str) -> Search:
    match name:
        case "workflowType":
            return replace(search, names=values)
        case "status":
            return replace(search, statuses=values)
        case "workflowId":
            return replace(search, workflow_ids=values)
        case "correlationId":
            return replace(search, correlation_ids=values)
        case "startTime" if operator in "<>" and len(values) == 1 and re.fullmatch("[0-9]{1,18}", values[0]):
            moment = int(values[0])
            return replace(search, from_ms=moment + 1) if operator == ">" else replace(search, to_ms=moment - 1)
        case "startTime":
            raise InvalidInput(f"Incorrectly formatted query string: {query[:200]}; startTime takes < or > and epoch milliseconds")
        case _:
            return replace(search, unknown=(*search.unknown, name))


def find(ports: Ports, namespace: str, search: Search, start: int, size: int) -> tuple[int, list[Summary]]:
    """The page of ``size`` from ``start`` on, and how many there are: exact on the last page, one more than seen before it."""
    if size > SIZE_MAX:
        raise InvalidInput(f"Cannot return more than {SIZE_MAX} workflows. Please use pagination.")
    if size < 0 or start < 0:
        raise InvalidInput(f"start ({start}) and size ({size}) must not be negative")
    found = list(_wanted(ports, namespace, search)) if search.is_oldest_first else _wanted(ports, namespace, search)
    if isinstance(found, list):
        found.reverse()
        return len(found), found[start : start + size]
    page: list[Summary] = []
    seen = 0
    for summary in found:
        seen += 1
        if seen > start + size:
            return seen, page
        if seen > start:
            page.append(summary)
    return seen, page


def _wanted(ports: Ports, namespace: str, search: Search) -> Iterator[Summary]:
    """Newest first."""
    if search.workflow_ids:
        by_id = [ports.summaries.get(ExecutionId(namespace, wanted)) for wanted in search.workflow_ids if ids.is_workflow_id(wanted)]
        streams = [iter([summary for summary in by_id if summary is not None])]
    else:
        streams = [_stream(ports, query) for query in _queries(ports, namespace, search)]
    for summary in heapq.merge(*streams, key=lambda summary: -summary.started_ms):
        if _matches(summary, search):
            yield summary


def _queries(ports: Ports, namespace: str, search: Search) -> list[SummaryQuery]:
    base = SummaryQuery(namespace=namespace, started_from_ms=search.from_ms, started_to_ms=search.to_ms, limit=_PAGE)
    if search.correlation_ids:
        return [replace(base, correlation_id=wanted) for wanted in search.correlation_ids]
    names = search.names or tuple(ports.definitions.names(namespace))
    statuses = [WorkflowStatus(status) for status in search.statuses if status in WorkflowStatus.__members__]
    if search.statuses:
        return [replace(base, name=name, status=status) for name in names for status in statuses]
    return [replace(base, name=name) for name in names]


def _stream(ports: Ports, query: SummaryQuery) -> Iterator[Summary]:
    while True:
        page = ports.summaries.find(query)
        yield from page.summaries
        if not page.cursor:
            return
        query = replace(query, cursor=page.cursor)


def _matches(summary: Summary, search: Search) -> bool:
    return (
        (not search.names or summary.name in search.names)
        and (not search.statuses or summary.status.value in search.statuses)
        and (not search.correlation_ids or summary.correlation_id in search.correlation_ids)
        and search.from_ms <= summary.started_ms
        and (not search.to_ms or summary.started_ms <= search.to_ms)
    )
