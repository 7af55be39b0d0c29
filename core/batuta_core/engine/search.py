"""Lists of executions: Conductor's query language, as its SQL stores speak it, over the summaries' indexes.

An index is by workflow name or by correlation id. A query that names neither looks through every workflow name of the
namespace, newest first: fine for hundreds of names, slow for more.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import TypeVar

from batuta_core.engine.ports import Ports, Summary, SummaryQuery
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import ExecutionId

T = TypeVar("T")

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
    tasks: tuple[str, ...] = ()  # types or names of tasks: only names of workflows that may have them are looked through
    unknown: tuple[str, ...] = field(default=())  # fields that Conductor's stores pass over, too


@dataclass(frozen=True, slots=True)
class Condition:
    """``field=value``, ``field IN (a,b)`` or ``field>ms`` of a query."""

    name: str
    operator: str
    values: tuple[str, ...]
    query: str

    def bounds(self) -> tuple[int, int]:
        """Epoch ms, inclusive, 0 for none, of a condition on a time. Raises InvalidInput for what is none."""
        if self.operator not in "<>" or len(self.values) != 1 or not re.fullmatch("[0-9]{1,18}", self.values[0]):
            shown = self.query[:200]
            raise InvalidInput(f"Incorrectly formatted query string: {shown}; {self.name} takes < or > and epoch milliseconds")
        moment = int(self.values[0])
        return (moment + 1, 0) if self.operator == ">" else (0, moment - 1)


def conditions(query: str) -> Iterator[Condition]:
    """Those that `` AND `` joins. Raises InvalidInput for any other form."""
    for text in query.split(" AND ") if query.strip() else ():
        found = _CONDITION.match(text.strip())
        if found is None:
            raise InvalidInput(f"Incorrectly formatted query string: {query[:200]}")
        name, operator, value = found.groups()
        yield Condition(name, operator, tuple(part for part in re.sub(r"[\"'()]", "", value).split(",") if part), query)


def is_oldest_first(sort: str) -> bool:
    return sort.lower() == "starttime:asc"


def parse_query(query: str, sort: str = "") -> Search:
    """Raises InvalidInput for what is no query."""
    search = Search(is_oldest_first=is_oldest_first(sort))
    for condition in conditions(query):
        search = _narrow(search, condition)
    return search


def _narrow(search: Search, condition: Condition) -> Search:
    match condition.name:
        case "workflowType":
            return replace(search, names=condition.values)
        case "status":
            return replace(search, statuses=condition.values)
        case "workflowId":
            return replace(search, workflow_ids=condition.values)
        case "correlationId":
            return replace(search, correlation_ids=condition.values)
        case "startTime":
            from_ms, to_ms = condition.bounds()
            return replace(search, from_ms=from_ms or search.from_ms, to_ms=to_ms or search.to_ms)
        case name:
            return replace(search, unknown=(*search.unknown, name))


def find(ports: Ports, namespace: str, search: Search, start: int, size: int) -> tuple[int, list[Summary]]:
    """The page of ``size`` from ``start`` on, and how many there are: exact on the last page, one more than seen before it."""
    found = newest_first(ports, namespace, search)
    return page_of(found, start, size, is_oldest_first=search.is_oldest_first)


def page_of(newest: Iterable[T], start: int, size: int, *, is_oldest_first: bool) -> tuple[int, list[T]]:
    """How many there are (exact on the last page, one more than seen before it), and the page."""
    if size > SIZE_MAX:
        raise InvalidInput(f"Cannot return more than {SIZE_MAX} workflows. Please use pagination.")
    if size < 0 or start < 0:
        raise InvalidInput(f"start ({start}) and size ({size}) must not be negative")
    if is_oldest_first:
        found = list(newest)[::-1]
        return len(found), found[start : start + size]
    page: list[T] = []
    seen = 0
    for item in newest:
        seen += 1
        if seen > start + size:
            return seen, page
        if seen > start:
            page.append(item)
    return seen, page


def newest_first(ports: Ports, namespace: str, search: Search) -> Iterator[Summary]:
    """The executions that ``search`` wants."""
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
    names = search.names or sorted({name for task in search.tasks or ("",) for name in ports.definitions.names(namespace, task)})
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
