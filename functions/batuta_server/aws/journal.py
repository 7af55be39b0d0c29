"""The journal in DynamoDB: an item per record, and the conditional write that is the lock of an execution."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from batuta_core.engine.fetch import LruCache
from batuta_core.engine.ports import TOMBSTONE_S, Refused
from batuta_core.model.error import PayloadTooLarge, Unavailable, WorkflowNotFound
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import FIRST_MAX_BYTES, Record, needs_first, pack, unpack
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, binary, bytes_of, number, number_of, text

# DynamoDB quota "item size" is 400 KB with the names of the attributes; namespace, id and names take less than 200 bytes.
RAW_MAX_BYTES = 400 * 1024 - 200
_FIRSTS_KEPT = 500  # of 32 KB at most, of 2 KB mostly
_KEPT_S = 24 * 3600  # less than a tombstone lasts: nothing else can have come under the same id meanwhile


class DynamoJournal:
    """Record n of an execution is the item (ns#wf, n), its bytes in ``b``. The summary lies under number 0 there.

    First records are kept, as far as they were met: with one at hand, a record that comes later is stored in half the bytes. Who
    then reads that and has not met the first has one more read to do.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._firsts: LruCache[ExecutionId, tuple[float, bytes]] = LruCache(_FIRSTS_KEPT)  # since when (monotonic), the JSON

    def newest(self, execution: ExecutionId) -> Record | None:
        try:
            return self._last(execution, is_consistent=True)
        except WorkflowNotFound:  # a removal came in between, whose last record needs no first one
            return self._last(execution, is_consistent=True)

    def glance(self, execution: ExecutionId) -> Record | None:
        return self._last(execution, is_consistent=False)

    def append(self, execution: ExecutionId, record: Record, plain: bytes) -> None:
        raw = pack(record, plain, self._kept(execution) or b"")
        if len(raw) > RAW_MAX_BYTES:
            message = f"record {record.seq} of {execution} has {len(raw)} bytes, the limit is {RAW_MAX_BYTES}"
            raise PayloadTooLarge(message, size_bytes=len(raw))
        item = {**_key(execution, record.seq), "b": binary(raw)}
        if record.head.status is WorkflowStatus.REMOVED:
            item["ttl"] = number(record.at_ms // 1000 + TOMBSTONE_S)
        try:
            self._table.call(
                "PutItem", Item=item, ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"
            )
        except ConditionFailed as failed:
            if failed.item is None:
                raise Unavailable(f"{execution}: record {record.seq} is there already, and was not shown") from failed
            raise Refused(self._record(execution, failed.item)) from failed
        if record.seq == 1:
            self._keep(execution, plain)

    def read(self, execution: ExecutionId, seqs: Collection[int]) -> Mapping[int, Record]:
        wanted = {seq for seq in seqs if seq > 0}
        kept = self._kept(execution) if 1 in wanted else None
        found = {1: Record.from_json(kept)} if kept else {}
        items = self._table.batch_get([_key(execution, seq) for seq in sorted(wanted - found.keys())], is_consistent=True)
        for item in sorted(items, key=lambda item: number_of(item, "seq")):
            found[number_of(item, "seq")] = self._record(execution, item)
        return found

    def scan(self, execution: ExecutionId, first: int = 1) -> Iterator[Record]:
        for page in self._table.query(**_of(execution, max(first, 1)), ConsistentRead=True):
            for item in page:
                yield self._record(execution, item)

    def purge(self, execution: ExecutionId, keep: int) -> None:
        """The first record by itself, since a batch has no order."""
        self._firsts.drop(execution)
        if keep > 1:
            self._table.call("DeleteItem", Key=_key(execution, 1))
        if keep > 2:
            self._table.delete_all(**_of(execution, 2, keep - 1), ProjectionExpression="pk, seq", ConsistentRead=True)

    def _last(self, execution: ExecutionId, *, is_consistent: bool) -> Record | None:
        items = self._table.call("Query", **_of(execution), ScanIndexForward=False, Limit=1, ConsistentRead=is_consistent)["Items"]
        return self._record(execution, items[0]) if items and number_of(items[0], "seq") > 0 else None

    def _record(self, execution: ExecutionId, item: Item) -> Record:
        raw = bytes_of(item, "b")
        plain = unpack(raw, self._first(execution) if needs_first(raw) else b"")
        if number_of(item, "seq") == 1:
            self._keep(execution, plain)
        return Record.from_json(plain)

    def _first(self, execution: ExecutionId) -> bytes:
        """Raises WorkflowNotFound when it is gone: it is the first that a removal deletes."""
        kept = self._kept(execution)
        if kept is None:
            item = self._table.call("GetItem", Key=_key(execution, 1), ConsistentRead=True).get("Item")
            if item is None:
                raise WorkflowNotFound(f"the execution {execution.workflow_id} is being removed", workflow_id=execution.workflow_id)
            kept = unpack(bytes_of(item, "b"))
            self._keep(execution, kept)
        return kept

    def _keep(self, execution: ExecutionId, plain: bytes) -> None:
        if len(plain) <= FIRST_MAX_BYTES:
            self._firsts.put(execution, (time.monotonic(), plain))

    def _kept(self, execution: ExecutionId) -> bytes | None:
        since, plain = self._firsts.get(execution) or (0.0, None)
        return plain if time.monotonic() - since < _KEPT_S else None


def _key(execution: ExecutionId, seq: int) -> dict[str, Any]:
    return {"pk": text(str(execution)), "seq": number(seq)}


def _of(execution: ExecutionId, first: int | None = None, last: int | None = None) -> dict[str, Any]:
    """The Query for the numbers from ``first`` to ``last``."""
    condition = "pk = :pk"
    values = {":pk": text(str(execution))}
    if first is not None:
        condition += " AND seq >= :first" if last is None else " AND seq BETWEEN :first AND :last"
        values[":first"] = number(first)
    if last is not None:
        values[":last"] = number(last)
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}
