"""Payloads, the users' data that we carry and never look into, and the references that stand for large ones.

A payload sits in a *slot* of an event, a task change or a record: under the slot's name when
it is inline, under the name with ``@`` behind it when only a reference is there. User data
therefore never meets our own keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batuta_core.model.error import PayloadTooLarge

# Above this a payload leaves the record for the payload store. A DynamoDB write costs $0.625 per million KB, an S3
# PUT $5 per million: by price alone the limit would be 8 KB. 32 KB keeps most steps at one round trip, and ten results
# in one record (10 x 32 KB) below DynamoDB's item limit of 400 KB. Prices of us-east-1, 2026-11.
INLINE_MAX_BYTES = 32 * 1024

# What one payload may hold at all. A request through API Gateway and Lambda ends at 6 MB; Conductor's own limit is 10 MB.
PAYLOAD_MAX_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """Stands for a payload outside the record: where the payload store keeps its JSON, and its size there."""

    key: str
    size_bytes: int


def put_slot(target: dict[str, Any], slot: str, value: Any) -> None:
    """Writes a payload or its reference into ``target``."""
    if isinstance(value, PayloadRef):
        target[slot + "@"] = [value.key, value.size_bytes]
    else:
        target[slot] = value


def get_slot(source: Mapping[str, Any], slot: str) -> Any:
    """The payload, its PayloadRef, or None when the slot is absent."""
    reference = source.get(slot + "@")
    if reference is not None:
        return PayloadRef(reference[0], reference[1])
    return source.get(slot)


def check_size(value: Any, what: str) -> None:
    """Raises PayloadTooLarge when the JSON of ``value`` would pass ``PAYLOAD_MAX_BYTES``, without writing it."""
    if is_larger(value, PAYLOAD_MAX_BYTES):
        raise PayloadTooLarge(f"{what} has more than {PAYLOAD_MAX_BYTES} bytes")


def is_larger(value: Any, limit_bytes: int) -> bool:
    """Whether the JSON of ``value`` would pass the limit, without writing it.

    Parts of a payload may be shared, so that few objects in memory can stand for gigabytes of text; counting stops at
    the limit. Counts characters, so text outside ASCII may be up to three times as many bytes.
    """
    size, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            size += len(item) + 2
        elif isinstance(item, dict):
            size += 4 * len(item) + 2
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            size += len(item) + 2
            stack.extend(item)
        else:
            size += 4
        if size > limit_bytes:
            return True
    return False
