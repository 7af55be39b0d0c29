"""HTTP without the I/O: how a call becomes requests, when it is sent again, and how an answer becomes a result or an error.

A *flow* is a generator that yields what is to be done next, a ``Request`` to send or a ``Pause`` to keep, and returns the
result. ``Client`` and ``AsyncClient`` only carry these steps out, so whatever is decided here holds for both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from batuta import backoff
from batuta_core.model.error import BatutaError, Unavailable, error_from_dict
from batuta_core.model.names import DEFAULT_NAMESPACE, check_namespace

T = TypeVar("T")

ATTEMPTS_MAX = 5  # of a call that may be repeated: with the waits below some 4 s in all
RETRY_FIRST_S = 0.25
RETRY_MAX_S = 5.0
_RETRY_AFTER_MAX_S = 30  # what a server asks for beyond that is more than a caller expects to wait
_PASSING_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str  # encoded path and query
    body: bytes | None = None
    content_type: str = "application/json"
    url: str = ""  # of a payload, whole and signed: neither the server's nor with our own signature


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    headers: Mapping[str, str]  # names in lower case
    parsed: Any = None  # the body as JSON, where it was read already


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


class NoAnswer(Unavailable):
    """The connection failed or broke: the call may or may not have happened."""

    code = "no_answer"
    remedy = "Check the URL, and that the server runs."


Step = Request | Pause
Flow = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One call of the REST API. ``path`` holds the segments below ``/api``, unencoded."""

    method: str
    path: Sequence[str]
    read: Callable[[Response], T]
    query: Mapping[str, Any] = field(default_factory=dict)  # None: left out; lists: repeated
    body: Any = None
    text: str | None = None  # a body that is no JSON
    is_repeatable: bool = False  # sending it twice does no more than sending it once
    uploaded: str = ""  # the field of the body that is too large to be sent in it
    is_external: bool = False  # the answer may name payloads that are too large to be in it


def encode_segment(name: str) -> str:
    """A path segment. What separates parts of a URL is encoded twice: API Gateway's HTTP API decodes the path once before our
    code sees it, and a name with a slash in it must still be one segment then."""
    if not name:
        raise ValueError("a name in a path must not be empty")
    for separator in "%/?":
        name = name.replace(separator, quote(separator, safe=""))
    return quote(name, safe="")


def prefix_of(namespace: str) -> str:
    """The root of all routes of a namespace."""
    return "/api" if namespace == DEFAULT_NAMESPACE else f"/ns/{check_namespace(namespace)}/api"


def to_request(call: Call[Any], prefix: str) -> Request:
    target = "/".join((prefix, *map(encode_segment, call.path)))
    query = {name: _query_text(value) for name, value in call.query.items() if value is not None}
    if query:
        target += f"?{urlencode(query, doseq=True)}"
    if call.text is not None:
        return Request(call.method, target, call.text.encode(), "text/plain; charset=utf-8")
    return Request(call.method, target, None if call.body is None else json.dumps(call.body).encode())


def perform(call: Call[T], prefix: str) -> Flow[T]:
    """Sends the call, again where that is safe and may help, and reads the answer. Raises BatutaError."""
    request = to_request(call, prefix)
    failures = 0
    while True:
        response: Response | None = None
        try:
            response = yield request
            return call.read(checked(response))
        except BatutaError as error:
            failures += 1
            if not call.is_repeatable or failures >= ATTEMPTS_MAX or not _is_passing(error, response):
                raise
        yield Pause(max(backoff.delay_s(failures, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S), _asked_wait_s(response)))


def checked(response: Response) -> Response:
    """The response itself, or the error that it carries, rebuilt as the class that the server raised."""
    if 200 <= response.status < 300:
        return response
    body = _json_object(response.body)
    if "code" in body:
        raise error_from_dict(body)
    message = str(body.get("message") or response.body[:200].decode("utf-8", "replace") or "no text")
    raise BatutaError(f"HTTP {response.status}: {message}", http_status=response.status)


def read_json(response: Response) -> Any:
    if response.parsed is not None:
        return response.parsed
    if not response.body:
        return None
    try:
        return json.loads(response.body)
    except ValueError as error:
        shown = response.body[:100].decode("utf-8", "replace")
        raise BatutaError(f"the answer is no JSON, so it hardly comes from a Batuta server: {shown}") from error


def read_text(response: Response) -> str:
    return response.body.decode("utf-8", "replace")


def read_nothing(response: Response) -> None:
    return None


def _query_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else value


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_passing(error: BatutaError, response: Response | None) -> bool:
    if response is None:
        return isinstance(error, NoAnswer)
    return response.status in _PASSING_STATUSES or _json_object(response.body).get("retryable") is True


def _asked_wait_s(response: Response | None) -> float:
    text = response.headers.get("retry-after", "") if response is not None else ""
    return min(int(text), _RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 0.0
