"""What an HTTP task's input asks for."""

from __future__ import annotations

from typing import Any

import pytest

from batuta_server.http.request import METHODS, NO_METHOD, NO_URI, BadRequest, parse_url, request_of


def asked(**fields: Any) -> Any:
    return request_of({"asyncComplete": False, "http_request": {"uri": "http://h/x", "method": "GET", **fields}})


def test_what_is_not_said_has_conductors_defaults() -> None:
    request = asked()
    assert request.headers == {"Accept": "application/json", "Content-Type": "application/json"}
    assert (request.method, request.body, request.connect_timeout_s, request.read_timeout_s) == ("GET", None, 3.0, 3.0)


def test_it_may_stand_at_the_top_of_the_input() -> None:
    assert request_of({"uri": "http://h/x", "method": "PUT", "asyncComplete": False}).method == "PUT"


@pytest.mark.parametrize("method", [*METHODS, "get", "Patch"])
def test_all_verbs(method: str) -> None:
    assert asked(method=method).method == method.upper()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"method": "GET"}, NO_URI),
        ({"uri": None, "method": "GET"}, NO_URI),
        ({}, NO_URI),
        ({"uri": "http://h"}, NO_METHOD),
        ({"uri": "http://h", "method": "CONNECT"}, "Unknown HTTP method CONNECT"),
        ({"uri": "http://h", "method": "GET / HTTP/1.1\r\nX: y"}, "Unknown HTTP method"),
        ({"uri": "ftp://h/x", "method": "GET"}, "must begin with http"),
        ({"uri": "file:///etc/passwd", "method": "GET"}, "must begin with http"),
        ({"uri": "gopher://h:70/_x", "method": "GET"}, "must begin with http"),
        ({"uri": "//h/x", "method": "GET"}, "must begin with http"),
        ({"uri": "http:///x", "method": "GET"}, "name a host"),
        ({"uri": "http://h:99999/", "method": "GET"}, "cannot be read"),
        ({"uri": "http://[::1", "method": "GET"}, "cannot be read"),
        ({"uri": "http://[fe80::1%25eth0]/", "method": "GET"}, "no host"),
        ({"uri": "http://a b/", "method": "GET"}, "no host"),
        ({"uri": "http://h\\x/", "method": "GET"}, "no host"),
        ({"uri": "http://h/\r\nX: y", "method": "GET"}, "control characters"),
        ({"uri": "http://h/" + "x" * 20_000, "method": "GET"}, "too long"),
        ({"uri": "http://h", "method": "GET", "headers": {"X": "a\r\nY: b"}}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "headers": {"X: y\r\n": "a"}}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "headers": "X: y"}, "must be an object"),
        ({"uri": "http://h", "method": "GET", "headers": {"X": "a\r\n Y: b"}}, "cannot be sent"),  # once a header that goes on
        ({"uri": "http://h", "method": "GET", "headers": {"X": ["a", "\x01"]}}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "headers": {"": "a"}}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "contentType": "a\r\n Y: b"}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "contentType": "a\r\nY: b"}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "accept": ["a", "b\n\tY: b"]}, "cannot be sent"),
        ({"uri": "http://h", "method": "GET", "accept": "a\x7f"}, "cannot be sent"),
    ],
)
def test_what_cannot_be_asked_has_a_reason(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        request_of({"http_request": given})
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://me:secret@h/x?token=secret", "h/x?token=secret", "http:secret", "http://me:secret/x@h/", "http://h:secret/", "http://me:secret@[::1/",
        "http://me:secret@a b/?x=secret", "http://me@secret:99999/", "http://me:secret@/", "http://me:secret@[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_a_reason_quotes_nothing_of_a_uri_that_may_be_a_secret(uri: str) -> None:
    with pytest.raises(BadRequest) as caught:
        request_of({"uri": uri, "method": "GET"})
    assert "secret" not in str(caught.value)


def test_a_request_that_is_no_object() -> None:
    with pytest.raises(BadRequest, match="must be an object"):
        request_of({"http_request": "http://h"})


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("http://h", "/"),
        ("http://h?x=1", "/?x=1"),
        ("http://h/a b/é?q=a b&r=x+y#part", "/a%20b/%C3%A9?q=a%20b&r=x+y"),
        ("http://h/raw?body=%5B1%5D", "/raw?body=%255B1%255D"),  # recorded: what is encoded already is encoded once more
        ("http://h/?a=b=c&d&=e", "/?a=b%3Dc&d&=e"),
        ("http://h/{x}|<y>", "/%7Bx%7D%7C%3Cy%3E"),
    ],
)
def test_a_uri_is_encoded_as_conductor_does_it(uri: str, target: str) -> None:
    assert parse_url(uri).target == target


