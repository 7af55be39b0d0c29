"""One request: where it may go, how long it takes, how much of the answer is read."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.http.target import HERE, Asked, Target, answer, to

from batuta_server.http import call
from batuta_server.http.call import BODY_MAX_BYTES, REDIRECTS_MAX, Answer, CallFailed, perform
from batuta_server.http.egress import Egress
from batuta_server.http.request import request_of


def get(url: str, egress: Egress = HERE, max_s: float = 10.0, **fields: Any) -> Answer:
    return perform(request_of({"uri": url, "method": "GET", "readTimeOut": 2000, **fields}), egress, max_s)


def refused(url: str, egress: Egress = HERE, max_s: float = 10.0, **fields: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        get(url, egress, max_s, **fields)
    return caught.value


class Names:
    """A resolver: the addresses of a name, another set at each question; the last goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self.questions: list[str] = []
        self._names = {name.replace("_", "."): iter(answers) for name, answers in names.items()}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look)

    def _look(self, host: str, port: int, **options: Any) -> Any:
        self.questions.append(host)
        if host not in self._names:
            return self._real(host, port, **options)
        return [item for address in next(self._names[host]) for item in self._real(address, port, **options)]


# --- where it may go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST", "127.1", "2130706433", "0x7f000001", "0x7F.1", "017700000001", "0177.0.0.1", "0", "0.0.0.0",
        "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u24dbocalhost",  # full width, ideographic stops, a letter in a circle
        "me:8.8.8.8@127.0.0.1", "8.8.8.8:80@127.0.0.1", "8.8.8.8\\@127.0.0.1",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[::ffff:0:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "[fd00:ec2::254]", "[fe80::1]", "169.254.169.254", "169.254.170.2", "10.0.0.1", "2852039166",
    ],
)  # fmt: skip
def test_nothing_that_is_not_public_is_called(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was made"))
    error = refused(f"http://{host}:8080/latest/meta-data?x=secret", Egress())
    assert error.is_final
    assert "may not call" in str(error)
    assert "secret" not in str(error)


def test_a_name_that_stands_for_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, inner_example=[["10.0.0.5"]])
    assert refused("http://inner.example/").is_final


