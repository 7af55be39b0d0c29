"""A proxy on loopback that signs what passes through it: for drivers that know nothing of AWS's signatures."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.cloud import REGION, Key, check_loopback

_TIMEOUT_S = 60
_HOP_BY_HOP = frozenset({"connection", "host", "content-length", "transfer-encoding", "keep-alive", "date", "server"})


def sign(method: str, url: str, body: bytes, key: Key, headers: dict[str, str] | None = None) -> dict[str, str]:
    """The headers with a signature over the method, the URL and the body."""
    request = AWSRequest(method=method, url=url, data=body)
    SigV4Auth(Credentials(key.id, key.secret), "execute-api", REGION).add_auth(request)
    return {**(headers or {}), **dict(request.headers.items())}


class SigningProxy:
    """Passes requests on to ``url`` (an API's root), signed with ``key``. Its own root is ``self.url``."""

    def __init__(self, url: str, key: Key) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(check_loopback(url), key))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> SigningProxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(root: str, key: Key) -> type[BaseHTTPRequestHandler]:
    target = urlsplit(root)
    connections = threading.local()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            path = f"{target.path}{self.path}"
            signed = sign(self.command, f"{target.scheme}://{target.netloc}{path}", body, key, headers)
            status, answered, text = self._pass_on(path, body, signed)
            self.send_response_only(status)
            for name, value in answered:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_any

        def _pass_on(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = getattr(connections, "open", None)
            if connection is None:
                connection = connections.open = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_TIMEOUT_S)
            try:
                connection.request(self.command, path, body or None, headers)
                reply = connection.getresponse()
                return reply.status, reply.getheaders(), reply.read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                connections.open = None
                return 504, [], f"the emulator does not answer: {error!r}".encode()

        def finish(self) -> None:
            super().finish()
            if getattr(connections, "open", None) is not None:  # the thread ends with its client's connection
                connections.open.close()
                connections.open = None

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
