"""Payloads that travel beside the requests, by signed URLs: Conductor's external payload storage (docs/adr/0020).

A client asks where it may write, writes there, and names the path in its request. The object is copied to the execution that it is
for before anything is decided, so that nobody can change it afterwards, and it goes when the execution does. What nobody names is
removed by the bucket's own rule a day later. Every path holds its namespace, and only paths of the caller's own are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from batuta_core.engine.fetch import load_json, read_payload
from batuta_core.engine.ports import Ports
from batuta_core.model.error import InvalidInput, PayloadTooLarge
from batuta_core.model.execution import WorkflowStatus
from batuta_core.model.ids import is_workflow_id, short_hash
from batuta_core.model.lenient import DEPTH_MAX, is_too_deep
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import (
    EXTERNAL_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    Assembled,
    PayloadRef,
    holes_of,
)

UPLOADS = "_uploads"  # no namespace begins so
_NAME = re.compile(r"[A-Za-z0-9_-]{8,64}")  # of an upload, or of a payload


class Operation(StrEnum):
    READ = "READ"
    WRITE = "WRITE"


class PayloadType(StrEnum):
    WORKFLOW_INPUT = "WORKFLOW_INPUT"
    WORKFLOW_OUTPUT = "WORKFLOW_OUTPUT"
    TASK_INPUT = "TASK_INPUT"
    TASK_OUTPUT = "TASK_OUTPUT"


def path_of(execution: ExecutionId, ref: PayloadRef) -> str:
    """What the payload is called on the wire, and in the bucket."""
    return f"{execution.namespace}/{execution.workflow_id}/{ref.key}"


def location(ports: Ports, namespace: str, operation: str, payload_type: str, path: str) -> dict[str, str]:
    """Conductor's ExternalStorageLocation: a signed URL, and the path that it is for. To write, a new path is made, whatever ``path``
    says. Raises InvalidInput, for a path of another namespace, too."""
    try:
        wanted, _kind = Operation(operation.upper()), PayloadType(payload_type.upper())
    except ValueError:
        raise InvalidInput(f"Invalid input - Operation: {operation[:64]}, PayloadType: {payload_type[:64]}") from None
    if wanted is Operation.WRITE:
        path = f"{UPLOADS}/{namespace}/{ports.ids.workflow_id()}"
    elif not _is_upload(namespace, path) and not _is_payload(namespace, path):
        raise _not_a_path(namespace, path)
    return {"uri": ports.payloads.url(path, is_write=wanted is Operation.WRITE), "path": path}


def _is_upload(namespace: str, path: str) -> bool:
    root, _, rest = path.partition("/")
    owner, _, name = rest.partition("/")
    return root == UPLOADS and owner == namespace and _NAME.fullmatch(name) is not None


def _is_payload(namespace: str, path: str) -> bool:
    owner, _, rest = path.partition("/")
    workflow_id, _, key = rest.partition("/")
    return owner == namespace and is_workflow_id(workflow_id) and _NAME.fullmatch(key) is not None


def _not_a_path(namespace: str, path: str) -> InvalidInput:
    return InvalidInput(f"'{path[:200]}' is no path of a payload in namespace {namespace}.")


def taken_in(ports: Ports, execution: ExecutionId, path: str, what: str) -> Any:
    """The payload that was uploaded to ``path``: itself where it is small enough to be looked into, else a reference to the copy that the
    execution keeps. A repeat gives the same. Raises InvalidInput and PayloadTooLarge."""
    if not _is_upload(execution.namespace, path):
        raise _not_a_path(execution.namespace, path)
    found = ports.payloads.peek(path)
    if found is None:
        raise InvalidInput(f"Nothing was uploaded to '{path}', or it was removed a day later.")
    if found.size_bytes > EXTERNAL_MAX_BYTES:
        text = f"{what} has {found.size_bytes} bytes, the limit is {EXTERNAL_MAX_BYTES}"
        raise PayloadTooLarge(text, size_bytes=found.size_bytes)
    if not found.beginning.lstrip().startswith(b"{"):
        raise InvalidInput(f"{what}, uploaded to '{path}', is no JSON object.")
    ref = PayloadRef(short_hash(path, found.version), found.size_bytes)
    if not ports.payloads.adopt(path, found.version, execution, ref):
        raise InvalidInput(f"What is at '{path}' was written anew meanwhile.")
    return _looked_at(ports, execution, ref, what) if ref.size_bytes <= PAYLOAD_MAX_BYTES else ref


def _looked_at(ports: Ports, execution: ExecutionId, ref: PayloadRef, what: str) -> Mapping[str, Any]:
    try:
        found = load_json(ports.payloads.get(execution, ref))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict) or is_too_deep(found, DEPTH_MAX):
        raise InvalidInput(f"{what} is no JSON object, or nested deeper than {DEPTH_MAX} levels.")
    return found


def handed_over(ports: Ports, source: ExecutionId, target: ExecutionId, value: Any) -> Any:
    """``value`` of one execution as another may keep it: what it holds by reference is copied. Repeats do nothing more."""
    if isinstance(value, PayloadRef) and value.size_bytes <= PAYLOAD_MAX_BYTES:
        value = read_payload(ports, source, value)
    refs = [value] if isinstance(value, PayloadRef) else [hole.part.ref for hole in holes_of(value)] if type(value) is Assembled else []
    if refs and not is_removed(ports, target):
        for ref in dict.fromkeys(refs):
            ports.payloads.copy(source, ref, target)
    return value


def is_removed(ports: Ports, execution: ExecutionId) -> bool:
    """Then nobody reads the copies any more, and they might come after the purge, which would leave them for ever. An execution that is
    removed later than this is asked is purged two minutes after that."""
    newest = ports.journal.newest(execution)
    return newest is not None and newest.head.status is WorkflowStatus.REMOVED
