"""Our subset of Jayway's JSONPath 2.9, the language inside ``${...}``: a path is compiled once and read many times.

A path is a tuple of steps. Reading takes a list of nodes from step to step, so that nothing recurses over a
document; how deep filters and functions nest is bounded when they are compiled. A definite path has one value, None
where it is missing; an indefinite one (``..``, ``*``, filter, slice, union) always has a list. What Jayway throws
while it reads (the sum of nothing, a filter on a number) is None, as Conductor makes of it.

Every node visited is paid from a Budget: no path, however written, keeps the decider from its work.

Meant otherwise than in Jayway: regular expressions in filters (``=~``) are refused, since a pattern can run for ever;
``max()`` of negative numbers, ``last()`` of one element, ``first().id`` and ``..*.id`` give what one expects;
``append()`` leaves the document alone; ``&&`` needs no blanks around it.

Paths hold filters, filters hold paths and functions, and functions hold paths. The steps know the paths inside
them as Operands only, so the modules do not go round in a circle: reading, functions, steps, path, then the parsers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import takewhile
from typing import Any

from batuta_core.decider.expression.reading import Budget, NotFound, ReadFailure, Reading
from batuta_core.decider.expression.steps import Call, Key, PathStep
from batuta_core.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path, immutable. ``keys`` are the plain names it begins with: two for ``$.a['b'][0].c``."""

    steps: tuple[PathStep, ...]
    is_relative: bool = False  # it begins with `@`
    references: tuple[JsonPath, ...] = ()  # the other paths that begin at the document: in filters and arguments
    is_definite: bool = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    _sure: int = field(init=False)  # how many steps are definite before the first that is not

    def __post_init__(self) -> None:
        sure = sum(1 for _ in takewhile(lambda step: step.is_definite, self.steps))
        object.__setattr__(self, "_sure", sure)
        object.__setattr__(self, "is_definite", sure == len(self.steps))
        object.__setattr__(self, "keys", tuple(_names(self.steps)))

    @property
    def is_plain(self) -> bool:
        """Nothing but ``keys``."""
        return len(self.keys) == len(self.steps)

    @property
    def is_call(self) -> bool:
        """A function of its arguments alone: ``concat($.a, $.b)``."""
        return bool(self.steps) and isinstance(self.steps[0], Call)

    def after(self, count: int) -> JsonPath:
        """The path without its first ``count`` steps."""
        return JsonPath(self.steps[count:], self.is_relative, self.references)

    def read(self, start: Any, document: Any = None, budget: Budget | None = None) -> Any:
        """The value at the path from ``start``; ``document`` is what ``$`` means further inside, ``start`` if None.

        Parts of the data are shared, not copied. Raises nothing but the PayloadTooLarge of the budget.
        """
        try:
            return self._result(self._nodes(start, Reading(start if document is None else document, budget or Budget())))
        except ReadFailure:
            return None

    def evaluate(self, item: Any, reading: Reading) -> Any:
        """Its value inside a filter or as an argument."""
        lenient = Reading(reading.document, reading.budget)
        return self._result(self._nodes(item if self.is_relative else reading.document, lenient))

    def is_there(self, item: Any, reading: Reading) -> bool:
        """What a filter asks that names a path and nothing else. A null is there, and so is an empty list."""
        strict = Reading(reading.document, reading.budget, is_strict=True)
        try:
            nodes = self._nodes(item if self.is_relative else reading.document, strict)
        except NotFound:
            return False
        return bool(nodes) or not self.is_definite

    def _nodes(self, start: Any, reading: Reading) -> list[Any]:
        nodes = [start]
        for number, step in enumerate(self.steps):
            found: list[Any] = []
            for node in nodes:
                reached = step.of(node, reading, number <= self._sure)
                reading.budget.spend(1 + len(reached))
                found += reached
            nodes = found
        return nodes

    def _result(self, nodes: list[Any]) -> Any:
        if not self.is_definite:
            return nodes
        return nodes[-1] if nodes else None


def _names(steps: Sequence[PathStep]) -> Iterator[str]:
    for step in steps:
        if not isinstance(step, Key):
            return
        yield step.name
