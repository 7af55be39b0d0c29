"""A server that answers as it is told, for what no emulator does on request: throttles, silence, torn connections."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport

CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token==")


class Request(NamedTuple):
    operation: str
    body: dict[str, Any]
    head: str
    connection: int  # which one it came over, from 1


# What to do with a request: an answer (status, JSON), raw bytes, or None: hang up without a word.
Deed = tuple[int, Any] | bytes | None
Script = Callable[[Request], Deed]

HANG_UP = None
SILENCE = b""  # no answer, and the connection stays open


class ScriptedServer:
    """Speaks HTTP on a loopback port. ``script`` is a list, one deed per request (the last goes on), or a function of the request."""

    def __init__(self, script: list[Deed] | Script) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        self.hang_up()

    def hang_up(self) -> None:
        """Closes every connection, as servers do with idle ones."""
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was first
                pass
            sock.close()
        self._sockets.clear()

    def transport(self, **options: Any) -> Transport:
        return Transport("eu-west-1", CREDENTIALS, {"dynamodb": self.url, "sqs": self.url, "ssm": self.url}, **options)

    def answer_with(self, script: list[Deed] | Script) -> None:
        """From now on."""
        self._script = script

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def _accept(self) -> None:
        count = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            count += 1
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock, count), daemon=True).start()

    def _serve(self, sock: socket.socket, connection: int) -> None:
        buffer = b""
        while True:
            try:
                while b"\r\n\r\n" not in buffer:
                    received = sock.recv(65536)
                    if not received:
                        return
                    buffer += received
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                length = int(_header(head.decode(), "content-length"))
                while len(buffer) < length:
                    buffer += sock.recv(65536)
                body, buffer = buffer[:length], buffer[length:]
                request = Request(_operation(head.decode()), json.loads(body), head.decode(), connection)
                self.requests.append(request)
                deed = self._script(request) if callable(self._script) else self._script[min(len(self.requests), len(self._script)) - 1]
                if deed is HANG_UP:
                    sock.shutdown(socket.SHUT_RDWR)
                    sock.close()
                    return
                sock.sendall(deed if isinstance(deed, bytes) else answer(*deed))
            except OSError:
                return


def _operation(head: str) -> str:
    """Of Lambda's API, the name of the function."""
    path = head.split(" ")[1]
    return path.split("/")[3] if path.startswith("/2015-03-31/") else _header(head, "x-amz-target").partition(".")[2]


def _header(head: str, name: str) -> str:
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    raise AssertionError(f"no header {name}")


def answer(status: int, body: Any, *headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def refusal(code: str, status: int = 400, **more: Any) -> tuple[int, Any]:
    return status, {"__type": f"com.amazonaws.whatever#{code}", "message": "so be it", **more}
