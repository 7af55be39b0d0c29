"""One request and its answer, within bounds: of time, of size, of redirects, and of where it may go.

The name is resolved once, every address that it stands for is judged, and the connection goes to one that may be called; so a name
that means something else a moment later changes nothing. A redirect is judged like the request. ``readTimeOut`` bounds each wait for
a byte; a server that sends one byte at a time is cut off when the call's own time is over (``CALL_MAX_S``).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

from batuta_server.http.egress import Egress
from batuta_server.http.request import BadRequest, Request, Url, parse_url

CALL_MAX_S = 60.0  # all of it, redirects included
BODY_MAX_BYTES = 1024 * 1024  # more than any report may hold: what is beyond is not read
REDIRECTS_MAX = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ADDRESSES_MAX = 4  # of one name that are tried
_PHRASE_MAX_CHARS = 200  # behind the status; http.client takes 64 KB
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})  # not for another server than the one they were meant for
_TIMED_OUT = "Read timed out"

_context: list[ssl.SSLContext] = []  # made when the first https request comes: loading the certificates takes 10 ms and more


class CallFailed(Exception):
    """No answer. The text is Conductor's, where Conductor has one. ``is_final``: another try would end the same way."""

    def __init__(self, text: str, *, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Answer:
    method: str  # of the request that was answered: a redirect may have changed it
    url: Url
    status: int
    phrase: str
    headers: Mapping[str, list[str]]
    body: bytes  # at most BODY_MAX_BYTES + 1: longer than BODY_MAX_BYTES means that there was more


def perform(request: Request, egress: Egress, max_s: float = CALL_MAX_S) -> Answer:
    """Raises CallFailed."""
    end = time.monotonic() + max_s
    for _ in range(REDIRECTS_MAX + 1):
        answer = _exchange(request, egress, end)
        location = next((values for name, values in answer.headers.items() if name.lower() == "location"), None)
        if answer.status not in _REDIRECTS or not location:
            return answer
        request = _redirected(request, answer.status, location[0])
    raise CallFailed(_said(request, f"Maximum redirects ({REDIRECTS_MAX}) exceeded"))


def _redirected(request: Request, status: int, location: str) -> Request:
    """303, and 301 and 302 after a POST, ask for a GET (RFC 9110, as Conductor's client does it)."""
    try:
        url = parse_url(urljoin(request.url.shown, location), is_encoded=True)
    except (BadRequest, ValueError) as error:
        raise CallFailed(_said(request, f"redirected to where nothing can be: {error}"), is_final=True) from error
    headers = dict(request.headers)
    if url.origin != request.url.origin:
        headers = {name: value for name, value in headers.items() if name.lower() not in (*_SECRETS, "host")}
    if (status == 303 and request.method != "HEAD") or (status in (301, 302) and request.method == "POST"):
        return replace(request, method="GET", url=url, headers=headers, body=None)
    return replace(request, url=url, headers=headers)


def _exchange(request: Request, egress: Egress, end: float) -> Answer:
    connection = _connect(request, egress, end)
    sock = connection.sock
    watchdog = _Watchdog(sock, end)
    try:
        if request.url.scheme == "https":
            sock.settimeout(min(request.connect_timeout_s, watchdog.left_s))
            sock = _tls().wrap_socket(sock, server_hostname=request.url.host, do_handshake_on_connect=False)
            connection.sock = watchdog.sock = sock
            if watchdog.has_barked:  # at the socket that this one has taken over
                raise TimeoutError
            sock.do_handshake()
        sock.settimeout(request.read_timeout_s)
        answer = _ask(connection, request)
        if watchdog.has_barked:  # what looks like a whole answer then may be half of one
            raise TimeoutError
        return answer
    except (OSError, ValueError, http.client.HTTPException) as error:
        is_late = watchdog.has_barked or isinstance(error, TimeoutError)
        raise CallFailed(_said(request, _TIMED_OUT if is_late else _shown(error))) from error
    finally:
        watchdog.stop()
        connection.close()


def _ask(connection: http.client.HTTPConnection, request: Request) -> Answer:
    connection.putrequest(request.method, request.url.target, skip_host=True, skip_accept_encoding=True)
    named = {name.lower() for name in request.headers}
    for name, value in (("Host", request.url.authority), ("User-Agent", "Batuta"), ("Accept-Encoding", "identity")):
        if name.lower() not in named:
            connection.putheader(name, value)
    for name, value in {**request.headers, "Connection": "close"}.items():
        connection.putheader(name, value.encode("utf-8", "replace"))
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(request.body or b"")))
    connection.endheaders(request.body)
    response = connection.getresponse()
    body = response.read(BODY_MAX_BYTES + 1)
    if response.length and len(body) <= BODY_MAX_BYTES:  # what is missing of a length that was told; http.client says nothing
        raise http.client.IncompleteRead(body, response.length)
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.items():
        known = next((other for other in headers if other.lower() == name.lower()), name)
        headers.setdefault(known, []).append(" ".join(str(value).split("\r\n")).replace("\n", " "))
    coding = (response.getheader("Content-Encoding") or "").strip().lower()
    phrase = response.reason[:_PHRASE_MAX_CHARS] or http.client.responses.get(response.status, "")
    return Answer(request.method, request.url, response.status, phrase, headers, _decoded(body, coding))


