"""Payloads on their way in: JSON becomes what an annotation says, or is refused with the field that does not fit.

``reader_of`` turns an annotation into a function once; reading then costs one call per value. What is read is what
``serializer.py`` writes. Beyond that: a number is taken for a Decimal, a whole number for a float (and 7.0 for an int), fields
that nobody asked for are dropped, and null counts as absent where None is no value but there is a default (an
expression that finds nothing gives null). Text is never taken for a number.

In a union a number or truth value of exactly one member's type stays as it is; else the first member that fits wins.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from batuta.plain_readers import PLAIN_READERS, InputMismatch, Reader, mismatch, read_anything, shown
from batuta.serializer import to_json


def reader_of(annotation: Any) -> Reader:
    """Raises TypeError for an annotation that JSON cannot fill."""
    return _Compiler().compile(annotation)


_LISTS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_QUALIFIERS = tuple(
    getattr(typing, name) for name in ("Annotated", "Required", "NotRequired", "ReadOnly", "Final") if hasattr(typing, name)
)


class _Compiler:
    """Makes the reader of one annotation and of all that it mentions; a type that contains itself meets its own reader."""

    def __init__(self) -> None:
        self._objects: dict[Any, Reader] = {}

    def compile(self, annotation: Any) -> Reader:
        if (plain := _plain_reader(annotation)) is not None:
            return plain
        if hasattr(annotation, "__supertype__"):  # NewType
            return self.compile(annotation.__supertype__)
        if hasattr(annotation, "__value__") and not isinstance(annotation, type):  # type X = ...
            return self.compile(annotation.__value__)
        if isinstance(annotation, TypeVar):
            return self.compile(annotation.__bound__ or Any)
        origin, args = get_origin(annotation) or annotation, get_args(annotation)
        if origin in _QUALIFIERS:
            return self.compile(args[0])
        if origin in (Union, types.UnionType):
            return self._union(args)
        if origin is Literal:
            return _literal(args)
        if origin is tuple:
            return self._tuple(args)
        if origin in _LISTS:
            return _list(self.compile(args[0]) if args else read_anything, _LISTS[origin])
        if origin in _MAPPINGS:
            return self._mapping(args)
        if isinstance(origin, type):
            return self._class(origin)
        raise TypeError(f"{annotation!r} cannot be read from JSON")

    def _class(self, cls: type) -> Reader:
        if issubclass(cls, Enum):
            return _enum(cls)
        if hasattr(cls, "model_validate_json"):
            return _pydantic(cls)
        if typing.is_typeddict(cls) or dataclasses.is_dataclass(cls):
            if cls not in self._objects:
                self._objects[cls] = lambda value, path: self._objects[cls](value, path)
                self._objects[cls] = self._typed_dict(cls) if typing.is_typeddict(cls) else self._dataclass(cls)
            return self._objects[cls]
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} cannot be read from JSON: use plain types, a dataclass or a pydantic model")

    def _union(self, args: tuple[Any, ...]) -> Reader:
        exact = {arg for arg in args if arg in (bool, int, float)}
        members = [self.compile(arg) for arg in args]

        def read(value: Any, path: str) -> Any:
            if type(value) in exact:
                return value
            failures: list[InputMismatch] = []
            for member in members:
                try:
                    return member(value, path)
                except InputMismatch as failure:
                    failures.append(failure)
            deepest = max(failures, key=lambda failure: len(failure.path))  # the member that fitted best says why
            if len(deepest.path) > len(path):
                raise deepest
            raise InputMismatch(path, "; or ".join(dict.fromkeys(failure.message for failure in failures)))

        return read

    def _tuple(self, args: tuple[Any, ...]) -> Reader:
        if not args:
            return _list(read_anything, tuple)
        if len(args) == 2 and args[1] is Ellipsis:
            return _list(self.compile(args[0]), tuple)
        members = [self.compile(arg) for arg in args]

        def read(value: Any, path: str) -> Any:
            if not isinstance(value, list) or len(value) != len(members):
                raise mismatch(path, f"a list of {len(members)}", value)
            return tuple(member(item, f"{path}[{index}]") for index, (member, item) in enumerate(zip(members, value)))

        return read

    def _mapping(self, args: tuple[Any, ...]) -> Reader:
        read_key = self._key(args[0]) if args else read_anything
        read_value = self.compile(args[1]) if args else read_anything

        def read(value: Any, path: str) -> Any:
            if not isinstance(value, dict):
                raise mismatch(path, "an object", value)
            return {read_key(key, path): read_value(item, join(path, key)) for key, item in value.items()}

        return read

    def _key(self, annotation: Any) -> Reader:
        """JSON's keys are text, so here, and only here, text is taken for a number or a truth value."""
        read = self.compile(annotation)

        def read_key(key: Any, path: str) -> Any:
            for parsed in dict.fromkeys((key, *_as_number(key))):
                try:
                    return read(parsed, path)
                except InputMismatch:
                    continue
            raise InputMismatch(path, f"the key {shown(key)} does not fit {annotation!r}")

        return read_key

    def _typed_dict(self, cls: Any) -> Reader:
        hints = typing.get_type_hints(cls, include_extras=True)
        optional = {name for name, hint in hints.items() if get_origin(hint) is typing.NotRequired}
        required = {name for name, hint in hints.items() if get_origin(hint) is typing.Required} | set(cls.__required_keys__) - optional
        readers = {name: self.compile(hint) for name, hint in hints.items()}

        def read(value: Any, path: str) -> Any:
            if not isinstance(value, dict):
                raise mismatch(path, "an object", value)
            for name in readers:
                if name in required and name not in value:
                    raise InputMismatch(join(path, name), "is missing")
            return {name: readers[name](value[name], join(path, name)) for name in readers if name in value}

        return read

    def _dataclass(self, cls: type) -> Reader:
        hints = typing.get_type_hints(cls, include_extras=True)
        members = [
            (field.name, FieldReader(self.compile(hints[field.name]), has_default=has_default(field)))
            for field in dataclasses.fields(cls)
            if field.init
        ]

        def read(value: Any, path: str) -> Any:
            if not isinstance(value, dict):
                raise mismatch(path, "an object", value)
            given: dict[str, Any] = {}
            for name, member in members:
                member.read_into(given, name, value, path)
            try:
                return cls(**given)
            except (ValueError, TypeError) as error:  # __post_init__ checks
                raise InputMismatch(path, str(error)) from error

        return read


