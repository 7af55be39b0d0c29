"""The functions of paths by name: ``length()``, ``sum()``, ``concat()`` and the like."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from batuta_core.decider.expression.compare import is_number
from batuta_core.decider.expression.reading import Budget, ReadFailure
from batuta_core.decider.expression.text import java_text

Arguments = Sequence[Any]


def _numbers(node: Any, arguments: Arguments) -> list[float]:
    lists = [value if isinstance(value, list) else [value] for value in arguments]
    if isinstance(node, list):
        lists.insert(0, node)
    try:
        found = [float(item) for items in lists for item in items if is_number(item)]
    except OverflowError:
        raise ReadFailure from None
    if not found:
        raise ReadFailure
    return found


def _of_numbers(aggregate: Callable[[list[float]], float]) -> Function:
    """Always a double, as in Java: the sum of 1 and 2 is 3.0. What overflows is no JSON and counts as a failure."""

    def function(node: Any, arguments: Arguments, budget: Budget) -> float:
        found = aggregate(_numbers(node, arguments))
        if not math.isfinite(found):
            raise ReadFailure
        return found

    return function


def _sum(numbers: list[float]) -> float:
    return reduce(operator.add, numbers, 0.0)  # Python 3.12's own sum() rounds otherwise than 3.11's, and than Java


def _deviation(numbers: list[float]) -> float:
    count, total = len(numbers), _sum(numbers)
    return math.sqrt(max(_sum([number * number for number in numbers]) / count - total * total / count / count, 0.0))


def _length(node: Any, arguments: Arguments, budget: Budget) -> int | None:
    if arguments:
        return len(arguments[0]) if isinstance(arguments[0], (dict, list)) else 0
    return len(node) if isinstance(node, (dict, list)) else None


def _keys(node: Any, arguments: Arguments, budget: Budget) -> list[str] | None:
    return list(node) if isinstance(node, dict) else None


def _item(node: Any, number: int) -> Any:
    if not isinstance(node, list) or not -len(node) <= number < len(node):
        raise ReadFailure
    return node[number]


def _concat(node: Any, arguments: Arguments, budget: Budget) -> str:
    """The texts of a list, and every argument as Java prints it."""
    texts = [item for item in node if isinstance(item, str)] if isinstance(node, list) else []
    for value in arguments:
        texts += [java_text(item, budget) for item in (value if isinstance(value, list) else [value]) if item is not None]
    budget.spend(sum(len(text) for text in texts) // 64)
    return "".join(texts)


def _append(node: Any, arguments: Arguments, budget: Budget) -> Any:
    return [*node, *arguments] if isinstance(node, list) else node


Function = Callable[[Any, Arguments, Budget], Any]
FUNCTIONS: dict[str, Function] = {
    "length": _length,
    "size": _length,
    "keys": _keys,
    "sum": _of_numbers(_sum),
    "avg": _of_numbers(lambda numbers: _sum(numbers) / len(numbers)),
    "min": _of_numbers(min),
    "max": _of_numbers(max),
    "stddev": _of_numbers(_deviation),
    "first": lambda node, arguments, budget: _item(node, 0),
    "last": lambda node, arguments, budget: _item(node, -1),
    "index": lambda node, arguments, budget: _item(node, int(_numbers(None, arguments)[0])),
    "concat": _concat,
    "append": _append,
}
