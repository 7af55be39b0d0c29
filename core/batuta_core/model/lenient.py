"""How leniently a definition's JSON is read, value by value, with every fault noted instead of raised.

The leniency is that of Conductor's JSON reader (Jackson): text that spells a number or a truth
value stands for it, numbers and truth values become text, unknown fields are dropped. An explicit
null is Java's zero in a primitive (``restartable: null`` is false, though the default is true);
anywhere else it is as if the field were absent, because Conductor stores definitions without nulls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from batuta_core.model.error import Problem
from batuta_core.model.frozen import dataclass

# Containers inside containers. Reading, freezing and compiling recurse some three frames a level at worst, and Python's
# stack ends at 1,000; Jackson's own limit (StreamReadConstraints) is 1,000 levels. The deepest public definition has 17.
DEPTH_MAX = 200

PROBLEMS_MAX = 1000  # a list of a million wrong items would else be answered with a million sentences
_SHOWN_CHARS = 64  # of a wrong value

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,32}")
_NULL_TEXTS = ("", "null")  # what Jackson takes for null where it wants a number or a truth value
_FLAG_TEXTS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def join_path(path: str, name: str) -> str:
    """The path of the field ``name`` of what lies at ``path``."""
    return f"{path}.{name}" if path else name


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the body the reader is, and the faults found so far."""

    path: str
    problems: list[Problem]

    def field(self, name: str) -> Place:
        return Place(join_path(self.path, name), self.problems)

    def item(self, index: int) -> Place:
        return Place(f"{self.path}[{index}]", self.problems)

    def refuse(self, message: str, value: Any) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            shown = None if value is None or isinstance(value, (dict, list)) else _to_text(value)[:_SHOWN_CHARS]
            self.problems.append(Problem(self.path, message, shown))


# A reader answers the canonical value, or None: null is meant, or the value was refused at its place.
Reader = Callable[[Any, Place], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """``default`` counts when the field is absent, ``null`` when it is null; None leaves it out, a type makes a new one."""

    read: Reader
    default: Any = None
    null: Any = None

    def value_in(self, data: Mapping[str, Any], name: str, place: Place) -> Any:
        if name not in data:
            found = self.default
        else:
            raw = data[name]
            found = None if raw is None else self.read(raw, place.field(name))
            found = self.null if found is None else found
        return found() if isinstance(found, type) else found


Fields = Mapping[str, Field]


def is_too_deep(data: Any, limit: int = DEPTH_MAX) -> bool:
    """Whether containers lie in each other more than ``limit`` deep. Does not recurse."""
    level = [data]
    for _ in range(limit + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return True


def _to_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_anything(value: Any, place: Place) -> Any:
    """A payload: kept as it is."""
    return value


def read_text(value: Any, place: Place) -> str | None:
    if isinstance(value, (dict, list)):
        place.refuse("must be text", value)
        return None
    return None if value is None else _to_text(value)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value.strip()) if _WHOLE_NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, float) and abs(value) < float("inf"):
        return int(value)  # the fraction is cut off, as by Jackson
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def whole_number(bits: int) -> Reader:
    """A reader of Java's int (32 bits) or long (64)."""
    limit = 1 << (bits - 1)

    def read(value: Any, place: Place) -> int | None:
        if isinstance(value, str) and value.strip() in _NULL_TEXTS:
            return None
        number = _whole_number(value)
        if number is None:
            place.refuse("must be a whole number", value)
        elif not -limit <= number < limit:
            place.refuse(f"must be a whole number of {bits} bits", value)
        return number

    return read


def read_flag(value: Any, place: Place) -> bool | None:
    if isinstance(value, int):
        return value != 0
    text = value.strip() if isinstance(value, str) else None
    if text in _NULL_TEXTS:
        return None
    found = None if text is None else _FLAG_TEXTS.get(text)
    if found is None:
        place.refuse("must be true or false", value)
    return found


def one_of(*constants: str) -> Reader:
    """A reader of an enum, its constants in Java's order."""

    def read(value: Any, place: Place) -> str | None:
        if isinstance(value, str) and value in constants:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(constants):
            return constants[value]  # Jackson takes a number for the position of the constant
        place.refuse(f"must be one of {', '.join(constants)}", value)
        return None

    return read


def list_of(read: Reader) -> Reader:
    """A reader of lists. Inside another container, too, null is the empty list."""

    def read_list(value: Any, place: Place) -> list[Any]:
        if isinstance(value, list):
            return [read(item, place.item(index)) for index, item in enumerate(value)]
        if value is not None:
            place.refuse("must be a list", value)
        return []

    return read_list


def map_of(read: Reader) -> Reader:
    def read_map(value: Any, place: Place) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            place.refuse("must be an object", value)
            return None
        return {key: read(item, place.field(key)) for key, item in value.items()}

    return read_map


def read_object(fields: Fields, value: Any, place: Place) -> dict[str, Any]:
    """The known ``fields`` of ``value`` in canonical form; of what is no object, their defaults, so that what was
    refused still has its place in a list."""
    if not isinstance(value, dict):
        place.refuse("must be an object", value)
        value = {}
    read = ((name, field.value_in(value, name, place)) for name, field in fields.items())
    return {name: found for name, found in read if found is not None}


def object_of(fields: Callable[[], Fields]) -> Reader:
    """``fields`` is called late, because definitions contain definitions."""
    return lambda value, place: read_object(fields(), value, place)
