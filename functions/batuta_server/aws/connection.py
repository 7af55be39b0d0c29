"""One keep-alive connection: the bytes of a request out, status and body of its answer back, before a deadline.

``http.client`` connects (addresses, TLS with default verification, TCP_NODELAY). Reading the answer ourselves instead of
through ``http.client`` saves half of a call's CPU, most of it in the parser of e-mail headers (docs/adr/0002), and lets
every single receive end at the deadline.
"""

from __future__ import annotations

import http.client
import ssl
import time
from typing import NamedTuple
from urllib.parse import urlsplit

_RECEIVE_BYTES = 64 * 1024
_BROKEN = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_HEAD_MAX_BYTES = 64 * 1024  # no server of ours sends so much; without a bound a broken one fills the memory


class Torn(ConnectionError):
    """The connection ended, or spoke something else than HTTP. ``is_silent``: before a byte of the answer came."""

    def __init__(self, message: str, *, is_silent: bool = False) -> None:
        super().__init__(message)
        self.is_silent = is_silent


class Answer(NamedTuple):
    status: int
    body: bytes
    is_kept: bool  # the connection may be used again


class Address(NamedTuple):
    """Where an endpoint URL leads. ``host_header`` names the port unless it is the scheme's own."""

    host: str
    port: int
    is_tls: bool
    path: str
    host_header: str

    @classmethod
    def from_url(cls, url: str) -> Address:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an endpoint: {url}")
        is_tls = parts.scheme == "https"
        default = 443 if is_tls else 80
        port = parts.port or default
        shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(parts.hostname, port, is_tls, parts.path or "/", shown if port == default else f"{shown}:{port}")


class Connection:
    """Not for two threads at once. Every method may raise OSError; the connection is useless then."""

    def __init__(self, address: Address, context: ssl.SSLContext | None, connect_timeout_s: float) -> None:
        """Connects. ``context`` is for TLS; the time-out bounds each step of it (one address, one message of the handshake)."""
        if address.is_tls:
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(
                address.host, address.port, timeout=connect_timeout_s, context=context
            )
        else:
            self._http = http.client.HTTPConnection(address.host, address.port, timeout=connect_timeout_s)
        try:
            self._http.connect()
        except BaseException:
            self._http.close()
            raise
        self.idle_since = time.monotonic()

    def close(self) -> None:
        self._http.close()

    def exchange(self, request: bytes, deadline: float) -> Answer:
        """``deadline`` by the monotonic clock. Raises TimeoutError when it passes, Torn when the connection breaks."""
        sock = self._http.sock
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            sock.sendall(request)
        except _BROKEN as error:
            raise Torn(f"could not send: {error}", is_silent=True) from error
        buffer = bytearray()
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > _HEAD_MAX_BYTES:
                raise Torn("an endless head")
            self._receive(buffer, deadline)
        status, length, is_chunked, is_kept = _parse_head(bytes(buffer[:end]))
        begin = end + 4
        if is_chunked:
            body = self._read_chunks(buffer, begin, deadline)
        else:
            while len(buffer) < begin + length:
                self._receive(buffer, deadline)
            body = bytes(buffer[begin : begin + length])
        self.idle_since = time.monotonic()
        return Answer(status, body, is_kept)

    def _receive(self, buffer: bytearray, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._http.sock.settimeout(left)
        try:
            received = self._http.sock.recv(_RECEIVE_BYTES)
        except _BROKEN as error:
            raise Torn(f"could not receive: {error}", is_silent=not buffer) from error
        if not received:
            raise Torn("the connection was closed", is_silent=not buffer)
        buffer += received

    def _read_chunks(self, buffer: bytearray, begin: int, deadline: float) -> bytes:
        """AWS names the length; a proxy or an emulator may send chunks."""
        body = bytearray()
        while True:
            while (end := buffer.find(b"\r\n", begin)) < 0:
                self._receive(buffer, deadline)
            size = _number(bytes(buffer[begin:end]).partition(b";")[0], 16)
            begin = end + 2
            while len(buffer) < begin + size + 2:
                self._receive(buffer, deadline)
            if size == 0:  # trailers are not read: nobody whom we call sends any
                return bytes(body)
            body += buffer[begin : begin + size]
            begin += size + 2


def _parse_head(head: bytes) -> tuple[int, int, bool, bool]:
    """(status, content length, whether it comes in chunks, whether the connection stays open)."""
    lines = head.split(b"\r\n")
    if not lines[0].startswith(b"HTTP/1."):
        raise Torn("not HTTP")
    is_kept = lines[0][7:8] != b"0"
    length, is_chunked = 0, False
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        match name.lower():
            case b"content-length":
                length = _number(value)
            case b"transfer-encoding":
                is_chunked = b"chunked" in value.lower()
            case b"connection":
                is_kept = b"close" not in value.lower()
    return _number(lines[0][9:12]), length, is_chunked, is_kept


def _number(text: bytes, base: int = 10) -> int:
    try:
        return int(text, base)
    except ValueError as error:
        raise Torn(f"not a number: {text[:40]!r}") from error