def test_of_several_addresses_only_those_that_may_be_called_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with Target(answer(b"private"), "127.0.0.2") as private:
        Names(monkeypatch, mixed_example=[["127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
        assert refused(f"http://mixed.example:{private.port}/").is_final
        assert "Connection refused" in str(refused(f"http://mixed.example:{private.port}/"))  # nobody listens at the other one
        assert not private.asked


def test_a_name_is_resolved_once_and_the_judged_address_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer would be the private address."""
    with Target(answer(b"public")) as target, Target(answer(b"private"), "127.0.0.2"):
        names = Names(monkeypatch, turns_example=[["127.0.0.1"], ["127.0.0.2"]])
        found = get(f"http://turns.example:{target.port}/x")
        assert (found.body, names.questions) == (b"public", ["turns.example"])
        assert target.asked[0].headers["host"] == f"turns.example:{target.port}"


def test_a_broken_connection_is_not_made_anew_behind_our_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with Target(b"") as target:
        names = Names(monkeypatch, turns_example=[["127.0.0.1"], ["127.0.0.2"]])
        assert "I/O error on GET request" in str(refused(f"http://turns.example:{target.port}/x"))
        assert len(names.questions) == 1


@pytest.mark.parametrize(
    "where", ["http://127.0.0.2:{port}/", "http://[::1]:{port}/", "http://10.0.0.1/", "//169.254.169.254/", "http://inner.example/"]
)
def test_a_redirect_is_judged_like_the_request(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, inner_example=[["192.168.1.1"]])
    with Target(answer(b"private"), "127.0.0.2") as private, Target(to(where.format(port=private.port))) as target:
        error = refused(target.url)
        assert error.is_final
        assert "may not call" in str(error)
        assert not private.asked


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/x", "http://a b/"])
def test_a_redirect_leads_to_http_only(where: str) -> None:
    with Target(to(where)) as target:
        assert refused(target.url).is_final


def test_https_says_the_name_and_not_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, shop_example=[["127.0.0.1"]])
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            sock, _ = listener.accept()
            heard.append(sock.recv(4096))
            sock.close()

        thread = threading.Thread(target=listen)
        thread.start()
        error = refused(f"https://shop.example:{listener.getsockname()[1]}/")
        thread.join(5)
    assert b"shop.example" in heard[0]  # the ClientHello's server name
    assert "I/O error on GET request" in str(error)


# --- redirects


def test_redirects_are_followed_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(asked: Asked) -> bytes:
        left = int(asked.line.split("/")[1].split(" ")[0])
        return to(f"/{left - 1}") if left else answer(b"there")

    with Target(says) as target:
        assert get(f"{target.url}/{REDIRECTS_MAX}").body == b"there"
        assert "Maximum redirects" in str(refused(f"{target.url}/{REDIRECTS_MAX + 1}"))


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        ("301 Moved", "POST", "GET", b""),
        ("302 Found", "POST", "GET", b""),
        ("303 See Other", "PUT", "GET", b""),
        ("303 See Other", "HEAD", "HEAD", b""),
        ("307 Temporary", "POST", "POST", b"hello"),
        ("308 Permanent", "PUT", "PUT", b"hello"),
        ("302 Found", "PUT", "PUT", b"hello"),
    ],
)
def test_what_a_redirect_asks_for(status: str, method: str, then: str, body: bytes) -> None:
    with Target(lambda asked: to("/b?c=%20", status) if " /a " in asked.line else answer()) as target:
        given = {"body": "hello"} if method != "HEAD" else {}
        assert perform(request_of({"uri": f"{target.url}/a", "method": method, **given}), HERE).method == then
        assert (target.asked[1].line, target.asked[1].body) == (f"{then} /b?c=%20 HTTP/1.1", body)


def test_secrets_are_not_for_another_server() -> None:
    headers = {"Authorization": "Bearer x", "Cookie": "y", "Host": "z.example", "X-Kept": "1"}
    with Target(answer()) as other, Target(to(other.url)) as target:
        get(target.url, headers=headers)
        assert target.asked[0].headers["authorization"] == "Bearer x"
        assert {"authorization", "cookie"} & set(other.asked[0].headers) == set()
        assert (other.asked[0].headers["host"], other.asked[0].headers["x-kept"]) == (f"127.0.0.1:{other.port}", "1")


def test_secrets_that_stayed_behind_do_not_come_back() -> None:
    """From one server to another and back to the first, which could not know who sent it there."""

    def says(asked: Asked) -> bytes:
        return answer() if " /back " in asked.line else to(f"{other.url}/")

    with Target(says) as target, Target(lambda _: to(f"{target.url}/back")) as other:
        get(target.url, headers={"aUTHORIZATION": "Bearer x", "Proxy-Authorization": "y"})
        assert [bool({"authorization", "proxy-authorization"} & set(asked.headers)) for asked in target.asked] == [True, False]


@pytest.mark.parametrize("name", ["location", "LOCATION", "LocatioN"])
def test_where_it_leads_may_be_spelled_in_any_way(name: str) -> None:
    with Target(lambda asked: answer(b"there") if "/b" in asked.line else answer(b"", "302 Found", f"{name}: /b")) as target:
        assert get(target.url).body == b"there"


def test_what_stands_before_an_at_sign_is_sent_to_nobody() -> None:
    """Conductor's client ignores it, too; and a redirect may not hand out what it invents."""
    with Target(lambda asked: answer() if "/b" in asked.line else to(f"http://you:other@127.0.0.1:{target.port}/b")) as target:
        get(target.url.replace("://", "://me:secret@"))
        assert [(set(asked.headers) & {"authorization"}, "secret" in str(asked), "other" in str(asked)) for asked in target.asked] == [
            (set(), False, False)
        ] * 2


def test_a_redirect_to_nowhere_is_an_answer() -> None:
    with Target(answer(b"", "302 Found")) as target:
        assert get(target.url).status == 302


# --- time


def silence() -> Iterator[bytes]:
    time.sleep(5)
    yield b""


def drops(head: bytes, pause_s: float = 0.02) -> Iterator[bytes]:
    yield head
    while True:
        time.sleep(pause_s)
        yield b"x"


def test_a_silent_server_is_not_waited_for() -> None:
    with Target(lambda _: silence()) as target:
        began = time.monotonic()
        assert "Read timed out" in str(refused(target.url, readTimeOut=100))
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"],
)
def test_a_server_that_says_a_byte_now_and_then_is_cut_off(head: bytes) -> None:
    with Target(lambda _: drops(head)) as target:
        began = time.monotonic()
        assert "Read timed out" in str(refused(target.url, max_s=0.3))
        assert time.monotonic() - began < 2


def test_endless_intermediate_answers_are_cut_off() -> None:
    with Target(lambda _: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)) as target:
        assert "Read timed out" in str(refused(target.url, max_s=0.3))


def test_a_silent_tls_handshake_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = refused(f"https://127.0.0.1:{listener.getsockname()[1]}/", connectionTimeOut=100)
    assert "timed out" in str(error)


def test_time_that_ends_while_tls_takes_over_the_socket_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog breaks the socket that it knows, which stands for nothing by then; nobody would watch the new one."""
    went_on: list[bool] = []

    class Slow(ssl.SSLContext):
        def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
            wrapped = super().wrap_socket(sock, **options)
            wrapped.do_handshake = lambda: went_on.append(True)  # type: ignore[assignment]
            time.sleep(0.3)
            return wrapped

    monkeypatch.setattr(call, "_context", [Slow(ssl.PROTOCOL_TLS_CLIENT)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = refused(f"https://127.0.0.1:{listener.getsockname()[1]}/", max_s=0.1)
    assert "timed out" in str(error)
    assert not went_on


def test_a_slow_resolver_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: is_over.wait(5))
    assert "not resolved in time" in str(refused("http://slow.example/", connectionTimeOut=50))
    is_over.set()


def test_redirects_share_the_time_of_the_call() -> None:
    def says(_: Asked) -> Iterator[bytes]:
        time.sleep(0.15)
        yield to("/again")

    with Target(says) as target:
        began = time.monotonic()
        refused(target.url, max_s=0.3)
        assert time.monotonic() - began < 0.6


# --- size


def chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


@pytest.mark.parametrize(
    "says",
    [
        lambda _: chunks(),
        lambda _: itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(b"x" * 65536)),
        lambda _: itertools.chain([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"], itertools.repeat(b"x" * 65536)),
    ],
    ids=["chunks", "until closed", "length"],
)
def test_an_endless_body_is_read_no_further_than_its_bound(says: Any) -> None:
    with Target(says) as target:
        assert len(get(target.url).body) == BODY_MAX_BYTES + 1


def test_a_bomb_is_not_blown_up_beyond_the_bound() -> None:
    packed = zlib.compressobj(9, wbits=31)
    bomb = packed.compress(b"0" * 50_000_000) + packed.flush()
    with Target(answer(bomb, "200 OK", "Content-Encoding: gzip")) as target:
        assert len(get(target.url).body) == BODY_MAX_BYTES + 1


def test_what_is_compressed_is_read_and_what_only_says_so_is_not() -> None:
    with Target(answer(zlib.compress(b"hello"), "200 OK", "Content-Encoding: deflate")) as target:
        assert get(target.url).body == b"hello"
    with Target(answer(b"hello", "200 OK", "Content-Encoding: gzip")) as target:
        assert "not what it says" in str(refused(target.url))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["a long one", "many", "status"],
)
def test_huge_heads_are_refused(head: bytes) -> None:
    with Target(head) as target:
        assert "I/O error on GET request" in str(refused(target.url))


# --- what is no answer


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_half_an_answer_is_none(says: bytes) -> None:
    with Target(says) as target:
        error = refused(f"{target.url}/x?y=secret")
        assert str(error).startswith(f'I/O error on GET request for "{target.url}/x": ')
        assert not error.is_final


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    expected = f'I/O error on GET request for "http://127.0.0.1:{port}/x": Connect to http://127.0.0.1:{port} failed: Connection refused'
    assert str(refused(f"http://127.0.0.1:{port}/x")) == expected


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    assert str(refused("http://no.example/")).endswith("no.example: Name or service not known")


# --- what is sent


def test_what_is_sent() -> None:
    with Target(answer()) as target:
        get(f"{target.url}/a?b=c", headers={"X-É".encode().decode("latin-1")[:2]: "1", "X-Text": "é"})
        (asked,) = target.asked
    assert asked.line == "GET /a?b=c HTTP/1.1"
    assert asked.headers["host"] == f"127.0.0.1:{target.port}"
    assert asked.headers["connection"] == "close"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["x-text"].encode("latin-1").decode() == "é"
    assert "content-length" not in asked.headers


@pytest.mark.parametrize(
    ("method", "length"), [("POST", "0"), ("PUT", "0"), ("PATCH", "0"), ("DELETE", None), ("OPTIONS", None), ("HEAD", None)]
)
def test_verbs_without_a_body(method: str, length: str | None) -> None:
    with Target(answer()) as target:
        request = replace(request_of({"uri": target.url, "method": method}), read_timeout_s=2)
        assert perform(request, HERE).status == 200
        assert target.asked[0].headers.get("content-length") == length


def test_head_has_headers_and_no_body() -> None:
    with Target(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nX-A: 1\r\nx-a: 2\r\n\r\n") as target:
        found = get(target.url, method="HEAD")
    assert (found.body, found.headers) == (b"", {"Content-Length": ["500"], "X-A": ["1", "2"]})
