"""Filters: what Jayway 2.9.0 was seen to keep, and what we mean to keep otherwise."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.unit.core.decider.expression.documents import read, same

from batuta_core.decider.expression.cursor import InvalidPath
from batuta_core.decider.expression.path_parser import compile_path

RECORDED_FILTERS: list[tuple[str, Any]] = [
    ("items[?(@.p > 5)].id", [2, 3]),
    ("items[?(@.p >= 15)].id", [2, 3]),
    ("items[?(@.p<15)].id", [1]),
    ("items[?(@.p <= 15)].id", [1, 2]),
    ("items[?(@.p == 15)].id", [2]),
    ("items[?(@.p != 15)].id", [1, 3]),
    ("items[?(@.p == '15')].id", [2]),
    ("items[?('15' == @.p)].id", [2]),
    ("items[?(15 < @.p)].id", [3]),
    ("items[?(@.p === '15')].id", []),
    ("items[?(@.p !== '15')].id", [1, 2, 3]),
    ("items[?(@.t > 'a')].id", [1]),
    ("items[?(@.t > 1)].id", []),
    ('items[?(@.t == "aa")].id', [1]),
    ("items[?(@.q)].id", [3]),
    ("items[?(!@.q)].id", [1, 2]),
    ("items[?(@.q == null)].id", [1, 2, 3]),
    ("items[?(@.m)].id", [2]),
    ("items[?(@.m == {})].id", [2]),
    ("items[?(@.l == ['x', 1.5, null])].id", [1]),
    ("items[?(@.l[*])].id", [1]),
    ("items[?(@.l.length() == 3)].id", [1]),
    ("items[?(@.p > 5 && @.p < 25)].id", [2]),
    ("items[?(@.p < 15 || @.p > 15)].id", [1, 3]),
    ("items[?(!(@.p == 5))].id", [2, 3]),
    ("items[?(@.p == 5 || @.p == 25 && @.q)].id", [1, 3]),
    ("items[?((@.p == 5 || @.p == 25) && @.q)].id", [3]),
    ("items[?(@.id in [1, 3])].id", [1, 3]),
    ("items[?(@.t IN ['aa','b'])].id", [1]),
    ("items[?(@.id in ['1', '2'])].id", [1, 2]),
    ("items[?(@.id nin [1])].id", [2, 3]),
    ("items[?(@.id in 1)].id", []),
    ("items[?(@.l contains 'x')].id", [1]),
    ("items[?(@.t contains 'a')].id", [1]),
    ("items[?(@.t size 2)].id", [1]),
    ("items[?(@.l size 3)].id", [1]),
    ("items[?(@.t empty false)].id", [1]),
    ("items[?(@.l anyof ['x','y'])].id", [1]),
    ("items[?(@.l noneof ['z'])].id", [1]),
    ("items[?(@.l subsetof ['x', 1.5, null, 2])].id", [1]),
    ("items[?(@['p'] == 5)].id", [1]),
    ("items[?(@.p > $.i)].id", [2, 3]),
    ("items[?(@.p > $.zz)].id", []),
    ("items[?(@.t == $.items[0].t)].id", [1]),
    ("items[?(1 == 1)].id", [1, 2, 3]),
    ("items[?(@.t == 'it\\'s')].id", []),
    ("nums[?(@ > 1)]", [3, 2]),
    ("m[?(@.k-3)]", [{"k 1": "sp", "k.2": "dot", "k-3": "dash", "it's": "quote", "é": "acute"}]),
    ("m[?(@.k-3 == 'dash')].k-3", ["dash"]),
    ("items[?(@.l[?(@ == 'x')])].id", [1]),
    ("items[ ? (@.id == 1) ].id", [1]),
    ("items[?(@.id == true)]", []),
    ("items[?(@.sum() > 1)].id", None),
    ("items[?(@..x)].id", [1, 2, 3]),
    ("$.items[?(@.p > 5)][0]", []),
    ("$.items[?(@.p > 5)].p.max()", None),
    ("items[*].id[?(@.x)]", []),
    ("items[0].id[?(@.x)]", None),
    ("mixed[?(@ == 1)]", [1, "1"]),
    ("mixed[?(@ > 0)]", [1]),
    ("items[?(@.id[*] == 1)].id", []),
    ("items[?(@.l[*].zz)].id", [1]),
    ("items[?(@.id.zz)].id", []),
    ("items[?(@['id','p'])].id", [1, 2, 3]),
    ("items[?(@['id','t'])].id", [1]),
]


@pytest.mark.parametrize(("path", "expected"), RECORDED_FILTERS)
def test_filters_keep_what_jayway_was_seen_to_keep(path: str, expected: Any) -> None:
    assert same(read(path), expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("items[?(@.id==1&&@.id==1)].id", [1]),
        ("items[?($.neg)].id", [1, 2]),
        ("items[?(@.m empty true)].id", [2]),
        ("items[?(@.m all [1])].id", []),
    ],
)
def test_where_filters_of_jayway_stumble_we_give_what_one_expects(path: str, expected: Any) -> None:
    document = {"nums": [3], "neg": [-3, -1], "one": [7], "items": [{"id": 1}, {"id": 2, "m": {}}]}
    assert same(read(path, document), expected)


def test_all_asks_for_every_one_of_the_values() -> None:
    document = [{"l": [1, 2, 3]}, {"l": [1]}]
    assert read("$[?(@.l all [1, 2])]", document) == [{"l": [1, 2, 3]}]


def test_strict_types_hold_inside_of_containers() -> None:
    assert read("$[?(@.l == [1])]", [{"l": [1]}, {"l": [1.0]}, {"l": [True]}, {"l": [1, 2]}]) == [{"l": [1]}]
    assert read("$[?(@.l == {'a': 1})]", [{"l": {"a": 1}}, {"l": {"a": 2}}, {"l": {}}]) == [{"l": {"a": 1}}]


def test_a_long_text_is_compared_with_a_number_at_once() -> None:
    """Every character of it once at most: it is a worker's output."""
    began = time.process_time()
    assert compile_path("a[?(5 == @.t)]").read({"a": [{"t": "1" * 500_000 + "x"}]}) == []
    assert time.process_time() - began < 1


def test_a_number_beyond_all_floats_is_none() -> None:
    with pytest.raises(InvalidPath):
        compile_path("a[?(@.t size 1e999)]")
    assert compile_path("a[?(@.t == 5)]").read({"a": [{"t": "1e999"}]}) == []
