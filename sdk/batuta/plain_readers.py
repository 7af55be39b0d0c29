"""Plain values out of JSON, and the words for those that do not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

_SHOWN_CHARS = 40  # of a value that does not fit


class InputMismatch(ValueError):
    """A value does not fit. ``path`` leads to it: ``items[0].price``."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


Reader = Callable[[Any, str], Any]  # value, path to it -> what the annotation wants; raises InputMismatch


def shown(value: Any) -> str:
    """A value in the words of an error message."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def mismatch(path: str, wanted: str, value: Any) -> InputMismatch:
    return InputMismatch(path, f"must be {wanted}, not {shown(value)}")


# --- plain values


def read_anything(value: Any, path: str) -> Any:
    return value


def _read_none(value: Any, path: str) -> None:
    if value is not None:
        raise mismatch(path, "null", value)


def _read_text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise mismatch(path, "text", value)
    return value


def _read_bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise mismatch(path, "true or false", value)
    return value


def _read_int(value: Any, path: str) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise mismatch(path, "a whole number", value)
    return value


def _read_float(value: Any, path: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise mismatch(path, "a number", value)
    return float(value)


def _read_decimal(value: Any, path: str) -> Decimal:
    wanted = "a number, or text that spells one"
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        raise mismatch(path, wanted, value)
    try:
        found = Decimal(str(value))  # of a float: the digits that JSON showed, not its binary expansion
    except InvalidOperation as error:
        raise mismatch(path, wanted, value) from error
    if not found.is_finite():
        raise mismatch(path, wanted, value)
    return found


def _read_timedelta(value: Any, path: str) -> timedelta:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise mismatch(path, "a number of seconds", value)
    try:
        return timedelta(seconds=value)
    except OverflowError as error:
        raise mismatch(path, "a number of seconds", value) from error


def _from_text(parse: Callable[[str], Any], wanted: str) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise mismatch(path, wanted, value)
        try:
            return parse(value)
        except ValueError as error:
            raise mismatch(path, wanted, value) from error

    return read


PLAIN_READERS: dict[Any, Reader] = {
    Any: read_anything,
    object: read_anything,
    None: _read_none,
    type(None): _read_none,
    str: _read_text,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    Decimal: _read_decimal,
    timedelta: _read_timedelta,
    datetime: _from_text(datetime.fromisoformat, "a moment in ISO 8601"),
    date: _from_text(date.fromisoformat, "a date in ISO 8601"),
    time: _from_text(time.fromisoformat, "a time of day in ISO 8601"),
    UUID: _from_text(UUID, "a UUID"),
}
