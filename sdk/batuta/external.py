"""Payloads too large for a request: uploaded before the call that names them, downloaded after the one that shows them.

The user sees none of it: ``carry_out`` is what the clients do with every call.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from batuta import backoff
from batuta.http import (
    ATTEMPTS_MAX,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    Call,
    Flow,
    NoAnswer,
    Pause,
    Request,
    Response,
    Step,
    checked,
    perform,
    read_json,
)
from batuta.serializer import dump
from batuta_core.model.error import BatutaError, ExecutionTooLarge

T = TypeVar("T")

# Larger payloads go by a signed URL: two requests more, but a function that gets 5 MB of JSON in one takes seconds to read them, and
# the 6 MB that Lambda takes (quota "invocation payload") count the escapes of a text in a text.
EXTERNAL_MIN_BYTES = 1024 * 1024

_UPLOADED = {
    "input": ("externalInputPayloadStoragePath", "WORKFLOW_INPUT"),
    "outputData": ("externalOutputPayloadStoragePath", "TASK_OUTPUT"),
}


def carry_out(call: Call[T], prefix: str) -> Flow[T]:
    """``perform``, with the call's large payloads on ways of their own. Raises BatutaError."""
    if call.uploaded:
        call = yield from _with_upload(call, prefix)
    if not call.is_external:
        return (yield from perform(call, prefix))
    try:
        body = yield from perform(replace(call, read=read_json), prefix)
    except ExecutionTooLarge:  # its payloads together, perhaps
        query = {**call.query, "externalPayloads": True}
        body = yield from perform(replace(call, query=query, read=read_json), prefix)
    if isinstance(body, dict):
        yield from _fill(body, prefix)
    return call.read(Response(200, b"", {}, body))


def _with_upload(call: Call[T], prefix: str) -> Flow[Call[T]]:
    external, kind = _UPLOADED[call.uploaded]
    found = yield from perform(_location("WRITE", kind, ""), prefix)
    raw = dump(call.body[call.uploaded]).encode("utf-8", "surrogatepass")
    yield from _elsewhere(Request("PUT", "", raw, url=found["uri"]))
    return replace(call, body={**call.body, call.uploaded: {}, external: found["path"]}, uploaded="")


def _fill(body: dict[str, Any], prefix: str) -> Generator[Step, Any, None]:
    """Puts into a task, an execution or a page what they only name."""
    loaded: dict[str, Any] = {}
    for holder in _holders(body):
        for kind in ("Input", "Output"):
            name = f"{kind.lower()}Data" if f"{kind.lower()}Data" in holder else kind.lower()
            path = holder.pop(f"external{kind}PayloadStoragePath", None)
            if path:
                holder[name] = yield from _downloaded(path, loaded, prefix)
            for part in holder.pop(f"external{kind}PayloadParts", None) or ():
                value = yield from _downloaded(part["externalPayloadStoragePath"], loaded, prefix)
                for key in part["keys"]:
                    value = value.get(key) if isinstance(value, dict) else None
                _put(holder[name], part["at"], value)


def _holders(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield body
    for name in ("tasks", "results"):
        items = body.get(name)
        yield from (item for item in items if isinstance(item, dict)) if isinstance(items, list) else ()


def _put(target: Any, at: list[Any], value: Any) -> None:
    for key in at[:-1]:
        target = target[key]
    target[at[-1]] = value


def _downloaded(path: str, loaded: dict[str, Any], prefix: str) -> Generator[Step, Any, Any]:
    if path not in loaded:
        found = yield from perform(_location("READ", "TASK_OUTPUT", path), prefix)
        response = yield from _elsewhere(Request("GET", "", url=found["uri"]))
        try:
            loaded[path] = json.loads(response.body)
        except ValueError as error:
            raise BatutaError(f"the payload {path} is no JSON: {error}", path=path) from error
    return loaded[path]


def _location(operation: str, kind: str, path: str) -> Call[Mapping[str, Any]]:
    query = {"operation": operation, "payloadType": kind, "path": path}
    return Call(method="GET", path=("tasks", "externalstoragelocation"), query=query, read=read_json, is_repeatable=True)


def _elsewhere(request: Request) -> Generator[Step, Any, Response]:
    """To the payload store, again while that may help: reading and writing twice does no more than once."""
    failures = 0
    while True:
        try:
            response: Response = yield request
            if response.status < 500:
                return checked(response)
            error: BatutaError = BatutaError(f"HTTP {response.status} from the payload store")
        except NoAnswer as no_answer:
            error = no_answer
        failures += 1
        if failures >= ATTEMPTS_MAX:
            raise error
        yield Pause(backoff.delay_s(failures, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S))
