"""The HTTP request as the routes see it: namespace, names, query, body; and the two kinds of answer.

**Names in paths.** API Gateway's HTTP API hands over the path decoded once (``%20`` is a blank in ``rawPath``, ``%2F`` a
slash, and at ``%3F`` the path ends). Every other front does the same here. So a segment is what is between two slashes,
and in it ``%2F``, ``%3F`` and ``%25`` are decoded once more. Hence a name with ``/``, ``?`` or ``%`` is addressed with these
characters encoded twice (``a%252Fb``), as Batuta's own client does. Conductor's clients encode once: they reach every
name but those with a slash or a question mark, and those that hold the text ``%2F``, ``%3F`` or ``%25``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from batuta_core.engine.synchronous import ReturnStrategy
from batuta_core.model.error import InvalidInput, NamespaceNotServed, PayloadTooLarge, Problem
from batuta_core.model.ids import is_workflow_id, parse_task_id
from batuta_core.model.json_text import strict_json
from batuta_core.model.lenient import DEPTH_MAX, is_too_deep
from batuta_core.model.names import DEFAULT_NAMESPACE, ExecutionId, check_namespace
from batuta_server.api.response import Response
from batuta_server.facts import NAMESPACE, facts_of

NAMESPACE_HEADER = "x-batuta-namespace"
BODY_MAX_BYTES = 6 * 1024 * 1024  # Lambda's "invocation payload" quota
BODY_DEPTH_MAX = DEPTH_MAX + 20  # a payload, and what is around it

_NAMESPACE_PATH = re.compile(r"/ns/([^/]*)(/.*)?", re.DOTALL)  # a name may hold a line break
_DOUBLY_ENCODED = {"%2F": "/", "%2f": "/", "%3F": "?", "%3f": "?", "%25": "%"}
_DOUBLY = re.compile("%2[Ff]|%3[Ff]|%25")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Routes read it by ``current()``."""

    namespace: str
    query: Mapping[str, list[str]]
    raw_body: str
    workflow_ids: list[str] = field(default_factory=list)  # whom it turned out to be about, for the log
    task_ids: list[str] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        """A query parameter; an empty value counts as absent, since Conductor's Python client sends None so."""
        return next((value for value in self.query.get(name, ()) if value), default)

    def texts(self, name: str) -> list[str]:
        return [value for value in self.query.get(name, ()) if value]

    def flag(self, name: str, default: bool = False) -> bool:
        text = self.text(name).lower()
        if text not in ("", "true", "false"):
            raise _bad_query(name, text, "true or false")
        return text == "true" if text else default

    def number(self, name: str, default: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"-?\d{1,18}", text):
            raise _bad_query(name, text, "a whole number")
        return int(text)

    def optional_number(self, name: str) -> int | None:
        return self.number(name, 0) if self.text(name) else None

    def json(self) -> Any:
        """The body. Raises InvalidInput for one that is missing or no JSON."""
        return parse_json(self.raw_body)


_REQUEST: ContextVar[Request | None] = ContextVar("request", default=None)


def current() -> Request:
    """The request that is being answered."""
    request = _REQUEST.get()
    assert request is not None, "outside of a request"
    return request


def note(*, workflow_id: str = "", task_id: str = "") -> None:
    """The request's log line names them, where they are ids at all. A task's id tells its execution's."""
    request = current()
    if is_workflow_id(workflow_id):
        request.workflow_ids.append(workflow_id)
    if key := parse_task_id(task_id):
        request.workflow_ids.append(key.workflow_id)
        request.task_ids.append(task_id)


def noted() -> dict[str, Any]:
    """What a log line says of whom the request is about; nothing before its namespace is known."""
    request = _REQUEST.get()
    if request is None:
        return {}
    found = facts_of((ExecutionId(request.namespace, workflow_id) for workflow_id in request.workflow_ids), request.task_ids)
    return {NAMESPACE: request.namespace, **found}


def leave() -> None:
    """The request is answered."""
    _REQUEST.set(None)


