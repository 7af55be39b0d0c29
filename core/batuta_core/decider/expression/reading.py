"""What a path is read with: a budget, the document, and the failures that make its value None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from batuta_core.model.error import PayloadTooLarge
from batuta_core.model.frozen import dataclass

BUDGET = 1_000_000  # half a second at most (2-core VM, 2026-11); a deep scan of 5 MB of JSON visits some 500,000 nodes


class Budget:
    """What may still be read and written: a unit for a node, a unit for 64 characters of text."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left

    def spend(self, units: int) -> None:
        """PayloadTooLarge, not a silent None, once it is used up: no workflow should go on with half of its data."""
        self.left -= units
        if self.left < 0:
            raise PayloadTooLarge(f"The expressions of one input read or write too much: more than {BUDGET:,} values.")


class ReadFailure(Exception):
    """What Jayway throws while it reads: the value of the whole path is None."""


class NoMatch(ReadFailure):
    """The same, but a filter around it takes it as "does not match"."""


class NotFound(NoMatch):
    """The same, and where a filter asks whether something exists, it does not."""


@dataclass(slots=True)
class Reading:
    """One path being read."""

    document: Any  # what `$` means inside filters and arguments
    budget: Budget
    is_strict: bool = False  # a filter asks whether something exists: what is missing raises NotFound

    def absent(self, is_sure: bool) -> Sequence[Any]:
        if self.is_strict and is_sure:
            raise NotFound
        return ()


class Operand(Protocol):
    """What stands in a filter or as an argument: a path or a literal."""

    def evaluate(self, item: Any, reading: Reading) -> Any:
        """Its value; ``item`` is what ``@`` means."""


Condition = Callable[[Any, Reading], bool]