def has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


@dataclasses.dataclass(frozen=True, slots=True)
class FieldReader:
    """One field of a dataclass, or one parameter of a function."""

    read: Reader
    has_default: bool

    def read_into(self, given: dict[str, Any], name: str, source: dict[str, Any], path: str) -> None:
        """Puts the field into ``given``, unless its default is meant. Raises InputMismatch."""
        place = join(path, name)
        if name not in source:
            if not self.has_default:
                raise InputMismatch(place, "is missing")
            return
        value = source[name]
        try:
            given[name] = self.read(value, place)
        except InputMismatch:
            if value is not None or not self.has_default:
                raise


def _plain_reader(annotation: Any) -> Reader | None:
    try:
        return PLAIN_READERS.get(annotation)
    except TypeError:  # not hashable: Annotated[int, [...]]
        return None


def _as_number(key: str) -> list[Any]:
    try:
        found = json.loads(key)
    except ValueError:
        return []
    return [found] if isinstance(found, (int, float)) else []


def _list(read_item: Reader, make: Callable[[list[Any]], Any]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise mismatch(path, "a list", value)
        return make([read_item(item, f"{path}[{index}]") for index, item in enumerate(value)])

    return read


def _literal(args: tuple[Any, ...]) -> Reader:
    wanted = f"one of {', '.join(shown(arg.value if isinstance(arg, Enum) else arg) for arg in args)}"

    def read(value: Any, path: str) -> Any:
        for arg in args:
            plain = arg.value if isinstance(arg, Enum) else arg
            if type(plain) is type(value) and plain == value:
                return arg
        raise mismatch(path, wanted, value)

    return read


def _enum(cls: type[Enum]) -> Reader:
    members = [(to_json(member.value), member) for member in cls]
    wanted = f"one of {', '.join(shown(plain) for plain, _member in members)}"

    def read(value: Any, path: str) -> Any:
        for plain, member in members:
            if type(plain) is type(value) and plain == value:
                return member
        try:
            if not isinstance(value, bool):  # which equals 0 or 1
                return cls(value)  # a Flag's combination, or what the enum's own _missing_ makes of it
        except (ValueError, TypeError) as error:
            raise mismatch(path, wanted, value) from error
        raise mismatch(path, wanted, value)

    return read


def _pydantic(cls: Any) -> Reader:
    """In pydantic's JSON mode, so that a strict model takes text for a date as it should."""

    def read(value: Any, path: str) -> Any:
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValueError as error:
            found = [(join(path, ".".join(map(str, item["loc"]))) if item["loc"] else path, item["msg"]) for item in _errors_of(error)]
            if not found:
                raise InputMismatch(path, str(error)) from error
            first, rest = found[0], "".join(f"; {place}: {message}" for place, message in found[1:])
            raise InputMismatch(first[0], first[1] + rest) from error

    return read


def _errors_of(error: Any) -> list[Any]:
    return list(error.errors()) if hasattr(error, "errors") else []
