"""What an HTTP task asks for: its input as Conductor reads it, with Conductor's defaults and words."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

NO_URI = "Missing HTTP URI.  See documentation for HttpTask for required input parameters"
NO_METHOD = "No HTTP method specified"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

_TIMEOUT_MS = 3000  # Conductor's default of both
CONNECT_TIMEOUT_MAX_S = 10.0
READ_TIMEOUT_MAX_S = 60.0
_MEDIA_TYPE = "application/json"
_FORM = "application/x-www-form-urlencoded"
_URL_MAX_CHARS = 16_384  # servers refuse 8 KB and more; and reasons quote it

# Said by the connection itself: a second one of them would let a task smuggle a request of its own into the answer's way.
_OURS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110; http.client would let a header go on in the next line
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_PATH = "/:@!$&'()*+,;=-._~"  # RFC 3986, pchar
_IN_PARAMETER = "/?:@!$'()*+,;-._~"  # of a query: without what separates parameters


class BadRequest(Exception):
    """The input does not say what to do. The text is the task's reason."""


@dataclass(frozen=True, slots=True)
class Url:
    scheme: str
    host: str  # as it is resolved; IPv6 without brackets
    port: int
    target: str  # path and query, encoded
    authority: str  # as it was written, without the user's name

    @property
    def shown(self) -> str:
        """As Conductor's messages have it: without the query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return (self.scheme, self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: Url
    headers: Mapping[str, str]
    body: bytes | None = None
    connect_timeout_s: float = _TIMEOUT_MS / 1000
    read_timeout_s: float = _TIMEOUT_MS / 1000


def request_of(task_input: Mapping[str, Any]) -> Request:
    """The request stands under ``http_request``, or at the top of the input. Raises BadRequest."""
    given = task_input.get("http_request")
    given = task_input if given is None else given
    if not isinstance(given, Mapping):
        raise BadRequest(f"http_request must be an object, not {type(given).__name__}")
    if given.get("uri") in (None, ""):
        raise BadRequest(NO_URI)
    if given.get("method") in (None, ""):
        raise BadRequest(NO_METHOD)
    method = str(given["method"]).upper()
    if method not in METHODS:
        raise BadRequest(f"Unknown HTTP method {method[:32]}: one of {', '.join(METHODS)}")
    content_type = _text(given.get("contentType")) or _MEDIA_TYPE
    headers = {"Accept": _accepted(given.get("accept")), "Content-Type": content_type}
    _add(headers, given.get("headers"))
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or _NOT_IN_HEADER.search(value):
            raise BadRequest(f"the header {name[:64]!r} cannot be sent")
    return Request(
        method=method,
        url=parse_url(str(given["uri"])),
        headers=headers,
        body=_body(given.get("body"), content_type),
        connect_timeout_s=_timeout_s(given.get("connectionTimeOut"), CONNECT_TIMEOUT_MAX_S),
        read_timeout_s=_timeout_s(given.get("readTimeOut"), READ_TIMEOUT_MAX_S),
    )


def parse_url(text: str, *, is_encoded: bool = False) -> Url:
    """Raises BadRequest. Conductor takes a ``uri`` as not yet encoded, so that its ``%`` becomes ``%25`` (recorded); a server that
    redirects has encoded its own (``is_encoded``)."""
    text = text.strip()
    if _CONTROL.search(text) or len(text) > _URL_MAX_CHARS:
        raise BadRequest("the URI holds control characters" if len(text) <= _URL_MAX_CHARS else "the URI is too long")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadRequest("the URI cannot be read: its host or its port is none") from error  # whose text may quote a password
    if parts.scheme not in ("http", "https") or not host:
        raise BadRequest("the URI must begin with http:// or https:// and name a host")
    host = _host(host)
    kept = "%" if is_encoded else ""
    path = quote(parts.path, safe=_IN_PATH + kept) or "/"
    query = quote(parts.query, safe=_IN_PARAMETER + "=&" + kept) if is_encoded else "&".join(map(_parameter, parts.query.split("&")))
    written = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    return Url(
        scheme=parts.scheme,
        host=host,
        port=default if port is None else port,
        target=f"{path}?{query}" if parts.query else path,
        authority=written if port is None else f"{written}:{port}",
    )


def _parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    return quote(name, safe=_IN_PARAMETER) + equals + quote(value, safe=_IN_PARAMETER)


def _host(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text.replace("%", "-"))) if ":" in text else _name(text)  # no names of interfaces
    except ValueError as error:
        raise BadRequest(f"the URI names no host that there can be: {text[:100]}") from error


def _name(text: str) -> str:
    name = text if text.isascii() else text.encode("idna").decode("ascii")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError(name)
    return name


def _accepted(given: Any) -> str:
    if isinstance(given, list):
        return ", ".join(_text(item) for item in given if item is not None) or _MEDIA_TYPE
    return _text(given) or _MEDIA_TYPE


def _add(headers: dict[str, str], given: Any) -> None:
    """The task's own headers, over those with other capitals too. Raises BadRequest."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise BadRequest("headers must be an object")
    for name, value in given.items():
        if value is None or name.lower() in _OURS:
            continue
        text = ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)
        for other in [other for other in headers if other.lower() == name.lower()]:
            del headers[other]
        headers[name] = text


def _body(given: Any, content_type: str) -> bytes | None:
    """A text goes as it is, anything else as JSON; an object as a form where that is its type."""
    if given is None:
        return None
    if isinstance(given, str):
        return given.encode("utf-8", "replace")
    if isinstance(given, Mapping) and content_type.partition(";")[0].strip().lower() == _FORM:
        return urlencode({name: value if isinstance(value, list) else _text(value) for name, value in given.items()}, doseq=True).encode()
    return json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _timeout_s(given: Any, most_s: float) -> float:
    """From ms; what is no number means the default, and nobody waits for ever (Conductor: 0)."""
    try:
        ms = float(given) if given is not None and not isinstance(given, bool) else float(_TIMEOUT_MS)
    except (TypeError, ValueError):
        ms = float(_TIMEOUT_MS)
    except OverflowError:
        return most_s
    return min(ms / 1000, most_s) if ms > 0 else most_s
