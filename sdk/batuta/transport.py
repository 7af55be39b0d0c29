"""Sends HTTP requests over connections that are kept.

``http.client`` rather than urllib3 or httpx: it takes a quarter of their time to import (50 against 200 ms without .pyc files,
measured 2026-11), every ``batuta`` command pays that, and what is missing is the pool below. The asynchronous
client uses the same from a few threads: a call lasts milliseconds, and there is one implementation to trust.
"""

from __future__ import annotations

import http.client
import io
import selectors
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from batuta.aws import SigV4, is_deployed, stage_url
from batuta.http import NoAnswer, Request, Response

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 35.0  # API Gateway ends a request after 30 s (quota "integration timeout" of HTTP APIs)
_IDLE_MAX_S = 30.0  # a connection that was idle for longer may be closed by the other side at any moment
_KEPT_MAX = 10

# Headers to add to a request: a signature, a token. Called with the full URL.
Auth = Callable[[Request, str], Mapping[str, str]]


class Transport(Protocol):
    def send(self, request: Request) -> Response:
        """Blocks. Raises NoAnswer when there was none. May be called from several threads."""

    def close(self) -> None: ...


class HttpTransport:
    """``url`` is the server's root, without ``/api``. Without ``auth``, requests to a deployed stage are signed (``batuta.aws``);
    ``region`` is for a URL that does not name its own."""

    def __init__(self, url: str, auth: Auth | None = None, region: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server: write http://127.0.0.1:8080, without /api")
        self._url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._auth = auth or (SigV4(region) if is_deployed(url) else None)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []  # since when, monotonic
        self._is_ended = False

    def send(self, request: Request) -> Response:
        if request.url:
            return send_to_url(request)
        headers = {"Accept": "application/json", "User-Agent": "batuta-python"}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if self._auth is not None:
            headers.update(self._auth(request, self._url + request.target))
        connection = self._take()
        try:
            connection.request(request.method, self._prefix + request.target, request.body, headers)
            answer = connection.getresponse()
            response = Response(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswer(f"no answer from {self._url}: {error or type(error).__name__}", url=self._url) from error
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._keep(connection)
        return response

    def close(self) -> None:
        """A request that is under way closes its own connection."""
        with self._lock:
            self._is_ended = True
            idle, self._idle = self._idle, []
        for _since, connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                since, connection = self._idle.pop() if self._idle else (0.0, None)
            if connection is None:
                return self._connect()
            if time.monotonic() - since < _IDLE_MAX_S and not _is_closed(connection):
                return connection
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_S, context=self._tls)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
        except OSError as error:
            raise NoAnswer(f"cannot connect to {self._url}: {error}", url=self._url) from error
        connection.sock.settimeout(READ_TIMEOUT_S)
        return connection

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _KEPT_MAX and not self._is_ended:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()


class StageTransport:
    """To a deployed stage, whose URL is looked up for the first request: making a client asks nobody, and the loop of an
    asynchronous one never waits for it."""

    def __init__(self, stage: str, auth: Auth | None = None) -> None:
        self._stage = stage
        self._auth = auth
        self._lock = threading.Lock()
        self._http: HttpTransport | None = None

    def send(self, request: Request) -> Response:
        if request.url:
            return send_to_url(request)
        with self._lock:
            if self._http is None:
                self._http = HttpTransport(stage_url(self._stage), self._auth)
        return self._http.send(request)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()


def send_to_url(request: Request) -> Response:
    """To where ``request.url`` says, over a connection of its own. The time-out is for each piece, however large the whole is."""
    parts = urlsplit(request.url)
    where = f"{parts.scheme}://{parts.netloc}"  # what follows holds a signature, which no message may show
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_TIMEOUT_S)
    headers = {"User-Agent": "batuta-python"}
    if request.body is not None:
        headers.update({"Content-Type": request.content_type, "Content-Length": str(len(request.body))})
    try:
        connection.connect()
        connection.sock.settimeout(READ_TIMEOUT_S)
        body = None if request.body is None else io.BytesIO(request.body)
        connection.request(request.method, f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        return Response(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no answer from {where}: {error or type(error).__name__}", url=where) from error
    finally:
        connection.close()


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Something to read on an idle connection can only be its end."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))
