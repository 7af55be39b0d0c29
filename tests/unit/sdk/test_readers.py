"""What fits an annotation and what does not, with the words in which it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Optional, Required, TypedDict, TypeVar, Union
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, RootModel

from batuta.plain_readers import InputMismatch
from batuta.readers import reader_of

T = TypeVar("T")
Name = NewType("Name", str)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 0
    HIGH = 1


class Options(TypedDict):
    name: str
    size: NotRequired[int]


class Partial(TypedDict, total=False):
    name: Required[str]
    size: int


@dataclass
class Item:
    name: str
    price: Decimal = Decimal(1)
    tags: list[str] = field(default_factory=list)
    made: int = field(init=False, default=5)


@dataclass
class Box(Generic[T]):
    content: T
    inner: Optional[Box[T]] = None  # noqa: UP045


@dataclass
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError("number must be above 0")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    count: int


class Numbers(RootModel[list[int]]):
    pass


FITS: list[tuple[Any, Any, Any]] = [
    (Any, {"a": [1]}, {"a": [1]}),
    (object, 1, 1),
    (int, 7.0, 7),
    (float, 7, 7.0),
    (Decimal, 1.1, Decimal("1.1")),
    (Decimal, 3, Decimal(3)),
    (Decimal, "2.50", Decimal("2.50")),
    (datetime, "2026-01-02T03:04:05Z", datetime.fromisoformat("2026-01-02T03:04:05+00:00")),
    (timedelta, 1.5, timedelta(seconds=1.5)),
    (Colour, "red", Colour.RED),
    (Level, 1, Level.HIGH),
    (Literal["a", 1, Colour.RED], "red", Colour.RED),
    (Literal["a", 1], 1, 1),
    (Optional[int], None, None),  # noqa: UP045
    (Union[int, str], "x", "x"),  # noqa: UP007
    (int | str, "5", "5"),
    (float | int, 5, 5),
    (bool | int, True, True),
    (Decimal | str, "abc", "abc"),
    (date | str, "2026-01-02", date(2026, 1, 2)),
    (list, [1, "a"], [1, "a"]),
    (Sequence[int], [1], [1]),
    (Iterable[int], [1], [1]),
    (AbstractSet[int], [1, 1], frozenset({1})),
    (set[int], [2, 1, 2], {1, 2}),
    (tuple, [1, 2], (1, 2)),
    (tuple[int, ...], [], ()),
    (tuple[int, str], [1, "a"], (1, "a")),
    (dict, {"a": 1}, {"a": 1}),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (dict[float, str], {"1.5": "a"}, {1.5: "a"}),
    (dict[bool, str], {"true": "a"}, {True: "a"}),
    (dict[str, int], {"1": 1}, {"1": 1}),
    (dict[Level, int], {"1": 1}, {Level.HIGH: 1}),
    (Name, "n", "n"),
    (Annotated[int, "metres"], 3, 3),
    (Annotated[list[int], ["unhashable"]], [3], [3]),
    (T, {"x": 1}, {"x": 1}),
    (Options, {"name": "a", "other": 1}, {"name": "a"}),
    (Partial, {"name": "a"}, {"name": "a"}),
    (Item, {"name": "a", "price": "2", "unknown": 1}, Item("a", Decimal(2))),
    (Item, {"name": "a", "price": None}, Item("a")),
    (Box[int], {"content": 1, "inner": {"content": 2}}, Box(1, Box(2))),
    (Strict, {"at": "2026-01-02T03:04:05", "count": 1}, Strict(at=datetime(2026, 1, 2, 3, 4, 5), count=1)),  # noqa: DTZ001
    (Numbers, [1, 2], Numbers([1, 2])),
    (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
]


@pytest.mark.parametrize(("annotation", "value", "found"), FITS, ids=[f"{case[0]}-{case[1]}" for case in FITS])
def test_what_fits(annotation: Any, value: Any, found: Any) -> None:
    read = reader_of(annotation)(value, "x")
    assert read == found
    assert type(read) is type(found)


REFUSED: list[tuple[Any, Any, str]] = [
    (int, "5", 'x: must be a whole number, not "5"'),
    (int, True, "x: must be a whole number, not true"),
    (int, 7.5, "x: must be a whole number, not 7.5"),
    (int, None, "x: must be a whole number, not null"),
    (float, True, "x: must be a number, not true"),
    (float, "1", 'x: must be a number, not "1"'),
    (bool, 1, "x: must be true or false, not 1"),
    (str, 1, "x: must be text, not 1"),
    (str, "y" * 99, ""),
    (None, 0, "x: must be null, not 0"),
    (Decimal, "abc", 'x: must be a number, or text that spells one, not "abc"'),
    (Decimal, "NaN", 'x: must be a number, or text that spells one, not "NaN"'),
    (Decimal, True, "x: must be a number, or text that spells one, not true"),
    (Decimal, [1], "x: must be a number, or text that spells one, not [1]"),
    (datetime, "yesterday", 'x: must be a moment in ISO 8601, not "yesterday"'),
    (datetime, 1700000000000, "x: must be a moment in ISO 8601, not 1700000000000"),
    (date, "2026-13-01", 'x: must be a date in ISO 8601, not "2026-13-01"'),
    (timedelta, 1e300, "x: must be a number of seconds, not 1e+300"),
    (timedelta, "1", 'x: must be a number of seconds, not "1"'),
    (UUID, "u", 'x: must be a UUID, not "u"'),
    (Colour, "blue", 'x: must be one of "red", not "blue"'),
    (Colour, ["red"], 'x: must be one of "red", not ["red"]'),
    (Level, True, "x: must be one of 0, 1, not true"),
    (Literal["a", 1], True, 'x: must be one of "a", 1, not true'),
    (list[int], "abc", 'x: must be a list, not "abc"'),
    (list[int], [1, "b"], 'x[1]: must be a whole number, not "b"'),
    (tuple[int, str], [1], "x: must be a list of 2, not [1]"),
    (dict[str, int], [1], "x: must be an object, not [1]"),
    (dict[str, int], {"a": "b"}, 'x.a: must be a whole number, not "b"'),
    (dict[int, int], {"a": 1}, "x: the key \"a\" does not fit <class 'int'>"),
    (int | None, "a", 'x: must be a whole number, not "a"; or must be null, not "a"'),
    (Item | None, {"name": 5}, "x.name: must be text, not 5"),
    (Options, {"size": 1}, "x.name: is missing"),
    (Options, {"name": "a", "size": None}, "x.size: must be a whole number, not null"),
    (Partial, {}, "x.name: is missing"),
    (Item, {"price": 1}, "x.name: is missing"),
    (Item, [], "x: must be an object, not []"),
    (Item, {"name": None}, "x.name: must be text, not null"),
    (Item, {"name": "a", "tags": [1]}, "x.tags[0]: must be text, not 1"),
    (Positive, {"number": 0}, "x: number must be above 0"),
    (Strict, {"at": "2026-01-02T03:04:05", "count": "1"}, "x.count: Input should be a valid integer"),
    (Strict, {}, "x.at: Field required; x.count: Field required"),
]


@pytest.mark.parametrize(("annotation", "value", "said"), REFUSED, ids=[f"{case[0]}-{str(case[1])[:20]}" for case in REFUSED])
def test_what_does_not_fit_is_refused_by_its_place(annotation: Any, value: Any, said: str) -> None:
    if not said:
        assert reader_of(annotation)(value, "x") == value
        return
    with pytest.raises(InputMismatch) as refused:
        reader_of(annotation)(value, "x")
    assert str(refused.value) == said


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(InputMismatch) as refused:
        reader_of(int)("z" * 5000, "x")
    assert len(str(refused.value)) < 100


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.mark.parametrize("annotation", [Plain, bytes, list[Plain], dict[str, Plain], Plain | None, complex])
def test_an_annotation_that_json_cannot_fill_is_refused_before_any_value(annotation: Any) -> None:
    with pytest.raises(TypeError, match="cannot be read from JSON"):
        reader_of(annotation)
