"""The journal in DynamoDB: an item per record, and the conditional write that is the lock of an execution."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from batuta_core.engine.ports import TOMBSTONE_S, Refused
from batuta_core.model.error import PayloadTooLarge, Unavailable
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.names import ExecutionId
from batuta_core.model.record import Record
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, binary, bytes_of, number, number_of, text

# DynamoDB quota "item size" is 400 KB with the names of the attributes; namespace, id and names take less than 200 bytes.
RAW_MAX_BYTES = 400 * 1024 - 200


class DynamoJournal:
    """Record n of an execution is the item (ns#wf, n), its bytes in ``b``. The summary lies under number 0 there."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def newest(self, execution: ExecutionId) -> Record | None:
        items = self._table.call("Query", **_of(execution), ScanIndexForward=False, Limit=1, ConsistentRead=True)["Items"]
        return _record(items[0]) if items and number_of(items[0], "seq") > 0 else None

    def append(self, execution: ExecutionId, record: Record, raw: bytes) -> None:
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
            raise Refused(_record(failed.item)) from failed

    def read(self, execution: ExecutionId, seqs: Collection[int]) -> Mapping[int, Record]:
        keys = [_key(execution, seq) for seq in sorted(set(seqs)) if seq > 0]
        records = [_record(item) for item in self._table.batch_get(keys, is_consistent=True)]
        return {record.seq: record for record in sorted(records, key=lambda record: record.seq)}

    def scan(self, execution: ExecutionId, first: int = 1) -> Iterator[Record]:
        for page in self._table.query(**_of(execution, max(first, 1)), ConsistentRead=True):
            yield from map(_record, page)

    def purge(self, execution: ExecutionId, keep: int) -> None:
        """The first record by itself, since a batch has no order."""
        if keep > 1:
            self._table.call("DeleteItem", Key=_key(execution, 1))
        if keep > 2:
            self._table.delete_all(**_of(execution, 2, keep - 1), ProjectionExpression="pk, seq", ConsistentRead=True)


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


def _record(item: Item) -> Record:
    return Record.from_bytes(bytes_of(item, "b"))
