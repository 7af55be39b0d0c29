"""Functions: what Jayway 2.9.0 was seen to answer, and what we mean to answer otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.core.decider.expression.documents import read, same

RECORDED_FUNCTIONS: list[tuple[str, Any]] = [
    ("items.length()", 3),
    ("m.length()", 5),
    ("s.length()", None),
    ("nums.size()", 3),
    ("nums.min()", 1.0),
    ("nums.max()", 3.0),
    ("nums.avg()", 2.0),
    ("nums.sum()", 6.0),
    ("nums.stddev()", 0.8164965809277263),
    ("none.sum()", None),
    ("items.sum()", None),
    ("nums.sum(10, 4)", 20.0),
    ("m.keys()", ["k 1", "k.2", "k-3", "it's", "é"]),
    ("s.keys()", None),
    ("nums.first()", 3),
    ("nums.last()", 2),
    ("none.first()", None),
    ("nums.index(1)", 1),
    ("nums.index(-1)", 2),
    ("nums.concat()", ""),
    ("items[*].l.concat()", ["x"]),
    ('concat($.s, "-", $.i)', "text-7"),
    ("concat($.nums, 4)", "3124"),
    ('s.concat("!")', "!"),
    ("concat('x')", ""),
    ("nums.append(4)", [3, 1, 2, 4]),
    ('nums.append({"a":1})', [3, 1, 2, {"a": 1}]),
    ("s.append(1)", "text"),
    ("nums.foo()", None),
    ("zz.length()", None),
    ("n.length()", None),
    ("items[*].id.length()", [None, None, None]),
    ("items[*].l.length()", [3]),
    ("mixed.sum()", 1.0),
]


@pytest.mark.parametrize(("path", "expected"), RECORDED_FUNCTIONS)
def test_functions_answer_what_jayway_was_seen_to_answer(path: str, expected: Any) -> None:
    assert same(read(path), expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$['nums'].max()", 3.0),
        ("neg.max()", -1.0),
        ("one.last()", 7),
        ("one.index(-1)", 7),
        ("items.first().id", 1),
    ],
)
def test_where_functions_of_jayway_stumble_we_give_what_one_expects(path: str, expected: Any) -> None:
    document = {"nums": [3], "neg": [-3, -1], "one": [7], "items": [{"id": 1}, {"id": 2, "m": {}}]}
    assert same(read(path, document), expected)


def test_append_does_not_change_the_document() -> None:
    document = {"l": [1]}
    assert read("l.append(2)", document) == [1, 2]
    assert document == {"l": [1]}


def test_a_sum_that_is_no_json_number_is_null() -> None:
    assert read("l.sum()", {"l": [1.7e308, 1.7e308]}) is None
    assert read("l.sum()", {"l": [10**400]}) is None
