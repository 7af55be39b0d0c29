"""Values as Java prints them, and the numbers that a text spells."""

from __future__ import annotations

import math
import re
from typing import Any

from batuta_core.decider.expression.reading import Budget

_TO_ESCAPE = re.compile(r'["\\/\x00-\x1f\x7f-\x9f\u2000-\u20ff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_MAX_CHARS = 400


def java_text(value: Any, budget: Budget, *, as_json: bool = False) -> str:
    """As Java's String.valueOf prints a map or a list, ``{k=v, l=[1, null]}``; a text stands for itself.

    ``as_json`` prints ``{"k":"v","l":[1,null]}`` with the escapes of json-smart: what Jayway makes of
    the list of an indefinite path.
    """
    if isinstance(value, str) and not as_json:
        return value
    equals, comma = (":", ",") if as_json else ("=", ", ")
    pieces: list[str] = []
    still: list[tuple[bool, Any]] = [(False, value)]  # in reverse: (True, a piece) or (False, a value)
    while still:
        is_piece, part = still.pop()
        budget.spend(1)
        if is_piece:
            pieces.append(part)
            budget.spend(len(part) // 64)
        elif isinstance(part, dict):
            still.append((True, "}"))
            for number, key in reversed(list(enumerate(part))):
                name = _quoted(key) if as_json else key
                still += ((False, part[key]), (True, f"{comma if number else '{'}{name}{equals}"))
            if not part:
                still.append((True, "{"))
        elif isinstance(part, list):
            still.append((True, "]"))
            for number in range(len(part) - 1, -1, -1):
                still += ((False, part[number]), (True, comma if number else "["))
            if not part:
                still.append((True, "["))
        else:
            pieces.append(_scalar_text(part, as_json))
            budget.spend(len(pieces[-1]) // 64)
    return "".join(pieces)


def _scalar_text(value: Any, as_json: bool) -> str:
    if isinstance(value, str):
        return _quoted(value) if as_json else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _double_text(value) if isinstance(value, float) else str(value)


def _double_text(value: float) -> str:
    """Java's Double.toString (since JDK 19): plain from 0.001 to 10 million, else ``1.0E10``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    size = abs(value)
    digits = repr(size).partition("e")[0].replace(".", "").strip("0")
    mantissa, exponent = f"{size:.{1 if len(digits) == 1 else 16}e}".split("e")
    if len(digits) > 1:  # else Java looks for the nearest of two digits: 4.9E-324
        mantissa = f"{digits[0]}.{digits[1:]}"
    return f"{'-' if value < 0 else ''}{mantissa}E{int(exponent)}"


def _quoted(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04X}", text) + '"'


def number_in(text: str) -> int | float | None:
    """The number that ``text`` spells; None where it is no number, or one of absurd length or size."""
    if len(text) > _NUMBER_MAX_CHARS or not _NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None
