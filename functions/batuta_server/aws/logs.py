"""Log lines that came alone, in DynamoDB beside the execution's records."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from batuta_core.engine.ports import LogLine
from batuta_core.model.error import PayloadTooLarge, Unavailable
from batuta_core.model.names import ExecutionId
from batuta_server.aws.dynamodb import ConditionFailed, Table, binary, bytes_of, number, number_of, text, text_of

_PER_MS = 1000  # numbers that a millisecond's lines share; crowded ones cost a write more per line that is there
TEXT_MAX_BYTES = 390 * 1024  # DynamoDB quota "item size" is 400 KB; the rest is for keys and names


class DynamoLogs:
    """A line is the item (ns#wf#log, at_ms * 1000 + a hash of its op): sorted by time, and a repeat meets itself."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, execution: ExecutionId, line: LogLine, op: str) -> None:
        raw = line.text.encode("utf-8", "surrogatepass")
        if len(raw) > TEXT_MAX_BYTES:
            raise PayloadTooLarge(f"the log line has {len(raw)} bytes, the limit is {TEXT_MAX_BYTES}", size_bytes=len(raw))
        item = {"pk": _partition(execution), "task": text(line.task_id), "b": binary(raw), "op": text(op)}
        wanted = zlib.crc32(op.encode()) % _PER_MS
        for step in range(_PER_MS):
            seq = line.at_ms * _PER_MS + (wanted + step) % _PER_MS
            try:
                self._table.call(
                    "PutItem",
                    Item={**item, "seq": number(seq)},
                    ConditionExpression="attribute_not_exists(pk) OR op = :op",
                    ExpressionAttributeValues={":op": text(op)},
                )
                return
            except ConditionFailed:  # another line of that millisecond has the number
                continue
        raise Unavailable(f"{execution}: {_PER_MS} log lines in one millisecond")

    def lines(self, execution: ExecutionId) -> Sequence[LogLine]:
        found: list[LogLine] = []
        for page in self._table.query(**_all(execution), ConsistentRead=True):
            for item in page:
                shown = bytes_of(item, "b").decode("utf-8", "surrogatepass")
                found.append(LogLine(text_of(item, "task"), shown, number_of(item, "seq") // _PER_MS))
        return found

    def purge(self, execution: ExecutionId) -> None:
        self._table.delete_all(**_all(execution), ProjectionExpression="pk, seq", ConsistentRead=True)


def _partition(execution: ExecutionId) -> dict[str, str]:
    return text(f"{execution}#log")


def _all(execution: ExecutionId) -> dict[str, Any]:
    return {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": _partition(execution)}}
