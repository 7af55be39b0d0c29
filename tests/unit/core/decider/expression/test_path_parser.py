"""Paths that are refused, and that no text hangs or crashes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.decider.expression.documents import JSON, read

from batuta_core.decider.expression.cursor import InvalidPath
from batuta_core.decider.expression.filter_parser import MAX_NESTING
from batuta_core.decider.expression.path_parser import MAX_PATH_CHARS, compile_path

RECORDED_AS_INVALID = [
    "",
    "$.",
    "a.",
    "a..",
    "..a",
    "$a",
    " a",
    "a b",
    "a. b",
    "a[b]",
    "a[?]",
    "a[?(]",
    "a[?(@.x]",
    "a[?(@.x)",
    "a[?()]",
    "a[?(@.x ==)]",
    "a[?(@.x == y)]",
    "a[?(@.x = 1)]",
    "a[?(1)]",
    "a[?(@.x == 'y)]",
    "a[?(@.x == [1)]",
    "a['b",
    "a['b'",
    "a['b',]",
    "a['b' 'c']",
    "a[1",
    "a[1,]",
    "a[,1]",
    "a[1 2]",
    "a[:]",
    "a[::2]",
    "a[0:1,2]",
    "a[2147483648]",
    "a[--1]",
    "a[*",
    "a[* 1]",
    "a[0] .b",
    "a.f(",
    "a.f($.b",
    "a[(@.length-1)]",
    "a[?(@.x && )]",
    "a...b",
]


@pytest.mark.parametrize("path", RECORDED_AS_INVALID)
def test_what_jayway_refuses_is_refused(path: str) -> None:
    with pytest.raises(InvalidPath):
        compile_path(path)


@pytest.mark.parametrize("literal", ['{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_literals_that_are_no_json_are_refused(literal: str) -> None:
    with pytest.raises(InvalidPath, match="no JSON"):
        compile_path(f"l.append({literal})")


def test_regular_expressions_are_refused_by_name() -> None:
    with pytest.raises(InvalidPath, match="regular expressions"):
        compile_path("items[?(@.t =~ /(a+)+b/i)]")


@pytest.mark.parametrize(
    "path",
    [
        "a[?(" + "(" * 1000 + "@.b" + ")" * 1000 + ")]",
        "a[?(" + "!" * 1000 + "@.b)]",
        "a" + "[?(@" * 600 + ")]" * 600,
        "a[?(@.b == " + "[" * 1500 + "]" * 1500 + ")]",
        "concat(" * 400 + ")" * 400,
        "concat(" + "$.concat(" * 400 + "1" + ")" * 401,
        "a" * (MAX_PATH_CHARS + 1),
    ],
)
def test_a_path_that_nests_too_deep_is_refused_or_read_but_never_crashes(path: str) -> None:
    with contextlib.suppress(InvalidPath):
        read(path)


def test_filters_may_nest_up_to_the_limit() -> None:
    def nested(levels: int) -> str:
        return "a" + "[?(@.b" * levels + ")]" * levels

    compile_path(nested(4))
    with pytest.raises(InvalidPath, match="nest deeper"):
        compile_path(nested(MAX_NESTING))


# fmt: off
PIECES = [
    "a", "b", "id", ".", "..", "[", "]", "(", ")", "?", "@", "$", "*", "'", '"', ",",
    ":", "-", "1", "0", "==", "&&", "||", "!", "<", "[?(", ")]", "['a']", "[0]", "[*]", "[0:1]", "@.a",
    "length()", "concat(", "in", "null", "true", "/", "=~", "\\", "{", "}", "é", " ",
]
# fmt: on


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=20), JSON)
def test_any_text_is_refused_as_a_path_or_read_without_an_error(text: str, document: Any) -> None:
    try:
        path = compile_path(text)
    except InvalidPath:
        return
    value = path.read(document)
    assert path.is_definite or value is None or isinstance(value, list)
