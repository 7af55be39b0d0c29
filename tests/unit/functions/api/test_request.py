"""The request as routes see it: namespace, names in paths, query, body."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.functions.api.caller import event

from batuta_core.model.error import InvalidInput, PayloadTooLarge
from batuta_server.api.request import (
    BODY_DEPTH_MAX,
    BODY_MAX_BYTES,
    Request,
    current,
    empty_response,
    enter,
    json_response,
    name_of,
    parse_json,
    text_response,
    version_of,
)


def request_of(path: str = "/", body: str | None = None, **more: Any) -> Request:
    enter(event("GET", path, body, **more))
    return current()


# --- names in paths


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("plain", "plain"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("a%3Fb", "a?b"),
        ("a%3fb", "a?b"),
        ("50%25", "50%"),
        ("a%252Fb", "a%2Fb"),  # decoded once, not until nothing is left
        ("50%", "50%"),
        ("a%20b", "a%20b"),  # only what the gateway cannot hand over is encoded twice
        ("%23", "%23"),
    ],
)
def test_slash_question_mark_and_per_cent_are_decoded_once_more(segment: str, name: str) -> None:
    assert name_of(segment) == name


@pytest.mark.parametrize("missing", [{}, {"rawPath": ""}, {"rawPath": None}])
def test_event_without_a_path_is_for_the_root(missing: dict[str, Any]) -> None:
    assert enter(missing) == "/"


# --- namespaces


@pytest.mark.parametrize(
    ("path", "headers", "namespace", "rest"),
    [
        ("/api/x", {}, "default", "/api/x"),
        ("/api/x", {"X-Batuta-Namespace": "shop"}, "shop", "/api/x"),
        ("/api/x", {"x-batuta-namespace": "shop"}, "shop", "/api/x"),
        ("/api/x", {"X-BATUTA-NAMESPACE": ""}, "default", "/api/x"),
        ("/ns/shop/api/x", {}, "shop", "/api/x"),
        ("/ns/shop/api/x", {"X-Batuta-Namespace": "other"}, "shop", "/api/x"),
        ("/ns/shop/api/x", {"X-Batuta-Namespace": "NOT ONE"}, "shop", "/api/x"),
        ("/ns/shop", {}, "shop", "/"),
        ("/ns/shop/", {}, "shop", "/"),
        ("/ns/shop/ns/other/api", {}, "shop", "/ns/other/api"),
        ("/ns/shop/api/a%0Ab", {}, "shop", "/api/a\nb"),
        ("/ns", {}, "default", "/ns"),
        ("/nsx/shop", {}, "default", "/nsx/shop"),
        ("/api/ns/shop", {}, "default", "/api/ns/shop"),
    ],
)
def test_namespace_comes_from_the_path_else_the_header_else_it_is_the_default(
    path: str, headers: dict[str, str], namespace: str, rest: str
) -> None:
    assert enter(event("GET", path, headers=headers)) == rest
    assert current().namespace == namespace


@pytest.mark.parametrize("namespace", ["", "Shop", "a b", "-a", "a-", "a" * 33, "ä", "a\n"])
def test_namespace_in_the_path_that_cannot_be_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidInput, match="is not a namespace"):
        enter(event("GET", f"/ns/{quote(namespace)}/api/x"))


@pytest.mark.parametrize("namespace", ["Shop", " ", "a/b", "a\n"])
def test_namespace_in_the_header_that_cannot_be_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidInput, match="is not a namespace"):
        enter(event("GET", "/api/x", headers={"X-Batuta-Namespace": namespace}))


# --- the query


def test_query_values_are_decoded_and_the_first_that_is_not_empty_counts() -> None:
    request = request_of("/?a=&a=x+y&a=z&b=%C3%A4%26%3D&c")
    assert (request.text("a"), request.text("b"), request.text("c"), request.text("d")) == ("x y", "ä&=", "", "")
    assert (request.text("c", "default"), request.text("d", "default")) == ("default", "default")
    assert request.texts("a") == ["x y", "z"]
    assert request.texts("d") == []


def test_query_that_is_no_utf8_is_read_all_the_same() -> None:
    assert request_of("/?a=%FF").text("a") == "\ufffd"


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("TRUE", True), ("false", False), ("False", False), ("", None)])
def test_flags(text: str, expected: bool | None) -> None:
    request = request_of(f"/?f={text}")
    assert request.flag("f") is bool(expected)
    assert request.flag("f", default=True) is (True if expected is None else expected)


@pytest.mark.parametrize("text", ["yes", "1", "0", "truee", "null"])
def test_flag_that_is_neither_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="The query parameter f is") as refused:
        request_of(f"/?f={text}").flag("f")
    assert [(problem.path, problem.invalid_value) for problem in refused.value.problems] == [("f", text)]


@pytest.mark.parametrize(("text", "expected"), [("", 7), ("0", 0), ("-3", -3), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_numbers(text: str, expected: int) -> None:
    request = request_of(f"/?n={text}")
    assert request.number("n", 7) == expected
    assert request.optional_number("n") == (None if text == "" else expected)


@pytest.mark.parametrize("text", ["one", "1.5", "1e3", "+", "--1", "0x1", "9" * 19, "9" * 5000, "%C2%B2", "1%202", "1%0A"])
def test_number_that_is_none_is_named(text: str) -> None:
    request = request_of(f"/?n={text}")
    with pytest.raises(InvalidInput, match="The query parameter n is") as refused:
        request.number("n", 7)
    assert len(refused.value.message) < 200
    with pytest.raises(InvalidInput):
        request.optional_number("n")


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("0", 0), ("-1", -1), ("2147483647", 2147483647)])
def test_versions_in_paths(text: str, number: int) -> None:
    assert version_of(text) == number


@pytest.mark.parametrize("text", ["", "-", "--1", "1-", "one", "1.0", "²", "٣", "1\n", "9" * 11, "9" * 5000])
def test_version_in_a_path_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a version: it must be a whole number"):
        version_of(text)


# --- the body


def test_body_comes_as_text_or_as_base64() -> None:
    text = '{"a": "ü😀"}'
    encoded = base64.b64encode(text.encode()).decode()
    assert request_of("/", text).raw_body == request_of("/", encoded, isBase64Encoded=True).raw_body == text
    assert request_of("/", None).raw_body == ""


@pytest.mark.parametrize("body", ["@@@", "YQ", "ü", base64.b64encode(b"\xff\xfe").decode(), base64.b64encode(b"\xed\xa0\x80").decode()])
def test_body_in_base64_that_is_no_text_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        request_of("/", body, isBase64Encoded=True)


@pytest.mark.parametrize("character", ["x", "ü", "漢", "😀"])
@pytest.mark.parametrize("is_base64", [False, True])
def test_body_may_have_six_megabytes_and_no_byte_more(character: str, is_base64: bool) -> None:
    size = len(character.encode())
    most = character * (BODY_MAX_BYTES // size) + "x" * (BODY_MAX_BYTES % size)

    def sent(text: str) -> str:
        return base64.b64encode(text.encode()).decode() if is_base64 else text

    assert request_of("/", sent(most), isBase64Encoded=is_base64).raw_body == most
    with pytest.raises(PayloadTooLarge) as refused:
        request_of("/", sent(most + "x"), isBase64Encoded=is_base64)
    assert refused.value.facts["size_bytes"] == BODY_MAX_BYTES + 1


MALFORMED = [
    "",
    "  \n",
    "{",
    "nonsense",
    "{'a': 1}",
    '{"a": 1,}',
    '{"a": 1} {"b": 2}',
    "\ufeff{}",
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": -Infinity}',
    '{"a": 1e999}',
    '{"a": -1e999}',
    '{"a": 1%s.0}' % ("0" * 400),
    '{"a": %s}' % ("9" * 5000),
    '"\n"',
    '"\\x"',
    '{"a": 01}',
    "undefined",
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: ascii(text)[:30])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"The body is not JSON|The request has no body"):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ['{"a": 1.7976931348623157e308}', "[1e-999, -0.0, 1e5]", "null", '"\\ud800"', '{"a":1,"a":2}', "12345678901234567890"]
)
def test_what_is_json_is_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_body_may_be_nested_so_deep_and_no_deeper(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return opening * depth + "1" + closing * depth

    assert parse_json(nested(BODY_DEPTH_MAX)) is not None
    for depth in (BODY_DEPTH_MAX + 1, 900, 200_000):
        with pytest.raises(InvalidInput, match="nested"):
            parse_json(nested(depth))


# --- answers


def test_answers_are_compact_json_in_utf8() -> None:
    answer = json_response({"a": [1, "ü"]}, 418)
    assert (answer.status, answer.headers, answer.body) == (418, {"Content-Type": "application/json"}, '{"a":[1,"ü"]}')


def test_half_a_character_is_answered_escaped() -> None:
    answer = json_response({"a": "ü\ud800"})
    answer.body.encode()
    assert json.loads(answer.body) == {"a": "ü\ud800"}


def test_ids_are_answered_bare_and_nothing_as_nothing() -> None:
    bare, nothing = text_response("id"), empty_response(204)
    assert (bare.status, bare.headers, bare.body) == (200, {"Content-Type": "text/plain;charset=UTF-8"}, "id")
    assert (nothing.status, nothing.headers, nothing.body) == (204, {}, "")
