"""A proxy on loopback that signs what passes through it: for drivers that know nothing of AWS's signatures."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from batuta_server.local.emulator import REGION
from tests.e2e.cloud import Key, check_loopback
from tests.e2e.proxy import Proxy, ProxyHandler

_HOP_BY_HOP = frozenset({"connection", "host", "content-length", "transfer-encoding", "keep-alive", "date", "server"})


def sign(method: str, url: str, body: bytes, key: Key, headers: dict[str, str] | None = None) -> dict[str, str]:
    """The headers with a signature over the method, the URL and the body."""
    request = AWSRequest(method=method, url=url, data=body)
    SigV4Auth(Credentials(key.id, key.secret), "execute-api", REGION).add_auth(request)
    return {**(headers or {}), **dict(request.headers.items())}


class SigningProxy(Proxy):
    """Passes requests on to ``url`` (an API's root), signed with ``key``. Its own root is ``self.url``."""

    def __init__(self, url: str, key: Key) -> None:
        super().__init__(_handler(check_loopback(url), key))


def _handler(root: str, key: Key) -> type[ProxyHandler]:
    class Handler(ProxyHandler):
        target = urlsplit(root)

        def pass_on(self, body: bytes) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            path = f"{self.target.path}{self.path}"
            signed = sign(self.command, f"{self.target.scheme}://{self.target.netloc}{path}", body, key, headers)
            status, answered, text = self._ask(path, body, signed)
            self.send_response_only(status)
            for name, value in answered:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _ask(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = self.connected()
            try:
                connection.request(self.command, path, body or None, headers)
                reply = connection.getresponse()
                return reply.status, reply.getheaders(), reply.read()
            except (http.client.HTTPException, OSError) as error:
                self.disconnect()
                return 504, [], f"the emulator does not answer: {error!r}".encode()

    return Handler
