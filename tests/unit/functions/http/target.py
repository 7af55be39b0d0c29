"""A server that says what a test wants it to say, byte for byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from batuta_server.http.egress import Egress

HERE = Egress(("127.0.0.1/32",))  # this server's address and no other: the rest of loopback stays refused


@dataclass(frozen=True)
class Asked:
    line: str
    headers: dict[str, str]  # names in small letters
    body: bytes


Says = bytes | Iterable[bytes]


class Target:
    """``says`` is an answer, or makes one of each request."""

    def __init__(self, says: Says | Callable[[Asked], Says], address: str = "127.0.0.1") -> None:
        self.asked: list[Asked] = []
        self._says = says
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{address}:{self.port}"
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            asked = _read(sock)
            if asked is None:
                return
            self.asked.append(asked)
            says: Any = self._says(asked) if callable(self._says) else self._says
            for part in [says] if isinstance(says, bytes) else says:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side has had enough
            pass


def _read(sock: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += sock.recv(65536)
    return Asked(line, headers, body)


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def to(url: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, f"Location: {url}")
