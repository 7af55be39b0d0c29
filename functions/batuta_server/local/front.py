"""HTTP in front of the API function: requests become the events that API Gateway's HTTP API would send."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from batuta_core.model.error import BatutaError

_THREADS = 64  # a thread for each request that waits: long polls, synchronous starts
_BODY_MAX_BYTES = 64 * 1024 * 1024  # the function refuses what is above its own limit, with a better answer
_LAST_REQUESTS_S = 1.0  # longer ones wait for something, and would for up to a minute
_LOOP_END_S = 5.0  # it ends at once, unless the machine is very busy
_STATUS_TEXT = {200: "OK", 204: "No Content"}

Environ = Mapping[str, Any]
Function = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]

_HERE = r"(?:127\.0\.0\.1|(?:[a-z0-9-]+\.)*localhost|\[::1\])(?::[0-9]+)?"
_LOOPBACK = {"Host": re.compile(_HERE, re.IGNORECASE), "Origin": re.compile(f"https?://{_HERE}", re.IGNORECASE)}


# It warns whenever a request waits for a thread to wake up, which on a busy laptop is no news.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class ForeignRequest(BatutaError):
    """From a browser, for a page of another host."""

    code = "foreign_request"
    http_status = 403
    remedy = "Call it as http://127.0.0.1 or http://localhost with its port, and from no web page of another host."


class Front:
    """A server on 127.0.0.1, at ``port`` or, for 0, at a free one. Raises OSError when the port is taken."""

    def __init__(self, function: Function, port: int) -> None:
        self._server = create_server(
            _application(function),
            host="127.0.0.1",
            port=port,
            threads=_THREADS,
            max_request_body_size=_BODY_MAX_BYTES,
            ident="batuta",
            channel_timeout=120,
            clear_untrusted_proxy_headers=True,
        )
        self.port = int(self._server.effective_port)
        self._is_closed = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Serves until ``close``, which another thread calls."""
        try:
            self._server.run()
        finally:
            self._ended.set()

    def close(self) -> None:
        """No new connections; the requests in hand get a moment, and what they answered is sent.

        What is shared with the thread that serves is done by that thread, which a byte in a pipe wakes. Any request that ends
        writes such a byte, too, so the pipe is closed last, when nobody is left to write: a number of a closed file
        may be another file's by then. A request that does not end in time keeps it open.
        """
        if self._is_closed:
            return
        self._is_closed = True
        server, tasks = self._server, self._server.task_dispatcher
        server.trigger.pull_trigger(lambda: wasyncore.dispatcher.close(server))
        tasks.set_thread_count(0)
        _wait_until(lambda: not tasks.threads)
        server.trigger.pull_trigger(self._hang_up)
        _wait_until(lambda: not server.active_channels)
        server.trigger.pull_trigger(server._map.clear)  # nothing to listen to: the loop ends
        if self._ended.wait(_LOOP_END_S) and not tasks.threads:
            server.trigger.close()

    def _hang_up(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.close_when_flushed = True


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _LAST_REQUESTS_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)


def _application(function: Function) -> Callable[[Environ, Callable[..., Any]], Iterable[bytes]]:
    def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = _refusal(environ) or function(_event(environ), None)
        status = int(answer["statusCode"])
        body = str(answer.get("body") or "").encode()
        headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
        headers += [(name, str(value)) for name, values in (answer.get("multiValueHeaders") or {}).items() for value in values]
        if status != 204:
            headers.append(("Content-Length", str(len(body))))
        start_response(f"{status} {_STATUS_TEXT.get(status, 'Status')}", headers)
        return [body] if status != 204 else []

    return application


def _refusal(environ: Environ) -> Mapping[str, Any] | None:
    """The server asks for no key, so a page in a browser on this machine must not reach it: neither by posting here from elsewhere
    (its ``Origin``) nor by a name of its own that leads to 127.0.0.1 (its ``Host``). Other clients may send neither."""
    for header, pattern in _LOOPBACK.items():
        value = environ.get(f"HTTP_{header.upper()}")
        if value is not None and not pattern.fullmatch(value):
            error = ForeignRequest(f"{header} is '{value[:64]}', which is not this machine.")
            return {"statusCode": error.http_status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(error.to_dict())}
    return None


def _event(environ: Environ) -> dict[str, Any]:
    # The gateway decodes the path once, and ends it at a question mark that was encoded (see api/request.py).
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").partition("?")[0]
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    raw = environ["wsgi.input"].read()
    body, is_base64 = _text(raw)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": {
            "http": {"method": environ["REQUEST_METHOD"], "path": path, "sourceIp": environ.get("REMOTE_ADDR", "")},
            "stage": "$default",
            "requestId": uuid.uuid4().hex,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _text(raw: bytes) -> tuple[str, bool]:
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), True
