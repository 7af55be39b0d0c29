"""What the proxies of these tests share: a server on loopback, and one kept connection upstream for each client's connection."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import SplitResult

UPSTREAM_S = 60


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news here."""


class Proxy:
    """Serves while it is entered. ``url`` is its root."""

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ProxyHandler(BaseHTTPRequestHandler):
    """One client's connection, served by one thread. Every method goes to ``pass_on``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    target: ClassVar[SplitResult]
    upstream: http.client.HTTPConnection | None = None

    def pass_on(self, body: bytes) -> None:
        raise NotImplementedError

    def do_any(self) -> None:
        self.pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_any

    def connected(self) -> http.client.HTTPConnection:
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection(self.target.hostname or "", self.target.port, timeout=UPSTREAM_S)
        return self.upstream

    def disconnect(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            pass  # the client hung up
        self.disconnect()

    def log_message(self, format: str, *args: Any) -> None:
        pass
