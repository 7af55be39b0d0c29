"""HTTP in front of the function: requests become events as the gateway makes them, answers become answers."""

from __future__ import annotations

import base64
import gc
import json
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from batuta_server.local import front as front_module
from batuta_server.local.front import Front as RealFront

Reply = tuple[int, bytes, dict[str, str]]


class Front:
    """A front on a port of this machine; ``answer`` is what the function behind it gives."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"statusCode": 200, "body": "fine"}
        self.events: list[dict[str, Any]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.front = RealFront(self._function, 0)
        self.port = self.front.port
        self._thread = threading.Thread(target=self.front.run, daemon=True)
        self._thread.start()

    def _function(self, event: Any, context: Any) -> dict[str, Any]:
        self.events.append(event)
        self.may_answer.wait(10)
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
        self.front.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def until(condition: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, "never came true"
        time.sleep(0.001)


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


def test_a_request_that_ends_while_it_closes_does_no_harm() -> None:
    """Its wake-up ends the loop before the one that ``close`` sends is written."""
    found = Front()
    pull = found.front._server.trigger._physical_pull

    def pull_twice() -> None:
        pull()
        time.sleep(0.05)
        pull()

    found.front._server.trigger._physical_pull = pull_twice
    found.close()


def test_a_second_close_does_nothing_more() -> None:
    found = Front()
    found.close()
    found.close()


def test_requests_in_hand_are_answered_before_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    found = Front()
    found.may_answer.clear()
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(found("GET", "/x")))
    asking.start()
    until(lambda: found.events)
    closing = threading.Thread(target=found.close)
    closing.start()
    until(lambda: not found.front._server.accepting)
    found.may_answer.set()
    for thread in (closing, asking):
        thread.join(10)
    assert [(status, body) for status, body, _headers in replies] == [(200, b"fine")]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_request_that_outlasts_the_close_is_cut_and_says_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "_LAST_REQUESTS_S", 0.05)
    found = Front()
    found.may_answer.clear()
    connection = HTTPConnection("127.0.0.1", found.port, timeout=10)
    connection.request("GET", "/x")
    until(lambda: found.events)
    found.close()
    with pytest.raises(OSError):
        connection.getresponse()
    connection.close()
    found.may_answer.set()
    until(lambda: not found.front._server.task_dispatcher.threads)
    found.front._server.trigger.close()  # was left to the process's end
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_it_listens_on_loopback_only(front: Front) -> None:
    assert front.front._server.effective_host == "127.0.0.1"


LOOPBACK = ["127.0.0.1", "127.0.0.1:8080", "localhost", "LocalHost:1", "shop.localhost:8080", "a.b.localhost", "[::1]", "[::1]:8080"]
FOREIGN = ["evil.example", "evil.example:8080", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_served_under_each_of_its_names(front: Front, host: str) -> None:
    assert front("GET", "/x", Host=host)[0] == 200
    assert front("POST", "/x", b"{}", Origin=f"http://{host}")[0] == 200
    assert front("POST", "/x", b"{}", Origin=f"https://{host}")[0] == 200


def refused(front: Front, reply: Reply) -> bool:
    status, body, headers = reply
    found = json.loads(body)
    assert (found["status"], found["code"], found["retryable"]) == (403, "foreign_request", False)
    assert found["remedy"]
    assert headers["content-type"] == "application/json"
    return status == 403 and not front.events


@pytest.mark.parametrize(
    "host", [*FOREIGN, "", "127.0.0.1:", "127.0.0.1:80:80", "localhost, evil.example", "127.0.0.1@evil.example", "::1"]
)
def test_another_host_name_is_refused(front: Front, host: str) -> None:
    """DNS rebinding: the browser believes that it talks to the page's own server, and says so."""
    assert refused(front, front("GET", "/x", Host=host))


@pytest.mark.parametrize("origin", [*(f"https://{host}" for host in FOREIGN), "null", "", "localhost", "http://localhost.evil.example/"])
def test_a_page_of_another_host_is_refused(front: Front, origin: str) -> None:
    assert refused(front, front("POST", "/x", b"{}", Origin=origin, Content_Type="text/plain"))


def test_a_client_that_names_no_host_is_served(front: Front) -> None:
    """No browser is so old; HTTP/1.0 may."""
    with socket.create_connection(("127.0.0.1", front.port), 10) as connection:
        connection.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.0 200")


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
            RealFront(lambda event, context: {}, front.port)
        gc.collect()
