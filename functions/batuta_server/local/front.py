"""HTTP in front of the API function: requests become the events that API Gateway's HTTP API would send."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from waitress.server import create_server

_THREADS = 64  # a thread for each request that waits: long polls, synchronous starts
_BODY_MAX_BYTES = 64 * 1024 * 1024  # the function refuses what is above its own limit, with a better answer
_STATUS_TEXT = {200: "OK", 204: "No Content"}

Environ = Mapping[str, Any]
Function = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]


def make_front(function: Function, port: int) -> Any:
    """A server on 127.0.0.1; ``run()`` serves until ``close_front``. Raises OSError when the port is taken."""

    def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = function(_event(environ), None)
        status = int(answer["statusCode"])
        body = str(answer.get("body") or "").encode()
        headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
        headers += [(name, str(value)) for name, values in (answer.get("multiValueHeaders") or {}).items() for value in values]
        if status != 204:
            headers.append(("Content-Length", str(len(body))))
        start_response(f"{status} {_STATUS_TEXT.get(status, 'Status')}", headers)
        return [body] if status != 204 else []

    return create_server(
        application,
        host="127.0.0.1",
        port=port,
        threads=_THREADS,
        max_request_body_size=_BODY_MAX_BYTES,
        ident="batuta",
        channel_timeout=120,
        clear_untrusted_proxy_headers=True,
    )


def close_front(front: Any) -> None:
    """From any thread, soon. The thread that serves does it: it would end with an error if its sockets went under its hands."""
    front.trigger.pull_trigger(front.close)


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
