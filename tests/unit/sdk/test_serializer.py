"""Values out and back in: what is written is read as it was, and what cannot be written is refused by its place."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from batuta.readers import reader_of
from batuta.serializer import NotEncodable, dump, to_json, to_output
from batuta_core.model.lenient import DEPTH_MAX


class Colour(Enum):
    RED = "red"
    DEEP = 7
    PAIR = (1, 2)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Access(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Price:
    amount: Decimal
    currency: str = "EUR"


@dataclass(frozen=True)
class Order:
    number: int
    ordered: datetime
    prices: tuple[Price, ...]
    notes: dict[str, str] = field(default_factory=dict)
    parent: Order | None = None


class Point(NamedTuple):
    x: int
    y: int


class Address(BaseModel):
    street_name: str = Field(alias="streetName")
    since: date


AWARE = st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=45))))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
TEXT = st.text()
PRICES = st.builds(Price, amount=DECIMALS, currency=TEXT)
ORDERS = st.recursive(
    st.builds(
        Order,
        number=st.integers(),
        ordered=AWARE,
        prices=st.lists(PRICES, max_size=3).map(tuple),
        notes=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    lambda orders: st.builds(Order, number=st.integers(), ordered=AWARE, prices=st.just(()), parent=orders),
    max_leaves=4,
)
SECONDS = st.timedeltas(min_value=timedelta(days=-90_000), max_value=timedelta(days=90_000))  # floats hold microseconds that far
CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXT),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (None, st.none()),
    (Decimal, DECIMALS),
    (datetime, AWARE | st.datetimes()),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, SECONDS),
    (UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Access, st.sampled_from([Access.READ, Access.WRITE, Access.READ | Access.WRITE])),
    (list[int], st.lists(st.integers())),
    (set[str], st.sets(TEXT)),
    (frozenset[date], st.frozensets(st.dates())),
    (tuple[int, str], st.tuples(st.integers(), TEXT)),
    (tuple[UUID, ...], st.lists(st.uuids()).map(tuple)),
    (dict[str, Decimal], st.dictionaries(TEXT, DECIMALS)),
    (dict[int, bool], st.dictionaries(st.integers(), st.booleans())),
    (dict[date, int], st.dictionaries(st.dates(), st.integers())),
    (dict[Colour, int], st.dictionaries(st.sampled_from([Colour.RED, Colour.DEEP]), st.integers())),
    (int | None, st.none() | st.integers()),
    (int | str | None, st.none() | st.integers() | TEXT),
    (float | int, st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    (Price, PRICES),
    (Order, ORDERS),
    (list[Order | Price], st.lists(ORDERS | PRICES, max_size=3)),
]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=[str(case[0]) for case in CASES])
def test_what_is_written_is_read_as_it_was(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    read = reader_of(annotation)

    @settings(deadline=None)
    @given(values)
    def check(value: Any) -> None:
        found = read(json.loads(dump(to_json(value))), "")
        assert found == value
        assert type(found) is type(value)

    check()


def test_a_pydantic_model_goes_by_its_aliases_both_ways() -> None:
    address = Address(streetName="Calle Mayor", since=date(2026, 1, 2))
    written = to_json(address)
    assert written == {"streetName": "Calle Mayor", "since": "2026-01-02"}
    assert reader_of(Address)(written, "") == address


def test_outputs_are_objects() -> None:
    assert to_output(None) == {}
    assert to_output({"a": 1}) == {"a": 1}
    assert to_output(5) == {"result": 5}
    assert to_output([1, 2]) == {"result": [1, 2]}
    assert to_output(Colour.RED) == {"result": "red"}
    assert to_output(Price(Decimal("1.50"))) == {"amount": "1.50", "currency": "EUR"}
    assert to_output(Address(streetName="S", since=date(2026, 1, 2))) == {"streetName": "S", "since": "2026-01-02"}
    assert to_output(Point(1, 2)) == {"result": [1, 2]}


def test_containers_of_every_kind_are_written() -> None:
    class Registry(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return len(key)

        def __iter__(self) -> Any:
            return iter(("a", "bb"))

        def __len__(self) -> int:
            return 2

    assert to_json(Registry()) == {"a": 1, "bb": 2}
    assert to_json(deque([1, (2, {3})])) == [1, [2, [3]]]
    assert to_json({"b", "a", "c"}) == ["a", "b", "c"]
    assert to_json(timedelta(seconds=90)) == 90
    assert to_json(timedelta(milliseconds=1)) == 0.001


def test_keys_become_text() -> None:
    assert to_json({7: "a", True: "b", None: "c", UUID(int=1): "d", 1.5: "e", Level.HIGH: "f"}) == {
        "7": "a",
        "true": "b",
        "null": "c",
        str(UUID(int=1)): "d",
        "1.5": "e",
        "2": "f",
    }


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "JSON has no nan"),
        ({"rates": [1.0, float("inf")]}, r"rates\[1\]: JSON has no inf"),
        (Price(Decimal("NaN")), "amount: JSON has no NaN"),
        ({"x": {"y": Opaque()}}, r"x\.y: a .*Opaque has no JSON form"),
        ({"f": print}, "f: a builtins.builtin_function_or_method has no JSON form"),
        ({"type": int}, "type: a builtins.type has no JSON form"),
        ({"1": 1, 1: 2}, "two keys are '1'"),
        ({(1, 2): 3}, r"the key \(1, 2\) cannot be text"),
        (b"raw", "a builtins.bytes has no JSON form"),
        ((n for n in (1, 2)), "generator has no JSON form"),
    ],
)
def test_what_has_no_json_form_is_refused_by_its_place(value: Any, said: str) -> None:
    with pytest.raises(NotEncodable, match=said):
        to_json(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotEncodable, match="contains itself"):
        to_json(endless)


def test_depth_is_limited_as_on_the_server() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    to_json(nested(DEPTH_MAX))
    with pytest.raises(NotEncodable, match=f"deeper than {DEPTH_MAX}"):
        to_json(nested(DEPTH_MAX + 2))


def test_a_number_of_too_many_digits_is_refused() -> None:
    with pytest.raises(NotEncodable, match="digits"):
        dump(to_json(10**5000))


def test_odd_unicode_passes() -> None:
    value = {"\ud800": "\x00\uffff\U0001f3bb"}
    assert json.loads(dump(to_json(value))) == value
