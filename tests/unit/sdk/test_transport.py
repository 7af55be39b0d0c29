"""Connections: kept, renewed when the other side closed them, never left in a broken state."""

from __future__ import annotations

import socket
import time

import pytest
from tests.unit.sdk.stub import Answer, Asked, StubServer

from batuta import NoAnswer, transport
from batuta.http import Request
from batuta.transport import HttpTransport

GET = Request("GET", "/x")


def test_a_connection_is_kept(stub: StubServer) -> None:
    stub.will(Answer(body=b"a"))
    http = HttpTransport(stub.url)
    assert [http.send(GET).body for _ in range(3)] == [b"a"] * 3
    assert stub.connections == 1
    http.close()


def test_a_request_under_way_when_all_is_closed_leaves_no_connection(stub: StubServer) -> None:
    http = HttpTransport(stub.url)

    def answer(_asked: Asked) -> Answer:
        http.close()
        return Answer(body=b"a")

    stub.answer = answer
    assert http.send(GET).body == b"a"
    assert http._idle == []


def test_a_connection_that_the_server_ends_is_not_used_again(stub: StubServer) -> None:
    stub.will(Answer(body=b"a", headers={"Connection": "close"}))
    http = HttpTransport(stub.url)
    assert [http.send(GET).status for _ in range(2)] == [200, 200]
    assert stub.connections == 2
    http.close()


def test_a_connection_that_was_closed_while_idle_is_noticed_before_it_is_used() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    http = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}")
    for _ in range(2):  # each connection serves one request and is then closed without a word
        answer_once(listener, http)
    http.close()
    listener.close()


def answer_once(listener: socket.socket, http: HttpTransport) -> None:
    import threading

    def serve() -> None:
        peer, _address = listener.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        time.sleep(0.005)  # so that the answer is read before the end arrives
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert http.send(GET).body == b"ok"
    thread.join()


def test_an_old_idle_connection_is_not_trusted(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.will(Answer())
    http = HttpTransport(stub.url)
    http.send(GET)
    monkeypatch.setattr(transport, "_IDLE_MAX_S", 0.0)
    http.send(GET)
    assert stub.connections == 2
    http.close()


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(NoAnswer, match=f"cannot connect to http://127.0.0.1:{port}"):
        HttpTransport(f"http://127.0.0.1:{port}").send(GET)


def test_a_connection_that_breaks_is_no_answer(stub: StubServer) -> None:
    stub.will(Answer(is_dropped=True))
    with pytest.raises(NoAnswer, match="no answer from"):
        HttpTransport(stub.url).send(GET)


def test_bodies_and_headers_go_along(stub: StubServer) -> None:
    stub.will(Answer(status=201, headers={"X-Thing": "a"}))
    http = HttpTransport(stub.url + "/base/", lambda request, url: {"Authorization": f"signed {request.method} {url}"})
    found = http.send(Request("POST", "/api/x", b'{"a": 1}'))
    assert (found.status, found.headers["x-thing"]) == (201, "a")
    asked = stub.asked[0]
    assert (asked.target, asked.body) == ("/base/api/x", {"a": 1})
    assert asked.headers["authorization"] == f"signed POST {stub.url}/base/api/x"
    http.close()


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "/api"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL of a server"):
        HttpTransport(url)


def test_https_checks_certificates() -> None:
    import ssl

    context = HttpTransport("https://127.0.0.1:1")._tls
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
