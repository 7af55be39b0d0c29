"""What the cost benchmark bills for DynamoDB, held against DynamoDB Local's own count."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from benchmarks import sizes
from benchmarks.cost_load import Load
from benchmarks.pretend_dynamodb import ConditionRefused, PretendDynamoDB, Used
from benchmarks.stage import STAGE
from benchmarks.wire import Heard

from batuta_server import layout
from batuta_server.aws.errors import AwsError
from tests.contract.servers import Server
from tests.contract.stand import AwsStand

KEY = {"pk": {"S": "shop#1"}, "seq": {"N": "7"}}


class Judge:
    """DynamoDB Local, with the stage's tables."""

    def __init__(self, stand: AwsStand) -> None:
        self._stand = stand
        stand.journal  # noqa: B018 - asking for it makes the tables

    def play(self, stage: str, operation: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str], Counter[str]]:
        """The answer, and the units of tables and of indexes. ``stage`` is the one whose tables ``request`` names."""
        wanted = {**self._renamed(request, stage), "ReturnConsumedCapacity": "INDEXES"}
        answer = self._stand.transport.call("dynamodb", operation, wanted)
        found = answer.pop("ConsumedCapacity")
        units: Counter[str] = Counter()
        indexes: Counter[str] = Counter()
        for one in found if isinstance(found, list) else [found]:
            units[one["TableName"]] += one["Table"]["CapacityUnits"]
            for name, index in one.get("GlobalSecondaryIndexes", {}).items():
                indexes[name] += index["CapacityUnits"]
        return answer, units, indexes

    def _renamed(self, value: Any, stage: str) -> Any:
        if isinstance(value, str):
            return value.replace(f"batuta-{stage}--", f"batuta-{self._stand.stage}--")
        if isinstance(value, Mapping):
            return {self._renamed(name, stage): self._renamed(member, stage) for name, member in value.items()}
        return [self._renamed(member, stage) for member in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope="module")
def judge(server: Callable[[str], Server]) -> Iterator[Judge]:
    stand = AwsStand(server("jvm"))
    yield Judge(stand)
    stand.close()


def assert_equal_units(used: Used, units: Counter[str], indexes: Counter[str]) -> None:
    assert used.read + used.write.get("", 0) == units.total()
    assert {name: count for name, count in used.write.items() if name} == dict(+indexes)


# --- sizes to the byte

VALUES: Mapping[str, Mapping[str, Any]] = {
    "text": {"S": "grüße"},
    "binary": {"B": base64.b64encode(bytes(range(200))).decode()},
    "true": {"BOOL": True},
    "null": {"NULL": True},
    "map": {"M": {"a": {"S": "bc"}, "longer": {"N": "12"}}},
    "list": {"L": [{"S": "a"}, {"N": "123"}, {"M": {}}]},
    "empty list": {"L": []},
    "texts": {"SS": ["a", "bcd"]},
    "numbers": {"NS": ["1", "234"]},
    **{
        f"number {text}": {"N": text}
        for text in ("0", "1", "12", "123", "1234", "-5", "-123456", "100", "1000", "10", "120", "1230", "12300", "1.5", "0.05", "0.005")
    },
    "epoch": {"N": "1795291200123"},
    "round epoch": {"N": "1795291200000"},
}


@pytest.mark.parametrize("name", VALUES)
def test_an_item_of_one_kilobyte_takes_one_unit_and_a_byte_more_takes_two(judge: Judge, name: str) -> None:
    item = {**KEY, "v": VALUES[name], "fill": {"S": ""}}
    room = sizes.WRITE_UNIT_BYTES - sizes.item_bytes(item)
    for more, expected in ((0, 1), (1, 2)):
        padded = {**item, "fill": {"S": "x" * (room + more)}, "pk": {"S": f"{more:06d}"}}
        request = {"TableName": layout.EXECUTIONS.name("any"), "Item": padded}
        _answer, units, _indexes = judge.play("any", "PutItem", request)
        assert units.total() == expected, f"{name}: {sizes.value_bytes(VALUES[name])} bytes are counted"


# --- units by operation

TABLE = layout.EXECUTIONS.name(STAGE)


