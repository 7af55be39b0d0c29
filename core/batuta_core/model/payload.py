"""Payloads, the users' data that we carry and never look into, and the references that stand for large ones.

A payload sits in a *slot* of an event, a task change or a record: under the slot's name when
it is inline, under the name with ``@`` behind it when only a reference is there. User data
therefore never meets our own keys.

What is larger than ``PAYLOAD_MAX_BYTES`` is never loaded by us. Where an input is made of such a payload, or of a value in it,
a ``PayloadPart`` takes the value's place; the slot's name with ``+`` behind it lists these places (docs/adr/0020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.frozen import dataclass

# Above this a payload leaves the record for the payload store. A DynamoDB write costs $0.625 per million KB, an S3
# PUT $5 per million: by price alone the limit would be 8 KB. 32 KB keeps most steps at one round trip, and ten results
# in one record (10 x 32 KB) below DynamoDB's item limit of 400 KB. Prices of us-east-1, 2026-11.
INLINE_MAX_BYTES = 32 * 1024

# What one payload may hold that we look into, or that comes with a request: one through API Gateway and Lambda ends at 6 MB.
# Conductor's own limit is 10 MB.
PAYLOAD_MAX_BYTES = 5 * 1024 * 1024

# What one payload may hold that is uploaded beside a request. S3 copies 5 GB in one call (quota "CopyObject"), but the call that waits
# for the copy ends with its function.
EXTERNAL_MAX_BYTES = 256 * 1024 * 1024

Place = tuple[str | int, ...]  # the keys and indexes that lead to a value in a payload


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """Stands for a payload outside the record: where the payload store keeps its JSON, and its size there. ``holes``: where values in it
    are parts of other payloads."""

    key: str
    size_bytes: int
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class PayloadPart:
    """Stands for a value in a payload that is too large to be looked into: what ``keys`` lead to, null where nothing is."""

    ref: PayloadRef
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """A value of a payload that is not there: ``part`` stands ``at`` its place."""

    at: Place
    part: PayloadPart

    def to_list(self) -> list[Any]:
        return [list(self.at), self.part.ref.key, self.part.ref.size_bytes, list(self.part.keys)]

    @classmethod
    def from_list(cls, data: Sequence[Any]) -> Hole:
        return cls(tuple(data[0]), PayloadPart(PayloadRef(data[1], data[2]), tuple(data[3])))


class Assembled(dict[str, Any]):
    """A payload in which PayloadParts stand for values. A type of its own, so that no other payload is searched for them."""

    def __reduce__(self) -> Any:
        return (Assembled, (dict(self),))


def assembled(value: Any) -> Any:
    """``value`` as it is put into a slot: as Assembled if it is an object that holds PayloadParts, as a reference if it is all of one."""
    if type(value) is PayloadPart and not value.keys:
        return value.ref
    return Assembled(value) if type(value) is dict and any(True for _ in holes_of(value)) else value


def holes_of(value: Any, at: Place = ()) -> Iterator[Hole]:
    """Where PayloadParts stand in ``value``. Payloads are never nested deeper than Python follows (``lenient.DEPTH_MAX``)."""
    if type(value) is PayloadPart:
        yield Hole(at, value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from holes_of(item, (*at, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from holes_of(item, (*at, index))


def without_parts(value: Any, shown: Callable[[PayloadPart], Any] = lambda part: None) -> Any:
    """A copy of ``value`` with what is ``shown`` in the place of each PayloadPart."""
    if type(value) is PayloadPart:
        return shown(value)
    if isinstance(value, dict):
        return {key: without_parts(item, shown) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_parts(item, shown) for item in value]
    return value


def filled(value: Any, holes: Iterable[Hole]) -> Any:
    """A copy of ``value`` with the parts in their places."""
    for hole in holes:
        value = _with_at(value, hole.at, hole.part)
    return Assembled(value) if type(value) is dict else value


def _with_at(value: Any, at: Place, item: Any) -> Any:
    if not at:
        return item
    copied: Any = list(value) if isinstance(value, list) else dict(value)
    copied[at[0]] = _with_at(copied[at[0]], at[1:], item)
    return copied


def put_slot(target: dict[str, Any], slot: str, value: Any) -> None:
    """Writes a payload or its reference into ``target``."""
    holes: Iterable[Hole] = ()
    if isinstance(value, PayloadRef):
        target[slot + "@"] = [value.key, value.size_bytes]
        holes = value.holes
    elif type(value) is Assembled:
        target[slot] = without_parts(value)
        holes = holes_of(value)
    else:
        target[slot] = value
    if found := [hole.to_list() for hole in holes]:
        target[slot + "+"] = found


def get_slot(source: Mapping[str, Any], slot: str) -> Any:
    """The payload, its PayloadRef, or None when the slot is absent."""
    reference = source.get(slot + "@")
    holes = tuple(Hole.from_list(item) for item in source.get(slot + "+", ()))
    if reference is not None:
        return PayloadRef(reference[0], reference[1], holes)
    return filled(source.get(slot), holes) if holes else source.get(slot)


def too_large(part: PayloadPart, what: str) -> PayloadTooLarge:
    """The refusal of ``what``, which has to look into the payload."""
    return PayloadTooLarge(
        f"{what} would have to look into a payload of {part.ref.size_bytes} bytes; the limit for that is {PAYLOAD_MAX_BYTES}. "
        "A worker's task or a sub-workflow can be given it: as ${ref.output}, or a value in it by plain keys, as ${ref.output.key}",
        size_bytes=part.ref.size_bytes,
    )


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
