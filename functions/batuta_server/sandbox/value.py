"""A script's value from its JSON: numbers that a journal can hold, no deeper than a payload, and no larger in memory than who asked
for it can bear."""

from __future__ import annotations

import json
import sys
from typing import Any

from batuta_core.model.lenient import is_too_deep
from batuta_server.sandbox.limits import DEPTH_MAX, VALUE_MAX_BYTES

_LONG = 2**63  # Java's long begins and ends there; what JavaScript prints beyond it was no whole number
# Of a shorter text nothing need be counted: an empty list, whose three bytes become some 80, grows the most.
_HARMLESS_CHARS = VALUE_MAX_BYTES // 40


class NoValue(Exception):
    """The text is nobody's value. The message is for the user."""


def value_of(text: str) -> Any:
    """Raises NoValue."""
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_finite)
    except RecursionError:
        raise NoValue(_TOO_DEEP) from None
    except ValueError:
        raise NoValue("the value cannot be read as JSON") from None
    if len(text) > _HARMLESS_CHARS and _is_large(value):
        raise NoValue(f"the value would take more memory than {VALUE_MAX_BYTES} bytes: it has too many small parts")
    if text.count("[") + text.count("{") > DEPTH_MAX and is_too_deep(value, DEPTH_MAX):
        raise NoValue(_TOO_DEEP)
    return value


_TOO_DEEP = f"the value is nested deeper than {DEPTH_MAX} levels"


def _is_large(value: Any) -> bool:
    """Keys, small integers and constants are shared, so they count as their place alone, which is the container's."""
    size, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, int) and -6 < item < 257:
            continue
        size += sys.getsizeof(item)
        if size > VALUE_MAX_BYTES:
            return True
    return False


def _whole(digits: str) -> Any:
    if len(digits) > 400:
        return _finite(digits)
    number = int(digits)
    return number if -_LONG <= number < _LONG else _finite(digits)


def _finite(digits: str) -> float:
    """What is too large is the largest there is, as jq itself prints it."""
    return min(max(float(digits), -sys.float_info.max), sys.float_info.max)