def enter(event: Mapping[str, Any], namespaces: Collection[str] = (), *, takes_header: bool = True) -> str:
    """Makes ``event`` (HTTP API, payload format 2.0) the current request. Returns its path, without the namespace.
    Raises NamespaceNotServed for one that is not among ``namespaces``, where any are named; InvalidInput for one that a header
    names where only the path may."""
    path = str(event.get("rawPath") or "/")
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    namespace = headers.get(NAMESPACE_HEADER) or DEFAULT_NAMESPACE
    if namespace != DEFAULT_NAMESPACE and not takes_header:
        raise InvalidInput(f"A header names the namespace; here only the path may, since IAM sees no headers: /ns/{namespace[:64]}/api/...")
    if found := _NAMESPACE_PATH.fullmatch(path):
        namespace, path = found[1], found[2] or "/"
    if namespaces and namespace not in namespaces:
        raise NamespaceNotServed(f"This stage does not serve the namespace '{namespace[:64]}'.", served=", ".join(namespaces))
    _REQUEST.set(Request(check_namespace(namespace), _query(str(event.get("rawQueryString") or "")), _body(event)))
    return path


def return_strategy() -> ReturnStrategy:
    """What a synchronous call is to be answered with."""
    text = current().text("returnStrategy", ReturnStrategy.TARGET_WORKFLOW)
    if text not in ReturnStrategy.__members__:
        raise _bad_query("returnStrategy", text, f"one of {', '.join(ReturnStrategy)}")
    return ReturnStrategy(text)


def name_of(segment: str) -> str:
    """The name in a path segment, which the gateway has decoded once."""
    return _DOUBLY.sub(lambda found: _DOUBLY_ENCODED[found[0]], segment)


def version_of(segment: str, hint: str = "") -> int:
    """The version in a path segment. Raises InvalidInput for what is no whole number, or has more digits than any version."""
    if not re.fullmatch("-?[0-9]{1,10}", segment):
        raise InvalidInput(f"'{segment[:64]}' is not a version: it must be a whole number{hint}.")
    return int(segment)


def _query(raw: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True, errors="replace"):
        found.setdefault(name, []).append(value)
    return found


def _body(event: Mapping[str, Any]) -> str:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        raw_size = len(body.encode("utf-8", "surrogatepass")) if len(body) > BODY_MAX_BYTES // 4 else 0
        text = body
    else:
        try:
            raw = base64.b64decode(body, validate=True)
            text = raw.decode("utf-8")
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("The body is not UTF-8.") from error
        raw_size = len(raw)
    if raw_size > BODY_MAX_BYTES:
        raise PayloadTooLarge(f"the body has {raw_size} bytes, the limit is {BODY_MAX_BYTES}", size_bytes=raw_size)
    return str(text)


def _bad_query(name: str, text: str, wanted: str) -> InvalidInput:
    return InvalidInput(
        f"The query parameter {name} is '{text[:64]}', it must be {wanted}.", problems=[Problem(name, f"must be {wanted}", text[:64])]
    )


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no Infinity (nor a number that would become it), no nesting that our own code could not follow."""
    if not text.strip():
        raise InvalidInput("The request has no body; it must be JSON.")
    try:
        found = strict_json(text)
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.") from error
    except ValueError as error:
        raise InvalidInput(f"The body is not JSON: {error}") from error
    if is_too_deep(found, BODY_DEPTH_MAX):
        raise InvalidInput(f"The body is nested deeper than {BODY_DEPTH_MAX} levels.")
    return found


# --- answers


def json_response(body: Any, status: int = 200) -> Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    if re.search("[\ud800-\udfff]", text):  # half a character, which UTF-8 cannot hold but JSON can spell
        text = json.dumps(body, separators=(",", ":"))
    return Response(status, text, "application/json")


def text_response(text: str) -> Response:
    """The bare text, as Conductor's clients want ids."""
    return Response(200, text, "text/plain;charset=UTF-8")


def empty_response(status: int = 200) -> Response:
    return Response(status, "")