def _put(item: Mapping[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    return "PutItem", {"TableName": TABLE, "Item": {**KEY, **item}, **more}


def _text(size: int) -> dict[str, str]:
    return {"S": "x" * size}


INDEXED = {"n": {"S": "shop#order"}, "s": {"S": "shop#order#RUNNING"}, "t0": {"N": "1795291200123"}}
OTHER = {"pk": {"S": "shop#2"}, "seq": {"N": "1"}}
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    _put(INDEXED),
    _put({**INDEXED, "more": _text(1500)}),  # no key of an index changes
    _put({**INDEXED, "n": {"S": "shop#invoice"}}),  # one does: a deletion and a put
    _put({"n": {"S": "shop#invoice"}, "t0": INDEXED["t0"]}),  # out of an index
    _put({"c": _text(1200), "t0": INDEXED["t0"]}),  # out of one, into another with a long key
    ("PutItem", {"TableName": TABLE, "Item": {**OTHER, "b": _text(5000)}}),
    ("GetItem", {"TableName": TABLE, "Key": OTHER, "ConsistentRead": True}),
    ("GetItem", {"TableName": TABLE, "Key": OTHER}),
    ("GetItem", {"TableName": TABLE, "Key": {**OTHER, "seq": {"N": "9"}}, "ConsistentRead": True}),
    ("GetItem", {"TableName": TABLE, "Key": {**OTHER, "seq": {"N": "9"}}}),
    # Not of items that are missing: by the documents they cost as with GetItem, which is what we count; DynamoDB Local forgets them.
    ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [KEY, OTHER], "ConsistentRead": True}}}),
    ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [KEY, OTHER]}}}),
    *(("PutItem", {"TableName": TABLE, "Item": {**OTHER, "seq": {"N": str(seq)}, "b": _text(900)}}) for seq in range(2, 8)),
    *(
        (
            "Query",
            {
                "TableName": TABLE,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": OTHER["pk"]},
                "ScanIndexForward": False,
                **more,
            },
        )
        for more in ({"Limit": 1, "ConsistentRead": True}, {"ConsistentRead": True}, {}, {"ProjectionExpression": "pk, seq"})
    ),
    (
        "UpdateItem",
        {
            "TableName": TABLE,
            "Key": KEY,
            "UpdateExpression": "SET n = :n, d = :d REMOVE c",
            "ConditionExpression": "attribute_not_exists(d) OR d < :d",
            "ExpressionAttributeValues": {":n": {"S": "shop#order"}, ":d": {"N": "3"}},
        },
    ),
    ("DeleteItem", {"TableName": TABLE, "Key": OTHER}),
    ("DeleteItem", {"TableName": TABLE, "Key": OTHER}),
    ("BatchWriteItem", {"RequestItems": {TABLE: [{"DeleteRequest": {"Key": {**OTHER, "seq": {"N": str(seq)}}}} for seq in range(2, 8)]}}),
]


def test_units_are_those_of_dynamodb(judge: Judge) -> None:
    pretended = PretendDynamoDB(STAGE)
    for operation, request in OPERATIONS:
        answer, used = pretended.call(operation, request)
        told, units, indexes = judge.play(STAGE, operation, request)
        try:
            assert_equal_units(used, units, indexes)
            assert answer.get("Items") == told.get("Items") or "ProjectionExpression" in request
            assert answer.get("Item") == told.get("Item")
        except AssertionError as error:
            raise AssertionError(f"{operation} {request}") from error


# --- the benchmark's own calls


def test_every_call_of_the_cost_benchmark_costs_what_dynamodb_says(judge: Judge) -> None:
    load = Load(side_by_side=1)
    heard: list[Heard] = []
    try:
        load.stage.aws.heard = heard
        load.register(3)
        load.run(3)
    finally:
        load.stop()
    assert {operation for operation, *_rest in heard} > {"PutItem", "UpdateItem", "Query", "GetItem", "BatchGetItem", "BatchWriteItem"}
    for operation, request, answer, used in heard:
        if "__type" in answer:
            with pytest.raises(AwsError, match="ConditionalCheckFailed"):
                judge.play(STAGE, operation, request)
            continue
        told, units, indexes = judge.play(STAGE, operation, request)
        if not _is_counted_wrongly(operation, request, answer):
            assert_equal_units(used, units, indexes)
        for part in ("Item", "Items"):
            assert answer.get(part) == told.get(part), f"{operation} {request}"


def _is_counted_wrongly(operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """By DynamoDB Local: transactions, see below; and often nothing for what is missing, which by the documents costs the least
    that a read can."""
    if operation == "BatchGetItem":
        ((name, wish),) = request["RequestItems"].items()
        return len(answer["Responses"][name]) < len(wish["Keys"])
    is_empty = operation in ("Query", "GetItem") and not (answer.get("Items") or answer.get("Item"))
    return is_empty or operation == "TransactWriteItems"


def test_a_refused_write_costs_as_much_as_if_it_had_been_made() -> None:
    """By the documents; a refusal's answer does not say what it cost."""
    pretended = PretendDynamoDB(STAGE)
    pretended.call(*_put({"b": _text(2500)}))
    with pytest.raises(ConditionRefused) as refused:
        pretended.call(*_put({"b": _text(10)}, ConditionExpression="attribute_not_exists(pk)"))
    assert refused.value.used.write == {"": 3}


def test_a_transaction_costs_twice_as_much() -> None:
    """By the documents. DynamoDB Local says four units where they say two, and of two equal actions together also four."""
    pretended = PretendDynamoDB(STAGE)
    put = {"Put": {"TableName": TABLE, "Item": {**OTHER, "b": _text(1500)}}}
    update = {"TableName": TABLE, "Key": KEY, "UpdateExpression": "ADD k :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    _answer, used = pretended.call("TransactWriteItems", {"TransactItems": [put, {"Update": update}]})
    assert used.write == {"": 2 * 2 + 2 * 1}
