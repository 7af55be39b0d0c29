"""Payloads on their way out: any value a user may return or pass becomes JSON, or is refused with the place that cannot.

==========================  =============================================
Python                      JSON
==========================  =============================================
dict, Mapping               object; keys as text
list, tuple, deque          array
set, frozenset              array, in the order of its items' JSON
dataclass, pydantic model   object of its fields (pydantic: by alias)
Decimal, UUID               text: exact, and the same in every language
datetime, date, time        ISO 8601 text
timedelta                   seconds
Enum                        its value
==========================  =============================================

``readers.py`` is the way back.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from batuta_core.model.lenient import DEPTH_MAX


class NotEncodable(TypeError):
    """A value has no JSON form. ``path`` leads to it: ``items[0].price``."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


def to_json(value: Any) -> Any:
    """``value`` in dicts, lists, text, finite numbers, truth values and None. Raises NotEncodable."""
    return _to_json(value, "", 0)


def to_output(value: Any) -> dict[str, Any]:
    """What a function returned, as a task's output: an object as it is, None as ``{}``, all else as ``{"result": ...}``."""
    if value is None:
        return {}
    found = to_json(value)
    return found if isinstance(found, dict) else {"result": found}


def dump(value: Any) -> str:
    """The JSON text of what ``to_json`` gave. Raises NotEncodable for an integer of more digits than Python prints."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NotEncodable("", str(error)) from error


def size_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _to_json(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if kind is str or kind is bool or kind is int or value is None:
        return value
    if depth > DEPTH_MAX:
        raise NotEncodable("", f"is nested deeper than {DEPTH_MAX} levels, or contains itself")
    convert = _CONVERSIONS.get(kind) or _conversion_of(value)
    if convert is None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise NotEncodable(path, f"a {name} has no JSON form: use plain values, a dataclass or a pydantic model")
    return convert(value, path, depth)


_Conversion = Callable[[Any, str, int], Any]


def _from_float(value: float, path: str, depth: int) -> float:
    if not math.isfinite(value):
        raise NotEncodable(path, f"JSON has no {value}")
    return float(value)


def _from_decimal(value: Decimal, path: str, depth: int) -> str:
    if not value.is_finite():
        raise NotEncodable(path, f"JSON has no {value}")
    return str(value)


def _from_timedelta(value: timedelta, path: str, depth: int) -> float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _from_mapping(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        text = _key(key, path)
        if text in found:
            raise NotEncodable(path, f"two keys are {text!r} in JSON")
        found[text] = _to_json(item, f"{path}.{text}" if path else text, depth + 1)
    return found


def _from_items(value: Iterable[Any], path: str, depth: int) -> list[Any]:
    return [_to_json(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]


def _from_set(value: Iterable[Any], path: str, depth: int) -> list[Any]:
    return sorted(_from_items(value, path, depth), key=lambda item: json.dumps(item, sort_keys=True))


def _from_dataclass(value: Any, path: str, depth: int) -> dict[str, Any]:
    return _from_mapping({field.name: getattr(value, field.name) for field in fields(value)}, path, depth)


def _from_pydantic(value: Any, path: str, depth: int) -> Any:
    return _to_json(value.model_dump(mode="json", by_alias=True), path, depth)


_CONVERSIONS: dict[type, _Conversion] = {
    dict: _from_mapping,
    list: _from_items,
    tuple: _from_items,
    deque: _from_items,
    set: _from_set,
    frozenset: _from_set,
    float: _from_float,
    Decimal: _from_decimal,
    datetime: lambda value, path, depth: value.isoformat(),
    date: lambda value, path, depth: value.isoformat(),
    time: lambda value, path, depth: value.isoformat(),
    timedelta: _from_timedelta,
    UUID: lambda value, path, depth: str(value),
    str: lambda value, path, depth: str.__str__(value),
    int: lambda value, path, depth: int(value),
}


def _conversion_of(value: Any) -> _Conversion | None:
    """For what is none of the plain types itself: an instance of a subclass, a model, an enum."""
    if isinstance(value, Enum):
        return lambda value, path, depth: _to_json(value.value, path, depth + 1)
    if is_dataclass(value) and not isinstance(value, type):
        return _from_dataclass
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return _from_pydantic
    if isinstance(value, Mapping):
        return _from_mapping
    return next((convert for kind, convert in _CONVERSIONS.items() if isinstance(value, kind)), None)


def _key(key: Any, path: str) -> str:
    plain = _to_json(key, path, 0)
    if isinstance(plain, bool) or plain is None:
        return json.dumps(plain)
    if isinstance(plain, (str, int, float)):
        return str(plain)
    raise NotEncodable(path, f"the key {key!r} cannot be text")
