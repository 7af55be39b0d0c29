"""One DynamoDB table: the calls that several adapters make, and the spelling of attribute values."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batuta_core.model.error import Unavailable
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport, pause_s

Item = Mapping[str, Any]  # attribute -> {"S": text}, {"N": digits} or {"B": base64}

_GET_MAX = 100  # quota of BatchGetItem
_WRITE_MAX = 25  # quota of BatchWriteItem
_IDLE_ROUNDS_MAX = 10  # batches in a row of which nothing was done


class ConditionFailed(Exception):
    """A conditional write was refused. ``item``: what is there, when that was asked for."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item


def text(value: str) -> dict[str, str]:
    """``value`` must be free of lone surrogates: DynamoDB's strings are UTF-8."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def binary(value: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(value).decode("ascii")}


def text_of(item: Item, name: str, default: str = "") -> str:
    value: str = item[name]["S"] if name in item else default
    return value


def number_of(item: Item, name: str, default: int = 0) -> int:
    return int(item[name]["N"]) if name in item else default


def bytes_of(item: Item, name: str) -> bytes:
    return base64.b64decode(item[name]["B"])


def without_surrogates(value: str) -> str:
    """Lone halves of UTF-16 pairs, which JSON can spell and UTF-8 cannot, as U+FFFD."""
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Table:
    """Every method may raise Unavailable or ResourceMissing."""

    def __init__(self, transport: Transport, name: str) -> None:
        self.name = name
        self._transport = transport

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """One call about this table. Raises ConditionFailed."""
        return self.send(operation, {"TableName": self.name, **request})

    def send(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._transport.call("dynamodb", operation, request)
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException":
                raise ConditionFailed(error.body.get("Item")) from error
            raise to_batuta(error, f"{operation} on {self.name}") from error

    def get(self, key: Item, *, is_consistent: bool) -> Item | None:
        found: Item | None = self.call("GetItem", Key=key, ConsistentRead=is_consistent).get("Item")
        return found

    def query(self, **request: Any) -> Iterator[Sequence[Item]]:
        """The pages (1 MB at most each) of a Query, fetched as they are asked for; none is empty."""
        while True:
            page = self.call("Query", **request)
            if page["Items"]:
                yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def batch_get(self, keys: Sequence[Item], *, is_consistent: bool) -> list[Item]:
        """Those of the items that exist, in no order. ``keys`` are distinct."""
        found: list[Item] = []
        for begin in range(0, len(keys), _GET_MAX):
            wanted: dict[str, Any] = {self.name: {"Keys": list(keys[begin : begin + _GET_MAX]), "ConsistentRead": is_consistent}}
            idle_rounds = 0
            while wanted:
                answer = self.send("BatchGetItem", {"RequestItems": wanted})
                items = answer.get("Responses", {}).get(self.name, [])
                found.extend(items)
                wanted = answer.get("UnprocessedKeys") or {}
                idle_rounds = self._pause(wanted, 0 if items else idle_rounds + 1)
        return found

    def batch_delete(self, keys: Sequence[Item]) -> None:
        """Keys of items that do not exist are fine; ``keys`` are distinct."""
        self._batch_write([{"DeleteRequest": {"Key": key}} for key in keys])

    def batch_put(self, items: Sequence[Item]) -> None:
        """Over what is there; the items' keys are distinct."""
        self._batch_write([{"PutRequest": {"Item": item}} for item in items])

    def _batch_write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        for begin in range(0, len(requests), _WRITE_MAX):
            wanted: dict[str, Any] = {self.name: list(requests[begin : begin + _WRITE_MAX])}
            idle_rounds = 0
            while wanted:
                count = len(wanted[self.name])
                wanted = self.send("BatchWriteItem", {"RequestItems": wanted}).get("UnprocessedItems") or {}
                is_stuck = bool(wanted) and len(wanted[self.name]) == count
                idle_rounds = self._pause(wanted, idle_rounds + 1 if is_stuck else 0)

    def delete_all(self, **request: Any) -> None:
        """Deletes what the Query finds, which must project the table's keys and nothing else."""
        for page in self.query(**request):
            self.batch_delete(page)

    def _pause(self, left: Mapping[str, Any], idle_rounds: int) -> int:
        """After a batch of which ``left`` was left undone: DynamoDB throttles. Returns ``idle_rounds``."""
        if left:
            if idle_rounds >= _IDLE_ROUNDS_MAX:
                raise Unavailable(f"{self.name}: DynamoDB leaves a batch undone")
            time.sleep(pause_s(idle_rounds + 1))
        return idle_rounds
