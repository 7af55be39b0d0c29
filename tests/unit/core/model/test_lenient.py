"""Each leniency of Conductor's JSON reader, and each refusal, by itself."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_core.model.error import Problem
from batuta_core.model.lenient import (
    DEPTH_MAX,
    PROBLEMS_MAX,
    Field,
    Place,
    Reader,
    is_too_deep,
    list_of,
    map_of,
    one_of,
    read_flag,
    read_object,
    read_text,
    whole_number,
)

WHOLE = whole_number(32)
LOGIC = one_of("FIXED", "LINEAR")


def read(reader: Reader, value: Any) -> tuple[Any, list[Problem]]:
    place = Place("f", [])
    return reader(value, place), place.problems


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        (WHOLE, 5, 5),
        (WHOLE, "5", 5),
        (WHOLE, " +5 ", 5),
        (WHOLE, "-5", -5),
        (WHOLE, 5.9, 5),
        (WHOLE, -5.9, -5),
        (WHOLE, "", None),
        (WHOLE, "null", None),
        (WHOLE, 2**31 - 1, 2**31 - 1),
        (WHOLE, -(2**31), -(2**31)),
        (whole_number(64), 2**40, 2**40),
        (read_flag, True, True),
        (read_flag, "true", True),
        (read_flag, "True", True),
        (read_flag, "TRUE", True),
        (read_flag, "false", False),
        (read_flag, "False", False),
        (read_flag, "FALSE", False),
        (read_flag, " true ", True),
        (read_flag, 0, False),
        (read_flag, 7, True),
        (read_flag, "", None),
        (read_text, 5, "5"),
        (read_text, 1.5, "1.5"),
        (read_text, True, "true"),
        (read_text, "", ""),
        (LOGIC, "LINEAR", "LINEAR"),
        (LOGIC, 0, "FIXED"),
        (LOGIC, 1, "LINEAR"),
        (list_of(read_text), [1, None, "a"], ["1", None, "a"]),
        (list_of(read_text), None, []),
        (map_of(read_text), {"a": 1, "b": None}, {"a": "1", "b": None}),
    ],
)
def test_what_conductor_understands_is_understood(reader: Reader, value: Any, expected: Any) -> None:
    assert read(reader, value) == (expected, [])


@pytest.mark.parametrize(
    ("reader", "value", "message", "shown"),
    [
        (WHOLE, True, "must be a whole number", "true"),
        (WHOLE, "5.5", "must be a whole number", "5.5"),
        (WHOLE, "1_000", "must be a whole number", "1_000"),
        (WHOLE, "9" * 5000, "must be a whole number", "9" * 64),
        (WHOLE, float("inf"), "must be a whole number", "inf"),
        (WHOLE, [5], "must be a whole number", None),
        (WHOLE, 2**31, "must be a whole number of 32 bits", "2147483648"),
        (WHOLE, "-2147483649", "must be a whole number of 32 bits", "-2147483649"),
        (read_flag, "yes", "must be true or false", "yes"),
        (read_flag, "tRUE", "must be true or false", "tRUE"),
        (read_flag, 1.0, "must be true or false", "1.0"),
        (read_text, {"a": 1}, "must be text", None),
        (read_text, [], "must be text", None),
        (LOGIC, "fixed", "must be one of FIXED, LINEAR", "fixed"),
        (LOGIC, 2, "must be one of FIXED, LINEAR", "2"),
        (LOGIC, -1, "must be one of FIXED, LINEAR", "-1"),
        (LOGIC, True, "must be one of FIXED, LINEAR", "true"),
        (list_of(read_text), "a", "must be a list", "a"),
        (map_of(read_text), [], "must be an object", None),
    ],
)
def test_what_conductor_does_not_understand_is_refused(reader: Reader, value: Any, message: str, shown: str | None) -> None:
    assert read(reader, value)[1] == [Problem("f", message, shown)]


def test_null_is_zero_in_a_primitive_and_absent_elsewhere() -> None:
    fields = {
        "primitive": Field(WHOLE, 3, 0),
        "boxed": Field(WHOLE, 4, 4),
        "text": Field(read_text),
        "flag": Field(read_flag, True, False),
    }
    place = Place("", [])
    assert read_object(fields, {"unknown": 1}, place) == {"primitive": 3, "boxed": 4, "flag": True}
    assert read_object(fields, dict.fromkeys(fields), place) == {"primitive": 0, "boxed": 4, "flag": False}
    assert place.problems == []


def test_a_default_container_is_a_new_one_each_time() -> None:
    fields = {"list": Field(list_of(read_text), list, list)}
    first, second = (read_object(fields, {}, Place("", [])) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first["list"] is not second["list"]


def test_faults_carry_their_path() -> None:
    place = Place("tasks[0]", [])
    map_of(list_of(WHOLE))({"a b": [1, "x"]}, place)
    assert [problem.path for problem in place.problems] == ["tasks[0].a b[1]"]


def test_a_million_faults_are_not_all_told() -> None:
    place = Place("f", [])
    list_of(WHOLE)(["x"] * (PROBLEMS_MAX + 5), place)
    assert len(place.problems) == PROBLEMS_MAX


@pytest.mark.parametrize(("depth", "expected"), [(1, False), (DEPTH_MAX, False), (DEPTH_MAX + 1, True), (50_000, True)])
def test_depth_is_counted_without_recursion(depth: int, expected: bool) -> None:
    value: Any = "leaf"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    assert is_too_deep(value) is expected
