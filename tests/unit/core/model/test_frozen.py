"""Our own ``dataclass`` is the standard one, but for how long it takes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from batuta_core.model import frozen
from batuta_core.model.event import TaskStarted, TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.place import TaskPlace


def made_by(decorator: Any) -> tuple[Any, Any]:
    @decorator(frozen=True, slots=True, kw_only=True)
    class Value:
        """With words of its own."""

        name: str
        count: int = 0
        noted: list[int] = dataclasses.field(default_factory=list, compare=False)
        secret: str = dataclasses.field(default="", repr=False)

    @decorator(frozen=True, slots=True)
    class Alone:
        value: Any

        def __repr__(self) -> str:
            return "its own"

    return Value, Alone


STANDARD, OURS = made_by(dataclasses.dataclass), made_by(frozen.dataclass)
PAIRS = [
    ({"name": "a"}, {"name": "a"}),
    ({"name": "a"}, {"name": "b"}),
    ({"name": "a", "count": 1}, {"name": "a", "count": 2}),
    ({"name": "a", "noted": [1]}, {"name": "a", "noted": [2]}),
    ({"name": "a", "secret": "x"}, {"name": "a", "secret": "y"}),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_equal_and_hashed_as_the_standard_ones(one: dict[str, Any], other: dict[str, Any]) -> None:
    (standard, _), (ours, _) = STANDARD, OURS
    assert (ours(**one) == ours(**other)) == (standard(**one) == standard(**other))
    assert (hash(ours(**one)) == hash(ours(**other))) == (standard(**one) == standard(**other))
    assert ours(**one) != standard(**one)
    assert ours(**one).__eq__(1) is NotImplemented


def test_shown_as_the_standard_ones() -> None:
    fields = {"name": "a", "count": 2, "secret": "x"}
    assert repr(OURS[0](**fields)) == repr(STANDARD[0](**fields))
    assert repr(OURS[1](value=1)) == "its own"
    assert OURS[0].__doc__ == "With words of its own."


def test_frozen_slotted_and_by_keyword() -> None:
    value = OURS[0](name="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.name = "b"
    with pytest.raises(TypeError):
        OURS[0]("a")
    assert not hasattr(value, "__dict__")
    assert dataclasses.replace(value, name="b") == OURS[0](name="b")
    assert OURS[1](value=(1,)) == OURS[1]((1,)) != OURS[1](1)


def test_what_is_no_plain_value_is_the_standard_ones() -> None:
    @frozen.dataclass(slots=True)
    class Changing:
        count: int = 0

    changing = Changing()
    changing.count = 1
    assert changing == Changing(1)
    with pytest.raises(TypeError):
        hash(changing)


def test_events_keep_what_dataclasses_promise() -> None:
    event = TaskStarted(place=TaskPlace(2, 1), op="x", worker_id="w")
    assert copy.deepcopy(event) == pickle.loads(pickle.dumps(event)) == event
    assert {event, dataclasses.replace(event)} == {event}
    others: list[Any] = [TaskUpdated(place=TaskPlace(2, 1), status=TaskStatus.COMPLETED)]
    assert event not in others
    match event:
        case TaskStarted(place=place, op="x"):
            assert place == TaskPlace(2, 1)
        case _:
            pytest.fail("no match")
