"""The steps a path is made of: each leads from a node, a value of the document, to the nodes behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from batuta_core.decider.expression.functions import FUNCTIONS
from batuta_core.decider.expression.reading import Condition, NoMatch, Operand, Reading
from batuta_core.model.frozen import dataclass


class PathStep:
    __slots__ = ()
    is_definite: ClassVar[bool] = False

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        """The nodes this step leads to. ``is_sure``: all steps before it are definite; Jayway forgives less then."""
        raise NotImplementedError

    def wants(self, node: Any, reading: Reading) -> bool:
        """Whether a deep scan takes this step from ``node``, a map or a list that it passes."""
        return True


@dataclass(frozen=True, slots=True)
class Key(PathStep):
    is_definite = True
    name: str

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, dict):
            return reading.absent(is_sure)
        return (node[self.name],) if self.name in node else reading.absent(True)

    def wants(self, node: Any, reading: Reading) -> bool:
        return isinstance(node, dict) and self.name in node


@dataclass(frozen=True, slots=True)
class Keys(PathStep):
    """``['a','b']`` with steps behind it: each value by itself."""

    names: tuple[str, ...]

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        return [value for name in self.names for value in Key(name).of(node, reading, is_sure)]


@dataclass(frozen=True, slots=True)
class Pick(PathStep):
    """``['a','b']`` at the end: one map of those that are there."""

    is_definite = True
    names: tuple[str, ...]

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, dict):
            return reading.absent(is_sure)
        found = {name: node[name] for name in self.names if name in node}
        return (found,) if len(found) == len(set(self.names)) or not reading.is_strict else reading.absent(True)

    def wants(self, node: Any, reading: Reading) -> bool:
        return isinstance(node, dict) and all(name in node for name in self.names)


@dataclass(frozen=True, slots=True)
class Indexes(PathStep):
    numbers: tuple[int, ...]

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, list):
            return reading.absent(is_sure)
        return [node[number] for number in self.numbers if -len(node) <= number < len(node)]


@dataclass(frozen=True, slots=True)
class Index(Indexes):
    is_definite = True


@dataclass(frozen=True, slots=True)
class Slice(PathStep):
    start: int | None
    end: int | None

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        if not isinstance(node, list):
            return reading.absent(is_sure)
        if self.start is None or self.end is None:
            return node[self.start : self.end]
        # Given both, Jayway counts from one to the other before it looks at the sign: [0:-1] is empty, [-2:1] wraps around.
        return [node[number] for number in range(max(self.start, -len(node)), min(self.end, len(node)))]


@dataclass(frozen=True, slots=True)
class Wildcard(PathStep):
    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        return _children(node)


@dataclass(frozen=True, slots=True)
class Scan(PathStep):
    """``..``: the step behind it, taken from the node and from all below it."""

    step: PathStep

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        found: list[Any] = []
        still = [node]
        while still:
            current = still.pop()
            children = _children(current)
            reading.budget.spend(len(children))
            if isinstance(current, (dict, list)) and self.step.wants(current, reading):
                found += self.step.of(current, reading, False)
            still.extend(reversed(children))
        return found


@dataclass(frozen=True, slots=True)
class Filter(PathStep):
    condition: Condition

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        if isinstance(node, dict):
            return (node,) if self.wants(node, reading) else ()
        if isinstance(node, list):
            return [item for item in node if self.wants(item, reading)]
        if is_sure:
            raise NoMatch
        return ()

    def wants(self, node: Any, reading: Reading) -> bool:
        reading.budget.spend(1)
        try:
            return self.condition(node, reading)
        except NoMatch:
            return False


@dataclass(frozen=True, slots=True)
class Call(PathStep):
    is_definite = True
    name: str
    arguments: tuple[Operand, ...]

    def of(self, node: Any, reading: Reading, is_sure: bool) -> Sequence[Any]:
        function = FUNCTIONS.get(self.name)
        if function is None:  # Jayway, too, notices only now
            raise NoMatch
        values = [argument.evaluate(reading.document, reading) for argument in self.arguments]
        return (function(node, values, reading.budget),)

    def wants(self, node: Any, reading: Reading) -> bool:
        return False


def _children(node: Any) -> Sequence[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()