def test_where_a_server_redirects_is_encoded_already() -> None:
    assert parse_url("http://h/a%20b é?c=%26&d=e=f", is_encoded=True).target == "/a%20b%20%C3%A9?c=%26&d=e=f"


@pytest.mark.parametrize(
    ("uri", "host", "port", "shown"),
    [
        ("https://Example.COM/x?token=secret", "example.com", 443, "https://example.com/x"),
        ("http://me:secret@h:8080/x", "h", 8080, "http://h:8080/x"),
        ("http://[2600::1]:81/", "2600::1", 81, "http://[2600::1]:81/"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "http://xn--bcher-kva.example/"),
    ],
)
def test_hosts_and_what_messages_show_of_a_uri(uri: str, host: str, port: int, shown: str) -> None:
    url = parse_url(uri)
    assert (url.host, url.port, url.shown) == (host, port, shown)


def test_headers_of_the_task_come_over_ours() -> None:
    headers = asked(headers={"accept": "text/csv", "X-A": 1, "X-B": True, "X-C": None, "X-D": ["a", "b"], "Content-Length": "7"}).headers
    assert headers == {"Content-Type": "application/json", "accept": "text/csv", "X-A": "1", "X-B": "true", "X-D": "a, b"}


def test_what_would_break_the_framing_is_left_out() -> None:
    given = {"Transfer-Encoding": "chunked", "connection": "keep-alive", "Expect": "100-continue", "Upgrade": "h2c", "TE": "trailers"}
    assert set(asked(headers=given).headers) == {"Accept", "Content-Type"}


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"body": {"a": [1, "é"]}}, '{"a":[1,"é"]}'),
        ({"body": [1]}, "[1]"),
        ({"body": 0}, "0"),
        ({"body": False}, "false"),
        ({"body": "as it is {"}, "as it is {"),
        ({"body": "", "contentType": "text/plain"}, ""),
        ({"body": {"a": "x y", "b": [1, 2], "c": None}, "contentType": "application/x-www-form-urlencoded"}, "a=x+y&b=1&b=2&c="),
        ({"body": "a=1", "contentType": "application/x-www-form-urlencoded"}, "a=1"),
    ],
)
def test_bodies(fields: dict[str, Any], body: str) -> None:
    assert asked(method="POST", **fields).body == body.encode()


def test_accept_and_content_type() -> None:
    assert asked(accept=["text/csv", "text/plain"], contentType="text/xml").headers == {
        "Accept": "text/csv, text/plain",
        "Content-Type": "text/xml",
    }
    assert asked(accept=[]).headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("ms", "seconds"),
    [
        (100, 0.1),
        ("250", 0.25),
        (None, 3),
        ("soon", 3),
        (0, 60),
        (-1, 60),
        (10**12, 60),
        (10**400, 60),
        ("inf", 60),
        ("nan", 60),
        (True, 3),
    ],
)
def test_nobody_waits_longer_than_a_minute(ms: Any, seconds: float) -> None:
    assert asked(readTimeOut=ms).read_timeout_s == seconds
    assert asked(connectionTimeOut=ms).connect_timeout_s == min(seconds, 10)
