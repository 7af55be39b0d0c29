"""Values as Java was seen to print them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.core.decider.expression.documents import twice

from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.model.error import PayloadTooLarge

RECORDED_DOUBLES = [
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.1, "0.1"),
    (1.5, "1.5"),
    (100.0, "100.0"),
    (1234567.0, "1234567.0"),
    (9999999.0, "9999999.0"),
    (10000000.0, "1.0E7"),
    (12345678.9, "1.23456789E7"),
    (10000000000.0, "1.0E10"),
    (0.001, "0.001"),
    (0.000999, "9.99E-4"),
    (1e-05, "1.0E-5"),
    (1.25e-07, "1.25E-7"),
    (1e20, "1.0E20"),
    (1e21, "1.0E21"),
    (1e22, "1.0E22"),
    (1.2345678901234568e17, "1.2345678901234568E17"),
    (5e-324, "4.9E-324"),
    (1.7976931348623157e308, "1.7976931348623157E308"),
    (0.6666666666666666, "0.6666666666666666"),
]


@pytest.mark.parametrize(("number", "expected"), RECORDED_DOUBLES)
def test_doubles_are_printed_as_by_java(number: float, expected: str) -> None:
    assert java_text(number, Budget()) == expected
    assert java_text(-number, Budget()) == (expected[1:] if expected.startswith("-") else "-" + expected)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(2.0**-24)  # its shortest form is not its 16-digit rounding
@example(1e-323)
def test_a_printed_double_reads_back_as_itself(number: float) -> None:
    assert float(java_text(number, Budget())) == number


def test_containers_are_printed_as_by_java() -> None:
    value: dict[str, Any] = {"k": "v", "l": [1, None, True, 1.0, []], "m": {}, "n": {"o": [{"p": "q"}]}}
    assert java_text(value, Budget()) == "{k=v, l=[1, null, true, 1.0, []], m={}, n={o=[{p=q}]}}"


def test_lists_of_indefinite_paths_are_printed_as_json() -> None:
    value = ["a/b", 1, {"k": [None, True, 1e20], "l": {}}, [], '\x01\t"\\\x7f\u2028é😀']
    expected = '["a\\/b",1,{"k":[null,true,1.0E20],"l":{}},[],"\\u0001\\t\\"\\\\\\u007F\\u2028é😀"]'
    assert java_text(value, Budget(), as_json=True) == expected


def test_text_that_would_grow_too_long_is_stopped() -> None:
    with pytest.raises(PayloadTooLarge):
        java_text(twice(40), Budget())
    with pytest.raises(PayloadTooLarge):
        java_text(["x" * 6400] * 200, Budget(10_000))
