"""Summaries in DynamoDB: one small item per execution, and the three indexes that find them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from batuta_core.engine.ports import Summary, SummaryPage, SummaryQuery
from batuta_core.model import ids
from batuta_core.model.error import InvalidInput, Problem
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, number, number_of, text, text_of, without_surrogates
from batuta_server.layout import BY_CORRELATION, BY_NAME, BY_STATUS, Index

# An index key may have 2,048 bytes (DynamoDB quota "partition key"). Longer ones are cut and hashed; what a search finds is
# compared with the summary itself, so keys that meet cost a read and nothing else.
_INDEX_KEY_MAX_BYTES = 1024

_KEYS_MAX = 100  # read at once from an index: as many as one BatchGetItem takes
_ROUNDS_MAX = 20  # of one search; filters that let hardly anything through give short pages, not endless requests
_EVER_MS = 10**14  # the year 5138

# Every attribute that may be absent from a summary, so that writing one removes what the one before had.
_OPTIONAL = ("te", "co", "rq", "pa", "tr", "pt", "rv", "pr", "wh", "fr", "s", "c")


class DynamoSummaries:
    """The summary is the item (ns#wf, 0) of the executions table. Lone surrogates in its texts become U+FFFD."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def write(self, summary: Summary) -> bool:
        item = _item(summary)
        absent = [name for name in _OPTIONAL if name not in item]
        update = "SET " + ", ".join(f"{name} = :{name}" for name in item) + (" REMOVE " + ", ".join(absent) if absent else "")
        try:
            self._table.call(
                "UpdateItem",
                Key=_key(summary.execution),
                UpdateExpression=update,
                ConditionExpression="attribute_not_exists(r) OR r < :r",
                ExpressionAttributeValues={f":{name}": value for name, value in item.items()},
            )
        except ConditionFailed:
            return False
        return True

    def note_dispatched(self, execution: ExecutionId, record: int, after: int) -> None:
        values = {":d": number(record)}
        if after > 0:
            condition = "d < :d AND d >= :after"
            values[":after"] = number(after)
        else:
            condition = "attribute_exists(pk) AND (attribute_not_exists(d) OR d < :d)"  # absent is 0
        with contextlib.suppress(ConditionFailed):  # there is no summary, or it says more already, or too little
            self._table.call(
                "UpdateItem",
                Key=_key(execution),
                UpdateExpression="SET d = :d",
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )

    def get(self, execution: ExecutionId) -> Summary | None:
        """Eventually consistent, at half the price: who acts on it bears an older one."""
        item = self._table.get(_key(execution), is_consistent=False)
        return _summary(item) if item else None

    def delete(self, execution: ExecutionId) -> None:
        self._table.call("DeleteItem", Key=_key(execution))

    def find(self, query: SummaryQuery) -> SummaryPage:
        from_ms, to_ms = query.started_from_ms, query.started_to_ms or _EVER_MS
        if from_ms > to_ms:
            return SummaryPage((), "")
        index, request = _search(query)
        if from_ms > 0 or query.started_to_ms:
            request["KeyConditionExpression"] += " AND t0 BETWEEN :from AND :to"
            request["ExpressionAttributeValues"] |= {":from": number(from_ms), ":to": number(min(to_ms, _EVER_MS))}
        if query.cursor:
            request["ExclusiveStartKey"] = _start_key(query, index, request["ExpressionAttributeValues"][":k"])
        found: list[Summary] = []
        last: Item = {}
        for _ in range(_ROUNDS_MAX):
            wanted = query.limit + 1 - len(found)  # one more, which tells that there is another page
            page = self._table.call("Query", **request, Limit=_KEYS_MAX if _is_filtered(query, index) else min(wanted, _KEYS_MAX))
            for key, summary in self._summaries(page["Items"]):
                if summary is None or not _matches(summary, query):
                    continue
                if len(found) == query.limit:
                    return SummaryPage(found, _cursor(last))
                found.append(summary)
                last = key
            if "LastEvaluatedKey" not in page:
                return SummaryPage(found, "")
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return SummaryPage(found, _cursor(request["ExclusiveStartKey"]))

    def _summaries(self, keys: Sequence[Item]) -> list[tuple[Item, Summary | None]]:
        """In the order of ``keys``; None for those that are gone since the index was brought up to date."""
        items = self._table.batch_get([{"pk": key["pk"], "seq": key["seq"]} for key in keys], is_consistent=False)
        by_execution = {text_of(item, "pk"): item for item in items}
        found: list[tuple[Item, Summary | None]] = []
        for key in keys:
            item = by_execution.get(text_of(key, "pk"))
            found.append((key, _summary(item) if item else None))
        return found


def _key(execution: ExecutionId) -> dict[str, Any]:
    return {"pk": text(str(execution)), "seq": number(0)}


# --- a summary as an item


def _item(summary: Summary) -> dict[str, Any]:
    """Without its key. ``dispatched`` is left out when it is 0, and is in no list of what to remove."""
    namespace = summary.execution.namespace
    item = {
        "r": number(summary.record),
        "st": text(summary.status.value),
        "na": text(without_surrogates(summary.name)),
        "ve": number(summary.version),
        "t0": number(summary.started_ms),
        "tu": number(summary.updated_ms),
        "n": text(_index_key(namespace, summary.name)),
    }
    for name, amount in (("d", summary.dispatched), ("te", summary.ended_ms), ("pr", summary.priority), ("rv", int(summary.is_reviewed))):
        if amount:
            item[name] = number(amount)
    for name, value in (
        ("co", summary.correlation_id),
        ("rq", summary.request_id),
        ("pa", summary.parent_workflow_id),
        ("tr", "" if summary.trigger == "API" else summary.trigger),
        ("pt", "" if summary.process_type == "STANDARD" else summary.process_type),
        ("wh", summary.reason),
        ("fr", json.dumps(summary.failed_refs) if summary.failed_refs else ""),
    ):
        if value:
            item[name] = text(without_surrogates(value))
    if summary.status is not WorkflowStatus.COMPLETED:
        item["s"] = text(_index_key(namespace, summary.name, summary.status.value))
    if summary.correlation_id:
        item["c"] = text(_index_key(namespace, summary.correlation_id))
    return item


def _summary(item: Item) -> Summary | None:
    if "r" not in item:
        return None
    return Summary(
        execution=ExecutionId.parse(text_of(item, "pk")),
        record=number_of(item, "r"),
        dispatched=number_of(item, "d"),
        status=WorkflowStatus(text_of(item, "st")),
        name=text_of(item, "na"),
        version=number_of(item, "ve"),
        started_ms=number_of(item, "t0"),
        updated_ms=number_of(item, "tu"),
        ended_ms=number_of(item, "te"),
        correlation_id=text_of(item, "co") or None,
        request_id=text_of(item, "rq") or None,
        parent_workflow_id=text_of(item, "pa") or None,
        trigger=text_of(item, "tr", "API"),
        process_type=text_of(item, "pt", "STANDARD"),
        is_reviewed=number_of(item, "rv") == 1,
        priority=number_of(item, "pr"),
        reason=text_of(item, "wh") or None,
        failed_refs=tuple(json.loads(text_of(item, "fr", "[]"))),
    )


# --- searches


def _index_key(*parts: str) -> str:
    """The parts joined by ``#``, at most ``_INDEX_KEY_MAX_BYTES`` long."""
    whole = without_surrogates("#".join(parts))
    raw = whole.encode()
    if len(raw) <= _INDEX_KEY_MAX_BYTES:
        return whole
    digest = ids.short_hash(raw)
    return raw[: _INDEX_KEY_MAX_BYTES - len(digest)].decode("utf-8", "ignore") + digest


def _search(query: SummaryQuery) -> tuple[Index, dict[str, Any]]:
    """The index that lets the fewest through, and the Query of it."""
    if query.correlation_id:
        index, key = BY_CORRELATION, _index_key(query.namespace, query.correlation_id)
    elif not query.name:
        problem = Problem("name", "must be given without a correlation id")
        raise InvalidInput("a search needs a name or a correlation id", problems=[problem])
    elif query.status is not None and query.status is not WorkflowStatus.COMPLETED:
        index, key = BY_STATUS, _index_key(query.namespace, query.name, query.status.value)
    else:
        index, key = BY_NAME, _index_key(query.namespace, query.name)
    return index, {
        "IndexName": index.name,
        "KeyConditionExpression": f"{index.partition.name} = :k",
        "ExpressionAttributeValues": {":k": text(key)},
        "ScanIndexForward": False,
    }


def _is_filtered(query: SummaryQuery, index: Index) -> bool:
    """Whether the index knows less than the query asks."""
    return bool(query.status and index is not BY_STATUS) or bool(query.name and index is BY_CORRELATION)


def _matches(summary: Summary, query: SummaryQuery) -> bool:
    return (
        summary.execution.namespace == query.namespace
        and (not query.name or summary.name == without_surrogates(query.name))
        and (query.status is None or summary.status is query.status)
        and (not query.correlation_id or summary.correlation_id == without_surrogates(query.correlation_id))
    )


def _cursor(key: Item) -> str:
    """The place in the index, which stays the same whatever comes before it: the next page repeats and misses nothing."""
    return f"{key['t0']['N']}-{ExecutionId.parse(text_of(key, 'pk')).workflow_id}"


def _start_key(query: SummaryQuery, index: Index, index_key: Mapping[str, str]) -> dict[str, Any]:
    started, _, workflow_id = query.cursor.partition("-")
    if not (started.isascii() and started.isdigit() and workflow_id):
        problem = Problem("cursor", "must be that of the page before", query.cursor[:64])
        raise InvalidInput("the cursor is not one of ours", problems=[problem])
    return {**_key(ExecutionId(query.namespace, workflow_id)), index.partition.name: index_key, index.sort.name: number(int(started))}