def _decoded(body: bytes, coding: str) -> bytes:
    """Some servers compress although they were asked not to. A few bytes can stand for gigabytes, so this stops at the bound."""
    if coding not in ("gzip", "x-gzip", "deflate") or not body:
        return body
    try:
        return zlib.decompressobj(wbits=47).decompress(body, BODY_MAX_BYTES + 1)  # 47: gzip or zlib, as its head says
    except zlib.error as error:
        raise ValueError(f"the answer is not what it says, {coding}") from error


# --- connecting


def _connect(request: Request, egress: Egress, end: float) -> http.client.HTTPConnection:
    """To an address that may be called. Raises CallFailed."""
    url = request.url
    addresses = _resolve(request, min(CALL_MAX_S, end - time.monotonic()))
    allowed = [item for item in addresses if egress.is_allowed(item[1][0])]
    if not allowed:
        why = f"{url.host} is a private, local or reserved address, which HTTP tasks may not call on this stage"
        raise CallFailed(_said(request, why), is_final=True)
    why = ""
    for family, address in allowed[:_ADDRESSES_MAX]:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(min(request.connect_timeout_s, end - time.monotonic()), 0.001))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            why = "Connect timed out" if isinstance(error, TimeoutError) else _shown(error)
            continue
        connection = http.client.HTTPConnection(url.host, url.port)
        connection.auto_open = 0  # it must never connect by itself: it would resolve the name again, and ask nobody
        connection.sock = sock
        return connection
    raise CallFailed(_said(request, f"Connect to {url.scheme}://{url.authority} failed: {why}"))


def _resolve(request: Request, within_s: float) -> list[tuple[int, Any]]:
    """(family, socket address) of each address of the host. The resolver knows no time-out, so it is left to itself when it is late."""
    host, port = request.url.host, request.url.port
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True, name="resolve")
    thread.start()
    thread.join(max(min(request.connect_timeout_s, within_s), 0.001))
    if not found:
        raise CallFailed(_said(request, f"{host}: the name was not resolved in time"))
    if isinstance(found[0], Exception):
        raise CallFailed(_said(request, f"{host}: {_shown(found[0])}")) from found[0]
    return [(family, address) for family, _type, _protocol, _name, address in found[0]]


class _Watchdog:
    """Breaks the connection when the call's time is over, whatever it is doing: time-outs of sockets are for single receives."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self.sock = sock
        self.has_barked = False
        self._end = end
        self._timer = threading.Timer(self.left_s, self._bark)
        self._timer.daemon = True
        self._timer.start()

    @property
    def left_s(self) -> float:
        return max(self._end - time.monotonic(), 0.001)

    def stop(self) -> None:
        self._timer.cancel()

    def _bark(self) -> None:
        self.has_barked = True
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not SSLSocket's own, which pulls TLS away from under a reader
        except OSError:  # it is closed already
            pass


def _tls() -> ssl.SSLContext:
    if not _context:
        _context.append(ssl.create_default_context())
    return _context[0]


def _said(request: Request, what: str) -> str:
    """Spring's words, which Conductor passes on."""
    return f'I/O error on {request.method} request for "{request.url.shown}": {what}'


def _shown(error: BaseException) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended before its end"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
