"""How filters compare: Jayway's operators, each a function of two values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from batuta_core.decider.expression.reading import Budget, NoMatch
from batuta_core.decider.expression.text import java_text, number_in


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if is_number(value):
        return "number"
    return "json" if isinstance(value, (dict, list)) else type(value).__name__


def _is_equal(left: Any, right: Any, budget: Budget) -> bool:
    """Jayway's ``==``: a number equals a text that spells it; inside of maps and lists types must agree."""
    budget.spend(1)
    if isinstance(left, (dict, list)):
        return _is_same(left, right, budget)
    if is_number(left):
        return bool(left == (number_in(right) if isinstance(right, str) else right)) and not isinstance(right, bool)
    if isinstance(left, str):
        return left == (java_text(right, budget) if is_number(right) else right)
    return left is right  # true, false and null


def _is_same(left: Any, right: Any, budget: Budget) -> bool:
    still = [(left, right)]
    while still:
        one, other = still.pop()
        budget.spend(1)
        if type(one) is not type(other):
            return False
        if isinstance(one, dict):
            if one.keys() != other.keys():
                return False
            still.extend((one[key], other[key]) for key in one)
        elif isinstance(one, list):
            if len(one) != len(other):
                return False
            still.extend(zip(one, other, strict=True))
        elif one != other:
            return False
    return True


def _is_like(left: Any, right: Any, budget: Budget) -> bool:
    return _kind(left) == _kind(right) and _is_equal(left, right, budget)


def _ordered(compare: Callable[[Any, Any], bool]) -> Comparison:
    return lambda left, right, budget: _kind(left) == _kind(right) in ("number", "str") and compare(left, right)


def _not(compare: Comparison) -> Comparison:
    return lambda left, right, budget: not compare(left, right, budget)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, (dict, list)):
        raise NoMatch
    return value if isinstance(value, list) else []


def _is_in(left: Any, right: Any, budget: Budget) -> bool:
    return any(_is_equal(left, item, budget) for item in _items(right))


def _has(left: Any, right: Any, budget: Budget) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        budget.spend(len(left) // 64)
        return right in left
    return isinstance(left, list) and _is_in(right, left, budget)


def _has_any(left: Any, right: Any, budget: Budget) -> bool:
    wanted = _items(right)
    return any(_is_in(item, wanted, budget) for item in _items(left))


def _has_all(left: Any, right: Any, budget: Budget) -> bool:
    found = _items(left)
    return all(_is_in(item, found, budget) for item in _items(right))


def _has_size(left: Any, right: Any, budget: Budget) -> bool:
    return isinstance(left, (str, list)) and is_number(right) and len(left) == int(right)


def _is_empty(left: Any, right: Any, budget: Budget) -> bool:
    return isinstance(left, (str, dict, list)) and isinstance(right, bool) and (not left) is right


Comparison = Callable[[Any, Any, Budget], bool]
OPERATORS: dict[str, Comparison] = {
    "==": _is_equal,
    "!=": _not(_is_equal),
    "===": _is_like,
    "!==": _not(_is_like),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "IN": _is_in,
    "NIN": _not(_is_in),
    "CONTAINS": _has,
    "ALL": _has_all,
    "ANYOF": _has_any,
    "NONEOF": _not(_has_any),
    "SUBSETOF": lambda left, right, budget: _has_all(right, left, budget),
    "SIZE": _has_size,
    "EMPTY": _is_empty,
}
