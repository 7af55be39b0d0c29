"""What a path knows about itself, and that reading is paid for and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.core.decider.expression.documents import DOCUMENT, JSON, read, twice

from batuta_core.decider.expression.path_parser import compile_path
from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.text import java_text
from batuta_core.model.error import PayloadTooLarge


@pytest.mark.parametrize(
    ("path", "is_definite", "keys"),
    [
        ("a.b.c", True, ("a", "b", "c")),
        ("$['a']['b c'][0].d", True, ("a", "b c")),
        ("a['b','c']", True, ("a",)),
        ("a['b','c'].d", False, ("a",)),
        ("a..b", False, ("a",)),
        ("a[*]", False, ("a",)),
        ("a[0,1]", False, ("a",)),
        ("a[0:1]", False, ("a",)),
        ("a[?(@.b)]", False, ("a",)),
        ("a.length()", True, ("a",)),
        ("$", True, ()),
    ],
)
def test_a_path_knows_whether_it_is_definite_and_how_it_begins(path: str, is_definite: bool, keys: tuple[str, ...]) -> None:
    compiled = compile_path(path)
    assert (compiled.is_definite, compiled.keys) == (is_definite, keys)


def test_a_path_knows_what_else_it_reads_from_the_document() -> None:
    path = compile_path("a[?(@.b > $.c.d && @.e[?(@.f == $.g)])].concat($.h)")
    assert [inner.keys for inner in path.references] == [("c", "d"), ("g",), ("h",)]


def test_the_rest_of_a_path_reads_the_same_from_further_inside() -> None:
    path = compile_path("items[?(@.p > $.i)].id")
    assert path.after(1).read(DOCUMENT["items"], DOCUMENT) == path.read(DOCUMENT) == [2, 3]


@pytest.mark.parametrize(
    "path",
    ["a" + "[0,0]" * 40, "a" + "[*]" * 40, "a..x", "a..*..*..*", "a..[?(@..x)]", "a[?(@ == $.b)]", "concat($.a, $.b)"],
)
def test_a_path_that_would_visit_too_much_is_stopped(path: str) -> None:
    one, other = twice(40), twice(40)  # 2**40 values in 40 lists
    with pytest.raises(PayloadTooLarge):
        read(path, {"a": [one], "b": other})


def test_a_budget_is_shared_by_the_paths_that_are_paid_from_it() -> None:
    budget = Budget(100)
    compile_path("nums[*]").read(DOCUMENT, None, budget)
    assert budget.left < 100


def test_a_document_may_be_deeper_than_python_recurses() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = {"a": [deep]}
    assert len(read("a..a", deep)) == 19_999
    assert java_text(deep, Budget()).startswith("{a=[{a=[")
    assert read("$[?(@ == $[0])].length()", [deep, 1]) == [1]


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_reading_changes_nothing(document: Any) -> None:
    before = repr(document)
    for path in ("a.append(1)", "$..a", "$[?(@.a)]", "a[0:1]", "$['a','b']", "a.keys()"):
        read(path, document)
    assert repr(document) == before
