"""DynamoDB in memory, as far as the adapters use it, which bills every call (``sizes``).

Not an emulator to develop on: it knows the operations and expressions that the cost benchmark meets and raises at others.
``tests/contract/test_sizes.py`` plays the benchmark's calls to DynamoDB Local and compares answers and units.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batuta_server import layout
from benchmarks import sizes

Request = Mapping[str, Any]
Values = Mapping[str, Mapping[str, str]]
Row = dict[str, Mapping[str, Any]]

_PAGE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Used:
    """What one call consumed. Units of writes by where they fell, see ``sizes.written``."""

    table: str
    write: Counter[str] = field(default_factory=Counter)
    read: float = 0.0


class ConditionRefused(Exception):
    """``body`` is what DynamoDB answers, ``used`` what the refusal costs."""

    def __init__(self, used: Used, shown: Mapping[str, Any]) -> None:
        super().__init__("the condition does not hold")
        self.used = used
        code = "ConditionalCheckFailedException"
        self.body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "The conditional request failed", **shown}


class _Table:
    def __init__(self, shape: layout.Table) -> None:
        self.shape = shape
        self.partitions: dict[str, dict[Any, Row]] = {}
        self._orders: dict[str, list[Any]] = {}

    def key_of(self, item: Request) -> tuple[str, Any]:
        sort = self.shape.sort
        value = item[sort.name][sort.type]
        return item[self.shape.partition.name]["S"], int(value) if sort.type == "N" else value

    def get(self, key: Request) -> Row | None:
        partition, sort = self.key_of(key)
        return self.partitions.get(partition, {}).get(sort)

    def put(self, item: Row) -> None:
        partition, sort = self.key_of(item)
        rows = self.partitions.setdefault(partition, {})
        if sort not in rows:
            insort(self._orders.setdefault(partition, []), sort)
        rows[sort] = item

    def delete(self, key: Request) -> None:
        partition, sort = self.key_of(key)
        if self.partitions.get(partition, {}).pop(sort, None) is not None:
            order = self._orders[partition]
            del order[bisect_left(order, sort)]

    def in_order(self, partition: str, *, is_forward: bool) -> list[Any]:
        order = self._orders.get(partition, [])
        return order if is_forward else order[::-1]

    def newest(self, partition: str) -> list[Any]:
        """The last sort key alone: what a Query with Limit 1 seeks, without copying 10,000 keys."""
        return self._orders.get(partition, [])[-1:]


class PretendDynamoDB:
    def __init__(self, stage: str) -> None:
        self.tables = {table.name(stage): _Table(table) for table in layout.TABLES}

    def call(self, operation: str, request: Request) -> tuple[dict[str, Any], Used]:
        """Answer and consumption. Raises ConditionRefused."""
        return getattr(self, f"_{operation}")(request)  # type: ignore[no-any-return]

    # --- writes

    def _PutItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        return self._write(request, request["Item"], lambda _old: dict(request["Item"]))

    def _UpdateItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        return self._write(request, request["Key"], lambda old: _updated(old or dict(request["Key"]), request))

    def _DeleteItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        return self._write(request, request["Key"], lambda _old: None)

    def _write(self, request: Request, key: Request, make: Callable[[Row | None], Row | None]) -> tuple[dict[str, Any], Used]:
        table = self.tables[request["TableName"]]
        old = table.get(key)
        new = make(old)
        if not _holds(request.get("ConditionExpression", ""), old, request.get("ExpressionAttributeValues", {})):
            shown = {"Item": old} if old and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
            raise ConditionRefused(Used(request["TableName"], sizes.refused(old, new)), shown)
        if new is None:
            table.delete(key)
        else:
            table.put(new)
        return {}, Used(request["TableName"], sizes.written(table.shape, old, new))

    def _BatchWriteItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        ((name, wishes),) = request["RequestItems"].items()
        used = Used(name)
        for wish in wishes:
            _answer, one = self._DeleteItem({"TableName": name, "Key": wish["DeleteRequest"]["Key"]})
            used.write += one.write
        return {"UnprocessedItems": {}}, used

    def _TransactWriteItems(self, request: Request) -> tuple[dict[str, Any], Used]:
        """Twice the units of single writes. No condition fails in the benchmark."""
        used = Used("")
        for action in request["TransactItems"]:
            ((kind, inner),) = action.items()
            _answer, one = self.call(f"{kind}Item", inner)
            used.table = one.table
            used.write += Counter({place: 2 * units for place, units in one.write.items()})
        return {}, used

    # --- reads

    def _GetItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        item = self.tables[request["TableName"]].get(request["Key"])
        units = sizes.read_each([item], is_consistent=bool(request.get("ConsistentRead")))
        return ({"Item": item} if item else {}), Used(request["TableName"], read=units)

    def _BatchGetItem(self, request: Request) -> tuple[dict[str, Any], Used]:
        ((name, wish),) = request["RequestItems"].items()
        items = [self.tables[name].get(key) for key in wish["Keys"]]
        units = sizes.read_each(items, is_consistent=bool(wish.get("ConsistentRead")))
        return {"Responses": {name: [item for item in items if item]}, "UnprocessedKeys": {}}, Used(name, read=units)

    def _Query(self, request: Request) -> tuple[dict[str, Any], Used]:
        table = self.tables[request["TableName"]]
        if "IndexName" in request or "ExclusiveStartKey" in request:
            raise NotImplementedError("a Query of an index or of a second page")
        condition, values = request["KeyConditionExpression"], request["ExpressionAttributeValues"]
        partition = values[":pk"]["S"]
        limit = request.get("Limit", 0)
        is_forward = request.get("ScanIndexForward", True)
        is_newest = limit == 1 and not is_forward and condition == "pk = :pk"
        found: list[Row] = []
        size = 0
        for sort in table.newest(partition) if is_newest else table.in_order(partition, is_forward=is_forward):
            row = table.partitions[partition][sort]
            if not _holds(condition, row, values):
                continue
            found.append(row)
            size += sizes.item_bytes(row)
            if len(found) == limit:
                break
            if size > _PAGE_BYTES:
                raise NotImplementedError("a page of more than 1 MB")
        units = sizes.read_together(found, is_consistent=bool(request.get("ConsistentRead")))
        return {"Items": found, "Count": len(found)}, Used(request["TableName"], read=units)


# --- expressions

_TOKEN = re.compile(r"\s*(:?\w+|<=|>=|<>|[=<>(),])")


def _holds(expression: str, row: Row | None, values: Values) -> bool:
    return not expression or _Condition(expression, row or {}, values).value()


class _Condition:
    """OR binds loosest, then AND; of the functions those that the adapters use."""

    def __init__(self, expression: str, row: Row, values: Values) -> None:
        self._tokens = _TOKEN.findall(expression)
        self._row = row
        self._values = values

    def value(self) -> bool:
        found = self._any()
        if self._tokens:
            raise NotImplementedError(f"the end of a condition: {' '.join(self._tokens)}")
        return found

    def _any(self) -> bool:
        found = self._all()
        while self._tokens and self._tokens[0] == "OR":
            self._next()
            found = self._all() or found
        return found

    def _all(self) -> bool:
        found = self._one()
        while self._tokens and self._tokens[0] == "AND":
            self._next()
            found = self._one() and found
        return found

    def _one(self) -> bool:
        token = self._next()
        if token == "(":
            found = self._any()
            self._next()
            return found
        if self._tokens[0] == "(":
            return self._function(token)
        left = self._operand(token)
        operator = self._next()
        right = self._operand(self._next())
        if operator == "BETWEEN":
            self._next()
            upper = self._operand(self._next())
            return left is not None and bool(right <= left <= upper)
        if left is None:
            return operator == "<>"
        compared = {"=": left == right, "<>": left != right}
        if operator in compared:
            return bool(compared[operator])
        return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])

    def _function(self, name: str) -> bool:
        self._next()
        attribute = self._next()
        if name == "begins_with":
            self._next()
            prefix = self._operand(self._next())
            self._next()
            return bool(str(self._operand(attribute) or "").startswith(prefix))
        self._next()
        return {"attribute_exists": attribute in self._row, "attribute_not_exists": attribute not in self._row}[name]

    def _operand(self, token: str) -> Any:
        value = self._values[token] if token.startswith(":") else self._row.get(token)
        if value is None:
            return None
        ((kind, content),) = value.items()
        return int(content) if kind == "N" else content

    def _next(self) -> str:
        token: str = self._tokens.pop(0)
        return token


def _updated(old: Row, request: Request) -> Row:
    """SET name = :value, ADD name :value and REMOVE name."""
    new, values = dict(old), request["ExpressionAttributeValues"]
    parts = re.split(r"\b(SET|REMOVE|ADD)\b", request["UpdateExpression"])[1:]
    for verb, clauses in zip(parts[::2], parts[1::2], strict=True):
        for clause in clauses.split(","):
            name, *rest = clause.replace("=", " ").split()
            if verb == "SET":
                new[name] = values[rest[0]]
            elif verb == "ADD":
                new[name] = {"N": str(int(new.get(name, {"N": "0"})["N"]) + int(values[rest[0]]["N"]))}
            else:
                new.pop(name, None)
    return new
