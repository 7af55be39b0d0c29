"""HTTP in front of the function: requests become events as the gateway makes them, answers become answers."""

from __future__ import annotations

import base64
import gc
import json
import threading
import warnings
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from batuta_server.local.front import close_front, make_front

Reply = tuple[int, bytes, dict[str, str]]


class Front:
    """A front on a port of this machine; ``answer`` is what the function behind it gives."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"statusCode": 200, "body": "fine"}
        self.events: list[dict[str, Any]] = []
        self._front = make_front(self._function, 0)
        self.host, self.port = self._front.effective_host, int(self._front.effective_port)
        self._thread = threading.Thread(target=self._front.run, daemon=True)
        self._thread.start()

    def _function(self, event: Any, context: Any) -> dict[str, Any]:
        self.events.append(event)
        return self.answer

    def __call__(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()}
        finally:
            connection.close()

    def close(self) -> None:
        close_front(self._front)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._front.task_dispatcher.shutdown()


@pytest.fixture(scope="module")
def running() -> Iterator[Front]:
    found = Front()
    yield found
    found.close()


@pytest.fixture
def front(running: Front) -> Front:
    running.events.clear()
    running.answer = {"statusCode": 200, "body": "fine"}
    return running


def test_it_ends_in_peace_when_another_thread_says_so() -> None:
    """A thread that ends with an error fails the test."""
    for _ in range(10):
        found = Front()
        assert found("GET", "/x")[0] == 200
        found.close()


def test_it_listens_on_loopback_only(front: Front) -> None:
    assert front.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/api/a?x=1&y=%20", "/api/a", "x=1&y=%20"),
        ("/api/a%20b", "/api/a b", ""),
        ("/api/%C3%A4%F0%9F%98%80", "/api/ä😀", ""),
        ("/api/a%2Fb", "/api/a/b", ""),
        ("/api/a%252Fb", "/api/a%2Fb", ""),
        ("/api/a%3Fb/c", "/api/a", ""),
        ("/api/a%23b+c", "/api/a#b+c", ""),
        ("/api/%FF", "/api/\ufffd", ""),
        ("/api/..%2F..", "/api/../..", ""),
        ("/", "/", ""),
    ],
)
def test_paths_are_decoded_once_as_the_gateway_does(front: Front, target: str, path: str, query: str) -> None:
    front("GET", target)
    (event,) = front.events
    assert (event["rawPath"], event["requestContext"]["http"]["path"], event["rawQueryString"]) == (path, path, query)


def test_events_have_what_the_function_reads(front: Front) -> None:
    front("PUT", "/x", b'{"a": "\xc3\xa4"}', Content_Type="application/json", X_Batuta_Namespace="shop")
    front("GET", "/x")
    put, get = front.events
    assert (put["version"], put["requestContext"]["stage"]) == ("2.0", "$default")
    assert put["requestContext"]["http"]["method"] == "PUT"
    assert (put["body"], put["isBase64Encoded"]) == ('{"a": "ä"}', False)
    assert (put["headers"]["content-type"], put["headers"]["x-batuta-namespace"]) == ("application/json", "shop")
    assert (get["body"], get["isBase64Encoded"]) == ("", False)
    assert put["requestContext"]["requestId"] != get["requestContext"]["requestId"]
    json.dumps(put)


def test_a_body_that_is_no_text_comes_as_base64(front: Front) -> None:
    front("POST", "/x", b"\xff\x00{")
    assert front.events[0]["isBase64Encoded"]
    assert base64.b64decode(front.events[0]["body"]) == b"\xff\x00{"


@pytest.mark.parametrize("status", [200, 400, 404, 413, 500, 503])
def test_answers_pass_with_status_headers_and_length(front: Front, status: int) -> None:
    front.answer = {
        "statusCode": status,
        "body": "ü",
        "headers": {"Content-Type": "text/plain", "Allow": "GET"},
        "multiValueHeaders": {"X-Y": ["1"]},
    }
    found, body, headers = front("GET", "/x")
    assert (found, body.decode(), headers["content-length"]) == (status, "ü", "2")
    assert (headers["content-type"], headers["allow"], headers["x-y"]) == ("text/plain", "GET", "1")


@pytest.mark.parametrize("body", ["", None])
def test_an_answer_without_content_has_none(front: Front, body: str | None) -> None:
    front.answer = {"statusCode": 204, "body": body}
    status, found, headers = front("GET", "/x")
    assert (status, found) == (204, b"")
    assert "content-length" not in headers
    front.answer = {"statusCode": 200, "body": body}
    assert front("GET", "/x")[2]["content-length"] == "0"


def test_a_taken_port_is_an_error_at_once(front: Front) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of what waitress had opened by then; the process ends over it
        with pytest.raises(OSError, match="in use"):
            make_front(lambda event, context: {}, front.port)
        gc.collect()
