"""Payloads that a process has read, for as long as there is room: what the branches of a fork are made of is read by each decision on one
of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef

# In memory the list of a fork's branches takes some three times its JSON, 0.9 KB a branch (CPython 3.11, 2026-11-22): 24 MB of the
# decider's 256. The list of the widest fork takes five eighths of it.
TOTAL_MAX_BYTES = 8 * 1024 * 1024

Key = tuple[ExecutionId, str]


class PayloadCache:
    """Those used last, together as large as ``total_bytes`` of JSON; one that is larger than five eighths of it is not kept. Payloads never
    change, and who gets one does not change it."""

    def __init__(self, total_bytes: int = TOTAL_MAX_BYTES) -> None:
        self._total = self._room = total_bytes
        self._largest = total_bytes * 5 // 8
        self._entries: OrderedDict[Key, tuple[Any, int]] = OrderedDict()

    def get(self, execution: ExecutionId, ref: PayloadRef) -> Any:
        """None when it is not here: JSON's null is no payload that lies outside of its record."""
        found = self._entries.get((execution, ref.key))
        if found is None:
            return None
        try:
            self._entries.move_to_end((execution, ref.key))
        except KeyError:  # another thread dropped it in between
            pass
        return found[0]

    def put(self, execution: ExecutionId, ref: PayloadRef, value: Any) -> None:
        if ref.size_bytes > self._largest or (execution, ref.key) in self._entries:
            return
        self._entries[execution, ref.key] = (value, ref.size_bytes)
        self._room -= ref.size_bytes
        while self._room < 0:
            try:
                _key, (_value, size_bytes) = self._entries.popitem(last=False)
            except KeyError:
                return
            self._room += size_bytes

    def clear(self) -> None:
        self._entries.clear()
        self._room = self._total
