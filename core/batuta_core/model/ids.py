"""How each id is derived from what it names. Nothing here is random: what is drawn comes in from a port."""

from __future__ import annotations

import base64
import binascii
import hashlib

from batuta_core.model.frozen import dataclass

_TASK_ID_VERSION = 1


@dataclass(frozen=True, slots=True)
class TaskKey:
    """What a task id says: the execution, the record that scheduled the task, and its place in that record."""

    workflow_id: str
    record: int
    nth: int


def to_uuid(raw: bytes) -> str:
    """16 bytes in the spelling of a UUID, which is how Conductor's clients know execution ids."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _derived(*parts: str) -> str:
    digest = bytearray(digest_of(*parts)[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562, version 8: bits of the application's own making
    digest[8] = digest[8] & 0x3F | 0x80
    return to_uuid(bytes(digest))


def workflow_id_of_key(namespace: str, workflow_name: str, idempotency_key: str, generation: int = 0) -> str:
    """Equal keys of a workflow name give equal ids, so that the first journal write itself refuses the second start.

    ``generation`` counts the executions that used the key before and gave it free.
    """
    return _derived("key", namespace, workflow_name, idempotency_key, str(generation))


def workflow_id_of_event(namespace: str, message_id: str, handler: str, action: int) -> str:
    """The execution that an action of an event handler starts for a published event, the same however often that comes."""
    return _derived("event", namespace, message_id, handler, str(action))


def child_workflow_id(parent_workflow_id: str, record: int, purpose: str) -> str:
    """The execution that a record of ``parent_workflow_id`` starts for ``purpose``, the same at every repeat."""
    return _derived("child", parent_workflow_id, str(record), purpose)


def is_workflow_id(text: str) -> bool:
    """Whether ``text`` has the form of an execution id; no other text can name an execution."""
    return len(text) == 36 and text.count("-") == 4 and _hex_bytes(text) is not None


def _hex_bytes(workflow_id: str) -> bytes | None:
    try:
        raw = bytes.fromhex(workflow_id.replace("-", ""))
    except ValueError:
        return None
    return raw if len(raw) == 16 and to_uuid(raw) == workflow_id else None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def task_id(workflow_id: str, record: int, nth: int, _rerun: int = 0) -> str:
    """Names the record that scheduled the task, so that a restart cannot meet its former life. The third part of a task's
    place is not in it: a rerun keeps the id, as in Conductor.

    It holds the execution's id (base64url, 25 to 34 characters), so that a task can be
    found by its id alone without an index.
    """
    raw = _hex_bytes(workflow_id)
    if raw is None:
        raise ValueError(f"not an execution id: {workflow_id!r}")
    body = bytes([_TASK_ID_VERSION]) + raw + _varint(record) + _varint(nth)
    return base64.urlsafe_b64encode(body + bytes([binascii.crc32(body) & 0xFF])).decode().rstrip("=")


def parse_task_id(text: str) -> TaskKey | None:
    """None when ``text`` is not one of our ids."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    if len(raw) < 20 or raw[0] != _TASK_ID_VERSION or binascii.crc32(raw[:-1]) & 0xFF != raw[-1]:
        return None
    numbers, shift, current = [], 0, 0
    for byte in raw[17:-1]:
        current |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(current)
            shift = current = 0
    if shift or len(numbers) != 2:
        return None
    return TaskKey(to_uuid(raw[1:17]), numbers[0], numbers[1])


def short_hash(*parts: str | bytes, chars: int = 22) -> str:
    """A name for content: ``chars`` of base64url of its SHA-256 (22 are 132 bits)."""
    return base64.urlsafe_b64encode(digest_of(*parts)).decode()[:chars]


def digest_of(*parts: str | bytes) -> bytes:
    """SHA-256 of the parts, each with its length, so that no text in them moves a border between two."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()
