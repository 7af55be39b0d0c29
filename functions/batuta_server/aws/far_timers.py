"""Far timers in DynamoDB: an item per deadline in the bucket of its minute, and the cursor of the mover."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from batuta_core.engine.ports import FarTimer
from batuta_core.model.names import ExecutionId
from batuta_server.aws.dynamodb import ConditionFailed, Item, Table, number, number_of, text, text_of
from batuta_server.layout import TIMER_SHARDS

_CURSOR = {"pk": text("cursor"), "sk": text("cursor")}


class DynamoFarTimers:
    """A timer is the item (minute#shard, due_ms#ns#wf#record): the key says it all, so a repeat writes the same item."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, timer: FarTimer) -> None:
        self._table.call("PutItem", Item=_key(timer))

    def in_minute(self, minute: int) -> Iterator[Sequence[FarTimer]]:
        for shard in range(TIMER_SHARDS):
            values = {":pk": text(f"{minute}#{shard}")}
            for page in self._table.query(KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values, ConsistentRead=True):
                yield [_timer(item) for item in page]

    def delete(self, timers: Sequence[FarTimer]) -> None:
        self._table.batch_delete([_key(timer) for timer in dict.fromkeys(timers)])

    def begin_cursor(self, minute: int) -> None:
        with contextlib.suppress(ConditionFailed):  # somebody has begun it
            self._table.call("PutItem", Item={**_CURSOR, "m": number(minute)}, ConditionExpression="attribute_not_exists(pk)")

    def cursor(self) -> int:
        item = self._table.get(_CURSOR, is_consistent=True)
        return number_of(item, "m") if item else 0

    def set_cursor(self, minute: int) -> None:
        with contextlib.suppress(ConditionFailed):  # it is further on already
            self._table.call(
                "PutItem",
                Item={**_CURSOR, "m": number(minute)},
                ConditionExpression="attribute_not_exists(pk) OR m < :m",
                ExpressionAttributeValues={":m": number(minute)},
            )


def _key(timer: FarTimer) -> dict[str, Any]:
    shard = zlib.crc32(str(timer.execution).encode()) % TIMER_SHARDS
    return {"pk": text(f"{timer.minute}#{shard}"), "sk": text(f"{timer.due_ms:013d}#{timer.execution}#{timer.record}")}


def _timer(item: Item) -> FarTimer:
    due, namespace, workflow_id, record = text_of(item, "sk").split("#")
    return FarTimer(int(due), ExecutionId(namespace, workflow_id), int(record))
