"""What DynamoDB would bill: item sizes and request units, by its documented rules.

"DynamoDB item sizes and formats", "DynamoDB read and write operations" and "Using Global Secondary Indexes" of the developer
guide. Emulators count wrongly; ``tests/contract/test_sizes.py`` holds this against DynamoDB Local, AWS's own.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from batuta_server import layout

Item = Mapping[str, Mapping[str, Any]]  # attribute -> {"S": text} and so on, as on the wire

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096


# --- sizes


def item_bytes(item: Item) -> int:
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return number_bytes(content)
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_bytes(member) for name, member in content.items())
        case "L":
            return 3 + sum(1 + value_bytes(member) for member in content)
        case "SS":
            return sum(len(member.encode()) for member in content)
        case "NS":
            return sum(number_bytes(member) for member in content)
        case "BS":
            return sum(len(base64.b64decode(member)) for member in content)
    raise ValueError(f"no type of DynamoDB: {kind}")


def number_bytes(text: str) -> int:
    """A byte per two significant digits, one for the exponent, and one for a minus. Digits pair up around the decimal point, so
    1000 (10 and two noughts) takes as many as 10. Zero takes one."""
    digits = text.lstrip("+-")
    mantissa, _, exponent = digits.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    figures = whole + fraction
    leading = len(figures) - len(figures.lstrip("0"))
    figures, point = figures[leading:].rstrip("0"), point - leading
    if not figures:
        return 1
    if point % 2:  # the first pair is half empty
        figures = "0" + figures
    return 1 + -(-len(figures) // 2) + text.startswith("-")


# --- units


def write_units(size: int) -> int:
    return max(1, -(-size // WRITE_UNIT_BYTES))


def read_units(size: int, *, is_consistent: bool) -> float:
    return max(1, -(-size // READ_UNIT_BYTES)) * (1.0 if is_consistent else 0.5)


def written(table: layout.Table, old: Item | None, new: Item | None) -> Counter[str]:
    """Units of a write that left ``new`` where ``old`` was (None: no item), by where they fell: "" for the table, else the index."""
    units = Counter({"": write_units(max(item_bytes(old or {}), item_bytes(new or {})))})
    for index in table.indexes:
        if count := _index_units(_entry(table, index, old), _entry(table, index, new)):
            units[index.name] = count
    return units


def refused(old: Item | None, new: Item | None = None) -> Counter[str]:
    """Units of a write whose condition does not hold: as if it had been made, without the indexes."""
    return Counter({"": write_units(max(item_bytes(old or {}), item_bytes(new or {})))})


def read_each(items: Iterable[Item | None], *, is_consistent: bool) -> float:
    """GetItem and BatchGetItem: each item by itself; one that is not there costs the least there is."""
    return sum(read_units(item_bytes(item or {}), is_consistent=is_consistent) for item in items)


def read_together(items: Iterable[Item], *, is_consistent: bool) -> float:
    """A page of a Query: the sum of what was looked at, before filters and projections."""
    return read_units(sum(map(item_bytes, items)), is_consistent=is_consistent)


def _entry(table: layout.Table, index: layout.Index, item: Item | None) -> Item | None:
    """The item's line in an index that projects the keys only; None where it has none."""
    keys = {key.name for key in (index.partition, index.sort)}
    if item is None or not keys <= item.keys():
        return None
    keys |= {table.partition.name, table.sort.name}
    return {name: item[name] for name in keys}


def _index_units(old: Item | None, new: Item | None) -> int:
    """A changed key is one deletion and one put."""
    if old == new:
        return 0
    return sum(write_units(item_bytes(entry)) for entry in (old, new) if entry is not None)
